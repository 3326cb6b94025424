/* Eventfds that a front end has made blocking and filled: nobody waits for them.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/supervisor.h"
#include "tests/core/world.h"

#define SECOND   UINT64_C(1000000000)
#define LIFE_SEC 20 /* of one test: a main thread that waits for its lane looks at no deadline */

static struct world world;

static void serving_guest(void)
{
        alarm(LIFE_SEC);
        world_init(&world, 2);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        world_start_queue(&world, 1, 0);
        for (unsigned i = 0; i < 2; i++) {
                world_post(&world, i, 5);
                world_until(&world, world_answered(&world, i));
        }
}

/* The next write to it waits until somebody reads. */
static void fill(int fd)
{
        uint64_t value = UINT64_MAX - 1;
        uint64_t old;

        (void)!read(fd, &old, sizeof(old));
        assert_int_equal(write(fd, &value, sizeof(value)), sizeof(value));
        assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
}

/* The lane of queue 0 is in a write that does not end; the worker has answered the request. */
static void hold_the_lane(void)
{
        unsigned seen = world.n_seen;

        fill(world.guest.queues[0].call);
        world_post(&world, 0, 6);
        world_until(&world, world.n_seen > seen && world_answered(&world, 0));
}

static void a_stop_is_answered_though_an_interrupt_holds_its_lane(void **state)
{
        uint64_t start;

        (void)state;
        serving_guest();
        hold_the_lane();
        start = uv_hrtime();
        device_queue_stop(world.device, 0, world_stopped, &world);
        world_until(&world, world.n_stopped == 1);
        assert_true(uv_hrtime() - start < SECOND);
        assert_int_equal(world.base, 2);
        assert_int_equal(world.n_spawns, 1);
        world_post(&world, 1, 5); /* the other queue never noticed */
        world_until(&world, world_answered(&world, 1));
        world_done(&world);
}

static void a_ring_whose_interrupt_holds_its_lane_is_broken(void **state)
{
        (void)state;
        serving_guest();
        hold_the_lane();
        assert_int_equal(device_set_memory(world.device, world.guest.memory), 0); /* any call gets it out */
        world_until(&world, world.n_broken == 1);
        world_post(&world, 0, 7);
        world_wait(&world, 20);
        assert_false(world_answered(&world, 0));
        world_done(&world);
}

/* It was made non-blocking when it was taken, but the open file is shared. */
static void an_interrupt_that_came_later_may_hold_its_lane_too(void **state)
{
        uint64_t start;
        int call;

        (void)state;
        serving_guest();
        call = eventfd(0, EFD_CLOEXEC);
        assert_int_equal(device_queue_set_call(world.device, 0, call), 0);
        assert_true(fcntl(call, F_GETFL) & O_NONBLOCK);
        fill(call);
        world_post(&world, 0, 8);
        world_until(&world, world_answered(&world, 0));
        start = uv_hrtime();
        assert_int_equal(device_queue_set_call(world.device, 0, -1), 0);
        assert_true(uv_hrtime() - start < SECOND);
        world_until(&world, world.n_broken == 1);
        close(call);
        world_done(&world);
}

static void a_device_is_freed_though_an_interrupt_holds_its_lane(void **state)
{
        uint64_t start;

        (void)state;
        serving_guest();
        hold_the_lane();
        start = uv_hrtime();
        world_done(&world);
        assert_true(uv_hrtime() - start < SECOND);
}

static void a_reset_is_done_though_an_interrupt_holds_its_lane(void **state)
{
        uint64_t start;

        (void)state;
        serving_guest();
        hold_the_lane();
        start = uv_hrtime();
        device_reset(world.device);
        assert_true(uv_hrtime() - start < SECOND);
        model_queue_reset(&world.guest, 1);
        world_serve(&world);
        world_start_queue(&world, 1, 0);
        world_post(&world, 1, 5);
        world_until(&world, world_answered(&world, 1));
        world_done(&world);
}

static void a_signal_that_would_wait_is_given_up(void **state)
{
        uint64_t value, start;
        int fd;

        (void)state;
        serving_guest();
        fd = eventfd(0, EFD_CLOEXEC);
        assert_true(device_signal(world.device, fd));
        assert_int_equal(read(fd, &value, sizeof(value)), sizeof(value));
        assert_int_equal(value, 1);
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        fill(fd);
        start = uv_hrtime();
        assert_false(device_signal(world.device, fd));
        assert_true(uv_hrtime() - start < SECOND);
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        assert_true(device_signal(world.device, fd)); /* full: it has been told already */
        close(fd);
        world_done(&world);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_stop_is_answered_though_an_interrupt_holds_its_lane),
            cmocka_unit_test(a_ring_whose_interrupt_holds_its_lane_is_broken),
            cmocka_unit_test(an_interrupt_that_came_later_may_hold_its_lane_too),
            cmocka_unit_test(a_device_is_freed_though_an_interrupt_holds_its_lane),
            cmocka_unit_test(a_reset_is_done_though_an_interrupt_holds_its_lane),
            cmocka_unit_test(a_signal_that_would_wait_is_given_up),
        };

        return cmocka_run_group_tests_name("device_signals", tests, NULL, NULL);
}
