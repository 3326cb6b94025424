/* A lane of a device with a rate, in time that the test makes: what is beyond it stays in the ring.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/lane_fail.h"
#include "proto/base/checked.h"
#include "tests/core/lane_bench.h"

#define AT    (MODEL_BUFFERS)
#define MIB   (1u << 20)
#define BURST 10u

static struct lane_bench bench;
static struct rate_limit rate;

/* ---- the clock ---- */

static uint64_t now_ms = 1000000;

int __wrap_clock_gettime(clockid_t id, struct timespec *ret_time);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret_time)
{
        (void)id;
        *ret_time =
            (struct timespec){.tv_sec = (time_t)(now_ms / 1000), .tv_nsec = (long)(now_ms % 1000) * 1000000};
        return 0;
}

static void pass(uint64_t ms)
{
        now_ms += ms;
        lane_turn(&bench.lane); /* the thread's timer */
}

/* ---- the scene ---- */

static void begin_with(const struct bench_options *options, struct device_rate config)
{
        bench_init(&bench, options);
        rate_limit_init(&rate, &config);
        lane_set_rate(&bench.lane, &rate);
}

static void begin(struct device_rate config)
{
        struct bench_options options = bench_defaults;

        options.n_queues = 2;
        begin_with(&options, config);
}

/* 1000 a second, 10 at once. */
static const struct device_rate thousand = {.ops = 1000, .ops_burst = BURST};

static void post(unsigned queue, uint32_t len, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                model_post(&bench.guest, queue, &(struct model_buffer){AT, len, true}, 1);
}

static uint64_t throttled(void)
{
        return atomic_load(&bench.lane.stats.throttled);
}

static uint64_t kicks(unsigned queue)
{
        uint64_t n = 0;

        return read(bench.guest.queues[queue].kick, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void beyond_the_rate_chains_stay_in_the_ring_until_it_is_time(void **state)
{
        unsigned got = BURST;
        uint64_t start = now_ms;

        (void)state;
        begin(thousand);
        post(0, 1, 50);
        assert_int_equal(bench_requests(&bench), BURST);
        assert_int_equal(bench.lane.queues[0].ring.last_avail, BURST);
        assert_int_equal(bench.lane.n_unsent, 0);
        assert_in_range(bench.lane.wait_ms, 1, 2);
        for (unsigned i = 0; got < 50; i++) {
                assert_true(i < 50);
                pass(bench.lane.wait_ms);
                got += (unsigned)bench_requests(&bench);
                assert_true(got <= BURST + 1 + now_ms - start);
        }
        assert_int_equal(throttled(), 1); /* it was one wait, in steps */
        pass(1000);
        assert_int_equal(bench_requests(&bench), 0);
        assert_int_equal(bench.lane.wait_ms, 0);
        assert_false(bench.lane.throttled);
        bench_done(&bench);
}

static void bytes_are_limited_in_both_directions(void **state)
{
        (void)state;
        begin((struct device_rate){.bytes = 10u * MIB, .bytes_burst = MIB});
        for (unsigned i = 0; i < 8; i++)
                model_post(&bench.guest, 0,
                           (struct model_buffer[]){{AT, MIB / 4, false}, {AT + MIB, MIB / 4, true}}, 2);
        assert_int_equal(bench_requests(&bench), 2);
        pass(1);
        assert_int_equal(bench_requests(&bench), 1); /* and is half a MiB in debt */
        pass(48);
        assert_int_equal(bench_requests(&bench), 0);
        pass(2);
        assert_int_equal(bench_requests(&bench), 1);
        bench_done(&bench);
}

static void a_request_larger_than_the_burst_passes_and_is_waited_for(void **state)
{
        (void)state;
        begin((struct device_rate){.bytes = 10u * MIB, .bytes_burst = MIB});
        post(0, 4 * MIB, 2);
        assert_int_equal(bench_requests(&bench), 1);
        assert_in_range(bench.lane.wait_ms, 300, 303);
        pass(300);
        assert_int_equal(bench_requests(&bench), 0);
        pass(bench.lane.wait_ms);
        assert_int_equal(bench_requests(&bench), 1);
        bench_done(&bench);
}

/* Nobody is woken for what must wait anyway, and then no kick is lost. */
static void a_ring_that_waits_is_not_asked_for_kicks(void **state)
{
        (void)state;
        for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
                struct bench_options options = bench_defaults;
                size_t got = 0;

                options.event_idx = event_idx;
                begin_with(&options, thousand);
                post(0, 1, BURST);
                assert_int_equal(bench_requests(&bench), BURST);
                post(0, 1, 25); /* into a ring that is empty: the clock brings the next turn */
                assert_int_equal(kicks(0), 0);
                for (unsigned i = 0; i < 40; i++) {
                        pass(2);
                        got += bench_requests(&bench);
                }
                assert_int_equal(got, 25);
                post(0, 1, 1);
                assert_int_equal(kicks(0), 1);
                bench_done(&bench);
        }
}

static void what_was_taken_is_not_delayed(void **state)
{
        uint16_t head;
        uint32_t len;

        (void)state;
        begin(thousand);
        post(0, 1, 20);
        assert_int_equal(bench_requests(&bench), BURST);
        for (unsigned i = 0; i < BURST; i++)
                fake_worker_complete(&bench.worker, bench.requests[i].id, 0, "x", 1);
        bench_run(&bench);
        for (unsigned i = 0; i < BURST; i++)
                assert_true(model_reap(&bench.guest, 0, &head, &len));
        assert_int_equal(bench_requests(&bench), 0); /* an answer makes no room in the bucket */
        bench_done(&bench);
}

static void a_successor_gets_what_was_taken_at_once_and_unpaid(void **state)
{
        uint64_t full_ns;

        (void)state;
        begin(thousand);
        post(0, 1, 20);
        assert_int_equal(bench_requests(&bench), BURST);
        full_ns = atomic_load(&rate.ops.full_ns);
        bench_die(&bench);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), BURST);
        assert_int_equal(bench.requests[0].attempt, 1);
        assert_true(atomic_load(&rate.ops.full_ns) == full_ns);
        bench_done(&bench);
}

