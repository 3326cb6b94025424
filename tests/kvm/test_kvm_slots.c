/* Memory slots, doorbells and interrupts under a processor of the real KVM: added, removed and replaced while it runs.
 * x86_64: its 16-bit code is ours. TRUST: the guest is the test's own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/fault_safe.h"
#include "tests/kvm/real_vm.h"

#define PAGE        4096u
#define N_PAGES     130u        /* more than two words of a bitmap */
#define AT          0x20000000u /* in no RAM, reached by 16-bit code with a segment of ours */
#define N_SWAPS     300u
#define DEADLINE_MS 10000

static struct real_vm real;
static struct real_vcpu vcpu;
static uint8_t *bytes;

static int setup(void **state)
{
        (void)state;
        bytes = mmap(NULL, N_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(bytes != MAP_FAILED);
        real_vm_init(&real);
        real_vcpu_init(&vcpu, &real);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        real_vcpu_done(&vcpu);
        real_vm_done(&real);
        return munmap(bytes, N_PAGES * PAGE);
}

static uint32_t slot_added(void *host, uint64_t len, unsigned flags)
{
        uint32_t slot = 77;

        assert_int_equal(kvm_vm_slot_add(real.vm, AT, len, host, flags, &slot), 0);
        return slot;
}

/* The processor's next exit is the end of one pass of its code. */
static void assert_done(void)
{
        assert_int_equal(real_vcpu_run(&vcpu), KVM_EXIT_IO);
        assert_int_equal(vcpu.run->io.port, DONE_PORT);
}

static void assert_mmio(uint64_t at, bool write, unsigned len)
{
        assert_int_equal(real_vcpu_run(&vcpu), KVM_EXIT_MMIO);
        assert_int_equal(vcpu.run->mmio.phys_addr, at);
        assert_int_equal(vcpu.run->mmio.is_write, write);
        assert_int_equal(vcpu.run->mmio.len, len);
}

static uint8_t done_value(void)
{
        return *((uint8_t *)vcpu.run + vcpu.run->io.data_offset);
}

static void guest_and_broker_share_ram(void **state)
{
        uint8_t byte = 0;

        (void)state;
        real_vcpu_load(&vcpu, &real, CODE_WRITE8, 0x5000, 0xa7);
        assert_done();
        assert_int_equal(guest_memory_read(kvm_vm_memory(real.vm), GPA(0x5000), &byte, 1), 0);
        assert_int_equal(byte, 0xa7);
        byte = 0x3c;
        assert_int_equal(guest_memory_write(kvm_vm_memory(real.vm), GPA(REAL_VM_MEMORY - 1), &byte, 1), 0);
        real_vcpu_load(&vcpu, &real, CODE_READ8, REAL_VM_MEMORY - 1, 0);
        assert_done();
        assert_int_equal(done_value(), 0x3c);
        real_vcpu_load(&vcpu, &real, CODE_WRITE8, REAL_VM_MEMORY, 1); /* the first byte that is not there */
        assert_mmio(REAL_VM_MEMORY, true, 1);
}

static void slot_comes_and_goes_between_two_instructions(void **state)
{
        uint32_t slot;

        (void)state;
        real_vcpu_load(&vcpu, &real, CODE_WRITE8, AT, 0x11);
        for (unsigned i = 0; i < 3; i++) {
                bytes[0] = 0;
                assert_mmio(AT, true, 1);
                slot = slot_added(bytes, PAGE, 0);
                assert_done();
                assert_done();
                assert_int_equal(bytes[0], 0x11);
                assert_int_equal(kvm_vm_slot_remove(real.vm, slot), 0);
        }
        assert_mmio(AT, true, 1);
        assert_done();
}

static void replaced_slot_shows_the_new_bytes(void **state)
{
        (void)state;
        bytes[0] = 0xaa;
        bytes[PAGE] = 0xbb;
        real_vcpu_load(&vcpu, &real, CODE_READ8, AT, 0);
        for (unsigned i = 0; i < 4; i++) {
                uint32_t slot = slot_added(bytes + (i & 1) * PAGE, PAGE, 0);

                assert_done();
                assert_int_equal(done_value(), i & 1 ? 0xbb : 0xaa);
                assert_int_equal(kvm_vm_slot_remove(real.vm, slot), 0);
        }
}

static void read_only_slot_is_read_and_not_written(void **state)
{
        uint32_t slot = slot_added(bytes, PAGE, KVM_SLOT_READ_ONLY);

        (void)state;
        bytes[0] = 0x5e;
        real_vcpu_load(&vcpu, &real, CODE_READ8, AT, 0);
        assert_done();
        assert_int_equal(done_value(), 0x5e);
        real_vcpu_load(&vcpu, &real, CODE_WRITE8, AT, 0x99);
        assert_mmio(AT, true, 1);
        assert_int_equal(vcpu.run->mmio.data[0], 0x99);
        assert_done();
        assert_int_equal(bytes[0], 0x5e);
        /* Also where the broker itself could not write: the guest's write is no fault of ours. */
        assert_int_equal(kvm_vm_slot_remove(real.vm, slot), 0);
        assert_int_equal(mprotect(bytes, PAGE, PROT_READ), 0);
        slot = slot_added(bytes, PAGE, KVM_SLOT_READ_ONLY);
        assert_mmio(AT, true, 1);
        assert_done();
        assert_int_equal(kvm_vm_slot_remove(real.vm, slot), 0);
        assert_int_equal(mprotect(bytes, PAGE, PROT_READ | PROT_WRITE), 0);
}

/* Asks for the log: exactly these two pages (or one, given twice; or none, N_PAGES) are dirty. */
static void assert_dirty(uint32_t slot, unsigned a, unsigned b)
{
        uint64_t bitmap[3];

        memset(bitmap, 0xff, sizeof(bitmap));
        assert_int_equal(kvm_vm_dirty_size(real.vm, slot), sizeof(bitmap));
        assert_int_equal(kvm_vm_dirty_log(real.vm, slot, bitmap, sizeof(bitmap)), 0);
        for (unsigned i = 0; i < 192; i++)
                assert_int_equal(bitmap[i / 64] >> (i % 64) & 1, i < N_PAGES && (i == a || i == b));
}

static void write_to_page(unsigned page)
{
        real_vcpu_load(&vcpu, &real, CODE_WRITE8, AT + page * PAGE + 7, 1);
        assert_done();
}

static void dirty_log_holds_the_pages_that_were_written(void **state)
{
        uint32_t slot = slot_added(bytes, N_PAGES * PAGE, KVM_SLOT_LOG_DIRTY);

        (void)state;
        assert_dirty(slot, N_PAGES, N_PAGES);
        write_to_page(0);
        write_to_page(N_PAGES - 1);
        assert_dirty(slot, 0, N_PAGES - 1);
        assert_dirty(slot, N_PAGES, N_PAGES); /* it began anew */
        write_to_page(64);
        assert_dirty(slot, 64, 64);
        write_to_page(64);
        assert_dirty(slot, 64, 64); /* the same page again */
        assert_int_equal(kvm_vm_slot_remove(real.vm, slot), 0);
}

static void dirty_log_begins_and_ends_while_the_slot_is_there(void **state)
{
        uint32_t slot = slot_added(bytes, N_PAGES * PAGE, 0);

        (void)state;
        write_to_page(5);
        assert_int_equal(kvm_vm_slot_log(real.vm, slot, true), 0);
        write_to_page(6);
        assert_dirty(slot, 6, 6);
        write_to_page(7);
        assert_int_equal(kvm_vm_slot_log(real.vm, slot, false), 0);
        write_to_page(8);
        assert_int_equal(kvm_vm_slot_log(real.vm, slot, true), 0);
        assert_dirty(slot, N_PAGES, N_PAGES);
        assert_int_equal(kvm_vm_slot_remove(real.vm, slot), 0);
        /* RAM has one too. */
        assert_int_equal(kvm_vm_slot_log(real.vm, 0, true), 0);
        real_vcpu_load(&vcpu, &real, CODE_WRITE8, 9 * PAGE, 1);
        assert_done();
        {
                uint64_t bitmap[REAL_VM_MEMORY / PAGE / 64] = {0};

                assert_int_equal(kvm_vm_dirty_log(real.vm, 0, bitmap, sizeof(bitmap)), 0);
                assert_true(bitmap[0] & 1u << 9);
        }
        assert_int_equal(kvm_vm_slot_log(real.vm, 0, false), 0);
}

/* KVM_RUN says EFAULT, or, where it emulates, that there is no memory. Afterwards the guest reads zeros and goes on. */
static void guest_lives_on_when_a_file_is_cut(void **state)
{
        int fd = memfd_create("bulkhead-test", MFD_CLOEXEC), reason;
        uint8_t *file;
        uint32_t slot;

        (void)state;
        assert_int_equal(fault_safe_install(), 0);
        assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
        file = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_true(file != MAP_FAILED);
        file[0] = 0x31;
        file[PAGE] = 0x32;
        slot = slot_added(file, 2 * PAGE, 0);
        real_vcpu_load(&vcpu, &real, CODE_READ8, AT + PAGE, 0);
        assert_done();
        assert_int_equal(done_value(), 0x32);
        assert_int_equal(ftruncate(fd, PAGE), 0);
        reason = real_vcpu_run(&vcpu);
        assert_true(reason == -EFAULT || reason == KVM_EXIT_MMIO);
        assert_int_equal(kvm_vm_mend(real.vm, slot), 1);
        assert_done(); /* of the access that failed */
        assert_done();
        assert_int_equal(done_value(), 0);
        real_vcpu_load(&vcpu, &real, CODE_READ8, AT, 0);
        assert_done();
        assert_int_equal(done_value(), 0x31);
        assert_int_equal(kvm_vm_slot_remove(real.vm, slot), 0);
        assert_int_equal(munmap(file, 2 * PAGE), 0);
        close(fd);
}

/* ---- while the processor runs ---- */

static atomic_bool stopping;
static atomic_uint passes, misses;
static atomic_int failure;

static void *processor(void *argument)
{
        (void)argument;
        while (!atomic_load(&stopping)) {
                int reason = real_vcpu_run(&vcpu);

                if (reason == KVM_EXIT_IO)
                        atomic_fetch_add(&passes, 1);
                else if (reason == KVM_EXIT_MMIO)
                        atomic_fetch_add(&misses, 1);
                else if (reason != -EINTR) {
                        atomic_store(&failure, reason);
                        break;
                }
        }
        return NULL;
}

/* Waits until `counter` is beyond `from`. */
static void await_more(atomic_uint *counter, unsigned from)
{
        struct timespec now, end;

        clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += DEADLINE_MS / 1000;
        while (atomic_load(counter) == from) {
                clock_gettime(CLOCK_MONOTONIC, &now);
                assert_int_equal(atomic_load(&failure), 0);
                assert_true(now.tv_sec < end.tv_sec);
                sched_yield();
        }
}

static void slots_are_swapped_while_the_processor_runs(void **state)
{
        pthread_t thread;

        (void)state;
        real_vcpu_load(&vcpu, &real, CODE_WRITE8, AT, 0x42);
        assert_int_equal(pthread_create(&thread, NULL, processor, NULL), 0);
        for (unsigned i = 0; i < N_SWAPS; i++) {
                uint8_t *page = bytes + (i & 1) * PAGE;
                uint32_t slot;

                *page = 0;
                slot = slot_added(page, PAGE, 0);
                await_more(&passes, atomic_load(&passes)); /* the second pass has written for certain */
                await_more(&passes, atomic_load(&passes));
                assert_int_equal(kvm_vm_slot_remove(real.vm, slot), 0);
                assert_int_equal(*page, 0x42);
                /* Nobody touches what has been removed: not even one write more. */
                *page = 0x17;
                await_more(&misses, atomic_load(&misses));
                await_more(&misses, atomic_load(&misses));
                assert_int_equal(*page, 0x17);
        }
        atomic_store(&stopping, true);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(atomic_load(&failure), 0);
}

/* ---- doorbells and interrupts ---- */

static uint64_t events(int fd)
{
        uint64_t count = 0;

        return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static void kick_of_the_right_queue_causes_no_exit(void **state)
{
        uint64_t at = kvm_layout_device(&real.layout, 0) + 0x50, three = 3;
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        (void)state;
        assert_int_equal(kvm_vm_ioeventfd(real.vm, at, 4, &three, fd, true), 0);
        real_vcpu_load(&vcpu, &real, CODE_WRITE32, (uint32_t)at, 3);
        for (unsigned i = 0; i < 5; i++)
                assert_done();
        assert_int_equal(events(fd), 5);
        /* Another value, another width: an exit, and no event. */
        real_vcpu_load(&vcpu, &real, CODE_WRITE32, (uint32_t)at, 4);
        assert_mmio(at, true, 4);
        real_vcpu_load(&vcpu, &real, CODE_WRITE8, (uint32_t)at, 3);
        assert_mmio(at, true, 1);
        assert_int_equal(events(fd), 0);
        assert_int_equal(kvm_vm_ioeventfd(real.vm, at, 4, &three, fd, false), 0);
        real_vcpu_load(&vcpu, &real, CODE_WRITE32, (uint32_t)at, 3);
        assert_mmio(at, true, 4);
        assert_int_equal(events(fd), 0);
        /* Without a value: any. */
        assert_int_equal(kvm_vm_ioeventfd(real.vm, at, 4, NULL, fd, true), 0);
        real_vcpu_load(&vcpu, &real, CODE_WRITE32, (uint32_t)at, 0x12345);
        assert_done();
        assert_done();
        assert_int_equal(events(fd), 2);
        assert_int_equal(kvm_vm_ioeventfd(real.vm, at, 4, NULL, fd, false), 0);
        close(fd);
}

/* Is this interrupt pending in the legacy controllers of a VM? */
static bool pending(const struct kvm_vm *vm, uint32_t gsi)
{
        struct kvm_irqchip chip = {.chip_id = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE};

        assert_int_equal(ioctl(kvm_vm_fd(vm), KVM_GET_IRQCHIP, &chip), 0);
        return chip.chip.pic.irr >> (gsi % 8) & 1;
}

static void interrupt_arrives_by_its_eventfd_alone(void **state)
{
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        uint32_t gsi = kvm_layout_gsi(&real.layout, 0);
        struct timespec now, end;
        struct kvm_vm *vm = NULL;
        char why[256] = "";

        (void)state;
        assert_int_equal(kvm_vm_new(&real.host, &real.layout, real.bits, &vm, why, sizeof(why)), 0);
        assert_int_equal(kvm_vm_irqfd(vm, gsi, fd, true), -EINVAL); /* no interrupt controller yet */
        assert_int_equal(ioctl(kvm_vm_fd(vm), KVM_CREATE_IRQCHIP, 0ul), 0);
        assert_int_equal(kvm_vm_irqfd(vm, gsi, fd, true), 0);
        assert_int_equal(kvm_vm_irqfd(vm, gsi, fd, true), -EBUSY);
        assert_int_equal(kvm_vm_irqfd(vm, gsi, other, true), 0);
        assert_int_equal(kvm_vm_irqfd(vm, gsi, other, false), 0);
        assert_false(pending(vm, gsi));
        assert_int_equal(eventfd_write(other, 1), 0); /* tied no more */
        assert_int_equal(eventfd_write(fd, 1), 0);
        clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += DEADLINE_MS / 1000;
        while (!pending(vm, gsi)) {
                clock_gettime(CLOCK_MONOTONIC, &now);
                assert_true(now.tv_sec < end.tv_sec);
        }
        assert_int_equal(events(other), 1); /* ours again */
        assert_int_equal(kvm_vm_irqfd(vm, gsi, fd, false), 0);
        assert_int_equal(kvm_vm_irqfd(vm, gsi, -1, true), -EBADF);
        (void)kvm_vm_free(vm);
        close(fd);
        close(other);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(guest_and_broker_share_ram),
            cmocka_unit_test(slot_comes_and_goes_between_two_instructions),
            cmocka_unit_test(replaced_slot_shows_the_new_bytes),
            cmocka_unit_test(read_only_slot_is_read_and_not_written),
            cmocka_unit_test(dirty_log_holds_the_pages_that_were_written),
            cmocka_unit_test(dirty_log_begins_and_ends_while_the_slot_is_there),
            cmocka_unit_test(guest_lives_on_when_a_file_is_cut),
            cmocka_unit_test(slots_are_swapped_while_the_processor_runs),
            cmocka_unit_test(kick_of_the_right_queue_causes_no_exit),
            cmocka_unit_test(interrupt_arrives_by_its_eventfd_alone),
        };
        int status;

        if (!real_vm_possible(&status))
                return status;
        return cmocka_run_group_tests(tests, setup, teardown);
}
