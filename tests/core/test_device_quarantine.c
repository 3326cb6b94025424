/* A quarantined device: its guest sees errors, not a device that hangs.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/features.h"
#include "broker/core/supervisor.h"
#include "tests/core/world.h"

#define STATUS_IOERR 1 /* virtio 1.3, 5.2.6 */

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

/* Its next worker describes another device. */
static void quarantine(void)
{
        world.hello.features ^= FEATURE_BIT(6);
        world_kill_worker(&world);
        world_until(&world, world.n_quarantined == 1);
        world.hello.features ^= FEATURE_BIT(6);
}

static uint8_t *status_byte(void)
{
        return model_at(&world.guest, MODEL_BUFFERS + 0x10000);
}

static void fails(unsigned queue)
{
        *status_byte() = 0x55;
        world_post(&world, queue, 7);
        world_until(&world, world_answered(&world, queue));
        assert_int_equal(*status_byte(), STATUS_IOERR);
}

static void what_is_outstanding_and_what_comes_fails(void **state)
{
        struct admin_device status = {0};

        (void)state;
        serving_guest();
        *status_byte() = 0x55;
        world_post(&world, 0, 5);
        world_post(&world, 1, 6);
        world_until(&world, world.n_seen == 2);
        quarantine();
        world_until(&world, world_answered(&world, 0));
        world_until(&world, world_answered(&world, 1));
        assert_int_equal(*status_byte(), STATUS_IOERR);
        world_until(&world, world.n_broken == 2); /* the front end is told of each ring */
        for (unsigned i = 0; i < 100; i++)
                fails(i % 2);
        assert_int_equal(world.n_broken, 2);
        assert_int_equal(world_state(&world), WORKER_QUARANTINED);
        device_status(world.device, &status);
        assert_int_equal(status.state, ADMIN_QUARANTINED);
        assert_string_equal(status.why, "its worker keeps dying without completing a request");
        world_done(&world);
}

static void a_ring_that_starts_later_fails_too_and_is_told(void **state)
{
        (void)state;
        serving_guest();
        quarantine();
        world_until(&world, world.n_broken == 2);
        device_queue_stop(world.device, 0, world_stopped, &world);
        world_until(&world, world.n_stopped == 1);
        *status_byte() = 0x55;
        world_post(&world, 0, 5); /* while it is stopped */
        world_start_queue(&world, 0, world.base);
        world_until(&world, world_answered(&world, 0));
        assert_int_equal(*status_byte(), STATUS_IOERR);
        world_until(&world, world.n_broken == 3);
        fails(0);
        world_done(&world);
}

static void a_stop_is_answered_at_once_with_everything_failed(void **state)
{
        uint64_t start;

        (void)state;
        serving_guest();
        for (unsigned i = 0; i < 20; i++)
                world_post(&world, 0, 5);
        world_until(&world, world.n_seen == 20);
        quarantine();
        start = uv_hrtime();
        device_queue_stop(world.device, 0, world_stopped, &world);
        world_until(&world, world.n_stopped == 1);
        assert_true(uv_hrtime() - start < LIMIT_DRAIN_MS * UINT64_C(1000000));
        for (unsigned i = 0; i < 20; i++)
                assert_true(world_answered(&world, 0));
        assert_int_equal(world.base, 21);
        world_done(&world);
}

static void a_stop_that_waits_ends_with_the_quarantine(void **state)
{
        (void)state;
        serving_guest();
        world_post(&world, 0, 5);
        world_until(&world, world.n_seen == 1);
        world_kill_spawner(&world);
        world_until(&world, world.gone);
        device_queue_stop(world.device, 0, world_stopped, &world);
        world_kill_worker(&world); /* and that is the end of it, at once */
        world_until(&world, world.n_stopped == 1);
        assert_int_equal(world.n_quarantined, 1);
        assert_true(world_answered(&world, 0));
        world_done(&world);
}

static void a_ring_that_its_guest_broke_before_stays_silent(void **state)
{
        (void)state;
        serving_guest();
        world_post(&world, 0, 5);
        world_until(&world, world.n_seen == 1);
        model_post(&world.guest, 0, &(struct model_buffer){MODEL_END, 4, false}, 1);
        world_until(&world, world.n_broken == 1);
        quarantine();
        fails(1);
        assert_false(world_answered(&world, 0));
        world_done(&world);
}

