/* The legacy interface (virtio 1.3, 3.1.2 and 4.2.4): which registers it has, queues by one address, features that are final with the
 * first use, and use before DRIVER_OK.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/kvm/mmio_bus.h"
#include "tests/wire/fake_device.h"

#define BIT(n)        (UINT64_C(1) << (n))
#define OFFERED       (BIT(29) | BIT(28) | BIT(9)) /* the fake is a disk */
#define LEGACY_LIVE   (STATUS_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK)
#define PAGE          4096u
#define PFN           0x345u
#define NOT_IN_MEMORY "its driver has set up a queue that is not in memory, or not as it must be"
#define NOT_OFFERED   "its driver has chosen features that it was not offered, or one without what that needs"

static struct device device;
static struct mmio_bus bus;

static void begin(void)
{
        struct guest_memory *memory = guest_memory_new();

        fake_device_init(&device);
        bus_open_legacy(&bus, &device, memory, GUEST_LEGACY_LITTLE);
        guest_memory_unref(memory);
}

static void end(void)
{
        bus_close(&bus);
        assert_false(fake_device_any_running(&device));
        fake_device_done(&device);
}

static uint32_t status(void)
{
        return bus_read(&bus, VIRTIO_MMIO_STATUS);
}

static void choose(uint32_t sel, uint32_t value)
{
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES_SEL, sel);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES, value);
}

/* In the order of Linux: the page size, then the reset, then the rest. */
static void begin_driver(uint64_t features)
{
        begin();
        bus_write(&bus, VIRTIO_MMIO_GUEST_PAGE_SIZE, PAGE);
        bus_write(&bus, VIRTIO_MMIO_STATUS, 0);
        bus_write(&bus, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
        bus_write(&bus, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
        choose(1, (uint32_t)(features >> 32));
        choose(0, (uint32_t)features);
        assert_int_equal(status(), STATUS_DRIVER);
}

static void set_up(unsigned queue, uint32_t num, uint32_t pfn)
{
        bus_write(&bus, VIRTIO_MMIO_QUEUE_SEL, queue);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NUM, num);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_ALIGN, PAGE);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_PFN, pfn);
}

static uint32_t pfn(unsigned queue)
{
        bus_write(&bus, VIRTIO_MMIO_QUEUE_SEL, queue);
        return bus_read(&bus, VIRTIO_MMIO_QUEUE_PFN);
}

static void runs_at(unsigned queue, uint16_t size, uint64_t desc, uint64_t used)
{
        const struct queue_layout *layout = &device.queues[queue].layout;

        assert_true(device.queues[queue].running);
        assert_int_equal(layout->size, size);
        assert_int_equal(layout->desc.v, desc);
        assert_int_equal(layout->avail.v, desc + 16u * size);
        assert_int_equal(layout->used.v, used);
        assert_int_equal(device.queues[queue].base, 0);
}

/* ---- registers ---- */

static void it_says_version_1_and_has_its_own_registers(void **state)
{
        static const uint64_t modern_only[] = {
            VIRTIO_MMIO_QUEUE_READY,     VIRTIO_MMIO_QUEUE_DESC_LOW,   VIRTIO_MMIO_QUEUE_DESC_HIGH,
            VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_MMIO_QUEUE_USED_LOW,
            VIRTIO_MMIO_QUEUE_USED_HIGH, VIRTIO_MMIO_SHM_SEL,          VIRTIO_MMIO_SHM_LEN_LOW,
            VIRTIO_MMIO_SHM_BASE_LOW,    VIRTIO_MMIO_CONFIG_GENERATION};
        uint64_t refused;

        (void)state;
        begin_driver(0);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_VERSION), 1);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_DEVICE_ID), FAKE_VIRTIO_ID);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_QUEUE_NUM_MAX), LIMIT_MMIO_QUEUE_SIZE);
        assert_int_equal(bus_refused(&bus), 0);
        for (size_t i = 0; i < array_size(modern_only); i++) {
                refused = bus_refused(&bus);
                assert_int_equal(bus_read(&bus, modern_only[i]), 0);
                bus_write(&bus, modern_only[i], 1);
                assert_int_equal(bus_refused(&bus), refused + 2);
        }
        end();
}

static void the_modern_interface_has_none_of_them(void **state)
{
        static const uint64_t legacy_only[] = {VIRTIO_MMIO_GUEST_PAGE_SIZE, VIRTIO_MMIO_QUEUE_ALIGN,
                                               VIRTIO_MMIO_QUEUE_PFN};
        struct guest_memory *memory = guest_memory_new();

        (void)state;
        fake_device_init(&device);
        bus_open(&bus, &device, memory, NULL, 0);
        guest_memory_unref(memory);
        bus_negotiate(&bus, BIT(32));
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_VERSION), 2);
        for (size_t i = 0; i < array_size(legacy_only); i++) {
                uint64_t refused = bus_refused(&bus);

                assert_int_equal(bus_read(&bus, legacy_only[i]), 0);
                bus_write(&bus, legacy_only[i], PAGE);
                assert_int_equal(bus_refused(&bus), refused + 2);
        }
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NUM, 8);
        bus_live(&bus);
        assert_false(fake_device_any_running(&device));
        end();
}

