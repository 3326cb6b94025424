/* How long a worker may hold a request: the edges, and what does not count.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_age.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/core/lane_bench.h"

#define A       MODEL_BUFFERS
#define B       (MODEL_BUFFERS + 0x100000)
#define MAX_AGE 7000u

static struct lane_bench bench;

static void begin(enum queue_kind kind, uint32_t credits)
{
        struct bench_options options = bench_defaults;

        options.kind = kind;
        options.credit_requests = credits;
        bench_init(&bench, &options);
        lane_set_max_age(&bench.lane, MAX_AGE);
}

static void post(uint32_t len)
{
        model_post(&bench.guest, 0, (struct model_buffer[]){{A, len, false}, {B, 64, true}}, 2);
}

static uint64_t sent_ms(void)
{
        return bench.lane.requests.oldest->sent_ms;
}

static void an_idle_lane_has_nothing_to_watch(void **state)
{
        (void)state;
        begin(QUEUE_WORK, 64);
        bench_run(&bench);
        assert_false(lane_ages(&bench.lane));
        assert_int_equal(lane_check_age(&bench.lane, UINT64_MAX), 0);
        post(1);
        assert_int_equal(bench_requests(&bench), 1);
        assert_true(lane_ages(&bench.lane));
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_run(&bench);
        assert_false(lane_ages(&bench.lane));
        assert_int_equal(lane_check_age(&bench.lane, UINT64_MAX), 0);
        assert_int_equal(bench.faults, 0);
        bench_done(&bench);
}

static void a_worker_is_reported_at_the_limit_and_not_before(void **state)
{
        (void)state;
        begin(QUEUE_WORK, 64);
        post(1);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(lane_check_age(&bench.lane, sent_ms()), MAX_AGE);
        assert_int_equal(lane_check_age(&bench.lane, sent_ms() + MAX_AGE - 1), 1);
        assert_int_equal(bench.faults, 0);
        assert_int_equal(lane_check_age(&bench.lane, sent_ms() + MAX_AGE), 0);
        assert_int_equal(bench.faults, 1);
        assert_string_equal(bench.why, "has held a request for 7 s");
        assert_false(lane_ages(&bench.lane)); /* once is enough */
        assert_int_equal(lane_check_age(&bench.lane, sent_ms() + 2 * MAX_AGE), 0);
        assert_int_equal(bench.faults, 1);
        bench_done(&bench);
}

/* The oldest counts, wherever it stands in the guest's order. */
static void the_longest_held_request_counts(void **state)
{
        struct request *second;

        (void)state;
        begin(QUEUE_WORK, 64);
        post(1);
        post(2);
        assert_int_equal(bench_requests(&bench), 2);
        second = bench.lane.requests.newest;
        second->sent_ms -= 1000;
        assert_int_equal(lane_check_age(&bench.lane, sent_ms()), MAX_AGE - 1000);
        fake_worker_complete(&bench.worker, second->id, 0, NULL, 0);
        bench_run(&bench);
        assert_int_equal(lane_check_age(&bench.lane, sent_ms()), MAX_AGE);
        bench_done(&bench);
}

static void what_is_lent_for_input_never_ages(void **state)
{
        (void)state;
        begin(QUEUE_SUPPLY, 64);
        post(1);
        assert_int_equal(bench_requests(&bench), 1);
        assert_false(lane_ages(&bench.lane));
        assert_int_equal(lane_check_age(&bench.lane, sent_ms() + 1000 * MAX_AGE), 0);
        assert_int_equal(bench.faults, 0);
        bench_done(&bench);
}

static void a_request_that_waits_in_the_broker_does_not_age(void **state)
{
        (void)state;
        begin(QUEUE_WORK, 1);
        post(1);
        assert_int_equal(bench_requests(&bench), 1);
        bench_die(&bench);
        assert_false(lane_ages(&bench.lane));
        assert_int_equal(lane_check_age(&bench.lane, UINT64_MAX), 0);
        assert_int_equal(bench.faults, 0);
        bench_done(&bench);
}

static void age_counts_from_the_sending_to_this_incarnation(void **state)
{
        (void)state;
        begin(QUEUE_WORK, 64);
        post(1);
        assert_int_equal(bench_requests(&bench), 1);
        bench.lane.requests.oldest->sent_ms -= MAX_AGE - 1;
        bench.lane.requests.oldest->born_ms -= MAX_AGE - 1;
        bench_die(&bench);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 1);
        assert_true(lane_clock_ms() - sent_ms() < MAX_AGE - 1);
        assert_int_equal(lane_check_age(&bench.lane, sent_ms() + MAX_AGE - 1), 1);
        assert_int_equal(bench.faults, 0);
        bench_done(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(an_idle_lane_has_nothing_to_watch),
            cmocka_unit_test(a_worker_is_reported_at_the_limit_and_not_before),
            cmocka_unit_test(the_longest_held_request_counts),
            cmocka_unit_test(what_is_lent_for_input_never_ages),
            cmocka_unit_test(a_request_that_waits_in_the_broker_does_not_age),
            cmocka_unit_test(age_counts_from_the_sending_to_this_incarnation),
        };

        return cmocka_run_group_tests_name("lane_age", tests, NULL, NULL);
}
