/* Workers that wait for their lane alone: when they are promised more, and when they are woken. In time that the test makes.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "tests/core/lane_bench.h"

#define AT MODEL_BUFFERS

static struct lane_bench bench;
static uint64_t now_ms = 1000000;

int __wrap_clock_gettime(clockid_t id, struct timespec *ret_time);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret_time)
{
        (void)id;
        *ret_time =
            (struct timespec){.tv_sec = (time_t)(now_ms / 1000), .tv_nsec = (long)(now_ms % 1000) * 1000000};
        return 0;
}

static int begin(void **state)
{
        (void)state;
        now_ms += 100000;
        bench_init(&bench, &bench_defaults);
        return 0;
}

static int end(void **state)
{
        (void)state;
        assert_int_equal(bench.faults, 0);
        bench_done(&bench);
        return 0;
}

/* One request there and back. Did its frame promise more? */
static bool one(void)
{
        bool stay;

        model_post(&bench.guest, 0, &(struct model_buffer){AT, 100, true}, 1);
        assert_int_equal(bench_requests(&bench), 1);
        stay = bench.requests[0].stay;
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_run(&bench);
        return stay;
}

/* So many that promise nothing, and one that does. */
static void until_it_stays(void)
{
        for (unsigned i = 1; i < LIMIT_STAY_FRAMES; i++) {
                assert_false(one());
                assert_false(lane_stays(&bench.lane));
        }
        assert_true(one());
        assert_true(lane_stays(&bench.lane));
}

static void check(void)
{
        lane_stay_check(&bench.lane);
        bench_run(&bench);
}

static void is_woken(void)
{
        struct fake_frame frame;

        assert_true(fake_worker_next(&bench.worker, &frame));
        assert_int_equal(frame.message.kind, LANE_WAKE);
        assert_int_equal(frame.payload_len, 0);
        bench_no_frame(&bench);
        assert_false(lane_stays(&bench.lane));
}

static void frames_in_a_row_promise_more(void **state)
{
        (void)state;
        until_it_stays();
        for (unsigned i = 0; i < 100; i++) {
                now_ms += LIMIT_STAY_GAP_MS;
                assert_true(one());
        }
}

static void a_pause_ends_the_row(void **state)
{
        (void)state;
        until_it_stays();
        now_ms += LIMIT_STAY_GAP_MS + 1;
        assert_false(one()); /* and this frame has taken the promise back */
        assert_false(lane_stays(&bench.lane));
        check();
        bench_no_frame(&bench);
        for (unsigned i = 2; i < LIMIT_STAY_FRAMES; i++)
                assert_false(one());
        assert_true(one());
}

/* Did its frame say that there is something on control? */
static bool looks(void)
{
        one();
        return bench.requests[0].look;
}

static void a_word_on_control_is_told_of_once(void **state)
{
        (void)state;
        assert_false(looks());
        lane_stay_told(&bench.lane);
        assert_true(looks());
        assert_false(looks());
        lane_stay_told(&bench.lane);
        lane_stay_told(&bench.lane);
        assert_true(looks());
        assert_false(looks());
}

static void a_wake_does_not_tell_of_it(void **state)
{
        (void)state;
        until_it_stays();
        lane_stay_told(&bench.lane);
        check();
        check();
        is_woken();
        assert_true(looks());
        assert_false(looks());
}

static void silence_wakes_it_once(void **state)
{
        (void)state;
        until_it_stays();
        check(); /* something has come since it began */
        bench_no_frame(&bench);
        assert_true(lane_stays(&bench.lane));
        check();
        is_woken();
        check();
        bench_no_frame(&bench);
        assert_true(one()); /* it goes on as before */
        assert_true(lane_stays(&bench.lane));
}

static void each_frame_puts_the_wake_off(void **state)
{
        (void)state;
        until_it_stays();
        for (unsigned i = 0; i < 10; i++) {
                check();
                bench_no_frame(&bench);
                assert_true(one());
        }
        check();
        check();
        is_woken();
}

static void who_follows_is_promised_nothing_and_not_woken(void **state)
{
        (void)state;
        until_it_stays();
        check();
        bench_die(&bench);
        assert_false(lane_stays(&bench.lane));
        check();
        bench_attach(&bench);
        assert_false(lane_stays(&bench.lane));
        check();
        bench_no_frame(&bench);
        until_it_stays();
}

static void one_that_is_finished_is_not_woken(void **state)
{
        (void)state;
        until_it_stays();
        check();
        lane_worker_fault(&bench.lane, "test");
        assert_int_equal(bench.faults, 1);
        bench.faults = 0;
        assert_false(lane_stays(&bench.lane));
        check();
        bench_no_frame(&bench);
}

static void who_has_two_lanes_is_promised_nothing(void **state)
{
        struct lane_stay stay;

        (void)state;
        lane_stay_init(&stay, 2);
        for (unsigned i = 0; i < 2 * LIMIT_STAY_FRAMES; i++)
                assert_false(lane_stay_promise(&stay, now_ms));
        lane_stay_end(&stay);
        for (unsigned i = 0; i < 2 * LIMIT_STAY_FRAMES; i++)
                assert_false(lane_stay_promise(&stay, now_ms));
}

#define STAY_TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
            STAY_TEST(frames_in_a_row_promise_more),
            STAY_TEST(a_pause_ends_the_row),
            STAY_TEST(silence_wakes_it_once),
            STAY_TEST(a_word_on_control_is_told_of_once),
            STAY_TEST(a_wake_does_not_tell_of_it),
            STAY_TEST(each_frame_puts_the_wake_off),
            STAY_TEST(who_follows_is_promised_nothing_and_not_woken),
            STAY_TEST(one_that_is_finished_is_not_woken),
            STAY_TEST(who_has_two_lanes_is_promised_nothing),
        };

        return cmocka_run_group_tests_name("lane_stay", tests, NULL, NULL);
}
