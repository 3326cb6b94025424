/* A ring of a front end of ours: what was added is shown, and what comes back is waited for.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/harness/front_end.h"

/* Shows what was added to the ring, the front end's `index`-th, and kicks if the device asks for it. 0 or negative errno. */
int front_ring_show(struct front_end *front, unsigned index, struct split_ring *ring);

/* Takes the next used element, waiting no longer than the deadline of the front end's wire for each call. 0; -ETIMEDOUT; -EPROTO:
 * the device gave an id that it does not hold. */
int front_ring_await(struct front_end *front, unsigned index, struct split_ring *ring, void **ret_cookie,
                     uint32_t *ret_len);
