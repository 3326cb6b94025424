/* A device whose worker walks its own rings: what it is told, what its driver is offered, and what becomes of both when queues stop,
 * the device is reset or the worker misbehaves.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/core/supervisor.h"
#include "proto/admin.h"
#include "proto/device/sample.h"
#include "tests/core/world.h"

#define WINDOW (MODEL_PART + 0x1000) /* all of the low part, and a page of the high one */
#define A      MODEL_BUFFERS

static struct world world;

static void configure(struct device_config *config)
{
        config->options.value[SAMPLE_OPTION_SIZE].number = 1 << 20;
        config->memory =
            (struct device_memory){.n_windows = 1, .windows = {{MODEL_LOW, WINDOW}}, .raw = true};
}

static void begin(void)
{
        world_init_with(&world, 1, DEVICE_TYPE_SAMPLE, configure, &(struct device_front){0});
        world.idle = true;
}

static void serving(uint32_t base)
{
        begin();
        world_serve(&world);
        world_start_queue(&world, 0, base);
        world_until(&world, world.n_seen == 1);
}

static void say(const struct lane_to_broker *message, const void *payload, size_t len)
{
        fake_worker_send(&world.puppet.lanes[0], message, payload, len);
}

static void taken(uint32_t next)
{
        say(&(struct lane_to_broker){.kind = LANE_TAKEN, .taken = {0, next}}, NULL, 0);
}

static void complete(void)
{
        fake_worker_complete(&world.puppet.lanes[0], world.seen[world.n_seen - 1].id, 0, NULL, 0);
}

static void put(uint64_t at)
{
        const uint32_t len = 4;

        say(&(struct lane_to_broker){.kind = LANE_RAW_WRITE, .raw = {.n = 1, .at = &at, .len = &len}}, "puts",
            len);
}

/* The last that a worker was told of its ring. */
static const struct control_start_queue *told(void)
{
        const struct puppet *puppet = &world.puppet;

        for (unsigned i = puppet->n_messages; i > 0; i--)
                if (puppet->messages[i - 1].kind == CONTROL_START_QUEUE)
                        return &puppet->messages[i - 1].start_queue;
        fail_msg("it was told of none");
        return NULL;
}

static void its_worker_is_told_of_window_and_ring_and_no_other_is(void **state)
{
        const struct queue_layout *layout = &world.guest.queues[0].layout;

        (void)state;
        serving(77);
        assert_int_equal(world.puppet.messages[0].kind, CONTROL_CONFIGURE);
        assert_int_equal(world.puppet.messages[0].configure.raw.start, MODEL_LOW);
        assert_int_equal(world.puppet.messages[0].configure.raw.size, WINDOW);
        assert_int_equal(told()->size, layout->size);
        assert_int_equal(told()->desc, layout->desc.v);
        assert_int_equal(told()->avail, layout->avail.v);
        assert_int_equal(told()->used, layout->used.v);
        assert_int_equal(told()->next, 77);
        assert_int_equal(world.seen[0].readable, 0);
        world_done(&world);
        world_init(&world, 1);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        world_until(&world, world_told(&world, CONTROL_START_QUEUE) == 1);
        assert_int_equal(world.puppet.messages[0].configure.raw.size, 0);
        assert_int_equal(told()->desc + told()->avail + told()->used + told()->next, 0);
        world_done(&world);
}

static void its_driver_is_offered_nothing_that_the_broker_s_walk_serves(void **state)
{
        static struct admin_device status;

        (void)state;
        serving(0);
        assert_int_equal(device_features(world.device) & FEATURES_OF_WALKERS, 0);
        assert_int_not_equal(device_features(world.device) & FEATURE_BIT(VIRTIO_F_VERSION_1_BIT), 0);
        assert_int_equal(device_commit_features(world.device, ~UINT64_C(0)),
                         0); /* the same: the rest is cleared */
        device_status(world.device, &status);
        assert_true(status.windows.raw);
        assert_int_equal(status.windows.n, 1);
        assert_int_equal(status.windows.bytes, WINDOW);
        world_done(&world);
        world_init(&world, 1);
        world_serve(&world);
        assert_int_equal(device_features(world.device) & FEATURES_OF_WALKERS, FEATURES_OF_WALKERS);
        device_status(world.device, &status);
        assert_false(status.windows.raw);
        world_done(&world);
}

static void a_stop_gives_the_place_that_the_worker_has_said(void **state)
{
        (void)state;
        serving(3);
        device_queue_stop(world.device, 0, world_stopped, &world);
        world_wait(&world, 20);
        assert_int_equal(world.n_stopped, 0);
        taken(9);
        complete();
        world_until(&world, world.n_stopped == 1);
        assert_int_equal(world.base, 9);
        world_start_queue(&world, 0, 9);
        world_until(&world, world.n_seen == 2);
        assert_int_equal(told()->next, 9);
        assert_int_equal(world.n_spawns, 1);
        world_done(&world);
}

