/* What a shared directory says of itself.
 * Owns nothing; called by fs.c. TRUST: the operator's options, judged by the broker.
 *
 * All queues are idempotent to the broker: what must not be done twice the device knows better, request by request (fs.c).
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_config.h"

#include <string.h>

#include "workers/fs/fs_req.h"

#define FS_MAX_SEGMENTS 264u         /* 256 pages, headers and a little: the largest that Linux makes */
#define FS_CREDITS      128u         /* requests: twice what the guest has under way by itself */
#define FS_CREDIT_BYTES (512u << 10) /* several writes of a piece each */
#define FS_MAX_INLINE   (64u << 10)  /* of readable bytes: names and short writes need no question */

static void fs_config_fields(const struct control_configure *configure, const char *tag,
                             struct control_hello *hello)
{
        size_t len = strnlen(tag, LIMIT_FS_TAG);

        for (uint32_t i = 0; i < LIMIT_FS_TAG; i++)
                hello->fields[i] = (struct control_field){
                    .offset = (uint16_t)i, .width = 1, .value = i < len ? (uint8_t)tag[i] : 0};
        hello->fields[LIMIT_FS_TAG] =
            (struct control_field){.offset = LIMIT_FS_TAG, .width = 4, .value = configure->n_queues - 1};
        hello->n_fields = LIMIT_FS_TAG + 1;
}

void fs_config_hello(const struct control_configure *configure, const char *tag,
                     struct control_hello *ret_hello)
{
        *ret_hello = (struct control_hello){
            .device_type = device_types[DEVICE_TYPE_FS].virtio_id,
            .n_queues = configure->n_queues,
            .max_segments = FS_MAX_SEGMENTS,
            .credit_requests = FS_CREDITS,
            .credit_bytes = FS_CREDIT_BYTES,
            .max_inline = FS_MAX_INLINE,
            .area = {.lead = FS_WRITE_BYTES, .out = true},
        };
        for (uint32_t i = 0; i < configure->n_queues; i++) {
                ret_hello->queue_kind[i] = QUEUE_WORK;
                ret_hello->queue_replay[i] = REPLAY_IDEMPOTENT;
        }
        fs_config_fields(configure, tag, ret_hello);
}
