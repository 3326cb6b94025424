/* Looking for more before a lane's thread sleeps.
 *
 * How it works: a lane that may spin does not ask for kicks when it has emptied its rings (lane_poll_defers). Before its
 * loop sleeps it looks, for poll_us at most, at the rings' available indices and, while requests are with the worker, at
 * their pipe. What it finds is served, and it looks anew; nothing found: it asks for kicks, looks again, and sleeps.
 * proto/base/spin.h says which wake-ups are followed by this. A lane without poll_us looks for LIMIT_PLACE_POLL_US while its
 * worker has a CPU to itself (lane_place.h). Where both have one CPU and requests come one at a time, it looks at the pipe
 * once: the worker has run as soon as it was sent something, and what it has answered by then needs no wake-up. Elsewhere it
 * does not look.
 *
 * A ring that has not been asked for kicks is a ring whose guest will not wake us. So nothing sleeps between
 * lane_poll_defers and the lane_poll that returns false.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/spin.h"

struct lane;

struct lane_poll {
        uint32_t us;   /* 0: as its place says */
        bool deferred; /* rings have been emptied and not asked for kicks */
        bool resting;  /* they are being asked */
        struct spin spin;
};

/* Once, before anything is started. */
void lane_set_poll(struct lane *lane, uint32_t poll_us);

/* For lane_turn: true when it must not ask for kicks now. */
bool lane_poll_defers(struct lane *lane);

/* Has lane_poll anything to do? */
bool lane_polls(const struct lane *lane);

/* Call it before each sleep of a lane for which lane_polls. True: do not sleep, serve the loop's other events and call
 * again; that happens when `called` is or becomes true, and when LIMIT_POLL_SERVED things were found. */
bool lane_poll(struct lane *lane, const atomic_bool *called);