static void a_stop_waits_for_no_rate(void **state)
{
        struct lane_queue *queue;

        (void)state;
        begin(thousand);
        queue = lane_queue_find(&bench.lane, 0);
        post(0, 1, 20);
        assert_int_equal(bench_requests(&bench), BURST);
        lane_queue_drain(&bench.lane, queue);
        for (unsigned i = 0; i < BURST; i++)
                fake_worker_complete(&bench.worker, bench.requests[i].id, 0, NULL, 0);
        bench_run(&bench);
        assert_int_equal(bench.drained[0], 1);
        assert_int_equal(lane_queue_stop(&bench.lane, queue), BURST);
        bench_start_queue(&bench, 0, BURST); /* and what was left comes later */
        lane_queue_release(&bench.lane, queue);
        assert_int_equal(bench_requests(&bench), 0);
        pass(100);
        assert_int_equal(bench_requests(&bench), BURST);
        bench_done(&bench);
}

static void a_lane_without_a_worker_waits_for_nothing(void **state)
{
        (void)state;
        begin(thousand);
        post(0, 1, 20);
        assert_int_equal(bench_requests(&bench), BURST);
        assert_true(bench.lane.wait_ms > 0);
        bench_die(&bench);
        pass(1); /* the timer that still runs */
        assert_int_equal(bench.lane.wait_ms, 0);
        bench_done(&bench);
}

static void a_quarantined_device_fails_everything_at_once(void **state)
{
        static const uint8_t tail = 1;
        uint16_t head;
        uint32_t len;
        unsigned n = 0;

        (void)state;
        begin(thousand);
        post(0, 1, 40);
        assert_int_equal(bench_requests(&bench), BURST);
        bench_die(&bench);
        lane_set_failure(&bench.lane, &(struct lane_failure){.error = &tail, .len = 1});
        lane_fail_begin(&bench.lane);
        while (model_reap(&bench.guest, 0, &head, &len))
                n++;
        assert_int_equal(n, 40);
        bench_done(&bench);
}

