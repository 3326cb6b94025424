/* A lane on a bench. Owns guest, lane and worker. TRUST: it plays guest, front end and worker.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/lane_bench.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/fd.h"

#define INLINED_BYTES (8u << 20)

const struct bench_options bench_defaults = {
    .n_queues = 1,
    .ring_size = 256,
    .credit_requests = 64,
    .credit_bytes = 256u << 10,
    .max_inline = 16u << 10,
    .max_segments = 128,
    .replay = REPLAY_IDEMPOTENT,
    .kind = QUEUE_WORK,
};

static void on_fault(void *context, const char *why)
{
        struct lane_bench *bench = context;

        bench->faults++;
        bench->why = why;
}

static void on_broken(void *context, unsigned queue)
{
        ((struct lane_bench *)context)->broken[queue]++;
}

static void on_drained(void *context, unsigned queue)
{
        ((struct lane_bench *)context)->drained[queue]++;
}

static void on_suspicious(void *context, unsigned queue)
{
        (void)queue;
        ((struct lane_bench *)context)->suspicious++;
}

static void on_missing(void *context)
{
        ((struct lane_bench *)context)->missing++;
}

static void on_isolated(void *context)
{
        ((struct lane_bench *)context)->isolated++;
}

static void on_poison(void *context, const struct request *request, bool hopeless)
{
        struct lane_bench *bench = context;

        assert_true(request->must_fail);
        bench->poisons++;
        bench->hopeless += hopeless;
}

static int duplicate(int fd)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        assert_true(copy >= 0);
        return copy;
}

void bench_start_queue(struct lane_bench *bench, unsigned queue, uint16_t base)
{
        const struct model_queue *model = &bench->guest.queues[queue];
        const struct queue_features features = {
            .indirect = true, .event_idx = model->event_idx, .big_endian = bench->guest.big_endian};

        assert_int_equal(lane_queue_start(&bench->lane, lane_queue_find(&bench->lane, queue), &model->layout,
                                          &features, base, duplicate(model->kick), duplicate(model->call)),
                         0);
}

void bench_attach(struct lane_bench *bench)
{
        struct fd_duplex ends[2];

        assert_int_equal(fd_pipe_pair(ends), 0);
        fake_worker_init(&bench->worker, ends[1]);
        fd_set_nonblock(ends[0].in);
        fd_set_nonblock(ends[0].out);
        lane_attach(&bench->lane, ends[0], bench->peer.area.len > 0 ? &bench->peer : NULL);
}

void bench_die(struct lane_bench *bench)
{
        fake_worker_done(&bench->worker);
        lane_detach(&bench->lane);
}

/* The worker is this process: whoever copies to it needs no right. */
static void make_area(struct lane_bench *bench, const struct bench_options *options)
{
        if (options->area_len == 0)
                return;
        bench->area =
            mmap(NULL, options->area_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(bench->area, MAP_FAILED);
        bench->peer = (struct direct_peer){.pid = (uint32_t)getpid(),
                                           .area = {.at = (uintptr_t)bench->area,
                                                    .len = options->area_len,
                                                    .lead = options->area_lead,
                                                    .dense = options->area_dense,
                                                    .out = options->area_out}};
}

void bench_init(struct lane_bench *bench, const struct bench_options *options)
{
        const struct lane_events events = {.context = bench,
                                           .worker_fault = on_fault,
                                           .queue_broken = on_broken,
                                           .queue_drained = on_drained,
                                           .queue_suspicious = on_suspicious,
                                           .missing = on_missing,
                                           .isolated = on_isolated,
                                           .poison = on_poison};

        *bench = (struct lane_bench){.worker.ends = {-1, -1}, .fds_before = count_fds()};
        bench->inlined = malloc(INLINED_BYTES);
        assert_non_null(bench->inlined);
        model_guest_init(&bench->guest, options->ring_size, options->event_idx);
        bench->guest.big_endian = options->head_widths != NULL;
        make_area(bench, options);
        bench->hello = (struct control_hello){.n_queues = options->n_queues,
                                              .max_segments = options->max_segments,
                                              .credit_requests = options->credit_requests,
                                              .credit_bytes = options->credit_bytes,
                                              .max_inline = options->max_inline};
        for (unsigned i = 0; i < options->n_queues; i++) {
                bench->hello.queue_replay[i] = options->replay;
                bench->hello.queue_kind[i] = options->kind;
        }
        assert_int_equal(lane_init(&bench->lane, &events, 0, 1, options->n_queues), 0);
        assert_int_equal(lane_configure(&bench->lane, &bench->hello), 0);
        lane_set_raw(&bench->lane, options->raw_start, options->raw_size);
        lane_set_head(&bench->lane, options->head_widths);
        lane_set_memory(&bench->lane, bench->guest.memory);
        for (unsigned i = 0; i < options->n_queues; i++)
                bench_start_queue(bench, i, 0);
        bench_attach(bench);
}

void bench_done(struct lane_bench *bench)
{
        fake_worker_done(&bench->worker);
        lane_done(&bench->lane);
        model_guest_done(&bench->guest);
        if (bench->area)
                munmap(bench->area, bench->peer.area.len);
        free(bench->inlined);
        assert_int_equal(count_fds(), bench->fds_before);
}

static bool lane_step(struct lane_bench *bench)
{
        struct lane *lane = &bench->lane;
        struct pollfd poll_fd = {.fd = lane->ends.in, .events = POLLIN};
        bool moved = false;

        if (!lane_is_attached(lane) || lane->faulted)
                return false;
        if (lane_wants_write(lane)) {
                size_t before = lane->tx.next;
                size_t left = lane->tx.n_iov > before ? lane->tx.iov[before].iov_len : 0;

                lane_turn(lane);
                moved = lane->tx.next != before || lane->tx.iov[before].iov_len != left;
        }
        if (!lane->faulted && !lane->rx.parked && poll(&poll_fd, 1, 0) == 1) {
                if (bench->may_drip)
                        lane->quota.turns = (uint64_t)LIMIT_QUOTA_SHORT_TURNS * LIMIT_QUOTA_TURN;
                lane_readable(lane);
                moved = true;
        }
        return moved;
}

void bench_run(struct lane_bench *bench)
{
        bool moved = true;

        for (unsigned i = 0; i < bench->hello.n_queues; i++) {
                uint64_t kicks;

                if (read(bench->guest.queues[i].kick, &kicks, sizeof(kicks)) == sizeof(kicks))
                        lane_kicked(&bench->lane, lane_queue_find(&bench->lane, i), 1);
        }
        while (moved) {
                moved = fake_worker_pump(&bench->worker);
                moved |= lane_step(bench);
        }
}

/* Where its inlined bytes are: in the area, or moved to `copy` from the payload. Returns how many that were. */
static uint32_t take_bytes(struct lane_bench *bench, const struct lane_requests *requests, size_t i,
                           const uint8_t *payload, uint8_t *copy)
{
        struct bench_request *request = &bench->requests[bench->n - 1];
        const struct control_area *area = &bench->peer.area;

        request->in_at = requests->in_at ? requests->in_at[i] : 0;
        request->out_at = requests->out_at ? requests->out_at[i] : 0;
        if (request->out_at > 0)
                request->place = bench->area + (size_t)(request->out_at - 1) * LIMIT_AREA_PAGE;
        if (request->in_at > 0) {
                request->bytes = bench->area + (size_t)(request->in_at - 1) * control_area_step(area) +
                                 control_area_shift(area);
                return 0;
        }
        request->bytes = copy;
        memcpy(copy, payload, request->inlined);
        return request->inlined;
}

static void take(struct lane_bench *bench, const struct fake_frame *frame, size_t *at)
{
        const struct lane_requests *requests = &frame->message.requests;
        const uint8_t *payload = frame->payload;

        assert_int_equal(frame->message.kind, LANE_REQUESTS);
        assert_true(requests->n <= LIMIT_POP_BATCH);
        assert_true(*at + frame->payload_len <= INLINED_BYTES);
        for (size_t i = 0; i < requests->n; i++) {
                uint32_t taken;

                assert_true(bench->n < BENCH_REQUESTS);
                bench->requests[bench->n++] = (struct bench_request){.id = requests->id[i],
                                                                     .queue = requests->queue[i],
                                                                     .readable = requests->readable[i],
                                                                     .writable = requests->writable[i],
                                                                     .inlined = requests->inlined[i],
                                                                     .attempt = requests->attempt[i],
                                                                     .must_fail = requests->must_fail[i],
                                                                     .longer = requests->longer,
                                                                     .stay = requests->stay,
                                                                     .look = requests->look,
                                                                     .spin_us = requests->spin_us};
                taken = take_bytes(bench, requests, i, payload, bench->inlined + *at);
                *at += taken;
                payload += taken;
        }
}

bool bench_next(struct lane_bench *bench, uint32_t *ret_pushed)
{
        struct fake_frame frame;
        size_t at = 0;

        bench->n = 0;
        if (!fake_worker_next(&bench->worker, &frame))
                return false;
        take(bench, &frame, &at);
        *ret_pushed = 0;
        for (size_t i = 0; i < bench->n; i++)
                *ret_pushed += bench->requests[i].in_at > 0 ? bench->requests[i].inlined : 0;
        return true;
}

static uint32_t area_used(const struct area *area)
{
        uint32_t n = 0;

        for (size_t i = 0; i < array_size(area->used); i++)
                n += (uint32_t)__builtin_popcountll(area->used[i]);
        return n;
}

uint32_t bench_places(const struct lane_bench *bench)
{
        return area_used(&bench->lane.direct.ins) + area_used(&bench->lane.direct.outs);
}

size_t bench_requests(struct lane_bench *bench)
{
        struct fake_frame frame;
        size_t at = 0;

        bench_run(bench);
        bench->n = 0;
        while (fake_worker_next(&bench->worker, &frame))
                take(bench, &frame, &at);
        return bench->n;
}

void bench_reply(struct lane_bench *bench, struct fake_frame *ret_frame)
{
        bench_run(bench);
        assert_true(fake_worker_next(&bench->worker, ret_frame));
        assert_int_equal(ret_frame->message.kind, LANE_MEM_READ_REPLY);
}

void bench_no_frame(struct lane_bench *bench)
{
        bench_run(bench);
        assert_int_equal(bench->worker.rx_len, bench->worker.rx_pos);
}

void bench_used(struct lane_bench *bench, unsigned queue, uint16_t head, uint32_t len)
{
        bench_run(bench);
        bench_used_now(bench, queue, head, len);
}

void bench_used_now(struct lane_bench *bench, unsigned queue, uint16_t head, uint32_t len)
{
        uint16_t got_head;
        uint32_t got_len;

        assert_true(model_reap(&bench->guest, queue, &got_head, &got_len));
        assert_int_equal(got_head, head);
        assert_int_equal(got_len, len);
}

void bench_not_used(struct lane_bench *bench, unsigned queue)
{
        uint16_t head;
        uint32_t len;

        bench_run(bench);
        assert_false(model_reap(&bench->guest, queue, &head, &len));
}
