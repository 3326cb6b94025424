/* The test's side of places where a worker is to be killed (record.h).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/power_cut/record.h"

/* The worker of this generation stands still when it comes to the point for the count-th time from now. */
static inline void kill_point_arm(struct record_control *control, uint64_t generation, unsigned point,
                                  unsigned count)
{
        __atomic_store_n(&control->arm_generation, 0, __ATOMIC_RELEASE);
        control->arm_point = point;
        control->arm_count = count;
        control->arm_serial++;
        __atomic_store_n(&control->arm_generation, generation, __ATOMIC_RELEASE);
}

static inline void kill_point_disarm(struct record_control *control)
{
        __atomic_store_n(&control->arm_generation, 0, __ATOMIC_RELEASE);
}

/* Does the worker that is there stand still, and was it not killed already? */
static inline bool kill_point_reached(const struct record_control *control, uint64_t killed_generation)
{
        uint64_t stopped = __atomic_load_n(&control->stopped, __ATOMIC_ACQUIRE);

        return stopped != 0 && stopped != killed_generation &&
               stopped == __atomic_load_n(&control->generation, __ATOMIC_ACQUIRE);
}
