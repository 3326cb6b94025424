/* A run: one seed, one schedule.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/stage.h"

struct run {
        uint64_t seed;
        uint64_t steps; /* of the schedule, without what it takes to come to rest */
        bool print;     /* the trace */
};

struct run_result {
        uint64_t hash;
        struct stage_result stage;
        uint64_t virtual_ms;
};

/* Ends the process when the model is contradicted. */
void schedule_run(const struct run *run, struct run_result *ret_result);
