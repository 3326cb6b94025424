/* A device on the bus of a VM of the real /dev/kvm: doorbells and interrupts that the kernel serves, and registers that
 * vCPU threads reach. The device beneath writes down what it is told.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/front_device.h"

#include <errno.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/bytes.h"
#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "tests/core/own_fds.h"
#include "tests/kvm/mmio_bus.h"
#include "tests/kvm/real_vm.h"
#include "tests/wire/fake_device.h"

#define VERSION_1 (UINT64_C(1) << 32)
#define QUEUE     2u
#define ROUNDS    50u
#define ACCESSES  200u

static struct real_vm real;
static struct real_vcpu vcpu;
static struct device device;
static struct kvm_bus *bus;
static struct front_device front;
static struct front_memory *memory;
static const struct kvm_regions regions; /* none */
static uv_loop_t loop;
static uint64_t address;
static unsigned fds_before;

/* No device here has a region. */
void __wrap_device_shmem_shown(struct device *told, struct shmem_mapping *mapping, int error);
void __wrap_device_shmem_failed(struct device *told, struct shmem_mapping *mapping);
void __wrap_device_shmem_ended(struct device *told, struct shmem_mapping *mapping);
void __wrap_device_place_region(struct device *told, uint8_t shmid, uint64_t gpa);

void __wrap_device_place_region(struct device *told, uint8_t shmid, uint64_t gpa)
{
        fail_msg("a region %u of %p at %llx", shmid, (void *)told, (unsigned long long)gpa);
}

void __wrap_device_shmem_shown(struct device *told, struct shmem_mapping *mapping, int error)
{
        fail_msg("a mapping at %p of %p: %d", (void *)mapping, (void *)told, error);
}

void __wrap_device_shmem_failed(struct device *told, struct shmem_mapping *mapping)
{
        fail_msg("a mapping at %p of %p", (void *)mapping, (void *)told);
}

void __wrap_device_shmem_ended(struct device *told, struct shmem_mapping *mapping)
{
        fail_msg("a mapping at %p of %p", (void *)mapping, (void *)told);
}

static void begin(void)
{
        struct front_place place;

        assert_int_equal(uv_loop_init(&loop), 0);
        fds_before = count_fds();
        real_vm_init(&real);
        assert_int_equal(ioctl(kvm_vm_fd(real.vm), KVM_CREATE_IRQCHIP, 0ul), 0);
        real_vcpu_init(&vcpu, &real);
        fake_device_init(&device);
        bus = kvm_bus_new();
        address = kvm_layout_device(&real.layout, 0);
        place = (struct front_place){
            .vm = real.vm, .bus = bus, .address = address, .gsi = kvm_layout_gsi(&real.layout, 0)};
        assert_int_equal(kvm_calls_new(&loop, &place.calls), 0);
        assert_int_equal(front_memory_new(&(struct front_memory_place){.loop = &loop,
                                                                       .vm = real.vm,
                                                                       .bus = bus,
                                                                       .calls = place.calls,
                                                                       .layout = &real.layout,
                                                                       .regions = &regions},
                                          &memory),
                         0);
        place.memory = memory;
        assert_int_equal(front_device_open(&front, &device, &place), 0);
}

static void end(void)
{
        struct kvm_calls *calls = front.place.calls;

        front_device_close(&front);
        assert_null(device.front.context);
        memory = front_memory_free(memory);
        kvm_calls_free(calls);
        uv_run(&loop, UV_RUN_DEFAULT);
        bus = kvm_bus_free(bus);
        fake_device_done(&device);
        real_vcpu_done(&vcpu);
        real_vm_done(&real);
        assert_int_equal(count_fds(), fds_before);
        assert_int_equal(uv_loop_close(&loop), 0);
}

/* ---- what a vCPU thread does ---- */

static uint32_t bus_word(uint32_t offset, bool write, uint32_t value)
{
        uint8_t bytes[8] = {0};

        bytes_store32(bytes, value);
        kvm_bus_access(bus, KVM_SPACE_MMIO, address + offset, 4, write, bytes);
        return bytes_load32(bytes);
}

