/* virtio-mmio registers, features, status and the configuration space, over a device that writes down what it is told.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/kvm/mmio_bus.h"
#include "tests/wire/fake_device.h"

#define VERSION_1 (UINT64_C(1) << 32)
#define OFFERED   (VERSION_1 | 1u << 29 | 1u << 28 | 1u << 9)

static struct device device;
static struct mmio_bus bus;

static void begin_with(const struct virtio_mmio_shm *shm, unsigned n_shm)
{
        struct guest_memory *memory = guest_memory_new();

        fake_device_init(&device);
        bus_open(&bus, &device, memory, shm, n_shm);
        guest_memory_unref(memory);
}

static void begin(void)
{
        begin_with(NULL, 0);
}

static void end(void)
{
        bus_close(&bus);
        assert_null(device.front.context);
        assert_null(device.memory);
        assert_false(fake_device_any_running(&device));
        fake_device_done(&device);
}

static void begin_set_up(void)
{
        begin();
        bus_negotiate(&bus, OFFERED);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_STATUS), STATUS_FEATURES_OK);
}

static void begin_live(void)
{
        begin_set_up();
        bus_live(&bus);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_STATUS), STATUS_LIVE);
}

static void status(uint32_t value)
{
        bus_write(&bus, VIRTIO_MMIO_STATUS, value);
}

static void status_is(uint32_t value)
{
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_STATUS), value);
}

/* ---- what a driver sees first ---- */

static void a_device_says_what_it_is(void **state)
{
        (void)state;
        begin();
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_VERSION), 2);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_DEVICE_ID), FAKE_VIRTIO_ID);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_VENDOR_ID), 0x6b6c7562);
        status_is(0);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
        assert_int_equal(bus_refused(&bus), 0);
        end();
}

static void a_device_without_a_hello_is_not_put_on_the_bus(void **state)
{
        struct virtio_mmio_host host = {.irq_fd = -1};
        struct virtio_mmio *mmio = NULL;

        (void)state;
        fake_device_init(&device);
        device.ready = false;
        assert_int_equal(virtio_mmio_new(&device, &host, NULL, &mmio), -EAGAIN);
        assert_null(mmio);
        device.ready = true;
        device.memory_error = -ENOMEM;
        assert_int_equal(virtio_mmio_new(&device, &host, NULL, &mmio), -ENOMEM);
        assert_null(mmio);
        assert_null(device.front.context);
        assert_null(virtio_mmio_free(NULL));
        fake_device_done(&device);
}

static void shared_memory_that_is_not_there_is_all_ones(void **state)
{
        static const struct virtio_mmio_shm shm[] = {{3, UINT64_C(0x1234567800000), UINT64_C(0x900001000)}};
        static const uint32_t registers[] = {VIRTIO_MMIO_SHM_LEN_LOW, VIRTIO_MMIO_SHM_LEN_HIGH,
                                             VIRTIO_MMIO_SHM_BASE_LOW, VIRTIO_MMIO_SHM_BASE_HIGH};
        static const uint32_t absent[] = {1, 2, 4, 255, 256 + 3, UINT32_MAX, 0};

        (void)state;
        begin_with(shm, 1);
        for (unsigned i = 0; i < 4; i++) /* also before any was selected */
                assert_int_equal(bus_read(&bus, registers[i]), UINT32_MAX);
        bus_write(&bus, VIRTIO_MMIO_SHM_SEL, 3);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_SHM_LEN_LOW), 0x00001000);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_SHM_LEN_HIGH), 0x9);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_SHM_BASE_LOW), 0x67800000);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_SHM_BASE_HIGH), 0x12345);
        for (unsigned a = 0; a < 7; a++) {
                bus_write(&bus, VIRTIO_MMIO_SHM_SEL, absent[a]);
                for (unsigned i = 0; i < 4; i++)
                        assert_int_equal(bus_read(&bus, registers[i]), UINT32_MAX);
        }
        bus_write(&bus, VIRTIO_MMIO_SHM_SEL, 3);
        status(0);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
        end();
}

/* ---- features ---- */

static void features_are_shown_in_pages_of_32(void **state)
{
        (void)state;
        begin();
        assert_int_equal(bus_offered(&bus), OFFERED);
        for (uint32_t page = 2; page != 0; page *= 2) {
                bus_write(&bus, VIRTIO_MMIO_DEVICE_FEATURES_SEL, page);
                assert_int_equal(bus_read(&bus, VIRTIO_MMIO_DEVICE_FEATURES), 0);
        }
        assert_int_equal(bus_refused(&bus), 0);
        end();
}

