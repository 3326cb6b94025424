/* A lane with poll_us, in time that the test makes: what comes while it looks, and what it leaves when it sleeps.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/core/lane_bench.h"

#define AT      (MODEL_BUFFERS)
#define POLL_US 200u
#define TICK_US 10u /* what a look takes */
#define LOOKS   (POLL_US / TICK_US)

static struct lane_bench bench;
static atomic_bool called;

/* ---- the clock: each look at it is a look for more, and things happen meanwhile ---- */

static uint64_t now_us = 1000000;
static unsigned looks;
static void (*happens)(unsigned look);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret_time);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret_time)
{
        if (id == CLOCK_MONOTONIC) {
                now_us += TICK_US;
                if (happens)
                        happens(looks);
                looks++;
        }
        *ret_time = (struct timespec){.tv_sec = (time_t)(now_us / 1000000),
                                      .tv_nsec = (long)(now_us % 1000000) * 1000};
        return 0;
}

/* ---- the scene ---- */

static void post(void)
{
        model_post(&bench.guest, 0, &(struct model_buffer){AT, 100, true}, 1);
}

static void begin_with(bool event_idx, unsigned n_queues)
{
        struct bench_options options = bench_defaults;

        options.event_idx = event_idx;
        options.n_queues = n_queues;
        bench_init(&bench, &options);
        lane_set_poll(&bench.lane, POLL_US);
        happens = NULL;
        atomic_store(&called, false);
}

/* A lane that has been woken once. */
static void begin(void)
{
        begin_with(false, 1);
        post();
        assert_int_equal(bench_requests(&bench), 1);
}

