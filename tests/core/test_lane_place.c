/* A lane that is placed, in time that the test makes: what the kernel is asked for, and when.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/lane_poll.h"
#include "tests/core/lane_bench.h"

#define WORKER     4711
#define REST_TICKS (LIMIT_PLACE_REST_MS / LIMIT_PLACE_TICK_MS + 1)
#define US         UINT64_C(1000)
#define MS         (1000 * US)

static struct lane_bench bench;
static const struct place_host host = {
    .cpus = {2, 5}, .n_cpus = 2, .all = {{1u << 2 | 1u << 5}}, .stat_fd = -1};

/* ---- the kernel ---- */

static uint64_t now_ns, own_ns, idle_ns[2];
static cpu_set_t lane_set, worker_set;
static unsigned n_calls, n_stats, n_clocks, n_slices;
static bool brief; /* the turns of the lane's thread */
static bool polls; /* each look at the clock is a look for more */
static int lane_error, worker_error, stat_error;

int __wrap_clock_gettime(clockid_t id, struct timespec *ret_time);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret_time)
{
        uint64_t ns = id == CLOCK_THREAD_CPUTIME_ID ? own_ns / 2 : id < 0 ? own_ns - own_ns / 2 : now_ns;

        n_clocks += id == CLOCK_MONOTONIC;
        now_ns += polls ? 10 * US : 0;
        *ret_time =
            (struct timespec){.tv_sec = (time_t)(ns / (1000 * MS)), .tv_nsec = (long)(ns % (1000 * MS))};
        return 0;
}

int __wrap_sched_setaffinity(pid_t pid, size_t len, const cpu_set_t *set);
int __wrap_sched_setaffinity(pid_t pid, size_t len, const cpu_set_t *set)
{
        int error = pid == 0 ? lane_error : worker_error;

        assert_true(pid == 0 || pid == WORKER);
        assert_int_equal(len, sizeof(*set));
        n_calls++;
        if (error && !CPU_EQUAL(set, &host.all)) {
                errno = error;
                return -1;
        }
        *(pid == 0 ? &lane_set : &worker_set) = *set;
        return 0;
}

void __wrap_time_slice_set(bool to);
void __wrap_time_slice_set(bool to)
{
        assert_int_not_equal(to, brief);
        n_slices++;
        brief = to;
}

int __wrap_place_host_idle(const struct place_host *of, uint64_t *ret_idle_ns);
int __wrap_place_host_idle(const struct place_host *of, uint64_t *ret_idle_ns)
{
        assert_ptr_equal(of, &host);
        n_stats++;
        if (stat_error)
                return stat_error;
        memcpy(ret_idle_ns, idle_ns, sizeof(idle_ns));
        return 0;
}

static int place_of(const cpu_set_t *set)
{
        if (CPU_EQUAL(set, &host.all))
                return PLACE_FREE;
        assert_int_equal(CPU_COUNT(set), 1);
        return CPU_ISSET(2, set) ? 2 : 5;
}

/* Both are always longer. Nobody's turns are short who is free. */
static int place(void)
{
        assert_int_equal(place_of(&lane_set), place_of(&worker_set));
        assert_false(brief && place_of(&lane_set) == PLACE_FREE);
        return place_of(&lane_set);
}

/* ---- the load ---- */

/* How long a request takes: CPU 5 is the good one. */
static uint64_t request_ns(void)
{
        return place_of(&lane_set) == 5 ? 30 * US : place_of(&lane_set) == 2 ? 200 * US : 100 * US;
}

/* CPU 5 is never idle: what is not ours there is others'. */
static unsigned own_percent;
static uint64_t gap_ns; /* from one request to the next */

/* What the lane's thread does before it sleeps. */
static void sleep_now(void)
{
        static atomic_bool called;

        polls = lane_place_poll_us(&bench.lane) > 0;
        if (lane_polls(&bench.lane))
                assert_false(lane_poll(&bench.lane, &called));
        polls = false;
}

static bool reaped(void)
{
        uint16_t head;
        uint32_t len;

        return model_reap(&bench.guest, 0, &head, &len);
}