static void lent_buffers_are_no_operations_and_count_by_what_comes(void **state)
{
        (void)state;
        begin((struct device_rate){.ops = 1000, .ops_burst = BURST, .bytes = 10u * MIB, .bytes_burst = MIB});
        lane_queue_find(&bench.lane, 1)->supply = true;
        post(1, 65536, 40);
        assert_int_equal(bench_requests(&bench), 40);
        post(0, 1, 20);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, "input", 5);
        assert_int_equal(bench_requests(&bench), BURST);
        assert_true(atomic_load(&rate.bytes.full_ns) < (now_ms + 1) * 1000000);
        bench_done(&bench);
}

static void input_beyond_the_rate_is_lent_no_more_buffers(void **state)
{
        static uint8_t bytes[65536];

        (void)state;
        begin((struct device_rate){.bytes = 10u * MIB, .bytes_burst = MIB});
        lane_queue_find(&bench.lane, 1)->supply = true;
        post(1, 65536, 16);
        assert_int_equal(bench_requests(&bench), 16);
        for (unsigned i = 0; i < 16; i++)
                fake_worker_complete(&bench.worker, bench.requests[i].id, 0, bytes, sizeof(bytes));
        bench_run(&bench);
        post(1, 65536, 1);
        assert_int_equal(bench_requests(&bench), 0);
        pass(bench.lane.wait_ms);
        assert_int_equal(bench_requests(&bench), 1);
        bench_done(&bench);
}

static void bytes_that_are_lent_are_paid_when_they_are_taken(void **state)
{
        (void)state;
        begin((struct device_rate){.bytes = 10u * MIB, .bytes_burst = MIB});
        lane_queue_find(&bench.lane, 1)->supply = true;
        for (unsigned i = 0; i < 17; i++)
                model_post(&bench.guest, 1, &(struct model_buffer){AT, 65536, false}, 1);
        assert_int_equal(bench_requests(&bench), 16);
        for (unsigned i = 0; i < 16; i++)
                fake_worker_complete(&bench.worker, bench.requests[i].id, 0, NULL, 0);
        assert_int_equal(bench_requests(&bench), 0);
        assert_true(bench.lane.wait_ms > 0);
        pass(bench.lane.wait_ms);
        assert_int_equal(bench_requests(&bench), 1);
        bench_done(&bench);
}

static void both_queues_get_their_turns_of_a_rate(void **state)
{
        unsigned seen[2] = {0};

        (void)state;
        begin((struct device_rate){.bytes = 10u * MIB, .bytes_burst = MIB});
        post(0, 65536, 100);
        post(1, 4096, 100);
        for (unsigned i = 0; i < 60; i++) {
                size_t n = bench_requests(&bench);

                for (size_t k = 0; k < n; k++) {
                        seen[bench.requests[k].queue]++;
                        fake_worker_complete(&bench.worker, bench.requests[k].id, 0, NULL, 0);
                }
                pass(10);
        }
        assert_int_equal(seen[1], 100);
        assert_in_range(seen[0], 80, 100);
        bench_done(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(beyond_the_rate_chains_stay_in_the_ring_until_it_is_time),
            cmocka_unit_test(bytes_are_limited_in_both_directions),
            cmocka_unit_test(a_request_larger_than_the_burst_passes_and_is_waited_for),
            cmocka_unit_test(a_ring_that_waits_is_not_asked_for_kicks),
            cmocka_unit_test(what_was_taken_is_not_delayed),
            cmocka_unit_test(a_successor_gets_what_was_taken_at_once_and_unpaid),
            cmocka_unit_test(a_stop_waits_for_no_rate),
            cmocka_unit_test(a_lane_without_a_worker_waits_for_nothing),
            cmocka_unit_test(a_quarantined_device_fails_everything_at_once),
            cmocka_unit_test(lent_buffers_are_no_operations_and_count_by_what_comes),
            cmocka_unit_test(input_beyond_the_rate_is_lent_no_more_buffers),
            cmocka_unit_test(bytes_that_are_lent_are_paid_when_they_are_taken),
            cmocka_unit_test(both_queues_get_their_turns_of_a_rate),
        };

        return cmocka_run_group_tests_name("lane_rate", tests, NULL, NULL);
}
