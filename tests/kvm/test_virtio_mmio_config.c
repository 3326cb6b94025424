/* virtio-mmio's configuration space: reads of any width, posted writes, the generation.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/base/limits.h"
#include "tests/kvm/mmio_bus.h"
#include "tests/wire/fake_device.h"

#define VERSION_1 (UINT64_C(1) << 32)
#define CONFIG    VIRTIO_MMIO_CONFIG

static struct device device;
static struct mmio_bus bus;

static void begin(void)
{
        struct guest_memory *memory = guest_memory_new();

        fake_device_init(&device);
        bus_open(&bus, &device, memory, NULL, 0);
        guest_memory_unref(memory);
}

static void begin_live(void)
{
        begin();
        bus_negotiate(&bus, VERSION_1);
        bus_live(&bus);
}

static void end(void)
{
        bus_close(&bus);
        fake_device_done(&device);
}

static uint32_t generation(void)
{
        return bus_read(&bus, VIRTIO_MMIO_CONFIG_GENERATION);
}

static uint64_t config(uint32_t at, unsigned len)
{
        return bus_access(&bus, CONFIG + at, len, false, 0);
}

static void put(uint32_t at, unsigned len, uint64_t value)
{
        (void)bus_access(&bus, CONFIG + at, len, true, value);
}

/* What the fake's bytes amount to, little endian (virtio 1.3, 2.5). */
static uint64_t expected(uint32_t at, unsigned len)
{
        uint64_t value = 0;

        for (unsigned i = 0; i < len; i++)
                value |= (uint64_t)device.config[at + i] << (8 * i);
        return value;
}

/* ---- reads ---- */

static void every_field_is_read_in_its_width_from_the_beginning(void **state)
{
        static const unsigned widths[] = {1, 2, 4, 8};

        (void)state;
        begin(); /* before any status (virtio 1.3, 2.5.2) */
        for (unsigned w = 0; w < 4; w++)
                for (uint32_t at = 0; at < LIMIT_CONFIG_BYTES; at += widths[w])
                        assert_int_equal(config(at, widths[w]), expected(at, widths[w]));
        assert_int_equal(config(60, 4), 0); /* behind the last field */
        assert_int_equal(bus_refused(&bus), 0);
        end();
}

static void reads_that_are_not_natural_are_zeros(void **state)
{
        unsigned n = 0;

        (void)state;
        begin();
        for (uint32_t at = 0; at < 64; at++)
                for (unsigned len = 1; len <= 8; len++) {
                        if ((len == 1 || len == 2 || len == 4 || len == 8) && at % len == 0)
                                continue;
                        assert_int_equal(config(at, len), 0);
                        assert_int_equal(bus_refused(&bus), ++n);
                }
        assert_int_equal(bus_access(&bus, 0x1fe, 4, false, 0), 0); /* over the end */
        assert_int_equal(bus_access(&bus, 0x200, 4, false, 0), 0);
        assert_int_equal(bus_access(&bus, 0xfff, 1, false, 0), 0);
        assert_int_equal(bus_access(&bus, UINT64_MAX, 8, false, 0), 0);
        assert_int_equal(bus_refused(&bus), n + 4);
        end();
}

/* ---- writes ---- */

static void a_write_needs_features_ok(void **state)
{
        (void)state;
        begin();
        put(4, 1, 7);
        bus_write(&bus, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
        put(4, 1, 7);
        assert_int_equal(device.writes, 0);
        assert_int_equal(bus_refused(&bus), 2);
        bus_negotiate(&bus, VERSION_1);
        put(4, 1, 7);
        assert_int_equal(device.writes, 1);
        assert_int_equal(config(4, 1), 7);
        end();
}

static void writes_go_to_the_worker_one_by_one_and_in_order(void **state)
{
        (void)state;
        begin_live();
        put(0, 4, 0x11111111);
        put(2, 2, 0x2222);
        put(8, 8, UINT64_C(0x3333333333333333));
        put(3, 1, 0x44);
        assert_int_equal(device.writes, 1); /* the others wait, and no vCPU does */
        assert_int_equal(config(0, 4), 0x44221111);
        assert_int_equal(config(8, 4), 0x33333333);
        assert_int_equal(config(2, 1), 0x22);
        for (unsigned i = 2; i <= 4; i++) {
                fake_device_turn(&device);
                assert_int_equal(device.writes, i);
                assert_int_equal(config(0, 4), 0x44221111);
        }
        fake_device_turn(&device);
        assert_int_equal(device.writes, 4);
        assert_int_equal(expected(0, 4), 0x44221111);
        assert_int_equal(expected(8, 8), UINT64_C(0x3333333333333333));
        assert_int_equal(bus_refused(&bus), 0);
        assert_int_equal(bus_interrupts(&bus), 0); /* nothing that the driver does not know */
        end();
}

static void as_many_writes_wait_as_there_is_room_for(void **state)
{
        (void)state;
        begin_live();
        for (unsigned i = 0; i < LIMIT_MMIO_CONFIG_WRITES + 1; i++) /* one is with the worker */
                put(i % 60, 1, 0x80 + i);
        assert_int_equal(bus_refused(&bus), 0);
        assert_int_equal(bus.n_failed, 0);
        for (unsigned i = 0; i < 200; i++)
                fake_device_turn(&device);
        assert_int_equal(device.writes, LIMIT_MMIO_CONFIG_WRITES + 1);
        for (unsigned i = 5; i < 60; i++)
                assert_int_equal(device.config[i], 0x80 + i);
        assert_int_equal(device.config[4], 0x80 + 64);
        end();
}

static void one_write_more_breaks_the_device(void **state)
{
        (void)state;
        begin_live();
        for (unsigned i = 0; i < LIMIT_MMIO_CONFIG_WRITES + 2; i++)
                put(i % 60, 1, i);
        assert_int_equal(bus_refused(&bus), 1);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_STATUS), STATUS_LIVE | NEEDS_RESET);
        assert_string_equal(bus.why,
                            "its driver writes the configuration space faster than the device takes it");
        put(0, 1, 1); /* not of a broken one */
        assert_int_equal(bus_refused(&bus), 2);
        for (unsigned i = 0; i < 200; i++)
                fake_device_turn(&device);
        assert_int_equal(device.writes, LIMIT_MMIO_CONFIG_WRITES + 1);
        end();
}

