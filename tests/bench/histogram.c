/* How often each latency was seen. Owns nothing. Called by the queues' loops and by the session. TRUST: our own
 * clock's numbers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/histogram.h"

#include "proto/base/checked.h"

static unsigned bucket_of(uint64_t value)
{
        unsigned octave;

        if (value < HISTOGRAM_SUB)
                return (unsigned)value;
        octave = 63u - 6u - (unsigned)__builtin_clzll(value); /* 0: values of HISTOGRAM_SUB and their like */
        return MIN((octave + 1) * HISTOGRAM_SUB + (unsigned)(value >> octave) - HISTOGRAM_SUB,
                   HISTOGRAM_BUCKETS - 1);
}

/* The middle of a bucket. */
static uint64_t value_of(unsigned bucket)
{
        unsigned octave;

        if (bucket < 2 * HISTOGRAM_SUB)
                return bucket;
        octave = bucket / HISTOGRAM_SUB - 1;
        return ((uint64_t)(bucket % HISTOGRAM_SUB + HISTOGRAM_SUB) << octave) +
               ((UINT64_C(1) << octave) >> 1);
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
        histogram->n++;
        histogram->sum += value;
        histogram->buckets[bucket_of(value)]++;
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
        histogram->n += other->n;
        histogram->sum += other->sum;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
                histogram->buckets[i] += other->buckets[i];
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
        uint64_t due = (uint64_t)((double)histogram->n * share), seen = 0;

        if (histogram->n == 0)
                return 0;
        due = MIN(MAX(due, UINT64_C(1)), histogram->n);
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
                seen += histogram->buckets[i];
                if (seen >= due)
                        return value_of(i);
        }
        return value_of(HISTOGRAM_BUCKETS - 1);
}
