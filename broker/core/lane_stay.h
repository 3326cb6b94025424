/* Workers that wait for their lane alone.
 *
 * How it works: who serves one lane has three things to wait for: the lane, control, and time. To look at them all costs a tenth of
 * a small request. So while requests keep coming (LIMIT_STAY_FRAMES of them, LIMIT_STAY_GAP_MS apart at most) each Requests frame
 * promises another message on this lane: more of the same, or, when no requests have gone there for LIMIT_STAY_MS to twice that, a Wake. The
 * worker may then sleep in a read of the lane, while it owes no answer. The first frame with requests behind something that was said on control
 * says so (lane_stay_told), and it looks there before it serves them, so that none overtakes it. What is said there to one that sleeps, and is
 * sent no request, it sees when it is woken.
 *
 * A promise ends with a Wake, with a Requests frame that makes none, and with the worker.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct lane;

struct lane_stay {
        bool may;         /* the worker has no other lane */
        uint32_t frames;  /* with requests, in a row: LIMIT_STAY_FRAMES at most */
        uint64_t last_ms; /* of the last one */
        bool promised;
        bool kept; /* a frame with requests has gone since it was last looked at */
        bool wake; /* it is to be woken */
};

/* Something has been said on control: the next frame with requests says so. Of any thread. */
void lane_stay_told(struct lane *lane);

/* Does the frame with requests that goes now say so? */
bool lane_stay_look(struct lane *lane);

/* `n_lanes`: of its device. */
void lane_stay_init(struct lane_stay *stay, unsigned n_lanes);

/* A Requests frame goes to the worker now. Does it promise that more will come? */
bool lane_stay_promise(struct lane_stay *stay, uint64_t now_ms);

/* Must lane_stay_check be called in LIMIT_STAY_MS? */
bool lane_stays(const struct lane *lane);

/* Has the worker woken if no requests have been sent to it since the last call. */
void lane_stay_check(struct lane *lane);

/* Begins a Wake, if the worker is to be sent one. For lane_turn. */
bool lane_stay_wake(struct lane *lane);

/* The worker is gone. */
void lane_stay_end(struct lane_stay *stay);
