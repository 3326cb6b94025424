/* Queues of a lane: signals and kicks, holding, draining, taking turns.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/core/lane_bench.h"

#define A (MODEL_BUFFERS) /* places for buffers */
#define B (MODEL_BUFFERS + 0x100000)

static struct lane_bench bench;

static uint16_t post(uint64_t at, uint32_t readable, uint64_t to, uint32_t writable)
{
        struct model_buffer buffers[2];
        unsigned n = 0;

        if (readable > 0)
                buffers[n++] = (struct model_buffer){at, readable, false};
        if (writable > 0)
                buffers[n++] = (struct model_buffer){to, writable, true};
        return model_post(&bench.guest, 0, buffers, n);
}

static void with_the_event_index_only_asked_for_signals_are_given(void **state)
{
        struct bench_options options = bench_defaults;
        uint64_t ids[8];
        uint16_t head;
        uint32_t len;

        (void)state;
        options.event_idx = true;
        bench_init(&bench, &options);
        for (unsigned i = 0; i < 8; i++)
                post(A, 4, 0, 0);
        assert_int_equal(bench_requests(&bench), 8);
        for (unsigned i = 0; i < 8; i++)
                ids[i] = bench.requests[i].id;
        for (unsigned i = 0; i < 8; i++) {
                fake_worker_complete(&bench.worker, ids[i], 0, NULL, 0);
                bench_run(&bench);
                /* used_event is 0: the first is signaled, the next ones are not as long as nobody reaps */
                assert_int_equal(model_signals(&bench.guest, 0), i == 0 ? 1 : 0);
        }
        for (unsigned i = 0; i < 8; i++)
                assert_true(model_reap(&bench.guest, 0, &head, &len));
        post(A, 4, 0, 0);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_run(&bench);
        assert_int_equal(model_signals(&bench.guest, 0), 1);
        bench_done(&bench);
}

/* Both ways to ask for kicks: a driver that trusts them is served for as long as it likes. */
static void no_kick_is_lost(void **state)
{
        (void)state;
        for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
                struct bench_options options = bench_defaults;

                options.event_idx = event_idx == 1;
                options.ring_size = 8;
                options.credit_requests = 3;
                bench_init(&bench, &options);
                for (unsigned round = 0; round < 5000; round++) {
                        unsigned n = 1 + round % 8;
                        unsigned left = n;

                        for (unsigned i = 0; i < n; i++)
                                post(A, 4, 0, 0);
                        while (left > 0) {
                                uint16_t head;
                                uint32_t len;
                                size_t got = bench_requests(&bench);

                                assert_true(got > 0);
                                for (size_t i = 0; i < got; i++)
                                        fake_worker_complete(&bench.worker, bench.requests[i].id, 0, NULL, 0);
                                for (size_t i = 0; i < got; i++) {
                                        bench_run(&bench);
                                        assert_true(model_reap(&bench.guest, 0, &head, &len));
                                }
                                left -= (unsigned)got;
                        }
                }
                bench_done(&bench);
        }
}

static void a_queue_is_held_until_it_is_released(void **state)
{
        (void)state;
        bench_init(&bench, &bench_defaults);
        lane_queue_stop(&bench.lane, lane_queue_find(&bench.lane, 0));
        bench_start_queue(&bench, 0, 0);
        post(A, 4, 0, 0);
        assert_int_equal(bench_requests(&bench), 0);
        lane_queue_release(&bench.lane, lane_queue_find(&bench.lane, 0));
        assert_int_equal(bench_requests(&bench), 1);
        bench_done(&bench);
}

static void a_held_lane_takes_nothing_new(void **state)
{
        (void)state;
        bench_init(&bench, &bench_defaults);
        bench.lane.hold = 1;
        post(A, 4, 0, 0);
        assert_int_equal(bench_requests(&bench), 0);
        bench.lane.hold = 0;
        lane_turn(&bench.lane);
        assert_int_equal(bench_requests(&bench), 1);
        bench_done(&bench);
}

