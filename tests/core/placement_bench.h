/* Made-up hosts for placement: how many requests a second are done at which place and when. Time is the test's.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/placement.h"

#define MS     UINT64_C(1000000)
#define SECOND (1000 * MS)
#define BLOCK  4096u

struct host {
        struct placement placement;
        uint64_t (*rate)(int place, uint64_t now_ns); /* requests a second; 0: none is done */
        uint64_t now_ns, next_tick_ns, requests;
        uint64_t left_ns;            /* of the requests under way */
        uint64_t at_ns[2];           /* spent free, and on a CPU */
        uint64_t tried, tried_alone; /* masks of CPUs that it was on: both, and the worker alone */
        unsigned n_moves;
        unsigned noise_percent;
        unsigned seed;
};

/* A host of CPUs 0 to n_cpus - 1, LIMIT_PLACE_CPUS at most, on which nothing has been done. */
void host_begin(struct host *host, unsigned n_cpus, uint64_t (*rate)(int place, uint64_t now_ns));

/* To the next event, `end_ns` at most: requests are done, or it is time for a tick. */
void host_step(struct host *host, uint64_t end_ns);

/* Requests without end, for so long. */
void host_load(struct host *host, uint64_t ns);

/* Nothing comes for so long: only what is confined is looked at. */
void host_rest(struct host *host, uint64_t ns);

/* host_load; how many were done. */
uint64_t host_done_in(struct host *host, uint64_t ns);
