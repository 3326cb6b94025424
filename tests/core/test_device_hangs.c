/* Workers that hang, in each way: found by the age of a request, from outside.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/core/supervisor.h"
#include "tests/core/world.h"

static struct world world;

static void serving_guest(void)
{
        world_init(&world, 2);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        world_start_queue(&world, 1, 0);
        for (unsigned i = 0; i < 2; i++) {
                world_post(&world, i, 5);
                world_until(&world, world_answered(&world, i));
        }
        world.n_seen = 0;
        world.idle = true;
}

static void a_worker_that_answers_nothing_is_replaced_and_the_guest_is_served(void **state)
{
        uint64_t start;

        (void)state;
        serving_guest();
        world_post(&world, 0, 6);
        world_until(&world, world.n_seen == 1);
        start = uv_hrtime();
        world_until(&world, world.n_reaps == 1);
        assert_true(uv_hrtime() - start >= (LIMIT_REQUEST_AGE_MS - 20) * UINT64_C(1000000));
        world.idle = false;
        world_until(&world, world_answered(&world, 0));
        assert_int_equal(world.seen[world.n_seen - 1].attempt, 1);
        assert_int_equal(world.n_broken, 0);
        world_done(&world);
}

/* The other lane is busy all the time: what one request does not get, others may. */
static void one_held_request_is_enough(void **state)
{
        (void)state;
        serving_guest();
        world_post(&world, 0, 6);
        world_until(&world, world.n_seen == 1);
        while (world.n_reaps == 0) {
                world_post(&world, 1, 7);
                world_until(&world, world.n_seen == 2 || world.n_reaps > 0);
                if (world.n_reaps == 0)
                        fake_worker_complete(&world.puppet.lanes[1], world.seen[1].id, 0, "\1", 1);
                world_until(&world, world_answered(&world, 1) || world.n_reaps > 0);
                world.n_seen = 1;
        }
        world_done(&world);
}

/* It asks for its readable bytes again and again, which is not progress. */
static void a_worker_that_only_reads_is_found(void **state)
{
        (void)state;
        serving_guest();
        world_post(&world, 0, 6);
        world_until(&world, world.n_seen == 1);
        for (uint32_t seq = 0; world.n_reaps == 0; seq++) {
                if (world.have_puppet && world.n_spawns == 1)
                        fake_worker_read(&world.puppet.lanes[0], seq, world.seen[0].id, 0, 1);
                world_wait(&world, 10);
        }
        world_done(&world);
}

/* One byte of an answer at a time, and never the last one. */
static void a_worker_that_drips_is_found(void **state)
{
        struct fake_worker *lane = &world.puppet.lanes[0];

        (void)state;
        serving_guest();
        world_post(&world, 0, 6);
        world_until(&world, world.n_seen == 1);
        fake_worker_complete(lane, world.seen[0].id, 0, "\1", 1);
        lane->tx_len--;
        lane->step = 1;
        world_until(&world, world.n_reaps == 1);
        assert_false(world_answered(&world, 0));
        world_done(&world);
}

static void a_slow_worker_within_its_time_is_left_alone(void **state)
{
        (void)state;
        serving_guest();
        for (unsigned i = 0; i < 6; i++) {
                world_post(&world, 0, 6);
                world_until(&world, world.n_seen == i + 1);
                world_wait(&world, LIMIT_REQUEST_AGE_MS / 4);
                fake_worker_complete(&world.puppet.lanes[0], world.seen[i].id, 0, "\1", 1);
                world_until(&world, world_answered(&world, 0));
        }
        assert_int_equal(world.n_spawns, 1);
        world_done(&world);
}

static void a_supply_queue_waits_for_ever(void **state)
{
        (void)state;
        world_init(&world, 2);
        world.hello.queue_kind[0] = QUEUE_SUPPLY;
        world.idle = true;
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        world_post(&world, 0, 6);
        world_until(&world, world.n_seen == 1);
        world_wait(&world, 2 * LIMIT_REQUEST_AGE_MS);
        assert_int_equal(world.n_spawns, 1);
        assert_int_equal(world_state(&world), WORKER_SERVING);
        world_done(&world);
}

static void the_configuration_says_how_long(void **state)
{
        (void)state;
        world_init(&world, 2);
        world.config.request_timeout = 2; /* read when the device is first described */
        world.idle = true;
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        world_post(&world, 0, 6);
        world_until(&world, world.n_seen == 1);
        world_wait(&world, 2 * LIMIT_REQUEST_AGE_MS);
        assert_int_equal(world.n_spawns, 1);
        world_until(&world, world.n_reaps == 1);
        world_done(&world);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_worker_that_answers_nothing_is_replaced_and_the_guest_is_served),
            cmocka_unit_test(one_held_request_is_enough),
            cmocka_unit_test(a_worker_that_only_reads_is_found),
            cmocka_unit_test(a_worker_that_drips_is_found),
            cmocka_unit_test(a_slow_worker_within_its_time_is_left_alone),
            cmocka_unit_test(a_supply_queue_waits_for_ever),
            cmocka_unit_test(the_configuration_says_how_long),
        };

        return cmocka_run_group_tests_name("device_hangs", tests, NULL, NULL);
}
