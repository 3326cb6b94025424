/* The times that a console waits for.
 * Owns the worker's one time; called by console.c and console_port.c. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/console/console_times.h"

#include <time.h>

#include "proto/base/checked.h"
#include "workers/runtime/worker_watch.h"

static uint64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void times_wait(const struct console_times *times, uint64_t now)
{
        uint64_t next = UINT64_MAX;

        for (unsigned i = 0; i < CONSOLE_TIME_COUNT_; i++)
                if (times->due_ms[i] > 0)
                        next = MIN(next, times->due_ms[i]);
        if (next == UINT64_MAX)
                worker_timer_stop();
        else
                worker_timer_set(next > now ? (uint32_t)(next - now) : 0, times->wake);
}

void console_time_set(struct console_times *times, enum console_time time, uint32_t ms)
{
        uint64_t now;

        if (times->due_ms[time] > 0)
                return;
        now = now_ms();
        times->due_ms[time] = now + ms;
        times_wait(times, now);
}

/* The worker may be woken once for nothing. */
void console_time_stop(struct console_times *times, enum console_time time)
{
        times->due_ms[time] = 0;
}

void console_times_serve(struct console_times *times, void *state)
{
        uint64_t now = now_ms();

        for (unsigned i = 0; i < CONSOLE_TIME_COUNT_; i++)
                if (times->due_ms[i] > 0 && times->due_ms[i] <= now) {
                        times->due_ms[i] = 0;
                        times->due(state, (enum console_time)i);
                }
        times_wait(times, now_ms());
}