static void a_drain_ends_with_the_last_answer_and_takes_nothing_new(void **state)
{
        struct lane_queue *queue;
        uint64_t ids[2];

        (void)state;
        bench_init(&bench, &bench_defaults);
        queue = lane_queue_find(&bench.lane, 0);
        post(A, 4, 0, 0);
        post(A, 4, 0, 0);
        assert_int_equal(bench_requests(&bench), 2);
        ids[0] = bench.requests[0].id;
        ids[1] = bench.requests[1].id;
        lane_queue_drain(&bench.lane, queue);
        post(A, 4, 0, 0);
        assert_int_equal(bench_requests(&bench), 0);
        fake_worker_complete(&bench.worker, ids[0], 0, NULL, 0);
        bench_run(&bench);
        assert_int_equal(bench.drained[0], 0);
        fake_worker_complete(&bench.worker, ids[1], 0, NULL, 0);
        bench_run(&bench);
        assert_int_equal(bench.drained[0], 1);
        assert_int_equal(lane_queue_stop(&bench.lane, queue), 2); /* the third waits in the ring */
        bench_start_queue(&bench, 0, 2);
        lane_queue_release(&bench.lane, queue);
        assert_int_equal(bench_requests(&bench), 1);
        bench_done(&bench);
}

static void an_idle_queue_is_drained_at_once(void **state)
{
        (void)state;
        bench_init(&bench, &bench_defaults);
        lane_queue_drain(&bench.lane, lane_queue_find(&bench.lane, 0));
        assert_int_equal(bench.drained[0], 1);
        bench_done(&bench);
}

/* A request that was taken but had no credit is answered before the drain ends. */
static void a_drain_waits_for_what_was_not_sent_yet(void **state)
{
        struct bench_options options = bench_defaults;

        (void)state;
        options.credit_bytes = options.max_inline = 100;
        bench_init(&bench, &options);
        post(A, 100, 0, 0);
        post(A, 100, 0, 0);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.lane.n_unsent, 1);
        lane_queue_drain(&bench.lane, lane_queue_find(&bench.lane, 0));
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.drained[0], 0);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_run(&bench);
        assert_int_equal(bench.drained[0], 1);
        bench_done(&bench);
}

static void queues_of_a_lane_take_turns(void **state)
{
        struct bench_options options = bench_defaults;
        unsigned seen[4] = {0};

        (void)state;
        options.n_queues = 4;
        options.credit_requests = 256;
        bench_init(&bench, &options);
        for (unsigned queue = 0; queue < 4; queue++)
                for (unsigned i = 0; i < 10; i++)
                        model_post(&bench.guest, queue, &(struct model_buffer){A, 4, false}, 1);
        assert_int_equal(bench_requests(&bench), 40);
        for (unsigned i = 0; i < 40; i++)
                seen[bench.requests[i].queue]++;
        for (unsigned queue = 0; queue < 4; queue++)
                assert_int_equal(seen[queue], 10);
        bench_done(&bench);
}

static void a_lane_has_every_step_th_queue(void **state)
{
        const struct lane_events events = {0};
        struct lane *lane = calloc(1, sizeof(*lane));

        (void)state;
        assert_int_equal(lane_init(lane, &events, 1, 3, 8), 0);
        assert_int_equal(lane->n_queues, 3); /* 1, 4, 7 */
        assert_non_null(lane_queue_find(lane, 1));
        assert_non_null(lane_queue_find(lane, 4));
        assert_non_null(lane_queue_find(lane, 7));
        assert_null(lane_queue_find(lane, 0));
        assert_null(lane_queue_find(lane, 8));
        lane_done(lane);
        free(lane);
}

static void a_replaced_interrupt_is_signaled_once_to_the_new_one(void **state)
{
        int call = -1;
        uint64_t n;

        (void)state;
        bench_init(&bench, &bench_defaults);
        call = dup(bench.guest.queues[1].call); /* any other eventfd */
        lane_queue_set_call(lane_queue_find(&bench.lane, 0), call);
        assert_int_equal(model_signals(&bench.guest, 1), 1);
        post(A, 4, 0, 0);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_run(&bench);
        assert_int_equal(model_signals(&bench.guest, 1), 1);
        assert_int_equal(model_signals(&bench.guest, 0), 0);
        lane_queue_set_call(lane_queue_find(&bench.lane, 0), -1);
        post(A, 4, 0, 0);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_run(&bench);
        assert_int_equal(read(bench.guest.queues[1].call, &n, sizeof(n)), -1);
        bench_done(&bench);
}

