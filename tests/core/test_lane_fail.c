/* A lane without hope of a worker: everything fails, nothing hangs.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/core/lane_bench.h"

#define A MODEL_BUFFERS
#define B (MODEL_BUFFERS + 0x100000)
#define C (MODEL_BUFFERS + 0x180000)

static const uint8_t tail[] = {0x77, 0x78};
static struct lane_bench bench;

static void begin(unsigned n_queues)
{
        struct bench_options options = bench_defaults;

        options.n_queues = n_queues;
        bench_init(&bench, &options);
}

static void fail_from_now_on(void)
{
        bench_die(&bench);
        lane_set_failure(&bench.lane, &(struct lane_failure){.error = tail, .len = sizeof(tail)});
        lane_fail_begin(&bench.lane);
}

/* Two writable buffers, 512 bytes and two: as a block device's driver posts them. */
static uint16_t post(unsigned queue)
{
        return model_post(&bench.guest, queue,
                          (struct model_buffer[]){{A, 16, false}, {B, 512, true}, {C, 2, true}}, 3);
}

static void dirty(void)
{
        memset(model_at(&bench.guest, B), 0xaa, 512);
        memset(model_at(&bench.guest, C), 0xaa, 2);
}

/* Zeros, so that nobody takes stale bytes for an answer, and then the tail. */
static void assert_failed(unsigned queue, uint16_t head)
{
        static const uint8_t zeros[512];

        bench_used(&bench, queue, head, 514);
        assert_memory_equal(model_at(&bench.guest, B), zeros, 512);
        assert_memory_equal(model_at(&bench.guest, C), tail, 2);
}

static void what_is_outstanding_fails_and_what_comes_fails_too(void **state)
{
        uint16_t sent, late;

        (void)state;
        begin(1);
        sent = post(0);
        assert_int_equal(bench_requests(&bench), 1);
        dirty();
        fail_from_now_on();
        assert_failed(0, sent);
        for (unsigned i = 0; i < 500; i++) {
                dirty();
                late = post(0);
                assert_failed(0, late);
        }
        assert_int_equal(bench.lane.requests.outstanding, 0);
        assert_int_equal(bench.lane.n_unsent, 0);
        assert_int_equal(bench.broken[0], 0);
        bench_done(&bench);
}

/* What the dead worker has written is not part of the answer. */
static void half_an_answer_is_zeroed(void **state)
{
        uint8_t half[256];
        uint16_t head;

        (void)state;
        begin(1);
        memset(half, 0xcc, sizeof(half));
        head = post(0);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_write(&bench.worker, bench.requests[0].id, 0, half, sizeof(half));
        bench_run(&bench);
        fail_from_now_on();
        assert_failed(0, head);
        bench_done(&bench);
}

static void the_guest_is_signaled(void **state)
{
        uint64_t calls;

        (void)state;
        begin(1);
        post(0);
        assert_int_equal(bench_requests(&bench), 1);
        fail_from_now_on();
        assert_int_equal(read(bench.guest.queues[0].call, &calls, sizeof(calls)), sizeof(calls));
        bench_done(&bench);
}

static void a_request_without_room_for_the_error_breaks_its_ring_only(void **state)
{
        uint16_t head;

        (void)state;
        begin(2);
        fail_from_now_on();
        model_post(&bench.guest, 0, (struct model_buffer[]){{A, 16, false}, {C, 1, true}}, 2);
        bench_not_used(&bench, 0);
        assert_int_equal(bench.broken[0], 1);
        head = post(1);
        assert_failed(1, head);
        assert_int_equal(bench.broken[1], 0);
        bench_done(&bench);
}

/* As a FUSE server answers: a header, and nothing behind it. */
static void an_error_that_comes_first_is_all_of_the_answer(void **state)
{
        uint16_t head;

        (void)state;
        begin(2);
        head = post(0);
        assert_int_equal(bench_requests(&bench), 1);
        dirty();
        bench_die(&bench);
        lane_set_failure(&bench.lane, &(struct lane_failure){
                                          .error = tail, .len = sizeof(tail), .first = true, .quiet = true});
        lane_fail_begin(&bench.lane);
        bench_used(&bench, 0, head, sizeof(tail));
        assert_memory_equal(model_at(&bench.guest, B), tail, sizeof(tail));
        assert_int_equal(*(uint8_t *)model_at(&bench.guest, B + sizeof(tail)), 0xaa);
        head = model_post(&bench.guest, 0, &(struct model_buffer){A, 16, false}, 1);
        bench_used(&bench, 0, head, 0); /* it wanted no answer */
        model_post(&bench.guest, 0, (struct model_buffer[]){{A, 16, false}, {C, 1, true}}, 2);
        bench_not_used(&bench, 0);
        assert_int_equal(bench.broken[0], 1);
        bench_done(&bench);
}

