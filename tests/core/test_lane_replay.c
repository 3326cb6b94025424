/* A worker dies: its successor gets what it held.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/status.h"
#include "tests/core/lane_bench.h"

#define A MODEL_BUFFERS
#define B (MODEL_BUFFERS + 0x100000)

static struct lane_bench bench;

static void begin(enum replay_class replay, unsigned n_queues)
{
        struct bench_options options = bench_defaults;

        options.replay = replay;
        options.n_queues = n_queues;
        bench_init(&bench, &options);
}

/* Requests are told apart by their readable length. */
static uint16_t post(unsigned queue, uint32_t len)
{
        return model_post(&bench.guest, queue, (struct model_buffer[]){{A, len, false}, {B, 64, true}}, 2);
}

static void what_a_worker_held_is_sent_again_in_the_guest_s_order(void **state)
{
        (void)state;
        begin(REPLAY_IDEMPOTENT, 2);
        for (uint32_t i = 1; i <= 6; i++) {
                post(i % 2, i);
                assert_int_equal(bench_requests(&bench), 1);
        }
        fake_worker_complete(&bench.worker, bench.lane.requests.oldest->newer->id, 0, NULL, 0);
        bench_run(&bench);
        bench_die(&bench);
        assert_int_equal(bench.lane.used_requests, 0);
        assert_int_equal(bench.lane.used_bytes, 0);
        post(0, 7); /* comes behind them */
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 6);
        for (unsigned i = 0; i < 6; i++) {
                static const uint32_t order[] = {1, 3, 4, 5, 6, 7};

                assert_int_equal(bench.requests[i].readable, order[i]);
                assert_int_equal(bench.requests[i].attempt, order[i] == 7 ? 0 : 1);
                assert_int_equal(bench.requests[i].must_fail, 0);
        }
        assert_int_equal(bench.lane.completed, 0);
        bench_done(&bench);
}

static void an_at_most_once_request_must_fail_at_the_successor(void **state)
{
        (void)state;
        begin(REPLAY_AT_MOST_ONCE, 1);
        post(0, 5);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].must_fail, 0);
        bench_die(&bench);
        post(0, 6);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 2);
        assert_int_equal(bench.requests[0].must_fail, 1);
        assert_int_equal(bench.requests[0].readable, 5);
        assert_int_equal(bench.requests[0].inlined, 0);
        assert_int_equal(bench.requests[1].must_fail, 0);
        bench_done(&bench);
}

static void an_at_most_once_request_that_was_not_sent_yet_is_not_failed(void **state)
{
        struct bench_options options = bench_defaults;

        (void)state;
        options.replay = REPLAY_AT_MOST_ONCE;
        options.credit_bytes = options.max_inline = 100;
        bench_init(&bench, &options);
        post(0, 100);
        post(0, 99); /* taken, but there is no credit */
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.lane.n_unsent, 1);
        bench_die(&bench);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 2);
        assert_int_equal(bench.requests[0].must_fail, 1);
        assert_int_equal(bench.requests[1].must_fail, 0);
        assert_int_equal(bench.requests[1].attempt, 0);
        bench_done(&bench);
}

static void attempts_are_counted(void **state)
{
        (void)state;
        begin(REPLAY_IDEMPOTENT, 1);
        post(0, 5);
        for (unsigned i = 0; i < 10; i++) {
                assert_int_equal(bench_requests(&bench), 1);
                assert_int_equal(bench.requests[0].attempt, i);
                bench_die(&bench);
                bench_attach(&bench);
        }
        bench_done(&bench);
}

/* What the first one wrote is not part of the second one's used length. */
static void the_used_length_is_the_successor_s_alone(void **state)
{
        uint8_t bytes[64];
        uint16_t head;

        (void)state;
        begin(REPLAY_IDEMPOTENT, 1);
        memset(bytes, 0xab, sizeof(bytes));
        head = post(0, 5);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_write(&bench.worker, bench.requests[0].id, 0, bytes, 64);
        bench_run(&bench);
        bench_die(&bench);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 2, "x", 1);
        bench_used(&bench, 0, head, 3);
        assert_memory_equal(model_at(&bench.guest, B), "\0\0x", 3);
        bench_done(&bench);
}

/* The worker dies at each byte of an answer with a payload, and at each byte of a batch. */
static void a_death_at_any_byte_loses_and_doubles_nothing(void **state)
{
        uint8_t bytes[64];
        bool whole = false;

        (void)state;
        memset(bytes, 0x5a, sizeof(bytes));
        for (size_t cut = 0; !whole; cut++) {
                size_t left;
                uint16_t head;

                begin(REPLAY_IDEMPOTENT, 1);
                head = post(0, 33);
                assert_int_equal(bench_requests(&bench), 1);
                fake_worker_write(&bench.worker, bench.requests[0].id, 0, bytes, 60);
                fake_worker_complete(&bench.worker, bench.requests[0].id, 60, bytes, 4);
                left = bench.worker.tx_len > cut ? bench.worker.tx_len - cut : 0;
                whole = left == 0;
                bench.worker.tx_len -= left;
                bench_run(&bench);
                bench_die(&bench);
                bench_attach(&bench);
                if (whole) {
                        bench_used(&bench, 0, head, 64);
                        assert_int_equal(bench_requests(&bench), 0);
                } else {
                        assert_int_equal(bench_requests(&bench), 1);
                        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, bytes, 64);
                        bench_used(&bench, 0, head, 64);
                }
                bench_not_used(&bench, 0);
                assert_true(model_is(&bench.guest, B, 64, 0x5a));
                bench_done(&bench);
        }
}