static void a_second_kick_of_an_empty_ring_is_suspicious_once(void **state)
{
        (void)state;
        bench_init(&bench, &bench_defaults);
        for (unsigned i = 0; i < 4; i++) {
                lane_kicked(&bench.lane, lane_queue_find(&bench.lane, 0), 1);
                assert_int_equal(bench.suspicious, i >= 1 ? 1 : 0);
        }
        bench_done(&bench);
}

static void two_kicks_in_one_event_count_as_two(void **state)
{
        (void)state;
        bench_init(&bench, &bench_defaults);
        lane_kicked(&bench.lane, lane_queue_find(&bench.lane, 0), 2);
        assert_int_equal(bench.suspicious, 1);
        lane_kicked(&bench.lane, lane_queue_find(&bench.lane, 0), UINT64_MAX);
        assert_int_equal(bench.suspicious, 1);
        bench_done(&bench);
}

static unsigned frames_sent(enum lane_kind_to_worker kind)
{
        struct fake_frame frame;
        unsigned n = 0;

        while (fake_worker_pump(&bench.worker))
                ;
        for (; fake_worker_next(&bench.worker, &frame); n++)
                assert_int_equal(frame.message.kind, kind);
        return n;
}

/* A worker that asks and a guest that posts as fast as they can: everybody else has a turn in between. */
static void a_turn_sends_a_bounded_number_of_frames_and_goes_on(void **state)
{
        (void)state;
        bench_init(&bench, &bench_defaults);
        post(A, 100, 0, 0);
        assert_int_equal(bench_requests(&bench), 1);
        for (unsigned i = 0; i < LIMIT_MEM_READS; i++)
                fake_worker_read(&bench.worker, i, bench.requests[0].id, i, 1);
        assert_true(fake_worker_push(&bench.worker));
        post(A, 4, 0, 0);
        lane_readable(&bench.lane);
        assert_int_equal(frames_sent(LANE_MEM_READ_REPLY), LIMIT_LANE_FRAMES);
        assert_true(lane_wants_write(&bench.lane));
        lane_turn(&bench.lane);
        assert_int_equal(frames_sent(LANE_REQUESTS), 1);
        assert_false(lane_wants_write(&bench.lane));
        bench_done(&bench);
}

/* One frame fewer, and nothing is left. */
static void a_turn_under_its_bound_wants_no_other(void **state)
{
        (void)state;
        bench_init(&bench, &bench_defaults);
        post(A, 100, 0, 0);
        assert_int_equal(bench_requests(&bench), 1);
        for (unsigned i = 0; i < LIMIT_LANE_FRAMES - 1; i++)
                fake_worker_read(&bench.worker, i, bench.requests[0].id, i, 1);
        assert_true(fake_worker_push(&bench.worker));
        lane_readable(&bench.lane);
        assert_int_equal(frames_sent(LANE_MEM_READ_REPLY), LIMIT_LANE_FRAMES - 1);
        assert_false(lane_wants_write(&bench.lane));
        bench_done(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(with_the_event_index_only_asked_for_signals_are_given),
            cmocka_unit_test(no_kick_is_lost),
            cmocka_unit_test(a_queue_is_held_until_it_is_released),
            cmocka_unit_test(a_held_lane_takes_nothing_new),
            cmocka_unit_test(a_drain_ends_with_the_last_answer_and_takes_nothing_new),
            cmocka_unit_test(an_idle_queue_is_drained_at_once),
            cmocka_unit_test(a_drain_waits_for_what_was_not_sent_yet),
            cmocka_unit_test(queues_of_a_lane_take_turns),
            cmocka_unit_test(a_lane_has_every_step_th_queue),
            cmocka_unit_test(a_replaced_interrupt_is_signaled_once_to_the_new_one),
            cmocka_unit_test(a_second_kick_of_an_empty_ring_is_suspicious_once),
            cmocka_unit_test(two_kicks_in_one_event_count_as_two),
            cmocka_unit_test(a_turn_sends_a_bounded_number_of_frames_and_goes_on),
            cmocka_unit_test(a_turn_under_its_bound_wants_no_other),
        };

        return cmocka_run_group_tests_name("lane_queues", tests, NULL, NULL);
}
