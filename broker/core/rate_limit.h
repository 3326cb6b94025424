/* How many requests and bytes a second a device takes off its rings: two token buckets, shared by its lanes.
 *
 * A lane that may not take leaves chains in the ring, where they cost nothing, and looks again when the clock says so. A
 * chain's size is known only when it is taken, so a bucket is asked whether it holds anything at all and may be
 * overdrawn by one chain a lane: the debt is waited for before the next. So a chain larger than the burst passes too,
 * and over time nobody gets more than the rate.
 *
 * Lanes are threads and there is no lock: a bucket is one word, the time at which it will be full.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/vm_config.h"

struct rate_bucket {
        uint64_t rate;     /* tokens a second; 0: no limit, and nothing else counts */
        uint64_t burst_ns; /* from empty to full */
        atomic_uint_fast64_t full_ns;
};

struct rate_limit {
        struct rate_bucket ops, bytes;
        atomic_uint_fast32_t last; /* the lane that was last to take */
};

/* Full buckets. */
void rate_limit_init(struct rate_limit *limit, const struct device_rate *config);

/* 0: this lane may take a chain now. Else so long until it is worth looking again, in milliseconds, rounded up: who was
 * the last to take lets another go first. Input that a guest lends buffers for is no operation of the guest's. */
uint64_t rate_limit_wait_ms(const struct rate_limit *limit, unsigned lane, bool supply, uint64_t now_ns);

/* Has been taken, or has come in. */
void rate_limit_pay(struct rate_limit *limit, unsigned lane, uint32_t ops, uint64_t bytes, uint64_t now_ns);
