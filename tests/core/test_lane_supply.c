/* Buffers that are lent for input and go back unused when their queue stops: one lane, without a thread.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_supply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/core/lane_bench.h"

#define A    MODEL_BUFFERS
#define LENT 5u
#define LEN  64u

static struct lane_bench bench;
static struct lane_queue *queue;
static uint16_t heads[LENT];
static uint64_t ids[LENT];

/* Five buffers lent in order, each with its place in the guest. */
static void lend(enum replay_class replay)
{
        struct bench_options options = bench_defaults;

        options.kind = QUEUE_SUPPLY;
        options.replay = replay;
        bench_init(&bench, &options);
        queue = lane_queue_find(&bench.lane, 0);
        for (unsigned i = 0; i < LENT; i++)
                heads[i] =
                    model_post(&bench.guest, 0, (struct model_buffer[]){{A + i * 0x1000, LEN, true}}, 1);
        assert_int_equal(bench_requests(&bench), LENT);
        for (unsigned i = 0; i < LENT; i++)
                ids[i] = bench.requests[i].id;
}

static void give_back(unsigned i)
{
        const uint32_t status = WIRE_STATUS_CANCELED, none = 0;
        const struct lane_to_broker message = {
            .kind = LANE_COMPLETE,
            .complete = {.n = 1, .id = &ids[i], .status = &status, .offset = &none, .len = &none}};

        fake_worker_send(&bench.worker, &message, NULL, 0);
}

static void use(unsigned i)
{
        fake_worker_complete(&bench.worker, ids[i], 0, "abc", 3);
}

/* Drains, and the worker has been told so, once. */
static void recall(void)
{
        struct fake_frame frame;

        lane_queue_drain(&bench.lane, queue);
        bench_run(&bench);
        assert_true(fake_worker_next(&bench.worker, &frame));
        assert_int_equal(frame.message.kind, LANE_RECALL);
        assert_int_equal(frame.message.recall.queue, 0);
        assert_false(fake_worker_next(&bench.worker, &frame));
        assert_int_equal(bench.drained[0], 0);
}

static void used(unsigned i, uint32_t len)
{
        uint16_t head;
        uint32_t got;

        assert_true(model_reap(&bench.guest, 0, &head, &got));
        assert_int_equal(head, heads[i]);
        assert_int_equal(got, len);
}

static void nothing_used(void)
{
        uint16_t head;
        uint32_t len;

        assert_false(model_reap(&bench.guest, 0, &head, &len));
}

/* Stopped at `base`, the queue goes on there and lends these again, in their old order. */
static void goes_on_with(uint16_t base, const unsigned *which, size_t n)
{
        assert_int_equal(bench.drained[0], 1);
        assert_int_equal(bench.lane.used_requests, 0);
        assert_int_equal(bench.lane.n_unsent, 0);
        assert_int_equal(bench.lane.n_lent, 0);
        assert_int_equal(bench.lane.requests.outstanding, 0);
        assert_int_equal(lane_queue_stop(&bench.lane, queue), base);
        bench_start_queue(&bench, 0, base);
        lane_queue_release(&bench.lane, queue);
        assert_int_equal(bench_requests(&bench), n);
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(bench.requests[i].attempt, 0);
                assert_int_equal(bench.requests[i].must_fail, false);
                fake_worker_complete(&bench.worker, bench.requests[i].id, 0, "x", 1);
                bench_run(&bench);
                used(which[i], 1);
        }
        nothing_used();
        assert_int_equal(bench.faults, 0);
        bench_done(&bench);
}

static void what_was_lent_goes_back_and_is_found_again(void **state)
{
        static const unsigned order[] = {3, 0, 4, 2, 1};

        (void)state;
        lend(REPLAY_IDEMPOTENT);
        recall();
        for (unsigned i = 0; i < LENT; i++) {
                assert_int_equal(bench.drained[0], 0);
                give_back(order[i]);
                bench_run(&bench);
        }
        nothing_used();
        goes_on_with(0, (unsigned[]){0, 1, 2, 3, 4}, 5);
}

static void bytes_that_come_just_before_are_the_guests(void **state)
{
        (void)state;
        lend(REPLAY_IDEMPOTENT);
        recall();
        use(0);
        give_back(1);
        give_back(2);
        give_back(3);
        give_back(4);
        bench_run(&bench);
        used(0, 3);
        goes_on_with(1, (unsigned[]){1, 2, 3, 4}, 4);
}

/* The last word is a use, not a return. */
static void a_use_can_be_the_last(void **state)
{
        (void)state;
        lend(REPLAY_IDEMPOTENT);
        recall();
        for (unsigned i = 1; i < LENT; i++)
                give_back(i);
        bench_run(&bench);
        assert_int_equal(bench.drained[0], 0);
        use(0);
        bench_run(&bench);
        used(0, 3);
        goes_on_with(1, (unsigned[]){1, 2, 3, 4}, 4);
}

