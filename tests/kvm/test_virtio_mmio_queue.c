/* virtio-mmio queue registers: when a queue runs, and what may be written then.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/kvm/mmio_bus.h"
#include "tests/wire/fake_device.h"

#define VERSION_1 (UINT64_C(1) << 32)

#define NOT_IN_MEMORY "its driver has set up a queue that is not in memory, or not as it must be"

static const struct queue_layout layout = {.size = 128,
                                           .desc = GPA(UINT64_C(0x123456780)),
                                           .avail = GPA(UINT64_C(0xabcdef012345678)),
                                           .used = GPA(UINT64_C(0xfedcba9876543210))};
static struct device device;
static struct mmio_bus bus;

static void begin(void)
{
        struct guest_memory *memory = guest_memory_new();

        fake_device_init(&device);
        bus_open(&bus, &device, memory, NULL, 0);
        guest_memory_unref(memory);
}

static void begin_set_up(uint64_t more)
{
        begin();
        device.features |= more;
        bus_negotiate(&bus, VERSION_1 | more);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_STATUS), STATUS_FEATURES_OK);
}

static void end(void)
{
        bus_close(&bus);
        assert_false(fake_device_any_running(&device));
        fake_device_done(&device);
}

static uint32_t ready(unsigned queue)
{
        bus_write(&bus, VIRTIO_MMIO_QUEUE_SEL, queue);
        return bus_read(&bus, VIRTIO_MMIO_QUEUE_READY);
}

static void set_ready(unsigned queue, uint32_t value)
{
        bus_write(&bus, VIRTIO_MMIO_QUEUE_SEL, queue);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_READY, value);
}

static void runs_as_laid_out(const struct fake_queue *queue, const struct queue_layout *expected)
{
        assert_true(queue->running);
        assert_int_equal(queue->layout.size, expected->size);
        assert_int_equal(queue->layout.desc.v, expected->desc.v);
        assert_int_equal(queue->layout.avail.v, expected->avail.v);
        assert_int_equal(queue->layout.used.v, expected->used.v);
}

/* ---- start ---- */

static void nothing_runs_before_driver_ok(void **state)
{
        (void)state;
        begin_set_up(0);
        bus_set_up(&bus, 0, &layout);
        bus_set_up(&bus, 2, &layout);
        assert_int_equal(ready(0), 1);
        assert_int_equal(ready(1), 0);
        assert_int_equal(ready(2), 1);
        assert_false(fake_device_any_running(&device));
        assert_int_equal(bus_n_tied(&bus), 0);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NOTIFY, 0); /* too early: it is not an error that anybody sees */
        bus_live(&bus);
        runs_as_laid_out(&device.queues[0], &layout);
        runs_as_laid_out(&device.queues[2], &layout);
        assert_false(device.queues[1].running);
        assert_int_equal(device.queues[0].base, 0);
        assert_int_equal(bus_n_tied(&bus), 2);
        assert_int_equal(bus.n_failed, 0);
        end();
}

static void a_queue_may_be_made_ready_later(void **state)
{
        (void)state;
        begin_set_up(0);
        bus_live(&bus);
        assert_false(fake_device_any_running(&device));
        bus_set_up(&bus, 3, &layout);
        runs_as_laid_out(&device.queues[3], &layout);
        assert_int_equal(ready(3), 1);
        end();
}

static void kicks_and_interrupts_are_the_vm_s(void **state)
{
        uint64_t value = 0;

        (void)state;
        begin_set_up(0);
        bus_set_up(&bus, 1, &layout);
        bus_live(&bus);
        assert_true(bus_kick(&bus, 1)); /* the device has another descriptor of the same eventfd */
        assert_int_equal(read(device.queues[1].kick, &value, sizeof(value)), sizeof(value));
        assert_int_equal(value, 1);
        value = 1;
        assert_int_equal(write(device.queues[1].call, &value, sizeof(value)), sizeof(value));
        assert_int_equal(bus_interrupts(&bus), 1);
        end();
}

