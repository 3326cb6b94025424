/* A whole device with the longest poll_us: its lanes' threads look for more nearly all the time, and do everything else
 * as ever. TRUST: the bytes it judges are its own.
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
        world_poll_us = LIMIT_POLL_US;
        world_init(&world, 2);
        world_serve(&world);
        for (unsigned queue = 0; queue < 2; queue++)
                world_start_queue(&world, queue, 0);
}

static void serve_some(unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                for (unsigned queue = 0; queue < 2; queue++)
                        world_post(&world, queue, 5);
                for (unsigned queue = 0; queue < 2; queue++)
                        world_until(&world, world_answered(&world, queue));
        }
}

static void requests_are_answered_and_the_worker_is_told_poll_us(void **state)
{
        (void)state;
        serving_guest();
        assert_int_equal(world.puppet.messages[0].kind, CONTROL_CONFIGURE);
        assert_int_equal(world.puppet.messages[0].configure.poll_us, LIMIT_POLL_US);
        serve_some(200);
        assert_int_equal(world.n_spawns, 1);
        world_done(&world);
}

static void a_stop_and_a_reset_find_a_lane_that_spins(void **state)
{
        (void)state;
        serving_guest();
        for (unsigned i = 0; i < 5; i++) {
                serve_some(3);
                device_queue_stop(world.device, 0, world_stopped, &world);
                world_until(&world, world.n_stopped == i + 1);
                world_start_queue(&world, 0, world.base);
                serve_some(3);
        }
        device_reset(world.device);
        for (unsigned queue = 0; queue < 2; queue++)
                model_queue_reset(&world.guest, queue);
        world_until(&world, world.n_spawns == 2 && world_state(&world) == WORKER_SERVING);
        assert_int_equal(device_commit_features(world.device, world_features(&world)), 0);
        for (unsigned queue = 0; queue < 2; queue++)
                world_start_queue(&world, queue, 0);
        serve_some(3);
        world_done(&world);
}

static void a_worker_that_dies_under_a_lane_that_spins_is_replaced(void **state)
{
        (void)state;
        serving_guest();
        serve_some(1);
        world.idle = true;
        world_post(&world, 0, 5);
        world_until(&world, world.n_seen > 2);
        world.idle = false;
        world_kill_worker(&world);
        world_until(&world, world_answered(&world, 0));
        assert_int_equal(world.n_spawns, 2);
        world_done(&world);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(requests_are_answered_and_the_worker_is_told_poll_us),
            cmocka_unit_test(a_stop_and_a_reset_find_a_lane_that_spins),
            cmocka_unit_test(a_worker_that_dies_under_a_lane_that_spins_is_replaced),
        };

        return cmocka_run_group_tests_name("device_poll", tests, NULL, NULL);
}
