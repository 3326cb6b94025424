/* A whole device with a rate: its lanes share it, in real time, and nothing but reading chains waits for it.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/core/supervisor.h"
#include "proto/admin.h"
#include "tests/core/world.h"

#define OPS    100u
#define BURST  10u
#define POSTED 30u /* of the 32 that a ring holds */

static struct world world;

static void serving_guest(void)
{
        world_init(&world, 2);
        world.config.rate = (struct device_rate){.ops = OPS, .ops_burst = BURST};
        world_serve(&world);
        for (unsigned queue = 0; queue < 2; queue++)
                world_start_queue(&world, queue, 0);
}

static uint64_t throttled(void)
{
        struct admin_device status = {0};

        device_status(world.device, &status);
        assert_int_equal(status.rate_ops, OPS);
        return status.throttled;
}

static void lanes_share_one_rate_and_each_gets_some(void **state)
{
        unsigned answered[2] = {0}, first_done = 0;
        uint64_t start;

        (void)state;
        serving_guest();
        start = uv_hrtime();
        for (unsigned i = 0; i < POSTED; i++)
                for (unsigned queue = 0; queue < 2; queue++)
                        world_post(&world, queue, 5);
        while (answered[0] + answered[1] < 2 * POSTED) {
                for (unsigned queue = 0; queue < 2; queue++) {
                        if (answered[queue] < POSTED)
                                answered[queue] += world_answered(&world, queue);
                        if (answered[queue] == POSTED && first_done == 0)
                                first_done = answered[!queue];
                }
                world_step(&world);
                assert_true(uv_hrtime() - start < UINT64_C(20000000000));
        }
        /* 60 of 100 a second, less the burst and what two lanes may overdraw */
        assert_true(uv_hrtime() - start >= (2 * POSTED - BURST - 2) * UINT64_C(1000000000) / OPS);
        assert_true(first_done >= 10);
        assert_true(throttled() >= 2);
        world_done(&world);
}

/* Else a guest would have as many bursts as resets. */
static void a_reset_does_not_fill_the_bucket(void **state)
{
        uint64_t start = 0;

        (void)state;
        serving_guest();
        for (unsigned i = 0; i < POSTED; i++)
                world_post(&world, 0, 5);
        world_until(&world, throttled() > 0);
        start = uv_hrtime();
        device_reset(world.device);
        assert_true(uv_hrtime() - start < UINT64_C(1000000000)); /* and waits for no rate itself */
        model_queue_reset(&world.guest, 0);
        world_until(&world, world_state(&world) == WORKER_SERVING);
        world_start_queue(&world, 0, 0);
        world.n_seen = 0;
        for (unsigned i = 0; i < 2 * BURST; i++)
                world_post(&world, 0, 5);
        for (unsigned i = 0; i < 2 * BURST; i++)
                world_until(&world, world_answered(&world, 0));
        assert_true(uv_hrtime() - start >= BURST * UINT64_C(1000000000) / OPS);
        world_done(&world);
}

static void a_stop_is_answered_while_the_rate_holds_the_rest_back(void **state)
{
        (void)state;
        serving_guest();
        for (unsigned i = 0; i < POSTED; i++)
                world_post(&world, 0, 5);
        world_until(&world, throttled() > 0);
        device_queue_stop(world.device, 0, world_stopped, &world);
        world_until(&world, world.n_stopped == 1);
        assert_in_range(world.base, BURST, POSTED - 1);
        assert_int_equal(world.n_spawns, 1); /* nobody was killed for it */
        world_done(&world);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(lanes_share_one_rate_and_each_gets_some),
            cmocka_unit_test(a_reset_does_not_fill_the_bucket),
            cmocka_unit_test(a_stop_is_answered_while_the_rate_holds_the_rest_back),
        };

        return cmocka_run_group_tests_name("device_rate", tests, NULL, NULL);
}
