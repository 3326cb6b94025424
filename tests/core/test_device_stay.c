/* A whole device whose worker is promised more while requests keep coming: the lane's thread wakes it when no more do.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/core/world.h"

static struct world world;

static void serve_one(void)
{
        world_post(&world, 0, 5);
        world_until(&world, world_answered(&world, 0));
        world.n_seen = 0;
}

/* On a busy machine one may come too late: then the row begins anew. */
static void serve_until_it_stays(void)
{
        const uint64_t end = uv_hrtime() + WORLD_NEVER_NS;

        do {
                world.n_wakes =
                    0; /* it may come while we are off our CPU, and be seen together with the promise */
                serve_one();
                assert_true(uv_hrtime() < end);
        } while (!world.stays);
}

static void it_is_woken_once_when_no_more_comes(void **state)
{
        (void)state;
        world_init(&world, 1);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        for (unsigned i = 0; i < 3; i++) {
                serve_until_it_stays();
                world_until(&world, world.n_wakes == 1);
                world_wait(&world, 4 * LIMIT_STAY_MS);
                assert_int_equal(world.n_wakes, 1);
        }
        assert_int_equal(world.n_spawns, 1);
        world_done(&world);
}

static void the_frame_behind_a_word_on_control_says_so(void **state)
{
        const uint8_t value = 1;

        (void)state;
        world_init(&world, 1);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        serve_one();
        assert_true(world.looks); /* there was StartQueue */
        for (unsigned i = 1; i <= 3; i++) {
                for (unsigned k = 0; k < 3; k++) {
                        serve_one();
                        assert_false(world.looks);
                }
                assert_int_equal(device_config_write(world.device, 32, 1, &value, world_written, &world), 0);
                serve_one();
                assert_true(world.looks);
                world_until(&world, world.n_written == i);
        }
        world_done(&world);
}

static void on_two_lanes_nothing_is_promised(void **state)
{
        (void)state;
        world_init(&world, 2);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        for (unsigned i = 0; i < 4 * LIMIT_STAY_FRAMES; i++) {
                serve_one();
                assert_false(world.stays);
        }
        world_wait(&world, 4 * LIMIT_STAY_MS);
        assert_int_equal(world.n_wakes, 0);
        world_done(&world);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(it_is_woken_once_when_no_more_comes),
            cmocka_unit_test(the_frame_behind_a_word_on_control_says_so),
            cmocka_unit_test(on_two_lanes_nothing_is_promised),
        };

        return cmocka_run_group_tests_name("device_stay", tests, NULL, NULL);
}