static void a_notification_that_comes_as_an_access_is_a_kick(void **state)
{
        struct virtio_mmio_counters counters;
        uint64_t value = 0;

        (void)state;
        begin_set_up(0);
        bus_set_up(&bus, 1, &layout);
        bus_live(&bus);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
        assert_int_equal(read(device.queues[1].kick, &value, sizeof(value)), sizeof(value));
        assert_int_equal(value, 2);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NOTIFY, 0x10001);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NOTIFY, UINT32_MAX);
        virtio_mmio_count(bus.mmio, &counters);
        assert_int_equal(counters.notifies, 2);
        assert_int_equal(counters.refused, 3);
        end();
}

static void sizes_are_those_that_the_ring_can_have(void **state)
{
        static const uint32_t bad[] = {0, 3, 257, 512, 0x10000, 0x10008, 0x80000000, UINT32_MAX};

        (void)state;
        begin_set_up(0);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_SEL, 0);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_QUEUE_NUM_MAX), 256);
        for (unsigned i = 0; i < 8; i++)
                bus_write(&bus, VIRTIO_MMIO_QUEUE_NUM, bad[i]);
        assert_int_equal(bus_refused(&bus), 8);
        set_ready(0, 1);
        assert_int_equal(ready(0), 0); /* it has no size at all */
        assert_int_equal(bus_refused(&bus), 9);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NUM, 1);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NUM, 256);
        assert_int_equal(bus_refused(&bus), 9);
        set_ready(0, 1);
        bus_live(&bus);
        assert_int_equal(device.queues[0].layout.size, 256);
        end();
}

static void a_packed_ring_has_any_size_and_begins_with_its_wrap_counters_set(void **state)
{
        (void)state;
        begin_set_up(FAKE_PACKED);
        bus_set_up(&bus, 0, &(struct queue_layout){.size = 77});
        bus_live(&bus);
        assert_int_equal(device.queues[0].layout.size, 77);
        assert_int_equal(device.queues[0].base, QUEUE_PACKED_BASE);
        end();
}