static void a_successor_gets_whole_frames_after_half_a_frame(void **state)
{
        (void)state;
        for (size_t taken = 0; taken < 200; taken += 7) {
                begin(REPLAY_IDEMPOTENT, 1);
                lane_queue_find(&bench.lane, 0)->held = true;
                for (unsigned i = 0; i < 60; i++)
                        model_post(&bench.guest, 0, &(struct model_buffer){A, 16000, false}, 1);
                bench_run(&bench);
                /* more than a pipe holds: the frame is stuck in its middle */
                lane_queue_release(&bench.lane, lane_queue_find(&bench.lane, 0));
                bench.worker.step = taken + 1;
                fake_worker_pump(&bench.worker);
                bench_die(&bench);
                bench_attach(&bench);
                assert_true(bench_requests(&bench) >= 8);
                assert_int_equal(bench.requests[0].readable, 16000);
                assert_int_equal(bench.faults, 0);
                bench_done(&bench);
        }
}

static void an_old_worker_s_ids_mean_nothing_to_the_successor_once_answered(void **state)
{
        uint64_t id;

        (void)state;
        begin(REPLAY_IDEMPOTENT, 1);
        post(0, 5);
        assert_int_equal(bench_requests(&bench), 1);
        id = bench.requests[0].id;
        fake_worker_complete(&bench.worker, id, 0, NULL, 0);
        bench_run(&bench);
        post(0, 6); /* the same place in the table */
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].id & 0xffff, id & 0xffff);
        assert_int_not_equal(bench.requests[0].id, id);
        fake_worker_complete(&bench.worker, id, 0, NULL, 0);
        bench_run(&bench);
        assert_int_equal(bench.faults, 1);
        bench_done(&bench);
}

static void unanswered_reads_are_forgotten_with_their_worker(void **state)
{
        struct fake_frame frame;

        (void)state;
        begin(REPLAY_IDEMPOTENT, 1);
        post(0, 64);
        assert_int_equal(bench_requests(&bench), 1);
        for (uint32_t i = 0; i < LIMIT_MEM_READS; i++)
                fake_worker_read(&bench.worker, i, bench.requests[0].id, 0, 64);
        fake_worker_push(&bench.worker);
        bench_die(&bench);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 1); /* and no reply */
        fake_worker_read(&bench.worker, 5, bench.requests[0].id, 0, 64);
        bench_reply(&bench, &frame);
        assert_int_equal(frame.message.mem_read_reply.seq, 5);
        bench_done(&bench);
}

static void draining_requests_can_be_made_to_fail(void **state)
{
        (void)state;
        begin(REPLAY_IDEMPOTENT, 2);
        post(0, 5);
        post(1, 6);
        assert_int_equal(bench_requests(&bench), 2);
        lane_queue_drain(&bench.lane, lane_queue_find(&bench.lane, 0));
        bench_die(&bench);
        lane_fail_draining(&bench.lane);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 2);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(bench.requests[i].must_fail, bench.requests[i].queue == 0);
                fake_worker_complete(&bench.worker, bench.requests[i].id, 0, "\1", 1);
        }
        bench_run(&bench);
        assert_int_equal(bench.drained[0], 1);
        assert_int_equal(bench.drained[1], 0);
        bench_done(&bench);
}

/* A reset: what was outstanding is forgotten, and the guest may post the same descriptors again. */
static void a_stopped_queue_forgets_its_requests_and_their_heads(void **state)
{
        struct lane_queue *queue;
        uint16_t head;

        (void)state;
        begin(REPLAY_IDEMPOTENT, 2);
        queue = lane_queue_find(&bench.lane, 0);
        for (unsigned round = 0; round < 3; round++) {
                post(0, 5);
                post(0, 6);
                post(1, 7);
                assert_true(bench_requests(&bench) >= 3);
                bench_die(&bench);
                assert_int_equal(lane_queue_stop(&bench.lane, queue), 2);
                assert_int_equal(bench.drained[0], 0);
                assert_int_equal(bench.lane.requests.outstanding, round + 1);
                model_queue_reset(&bench.guest, 0);
                bench_start_queue(&bench, 0, 0);
                bench_attach(&bench);
        }
        assert_int_equal(bench_requests(&bench), 3); /* of the other queue */
        head = post(0, 8);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_used(&bench, 0, head, 0);
        assert_int_equal(bench.broken[0], 0);
        bench_done(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_a_worker_held_is_sent_again_in_the_guest_s_order),
            cmocka_unit_test(an_at_most_once_request_must_fail_at_the_successor),
            cmocka_unit_test(an_at_most_once_request_that_was_not_sent_yet_is_not_failed),
            cmocka_unit_test(attempts_are_counted),
            cmocka_unit_test(the_used_length_is_the_successor_s_alone),
            cmocka_unit_test(a_death_at_any_byte_loses_and_doubles_nothing),
            cmocka_unit_test(a_successor_gets_whole_frames_after_half_a_frame),
            cmocka_unit_test(an_old_worker_s_ids_mean_nothing_to_the_successor_once_answered),
            cmocka_unit_test(unanswered_reads_are_forgotten_with_their_worker),
            cmocka_unit_test(draining_requests_can_be_made_to_fail),
            cmocka_unit_test(a_stopped_queue_forgets_its_requests_and_their_heads),
        };

        return cmocka_run_group_tests_name("lane_replay", tests, NULL, NULL);
}
