/* How much work a worker may make for the broker.
 * Owns nothing; called by the lane (in its thread) and by worker_link.c (on the main thread), each with a
 * struct of its own. TRUST: sizes of requests are judged; costs come from frames that a worker has announced
 * and whose lengths are within their limits, so no sum here can wrap.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/quota.h"

#include "proto/base/checked.h"
#include "proto/base/limits.h"

#define MILLI     1000u
#define TURNS_MAX ((uint64_t)LIMIT_QUOTA_SHORT_TURNS * LIMIT_QUOTA_TURN)

/* ---- lanes ---- */

struct quota_work quota_grant(uint32_t readable, uint32_t writable)
{
        uint64_t len = (uint64_t)readable + writable;
        uint64_t frames = LIMIT_QUOTA_FRAMES + len / LIMIT_QUOTA_PIECE;

        return (struct quota_work){.frames = frames, .bytes = LIMIT_QUOTA_BYTES + len * LIMIT_QUOTA_FACTOR};
}

void quota_lane_reset(struct quota_lane *quota)
{
        *quota = (struct quota_lane){.turns = TURNS_MAX};
}

void quota_lane_earn(struct quota_lane *quota, uint32_t readable, uint32_t writable)
{
        struct quota_work grant = quota_grant(readable, writable);

        quota->granted.frames += grant.frames;
        quota->granted.bytes += grant.bytes;
        quota->left.frames += grant.frames;
        quota->left.bytes += grant.bytes;
}

void quota_lane_settle(struct quota_lane *quota, uint32_t readable, uint32_t writable)
{
        struct quota_work grant = quota_grant(readable, writable);

        quota->granted.frames -= grant.frames;
        quota->granted.bytes -= grant.bytes;
        quota->left.frames = MIN(quota->left.frames, quota->granted.frames + LIMIT_QUOTA_SAVED_FRAMES);
        quota->left.bytes = MIN(quota->left.bytes, quota->granted.bytes + LIMIT_QUOTA_SAVED_BYTES);
}

void quota_lane_refill(struct quota_lane *quota)
{
        quota->left.frames = MAX(quota->left.frames, quota->granted.frames);
        quota->left.bytes = MAX(quota->left.bytes, quota->granted.bytes);
}

bool quota_lane_spend(struct quota_lane *quota, const struct quota_work *cost)
{
        struct quota_work *left = &quota->left;

        if (cost->frames > left->frames || cost->bytes > left->bytes)
                return false;
        left->frames -= cost->frames;
        left->bytes -= cost->bytes;
        return true;
}

bool quota_lane_turn(struct quota_lane *quota, uint64_t bytes, bool whole)
{
        uint64_t cost = whole ? 0 : LIMIT_QUOTA_TURN;

        if (cost > quota->turns + bytes)
                return false;
        quota->turns = MIN(quota->turns + bytes - cost, TURNS_MAX);
        return true;
}

/* ---- the control channel ---- */

struct quota_bucket quota_bucket_make(uint32_t burst, uint32_t rate, uint64_t now_ms)
{
        return (struct quota_bucket){
            .burst = burst, .rate = rate, .level = (uint64_t)burst * MILLI, .at_ms = now_ms};
}

bool quota_bucket_take(struct quota_bucket *bucket, uint64_t now_ms)
{
        uint64_t full = (uint64_t)bucket->burst * MILLI;
        uint64_t passed = now_ms > bucket->at_ms ? now_ms - bucket->at_ms : 0;

        /* A rate per second is as many thousandths per millisecond. */
        if (bucket->rate > 0 && passed > full / bucket->rate)
                bucket->level = full;
        else
                bucket->level = MIN(full, bucket->level + passed * bucket->rate);
        bucket->at_ms += passed;
        if (bucket->level < MILLI)
                return false;
        bucket->level -= MILLI;
        return true;
}

void quota_control_init(struct quota_control *quota, uint64_t now_ms)
{
        *quota = (struct quota_control){
            .all = quota_bucket_make(LIMIT_CONTROL_BURST, LIMIT_CONTROL_RATE, now_ms),
            .logs = quota_bucket_make(LIMIT_CONTROL_LOG_BURST, LIMIT_CONTROL_LOG_RATE, now_ms),
            .configs = quota_bucket_make(LIMIT_CONTROL_CONFIG_BURST, LIMIT_CONTROL_CONFIG_RATE, now_ms),
            .iommu = quota_bucket_make(LIMIT_CONTROL_IOMMU_BURST, LIMIT_CONTROL_IOMMU_RATE, now_ms)};
}

static bool is_iommu(enum control_kind_to_broker kind)
{
        return kind == CONTROL_IOMMU_MAP || kind == CONTROL_IOMMU_UNMAP;
}

enum quota_verdict quota_control_judge(struct quota_control *quota, enum control_kind_to_broker kind,
                                       uint64_t now_ms)
{
        if (kind == CONTROL_DONE)
                return QUOTA_PASS;
        if (is_iommu(kind))
                return quota_bucket_take(&quota->iommu, now_ms) ? QUOTA_PASS : QUOTA_KILL;
        if (!quota_bucket_take(&quota->all, now_ms))
                return QUOTA_KILL;
        if (kind == CONTROL_CONFIG_SPACE && !quota_bucket_take(&quota->configs, now_ms))
                return QUOTA_KILL;
        if (kind != CONTROL_LOG || quota_bucket_take(&quota->logs, now_ms))
                return QUOTA_PASS;
        quota->logs_dropped++;
        return QUOTA_DROP;
}

bool quota_control_is_low(const struct quota_control *quota, enum control_kind_to_broker kind)
{
        const struct quota_bucket *bucket = is_iommu(kind) ? &quota->iommu : &quota->all;

        return bucket->level < (uint64_t)bucket->burst * MILLI / 2;
}

uint32_t quota_control_take_dropped(struct quota_control *quota)
{
        uint32_t dropped = quota->logs_dropped;

        quota->logs_dropped = 0;
        return dropped;
}
