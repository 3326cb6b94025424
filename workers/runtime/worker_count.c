/* What a device counts.
 * Owns the counters; called by devices, and by worker.c in its loop. TRUST: sees no foreign bytes; how much is counted may be a
 * guest's or a peer's doing, and costs a message in LIMIT_COUNT_MS.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/worker_count.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "proto/base/limits.h"
#include "workers/runtime/trap.h"
#include "workers/runtime/worker_say.h"

static struct counts {
        unsigned n;
        uint64_t value[LIMIT_COUNTERS];
        bool changed;
        uint64_t due_ms; /* not told before this */
} counts;

void worker_count_init(unsigned n_counters)
{
        if (n_counters > LIMIT_COUNTERS)
                worker_trap();
        counts = (struct counts){.n = n_counters};
}

void worker_count(unsigned counter, uint64_t n)
{
        if (counter >= counts.n)
                worker_trap();
        counts.value[counter] += n;
        counts.changed = true;
}

static uint64_t clock_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int worker_count_left(void)
{
        uint64_t now;

        if (!counts.changed)
                return -1;
        now = clock_ms();
        return now >= counts.due_ms ? 0 : (int)(counts.due_ms - now);
}

void worker_count_serve(void)
{
        if (worker_count_left() != 0)
                return;
        counts.changed = false;
        counts.due_ms = clock_ms() + LIMIT_COUNT_MS;
        worker_say_counts(counts.value, counts.n);
}