/* The ring cannot go back behind one that is used: what is older comes back empty. */
static void what_is_older_than_a_used_one_comes_back_empty(void **state)
{
        uint64_t signals;

        (void)state;
        lend(REPLAY_IDEMPOTENT);
        use(2);
        bench_run(&bench);
        used(2, 3);
        (void)model_signals(&bench.guest, 0);
        recall();
        give_back(4);
        give_back(0);
        give_back(3);
        give_back(1);
        bench_run(&bench);
        used(1, 0);
        used(0, 0);
        nothing_used();
        signals = model_signals(&bench.guest, 0);
        assert_int_equal(signals, 1);
        goes_on_with(3, (unsigned[]){3, 4}, 2);
}

static void all_used_is_drained_as_usual(void **state)
{
        (void)state;
        lend(REPLAY_IDEMPOTENT);
        recall();
        for (unsigned i = 0; i < LENT; i++)
                use(LENT - 1 - i);
        bench_run(&bench);
        for (unsigned i = 0; i < LENT; i++)
                used(LENT - 1 - i, 3);
        goes_on_with(5, NULL, 0);
}

static void what_no_worker_holds_goes_back_at_once(void **state)
{
        (void)state;
        lend(REPLAY_AT_MOST_ONCE);
        bench_die(&bench);
        lane_queue_drain(&bench.lane, queue);
        assert_int_equal(bench.drained[0], 1);
        nothing_used();
        assert_int_equal(lane_queue_stop(&bench.lane, queue), 0);
        bench_attach(&bench);
        bench.drained[0] = 1;
        goes_on_with(0, (unsigned[]){0, 1, 2, 3, 4}, 5);
}

static void a_worker_that_dies_before_it_has_answered_holds_nothing(void **state)
{
        (void)state;
        for (unsigned n_back = 0; n_back < LENT; n_back++) {
                lend(REPLAY_IDEMPOTENT);
                recall();
                for (unsigned i = 0; i < n_back; i++)
                        give_back(LENT - 1 - 2 * i % LENT);
                bench_run(&bench);
                assert_int_equal(bench.drained[0], 0);
                bench_die(&bench);
                assert_int_equal(bench.drained[0], 1);
                bench_attach(&bench);
                goes_on_with(0, (unsigned[]){0, 1, 2, 3, 4}, 5);
        }
}

/* It was only lent: no byte of it has been seen. */
static void a_new_worker_is_lent_it_again_and_need_not_fail_it(void **state)
{
        (void)state;
        lend(REPLAY_AT_MOST_ONCE);
        fake_worker_write(&bench.worker, ids[0], 0, "half", 4);
        bench_run(&bench);
        bench_die(&bench);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), LENT);
        for (unsigned i = 0; i < LENT; i++) {
                assert_int_equal(bench.requests[i].id, ids[i]);
                assert_int_equal(bench.requests[i].attempt, 1);
                assert_int_equal(bench.requests[i].must_fail, false);
        }
        use(0);
        bench_run(&bench);
        used(0, 3);
        bench_done(&bench);
}

/* Bytes of the guest that wait for somebody to take them, lent without an end. */
static void lend_bytes(void)
{
        struct bench_options options = bench_defaults;

        options.kind = QUEUE_SUPPLY;
        options.replay = REPLAY_AT_MOST_ONCE;
        bench_init(&bench, &options);
        queue = lane_queue_find(&bench.lane, 0);
        for (unsigned i = 0; i < LENT; i++)
                heads[i] =
                    model_post(&bench.guest, 0, (struct model_buffer[]){{A + i * 0x1000, LEN, false}}, 1);
        assert_int_equal(bench_requests(&bench), LENT);
        for (unsigned i = 0; i < LENT; i++)
                ids[i] = bench.requests[i].id;
}

static void bytes_that_are_lent_are_not_sent_twice(void **state)
{
        (void)state;
        lend_bytes();
        bench_die(&bench);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), LENT);
        for (unsigned i = 0; i < LENT; i++) {
                assert_int_equal(bench.requests[i].id, ids[i]);
                assert_int_equal(bench.requests[i].must_fail, true);
                assert_int_equal(bench.requests[i].inlined, 0);
        }
        bench_done(&bench);
}

/* Those that no worker has had are found again. */
static void bytes_that_a_dead_worker_had_do_not_wait_for_the_next_start(void **state)
{
        (void)state;
        lend_bytes();
        bench_die(&bench);
        lane_queue_drain(&bench.lane, queue);
        for (unsigned i = LENT; i-- > 0;)
                used(i, 0);
        assert_int_equal(bench.drained[0], 1);
        assert_int_equal(lane_queue_stop(&bench.lane, queue), LENT);
        bench_done(&bench);
}

static void bytes_that_come_back_are_found_again(void **state)
{
        (void)state;
        lend_bytes();
        recall();
        for (unsigned i = 0; i < LENT; i++)
                give_back(i);
        bench_run(&bench);
        nothing_used();
        assert_int_equal(lane_queue_stop(&bench.lane, queue), 0);
        bench_start_queue(&bench, 0, 0);
        lane_queue_release(&bench.lane, queue);
        assert_int_equal(bench_requests(&bench), LENT);
        assert_int_equal(bench.requests[0].must_fail, false);
        bench_done(&bench);
}