/* The ring of writes goes round more than once. */
static void room_comes_back(void **state)
{
        (void)state;
        begin_live();
        for (unsigned i = 0; i < 3 * LIMIT_MMIO_CONFIG_WRITES; i++) {
                put(i % 60, 1, i);
                if (i >= 40)
                        fake_device_turn(&device);
        }
        for (unsigned i = 0; i < 200; i++)
                fake_device_turn(&device);
        assert_int_equal(device.writes, 3 * LIMIT_MMIO_CONFIG_WRITES);
        assert_int_equal(bus_refused(&bus), 0);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_STATUS), STATUS_LIVE);
        end();
}

static void writes_that_hit_no_field_are_refused(void **state)
{
        (void)state;
        begin_live();
        device.write_error = -EINVAL; /* as a real device says of anything but one whole writable field */
        put(0, 4, 1);
        device.write_error = 0;
        put(60, 4, 1);
        put(1, 2, 1);
        put(0, 3, 1);
        put(0xfc, 8, 1);
        assert_int_equal(device.writes, 0);
        assert_int_equal(bus_refused(&bus), 5);
        end();
}

/* ---- changes ---- */

static void a_change_moves_the_generation_and_interrupts(void **state)
{
        uint32_t before;

        (void)state;
        begin_live();
        before = generation();
        assert_int_equal(generation(), before);
        device.front.config_changed(device.front.context);
        assert_int_not_equal(generation(), before);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
        assert_int_equal(bus_interrupts(&bus), 1);
        end();
}

static void a_change_before_driver_ok_is_told_with_it(void **state)
{
        uint32_t before;

        (void)state;
        begin();
        bus_write(&bus, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
        before = generation();
        device.front.config_changed(device.front.context);
        assert_int_not_equal(generation(), before);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
        assert_int_equal(bus_interrupts(&bus), 0);
        bus_negotiate(&bus, VERSION_1);
        bus_live(&bus);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
        assert_int_equal(bus_interrupts(&bus), 1);
        end();
}

static void a_change_before_there_is_a_driver_is_told_to_nobody(void **state)
{
        (void)state;
        begin();
        device.front.config_changed(device.front.context);
        bus_negotiate(&bus, VERSION_1);
        device.front.config_changed(device.front.context); /* and this one is of the time before the reset */
        bus_write(&bus, VIRTIO_MMIO_STATUS, 0);
        bus_negotiate(&bus, VERSION_1);
        bus_live(&bus);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
        assert_int_equal(bus_interrupts(&bus), 0);
        end();
}

static void a_value_that_the_worker_refuses_is_a_change(void **state)
{
        uint32_t before;

        (void)state;
        begin_live();
        before = generation();
        device.write_result = -EINVAL;
        put(0, 1, 1);
        put(1, 1, 2);
        assert_int_equal(generation(), before);
        fake_device_turn(&device);
        assert_int_not_equal(generation(), before);
        assert_int_equal(bus_interrupts(&bus), 1);
        assert_int_equal(device.writes, 2); /* the next one goes on */
        device.write_result = 0;
        before = generation();
        fake_device_turn(&device);
        assert_int_equal(generation(), before);
        end();
}

static void a_write_that_the_device_no_longer_takes_is_a_change(void **state)
{
        uint32_t before;

        (void)state;
        begin_live();
        put(0, 1, 1);
        put(1, 1, 2);
        put(2, 1, 3);
        before = generation();
        device.write_error = -EINVAL;
        fake_device_turn(&device);
        assert_int_equal(generation(), before + 2);
        assert_int_equal(config(1, 1), expected(1, 1)); /* it is shown as it is */
        device.write_error = 0;
        put(2, 1, 9); /* nothing is stuck */
        assert_int_equal(device.writes, 2);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_field_is_read_in_its_width_from_the_beginning),
            cmocka_unit_test(reads_that_are_not_natural_are_zeros),
            cmocka_unit_test(a_write_needs_features_ok),
            cmocka_unit_test(writes_go_to_the_worker_one_by_one_and_in_order),
            cmocka_unit_test(as_many_writes_wait_as_there_is_room_for),
            cmocka_unit_test(one_write_more_breaks_the_device),
            cmocka_unit_test(room_comes_back),
            cmocka_unit_test(writes_that_hit_no_field_are_refused),
            cmocka_unit_test(a_change_moves_the_generation_and_interrupts),
            cmocka_unit_test(a_change_before_driver_ok_is_told_with_it),
            cmocka_unit_test(a_change_before_there_is_a_driver_is_told_to_nobody),
            cmocka_unit_test(a_value_that_the_worker_refuses_is_a_change),
            cmocka_unit_test(a_write_that_the_device_no_longer_takes_is_a_change),
        };

        return cmocka_run_group_tests_name("virtio_mmio_config", tests, NULL, NULL);
}