static void features_are_committed_once_when_the_driver_is_done_with_them(void **state)
{
        (void)state;
        begin();
        status(VIRTIO_CONFIG_S_ACKNOWLEDGE);
        status(STATUS_DRIVER);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES, 1u << 29 | 1u << 9);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES, 1);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES, 1u << 9); /* a bit taken back is really off */
        assert_int_equal(device.commits, 0);
        status(STATUS_FEATURES_OK);
        assert_int_equal(device.commits, 1);
        assert_int_equal(device.committed, VERSION_1 | 1u << 9);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES, 1u << 28); /* too late (virtio 1.3, 3.1.1) */
        status(STATUS_FEATURES_OK);
        bus_live(&bus);
        assert_int_equal(device.commits, 1);
        assert_int_equal(device.committed, VERSION_1 | 1u << 9);
        assert_int_equal(bus_refused(&bus), 1);
        end();
}

static void a_choice_that_cannot_be_served_gets_no_features_ok(void **state)
{
        static const uint64_t choices[] = {0,
                                           1u << 29 | 1u << 9,
                                           OFFERED | 1,
                                           OFFERED | 1u << 31,
                                           OFFERED | UINT64_C(1) << 33,
                                           OFFERED | UINT64_C(1) << 63};

        (void)state;
        begin();
        for (unsigned i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
                bus_negotiate(&bus, choices[i]);
                status_is(STATUS_DRIVER);
                assert_int_equal(device.commits, 0);
        }
        bus_negotiate(&bus, OFFERED); /* it may try again */
        status_is(STATUS_FEATURES_OK);
        status(0);
        bus_negotiate(&bus, OFFERED); /* and once more after a reset (virtio 1.3, 2.2.2) */
        status_is(STATUS_FEATURES_OK);
        end();
}

static void a_choice_of_bits_over_63_gets_no_features_ok(void **state)
{
        (void)state;
        begin();
        status(VIRTIO_CONFIG_S_ACKNOWLEDGE);
        status(STATUS_DRIVER);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES, 0); /* a driver may say that it wants none of them */
        assert_int_equal(bus_refused(&bus), 0);
        bus_negotiate(&bus, OFFERED);
        status_is(STATUS_FEATURES_OK);
        status(0);
        status(VIRTIO_CONFIG_S_ACKNOWLEDGE);
        status(STATUS_DRIVER);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 3);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES, 1);
        assert_int_equal(bus_refused(&bus), 1);
        bus_negotiate(&bus, OFFERED);
        status_is(STATUS_DRIVER);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 3);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES, 0); /* it takes that back */
        bus_negotiate(&bus, OFFERED);
        status_is(STATUS_FEATURES_OK);
        status(0);
        status(STATUS_DRIVER);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES_SEL, UINT32_MAX);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES, 1);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES, 0); /* nobody looks so far: that stays until the reset */
        bus_negotiate(&bus, OFFERED);
        status_is(STATUS_DRIVER);
        status(0);
        bus_negotiate(&bus, OFFERED);
        status_is(STATUS_FEATURES_OK);
        end();
}

static void features_that_the_device_refuses_get_no_features_ok(void **state)
{
        (void)state;
        begin();
        device.queues[1].running = true; /* the fake answers -EBUSY to another set */
        bus_negotiate(&bus, OFFERED);
        status_is(STATUS_DRIVER);
        device.queues[1].running = false;
        status(STATUS_FEATURES_OK);
        status_is(STATUS_FEATURES_OK);
        end();
}

/* ---- status ---- */

static void status_bits_come_in_their_order(void **state)
{
        static const uint32_t early[] = {VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_FEATURES_OK,
                                         VIRTIO_CONFIG_S_DRIVER_OK,
                                         VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK,
                                         VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK};

        (void)state;
        begin();
        for (unsigned i = 0; i < 5; i++) {
                status(early[i]);
                status_is(0);
                assert_int_equal(bus_refused(&bus), i + 1);
        }
        status(VIRTIO_CONFIG_S_ACKNOWLEDGE);
        status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_FEATURES_OK);
        status_is(VIRTIO_CONFIG_S_ACKNOWLEDGE);
        status(STATUS_DRIVER);
        status(STATUS_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK);
        status_is(STATUS_DRIVER);
        assert_int_equal(device.commits, 0);
        bus_negotiate(&bus, OFFERED);
        bus_live(&bus);
        status_is(STATUS_LIVE);
        end();
}

