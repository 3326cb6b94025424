/* Virtual time: clock_gettime of the whole program.
 * Owns the time; moved by the schedule alone. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "tests/sim/clock.h"

#define START_MS UINT64_C(1000000) /* no clock of a running machine is at zero */

static uint64_t now = START_MS;

int __wrap_clock_gettime(clockid_t id, struct timespec *ret_time);

void sim_clock_start(void)
{
        now = START_MS;
}

void sim_clock_pass(uint64_t ms)
{
        now += ms;
}

uint64_t sim_now_ms(void)
{
        return now;
}

uint64_t sim_slack_ms(void)
{
        return 1000; /* the schedule is fair in the long run only */
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ret_time)
{
        (void)id;
        *ret_time =
            (struct timespec){.tv_sec = (time_t)(now / 1000), .tv_nsec = (long)(now % 1000) * 1000000};
        return 0;
}