/* As a network: a frame is lost, a command fails, and buffers for input wait for it, whether a worker held them or not. */
static void what_is_lent_waits_and_what_wants_no_answer_is_used(void **state)
{
        const struct model_buffer lent = {B, 512, true};
        uint16_t frame, command;
        unsigned lends;

        (void)state;
        begin(2);
        bench.lane.queues[0].supply = true;
        model_post(&bench.guest, 0, &lent, 1);
        frame = model_post(&bench.guest, 1, &(struct model_buffer){A, 16, false}, 1);
        assert_int_equal(bench_requests(&bench), 2);
        bench_die(&bench);
        lane_set_failure(&bench.lane,
                         &(struct lane_failure){.error = tail, .len = sizeof(tail), .quiet = true});
        lane_fail_begin(&bench.lane);
        bench_used(&bench, 1, frame, 0);
        for (lends = 1; lends < 100; lends++) {
                model_post(&bench.guest, 0, &lent, 1);
                frame = model_post(&bench.guest, 1, &(struct model_buffer){A, 16, false}, 1);
                lane_kicked(&bench.lane, lane_queue_find(&bench.lane, lends % 2), 1);
                bench_used(&bench, 1, frame, 0);
                assert_false(bench.lane.again);
        }
        command = post(1);
        assert_failed(1, command);
        bench_not_used(&bench, 0);
        lane_queue_drain(&bench.lane, lane_queue_find(&bench.lane, 0));
        assert_int_equal(bench.drained[0], 1);
        assert_int_equal(lane_queue_stop(&bench.lane, lane_queue_find(&bench.lane, 0)),
                         0); /* all are there */
        assert_int_equal(bench.broken[0] + bench.broken[1], 0);
        bench_done(&bench);
}

/* As a console, which has no error to say. */
static void an_answer_that_is_wanted_and_cannot_be_made_breaks_its_ring_only(void **state)
{
        uint16_t head;

        (void)state;
        begin(2);
        bench_die(&bench);
        lane_set_failure(&bench.lane, &(struct lane_failure){.quiet = true});
        lane_fail_begin(&bench.lane);
        post(0);
        bench_not_used(&bench, 0);
        assert_int_equal(bench.broken[0], 1);
        head = model_post(&bench.guest, 1, &(struct model_buffer){A, 16, false}, 1);
        bench_used(&bench, 1, head, 0);
        assert_int_equal(bench.broken[1], 0);
        bench_done(&bench);
}

static void a_ring_that_its_guest_has_broken_stays_silent(void **state)
{
        (void)state;
        begin(2);
        post(0);
        assert_int_equal(bench_requests(&bench), 1);
        model_post(&bench.guest, 0, &(struct model_buffer){MODEL_END, 4, false}, 1);
        bench_run(&bench);
        assert_int_equal(bench.broken[0], 1);
        fail_from_now_on();
        bench_not_used(&bench, 0);
        assert_int_equal(bench.lane.requests.outstanding, 0);
        post(1);
        bench_run(&bench);
        assert_int_equal(bench.broken[1], 0);
        bench_done(&bench);
}

static void memory_that_is_gone_breaks_the_ring(void **state)
{
        (void)state;
        begin(1);
        post(0);
        assert_int_equal(bench_requests(&bench), 1);
        lane_set_memory(&bench.lane, NULL);
        fail_from_now_on();
        assert_int_equal(bench.lane.requests.outstanding, 0);
        assert_int_equal(bench.broken[0], 1);
        bench_done(&bench);
}

