/* Fields at the front of a request that are in the guest's order: the legacy interface of a big-endian guest (virtio 1.3,
 * 5.2.6.4). A worker knows nothing of orders, and so finds none.
 *
 * How it works: the head is copied once, when its chain is taken off the ring, and turned in that copy. Every way by which readable
 * bytes reach a worker (inline, asked for, straight into its memory) goes through the memory service, which gives the copy in their
 * place. So a worker that is told of the request again, or its successor, sees the same head, whatever the guest does to it.
 *
 * Owns nothing; called by lane_batch.c and the device. TRUST: the bytes are the guest's; only their place changes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_head.h"

#include "broker/core/lane.h"
#include "broker/core/memory_service.h"
#include "proto/base/checked.h"

void lane_set_head(struct lane *lane, const uint8_t *widths)
{
        lane->head_widths = widths;
}

static void turn(uint8_t *bytes, uint32_t len)
{
        for (uint32_t i = 0; i < len / 2; i++) {
                uint8_t byte = bytes[i];

                bytes[i] = bytes[len - 1 - i];
                bytes[len - 1 - i] = byte;
        }
}

/* How many bytes the fields have that are there whole. */
static uint32_t head_len(const struct lane *lane, uint32_t readable)
{
        uint32_t len = 0;

        for (unsigned i = 0; lane->head_widths && i < DEVICE_LEGACY_FIELDS && lane->head_widths[i]; i++) {
                if (lane->head_widths[i] > MIN(readable, DEVICE_LEGACY_HEAD) - len)
                        break;
                len += lane->head_widths[i];
        }
        return len;
}

void lane_head_take(const struct lane *lane, struct request *request)
{
        uint32_t len = head_len(lane, request->chain.readable), at = 0;

        if (memory_service_read(lane->memory, request, 0, request->head, len) < 0) {
                request->must_fail = true;
                return;
        }
        for (unsigned i = 0; at < len; at += lane->head_widths[i++])
                turn(request->head + at, lane->head_widths[i]);
        request->head_len = (uint8_t)len;
}
