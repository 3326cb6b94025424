/* How long a worker may hold a request. A worker that hangs, is stopped, loops, no longer reads or drips its
 * answer has one thing in common: a request that it does not finish. Work queues only: what a guest has lent
 * for input may wait for ever.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct lane;

/* The clock of every request's age. */
uint64_t lane_clock_ms(void);
/* The same one, exactly: for rates. */
uint64_t lane_clock_ns(void);

/* Before a worker is attached. */
void lane_set_max_age(struct lane *lane, uint64_t max_age_ms);

/* Is there anything to watch? Else no timer need run. */
bool lane_ages(const struct lane *lane);

/* Reports the worker when it has held a request for too long. Returns the time until it is worth looking
 * again; 0: nothing is to be watched. */
uint64_t lane_check_age(struct lane *lane, uint64_t now_ms);