static void drive(void *argument)
{
        (void)argument;
        bus_word(VIRTIO_MMIO_STATUS, true, 0);
        bus_word(VIRTIO_MMIO_STATUS, true, STATUS_DRIVER);
        bus_word(VIRTIO_MMIO_DRIVER_FEATURES_SEL, true, 1);
        bus_word(VIRTIO_MMIO_DRIVER_FEATURES, true, 1);
        bus_word(VIRTIO_MMIO_STATUS, true, STATUS_FEATURES_OK);
        bus_word(VIRTIO_MMIO_QUEUE_SEL, true, QUEUE);
        bus_word(VIRTIO_MMIO_QUEUE_NUM, true, 16);
        bus_word(VIRTIO_MMIO_QUEUE_READY, true, 1);
        bus_word(VIRTIO_MMIO_STATUS, true, STATUS_LIVE);
}

static void drive_often(void *argument)
{
        for (unsigned i = 0; i < ROUNDS; i++)
                drive(argument);
}

static void reset(void *argument)
{
        (void)argument;
        bus_word(VIRTIO_MMIO_STATUS, true, 0);
}

/* Every register in turn, from several threads at once: only their order is open. */
static void read_and_write(void *argument)
{
        for (unsigned i = 0; i < ACCESSES; i++) {
                uint32_t offset = (i % 64) * 4;

                (void)bus_word(offset, false, 0);
                bus_word(offset, true, i);
                if (bus_word(VIRTIO_MMIO_MAGIC_VALUE, false, 0) != 0x74726976)
                        abort();
        }
        (void)argument;
}

static unsigned n_running;
static uv_async_t done;

static void on_done(uv_async_t *async)
{
        if (__atomic_load_n(&n_running, __ATOMIC_ACQUIRE) == 0)
                uv_close((uv_handle_t *)async, NULL);
}

struct vcpu_thread {
        uv_thread_t thread;
        void (*run)(void *argument);
};

static void vcpu_main(void *argument)
{
        const struct vcpu_thread *thread = argument;

        thread->run(NULL);
        __atomic_sub_fetch(&n_running, 1, __ATOMIC_ACQ_REL);
        uv_async_send(&done);
}

/* `n` threads do it, while this one serves them as the broker's main thread does. */
static void on_vcpus(unsigned n, void (*run)(void *argument))
{
        struct vcpu_thread threads[4];

        n_running = n;
        assert_int_equal(uv_async_init(&loop, &done, on_done), 0);
        for (unsigned i = 0; i < n; i++) {
                threads[i].run = run;
                assert_int_equal(uv_thread_create(&threads[i].thread, vcpu_main, &threads[i]), 0);
        }
        while (__atomic_load_n(&n_running, __ATOMIC_ACQUIRE) > 0 || !uv_is_closing((uv_handle_t *)&done))
                uv_run(&loop, UV_RUN_ONCE);
        uv_run(&loop, UV_RUN_NOWAIT);
        for (unsigned i = 0; i < n; i++)
                uv_thread_join(&threads[i].thread);
}

/* The guest notifies the queue: does that leave the kernel? */
static bool notify_exits(uint32_t queue)
{
        int reason;

        real_vcpu_load(&vcpu, &real, CODE_WRITE32, (uint32_t)address + VIRTIO_MMIO_QUEUE_NOTIFY, queue);
        reason = real_vcpu_run(&vcpu);
        if (reason == KVM_EXIT_MMIO)
                assert_int_equal(real_vcpu_run(&vcpu), KVM_EXIT_IO);
        else
                assert_int_equal(reason, KVM_EXIT_IO);
        return reason == KVM_EXIT_MMIO;
}

