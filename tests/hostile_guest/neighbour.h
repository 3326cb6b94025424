/* Another device of the same VM, on a socket of its own, that must not notice: a disk under a stream of requests
 * whose every byte is verified.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tests/harness/blk_front.h"

#define NEIGHBOUR_BLOCKS 64u

struct neighbour {
        struct front_end front;
        struct guest_ram ram;
        struct blk_front blk;
        uint32_t version[NEIGHBOUR_BLOCKS]; /* of each block's content */
        unsigned next;                      /* block of the next request */
        uint64_t n_requests;
};

/* Connects, starts, and writes all blocks. All functions: 0 or negative errno. */
int neighbour_open(struct neighbour *neighbour, const char *path, int deadline_ms);
void neighbour_close(struct neighbour *neighbour);

/* Posts requests, which are on their way while something else happens. */
int neighbour_post(struct neighbour *neighbour);
/* All have come back in time and hold what they must, or one sentence in `why`. */
int neighbour_verify(struct neighbour *neighbour, int timeout_ms, char *why, size_t size);