static void several_status_bits_may_come_with_one_write(void **state)
{
        (void)state;
        begin();
        status(STATUS_DRIVER);
        status_is(STATUS_DRIVER);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES, 1);
        status(STATUS_LIVE);
        status_is(STATUS_LIVE);
        assert_int_equal(device.committed, VERSION_1);
        end();
}

static void status_bits_are_not_taken_back_and_unknown_ones_not_taken(void **state)
{
        static const uint32_t bad[] = {STATUS_LIVE & ~VIRTIO_CONFIG_S_ACKNOWLEDGE,
                                       STATUS_LIVE & ~VIRTIO_CONFIG_S_DRIVER_OK,
                                       STATUS_LIVE & ~VIRTIO_CONFIG_S_FEATURES_OK,
                                       STATUS_DRIVER,
                                       STATUS_LIVE | 16,
                                       STATUS_LIVE | 32,
                                       STATUS_LIVE | NEEDS_RESET, /* the device's */
                                       STATUS_LIVE | 0x100,
                                       0x100, /* no reset */
                                       0x80000000,
                                       VIRTIO_CONFIG_S_FAILED};

        (void)state;
        begin_live();
        for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                status(bad[i]);
                status_is(STATUS_LIVE);
                assert_int_equal(bus_refused(&bus), i + 1);
        }
        assert_int_equal(device.resets, 0);
        end();
}

static void a_driver_that_has_given_up_starts_nothing(void **state)
{
        (void)state;
        begin_set_up();
        status(STATUS_FEATURES_OK | VIRTIO_CONFIG_S_FAILED);
        status_is(STATUS_FEATURES_OK | VIRTIO_CONFIG_S_FAILED);
        status(STATUS_LIVE | VIRTIO_CONFIG_S_FAILED);
        status_is(STATUS_FEATURES_OK | VIRTIO_CONFIG_S_FAILED);
        bus_set_up(&bus, 0, &(struct queue_layout){.size = 8});
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_QUEUE_READY), 0);
        status(0);
        status_is(0);
        end();
}

/* ---- interrupts ---- */

static void an_interrupt_stays_until_it_is_acknowledged(void **state)
{
        (void)state;
        begin_live();
        assert_int_equal(atomic_fetch_or(device.front.interrupt_status, 1), 0);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_INTERRUPT_STATUS), 1);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_INTERRUPT_STATUS), 1); /* reading clears nothing */
        device.front.config_changed(device.front.context);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
        bus_write(&bus, VIRTIO_MMIO_INTERRUPT_ACK, 1);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
        bus_write(&bus, VIRTIO_MMIO_INTERRUPT_ACK, ~2u);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
        bus_write(&bus, VIRTIO_MMIO_INTERRUPT_ACK, UINT32_MAX);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
        end();
}

static void only_the_interrupt_registers_need_no_main_thread(void **state)
{
        uint8_t bytes[8];
        unsigned n = 0;

        (void)state;
        begin_live();
        atomic_fetch_or(device.front.interrupt_status, 1);
        for (uint64_t offset = 0; offset < 0x1000; offset++)
                for (unsigned len = 1; len <= 8; len++)
                        for (unsigned write = 0; write < 2; write++) {
                                memset(bytes, 0, sizeof(bytes));
                                n += virtio_mmio_fast(bus.mmio, offset, len, write, bytes);
                        }
        assert_int_equal(n, 2);
        assert_true(virtio_mmio_fast(bus.mmio, VIRTIO_MMIO_INTERRUPT_STATUS, 4, false, bytes));
        assert_int_equal(bytes[0], 1);
        bytes[0] = 3;
        assert_true(virtio_mmio_fast(bus.mmio, VIRTIO_MMIO_INTERRUPT_ACK, 4, true, bytes));
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
        end();
}

static void accesses_are_counted(void **state)
{
        struct virtio_mmio_counters counters;

        (void)state;
        begin();
        bus_read(&bus, VIRTIO_MMIO_MAGIC_VALUE);
        bus_read(&bus, VIRTIO_MMIO_INTERRUPT_STATUS);
        bus_write(&bus, VIRTIO_MMIO_INTERRUPT_ACK, 0);
        bus_write(&bus, VIRTIO_MMIO_MAGIC_VALUE, 0);
        status(0);
        status(1);
        virtio_mmio_count(bus.mmio, &counters);
        assert_int_equal(counters.accesses, 6);
        assert_int_equal(counters.refused, 1);
        assert_int_equal(counters.interrupt_reads, 1);
        assert_int_equal(counters.interrupt_acks, 1);
        assert_int_equal(counters.notifies, 0);
        assert_int_equal(counters.resets, 1);
        assert_int_equal(counters.status, 1);
        end();
}

