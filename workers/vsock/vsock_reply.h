/* Resets that the guest is owed: of connections that are no more, or never were.
 *
 * Each connection has room for its own for sure; so have those that a predecessor has left. Beyond that there is room for
 * LIMIT_VSOCK_REPLIES that the guest causes and gives no buffers for: then what would cause another is not heard.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/vsock_frame.h"

#define VSOCK_REPLIES (LIMIT_VSOCK_REPLIES + 2u * VSOCK_FRAME_IDS)

struct vsock_reply {
        uint64_t host_cid;
        uint32_t guest_port, host_port;
        uint16_t type;
};

struct vsock_replies {
        struct vsock_reply rows[VSOCK_REPLIES];
        uint32_t first, n;
};

/* May the guest cause one more? */
bool vsock_replies_have_room(const struct vsock_replies *replies);

/* Traps when there is no room at all, which the above rules out. */
void vsock_reply_add(struct vsock_replies *replies, const struct vsock_reply *reply);

/* False: none is owed. */
bool vsock_reply_take(struct vsock_replies *replies, struct vsock_reply *ret_reply);
