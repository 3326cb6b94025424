/* How much work a worker may make for the broker. Pure arithmetic: no clock, no memory, no loop of its own.
 *
 * Work on lanes: a request that is sent to the worker earns it frames and bytes, what it sends spends them. So a worker can cost a broker's lane no more than a multiple of what the guest has asked of it, and a
 * worker that holds no request nearly nothing, whatever the speed of either. While a request is outstanding
 * its grant is there; when it is answered, what is left over may be kept up to LIMIT_QUOTA_SAVED_FRAMES and
 * LIMIT_QUOTA_SAVED_BYTES. From that follows: a worker that spends on each request no more than that
 * request's grant is never refused, in whatever order it works.
 *
 * Wake-ups on lanes: bytes that end in the middle of a frame wake the lane for little, and again for the rest.
 * They must be LIMIT_QUOTA_TURN on average, but for LIMIT_QUOTA_SHORT_TURNS in advance. A worker that sends whole
 * frames wakes it so only by frames so large that the kernel hands them over in pieces, of pages and more.
 *
 * Rates on the control channel: a bucket that fills by the loop's time, for what a worker may say unasked. What an IOMMU says has one
 * of its own: it is what its guest maps and unmaps, and who sends too much of it is first not heard for a while (worker_link.c).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/control.h"

/* ---- lanes ---- */

/* An amount of lane work. */
struct quota_work {
        uint64_t frames;
        uint64_t bytes; /* heads, headers and payloads that come, and MemRead answers that go */
};

struct quota_lane {
        struct quota_work left;    /* may be spent; at most `granted` and what may be saved */
        struct quota_work granted; /* by requests that are with the worker */
        uint64_t turns;            /* bytes by which unfinished turns may fall short */
};

/* What a request of so many bytes, readable and writable, is worth. */
struct quota_work quota_grant(uint32_t readable, uint32_t writable);

/* A new worker, or none: no work is granted and none saved. */
void quota_lane_reset(struct quota_lane *quota);

/* A request has been sent to the worker; and: it is with it no more. Once each, with the same sizes. */
void quota_lane_earn(struct quota_lane *quota, uint32_t readable, uint32_t writable);
void quota_lane_settle(struct quota_lane *quota, uint32_t readable, uint32_t writable);

/* What is granted may be spent once more: the guest has asked for work of which only the worker sees how much it is. */
void quota_lane_refill(struct quota_lane *quota);

/* False: it cannot pay, and nothing was taken. */
bool quota_lane_spend(struct quota_lane *quota, const struct quota_work *cost);

/* All that was there has been read, so many bytes; `whole`: a frame ended with them. False: that was once too
 * often in the middle of one. */
bool quota_lane_turn(struct quota_lane *quota, uint64_t bytes, bool whole);

/* ---- the control channel ---- */

/* Full at the start. */
struct quota_bucket {
        uint32_t burst, rate; /* messages at once; messages a second */
        uint64_t level;       /* thousandths of a message */
        uint64_t at_ms;       /* of the last look */
};

struct quota_bucket quota_bucket_make(uint32_t burst, uint32_t rate, uint64_t now_ms);

/* One message now. False: it is one too many, and nothing was taken. A clock that goes backwards fills
 * nothing. */
bool quota_bucket_take(struct quota_bucket *bucket, uint64_t now_ms);

struct quota_control {
        struct quota_bucket all, logs, configs, iommu;
        uint32_t logs_dropped; /* since the last quota_control_take_dropped */
};

enum quota_verdict {
        QUOTA_PASS = 0,
        QUOTA_DROP, /* not worth more than a count */
        QUOTA_KILL,
};

void quota_control_init(struct quota_control *quota, uint64_t now_ms);

/* A judged message has come. Done is free: it answers a message of ours, once. Logs beyond their rate are
 * dropped; other messages, and so many logs that counting them is work, end the worker. */
enum quota_verdict quota_control_judge(struct quota_control *quota, enum control_kind_to_broker kind,
                                       uint64_t now_ms);

/* Of what such messages are counted with, half of what may be said at once is gone. */
bool quota_control_is_low(const struct quota_control *quota, enum control_kind_to_broker kind);

/* How many logs have been dropped since the last call. */
uint32_t quota_control_take_dropped(struct quota_control *quota);