static void no_bit_of_the_modern_interface_is_offered(void **state)
{
        (void)state;
        begin();
        assert_int_equal(bus_offered(&bus), OFFERED);
        end();
}

static void there_is_no_features_ok(void **state)
{
        (void)state;
        begin_driver(OFFERED);
        bus_write(&bus, VIRTIO_MMIO_STATUS, STATUS_FEATURES_OK);
        assert_int_equal(status(), STATUS_DRIVER);
        assert_int_equal(device.commits, 0);
        bus_write(&bus, VIRTIO_MMIO_STATUS, STATUS_LIVE);
        assert_int_equal(status(), STATUS_DRIVER);
        bus_write(&bus, VIRTIO_MMIO_STATUS, LEGACY_LIVE);
        assert_int_equal(status(), LEGACY_LIVE);
        end();
}

/* ---- queues ---- */

static void one_address_makes_a_queue(void **state)
{
        (void)state;
        begin_driver(OFFERED);
        assert_int_equal(pfn(0), 0);
        set_up(0, 128, PFN);
        set_up(2, 8, 0xffffffff);
        assert_int_equal(pfn(0), PFN);
        assert_int_equal(pfn(1), 0);
        assert_int_equal(pfn(2), 0xffffffff);
        assert_int_equal(pfn(FAKE_QUEUES), 0);
        assert_false(fake_device_any_running(&device));
        assert_int_equal(device.commits, 0);
        bus_write(&bus, VIRTIO_MMIO_STATUS, LEGACY_LIVE);
        runs_at(0, 128, PFN * PAGE, (PFN + 1) * PAGE);
        runs_at(2, 8, UINT64_C(0xffffffff) * PAGE, UINT64_C(0x100000000) * PAGE);
        assert_false(device.queues[1].running);
        assert_int_equal(bus_n_tied(&bus), 2);
        assert_int_equal(device.committed, OFFERED);
        assert_int_equal(bus_refused(&bus), 0);
        set_up(3, 16, PFN); /* and later */
        runs_at(3, 16, PFN * PAGE, (PFN + 1) * PAGE);
        end();
}

static void a_queue_lacks_nothing_of_what_it_needs(void **state)
{
        static const struct {
                uint32_t page, num, align, pfn;
                bool ok;
        } rows[] = {{PAGE, 8, PAGE, PFN, true},         {0, 8, PAGE, PFN, false},
                    {PAGE, 0, PAGE, PFN, false},        {PAGE, 8, 0, PFN, false},
                    {3000, 8, PAGE, PFN, false},        {PAGE, 9, PAGE, PFN, false},
                    {PAGE, 8, 24, PFN, false},          {PAGE, 2048, PAGE, PFN, false},
                    {UINT32_C(1) << 31, 8, 4, 1, true}, {16, 128, 4, 1, true}};

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                begin();
                bus_write(&bus, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
                bus_write(&bus, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
                if (rows[i].page)
                        bus_write(&bus, VIRTIO_MMIO_GUEST_PAGE_SIZE, rows[i].page);
                if (rows[i].num)
                        bus_write(&bus, VIRTIO_MMIO_QUEUE_NUM, rows[i].num);
                if (rows[i].align)
                        bus_write(&bus, VIRTIO_MMIO_QUEUE_ALIGN, rows[i].align);
                bus_write(&bus, VIRTIO_MMIO_QUEUE_PFN, rows[i].pfn);
                assert_int_equal(pfn(0), rows[i].ok ? rows[i].pfn : 0);
                assert_int_equal(bus_refused(&bus) == 0, rows[i].ok);
                end();
        }
}

static void a_queue_in_use_keeps_its_place(void **state)
{
        uint64_t refused;

        (void)state;
        begin_driver(OFFERED);
        set_up(0, 128, PFN);
        refused = bus_refused(&bus);
        set_up(0, 64, PFN + 5);
        assert_int_equal(bus_refused(&bus), refused + 3);
        bus_write(&bus, VIRTIO_MMIO_STATUS, LEGACY_LIVE);
        refused = bus_refused(&bus);
        set_up(0, 64, PFN + 5);
        bus_write(&bus, VIRTIO_MMIO_GUEST_PAGE_SIZE, 2 * PAGE);
        assert_int_equal(bus_refused(&bus), refused + 4);
        runs_at(0, 128, PFN * PAGE, (PFN + 1) * PAGE);
        assert_int_equal(pfn(0), PFN);
        end();
}

static void address_0_ends_a_queue(void **state)
{
        (void)state;
        begin_driver(OFFERED);
        set_up(0, 128, PFN);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_PFN, 0); /* before it has run */
        assert_int_equal(pfn(0), 0);
        set_up(0, 128, PFN);
        bus_write(&bus, VIRTIO_MMIO_STATUS, LEGACY_LIVE);
        device.hold = true;
        bus_write(&bus, VIRTIO_MMIO_QUEUE_PFN, 0);
        fake_device_turn(&device);
        assert_int_equal(pfn(0), PFN); /* it drains */
        device.hold = false;
        fake_device_turn(&device);
        assert_int_equal(pfn(0), 0);
        assert_int_equal(bus_n_tied(&bus), 0);
        set_up(0, 64, PFN + 8);
        runs_at(0, 64, (PFN + 8) * PAGE, (PFN + 9) * PAGE);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_SEL, FAKE_QUEUES);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_PFN, 0); /* there is none */
        assert_int_equal(bus_refused(&bus), 1);
        end();
}