static uint64_t kicks(void)
{
        uint64_t n = 0;

        return read(device.queues[QUEUE].kick, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* ---- claims ---- */

static void a_kick_of_a_running_queue_does_not_leave_the_kernel(void **state)
{
        (void)state;
        begin();
        assert_true(notify_exits(QUEUE));
        on_vcpus(1, drive);
        assert_true(device.queues[QUEUE].running);
        for (unsigned i = 0; i < 20; i++)
                assert_false(notify_exits(QUEUE));
        assert_int_equal(kicks(), 20);
        assert_true(notify_exits(QUEUE + 1)); /* another queue's is its own */
        assert_true(notify_exits(QUEUE | 0x10000));
        on_vcpus(1, reset);
        assert_true(notify_exits(QUEUE));
        end();
}

static void doorbells_are_tied_and_untied_with_each_life(void **state)
{
        (void)state;
        begin();
        on_vcpus(1, drive_often); /* a tie that stayed would refuse the next one */
        assert_int_equal(device.queues[QUEUE].starts, ROUNDS);
        assert_true(device.queues[QUEUE].running);
        assert_false(notify_exits(QUEUE));
        end();
}

static void interrupt_registers_need_no_main_thread(void **state)
{
        (void)state;
        begin();
        on_vcpus(1, drive);
        atomic_fetch_or(device.front.interrupt_status, 1);
        /* Nobody serves calls now: this thread would wait for ever. */
        assert_int_equal(bus_word(VIRTIO_MMIO_INTERRUPT_STATUS, false, 0), 1);
        bus_word(VIRTIO_MMIO_INTERRUPT_ACK, true, 1);
        assert_int_equal(bus_word(VIRTIO_MMIO_INTERRUPT_STATUS, false, 0), 0);
        end();
}

static void several_vcpus_may_be_in_the_registers_at_once(void **state)
{
        (void)state;
        log_init("front", LOG_LEVEL_ERROR);
        begin();
        on_vcpus(4, read_and_write);
        on_vcpus(1, drive);
        assert_true(device.queues[QUEUE].running);
        assert_false(notify_exits(QUEUE));
        end();
        log_init("front", LOG_LEVEL_INFO);
}

static void after_the_end_registers_read_as_ones(void **state)
{
        (void)state;
        begin();
        kvm_calls_close(front.place.calls);
        assert_int_equal(bus_word(VIRTIO_MMIO_MAGIC_VALUE, false, UINT32_MAX), UINT32_MAX);
        end();
}

/* Lines with these words that went to standard error. */
static unsigned count_lines(int file, const char *words)
{
        static char text[1u << 16];
        ssize_t n = pread(file, text, sizeof(text) - 1, 0);
        unsigned count = 0;

        assert_true(n >= 0);
        text[n] = '\0';
        for (const char *at = strstr(text, words); at; at = strstr(at + 1, words))
                count++;
        return count;
}

static void a_guest_that_breaks_its_device_again_and_again_does_not_fill_the_log(void **state)
{
        int file = memfd_create("log", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
        unsigned lines;

        (void)state;
        log_init("front", LOG_LEVEL_INFO);
        begin();
        device.start_error = -EFAULT;
        assert_true(dup2(file, STDERR_FILENO) >= 0);
        on_vcpus(1, drive_often);
        assert_true(dup2(saved, STDERR_FILENO) >= 0);
        lines = count_lines(file, "is broken until its driver resets it");
        assert_true(lines >= 1 && lines <= LIMIT_LOG_BURST);
        device.start_error = 0;
        on_vcpus(1, drive);
        assert_true(device.queues[QUEUE].running);
        end();
        close(file);
        close(saved);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_kick_of_a_running_queue_does_not_leave_the_kernel),
            cmocka_unit_test(doorbells_are_tied_and_untied_with_each_life),
            cmocka_unit_test(interrupt_registers_need_no_main_thread),
            cmocka_unit_test(several_vcpus_may_be_in_the_registers_at_once),
            cmocka_unit_test(after_the_end_registers_read_as_ones),
            cmocka_unit_test(a_guest_that_breaks_its_device_again_and_again_does_not_fill_the_log),
        };
        int status;

        if (!real_vm_possible(&status))
                return status;
        return cmocka_run_group_tests_name("front_device", tests, NULL, NULL);
}
