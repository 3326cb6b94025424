/* Putting a lane's thread and its worker where broker/core/placement.h says.
 *
 * How it works: lane_place_begin is told of a worker that may be moved. While requests end, lane_place_look lets the
 * placement decide; while the place is a CPU, the lane's thread also calls lane_place_tick every LIMIT_PLACE_TICK_MS, which
 * sees the end of the load and looks at what others use of that CPU (place_host.h). Both are moved by the broker: the
 * kernel lets it, as the owner of the worker's user namespace. A worker has no such right, for itself neither.
 *
 * While both are on one CPU and requests come one at a time, the lane's thread has short turns (time_slice.h): the driver it
 * shares that CPU with has just woken it. Not otherwise: where many requests wait, it would be woken for fewer of them at a time.
 *
 * Where the place is the worker's alone, the lane's thread may be on any other CPU, and looks for LIMIT_PLACE_POLL_US before it
 * sleeps (lane_poll.h): the next answers are on their way, and to be woken for each piece of them takes more of its CPU. The worker looks
 * for LIMIT_PLACE_SPIN_US, as each frame tells it: it need not leave that CPU to others, and to wake one that has gone idle can take as long.
 *
 * While both are on one CPU, requests say that their answers may come together (PROTOCOL.md, Turns).
 *
 * A lane with poll_us is not placed (on one CPU each would spin while the other has work), nor is one of several of a
 * device: their one worker cannot be with all of them.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/core/place_host.h"
#include "broker/core/placement.h"

struct lane;

/* What had been used of the CPUs when the place became this one. */
struct lane_place_guard {
        int cpu; /* PLACE_FREE: nothing is known */
        uint64_t begin_ns, own_ns, gaps_ns;
        uint64_t idle_ns[LIMIT_PLACE_CPUS];
};

/* How long nothing was asked of both since they were confined. */
struct lane_place_gaps {
        uint64_t begin_ns; /* of the one that goes on; 0: there is none */
        uint64_t sum_ns;   /* of those that have ended */
};

struct lane_place {
        const struct place_host *host; /* NULL: it is never placed */
        pid_t worker;                  /* that is attached and may be moved; 0: none */
        int at;                        /* where both are, or the worker alone */
        bool
            brief; /* the lane's thread has short turns: both are on a CPU, and requests come one at a time */
        uint64_t looked;    /* requests done at the last look, ... */
        uint64_t bytes;     /* ... and bytes */
        uint64_t emptied;   /* how often since then nothing was left to do */
        uint32_t under_way; /* requests, at most since then */
        uint32_t shallow;   /* looks in a row that saw few requests under way */
        struct placement placement;
        struct lane_place_gaps gaps;
        struct lane_place_guard guard;
};

/* Once, before anything is started. NULL: never. */
void lane_set_place(struct lane *lane, const struct place_host *host);

/* May this process move that one? 0, or negative errno. It is then where `host` says that it may be. */
int lane_place_probe(const struct place_host *host, pid_t worker);

/* A worker has been attached. Its pid stays its own until lane_place_end. */
void lane_place_begin(struct lane *lane, pid_t worker);

/* It is let go, or its pid is no longer sure: free, and nothing more is moved. Does nothing if there is none. */
void lane_place_end(struct lane *lane);

/* Nothing can come for now: free. */
void lane_place_rest(struct lane *lane);

/* Requests have been done, and perhaps others begun. Cheap until there were PLACE_LOOK. */
void lane_place_look(struct lane *lane);

/* Requests may have come or gone. Looks at the clock only where both are guarded, and the first has come or the last has
 * gone. */
void lane_place_note(struct lane *lane);

/* A frame of requests has been made. */
void lane_place_sent(struct lane *lane);

/* How long a lane without poll_us is to look for more before it sleeps, where it is now: 0 .. LIMIT_PLACE_POLL_US. */
uint32_t lane_place_poll_us(const struct lane *lane);

/* ... and its worker: 0 .. LIMIT_PLACE_SPIN_US. */
uint32_t lane_place_spin_us(const struct lane *lane);

/* Are both on one CPU? */
bool lane_place_is_shared(const struct lane *lane);

/* ... and do requests come one at a time? */
bool lane_place_takes_turns(const struct lane *lane);

/* Must lane_place_tick be called? */
bool lane_place_ticks(const struct lane *lane);
void lane_place_tick(struct lane *lane);
