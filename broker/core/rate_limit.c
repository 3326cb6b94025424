/* How many requests and bytes a second a device takes off its rings.
 * Owns nothing but its words; called by lane_batch.c and lane.c, by several lanes at once. TRUST: rates are of the judged
 * configuration, sizes of judged chains: no product here can wrap.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/rate_limit.h"

#include "proto/base/checked.h"

#define SECOND_NS UINT64_C(1000000000)
#define MS_NS     UINT64_C(1000000)

_Static_assert(UINT64_MAX / SECOND_NS >= VM_CONFIG_RATE_MAX,
               "a second's tokens times a second's nanoseconds");
_Static_assert(UINT64_MAX / SECOND_NS >= 2 * (uint64_t)LIMIT_CHAIN_BYTES, "a chain's bytes likewise");

static void bucket_init(struct rate_bucket *bucket, uint64_t rate, uint64_t burst)
{
        bucket->rate = rate;
        bucket->burst_ns = rate ? burst / rate * SECOND_NS + burst % rate * SECOND_NS / rate : 0;
        atomic_init(&bucket->full_ns, 0);
}

void rate_limit_init(struct rate_limit *limit, const struct device_rate *config)
{
        bucket_init(&limit->ops, config->ops, vm_config_ops_burst(config));
        bucket_init(&limit->bytes, config->bytes, vm_config_bytes_burst(config));
        atomic_init(&limit->last, UINT32_MAX);
}

/* Until it holds something. */
static uint64_t bucket_wait_ns(const struct rate_bucket *bucket, uint64_t now_ns)
{
        uint64_t full_ns;

        if (bucket->rate == 0)
                return 0;
        full_ns = atomic_load_explicit(&bucket->full_ns, memory_order_relaxed);
        return full_ns < now_ns + bucket->burst_ns ? 0 : full_ns - bucket->burst_ns - now_ns + 1;
}

uint64_t rate_limit_wait_ms(const struct rate_limit *limit, unsigned lane, bool supply, uint64_t now_ns)
{
        uint64_t ops_ns = supply ? 0 : bucket_wait_ns(&limit->ops, now_ns);
        uint64_t wait_ns = MAX(ops_ns, bucket_wait_ns(&limit->bytes, now_ns));
        uint64_t politeness = atomic_load_explicit(&limit->last, memory_order_relaxed) == lane;

        return wait_ns == 0 ? 0 : (wait_ns + MS_NS - 1) / MS_NS + politeness;
}

/* Rounded up: a rate is never exceeded by rounding. */
static void bucket_pay(struct rate_bucket *bucket, uint64_t tokens, uint64_t now_ns)
{
        uint64_t full_ns, cost_ns;

        if (bucket->rate == 0 || tokens == 0)
                return;
        cost_ns = (tokens * SECOND_NS + bucket->rate - 1) / bucket->rate;
        full_ns = atomic_load_explicit(&bucket->full_ns, memory_order_relaxed);
        /* Repeated only when another lane has paid meanwhile. */
        while (!atomic_compare_exchange_weak_explicit(&bucket->full_ns, &full_ns,
                                                      MAX(full_ns, now_ns) + cost_ns, memory_order_relaxed,
                                                      memory_order_relaxed))
                ;
}

void rate_limit_pay(struct rate_limit *limit, unsigned lane, uint32_t ops, uint64_t bytes, uint64_t now_ns)
{
        bucket_pay(&limit->ops, ops, now_ns);
        bucket_pay(&limit->bytes, bytes, now_ns);
        atomic_store_explicit(&limit->last, lane, memory_order_relaxed);
}
