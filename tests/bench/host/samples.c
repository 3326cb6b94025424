/* Percentiles of measured times.
 * Owns nothing; called by the programs of this folder. TRUST: sees numbers of ours alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/host/samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t samples_now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

void samples_sort(uint64_t *ns, size_t n)
{
        qsort(ns, n, sizeof(ns[0]), compare);
}

uint64_t samples_percentile(const uint64_t *ns, size_t n, unsigned percent)
{
        size_t rank = (n * percent + 99) / 100; /* nearest rank: 1 .. n */

        return ns[rank > 0 ? rank - 1 : 0];
}

void samples_print_json(const char *name, uint64_t *ns, size_t n)
{
        samples_sort(ns, n);
        printf(", \"%s\": {\"p50\": %.4f, \"p99\": %.4f, \"longest\": %.4f}", name,
               (double)samples_percentile(ns, n, 50) / 1e6, (double)samples_percentile(ns, n, 99) / 1e6,
               (double)ns[n - 1] / 1e6);
}
