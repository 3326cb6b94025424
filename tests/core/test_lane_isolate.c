/* Finding the request that kills workers: one lane.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_isolate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/core/lane_bench.h"

#define A MODEL_BUFFERS
#define B (MODEL_BUFFERS + 0x100000)

static struct lane_bench bench;

static void begin(enum queue_kind kind)
{
        struct bench_options options = bench_defaults;

        options.kind = kind;
        bench_init(&bench, &options);
}

/* Requests are told apart by their readable length. */
static uint16_t post(uint32_t len)
{
        return model_post(&bench.guest, 0, (struct model_buffer[]){{A, len, false}, {B, 64, true}}, 2);
}

/* The next worker, as a device attaches it. */
static void attach(void)
{
        lane_isolate(&bench.lane, lane_suspects(&bench.lane) > 0 ? LANE_ISOLATES : LANE_OPEN);
        bench_attach(&bench);
}

static void die_and_attach(void)
{
        bench_die(&bench);
        attach();
}

static void complete(unsigned i)
{
        fake_worker_complete(&bench.worker, bench.requests[i].id, 0, "x", 1);
        bench_run(&bench);
}

/* Five requests that two incarnations have died with; the third is attached. */
static void five_suspects(void)
{
        begin(QUEUE_WORK);
        for (uint32_t i = 1; i <= 5; i++)
                post(i);
        assert_int_equal(bench_requests(&bench), 5);
        die_and_attach();
        assert_int_equal(bench_requests(&bench), 5); /* one death is no reason yet */
        assert_int_equal(lane_suspects(&bench.lane), 0);
        bench_die(&bench);
        assert_int_equal(lane_suspects(&bench.lane), 5);
        attach();
}

/* The next request comes alone. */
static void one_comes(uint32_t len, bool must_fail)
{
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].readable, len);
        assert_int_equal(bench.requests[0].must_fail, must_fail);
        bench_no_frame(&bench);
}

static void suspects_are_sent_one_at_a_time_in_order_and_nothing_new_is_taken(void **state)
{
        (void)state;
        five_suspects();
        for (uint32_t i = 1; i <= 5; i++) {
                one_comes(i, false);
                if (i == 2)
                        post(6);
                complete(0);
        }
        assert_int_equal(bench_requests(&bench), 0);
        assert_int_equal(bench.isolated, 1);
        assert_int_equal(bench.lane.isolation, LANE_WAITS);
        lane_isolate(&bench.lane, LANE_OPEN);
        post(7);
        assert_int_equal(bench_requests(&bench), 2);
        assert_int_equal(bench.poisons, 0);
        bench_done(&bench);
}

static void the_one_that_a_worker_dies_with_alone_must_fail_and_nobody_else(void **state)
{
        (void)state;
        five_suspects();
        for (uint32_t i = 1; i <= 2; i++) {
                one_comes(i, false);
                complete(0);
        }
        one_comes(3, false);
        die_and_attach();
        assert_int_equal(bench.poisons, 1);
        assert_int_equal(bench.hopeless, 0);
        one_comes(3, true);
        complete(0);
        for (uint32_t i = 4; i <= 5; i++) {
                one_comes(i, false);
                complete(0);
        }
        assert_int_equal(bench.isolated, 1);
        assert_int_equal(bench.poisons, 1);
        bench_done(&bench);
}

static void two_poisons_are_both_found(void **state)
{
        (void)state;
        five_suspects();
        one_comes(1, false);
        die_and_attach();
        one_comes(1, true);
        complete(0);
        one_comes(2, false);
        complete(0);
        one_comes(3, false);
        die_and_attach();
        one_comes(3, true);
        complete(0);
        one_comes(4, false);
        complete(0);
        one_comes(5, false);
        complete(0);
        assert_int_equal(bench.poisons, 2);
        assert_int_equal(bench.isolated, 1);
        bench_done(&bench);
}