/* A turn is bounded by number and by bytes; what is left is answered by the next ones. */
static void a_turn_is_bounded_and_says_what_it_leaves(void **state)
{
        uint16_t head;
        uint32_t len;
        unsigned n = 0, turns = 0;

        (void)state;
        begin(1);
        fail_from_now_on();
        assert_false(bench.lane.again);
        for (unsigned i = 0; i < 80; i++)
                post(0);
        lane_kicked(&bench.lane, lane_queue_find(&bench.lane, 0), 1);
        while (model_reap(&bench.guest, 0, &head, &len))
                n++;
        assert_int_equal(n, LIMIT_POP_BATCH);
        for (; bench.lane.again; turns++)
                lane_turn(&bench.lane);
        assert_true(turns > 0 && turns < 4);
        while (model_reap(&bench.guest, 0, &head, &len))
                n++;
        assert_int_equal(n, 80);
        for (unsigned i = 0; i < 5; i++)
                model_post(&bench.guest, 0, &(struct model_buffer){A, LIMIT_FAIL_BYTES / 2, true}, 1);
        lane_kicked(&bench.lane, lane_queue_find(&bench.lane, 0), 1);
        assert_true(model_reap(&bench.guest, 0, &head, &len) && model_reap(&bench.guest, 0, &head, &len));
        assert_false(model_reap(&bench.guest, 0, &head, &len));
        assert_true(bench.lane.again);
        bench_done(&bench);
}

static void a_drain_ends_at_once(void **state)
{
        (void)state;
        begin(1);
        post(0);
        assert_int_equal(bench_requests(&bench), 1);
        lane_queue_drain(&bench.lane, lane_queue_find(&bench.lane, 0));
        assert_int_equal(bench.drained[0], 0);
        fail_from_now_on();
        assert_int_equal(bench.drained[0], 1);
        post(0);
        bench_used(&bench, 0, 0, 514);
        bench_not_used(&bench, 0); /* draining: nothing new is taken */
        bench_done(&bench);
}

/* The worker that was to be told of it is dead, and no other comes. */
static void a_queue_that_was_held_fails_too(void **state)
{
        uint16_t head;

        (void)state;
        begin(2);
        lane_queue_stop(&bench.lane, lane_queue_find(&bench.lane, 1));
        bench_start_queue(&bench, 1, 0);
        head = post(1);
        bench_not_used(&bench, 1);
        fail_from_now_on();
        assert_failed(1, head);
        bench_done(&bench);
}

/* After a reset: its requests are the next worker's. */
static void a_queue_that_starts_later_is_held(void **state)
{
        (void)state;
        begin(2);
        fail_from_now_on();
        lane_queue_stop(&bench.lane, lane_queue_find(&bench.lane, 1));
        bench_start_queue(&bench, 1, 0);
        post(1);
        bench_not_used(&bench, 1);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 1);
        bench_done(&bench);
}

static void it_ends_and_a_worker_serves_again(void **state)
{
        uint16_t head;

        (void)state;
        begin(1);
        fail_from_now_on();
        bench_attach(&bench);
        head = post(0);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, "ok", 2);
        bench_used(&bench, 0, head, 2);
        bench_done(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_is_outstanding_fails_and_what_comes_fails_too),
            cmocka_unit_test(half_an_answer_is_zeroed),
            cmocka_unit_test(the_guest_is_signaled),
            cmocka_unit_test(a_request_without_room_for_the_error_breaks_its_ring_only),
            cmocka_unit_test(an_error_that_comes_first_is_all_of_the_answer),
            cmocka_unit_test(what_is_lent_waits_and_what_wants_no_answer_is_used),
            cmocka_unit_test(an_answer_that_is_wanted_and_cannot_be_made_breaks_its_ring_only),
            cmocka_unit_test(a_ring_that_its_guest_has_broken_stays_silent),
            cmocka_unit_test(memory_that_is_gone_breaks_the_ring),
            cmocka_unit_test(a_turn_is_bounded_and_says_what_it_leaves),
            cmocka_unit_test(a_drain_ends_at_once),
            cmocka_unit_test(a_queue_that_was_held_fails_too),
            cmocka_unit_test(a_queue_that_starts_later_is_held),
            cmocka_unit_test(it_ends_and_a_worker_serves_again),
        };

        return cmocka_run_group_tests_name("lane_fail", tests, NULL, NULL);
}