static void a_queue_that_the_device_does_not_have_is_not_there(void **state)
{
        static const uint32_t absent[] = {FAKE_QUEUES, LIMIT_QUEUES - 1, LIMIT_QUEUES, 0x10000, UINT32_MAX};

        (void)state;
        begin_set_up(0);
        for (unsigned i = 0; i < 5; i++) {
                bus_write(&bus, VIRTIO_MMIO_QUEUE_SEL, absent[i]);
                assert_int_equal(bus_read(&bus, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
                assert_int_equal(bus_read(&bus, VIRTIO_MMIO_QUEUE_READY), 0);
                assert_int_equal(bus_refused(&bus), 9 * i);
                bus_set_up(&bus, absent[i], &layout);
                bus_write(&bus, VIRTIO_MMIO_QUEUE_READY, 0);
                assert_int_equal(bus_refused(&bus), 9 * (i + 1));
        }
        bus_live(&bus);
        assert_false(fake_device_any_running(&device));
        end();
}

/* ---- latched ---- */

static void overwrite_everything(unsigned queue)
{
        bus_write(&bus, VIRTIO_MMIO_QUEUE_SEL, queue);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NUM, 8);
        for (uint64_t at = VIRTIO_MMIO_QUEUE_DESC_LOW; at <= VIRTIO_MMIO_QUEUE_USED_HIGH; at += 4)
                if (at % 16 < 8)
                        bus_write(&bus, at, 0x41414140);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void a_ready_queue_keeps_its_layout_whatever_is_written(void **state)
{
        (void)state;
        begin_set_up(0);
        bus_set_up(&bus, 0, &layout);
        overwrite_everything(0);
        assert_int_equal(bus_refused(&bus), 8);
        bus_live(&bus);
        runs_as_laid_out(&device.queues[0], &layout);
        overwrite_everything(0);
        assert_int_equal(bus_refused(&bus), 16);
        device.hold = true;
        set_ready(0, 0);
        overwrite_everything(0); /* while it drains */
        assert_int_equal(bus_refused(&bus), 24);
        device.hold = false;
        fake_device_turn(&device);
        assert_int_equal(ready(0), 0);
        set_ready(0, 1); /* nothing of all that has been written */
        runs_as_laid_out(&device.queues[0], &layout);
        assert_int_equal(device.queues[0].starts, 2);
        end();
}

static void one_queue_s_registers_are_not_another_s(void **state)
{
        struct queue_layout other = {
            .size = 16, .desc = GPA(0x1000), .avail = GPA(0x2000), .used = GPA(0x3000)};

        (void)state;
        begin_set_up(0);
        bus_set_up(&bus, 0, &layout);
        bus_set_up(&bus, 1, &other);
        bus_live(&bus);
        runs_as_laid_out(&device.queues[0], &layout);
        runs_as_laid_out(&device.queues[1], &other);
        end();
}

/* ---- stop ---- */

static void a_queue_that_drains_reads_ready_until_it_has(void **state)
{
        (void)state;
        begin_set_up(0);
        bus_set_up(&bus, 0, &layout);
        bus_set_up(&bus, 1, &layout);
        bus_live(&bus);
        device.hold = true;
        set_ready(0, 0);
        assert_int_equal(ready(0), 1);
        set_ready(0, 0); /* again: it is asked once */
        assert_int_equal(device.queues[0].stops, 1);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        assert_int_equal(bus_refused(&bus), 1);
        fake_device_turn(&device);
        assert_int_equal(ready(0), 1);
        device.hold = false;
        fake_device_turn(&device);
        assert_int_equal(ready(0), 0);
        assert_int_equal(ready(1), 1); /* its neighbour runs on */
        assert_true(device.queues[1].running);
        assert_int_equal(bus_n_tied(&bus), 1);
        bus_set_up(&bus, 0, &layout); /* begins afresh */
        assert_int_equal(device.queues[0].base, 0);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_STATUS), STATUS_LIVE);
        end();
}

static void a_latched_queue_is_let_go_at_once(void **state)
{
        (void)state;
        begin_set_up(0);
        bus_set_up(&bus, 0, &layout);
        set_ready(0, 0);
        assert_int_equal(ready(0), 0);
        bus_live(&bus);
        assert_false(fake_device_any_running(&device));
        assert_int_equal(device.queues[0].stops, 0);
        end();
}

static void a_queue_that_is_not_ready_may_be_told_so_at_any_time(void **state)
{
        (void)state;
        begin();
        for (unsigned i = 0; i < FAKE_QUEUES; i++)
                set_ready(i, 0); /* Linux tidies up so, after its reset */
        assert_int_equal(bus_refused(&bus), 0);
        end();
}

static void a_queue_of_a_broken_device_can_be_stopped_but_none_started(void **state)
{
        (void)state;
        begin_set_up(0);
        bus_set_up(&bus, 0, &layout);
        bus_live(&bus);
        device.front.broken(device.front.context, 0, QUEUE_FAULT_HEAD);
        set_ready(1, 1);
        assert_int_equal(ready(1), 0);
        set_ready(0, 0);
        fake_device_turn(&device);
        assert_int_equal(ready(0), 0);
        set_ready(0, 1);
        assert_int_equal(ready(0), 0);
        end();
}

/* ---- what cannot be served ---- */

static void is_broken(const char *why)
{
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_STATUS), STATUS_LIVE | NEEDS_RESET);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
        assert_int_equal(bus_interrupts(&bus), 1);
        assert_int_equal(bus.n_failed, 1);
        assert_string_equal(bus.why, why);
        assert_int_equal(ready(0), 0);
        assert_int_equal(bus_n_tied(&bus), 0);
        bus_write(&bus, VIRTIO_MMIO_STATUS, 0);
        bus_negotiate(&bus, VERSION_1);
        bus_set_up(&bus, 0, &layout);
        bus_live(&bus);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_STATUS), STATUS_LIVE);
        assert_true(device.queues[0].running);
}

