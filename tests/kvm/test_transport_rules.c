/* Rules of virtio 1.3 for transports that no other test holds by its name (docs/TESTING.md has them all), on a real device with a puppet
 * worker.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/features.h"
#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "proto/device_type.h"
#include "tests/kvm/mmio_world.h"

#define QUEUE_RESET 0x0c0u
#define USED_BYTES  (6 + 8 * 64u) /* of the model's ring, at most */

static struct mmio_world mmio;
static struct world *const world = &mmio.world;
static struct mmio_bus *const bus = &mmio.bus;

static void begin(void)
{
        log_init("mmio", LOG_LEVEL_ERROR);
        mmio_world_init(&mmio, 1);
}

/* ---- 2.4.1: reset ---- */

static void nothing_is_told_or_touched_between_a_reset_and_driver_ok(void **state)
{
        const struct queue_layout *layout = &world->guest.queues[0].layout;
        uint8_t before[USED_BYTES], after[USED_BYTES];
        uint64_t len;

        (void)state;
        begin();
        mmio_world_drive(&mmio);
        len = MIN(6 + 8 * (uint64_t)layout->size, (uint64_t)sizeof(before));
        world->idle = true; /* the request is under way when the driver resets */
        world_post(world, 0, 100);
        world_until(world, world->n_seen == 1);
        bus_write(bus, VIRTIO_MMIO_STATUS, 0);
        assert_int_equal(bus_read(bus, VIRTIO_MMIO_STATUS), 0);
        (void)bus_interrupts(bus);
        model_get(&world->guest, layout->used.v, before, len);
        world->idle = false;
        world_wait(world, 20);
        model_get(&world->guest, layout->used.v, after, len);
        assert_memory_equal(before, after, len);
        assert_int_equal(bus_interrupts(bus), 0);
        assert_int_equal(bus_read(bus, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
        assert_int_equal(bus_read(bus, VIRTIO_MMIO_STATUS), 0);
        mmio_world_drive(&mmio);
        mmio_world_request(&mmio, 0);
        mmio_world_done(&mmio);
}

/* ---- 2.5: configuration space ---- */

static void read_space(uint8_t *ret_bytes)
{
        for (unsigned at = 0; at < LIMIT_CONFIG_BYTES; at++)
                ret_bytes[at] = (uint8_t)bus_access(bus, VIRTIO_MMIO_CONFIG + at, 1, false, 0);
}

static void space_is(const uint8_t *expected)
{
        uint8_t bytes[LIMIT_CONFIG_BYTES];

        read_space(bytes);
        assert_memory_equal(bytes, expected, sizeof(bytes));
}

/* Linux' block driver reads blk_size, its network driver the MTU, before FEATURES_OK; others before the first bit is chosen. */
static void every_field_is_the_same_before_any_feature_and_after_all(void **state)
{
        const uint64_t version_1 = FEATURE_BIT(VIRTIO_F_VERSION_1_BIT);
        uint8_t expected[LIMIT_CONFIG_BYTES];

        (void)state;
        begin();
        read_space(expected);
        assert_int_equal(expected[0] | expected[1] << 8, 1000); /* the puppet's first field */
        assert_int_equal(expected[32], 1);
        bus_write(bus, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
        space_is(expected);
        bus_write(bus, VIRTIO_MMIO_DRIVER_FEATURES, 0);
        space_is(expected);
        bus_negotiate(bus, version_1); /* none of those that its fields depend on */
        space_is(expected);
        bus_write(bus, VIRTIO_MMIO_STATUS, 0);
        bus_negotiate(bus, world_features(world));
        space_is(expected);
        bus_live(bus);
        space_is(expected);
        mmio_world_done(&mmio);
}

static void each_half_of_a_64_bit_field_is_read_alone(void **state)
{
        uint64_t low, high;

        (void)state;
        begin();
        high = bus_access(bus, VIRTIO_MMIO_CONFIG + 4, 4, false, 0);
        low = bus_access(bus, VIRTIO_MMIO_CONFIG, 4, false, 0);
        assert_int_equal(low | high << 32, world->hello.fields[0].value);
        assert_int_equal(bus_access(bus, VIRTIO_MMIO_CONFIG, 8, false, 0), world->hello.fields[0].value);
        mmio_world_done(&mmio);
}

/* ---- 2.1, 3.1.1: the driver's order ---- */

static void a_kick_before_driver_ok_is_none(void **state)
{
        uint64_t refused;

        (void)state;
        begin();
        mmio_world_negotiate(&mmio);
        bus_set_up(bus, 0, &world->guest.queues[0].layout);
        assert_false(bus_kick(bus, 0)); /* nothing is tied */
        refused = bus_refused(bus);
        bus_write(bus, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        assert_int_equal(bus_refused(bus), refused + 1);
        world_wait(world, 5);
        assert_int_equal(world->n_seen, 0);
        bus_live(bus);
        mmio_world_tie(&mmio, 0);
        mmio_world_request(&mmio, 0);
        mmio_world_done(&mmio);
}

static void features_ok_reads_back_until_the_reset(void **state)
{
        (void)state;
        begin();
        for (unsigned i = 0; i < 2; i++) {
                mmio_world_negotiate(&mmio);
                assert_true(bus_read(bus, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK);
                bus_write(bus, VIRTIO_MMIO_STATUS, STATUS_DRIVER); /* it cannot be taken back */
                bus_write(bus, VIRTIO_MMIO_DRIVER_FEATURES, 0);    /* nor does a late bit clear it */
                assert_int_equal(bus_read(bus, VIRTIO_MMIO_STATUS), STATUS_FEATURES_OK);
        }
        mmio_world_done(&mmio);
}

/* ---- 2.6.1, 4.2.2, 6.2 ---- */

static void ring_reset_is_neither_offered_nor_a_register(void **state)
{
        uint64_t refused;

        (void)state;
        begin();
        assert_false(bus_offered(bus) & FEATURE_BIT(40));
        mmio_world_drive(&mmio);
        refused = bus_refused(bus);
        bus_write(bus, QUEUE_RESET, 1);
        assert_int_equal(bus_read(bus, QUEUE_RESET), 0);
        assert_int_equal(bus_refused(bus), refused + 2);
        mmio_world_request(&mmio, 0); /* and has reset none */
        mmio_world_done(&mmio);
}

static void version_1_is_offered_by_every_device_and_none_is_a_placeholder(void **state)
{
        (void)state;
        for (unsigned i = 0; i < DEVICE_TYPE_COUNT_; i++) {
                uint32_t id = device_types[i].virtio_id;

                assert_int_not_equal(id, 0);
                assert_true(features_offered(id, 0, GUEST_MODERN) & FEATURE_BIT(VIRTIO_F_VERSION_1_BIT));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(nothing_is_told_or_touched_between_a_reset_and_driver_ok),
            cmocka_unit_test(every_field_is_the_same_before_any_feature_and_after_all),
            cmocka_unit_test(each_half_of_a_64_bit_field_is_read_alone),
            cmocka_unit_test(a_kick_before_driver_ok_is_none),
            cmocka_unit_test(features_ok_reads_back_until_the_reset),
            cmocka_unit_test(ring_reset_is_neither_offered_nor_a_register),
            cmocka_unit_test(version_1_is_offered_by_every_device_and_none_is_a_placeholder),
        };

        return cmocka_run_group_tests_name("transport_rules", tests, NULL, NULL);
}
