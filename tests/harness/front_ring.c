/* A ring of a front end of ours.
 * Owns nothing; called by drivers of tests and benchmarks. TRUST: the device's side is under test; split_ring.c judges it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/front_ring.h"

int front_ring_show(struct front_end *front, unsigned index, struct split_ring *ring)
{
        return split_ring_publish(ring) ? front_end_kick(front, index) : 0;
}

int front_ring_await(struct front_end *front, unsigned index, struct split_ring *ring, void **ret_cookie,
                     uint32_t *ret_len)
{
        for (;;) {
                int r = split_ring_take(ring, ret_cookie, ret_len);
                uint64_t count;

                if (r != 0)
                        return r < 0 ? r : 0;
                if (split_ring_want_call(ring))
                        continue;
                r = wire_wait_event(&front->wire, front->rings[index].call, front->wire.deadline_ms, &count);
                if (r < 0)
                        return r;
        }
}