static void a_ring_that_cannot_be_served_breaks_its_device(void **state)
{
        (void)state;
        begin_set_up(0);
        device.start_error = -EFAULT;
        bus_set_up(&bus, 0, &layout);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_STATUS), STATUS_FEATURES_OK);
        bus_live(&bus);
        device.start_error = 0;
        is_broken(NOT_IN_MEMORY);
        end();
}

static void a_later_ring_that_cannot_be_served_breaks_its_device(void **state)
{
        (void)state;
        begin_set_up(0);
        bus_live(&bus);
        device.start_error = -EINVAL;
        bus_set_up(&bus, 0, &layout);
        device.start_error = 0;
        is_broken(NOT_IN_MEMORY);
        end();
}

static void a_device_that_cannot_start_a_queue_is_broken_by_itself(void **state)
{
        (void)state;
        begin_set_up(0);
        device.start_error = -ENOMEM;
        bus_set_up(&bus, 0, &layout);
        bus_live(&bus);
        device.start_error = 0;
        is_broken("a queue could not be started");
        end();
}

static void a_kick_that_cannot_be_tied_breaks_its_device(void **state)
{
        (void)state;
        begin_set_up(0);
        bus.kick_error = -EMFILE;
        bus_set_up(&bus, 0, &layout);
        bus_live(&bus);
        bus.kick_error = 0;
        is_broken("no event descriptor could be had for a queue");
        end();
}

static void queues_behind_one_that_cannot_be_served_do_not_start(void **state)
{
        (void)state;
        begin_set_up(0);
        bus_set_up(&bus, 0, &layout);
        bus_set_up(&bus, 1, &layout);
        bus.kick_error = -EMFILE;
        bus_live(&bus);
        assert_int_equal(bus.n_failed, 1);
        assert_false(fake_device_any_running(&device));
        assert_int_equal(ready(0), 0);
        assert_int_equal(ready(1), 1); /* it waits for a DRIVER_OK that cannot come before a reset */
        bus_write(&bus, VIRTIO_MMIO_STATUS, 0);
        assert_int_equal(ready(1), 0);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(nothing_runs_before_driver_ok),
            cmocka_unit_test(a_queue_may_be_made_ready_later),
            cmocka_unit_test(kicks_and_interrupts_are_the_vm_s),
            cmocka_unit_test(a_notification_that_comes_as_an_access_is_a_kick),
            cmocka_unit_test(sizes_are_those_that_the_ring_can_have),
            cmocka_unit_test(a_packed_ring_has_any_size_and_begins_with_its_wrap_counters_set),
            cmocka_unit_test(a_queue_that_the_device_does_not_have_is_not_there),
            cmocka_unit_test(a_ready_queue_keeps_its_layout_whatever_is_written),
            cmocka_unit_test(one_queue_s_registers_are_not_another_s),
            cmocka_unit_test(a_queue_that_drains_reads_ready_until_it_has),
            cmocka_unit_test(a_latched_queue_is_let_go_at_once),
            cmocka_unit_test(a_queue_that_is_not_ready_may_be_told_so_at_any_time),
            cmocka_unit_test(a_queue_of_a_broken_device_can_be_stopped_but_none_started),
            cmocka_unit_test(a_ring_that_cannot_be_served_breaks_its_device),
            cmocka_unit_test(a_later_ring_that_cannot_be_served_breaks_its_device),
            cmocka_unit_test(a_device_that_cannot_start_a_queue_is_broken_by_itself),
            cmocka_unit_test(a_kick_that_cannot_be_tied_breaks_its_device),
            cmocka_unit_test(queues_behind_one_that_cannot_be_served_do_not_start),
        };

        return cmocka_run_group_tests_name("virtio_mmio_queue", tests, NULL, NULL);
}
