/* Suspending queues: every stop ends, whatever the worker does, and ends once.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/features.h"
#include "broker/core/supervisor.h"
#include "tests/core/world.h"

static struct world world;

static void serving_guest(void)
{
        world_init(&world, 2);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        world_start_queue(&world, 1, 0);
        /* both are released once the worker has been told */
        world_post(&world, 0, 1);
        world_post(&world, 1, 1);
        world_until(&world, world_answered(&world, 0));
        world_until(&world, world_answered(&world, 1));
        world.n_seen = 0;
}

static void stop(unsigned queue)
{
        unsigned before = world.n_stopped;

        device_queue_stop(world.device, queue, world_stopped, &world);
        assert_int_equal(world.n_stopped, before); /* never from inside the call */
}

static void an_idle_queue_stops_and_goes_on_where_it_was(void **state)
{
        (void)state;
        serving_guest();
        stop(0);
        world_until(&world, world.n_stopped == 1);
        assert_int_equal(world.base, 1);
        assert_false(device_queue_running(world.device, 0));
        assert_true(device_queue_running(world.device, 1));
        world_post(&world, 0, 5); /* waits in the ring */
        world_wait(&world, 10);
        assert_int_equal(world.n_seen, 0);
        world_start_queue(&world, 0, world.base);
        world_until(&world, world_answered(&world, 0));
        world_done(&world);
}

static void a_busy_queue_stops_when_its_requests_are_answered(void **state)
{
        (void)state;
        serving_guest();
        world.idle = true;
        world_post(&world, 0, 5);
        world_until(&world, world.n_seen == 1);
        stop(0);
        world_wait(&world, LIMIT_DRAIN_MS / 4);
        assert_int_equal(world.n_stopped, 0);
        fake_worker_complete(&world.puppet.lanes[0], world.seen[0].id, 0, "\1", 1);
        world_until(&world, world.n_stopped == 1);
        assert_true(world_answered(&world, 0));
        assert_int_equal(world.base, 2);
        assert_int_equal(world.n_spawns, 1);
        world_wait(&world, 2 * LIMIT_DRAIN_MS); /* no deadline is left over */
        assert_int_equal(world.n_spawns, 1);
        world_done(&world);
}

static void a_worker_that_hangs_is_killed_and_its_successor_fails_the_rest(void **state)
{
        (void)state;
        serving_guest();
        world.idle = true;
        world_post(&world, 0, 5);
        world_post(&world, 1, 6);
        world_until(&world, world.n_seen == 2);
        stop(0);
        world_until(&world, world.n_spawns == 2);
        world.idle = false;
        world_until(&world, world.n_stopped == 1);
        assert_true(world_answered(&world, 0));
        assert_int_equal(world.base, 2);
        for (unsigned i = 2; i < world.n_seen; i++)
                assert_int_equal(world.seen[i].must_fail, world.seen[i].queue == 0);
        world_until(&world, world_answered(&world, 1)); /* the other queue is served */
        world_done(&world);
}

static void when_nobody_answers_the_stop_ends_all_the_same(void **state)
{
        uint64_t start;

        (void)state;
        serving_guest();
        world.idle = true;
        world_post(&world, 0, 5);
        world_until(&world, world.n_seen == 1);
        start = uv_hrtime();
        stop(0);
        world_until(&world, world.n_stopped == 1);
        assert_true(uv_hrtime() - start >= 2 * LIMIT_DRAIN_MS * UINT64_C(900000));
        assert_true(uv_hrtime() - start <= 4 * LIMIT_DRAIN_MS * UINT64_C(1000000));
        assert_int_equal(world.base, 2);
        assert_false(world_answered(&world, 0));
        world.idle = false;
        /* the head that was never answered may be used again after a reset of the ring */
        model_queue_reset(&world.guest, 0);
        world_start_queue(&world, 0, 0);
        world_post(&world, 0, 8);
        world_until(&world, world_answered(&world, 0));
        assert_int_equal(world.n_stopped, 1);
        world_done(&world);
}

static void a_quarantined_device_stops_at_once(void **state)
{
        uint64_t start;

        (void)state;
        serving_guest();
        world.idle = true;
        world_post(&world, 0, 5);
        world_until(&world, world.n_seen == 1);
        world.hello.features ^= FEATURE_BIT(6);
        world_kill_worker(&world);
        world_until(&world, world.n_quarantined == 1);
        start = uv_hrtime();
        stop(0);
        stop(1);
        world_until(&world, world.n_stopped == 2);
        assert_true(uv_hrtime() - start < LIMIT_DRAIN_MS * UINT64_C(1000000));
        world_done(&world);
}

