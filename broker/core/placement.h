/* Where a lane's thread and its worker run: free, or both on one CPU, or the worker alone on one. This decides; lane_place.c does it.
 *
 * Why: they wake each other for every request, and on some hosts to wake another CPU that has gone idle costs ten times as much as to
 * change threads on one's own. The kernel's scheduler prefers the idle CPU always; nobody but the one who sees requests end can tell
 * which is faster, and it depends on the host, the driver's CPU and the load. So it is tried out.
 *
 * How it works: RESTING measures nothing. With the first requests comes WATCHING, which asks whether there is a load that is worth it: a
 * window of so many requests within LIMIT_PLACE_WINDOW_MS. Then TRYING goes through the places, one window each, and HOLDING stays at
 * the best. A place is not a CPU but one that is clearly better than free (PLACE_BETTER); a trial that finds it again doubles the time
 * until the next. While holding, each window is compared with what was found: another load, or another host, is another trial at once, or,
 * without credit for it, one of free, where it was last and what was next best, each LIMIT_PLACE_DOUBT_MS at most. A pause in a
 * window says nothing of the place, since the host has had somebody else's work on that CPU: it counts for the level that is
 * held, and for nothing else. But a CPU on which nothing at all is done for LIMIT_PLACE_STALL_MS is left.
 * Costs: the loss of trials against the place that was chosen is taken from a credit, which grows by one part in PLACE_CREDIT of the
 * busy time; without credit there is no whole trial. Bursts that are too short for one pay too.
 * A load that rests is free again, and what was chosen is remembered: when as much load comes back soon, it goes there without a trial.
 * Harm to others: a CPU of which others use more than half while another has more to give is left, for LIMIT_PLACE_BARRED_MS (placement_guard).
 * Turns: where requests come one at a time, the driver waits for each, and two CPUs win nothing. So a CPU need not be better than free,
 * only not worse; and what others use of it while nothing is asked of the lane is no harm: it is the driver, or somebody whom we leave that
 * much. A trial of such a slow load is long: what it chose is held for many times that (PLACE_TURNS_HOLD).
 * Alone: the worker has a CPU to itself, its lane any other. Where much is under way both have enough to do at once; that is tried, too,
 * on LIMIT_PLACES_ALONE CPUs: all are alike but the driver's. Who is freed from there runs on on two CPUs for a while, so it need not be
 * better than free to be kept. Where requests are large it is all that is tried, and need not be better than free.
 * Pure arithmetic: no clock, no system call. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/limits.h"

#define PLACE_FREE  (-1)
#define PLACE_ALONE 0x10000 /* and a CPU: the worker alone */
#define PLACE_LOOK  16u /* requests between two looks: who counts them need not read the clock more often */

enum placement_state {
        PLACEMENT_RESTING = 0, /* free; to WATCHING with the next look */
        PLACEMENT_WATCHING,    /* free; to TRYING, or to HOLDING what is remembered */
        PLACEMENT_TRYING,      /* to HOLDING; to RESTING when the load ends */
        PLACEMENT_HOLDING,     /* to TRYING; to RESTING when the load ends */
};

struct placement_window {
        uint64_t begin_ns, requests, bytes; /* the totals when it began */
        bool settling;                      /* the first requests at a new place: not counted */
        unsigned looks;                     /* that saw requests done, ... */
        uint64_t seen_ns, seen_cost;        /* ... the last of them, ... */
        uint64_t pause_ns, pause_cost; /* ... and the longest time between two, and what was done in it */
};

struct placement_try {
        int place;
        uint64_t score;      /* 0: not measured yet */
        uint64_t elapsed_ns; /* since it was gone to; 0: it was known before the trial */
};

struct placement {
        enum placement_state state;
        int place;  /* where lane and worker belong now: PLACE_FREE, a CPU, or PLACE_ALONE and a CPU */
        int chosen; /* by the last trial, ... */
        int next;   /* ... and which CPU was next best; PLACE_FREE: none */
        int last;   /* that was chosen and is not free; PLACE_FREE: none has been */
        const uint16_t *cpus;
        unsigned n_cpus, rotation, rotation_alone; /* which CPUs the next trial begins with */
        struct placement_window window;
        uint64_t moved_ns, tried_ns, seen_ns, rested_ns;
        uint64_t tick_requests, tick_ns; /* as of the last tick that was not idle */
        uint64_t level;                  /* of the chosen place lately; 0: unknown */
        uint64_t expected;               /* ... when it was chosen; 0: nothing is */
        uint64_t free_score;             /* of no placement, in the last trial; 0: unknown */
        unsigned n_worse;                /* windows in a row that were too bad for the chosen place */
        uint64_t hold_ns, hold_end_ns;
        uint64_t hold_left_ns; /* when the load ended */
        uint64_t doubted_ns;
        int64_t credit_ns;
        struct placement_try tries[LIMIT_PLACES + 1];
        unsigned n_tries, at_try;
        bool second;                          /* free and the best CPU are measured again */
        bool turns;                           /* requests come one at a time */
        bool deep;                            /* many are under way */
        bool large;                           /* requests are large: a CPU is the worker's alone */
        uint64_t barred_ns[LIMIT_PLACE_CPUS]; /* until then it is not tried */
};

/* What all have used of the CPUs since some moment. */
struct placement_use {
        uint64_t elapsed_ns;
        uint64_t own_ns;         /* of those whom the CPU was given to */
        uint64_t gaps_ns;        /* how long nothing was asked of both */
        const uint64_t *idle_ns; /* one for each of `cpus` */
};

/* `cpus`: those that both may use, 1 .. LIMIT_PLACE_CPUS; they outlive it. */
void placement_init(struct placement *placement, const uint16_t *cpus, unsigned n_cpus);

/* So many requests and bytes have been done in all. Call it after each PLACE_LOOK requests. Returns the place. */
int placement_look(struct placement *placement, uint64_t now_ns, uint64_t requests, uint64_t bytes);

/* The same by the clock, each LIMIT_PLACE_TICK_MS while the place is a CPU. `idle`: nothing is outstanding. */
int placement_tick(struct placement *placement, uint64_t now_ns, uint64_t requests, uint64_t bytes,
                   bool idle);

/* The load has ended: free. */
void placement_rest(struct placement *placement);

/* That CPU cannot be gone to: free, and it is not tried for a while. */
void placement_bar(struct placement *placement, uint64_t now_ns, int cpu);

/* Do requests come one at a time just now? */
void placement_turns(struct placement *placement, bool turns);

/* Are so many requests under way just now that a CPU for the worker alone may pay? If they are no more, and it has one, that is another
 * load. */
void placement_deep(struct placement *placement, bool deep, uint64_t now_ns, uint64_t requests,
                    uint64_t bytes);

/* Are requests so large just now that the worker has a CPU to itself, if it has one? Another answer than before is another load. */
void placement_large(struct placement *placement, bool large, uint64_t now_ns, uint64_t requests,
                     uint64_t bytes);

/* The CPU of a place that is not PLACE_FREE, and whether it is the worker's alone. */
static inline int place_cpu(int place)
{
        return place & ~PLACE_ALONE;
}

static inline bool place_is_alone(int place)
{
        return place != PLACE_FREE && (place & PLACE_ALONE) != 0;
}

/* Looks at what others have used while the place was the chosen one. True: it has been left. */
bool placement_guard(struct placement *placement, uint64_t now_ns, const struct placement_use *use);