/* The new rings' requests are the new worker's, not failures of the old quarantine. */
static void a_reset_ends_it_and_nothing_more_is_failed(void **state)
{
        struct admin_device status = {0};

        (void)state;
        serving_guest();
        quarantine();
        world.silent = true;
        device_reset(world.device);
        device_status(world.device, &status);
        assert_int_equal(status.state, ADMIN_RESTARTING); /* neither quarantined nor broken */
        assert_string_equal(status.why, "");
        for (unsigned i = 0; i < 2; i++)
                model_queue_reset(&world.guest, i);
        assert_int_equal(device_commit_features(world.device, world_features(&world)), 0);
        world_start_queue(&world, 0, 0);
        world_post(&world, 0, 5);
        world_until(&world, world_state(&world) == WORKER_GREETING);
        world_wait(&world, 20);
        assert_false(world_answered(&world, 0));
        world.idle = world.silent = false;
        world_send(&world, &(struct control_to_broker){.kind = CONTROL_HELLO, .hello = world.hello});
        *status_byte() = 0x55;
        world_until(&world, world_answered(&world, 0));
        assert_int_equal(world.n_seen, 1);
        world_done(&world);
}

/* A driver spins until a command has been answered, or a line of a console's been used. */
static void a_network_s_commands_fail_and_its_buffers_wait(void **state)
{
        (void)state;
        world_init_as(&world, 1, DEVICE_TYPE_NET);
        world.hello.queue_kind[0] = QUEUE_SUPPLY;
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        world_start_queue(&world, 1, 0);
        world.idle = true;
        world_post(&world, 0, 5);
        world_post(&world, 1, 6);
        *status_byte() = 0x55;
        world_until(&world, world.n_seen == 2);
        quarantine();
        world_until(&world, world.n_broken == 2);
        world_until(&world, world_answered(&world, 1));
        assert_int_equal(*status_byte(), 1); /* VIRTIO_NET_ERR */
        fails(1);
        assert_false(world_answered(&world, 0));
        device_queue_stop(world.device, 0, world_stopped, &world);
        world_until(&world, world.n_stopped == 1);
        assert_int_equal(world.base, 0); /* it is in the ring again */
        device_queue_stop(world.device, 1, world_stopped, &world);
        world_until(&world, world.n_stopped == 2);
        assert_int_equal(world.base, 2);
        world_done(&world);
}

static void a_type_without_an_error_stays_unanswered(void **state)
{
        (void)state;
        world_init_as(&world, 1, DEVICE_TYPE_RNG);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        world.idle = true;
        world_post(&world, 0, 5);
        world_until(&world, world.n_seen == 1);
        quarantine();
        world_until(&world, world.n_broken == 1);
        world_post(&world, 0, 6);
        world_wait(&world, 20);
        assert_false(world_answered(&world, 0));
        device_queue_stop(world.device, 0, world_stopped, &world);
        world_until(&world, world.n_stopped == 1);
        world_done(&world);
}

/* The spawner is dead: the worker's death is the device's, and the guest is told by errors. */
static void without_a_spawner_the_guest_sees_errors_when_the_worker_dies(void **state)
{
        (void)state;
        serving_guest();
        world_kill_spawner(&world);
        world_until(&world, world.gone);
        world.idle = false;
        world_post(&world, 0, 5);
        world_until(&world, world_answered(&world, 0));
        assert_int_equal(world.n_quarantined, 0);
        world_kill_worker(&world);
        world_until(&world, world.n_quarantined == 1);
        fails(0);
        fails(1);
        world_done(&world);
}

static void a_reset_in_quarantine_without_a_spawner_comes_back_to_it(void **state)
{
        (void)state;
        serving_guest();
        world_kill_spawner(&world);
        world_until(&world, world.gone);
        world_kill_worker(&world);
        world_until(&world, world.n_quarantined == 1);
        device_reset(world.device);
        world_until(&world, world.n_quarantined == 2);
        model_queue_reset(&world.guest, 0);
        assert_int_equal(device_commit_features(world.device, world_features(&world)), 0);
        world_start_queue(&world, 0, 0);
        fails(0);
        world_done(&world);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_is_outstanding_and_what_comes_fails),
            cmocka_unit_test(a_ring_that_starts_later_fails_too_and_is_told),
            cmocka_unit_test(a_stop_is_answered_at_once_with_everything_failed),
            cmocka_unit_test(a_stop_that_waits_ends_with_the_quarantine),
            cmocka_unit_test(a_ring_that_its_guest_broke_before_stays_silent),
            cmocka_unit_test(a_reset_ends_it_and_nothing_more_is_failed),
            cmocka_unit_test(a_network_s_commands_fail_and_its_buffers_wait),
            cmocka_unit_test(a_type_without_an_error_stays_unanswered),
            cmocka_unit_test(without_a_spawner_the_guest_sees_errors_when_the_worker_dies),
            cmocka_unit_test(a_reset_in_quarantine_without_a_spawner_comes_back_to_it),
        };

        return cmocka_run_group_tests_name("device_quarantine", tests, NULL, NULL);
}
