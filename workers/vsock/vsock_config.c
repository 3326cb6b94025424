/* What a vsock device says of itself.
 * Owns nothing; called by vsock.c. TRUST: the operator's options, judged by the broker.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/vsock/vsock_config.h"

#include "proto/device_type.h"
#include "workers/vsock/vsock_device.h"

#define VSOCK_SEGMENTS     64u /* of a packet: header, and 16 pages in any cut; and much more than any driver's */
#define VSOCK_CREDIT_BYTES (512u << 10) /* seven of the largest packets, and many small ones */

void vsock_config_hello(uint64_t guest_cid, uint32_t n_queues, struct control_hello *ret_hello)
{
        *ret_hello = (struct control_hello){
            .device_type = device_types[DEVICE_TYPE_VSOCK].virtio_id,
            .features = VSOCK_F_STREAM | VSOCK_F_SEQPACKET,
            .n_queues = n_queues,
            .queue_kind = {[VSOCK_QUEUE_RX] = QUEUE_SUPPLY,
                           [VSOCK_QUEUE_TX] = QUEUE_WORK,
                           [VSOCK_QUEUE_EVENT] = QUEUE_SUPPLY},
            .queue_replay = {REPLAY_AT_MOST_ONCE, REPLAY_AT_MOST_ONCE, REPLAY_AT_MOST_ONCE},
            .max_segments = VSOCK_SEGMENTS,
            .credit_requests = LIMIT_CREDITS,
            .credit_bytes = VSOCK_CREDIT_BYTES,
            .max_inline = VSOCK_HEADER_BYTES + LIMIT_VSOCK_BUFFER,
            .n_fields = 1,
            .fields = {{.offset = 0, .width = 8, .value = guest_cid}},
        };
}
