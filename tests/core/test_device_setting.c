/* What an operator sets at a device: taken, refused, kept, and told to successors.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/core/supervisor.h"
#include "tests/core/world.h"

static struct world world;
static unsigned n_done;
static int done_error;

static void on_done(void *context, int error)
{
        assert_ptr_equal(context, &world);
        n_done++;
        done_error = error;
}

static const struct control_setting down = {SETTING_LINK, 0, 0}, up = {SETTING_LINK, 0, 1},
                                    size = {SETTING_SIZE, 2, 80 | 25 << 16};

static void begin(void)
{
        n_done = 0;
        world_init(&world, 1);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
}

/* Asks until the last one is long enough ago. */
static int set(const struct control_setting *setting)
{
        unsigned before = n_done;
        int r;

        do {
                r = device_set(world.device, setting, on_done, &world);
                world_step(&world);
        } while (r == -EBUSY);
        if (r < 0)
                return r;
        world_until(&world, n_done == before + 1);
        return done_error;
}

/* The nth setting that this worker was told. */
static const struct control_setting *told(unsigned n)
{
        for (unsigned i = 0; i < world.puppet.n_messages; i++)
                if (world.puppet.messages[i].kind == CONTROL_SET && n-- == 0)
                        return &world.puppet.messages[i].set;
        return NULL;
}

static void a_setting_reaches_the_worker_and_its_answer_comes_back(void **state)
{
        (void)state;
        begin();
        assert_int_equal(set(&size), 0);
        assert_memory_equal(told(0), &size, sizeof(size));
        world.refuse_kind = CONTROL_SET;
        world.refuse_error = -EOPNOTSUPP;
        assert_int_equal(set(&down), -EOPNOTSUPP);
        assert_int_equal(world_state(&world), WORKER_SERVING);
        world_done(&world);
}

static void settings_come_one_at_a_time_and_not_too_fast(void **state)
{
        (void)state;
        begin();
        world.deaf = true;
        assert_int_equal(device_set(world.device, &down, on_done, &world), 0);
        assert_int_equal(n_done, 0); /* never from inside */
        assert_int_equal(device_set(world.device, &up, on_done, &world), -EBUSY);
        world_until(&world, n_done == 1); /* it answers nothing, and is killed for that */
        assert_int_equal(done_error, -EAGAIN);
        assert_int_equal(device_set(world.device, &up, on_done, &world), -EAGAIN);
        world.deaf = false;
        world_until(&world, world_state(&world) == WORKER_SERVING);
        assert_int_equal(set(&up), 0);
        assert_int_equal(device_set(world.device, &down, on_done, &world),
                         -EBUSY); /* the next is too early */
        world_done(&world);
}

static void a_successor_is_told_what_was_taken_before_it_serves(void **state)
{
        unsigned spawns;

        (void)state;
        begin();
        assert_int_equal(set(&down), 0);
        assert_int_equal(set(&size), 0);
        assert_int_equal(set(&up), 0); /* in the place of the first */
        world.refuse_kind = CONTROL_SET;
        world.refuse_error = -EINVAL;
        assert_int_equal(set(&down), -EINVAL); /* this is not kept */
        world.refuse_kind = 0;
        for (unsigned i = 0; i < 2; i++) {
                spawns = world.n_spawns;
                if (i == 0)
                        world_kill_worker(&world);
                else
                        device_reset(world.device);
                world_until(&world, world.n_spawns == spawns + 1);
                world_until(&world, world_state(&world) == WORKER_SERVING);
                assert_int_equal(world_told(&world, CONTROL_SET), 2);
                assert_memory_equal(told(0), &up, sizeof(up));
                assert_memory_equal(told(1), &size, sizeof(size));
        }
        world_done(&world);
}

static void a_successor_that_will_not_take_it_serves_without(void **state)
{
        (void)state;
        begin();
        assert_int_equal(set(&up), 0);
        world.refuse_kind = CONTROL_SET;
        world.refuse_error = -EOPNOTSUPP;
        world_kill_worker(&world);
        world_until(&world, world_state(&world) != WORKER_SERVING);
        world_until(&world, world_state(&world) == WORKER_SERVING);
        world_post(&world, 0, 10);
        world_until(&world, world_answered(&world, 0));
        world_done(&world);
}

/* It is nothing of a guest's. */
static void a_reset_leaves_a_worker_that_knows_settings_alone(void **state)
{
        unsigned spawns;

        (void)state;
        world_init(&world, 1);
        world_until(&world, world_state(&world) == WORKER_SERVING);
        assert_int_equal(set(&up), 0);
        spawns = world.n_spawns;
        device_reset(world.device);
        world_wait(&world, 100);
        assert_int_equal(world.n_spawns, spawns);
        assert_int_equal(world_state(&world), WORKER_SERVING);
        world_done(&world);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_setting_reaches_the_worker_and_its_answer_comes_back),
            cmocka_unit_test(settings_come_one_at_a_time_and_not_too_fast),
            cmocka_unit_test(a_successor_is_told_what_was_taken_before_it_serves),
            cmocka_unit_test(a_successor_that_will_not_take_it_serves_without),
            cmocka_unit_test(a_reset_leaves_a_worker_that_knows_settings_alone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