static void serve_one(void)
{
        const uint64_t ns = request_ns();

        sleep_now();
        now_ns += gap_ns;
        idle_ns[0] += gap_ns;
        model_post(&bench.guest, 0, &(struct model_buffer){MODEL_BUFFERS, 100, true}, 1);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].longer,
                         place_of(&lane_set) != PLACE_FREE && CPU_EQUAL(&lane_set, &worker_set));
        now_ns += ns;
        own_ns += ns * own_percent / 100;
        idle_ns[0] += ns;
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_run(&bench);
        assert_true(reaped());
}

/* The second waits while the first ends. */
static void serve_two(void)
{
        const uint64_t ns = request_ns();

        sleep_now();
        for (unsigned i = 0; i < 2; i++)
                model_post(&bench.guest, 0, &(struct model_buffer){MODEL_BUFFERS, 100, true}, 1);
        assert_int_equal(bench_requests(&bench), 2);
        for (unsigned i = 0; i < 2; i++) {
                now_ns += ns;
                own_ns += ns * own_percent / 100;
                idle_ns[0] += ns;
                fake_worker_complete(&bench.worker, bench.requests[i].id, 0, NULL, 0);
                bench_run(&bench);
                assert_true(reaped());
        }
}

#define LARGE (256u << 10)

static uint32_t large; /* bytes of a request */

/* A worker that is alone on CPU 5 is the quicker one. */
static void serve_large(void)
{
        const uint64_t ns = place_of(&worker_set) == 5 ? 100 * US : 150 * US;

        sleep_now();
        for (unsigned i = 0; i < 2; i++)
                model_post(&bench.guest, 0, &(struct model_buffer){MODEL_BUFFERS, large, false}, 1);
        assert_int_equal(bench_requests(&bench), 2);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(bench.requests[i].longer,
                                 place_of(&lane_set) != PLACE_FREE && CPU_EQUAL(&lane_set, &worker_set));
                assert_int_equal(bench.requests[i].spin_us > 0, !CPU_EQUAL(&lane_set, &worker_set));
                now_ns += ns;
                own_ns += ns * own_percent / 100;
                idle_ns[0] += ns / 2;
                fake_worker_complete(&bench.worker, bench.requests[i].id, 0, NULL, 0);
                bench_run(&bench);
                assert_true(reaped());
        }
}

static void serve_by(void (*serve_some)(void), uint64_t ns)
{
        const uint64_t end_ns = now_ns + ns;
        uint64_t tick_ns = now_ns + LIMIT_PLACE_TICK_MS * MS;

        while (now_ns < end_ns) {
                serve_some();
                if (now_ns < tick_ns)
                        continue;
                tick_ns += LIMIT_PLACE_TICK_MS * MS;
                if (lane_place_ticks(&bench.lane))
                        lane_place_tick(&bench.lane);
        }
}

static void serve(uint64_t ns)
{
        serve_by(serve_one, ns);
}

static void rest(unsigned n_ticks)
{
        for (unsigned i = 0; i < n_ticks; i++) {
                now_ns += LIMIT_PLACE_TICK_MS * MS;
                if (lane_place_ticks(&bench.lane))
                        lane_place_tick(&bench.lane);
        }
}

static void begin(void)
{
        bench_init(&bench, &bench_defaults);
        lane_set_place(&bench.lane, &host);
        lane_place_begin(&bench.lane, WORKER);
        lane_set = worker_set = host.all;
        now_ns = 1000 * MS;
        own_ns = idle_ns[0] = idle_ns[1] = 0;
        n_calls = n_stats = n_clocks = n_slices = 0;
        brief = false;
        own_percent = 60;
        large = LARGE;
        gap_ns = 0;
        lane_error = worker_error = stat_error = 0;
}

static void begin_at_five(void)
{
        begin();
        serve(100 * MS);
        assert_int_equal(place(), 5);
}

/* ---- claims ---- */

static void lane_and_worker_go_together_and_come_back_when_the_load_ends(void **state)
{
        (void)state;
        begin_at_five();
        rest(REST_TICKS);
        assert_int_equal(place(), PLACE_FREE);
        assert_false(lane_place_ticks(&bench.lane));
        bench_done(&bench);
}

