/* A real device with lanes and a puppet worker, driven by its registers alone.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/features.h"
#include "broker/core/supervisor.h"
#include "proto/base/log.h"
#include "tests/kvm/mmio_world.h"

#define FIELD      (VIRTIO_MMIO_CONFIG + 32) /* the one that may be written, of one byte */
#define STORM      300u
#define RESTARTS   20u
#define REWRITINGS 100u

static struct mmio_world mmio;
static struct world *const world = &mmio.world;
static struct mmio_bus *const bus = &mmio.bus;

static void driven(void)
{
        log_init("mmio", LOG_LEVEL_ERROR);
        mmio_world_init(&mmio, 2);
        mmio_world_drive(&mmio);
}

static unsigned restarts(void)
{
        return world->n_spawns - 1;
}

/* ---- requests ---- */

static void requests_are_served_with_interrupts(void **state)
{
        struct virtio_mmio_counters counters;

        (void)state;
        driven();
        for (unsigned i = 0; i < 50; i++)
                mmio_world_request(&mmio, i % 2);
        assert_int_equal(bus_read(bus, VIRTIO_MMIO_STATUS), STATUS_LIVE);
        virtio_mmio_count(bus->mmio, &counters);
        assert_int_equal(counters.notifies, 0); /* no kick came as an access */
        assert_int_equal(counters.refused, 0);
        assert_int_equal(counters.interrupt_acks, 50);
        mmio_world_done(&mmio);
}

static void what_was_posted_before_driver_ok_is_served_after_it(void **state)
{
        (void)state;
        mmio_world_init(&mmio, 1);
        mmio_world_negotiate(&mmio);
        world->guest.queues[0].event_idx = true;
        bus_set_up(bus, 0, &world->guest.queues[0].layout);
        world_post(world, 0, 5);
        world_wait(world, 10);
        assert_int_equal(world->n_seen, 0);
        assert_false(world_answered(world, 0));
        bus_live(bus);
        world_until(world, world_answered(world, 0));
        mmio_world_done(&mmio);
}

