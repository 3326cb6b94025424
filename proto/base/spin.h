/* Is it worth looking for more before a sleep? Both sides of a channel ask this at each wake-up: broker/core/lane_poll.c
 * and workers/runtime/worker.c. Pure arithmetic, and no clock.
 *
 * How it works: each LIMIT_SPIN_BARREN spins in a row that found nothing double the number of wake-ups that are not
 * followed by a spin (1, 2, 4 .. LIMIT_SPIN_SKIPS); one that finds something begins anew.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"

struct spin {
        uint32_t barren; /* spins in a row that found nothing */
        uint32_t skips;  /* wake-ups without a spin after such a one ... */
        uint32_t left;   /* ... and how many of them are to come */
};

/* Is this wake-up followed by a spin? */
static inline bool spin_wanted(const struct spin *spin)
{
        return spin->left == 0;
}

/* A wake-up that is not has passed. */
static inline void spin_skip(struct spin *spin)
{
        spin->left -= spin->left > 0;
}

/* A spin has ended. */
static inline void spin_end(struct spin *spin, bool found)
{
        if (found) {
                *spin = (struct spin){0};
                return;
        }
        spin->barren++;
        if (spin->barren == LIMIT_SPIN_BARREN) {
                spin->barren = 0;
                spin->skips = spin->skips ? MIN(2 * spin->skips, LIMIT_SPIN_SKIPS) : 1;
        }
        spin->left = spin->skips;
}
