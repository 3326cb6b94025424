/* Queues that share a lane: none keeps another from the worker.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/core/lane_bench.h"

#define AT  (MODEL_BUFFERS) /* all buffers are here: nobody looks at them */
#define MIB (1u << 20)

static struct lane_bench bench;

static void begin(uint32_t credits)
{
        struct bench_options options = bench_defaults;

        options.n_queues = 2;
        options.credit_requests = credits;
        bench_init(&bench, &options);
}

static void post(unsigned queue, uint32_t len, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                model_post(&bench.guest, queue, &(struct model_buffer){AT, len, true}, 1);
}

static unsigned reap(unsigned queue)
{
        uint16_t head;
        uint32_t len;
        unsigned n = 0;

        while (model_reap(&bench.guest, queue, &head, &len))
                n++;
        return n;
}

static void answer(uint64_t id)
{
        fake_worker_complete(&bench.worker, id, 0, NULL, 0);
}

static void queues_with_much_to_do_take_turns_in_one_frame(void **state)
{
        const unsigned turn = LIMIT_FAIR_QUANTUM / (4096 + LIMIT_FAIR_REQUEST);

        (void)state;
        begin(256);
        bench.lane.hold = 1;
        post(0, 4096, 40);
        post(1, 4096, 40);
        bench_run(&bench);
        bench.lane.hold = 0;
        lane_turn(&bench.lane);
        assert_int_equal(bench_requests(&bench), 80);
        for (unsigned i = 0; i < 4 * turn; i++)
                assert_int_equal(bench.requests[i].queue, i / turn % 2);
        bench_done(&bench);
}

static void a_queue_that_fills_the_credit_leaves_room_for_another(void **state)
{
        const uint32_t share = 64 / (LIMIT_FAIR_RESERVE * 2);

        (void)state;
        begin(64);
        post(0, 1, 100);
        assert_int_equal(bench_requests(&bench), 64 - share);
        post(1, 1, 1);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].queue, 1);
        bench_done(&bench);
}

/* A worker serves in the order of sending: the small one waits for as much as was sent before it. */
static void large_requests_do_not_pile_up_before_small_ones(void **state)
{
        (void)state;
        begin(256);
        post(1, 4096, 1);
        assert_int_equal(bench_requests(&bench), 1);
        post(0, MIB, 32);
        assert_int_equal(bench_requests(&bench), 1);
        for (unsigned i = 1; i < 32; i++) {
                answer(bench.requests[0].id);
                assert_int_equal(bench_requests(&bench), 1); /* with no kick: what was left is remembered */
        }
        post(1, 4096, 8);
        assert_int_equal(bench_requests(&bench), 8);
        bench_done(&bench);
}

static void alone_a_queue_has_all_the_worker_takes(void **state)
{
        (void)state;
        begin(64);
        post(0, MIB, 60);
        assert_int_equal(bench_requests(&bench), 56);
        bench_done(&bench);
}

/* A driver that trusts kicks, and queues that stop each other: all is served in the end, with the event index and
 * without. */
static void no_kick_is_lost_when_queues_wait_for_each_other(void **state)
{
        static const uint32_t sizes[] = {MIB, 4096};
        uint64_t seed = 7;

        (void)state;
        for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
                struct bench_options options = bench_defaults;
                unsigned posted[2] = {0}, done[2] = {0};

                options.n_queues = 2;
                options.credit_requests = 9;
                options.event_idx = event_idx;
                bench_init(&bench, &options);
                for (unsigned round = 0; round < 3000; round++) {
                        unsigned queue = random_below(&seed, 2), n = random_below(&seed, 4);
                        size_t got;

                        n = MIN(n, 200 - (posted[queue] - done[queue]));
                        post(queue, sizes[queue], n);
                        posted[queue] += n;
                        got = bench_requests(&bench);
                        for (size_t i = 0; i < got; i++)
                                answer(bench.requests[i].id);
                        for (unsigned q = 0; q < 2; q++)
                                done[q] += reap(q);
                }
                for (size_t got; (got = bench_requests(&bench)) > 0;)
                        for (size_t i = 0; i < got; i++)
                                answer(bench.requests[i].id);
                for (unsigned q = 0; q < 2; q++) {
                        done[q] += reap(q);
                        assert_int_equal(done[q], posted[q]);
                        assert_true(done[q] > 500);
                        assert_int_equal(bench.lane.fair.queues[q].requests, 0);
                        assert_int_equal(bench.lane.fair.queues[q].held, 0);
                }
                bench_done(&bench);
        }
}

/* What a dead worker held is held still, and is paid for once. */
static void a_workers_death_changes_no_account(void **state)
{
        struct fair before;

        (void)state;
        begin(64);
        post(0, MIB, 3);
        post(1, 4096, 3);
        assert_in_range(bench_requests(&bench), 4, 6);
        before = bench.lane.fair;
        bench_die(&bench);
        bench.lane.hold = 1;
        bench_attach(&bench);
        assert_in_range(bench_requests(&bench), 4, 6);
        for (unsigned q = 0; q < 2; q++) {
                assert_int_equal(bench.lane.fair.queues[q].held, before.queues[q].held);
                assert_int_equal(bench.lane.fair.queues[q].requests, before.queues[q].requests);
        }
        bench.lane.hold = 0;
        bench_done(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(queues_with_much_to_do_take_turns_in_one_frame),
            cmocka_unit_test(a_queue_that_fills_the_credit_leaves_room_for_another),
            cmocka_unit_test(large_requests_do_not_pile_up_before_small_ones),
            cmocka_unit_test(alone_a_queue_has_all_the_worker_takes),
            cmocka_unit_test(no_kick_is_lost_when_queues_wait_for_each_other),
            cmocka_unit_test(a_workers_death_changes_no_account),
        };

        return cmocka_run_group_tests_name("lane_fair", tests, NULL, NULL);
}