static void a_quarantine_during_a_stop_ends_it(void **state)
{
        uint64_t start;

        (void)state;
        serving_guest();
        world.idle = true;
        world_post(&world, 0, 5);
        world_until(&world, world.n_seen == 1);
        world_kill_spawner(&world);
        world_until(&world, world.gone);
        start = uv_hrtime();
        stop(0);
        world_kill_worker(&world);
        world_until(&world, world.n_stopped == 1);
        assert_int_equal(world.n_quarantined, 1);
        assert_true(uv_hrtime() - start < LIMIT_DRAIN_MS * UINT64_C(1000000));
        world_done(&world);
}

/* GET_VRING_BASE must be answered though nobody knows when a worker will come; and one may still come. */
static void a_stop_does_not_wait_for_a_spawner_that_does_not_answer(void **state)
{
        uint64_t start;

        (void)state;
        serving_guest();
        world.idle = world.mute = true;
        world_post(&world, 0, 5);
        world_until(&world, world.n_seen == 1);
        world_kill_worker(&world);
        world_until(&world, world.n_failed == 1);
        assert_string_equal(world.why, "the spawner does not answer");
        start = uv_hrtime();
        stop(0);
        world_until(&world, world.n_stopped == 1);
        assert_true(uv_hrtime() - start < LIMIT_DRAIN_MS * UINT64_C(1000000));
        assert_false(world_answered(&world, 0));
        world.mute = world.idle = false;
        assert_int_equal(spawner_client_spawn(world.client, 0), 0); /* it answers after all */
        world_until(&world, world_state(&world) == WORKER_SERVING);
        world_post(&world, 1, 6);
        world_until(&world, world_answered(&world, 1));
        world_done(&world);
}

static void a_stop_that_waits_already_ends_with_the_spawner_s_deadline(void **state)
{
        (void)state;
        serving_guest();
        world.idle = world.mute = true;
        world_post(&world, 0, 5);
        world_until(&world, world.n_seen == 1);
        world_kill_worker(&world);
        world_until(&world, world_state(&world) == WORKER_SPAWNING);
        stop(0);
        world_until(&world, world.n_stopped == 1);
        assert_int_equal(world.n_failed, 1);
        world_done(&world);
}

static void a_worker_on_its_way_up_is_not_killed_for_a_stop(void **state)
{
        (void)state;
        serving_guest();
        world.idle = true;
        world_post(&world, 0, 5);
        world_until(&world, world.n_seen == 1);
        world.silent = true;
        world_kill_worker(&world);
        world_until(&world, world.n_spawns == 2);
        stop(0);
        world_wait(&world, LIMIT_DRAIN_MS + 20);
        assert_int_equal(world_state(&world), WORKER_GREETING);
        assert_int_equal(world.n_spawns, 2);
        world.idle = false;
        world_send(&world, &(struct control_to_broker){.kind = CONTROL_HELLO, .hello = world.hello});
        world_until(&world, world.n_stopped == 1);
        assert_int_equal(world.n_spawns, 2);
        assert_true(world_answered(&world, 0));
        assert_int_equal(world.seen[world.n_seen - 1].must_fail, 1);
        world_done(&world);
}

static void a_stop_while_the_worker_is_away_waits_for_the_next(void **state)
{
        (void)state;
        serving_guest();
        world.idle = true;
        world_post(&world, 0, 5);
        world_until(&world, world.n_seen == 1);
        world_kill_worker(&world);
        world.idle = false;
        stop(0); /* dying */
        world_until(&world, world.n_stopped == 1);
        assert_true(world_answered(&world, 0));
        assert_int_equal(world_status(&world), 1);
        world_done(&world);
}

static void both_queues_stop_together(void **state)
{
        (void)state;
        serving_guest();
        world.idle = true;
        world_post(&world, 0, 5);
        world_post(&world, 1, 5);
        world_until(&world, world.n_seen == 2);
        stop(0);
        stop(1);
        world_until(&world, world.n_spawns == 2);
        world.idle = false;
        world_until(&world, world.n_stopped == 2);
        assert_false(device_queue_running(world.device, 0) || device_queue_running(world.device, 1));
        world_done(&world);
}

