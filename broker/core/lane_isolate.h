/* Finding the request that kills workers.
 *
 * A request that LIMIT_POISON_ATTEMPTS incarnations have died with is a suspect. While there is one, requests
 * are sent one at a time, in the guest's order, and nothing new is taken; so a worker that dies shows which
 * one it was. That one must fail, alone again, and if even that kills its worker LIMIT_POISON_FAILURES times
 * the device has no future. Its neighbours complete as if nothing had been.
 *
 * One lane of a device at a time: another lane's request could be blamed for this one's. Only work queues:
 * what is lent for input is with the worker for as long as no input comes, and is sent when all is over.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct lane;
struct request;

enum lane_isolation {
        LANE_OPEN = 0, /* as ever */
        LANE_WAITS,    /* another lane isolates: sends nothing. Left by lane_isolate */
        LANE_ISOLATES, /* sends one at a time; to WAITS when no suspect is left, which is told (isolated) */
};

uint32_t lane_suspects(const struct lane *lane);

/* Changes the lane's part; also while no worker is attached, for the next one. Ends with a turn. */
void lane_isolate(struct lane *lane, enum lane_isolation isolation);

/* The worker is about to be killed for something that no request has done. */
void lane_pardon(struct lane *lane);

/* ---- for lane.c and lane_batch.c ---- */

/* Is this request's turn? */
bool lane_may_send(struct lane *lane, const struct request *request);

/* Nothing is with the worker: are we through? */
void lane_isolate_step(struct lane *lane);

/* The worker has died with this request. */
void lane_blame(struct lane *lane, struct request *request);