/* The one that does not end in time is killed; its successor is told how far it said to be, and asked for nothing more. */
static void a_stop_ends_without_a_worker_that_answers(void **state)
{
        (void)state;
        serving(3);
        taken(6);
        device_queue_stop(world.device, 0, world_stopped, &world);
        world_until(&world, world.n_seen == 2);
        assert_int_equal(world.n_spawns, 2);
        assert_int_equal(told()->next, 6);
        assert_int_equal(world.seen[1].must_fail, 1);
        complete();
        world_until(&world, world.n_stopped == 1);
        assert_int_equal(world.base, 6);
        assert_int_equal(world.n_broken, 0);
        world_start_queue(&world, 0, 6);
        world_until(&world, world.n_seen == 3);
        device_queue_stop(world.device, 0, world_stopped, &world);
        world_until(&world, world.n_stopped == 2); /* and without any that does */
        assert_int_equal(world.base, 6);
        world_done(&world);
}

static void a_worker_that_hangs_on_a_kick_is_replaced(void **state)
{
        (void)state;
        serving(0);
        taken(4);
        world_until(&world, world.n_seen == 2); /* LIMIT_REQUEST_AGE_MS */
        assert_int_equal(world.n_spawns, 2);
        assert_int_equal(world.seen[1].attempt, 1);
        assert_int_equal(told()->next, 4);
        complete();
        world_until(&world, model_signals(&world.guest, 0) == 1);
        world_done(&world);
}

static void who_reaches_outside_is_dead_before_anything_is_there(void **state)
{
        static const uint64_t places[] = {MODEL_LOW - 1, MODEL_LOW + WINDOW - 3, MODEL_END - 4, MODEL_END, 0};

        (void)state;
        for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
                serving(0);
                model_fill(&world.guest, MODEL_LOW, 16, 0x3c);
                model_fill(&world.guest, MODEL_LOW + WINDOW - 16, 32, 0x3c);
                model_fill(&world.guest, MODEL_END - 16, 16, 0x3c);
                put(A);
                put(places[i]);
                world_until(&world, world.n_spawns == 2);
                assert_true(model_is(&world.guest, MODEL_LOW, 16, 0x3c));
                assert_true(model_is(&world.guest, MODEL_LOW + WINDOW - 16, 32, 0x3c));
                assert_true(model_is(&world.guest, MODEL_END - 16, 16, 0x3c));
                assert_memory_equal(model_at(&world.guest, A), "puts", 4); /* what came before was good */
                assert_int_equal(world.n_broken, 0);
                world_until(&world, world.n_seen == 2); /* and its successor is asked the same */
                complete();
                world_until(&world, model_signals(&world.guest, 0) == 1);
                world_done(&world);
        }
}

static void a_reset_forgets_kick_and_place(void **state)
{
        (void)state;
        serving(0);
        taken(5);
        device_reset(world.device);
        world_until(&world, world.n_spawns == 2 && world_state(&world) == WORKER_SERVING);
        assert_int_equal(device_commit_features(world.device, world_features(&world)), 0);
        world_start_queue(&world, 0, 0);
        world_until(&world, world.n_seen == 2);
        assert_int_equal(told()->next, 0);
        assert_int_equal(world.seen[1].attempt, 0);
        complete();
        world_until(&world, model_signals(&world.guest, 0) == 1);
        world_done(&world);
}

static void a_ring_outside_does_not_start(void **state)
{
        static struct admin_device status;
        struct queue_layout layout;

        (void)state;
        begin();
        world_serve(&world);
        layout = world.guest.queues[0].layout;
        layout.used = GPA(MODEL_LOW + WINDOW); /* there is memory, but not for this device */
        assert_int_equal(device_queue_start(world.device, 0, &layout, 0, world.guest.queues[0].kick, -1),
                         -EFAULT);
        device_status(world.device, &status);
        assert_int_equal(status.windows.refused, 1);
        world_start_queue(&world, 0, 0);
        world_until(&world, world.n_seen == 1);
        world_done(&world);
}

static void who_does_not_say_that_kicks_may_come_twice_is_refused(void **state)
{
        (void)state;
        for (unsigned i = 0; i < 3; i++) {
                begin();
                if (i == 1)
                        world.hello.queue_kind[0] = QUEUE_SUPPLY;
                if (i == 2)
                        world.hello.queue_replay[0] = REPLAY_AT_MOST_ONCE;
                if (i == 0)
                        world_until(&world, world.n_ready == 1);
                else
                        world_until(&world, world.n_quarantined == 1);
                world_done(&world);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test(its_worker_is_told_of_window_and_ring_and_no_other_is),
            cmocka_unit_test(its_driver_is_offered_nothing_that_the_broker_s_walk_serves),
            cmocka_unit_test(a_stop_gives_the_place_that_the_worker_has_said),
            cmocka_unit_test(a_stop_ends_without_a_worker_that_answers),
            cmocka_unit_test(a_worker_that_hangs_on_a_kick_is_replaced),
            cmocka_unit_test(who_reaches_outside_is_dead_before_anything_is_there),
            cmocka_unit_test(a_reset_forgets_kick_and_place),
            cmocka_unit_test(a_ring_outside_does_not_start),
            cmocka_unit_test(who_does_not_say_that_kicks_may_come_twice_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