static void a_reset_takes_the_callback_of_a_stop_back(void **state)
{
        (void)state;
        serving_guest();
        world.idle = true;
        world_post(&world, 0, 5);
        world_until(&world, world.n_seen == 1);
        stop(0);
        stop(1); /* drained at once: its report is on the way */
        device_reset(world.device);
        world_wait(&world, 3 * LIMIT_DRAIN_MS);
        assert_int_equal(world.n_stopped, 0);
        assert_int_equal(world_state(&world), WORKER_SERVING);
        assert_int_equal(world.n_spawns, 2);
        world_done(&world);
}

/* The report of an earlier drain must not end a later one. */
static void a_stop_after_reset_and_start_waits_for_its_own_requests(void **state)
{
        (void)state;
        serving_guest();
        stop(0); /* idle: reported, not taken yet */
        device_reset(world.device);
        model_queue_reset(&world.guest, 0);
        assert_int_equal(device_commit_features(world.device, world_features(&world)), 0);
        world_start_queue(&world, 0, 0);
        world_until(&world, world.n_spawns == 2 && world_state(&world) == WORKER_SERVING);
        world.idle = true;
        world_post(&world, 0, 5);
        world_until(&world, world.n_seen == 1);
        stop(0);
        world_wait(&world, LIMIT_DRAIN_MS / 4);
        assert_int_equal(world.n_stopped, 0);
        fake_worker_complete(&world.puppet.lanes[0], world.seen[0].id, 0, "\1", 1);
        world_until(&world, world.n_stopped == 1);
        assert_int_equal(world.base, 1);
        world_done(&world);
}

static void a_broken_queue_can_be_stopped(void **state)
{
        (void)state;
        serving_guest();
        world.idle = true;
        world_post(&world, 0, 5);
        world_until(&world, world.n_seen == 1);
        model_post(&world.guest, 0, &(struct model_buffer){MODEL_END, 4, false}, 1);
        world_until(&world, world.n_broken == 1);
        stop(0);
        fake_worker_complete(&world.puppet.lanes[0], world.seen[0].id, 0, "\1", 1);
        world_until(&world, world.n_stopped == 1);
        assert_int_equal(world.n_spawns, 1);
        world_done(&world);
}

static void stopping_and_starting_under_load_loses_nothing(void **state)
{
        unsigned posted = 0, answered = 0;

        (void)state;
        serving_guest();
        for (unsigned round = 0; round < 60; round++) {
                for (unsigned i = 0; i < 6; i++, posted++)
                        world_post(&world, 0, 20);
                stop(0);
                world_until(&world, world.n_stopped == round + 1);
                world_start_queue(&world, 0, world.base);
                world_until(&world, ((answered += world_answered(&world, 0)), answered == posted));
                world.n_seen = 0;
                world.puppet.n_messages = 0;
        }
        assert_int_equal(world.n_spawns, 1);
        world_done(&world);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(an_idle_queue_stops_and_goes_on_where_it_was),
            cmocka_unit_test(a_busy_queue_stops_when_its_requests_are_answered),
            cmocka_unit_test(a_worker_that_hangs_is_killed_and_its_successor_fails_the_rest),
            cmocka_unit_test(when_nobody_answers_the_stop_ends_all_the_same),
            cmocka_unit_test(a_quarantined_device_stops_at_once),
            cmocka_unit_test(a_quarantine_during_a_stop_ends_it),
            cmocka_unit_test(a_stop_does_not_wait_for_a_spawner_that_does_not_answer),
            cmocka_unit_test(a_stop_that_waits_already_ends_with_the_spawner_s_deadline),
            cmocka_unit_test(a_worker_on_its_way_up_is_not_killed_for_a_stop),
            cmocka_unit_test(a_stop_while_the_worker_is_away_waits_for_the_next),
            cmocka_unit_test(both_queues_stop_together),
            cmocka_unit_test(a_reset_takes_the_callback_of_a_stop_back),
            cmocka_unit_test(a_stop_after_reset_and_start_waits_for_its_own_requests),
            cmocka_unit_test(a_broken_queue_can_be_stopped),
            cmocka_unit_test(stopping_and_starting_under_load_loses_nothing),
        };

        return cmocka_run_group_tests_name("device_stop", tests, NULL, NULL);
}
