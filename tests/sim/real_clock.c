/* Real time, and real threads that need no stirring.
 * Owns nothing; called by the parts of a simulation that run on the real libuv. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "tests/sim/clock.h"
#include "tests/sim/vthread.h"

uint64_t sim_now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t sim_slack_ms(void)
{
        return 30000; /* a sanitizer on a busy machine */
}

void vthread_stir(void)
{
}