static uint64_t kicks(void)
{
        uint64_t n = 0;

        return read(bench.guest.queues[0].kick, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static uint64_t taken(void)
{
        return atomic_load(&bench.lane.stats.requests);
}

/* The thread is about to sleep. How often it looked. */
static unsigned looks_of(bool again)
{
        looks = 0;
        assert_int_equal(lane_poll(&bench.lane, &called), again);
        return looks;
}

static void kicks_are_asked_for_when_nothing_came_and_not_before(void **state)
{
        (void)state;
        for (int event_idx = 0; event_idx < 2; event_idx++) {
                begin_with(event_idx, 1);
                post();
                assert_int_equal(bench_requests(&bench), 1);
                post();
                assert_int_equal(kicks(), 0);
                assert_int_equal(taken(), 1);
                lane_turn(&bench.lane);
                assert_in_range(looks_of(false), LOOKS, LOOKS + 1);
                assert_int_equal(taken(), 2);
                post();
                assert_int_equal(kicks(), 1);
                bench_done(&bench);
        }
}

static void post_at_five(unsigned look)
{
        if (look == 5) {
                post();
                assert_int_equal(kicks(), 0);
        }
}

static void a_chain_that_comes_during_the_spin_needs_no_kick(void **state)
{
        (void)state;
        begin();
        happens = post_at_five;
        assert_in_range(looks_of(false), LOOKS + 6, LOOKS + 8); /* it begins anew */
        assert_int_equal(taken(), 2);
        bench_done(&bench);
}

static void post_at_the_last(unsigned look)
{
        if (look == LOOKS)
                post();
}

/* Between the last look and the wish for kicks. */
static void a_chain_that_comes_at_the_end_of_the_spin_is_taken(void **state)
{
        (void)state;
        begin();
        happens = post_at_the_last;
        assert_int_equal(looks_of(false), LOOKS + 1);
        assert_int_equal(taken(), 2);
        bench_done(&bench);
}

static void answer_at_five(unsigned look)
{
        if (look == 5) {
                fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
                fake_worker_push(&bench.worker);
        }
}

static void an_answer_that_comes_during_the_spin_is_taken(void **state)
{
        uint16_t head;
        uint32_t len;

        (void)state;
        begin();
        happens = answer_at_five;
        looks_of(false);
        assert_true(model_reap(&bench.guest, 0, &head, &len));
        assert_int_equal(bench.lane.used_requests, 0);
        bench_done(&bench);
}

static void die_at_five(unsigned look)
{
        if (look == 5)
                fake_worker_close(&bench.worker);
}

static void a_worker_that_dies_during_the_spin_is_reported_once(void **state)
{
        (void)state;
        begin();
        happens = die_at_five;
        assert_int_equal(looks_of(false), 6);
        assert_int_equal(bench.faults, 1);
        assert_int_equal(looks_of(false), 0);
        bench_done(&bench);
}

static void call_at_five(unsigned look)
{
        if (look == 5)
                atomic_store(&called, true);
}

static void a_call_of_the_main_thread_ends_the_spin_at_once(void **state)
{
        (void)state;
        begin();
        happens = call_at_five;
        assert_int_equal(looks_of(true), 6);
        assert_int_equal(looks_of(true), 1); /* nor does a new one begin */
        post();
        assert_int_equal(kicks(), 0);
        happens = NULL;
        atomic_store(&called, false);
        assert_in_range(looks_of(false), LOOKS, LOOKS + 3); /* after the call it goes on */
        assert_int_equal(taken(), 2);
        post();
        assert_int_equal(kicks(), 1);
        bench_done(&bench);
}

/* At each look there is one more, and all are answered. */
static void post_always(unsigned look)
{
        struct fake_frame frame;

        (void)look;
        fake_worker_pump(&bench.worker);
        while (fake_worker_next(&bench.worker, &frame))
                for (size_t i = 0; i < frame.message.requests.n; i++)
                        fake_worker_complete(&bench.worker, frame.message.requests.id[i], 0, NULL, 0);
        fake_worker_push(&bench.worker);
        if (bench.guest.queues[0].n_free > 0)
                post();
}

static void a_spin_that_always_finds_something_lets_the_loop_have_its_turn(void **state)
{
        uint64_t before;

        (void)state;
        begin();
        happens = post_always;
        for (unsigned i = 0; i < 3; i++) {
                before = taken();
                assert_in_range(looks_of(true), LIMIT_POLL_SERVED, 3 * LIMIT_POLL_SERVED);
                assert_in_range(taken() - before, LIMIT_POLL_SERVED / 2, LIMIT_POLL_SERVED);
        }
        bench_done(&bench);
}

static void spins_that_find_nothing_become_rare(void **state)
{
        (void)state;
        begin();
        for (unsigned i = 0; i < LIMIT_SPIN_BARREN; i++)
                assert_true(looks_of(false) > 0);
        post();
        assert_int_equal(bench_requests(&bench), 1); /* a wake-up that asks for kicks itself */
        post();
        assert_int_equal(kicks(), 1);
        assert_int_equal(looks_of(false), 0);
        lane_turn(&bench.lane);
        assert_true(looks_of(false) > 0);
        bench_done(&bench);
}

/* ---- who does not spin ---- */

static void hold(void)
{
        bench.lane.hold++;
}

static void drain(void)
{
        lane_queue_drain(&bench.lane, &bench.lane.queues[0]);
}

static void break_it(void)
{
        lane_queue_break(&bench.lane, &bench.lane.queues[0], QUEUE_FAULT_DEVICE);
}

static void hold_queue(void)
{
        bench.lane.queues[0].held = true;
}

static void isolate(void)
{
        lane_isolate(&bench.lane, LANE_WAITS);
}

static void throttle(void)
{
        bench.lane.wait_ms = 1;
}

static void kill_worker(void)
{
        bench_die(&bench);
}

static void stop(void)
{
        bench_die(&bench);
        lane_queue_stop(&bench.lane, &bench.lane.queues[0]);
}

static void a_lane_that_may_take_nothing_does_not_spin(void **state)
{
        static void (*const reasons[])(void) = {hold,    drain,    break_it,    hold_queue,
                                                isolate, throttle, kill_worker, stop};

        (void)state;
        for (size_t i = 0; i < array_size(reasons); i++) {
                begin();
                reasons[i]();
                assert_int_equal(looks_of(false), 0);
                assert_false(bench.lane.poll.deferred);
                bench_done(&bench);
        }
}

static void stop_at_five(unsigned look)
{
        if (look == 5)
                bench.lane.hold++;
}

static void a_hold_ends_the_spin(void **state)
{
        (void)state;
        begin();
        happens = stop_at_five;
        looks_of(false);
        bench_done(&bench);
}

static void a_ring_that_breaks_during_the_spin_is_told(void **state)
{
        (void)state;
        begin();
        *(uint16_t *)(void *)model_at(&bench.guest, bench.guest.queues[0].layout.avail.v + 2) += 1000;
        assert_int_equal(looks_of(false), 1);
        assert_int_equal(bench.broken[0], 1);
        bench_done(&bench);
}

static void without_poll_us_kicks_are_asked_for_at_once(void **state)
{
        (void)state;
        begin_with(false, 1);
        lane_set_poll(&bench.lane, 0);
        post();
        assert_int_equal(bench_requests(&bench), 1);
        post();
        assert_int_equal(kicks(), 1);
        bench_done(&bench);
}

/* ---- a lane that is placed ---- */

static const struct place_host two_cpus = {.cpus = {0, 1}, .n_cpus = 2, .stat_fd = -1};

static void begin_alone(void)
{
        begin_with(false, 1);
        lane_set_poll(&bench.lane, 0);
        lane_set_place(&bench.lane, &two_cpus);
        bench.lane.place.at = PLACE_ALONE | 1; /* of no worker that could be moved */
        post();
        assert_int_equal(bench_requests(&bench), 1);
}

static void one_whose_worker_has_a_cpu_to_itself_looks_for_a_moment(void **state)
{
        (void)state;
        begin_alone();
        post();
        assert_int_equal(kicks(), 0);
        lane_turn(&bench.lane);
        assert_in_range(looks_of(false), LIMIT_PLACE_POLL_US / TICK_US, LIMIT_PLACE_POLL_US / TICK_US + 1);
        post();
        assert_int_equal(kicks(), 1);
        bench.lane.place.at = PLACE_FREE;
        bench_done(&bench);
}

/* Between its turn and its sleep. */
static void one_that_is_set_free_asks_for_kicks_before_it_sleeps(void **state)
{
        (void)state;
        begin_alone();
        post();
        assert_int_equal(kicks(), 0);
        bench.lane.place.at = PLACE_FREE;
        assert_int_equal(looks_of(false), 0);
        assert_int_equal(taken(), 2); /* what had come without one */
        post();
        assert_int_equal(kicks(), 1);
        bench_done(&bench);
}

static void leave(unsigned look)
{
        if (look == 2)
                bench.lane.place.at = PLACE_FREE;
}

static void one_that_is_set_free_while_it_looks_stops(void **state)
{
        (void)state;
        begin_alone();
        happens = leave;
        assert_in_range(looks_of(false), 3, 4);
        post();
        assert_int_equal(kicks(), 1);
        bench_done(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(kicks_are_asked_for_when_nothing_came_and_not_before),
            cmocka_unit_test(a_chain_that_comes_during_the_spin_needs_no_kick),
            cmocka_unit_test(a_chain_that_comes_at_the_end_of_the_spin_is_taken),
            cmocka_unit_test(an_answer_that_comes_during_the_spin_is_taken),
            cmocka_unit_test(a_worker_that_dies_during_the_spin_is_reported_once),
            cmocka_unit_test(a_call_of_the_main_thread_ends_the_spin_at_once),
            cmocka_unit_test(a_spin_that_always_finds_something_lets_the_loop_have_its_turn),
            cmocka_unit_test(spins_that_find_nothing_become_rare),
            cmocka_unit_test(a_lane_that_may_take_nothing_does_not_spin),
            cmocka_unit_test(a_hold_ends_the_spin),
            cmocka_unit_test(a_ring_that_breaks_during_the_spin_is_told),
            cmocka_unit_test(one_whose_worker_has_a_cpu_to_itself_looks_for_a_moment),
            cmocka_unit_test(one_that_is_set_free_asks_for_kicks_before_it_sleeps),
            cmocka_unit_test(one_that_is_set_free_while_it_looks_stops),
            cmocka_unit_test(without_poll_us_kicks_are_asked_for_at_once),
        };

        return cmocka_run_group_tests_name("lane_poll", tests, NULL, NULL);
}