static void one_that_kills_even_when_it_is_to_be_failed_is_hopeless_the_second_time(void **state)
{
        (void)state;
        five_suspects();
        one_comes(1, false);
        for (unsigned i = 1; i <= LIMIT_POISON_FAILURES; i++) {
                die_and_attach();
                assert_int_equal(bench.hopeless, 0);
                one_comes(1, true);
        }
        bench_die(&bench);
        assert_int_equal(bench.hopeless, 1);
        bench_done(&bench);
}

static void a_pardoned_death_blames_nobody(void **state)
{
        (void)state;
        five_suspects();
        one_comes(1, false);
        lane_pardon(&bench.lane);
        bench_die(&bench);
        assert_int_equal(bench.lane.isolation, LANE_OPEN); /* until the next worker's suspects are counted */
        attach();
        assert_int_equal(bench.poisons, 0);
        one_comes(1, false);
        bench_done(&bench);
}

static void a_lane_that_waits_sends_nothing_and_is_not_blamed(void **state)
{
        (void)state;
        five_suspects();
        one_comes(1, false);
        bench_die(&bench);
        assert_int_equal(bench.poisons, 1);
        lane_isolate(&bench.lane, LANE_WAITS);
        bench_attach(&bench);
        post(6);
        assert_int_equal(bench_requests(&bench), 0);
        bench_die(&bench);
        assert_int_equal(bench.poisons, 1);
        assert_int_equal(bench.lane.requests.oldest->attempt, 3); /* it never had that worker */
        bench_done(&bench);
}

/* It is with every worker for as long as no input comes: that is no sign of anything. */
static void what_is_lent_for_input_is_no_suspect(void **state)
{
        (void)state;
        begin(QUEUE_SUPPLY);
        post(1);
        for (unsigned i = 0; i < 5; i++) {
                assert_int_equal(bench_requests(&bench), 1);
                die_and_attach();
                assert_int_equal(lane_suspects(&bench.lane), 0);
        }
        bench_done(&bench);
}

static void a_stopped_queue_takes_its_suspects_along(void **state)
{
        (void)state;
        five_suspects();
        one_comes(1, false);
        bench_die(&bench);
        lane_queue_stop(&bench.lane, lane_queue_find(&bench.lane, 0));
        assert_int_equal(lane_suspects(&bench.lane), 0);
        bench_done(&bench);
}

/* One must fail because its memory has gone: while its queue stops that is sent even while a suspect is alone, but not before those
 * that were posted before it. */
static void what_must_fail_for_a_stop_keeps_its_place(void **state)
{
        (void)state;
        five_suspects();
        one_comes(1, false);
        bench.lane.requests.newest->must_fail = true;
        lane_queue_drain(&bench.lane, lane_queue_find(&bench.lane, 0));
        lane_turn(&bench.lane);
        bench_no_frame(&bench);
        for (struct request *request = bench.lane.requests.oldest; request; request = request->newer)
                request->must_fail = true;
        lane_turn(&bench.lane);
        assert_int_equal(bench_requests(&bench), 4);
        for (uint32_t i = 0; i < 4; i++) {
                assert_int_equal(bench.requests[i].readable, i + 2);
                assert_true(bench.requests[i].must_fail);
        }
        bench_done(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(suspects_are_sent_one_at_a_time_in_order_and_nothing_new_is_taken),
            cmocka_unit_test(the_one_that_a_worker_dies_with_alone_must_fail_and_nobody_else),
            cmocka_unit_test(two_poisons_are_both_found),
            cmocka_unit_test(one_that_kills_even_when_it_is_to_be_failed_is_hopeless_the_second_time),
            cmocka_unit_test(a_pardoned_death_blames_nobody),
            cmocka_unit_test(a_lane_that_waits_sends_nothing_and_is_not_blamed),
            cmocka_unit_test(what_is_lent_for_input_is_no_suspect),
            cmocka_unit_test(a_stopped_queue_takes_its_suspects_along),
            cmocka_unit_test(what_must_fail_for_a_stop_keeps_its_place),
        };

        return cmocka_run_group_tests_name("lane_isolate", tests, NULL, NULL);
}
