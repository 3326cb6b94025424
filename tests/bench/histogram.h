/* How often each latency was seen: buckets of 1/64 of their value, so that no sample is kept.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#define HISTOGRAM_SUB     64u                   /* buckets an octave: a quantile is right within 1.6 % */
#define HISTOGRAM_BUCKETS (HISTOGRAM_SUB * 36u) /* up to 2^41 ns, 36 minutes */

struct histogram {
        uint64_t n, sum;
        uint32_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);
void histogram_merge(struct histogram *histogram, const struct histogram *other);

/* The value that `share` (0 .. 1) of all samples do not exceed; 0 without samples. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);
