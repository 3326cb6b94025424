/* A lane on a bench: a model guest on one side, a fake worker on the other, no thread and no loop.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/core/lane.h"
#include "broker/core/lane_head.h"
#include "tests/core/fake_worker.h"
#include "tests/core/model_guest.h"

#define BENCH_REQUESTS 512u

/* A request as the worker has got it. */
struct bench_request {
        uint64_t id;
        uint32_t queue, readable, writable, inlined, attempt, must_fail;
        bool longer, stay, look; /* of its batch, ... */
        uint32_t spin_us;        /* ... too */
        uint32_t in_at, out_at;
        const uint8_t *bytes; /* inlined, wherever they came; valid until the next bench_run */
        uint8_t *place;       /* in the area, for the writable part; NULL: none */
};

struct lane_bench {
        struct model_guest guest;
        struct lane lane;
        struct fake_worker worker;
        struct control_hello hello;
        struct direct_peer peer; /* what bench_attach offers: this process, and the area; len 0: none */
        uint8_t *area;
        unsigned isolated, poisons, hopeless, faults, broken[MODEL_QUEUES], drained[MODEL_QUEUES], suspicious,
            missing;
        const char *why;
        bool may_drip; /* its short turns do not count */
        unsigned fds_before;
        /* of the last bench_requests */
        size_t n;
        struct bench_request requests[BENCH_REQUESTS];
        uint8_t *inlined;
};

struct bench_options {
        unsigned n_queues;
        uint16_t ring_size;
        bool event_idx;
        uint32_t credit_requests, credit_bytes, max_inline, max_segments;
        enum replay_class replay;
        enum queue_kind kind;
        const uint8_t *head_widths; /* not NULL: the guest is big endian, and its requests begin so */
        uint32_t area_len, area_lead;
        bool area_out, area_dense;
        uint64_t raw_start, raw_size; /* the worker walks its rings, in this window; size 0: it does not */
};

/* One queue of 256, no event index, 64 credits, 16 KiB inline: a test changes what it is about. */
extern const struct bench_options bench_defaults;

/* Starts all queues and attaches a worker. */
void bench_init(struct lane_bench *bench, const struct bench_options *options);
void bench_done(struct lane_bench *bench); /* also asserts that no descriptor is left */
void bench_start_queue(struct lane_bench *bench, unsigned queue, uint16_t base);
void bench_attach(struct lane_bench *bench); /* a (new) worker */
void bench_die(struct lane_bench *bench);    /* the worker dies, the lane lets go */

/* Moves bytes until nothing moves any more. */
void bench_run(struct lane_bench *bench);

/* Runs, then takes all Requests frames into bench->requests; returns how many requests came. */
size_t bench_requests(struct lane_bench *bench);

/* One more frame, of requests, without running: how many bytes the broker has put into the area for it. False: none. */
bool bench_next(struct lane_bench *bench, uint32_t *ret_pushed);

/* Runs, then the next frame must be a MemReadReply. */
void bench_reply(struct lane_bench *bench, struct fake_frame *ret_frame);

/* Places and pages of the worker's area that requests have. */
uint32_t bench_places(const struct lane_bench *bench);

/* Nothing more may have come. */
void bench_no_frame(struct lane_bench *bench);

/* Runs; this head has been used with this length, and nothing else. */
void bench_used_now(struct lane_bench *bench, unsigned queue, uint16_t head,
                    uint32_t len); /* without running */
void bench_used(struct lane_bench *bench, unsigned queue, uint16_t head, uint32_t len);
void bench_not_used(struct lane_bench *bench, unsigned queue);