static void a_kick_that_comes_as_an_access_is_served(void **state)
{
        int nowhere;

        (void)state;
        driven();
        mmio_world_request(&mmio, 1);
        nowhere = eventfd(0, EFD_CLOEXEC);
        assert_int_equal(dup3(nowhere, world->guest.queues[1].kick, O_CLOEXEC), world->guest.queues[1].kick);
        world_post(world, 1, 7);
        world_wait(world, 10);
        assert_false(world_answered(world, 1)); /* nobody has heard of it */
        bus_write(bus, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
        world_until(world, world_answered(world, 1));
        close(nowhere);
        mmio_world_done(&mmio);
}

static void a_worker_s_death_is_not_seen_in_any_register(void **state)
{
        (void)state;
        driven();
        mmio_world_request(&mmio, 0);
        world->idle = true;
        world_post(world, 0, 9);
        world_until(world, world->n_seen == 2);
        world_kill_worker(world);
        world->idle = false;
        world_until(world, world_answered(world, 0));
        assert_int_equal(bus_read(bus, VIRTIO_MMIO_STATUS), STATUS_LIVE);
        mmio_world_request(&mmio, 1);
        mmio_world_done(&mmio);
}

static void packed_rings_are_negotiated_and_started(void **state)
{
        uint64_t all;

        (void)state;
        mmio_world_init(&mmio, 1);
        all = bus_offered(bus);
        assert_true(all & FEATURE_BIT(VIRTIO_F_RING_PACKED_BIT));
        bus_negotiate(bus, all);
        model_queue_reset(&world->guest, 0);
        bus_set_up(bus, 0, &world->guest.queues[0].layout);
        bus_live(bus);
        assert_int_equal(bus_read(bus, VIRTIO_MMIO_STATUS), STATUS_LIVE);
        assert_true(device_queue_running(world->device, 0));
        mmio_world_done(&mmio);
}

/* ---- resets ---- */

static void a_driver_may_start_again_many_times(void **state)
{
        (void)state;
        driven();
        for (unsigned i = 0; i < RESTARTS; i++) {
                world->idle = i % 2; /* with and without a request that is not answered any more */
                if (world->idle) {
                        unsigned seen = world->n_seen;

                        world_post(world, 0, 5);
                        world_until(world, world->n_seen > seen);
                }
                bus_write(bus, VIRTIO_MMIO_STATUS, 0);
                assert_int_equal(bus_read(bus, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
                assert_int_equal(bus_n_tied(bus), 0);
                world->idle = false;
                mmio_world_drive(&mmio);
                mmio_world_request(&mmio, i % 2);
        }
        assert_true(restarts() <= 2 * RESTARTS);
        mmio_world_done(&mmio);
}

/* At any step of its way up. */
static void a_storm_of_resets_is_outlived(void **state)
{
        (void)state;
        driven();
        for (unsigned i = 0; i < STORM; i++) {
                bus_write(bus, VIRTIO_MMIO_STATUS, 0);
                assert_int_equal(bus_read(bus, VIRTIO_MMIO_STATUS), 0);
                if (i % 5 > 0)
                        bus_negotiate(bus, world_features(world));
                for (unsigned queue = 0; queue < 2 && i % 5 > 1; queue++)
                        bus_set_up(bus, queue, &world->guest.queues[queue].layout);
                if (i % 5 > 2)
                        bus_live(bus);
                if (i % 5 > 3)
                        bus_write(bus, VIRTIO_MMIO_QUEUE_READY, 0);
                if (i % 7 == 0)
                        world_step(world);
        }
        mmio_world_drive(&mmio);
        mmio_world_request(&mmio, 0);
        mmio_world_request(&mmio, 1);
        assert_true(restarts() < STORM / 3); /* the core's rate of resets holds for registers, too */
        mmio_world_done(&mmio);
}

static void a_queue_drains_and_begins_afresh(void **state)
{
        (void)state;
        driven();
        mmio_world_request(&mmio, 0);
        world->idle = true;
        world_post(world, 0, 6);
        world_until(world, world->n_seen == 2);
        bus_write(bus, VIRTIO_MMIO_QUEUE_SEL, 0);
        bus_write(bus, VIRTIO_MMIO_QUEUE_READY, 0);
        world_wait(world, 10);
        assert_int_equal(bus_read(bus, VIRTIO_MMIO_QUEUE_READY), 1);
        world->idle = false;
        fake_worker_complete(&world->puppet.lanes[0], world->seen[1].id, 0, "\1", 1);
        world_until(world, bus_read(bus, VIRTIO_MMIO_QUEUE_READY) == 0);
        assert_true(world_answered(world, 0)); /* nothing was lost */
        model_queue_reset(&world->guest, 0);
        bus_write(bus, VIRTIO_MMIO_QUEUE_READY, 1);
        mmio_world_tie(&mmio, 0);
        world->guest.queues[0].event_idx = true;
        bus_write(bus, VIRTIO_MMIO_INTERRUPT_ACK, 3);
        (void)bus_interrupts(bus);
        mmio_world_request(&mmio, 0);
        mmio_world_request(&mmio, 1);
        assert_int_equal(restarts(), 0);
        mmio_world_done(&mmio);
}

/* ---- a driver that goes on writing ---- */

static void scribble(unsigned queue)
{
        bus_write(bus, VIRTIO_MMIO_QUEUE_SEL, queue);
        bus_write(bus, VIRTIO_MMIO_QUEUE_NUM, 8);
        for (uint32_t at = VIRTIO_MMIO_QUEUE_DESC_LOW; at <= VIRTIO_MMIO_QUEUE_USED_HIGH; at += 4)
                bus_write(bus, at, 0x41414140);
        bus_write(bus, VIRTIO_MMIO_QUEUE_READY, 1);
        bus_write(bus, VIRTIO_MMIO_DRIVER_FEATURES, 0);
        bus_write(bus, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
}

static void registers_rewritten_while_queues_run_change_nothing(void **state)
{
        (void)state;
        driven();
        for (unsigned i = 0; i < REWRITINGS; i++) {
                scribble(i % 2);
                mmio_world_request(&mmio, i % 2);
        }
        assert_int_equal(bus_read(bus, VIRTIO_MMIO_STATUS), STATUS_LIVE);
        assert_true(bus_refused(bus) >= 10 * REWRITINGS);
        mmio_world_done(&mmio);
}

static atomic_bool others_stop;

/* A second vCPU, which reads and acknowledges all the time. */
static void *other_vcpu(void *argument)
{
        uint8_t bytes[8] = {0};

        while (!atomic_load(&others_stop)) {
                virtio_mmio_fast(argument, VIRTIO_MMIO_INTERRUPT_STATUS, 4, false, bytes);
                virtio_mmio_fast(argument, VIRTIO_MMIO_INTERRUPT_ACK, 4, true, bytes);
        }
        return NULL;
}

static void other_vcpus_may_read_and_acknowledge_at_any_time(void **state)
{
        pthread_t threads[2];

        (void)state;
        driven();
        atomic_store(&others_stop, false);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, other_vcpu, bus->mmio), 0);
        for (unsigned i = 0; i < 40; i++) {
                if (i % 10 == 9)
                        mmio_world_drive(&mmio);
                world_post(world, i % 2, 100);
                world_until(world, world_answered(world, i % 2));
                world_until(world, bus_interrupts(bus) > 0);
        }
        atomic_store(&others_stop, true);
        for (unsigned i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        mmio_world_request(&mmio, 0);
        mmio_world_done(&mmio);
}

/* ---- the configuration space ---- */

static void config_writes_wait_for_a_worker_and_no_vcpu_does(void **state)
{
        (void)state;
        driven();
        mmio_world_request(&mmio, 0);
        world->deaf = true;
        for (unsigned i = 2; i < 12; i++)
                bus_access(bus, FIELD, 1, true, i);
        assert_int_equal(bus_access(bus, FIELD, 1, false, 0), 11);
        world_until(world, world_told(world, CONTROL_CONFIG_WRITE) == 1);
        world->deaf = false;
        world_send(world, &(struct control_to_broker){
                              .kind = CONTROL_DONE,
                              .done = {.seq = world->puppet.messages[world->puppet.n_messages - 1].seq}});
        world_until(world, world_told(world, CONTROL_CONFIG_WRITE) == 10);
        for (unsigned i = 2, n = 0; n < world->puppet.n_messages; n++)
                if (world->puppet.messages[n].kind == CONTROL_CONFIG_WRITE)
                        assert_int_equal(world->puppet.messages[n].config_write.value, i++);
        mmio_world_request(&mmio, 0);
        assert_int_equal(bus_access(bus, FIELD, 1, false, 0), 11);
        assert_int_equal(bus_refused(bus), 0);
        mmio_world_done(&mmio);
}

static void a_config_write_that_the_worker_refuses_is_told(void **state)
{
        uint32_t generation;

        (void)state;
        driven();
        mmio_world_request(&mmio, 0);
        generation = bus_read(bus, VIRTIO_MMIO_CONFIG_GENERATION);
        world->refuse_kind = CONTROL_CONFIG_WRITE;
        world->refuse_error = -EINVAL;
        bus_access(bus, FIELD, 1, true, 7);
        assert_int_equal(bus_access(bus, FIELD, 1, false, 0), 7);
        world_until(world, bus_read(bus, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
        assert_int_equal(bus_access(bus, FIELD, 1, false, 0), 1);
        assert_int_not_equal(bus_read(bus, VIRTIO_MMIO_CONFIG_GENERATION), generation);
        assert_true(bus_interrupts(bus) > 0);
        mmio_world_request(&mmio, 0);
        mmio_world_done(&mmio);
}

static void config_writes_of_what_is_no_writable_field_are_refused(void **state)
{
        (void)state;
        driven();
        bus_access(bus, VIRTIO_MMIO_CONFIG, 8, true, 5); /* may not be written */
        bus_access(bus, FIELD, 4, true, 5);              /* is wider */
        bus_access(bus, FIELD + 1, 1, true, 5);          /* is none */
        assert_int_equal(bus_refused(bus), 3);
        assert_int_equal(world_told(world, CONTROL_CONFIG_WRITE), 0);
        assert_int_equal(bus_access(bus, VIRTIO_MMIO_CONFIG, 8, false, 0), 1000);
        assert_int_equal(bus_access(bus, VIRTIO_MMIO_CONFIG, 4, false, 0), 1000);
        assert_int_equal(bus_access(bus, VIRTIO_MMIO_CONFIG + 4, 4, false, 0), 0);
        mmio_world_done(&mmio);
}

static void a_worker_s_new_config_interrupts(void **state)
{
        static const uint64_t values[] = {UINT64_C(0x200000003), 1};

        (void)state;
        driven();
        world_send(world, &(struct control_to_broker){.kind = CONTROL_CONFIG_SPACE,
                                                      .config_space = {.n = 2, .value = values}});
        world_until(world, bus_read(bus, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
        assert_true(bus_interrupts(bus) > 0);
        assert_int_equal(bus_access(bus, VIRTIO_MMIO_CONFIG, 4, false, 0), 3);
        assert_int_equal(bus_access(bus, VIRTIO_MMIO_CONFIG + 4, 4, false, 0), 2);
        mmio_world_done(&mmio);
}

/* ---- quarantine ---- */

static void a_quarantined_device_needs_a_reset_which_heals_it(void **state)
{
        (void)state;
        driven();
        mmio_world_request(&mmio, 0);
        mmio_world_request(&mmio, 1);
        world->hello.features ^= FEATURE_BIT(6); /* its successors describe another device */
        world_kill_worker(world);
        world_until(world, world->n_quarantined == 1);
        world->hello.features ^= FEATURE_BIT(6);
        mmio_world_is_broken(&mmio);
        mmio_world_done(&mmio);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(requests_are_served_with_interrupts),
            cmocka_unit_test(what_was_posted_before_driver_ok_is_served_after_it),
            cmocka_unit_test(a_kick_that_comes_as_an_access_is_served),
            cmocka_unit_test(a_worker_s_death_is_not_seen_in_any_register),
            cmocka_unit_test(packed_rings_are_negotiated_and_started),
            cmocka_unit_test(a_driver_may_start_again_many_times),
            cmocka_unit_test(a_storm_of_resets_is_outlived),
            cmocka_unit_test(a_queue_drains_and_begins_afresh),
            cmocka_unit_test(registers_rewritten_while_queues_run_change_nothing),
            cmocka_unit_test(other_vcpus_may_read_and_acknowledge_at_any_time),
            cmocka_unit_test(config_writes_wait_for_a_worker_and_no_vcpu_does),
            cmocka_unit_test(a_config_write_that_the_worker_refuses_is_told),
            cmocka_unit_test(config_writes_of_what_is_no_writable_field_are_refused),
            cmocka_unit_test(a_worker_s_new_config_interrupts),
            cmocka_unit_test(a_quarantined_device_needs_a_reset_which_heals_it),
        };

        return cmocka_run_group_tests_name("virtio_mmio_device", tests, NULL, NULL);
}
