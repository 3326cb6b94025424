/* Putting a lane's thread and its worker where broker/core/placement.h says.
 *
 * How it works: lane_place_begin is told of a worker that may be moved. While requests end, lane_place_look lets the
 * placement decide; while the place is a CPU, the lane's thread also calls lane_place_tick every LIMIT_PLACE_TICK_MS, which
 * sees the end of the load and looks at what others use of that CPU (place_host.h). Both are moved by the broker: the
 * kernel lets it, as the owner of the worker's user namespace. A worker has no such right, for itself neither.
 *
 * A lane that polls is not placed (on one CPU each would spin while the other has work), nor is one of several of a
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
        uint64_t begin_ns, own_ns;
        uint64_t idle_ns[LIMIT_PLACE_CPUS];
};

struct lane_place {
        const struct place_host *host; /* NULL: it is never placed */
        pid_t worker;                  /* that is attached and may be moved; 0: none */
        int at;                        /* where both are */
        uint64_t looked;               /* requests done at the last look */
        struct placement placement;
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

/* Requests have been done. Cheap until there were PLACE_LOOK. */
void lane_place_look(struct lane *lane);

/* Must lane_place_tick be called? */
bool lane_place_ticks(const struct lane *lane);
void lane_place_tick(struct lane *lane);