/* Each of these is the worker's fault, and nothing has changed at the guest. */
static void is_refused(void)
{
        bench_run(&bench);
        assert_int_equal(bench.faults, 1);
        nothing_used();
        bench_done(&bench);
}

static void who_was_not_asked_may_give_nothing_back(void **state)
{
        (void)state;
        lend(REPLAY_IDEMPOTENT);
        give_back(0);
        is_refused();
}

static void nothing_is_given_back_twice(void **state)
{
        (void)state;
        lend(REPLAY_IDEMPOTENT);
        recall();
        give_back(0);
        give_back(0);
        is_refused();
}

static void what_was_given_back_cannot_be_used(void **state)
{
        (void)state;
        lend(REPLAY_IDEMPOTENT);
        recall();
        give_back(0);
        use(0);
        is_refused();
}

static void work_cannot_be_given_back(void **state)
{
        (void)state;
        bench_init(&bench, &bench_defaults);
        queue = lane_queue_find(&bench.lane, 0);
        model_post(&bench.guest, 0, (struct model_buffer[]){{A, LEN, true}}, 1);
        assert_int_equal(bench_requests(&bench), 1);
        ids[0] = bench.requests[0].id;
        lane_queue_drain(&bench.lane, queue);
        bench_no_frame(&bench);
        give_back(0);
        is_refused();
}

/* Other queues of the lane go on meanwhile, and keep their credit. */
static void a_recall_is_of_one_queue(void **state)
{
        struct bench_options options = bench_defaults;
        struct fake_frame frame;

        (void)state;
        options.kind = QUEUE_SUPPLY;
        options.n_queues = 2;
        bench_init(&bench, &options);
        queue = lane_queue_find(&bench.lane, 0);
        heads[0] = model_post(&bench.guest, 0, (struct model_buffer[]){{A, LEN, true}}, 1);
        heads[1] = model_post(&bench.guest, 1, (struct model_buffer[]){{A + 0x1000, LEN, true}}, 1);
        assert_int_equal(bench_requests(&bench), 2);
        for (unsigned i = 0; i < 2; i++)
                ids[bench.requests[i].queue] = bench.requests[i].id;
        lane_queue_drain(&bench.lane, queue);
        bench_run(&bench);
        assert_true(fake_worker_next(&bench.worker, &frame));
        give_back(0);
        use(1);
        bench_run(&bench);
        assert_int_equal(bench.drained[0], 1);
        assert_int_equal(bench.drained[1], 0);
        bench_used(&bench, 1, heads[1], 3);
        nothing_used();
        bench_done(&bench);
}

static void lent_buffers_are_no_load_and_leave_others_their_credit(void **state)
{
        struct bench_options options = bench_defaults;

        (void)state;
        options.kind = QUEUE_SUPPLY;
        options.n_queues = 2;
        options.credit_requests = 16;
        bench_init(&bench, &options);
        for (unsigned i = 0; i < 32; i++)
                model_post(&bench.guest, 0, (struct model_buffer[]){{A, LEN, true}}, 1);
        assert_int_equal(bench_requests(&bench), 14); /* two are kept for the other queue */
        model_post(&bench.guest, 1, (struct model_buffer[]){{A + 0x1000, LEN, true}}, 1);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].queue, 1);
        assert_int_equal(atomic_load(&bench.lane.stats.lent), 15);
        assert_int_equal(atomic_load(&bench.lane.stats.outstanding), 15);
        bench_done(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_was_lent_goes_back_and_is_found_again),
            cmocka_unit_test(bytes_that_come_just_before_are_the_guests),
            cmocka_unit_test(a_use_can_be_the_last),
            cmocka_unit_test(what_is_older_than_a_used_one_comes_back_empty),
            cmocka_unit_test(all_used_is_drained_as_usual),
            cmocka_unit_test(what_no_worker_holds_goes_back_at_once),
            cmocka_unit_test(a_worker_that_dies_before_it_has_answered_holds_nothing),
            cmocka_unit_test(a_new_worker_is_lent_it_again_and_need_not_fail_it),
            cmocka_unit_test(bytes_that_are_lent_are_not_sent_twice),
            cmocka_unit_test(bytes_that_a_dead_worker_had_do_not_wait_for_the_next_start),
            cmocka_unit_test(bytes_that_come_back_are_found_again),
            cmocka_unit_test(who_was_not_asked_may_give_nothing_back),
            cmocka_unit_test(nothing_is_given_back_twice),
            cmocka_unit_test(what_was_given_back_cannot_be_used),
            cmocka_unit_test(work_cannot_be_given_back),
            cmocka_unit_test(a_recall_is_of_one_queue),
            cmocka_unit_test(lent_buffers_are_no_load_and_leave_others_their_credit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