static void a_queue_that_is_nowhere_breaks_the_device(void **state)
{
        (void)state;
        begin_driver(OFFERED);
        set_up(0, 128, PFN);
        device.start_error = -EFAULT;
        bus_write(&bus, VIRTIO_MMIO_STATUS, LEGACY_LIVE);
        assert_int_equal(status(), LEGACY_LIVE | NEEDS_RESET);
        assert_string_equal(bus.why, NOT_IN_MEMORY);
        assert_int_equal(pfn(0), 0);
        assert_true(bus_interrupts(&bus) > 0);
        end();
}

/* ---- features, and use before DRIVER_OK ---- */

static void a_kick_before_driver_ok_is_the_first_use(void **state)
{
        uint64_t refused;

        (void)state;
        begin_driver(BIT(28));
        set_up(0, 128, PFN);
        set_up(1, 128, PFN + 8);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        runs_at(0, 128, PFN * PAGE, (PFN + 1) * PAGE);
        assert_false(device.queues[1].running); /* nobody has kicked that */
        assert_int_equal(device.committed, BIT(28));
        assert_int_equal(status(), STATUS_DRIVER);
        assert_true(bus_kick(&bus, 0));
        refused = bus_refused(&bus);
        choose(0, (uint32_t)OFFERED); /* too late */
        assert_int_equal(bus_refused(&bus), refused + 1);
        bus_write(&bus, VIRTIO_MMIO_STATUS, LEGACY_LIVE);
        assert_true(device.queues[1].running);
        assert_int_equal(device.committed, BIT(28));
        assert_int_equal(device.commits, 1);
        assert_int_equal(device.queues[0].starts, 1);
        end();
}

static void a_kick_without_a_queue_is_no_use(void **state)
{
        (void)state;
        begin_driver(BIT(28));
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NOTIFY, FAKE_QUEUES);
        assert_int_equal(bus_refused(&bus), 2);
        assert_int_equal(device.commits, 0);
        choose(0, (uint32_t)OFFERED);
        bus_write(&bus, VIRTIO_MMIO_STATUS, LEGACY_LIVE);
        assert_int_equal(device.committed, OFFERED);
        end();
}

static void each_choice_replaces_the_last_until_the_first_use(void **state)
{
        (void)state;
        begin_driver(OFFERED | BIT(1)); /* a bit that is not offered, taken back again */
        choose(1, 1);
        choose(2, 1);
        choose(2, 0);
        choose(1, 0);
        choose(0, BIT(28));
        bus_write(&bus, VIRTIO_MMIO_STATUS, LEGACY_LIVE);
        assert_int_equal(status(), LEGACY_LIVE);
        assert_int_equal(device.committed, BIT(28));
        end();
}