static void turns_are_short_while_both_are_confined(void **state)
{
        (void)state;
        begin_at_five();
        assert_true(brief);
        n_slices = 0;
        serve(20 * MS);
        assert_true(brief);
        assert_int_equal(n_slices, 0); /* once is enough */
        rest(REST_TICKS);
        assert_false(brief);
        assert_int_equal(n_slices, 1);
        bench_done(&bench);
}

static uint64_t kicks(void)
{
        uint64_t n = 0;

        return read(bench.guest.queues[0].kick, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void post_one(void)
{
        model_post(&bench.guest, 0, &(struct model_buffer){MODEL_BUFFERS, 100, true}, 1);
}

static void answer_one(void)
{
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        fake_worker_push(&bench.worker);
}

/* The worker has had the CPU already. And whoever looks anyway is told of nothing before. */
static void where_requests_take_turns_a_lane_looks_once_before_it_asks_for_kicks(void **state)
{
        (void)state;
        begin_at_five();
        sleep_now();
        post_one();
        assert_int_equal(bench_requests(&bench), 1);
        post_one();
        assert_int_equal(kicks(), 0);
        answer_one();
        sleep_now();
        assert_true(reaped());
        assert_int_equal(bench_requests(&bench), 1); /* it has been found */
        answer_one();
        bench_run(&bench);
        sleep_now();
        assert_true(reaped());
        post_one();
        assert_int_equal(kicks(), 1);
        bench_done(&bench);
}

static void elsewhere_it_asks_for_them_at_once(void **state)
{
        (void)state;
        begin();
        sleep_now();
        post_one();
        assert_int_equal(bench_requests(&bench), 1);
        answer_one();
        sleep_now();
        assert_false(reaped());
        post_one();
        assert_int_equal(kicks(), 1);
        bench_done(&bench);
}

/* Spins that found nothing are followed by wake-ups without one, and those do not ask for what others have put off. */
static void what_was_put_off_is_done_wherever_the_lane_has_gone_meanwhile(void **state)
{
        (void)state;
        begin_at_five();
        sleep_now();
        post_one();
        assert_int_equal(bench_requests(&bench), 1);
        assert_true(bench.lane.poll.deferred);
        bench.lane.poll.spin.left = 3;
        bench.lane.place.at = PLACE_ALONE | 5;
        sleep_now();
        assert_false(bench.lane.poll.deferred);
        bench_done(&bench);
}

static void a_lane_whose_worker_has_died_sleeps_all_the_same(void **state)
{
        (void)state;
        begin_at_five();
        sleep_now();
        post_one();
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_close(&bench.worker);
        sleep_now();
        assert_int_equal(bench.faults, 1);
        assert_false(bench.lane.poll.deferred);
        lane_detach(&bench.lane);
        bench_done(&bench);
}

static void turns_are_as_before_when_requests_do_not_come_one_at_a_time(void **state)
{
        (void)state;
        begin_at_five();
        assert_true(brief);
        n_slices = 0;
        for (unsigned i = 0; i < 3 * PLACE_LOOK; i++)
                serve_two();
        assert_int_equal(bench.lane.place.at, 5);
        assert_false(brief);
        assert_int_equal(n_slices, 1);
        serve(10 * MS);
        assert_int_equal(bench.lane.place.at, 5);
        assert_true(brief);
        lane_place_end(&bench.lane);
        assert_false(brief);
        bench_done(&bench);
}

static void a_worker_of_large_requests_has_a_cpu_to_itself(void **state)
{
        const uint64_t end_ns = 1100 * MS;

        (void)state;
        begin();
        own_percent = 200; /* of two threads */
        while (now_ns < end_ns || bench.lane.place.placement.state != PLACEMENT_HOLDING)
                serve_large();
        assert_int_equal(place_of(&worker_set), 5);
        assert_int_equal(place_of(&lane_set), 2);
        assert_false(brief);
        serve_by(serve_large, 1000 * MS);
        assert_int_equal(bench.lane.place.placement.chosen,
                         PLACE_ALONE | 5); /* that it is busy there is its own doing */
        for (unsigned i = 0; i < 2 * PLACE_LOOK; i++)
                serve_one(); /* which looks that its lane is beside it, if it is anywhere */
        serve(100 * MS);
        assert_int_equal(place(), 5);
        lane_place_end(&bench.lane);
        assert_int_equal(place(), PLACE_FREE);
        bench_done(&bench);
}

static bool is_large_by(uint32_t bytes)
{
        large = bytes;
        for (unsigned i = 0; i < 2 * PLACE_LOOK; i++)
                serve_large();
        return bench.lane.place.placement.large;
}

static void from_256_kib_in_the_mean_on_and_until_half_of_that_requests_are_large(void **state)
{
        (void)state;
        begin();
        assert_false(is_large_by(LARGE - 1));
        assert_true(is_large_by(LARGE));
        assert_true(is_large_by(LARGE / 2));
        assert_false(is_large_by(LARGE / 2 - 1));
        assert_false(is_large_by(LARGE - 1));
        bench_done(&bench);
}

/* So many at once, answered one after the other. */
static void serve_many(unsigned n)
{
        sleep_now();
        for (unsigned i = 0; i < n; i++)
                model_post(&bench.guest, 0, &(struct model_buffer){MODEL_BUFFERS, 100, true}, 1);
        assert_int_equal(bench_requests(&bench), n);
        for (unsigned i = 0; i < n; i++) {
                now_ns += 100 * US;
                fake_worker_complete(&bench.worker, bench.requests[i].id, 0, NULL, 0);
                bench_run(&bench);
                assert_true(reaped());
        }
}

static bool is_deep_by(unsigned n, unsigned times)
{
        while (times-- > 0)
                serve_many(n);
        return bench.lane.place.placement.deep;
}

/* One look in PLACE_LOOK requests. */
static void from_32_requests_under_way_on_they_are_many_until_64_looks_have_seen_less_than_half(void **state)
{
        (void)state;
        begin();
        assert_false(is_deep_by(31, 10));
        assert_true(is_deep_by(32, 1));
        assert_true(is_deep_by(16, 100));
        assert_true(is_deep_by(8, 2 * 63));
        assert_false(is_deep_by(8, 2));
        assert_false(is_deep_by(16, 10));
        assert_true(is_deep_by(32, 1));
        bench_done(&bench);
}

static bool is_deep_by_bytes(uint32_t bytes, unsigned looks)
{
        large = bytes;
        for (unsigned i = 0; i < looks * PLACE_LOOK / 2; i++)
                serve_large();
        return bench.lane.place.placement.deep;
}

static void from_256_kib_under_way_on_they_are_many_as_well(void **state)
{
        (void)state;
        begin();
        assert_false(is_deep_by_bytes((128u << 10) - 1, 10));
        assert_true(is_deep_by_bytes(128u << 10, 2)); /* the first one has seen some of before */
        assert_true(is_deep_by_bytes(64u << 10, 100));
        assert_true(is_deep_by_bytes((64u << 10) - 1, 63));
        assert_false(is_deep_by_bytes((64u << 10) - 1, 2));
        bench_done(&bench);
}

static void a_lane_looks_before_it_sleeps_where_its_worker_is_alone_and_nowhere_else(void **state)
{
        (void)state;
        begin();
        assert_int_equal(lane_place_poll_us(&bench.lane), 0);
        serve(100 * MS);
        assert_int_equal(place(), 5);
        assert_int_equal(lane_place_poll_us(&bench.lane), 0);
        while (bench.lane.place.placement.chosen != (PLACE_ALONE | 5))
                serve_large();
        assert_int_equal(lane_place_poll_us(&bench.lane), LIMIT_PLACE_POLL_US);
        assert_int_equal(lane_place_spin_us(&bench.lane), LIMIT_PLACE_SPIN_US);
        lane_place_end(&bench.lane);
        assert_int_equal(lane_place_poll_us(&bench.lane) + lane_place_spin_us(&bench.lane), 0);
        bench_done(&bench);
}

/* It has 45 percent of it. What its lane uses elsewhere is no use of that CPU. */
static void a_worker_that_is_alone_leaves_a_cpu_that_others_need(void **state)
{
        (void)state;
        begin();
        own_percent = 200;
        while (now_ns < 1100 * MS || bench.lane.place.placement.state != PLACEMENT_HOLDING)
                serve_large();
        assert_int_equal(bench.lane.place.placement.chosen, PLACE_ALONE | 5);
        own_percent = 90;
        serve_by(serve_large, 1000 * MS);
        assert_int_not_equal(bench.lane.place.placement.chosen, PLACE_ALONE | 5);
        bench_done(&bench);
}

static void a_light_load_costs_no_system_call_and_few_looks_at_the_clock(void **state)
{
        (void)state;
        begin();
        for (unsigned i = 0; i < 1000; i++) {
                serve_one();
                now_ns += 4 * MS;
        }
        assert_int_equal(n_calls + n_stats + n_slices, 0);
        assert_in_range(n_clocks, 1, 1000 / PLACE_LOOK + 1);
        bench_done(&bench);
}

static void a_lane_without_a_host_or_a_worker_is_never_placed(void **state)
{
        (void)state;
        begin();
        lane_place_end(&bench.lane);
        serve(100 * MS);
        assert_int_equal(n_calls + n_stats + n_clocks, 0);
        lane_set_place(&bench.lane, NULL);
        lane_place_begin(&bench.lane, WORKER);
        serve(100 * MS);
        lane_place_rest(&bench.lane);
        lane_place_end(&bench.lane);
        assert_int_equal(n_calls + n_stats + n_clocks, 0);
        bench_done(&bench);
}

static void the_end_of_the_worker_sets_the_lane_free(void **state)
{
        (void)state;
        begin_at_five();
        bench_die(&bench);
        assert_int_equal(place(), PLACE_FREE);
        n_calls = 0;
        bench_attach(&bench);
        serve(100 * MS); /* the new one has not been shown to be movable */
        assert_int_equal(n_calls, 0);
        lane_place_begin(&bench.lane, WORKER);
        assert_int_equal(place(), PLACE_FREE);
        serve(100 * MS);
        assert_int_equal(place(), 5);
        bench_done(&bench);
}

static void a_pid_that_is_no_longer_sure_is_not_used_again(void **state)
{
        (void)state;
        begin_at_five();
        lane_place_end(&bench.lane);
        assert_int_equal(place(), PLACE_FREE);
        n_calls = 0;
        serve(500 * MS);
        assert_int_equal(n_calls, 0);
        bench_done(&bench);
}

static void the_stop_of_a_queue_sets_both_free(void **state)
{
        (void)state;
        begin_at_five();
        lane_queue_stop(&bench.lane, &bench.lane.queues[0]);
        assert_int_equal(place(), PLACE_FREE);
        bench_done(&bench);
}

static void who_cannot_be_moved_is_left_alone(void **state)
{
        static const int errors[] = {EPERM, ESRCH, EACCES};

        (void)state;
        for (unsigned i = 0; i < 3; i++) {
                for (unsigned lane = 0; lane < 2; lane++) {
                        begin();
                        *(lane ? &lane_error : &worker_error) = errors[i];
                        serve(500 * MS);
                        assert_int_equal(place(), PLACE_FREE);
                        assert_in_range(n_calls, 3, 4); /* one trial, and both back */
                        bench_done(&bench);
                }
        }
}

static void a_cpu_that_is_not_ours_any_more_is_left_for_the_other(void **state)
{
        (void)state;
        begin();
        worker_error = EINVAL;
        serve(500 * MS);
        assert_int_equal(place(), PLACE_FREE);
        assert_in_range(n_calls, 6, 8); /* each CPU once, and both back */
        bench_done(&bench);
}

static void a_cpu_that_others_need_is_left(void **state)
{
        (void)state;
        begin_at_five();
        own_percent = 49;
        for (unsigned i = 0; i < 60 && bench.lane.place.placement.chosen == 5; i++)
                serve(10 * MS);
        assert_int_equal(place(), PLACE_FREE);
        serve(1000 * MS);
        assert_int_not_equal(bench.lane.place.placement.chosen, 5);
        bench_done(&bench);
}

static void what_others_use_while_it_rests_is_no_harm(void **state)
{
        (void)state;
        begin_at_five();
        while (bench.lane.place.placement.state != PLACEMENT_TRYING || bench.lane.place.at != PLACE_FREE)
                serve_one();
        lane_place_rest(&bench.lane); /* in the middle of a trial, where it is free just now */
        now_ns += 1000 * MS;
        idle_ns[0] += 1000 * MS;
        serve(100 * MS);
        assert_int_equal(bench.lane.place.placement.chosen, 5);
        bench_done(&bench);
}

static void a_driver_that_takes_turns_may_use_the_rest(void **state)
{
        (void)state;
        begin();
        own_percent = 100;
        gap_ns = 70 * US; /* ... of a request: others use the rest of CPU 5 */
        serve(2000 * MS);
        assert_int_equal(bench.lane.place.placement.chosen, 5);
        bench_done(&bench);
}

static void a_cpu_that_both_use_alone_is_kept(void **state)
{
        (void)state;
        begin_at_five();
        own_percent = 51;
        serve(2000 * MS);
        assert_int_equal(bench.lane.place.placement.chosen, 5);
        assert_in_range(n_stats, 5, 10); /* in two seconds */
        bench_done(&bench);
}

static void where_others_cannot_be_seen_nothing_is_placed(void **state)
{
        (void)state;
        begin();
        stat_error = -EPROTO;
        serve(100 * MS);
        assert_int_equal(place(), PLACE_FREE);
        n_calls = 0;
        serve(500 * MS);
        assert_int_equal(n_calls, 0);
        bench_done(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(lane_and_worker_go_together_and_come_back_when_the_load_ends),
            cmocka_unit_test(turns_are_short_while_both_are_confined),
            cmocka_unit_test(where_requests_take_turns_a_lane_looks_once_before_it_asks_for_kicks),
            cmocka_unit_test(elsewhere_it_asks_for_them_at_once),
            cmocka_unit_test(what_was_put_off_is_done_wherever_the_lane_has_gone_meanwhile),
            cmocka_unit_test(a_lane_whose_worker_has_died_sleeps_all_the_same),
            cmocka_unit_test(turns_are_as_before_when_requests_do_not_come_one_at_a_time),
            cmocka_unit_test(a_worker_of_large_requests_has_a_cpu_to_itself),
            cmocka_unit_test(from_256_kib_in_the_mean_on_and_until_half_of_that_requests_are_large),
            cmocka_unit_test(
                from_32_requests_under_way_on_they_are_many_until_64_looks_have_seen_less_than_half),
            cmocka_unit_test(from_256_kib_under_way_on_they_are_many_as_well),
            cmocka_unit_test(a_lane_looks_before_it_sleeps_where_its_worker_is_alone_and_nowhere_else),
            cmocka_unit_test(a_worker_that_is_alone_leaves_a_cpu_that_others_need),
            cmocka_unit_test(a_light_load_costs_no_system_call_and_few_looks_at_the_clock),
            cmocka_unit_test(a_lane_without_a_host_or_a_worker_is_never_placed),
            cmocka_unit_test(the_end_of_the_worker_sets_the_lane_free),
            cmocka_unit_test(a_pid_that_is_no_longer_sure_is_not_used_again),
            cmocka_unit_test(the_stop_of_a_queue_sets_both_free),
            cmocka_unit_test(who_cannot_be_moved_is_left_alone),
            cmocka_unit_test(a_cpu_that_is_not_ours_any_more_is_left_for_the_other),
            cmocka_unit_test(a_cpu_that_others_need_is_left),
            cmocka_unit_test(what_others_use_while_it_rests_is_no_harm),
            cmocka_unit_test(a_driver_that_takes_turns_may_use_the_rest),
            cmocka_unit_test(a_cpu_that_both_use_alone_is_kept),
            cmocka_unit_test(where_others_cannot_be_seen_nothing_is_placed),
        };

        return cmocka_run_group_tests_name("lane_place", tests, NULL, NULL);
}