/* ---- the end of all that was ---- */

static void a_broken_device_says_so_with_an_interrupt(void **state)
{
        (void)state;
        begin_live();
        device.front.broken(device.front.context, 1, QUEUE_FAULT_LOOP);
        status_is(STATUS_LIVE | NEEDS_RESET);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
        assert_int_equal(bus_interrupts(&bus), 1);
        device.front.broken(device.front.context, 2, QUEUE_FAULT_LOOP); /* once is enough */
        assert_int_equal(bus_interrupts(&bus), 0);
        assert_int_equal(bus.n_failed, 0); /* the device has said why */
        status(STATUS_LIVE | NEEDS_RESET | VIRTIO_CONFIG_S_FAILED);
        status_is(STATUS_LIVE | NEEDS_RESET | VIRTIO_CONFIG_S_FAILED);
        status(0);
        status_is(0);
        bus_negotiate(&bus, OFFERED);
        bus_live(&bus);
        status_is(STATUS_LIVE);
        end();
}

static void a_reset_forgets_everything_at_once(void **state)
{
        uint32_t generation;

        (void)state;
        begin_live();
        bus_set_up(&bus, 0, &(struct queue_layout){.size = 8, .desc = GPA(0x1000)});
        bus_set_up(&bus, 3, &(struct queue_layout){.size = 16, .desc = GPA(0x2000)});
        assert_int_equal(bus_n_tied(&bus), 2);
        device.front.config_changed(device.front.context);
        atomic_fetch_or(device.front.interrupt_status, 1);
        device.hold = true; /* no worker answers: the reset waits for nobody */
        bus_write(&bus, VIRTIO_MMIO_QUEUE_READY, 0);
        bus_access(&bus, VIRTIO_MMIO_CONFIG + 4, 1, true, 9);
        bus_access(&bus, VIRTIO_MMIO_CONFIG + 5, 1, true, 9);
        generation = bus_read(&bus, VIRTIO_MMIO_CONFIG_GENERATION);
        status(0);
        status_is(0);
        assert_int_equal(device.resets, 1);
        assert_int_equal(bus_n_tied(&bus), 0);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
        assert_int_not_equal(bus_read(&bus, VIRTIO_MMIO_CONFIG_GENERATION), generation);
        for (unsigned i = 0; i < FAKE_QUEUES; i++) {
                bus_write(&bus, VIRTIO_MMIO_QUEUE_SEL, i);
                assert_int_equal(bus_read(&bus, VIRTIO_MMIO_QUEUE_READY), 0);
        }
        device.hold = false;
        for (unsigned i = 0; i < 4; i++)
                fake_device_turn(&device);
        assert_int_equal(device.writes, 1); /* the one that waited is forgotten */
        bus_negotiate(&bus, OFFERED);
        bus_live(&bus);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_SEL, 0);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_READY, 1); /* its size has been forgotten, too */
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_QUEUE_READY), 0);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_device_says_what_it_is),
            cmocka_unit_test(a_device_without_a_hello_is_not_put_on_the_bus),
            cmocka_unit_test(shared_memory_that_is_not_there_is_all_ones),
            cmocka_unit_test(features_are_shown_in_pages_of_32),
            cmocka_unit_test(features_are_committed_once_when_the_driver_is_done_with_them),
            cmocka_unit_test(a_choice_that_cannot_be_served_gets_no_features_ok),
            cmocka_unit_test(a_choice_of_bits_over_63_gets_no_features_ok),
            cmocka_unit_test(features_that_the_device_refuses_get_no_features_ok),
            cmocka_unit_test(status_bits_come_in_their_order),
            cmocka_unit_test(several_status_bits_may_come_with_one_write),
            cmocka_unit_test(status_bits_are_not_taken_back_and_unknown_ones_not_taken),
            cmocka_unit_test(a_driver_that_has_given_up_starts_nothing),
            cmocka_unit_test(an_interrupt_stays_until_it_is_acknowledged),
            cmocka_unit_test(only_the_interrupt_registers_need_no_main_thread),
            cmocka_unit_test(accesses_are_counted),
            cmocka_unit_test(a_broken_device_says_so_with_an_interrupt),
            cmocka_unit_test(a_reset_forgets_everything_at_once),
        };

        return cmocka_run_group_tests_name("virtio_mmio", tests, NULL, NULL);
}