/* It cannot be told that it does not have them. */
static void a_bit_that_was_not_offered_breaks_the_device(void **state)
{
        static const struct {
                uint32_t sel, value;
        } rows[] = {{0, 1}, {0, UINT32_C(1) << 30}, {1, 1}, {1, 4}, {2, 1}};

        (void)state;
        for (size_t i = 0; i < array_size(rows) * 2; i++) {
                bool early = i % 2;

                begin_driver(OFFERED);
                set_up(0, 128, PFN);
                choose(rows[i / 2].sel, rows[i / 2].value);
                if (early)
                        bus_write(&bus, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
                else
                        bus_write(&bus, VIRTIO_MMIO_STATUS, LEGACY_LIVE);
                assert_int_equal(status(), (early ? STATUS_DRIVER : LEGACY_LIVE) | NEEDS_RESET);
                assert_int_equal(bus.n_failed, 1);
                assert_string_equal(bus.why, NOT_OFFERED);
                assert_false(fake_device_any_running(&device));
                bus_write(&bus, VIRTIO_MMIO_STATUS, 0); /* and it is whole again */
                assert_int_equal(status(), 0);
                bus_write(&bus, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
                bus_write(&bus, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
                choose(0, (uint32_t)OFFERED);
                set_up(0, 128, PFN);
                bus_write(&bus, VIRTIO_MMIO_STATUS, LEGACY_LIVE);
                assert_int_equal(status(), LEGACY_LIVE);
                runs_at(0, 128, PFN * PAGE, (PFN + 1) * PAGE);
                end();
        }
}

/* ---- reset, configuration ---- */

/* Linux says it before it resets the device. */
static void the_page_size_outlives_a_reset_and_nothing_else(void **state)
{
        (void)state;
        begin_driver(OFFERED);
        set_up(0, 128, PFN);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        bus_write(&bus, VIRTIO_MMIO_STATUS, 0);
        assert_false(fake_device_any_running(&device));
        assert_int_equal(bus_n_tied(&bus), 0);
        assert_int_equal(pfn(0), 0);
        bus_write(&bus, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
        bus_write(&bus, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NUM, 8);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_PFN, PFN); /* the alignment is gone */
        assert_int_equal(pfn(0), 0);
        set_up(0, 8, PFN);
        bus_write(&bus, VIRTIO_MMIO_STATUS, LEGACY_LIVE);
        runs_at(0, 8, PFN * PAGE, (PFN + 1) * PAGE);
        assert_int_equal(device.committed, 0);
        end();
}

static void the_configuration_is_read_at_any_time_and_written_before_features(void **state)
{
        (void)state;
        begin();
        device.config[0] = 0x5a;
        assert_int_equal(bus_access(&bus, VIRTIO_MMIO_CONFIG, 1, false, 0), 0x5a);
        bus_access(&bus, VIRTIO_MMIO_CONFIG, 1, true, 1); /* nobody is there who knows how */
        assert_int_equal(device.writes, 0);
        bus_write(&bus, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
        bus_write(&bus, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
        bus_access(&bus, VIRTIO_MMIO_CONFIG, 1, true, 7);
        assert_int_equal(device.writes, 1);
        fake_device_turn(&device);
        assert_int_equal(bus_access(&bus, VIRTIO_MMIO_CONFIG, 1, false, 0), 7);
        bus_write(&bus, VIRTIO_MMIO_STATUS, LEGACY_LIVE);
        bus_access(&bus, VIRTIO_MMIO_CONFIG, 1, true, 8);
        assert_int_equal(device.writes, 2);
        fake_device_turn(&device);
        end();
}

static void the_device_is_told_which_order_its_guest_has(void **state)
{
        static const enum guest_format formats[] = {GUEST_LEGACY_LITTLE, GUEST_LEGACY_BIG};
        struct guest_memory *memory = guest_memory_new();

        (void)state;
        for (size_t i = 0; i < array_size(formats); i++) {
                fake_device_init(&device);
                bus_open_legacy(&bus, &device, memory, formats[i]);
                assert_int_equal(device.front.format, formats[i]);
                assert_int_equal(bus_read(&bus, VIRTIO_MMIO_VERSION), 1); /* registers have no other order */
                end();
        }
        guest_memory_unref(memory);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(it_says_version_1_and_has_its_own_registers),
            cmocka_unit_test(the_modern_interface_has_none_of_them),
            cmocka_unit_test(no_bit_of_the_modern_interface_is_offered),
            cmocka_unit_test(there_is_no_features_ok),
            cmocka_unit_test(one_address_makes_a_queue),
            cmocka_unit_test(a_queue_lacks_nothing_of_what_it_needs),
            cmocka_unit_test(a_queue_in_use_keeps_its_place),
            cmocka_unit_test(address_0_ends_a_queue),
            cmocka_unit_test(a_queue_that_is_nowhere_breaks_the_device),
            cmocka_unit_test(a_kick_before_driver_ok_is_the_first_use),
            cmocka_unit_test(a_kick_without_a_queue_is_no_use),
            cmocka_unit_test(each_choice_replaces_the_last_until_the_first_use),
            cmocka_unit_test(a_bit_that_was_not_offered_breaks_the_device),
            cmocka_unit_test(the_page_size_outlives_a_reset_and_nothing_else),
            cmocka_unit_test(the_configuration_is_read_at_any_time_and_written_before_features),
            cmocka_unit_test(the_device_is_told_which_order_its_guest_has),
        };

        return cmocka_run_group_tests_name("virtio_mmio_legacy", tests, NULL, NULL);
}
