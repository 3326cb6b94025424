/* Resets that the guest is owed.
 * Owns the list; called by what ends connections, and by vsock_feed.c. TRUST: the guest has chosen the numbers, which go back
 * to it and nowhere else.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/vsock/vsock_reply.h"

#include "workers/runtime/trap.h"

bool vsock_replies_have_room(const struct vsock_replies *replies)
{
        return replies->n < LIMIT_VSOCK_REPLIES;
}

void vsock_reply_add(struct vsock_replies *replies, const struct vsock_reply *reply)
{
        if (replies->n == VSOCK_REPLIES)
                worker_trap();
        replies->rows[(replies->first + replies->n++) % VSOCK_REPLIES] = *reply;
}

bool vsock_reply_take(struct vsock_replies *replies, struct vsock_reply *ret_reply)
{
        if (replies->n == 0)
                return false;
        *ret_reply = replies->rows[replies->first];
        replies->first = (replies->first + 1) % VSOCK_REPLIES;
        replies->n--;
        return true;
}
