/* A supervisor and its spawner: that refuses, is late, or is dead.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/supervisor.h"
#include "tests/core/world.h"

static struct world world;

static void serving_guest(unsigned n_lanes)
{
        world_init(&world, n_lanes);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        world_start_queue(&world, 1, 0);
}

static void one_request(unsigned queue)
{
        world_post(&world, queue, 100);
        world_until(&world, world_answered(&world, queue));
        assert_int_equal(world_status(&world), 1);
}

/* The next incarnation serves. */
static void next_one(unsigned spawns)
{
        world_until(&world, world.n_spawns > spawns && world_state(&world) == WORKER_SERVING);
}

static void without_a_spawner_the_device_lives_until_its_worker_dies(void **state)
{
        (void)state;
        serving_guest(1);
        world_kill_spawner(&world);
        world_until(&world, world.gone);
        one_request(0);
        assert_int_equal(world.n_quarantined, 0);
        world_kill_worker(&world);
        world_until(&world, world.n_quarantined == 1);
        assert_string_equal(world.why, "the spawner is gone");
        device_reset(world.device);
        assert_int_equal(world.n_quarantined, 1); /* not from inside the call */
        world_until(&world, world.n_quarantined == 2);
        world_done(&world);
}

static void a_spawner_that_dies_while_it_is_asked_ends_in_quarantine_at_once(void **state)
{
        (void)state;
        world_init(&world, 1);
        world.mute = true;
        world_wait(&world, 10);
        world_kill_spawner(&world);
        world_until(&world, world.gone);
        assert_int_equal(world_state(&world), WORKER_QUARANTINED); /* and not at its deadline */
        world_until(&world, world.n_quarantined == 1);
        world_done(&world);
}

static void a_spawner_that_does_not_answer_is_waited_for_and_said_again_and_again(void **state)
{
        (void)state;
        serving_guest(1);
        one_request(0);
        world.mute = true;
        world_kill_worker(&world);
        world_until(&world, world.n_failed == 3);
        assert_int_equal(world_state(&world), WORKER_SPAWNING);
        assert_string_equal(world.why, "the spawner does not answer");
        assert_int_equal(world.n_quarantined, 0);
        assert_int_equal(world.n_spawns, 1);
        world.mute = false;
        assert_int_equal(spawner_client_spawn(world.client, 0), 0); /* the late answer */
        next_one(1);
        one_request(0);
        assert_int_equal(world.n_spawns, 2);
        world_done(&world);
}

static void a_wrong_configuration_is_said_once(void **state)
{
        (void)state;
        world_init(&world, 1);
        world.refuse = -ENOENT;
        world_until(&world, world.n_quarantined == 1);
        assert_string_equal(world.why, "the image is missing; make it");
        assert_int_equal(world.n_spawns, 1);
        assert_int_equal(world.n_failed, 0);
        world_done(&world);
}

static void a_locked_image_is_tried_again(void **state)
{
        (void)state;
        world_init(&world, 1);
        world.refuse = -EBUSY;
        world_until(&world, world.n_failed == 3);
        world.refuse = 0;
        world_until(&world, world_state(&world) == WORKER_SERVING);
        world_done(&world);
}

static void a_spawn_that_fails_later_is_tried_again(void **state)
{
        (void)state;
        serving_guest(1);
        one_request(0);
        world.refuse = -ENOENT;
        world_kill_worker(&world);
        world_until(&world, world.n_failed == 2);
        world.refuse = 0;
        world_until(&world, world_state(&world) == WORKER_SERVING);
        one_request(0);
        world_done(&world);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(without_a_spawner_the_device_lives_until_its_worker_dies),
            cmocka_unit_test(a_spawner_that_dies_while_it_is_asked_ends_in_quarantine_at_once),
            cmocka_unit_test(a_spawner_that_does_not_answer_is_waited_for_and_said_again_and_again),
            cmocka_unit_test(a_wrong_configuration_is_said_once),
            cmocka_unit_test(a_locked_image_is_tried_again),
            cmocka_unit_test(a_spawn_that_fails_later_is_tried_again),
        };

        return cmocka_run_group_tests_name("supervisor_spawner", tests, NULL, NULL);
}
