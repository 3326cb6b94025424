/* The machine under a guest of our own, on this host's /dev/kvm.
 * Owns a VM a test. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/limits.h"
#include "tests/kvm/plain_blk.h"
#include "tests/kvm/rig.h"

static void guest_says_hello(enum kvm_boot_mode mode)
{
        struct rig rig;

        rig_open(&rig, 1);
        rig_boot(&rig, mode, "hello=7");
        rig_wait_output(&rig, "ok hello 7\nend\n");
        rig_wait_end(&rig, KVM_END_SHUTDOWN);
        assert_string_equal(rig.why, "the guest has switched itself off (ACPI S5)");
        rig_close(&rig);
}

static void guest_of_64_bits_runs_and_switches_itself_off(void **state)
{
        (void)state;
        guest_says_hello(KVM_BOOT_LINUX64);
}

static void guest_of_pvh_runs_and_switches_itself_off(void **state)
{
        (void)state;
        guest_says_hello(KVM_BOOT_PVH);
}

static void processors_start_by_init_and_sipi(void **state)
{
        struct rig rig;

        (void)state;
        rig_open(&rig, 4);
        /* What real processors ask KVM for: see the guest. */
        rig_boot(&rig, KVM_BOOT_LINUX64, getenv("REAL_KVM") ? "cpus=4 real" : "cpus=4");
        rig_wait_output(&rig, "ok cpus 4\nend\n");
        rig_wait_end(&rig, KVM_END_SHUTDOWN);
        rig_wait_paused(&rig, 1); /* all four: who sleeps in the kernel too */
        rig_close(&rig);
}

/* ---- bus and interrupts ---- */

struct doorbell {
        int irq_fd;
        unsigned n, wrong;
};

static void on_doorbell(void *context, uint64_t offset, uint32_t len, bool write_access, uint8_t *bytes)
{
        struct doorbell *doorbell = context;

        (void)bytes;
        doorbell->n++;
        doorbell->wrong += !write_access || len != 4 || offset != 0x50;
        assert_int_equal(write(doorbell->irq_fd, &(uint64_t){1}, 8), 8);
}

static void each_write_reaches_its_device_and_each_interrupt_its_guest(void **state)
{
        struct doorbell doorbell = {.irq_fd = eventfd(0, EFD_CLOEXEC)};
        struct kvm_irqfd irqfd = {.fd = (uint32_t)doorbell.irq_fd, .gsi = 5};
        struct kvm_vcpus_stats stats;
        struct rig rig;

        (void)state;
        rig_open(&rig, 1);
        assert_int_equal(ioctl(rig.vm_fd, KVM_IRQFD, &irqfd), 0);
        assert_int_equal(
            kvm_bus_add(rig.bus, KVM_SPACE_MMIO, 0xd0000000, 0x200, "bell", on_doorbell, &doorbell), 0);
        rig_boot(&rig, KVM_BOOT_LINUX64, "doorbells=1000 gsi=5");
        rig_wait_output(&rig, "ok doorbells 1000\n");
        rig_wait_end(&rig, KVM_END_SHUTDOWN);
        kvm_vcpus_stats(rig.vcpus, &stats);
        assert_int_equal(doorbell.n, 1000);
        assert_int_equal(doorbell.wrong, 0);
        assert_int_equal(stats.mmio, 1000);
        assert_int_equal(stats.faults, 0);
        rig_close(&rig);
        close(doorbell.irq_fd);
}

static void nothing_reads_as_ones_and_is_counted(void **state)
{
        struct rig rig;

        (void)state;
        rig_open(&rig, 1);
        rig_boot(&rig, KVM_BOOT_LINUX64, "nothing");
        rig_wait_output(&rig, "ok nothing 0\n");
        rig_wait_end(&rig, KVM_END_SHUTDOWN);
        assert_int_equal(kvm_bus_unknown(rig.bus, KVM_SPACE_MMIO), 2);
        assert_int_equal(kvm_bus_unknown(rig.bus, KVM_SPACE_PIO), 2);
        rig_close(&rig);
}

static void guest_drives_a_disk_and_starts_again_twenty_times(void **state)
{
        static struct plain_blk blk;
        struct kvm_irqfd irqfd = {.gsi = 5};
        struct rig rig;

        (void)state;
        blk.irq_fd = eventfd(0, EFD_CLOEXEC);
        irqfd.fd = (uint32_t)blk.irq_fd;
        rig_open(&rig, 1);
        blk.memory = rig.memory;
        assert_int_equal(ioctl(rig.vm_fd, KVM_IRQFD, &irqfd), 0);
        assert_int_equal(
            kvm_bus_add(rig.bus, KVM_SPACE_MMIO, 0xd0000000, 0x200, "disk", plain_blk_access, &blk), 0);
        rig_boot(&rig, KVM_BOOT_PVH, "blk rounds=20 blocks=4");
        rig_wait_output(&rig, "ok blk 80\n");
        rig_wait_end(&rig, KVM_END_SHUTDOWN);
        assert_int_equal(blk.n_requests, 20 * (4 + 1 + 4 + 1));
        assert_int_equal(blk.n_resets, 21);
        assert_int_equal(blk.n_wrong, 0);
        rig_close(&rig);
        close(blk.irq_fd);
}

/* ---- the serial port ---- */

static void what_is_typed_interrupts_and_comes_back(void **state)
{
        struct rig rig;

        (void)state;
        rig_open(&rig, 1);
        rig_boot(&rig, KVM_BOOT_LINUX64, "echo");
        rig_wait_output(&rig, "echo\n");
        for (unsigned i = 0; i < 20; i++) {
                char word[16];

                snprintf(word, sizeof(word), "word%u;", i);
                assert_int_equal(write(rig.to_guest[1], word, strlen(word)), strlen(word));
                rig_wait_output(&rig, word);
        }
        assert_int_equal(write(rig.to_guest[1], ".", 1), 1);
        rig_wait_output(&rig, "ok echo 131\n");
        rig_wait_end(&rig, KVM_END_SHUTDOWN);
        rig_close(&rig);
}

/* ---- ends ---- */

static void end_by(const char *word, enum kvm_end end, const char *why)
{
        struct rig rig;

        rig_open(&rig, 1);
        rig_boot(&rig, KVM_BOOT_LINUX64, word);
        rig_wait_end(&rig, end);
        if (!strstr(rig.why, why))
                fail_msg("\"%s\" does not say \"%s\"", rig.why, why);
        rig_close(&rig);
}

static void resets_are_told_from_crashes(void **state)
{
        (void)state;
        end_by("reset", KVM_END_RESET, "the guest asks for a reset (keyboard controller)");
        end_by("reset_acpi", KVM_END_RESET, "the guest asks for a reset (ACPI)");
        end_by("triple", KVM_END_CRASH, "triple fault on vCPU 0: rip=0x");
}

static void kernel_that_is_not_there_is_a_crash_in_words(void **state)
{
        struct rig rig;

        (void)state;
        rig_open(&rig, 1);
        rig.entries.linux64 = RIG_RAM - 16; /* zeros: no trap is handled */
        rig_boot(&rig, KVM_BOOT_LINUX64, "");
        rig_wait_end(&rig, KVM_END_CRASH);
        assert_non_null(strstr(rig.why, " on vCPU 0: rip="));
        rig_close(&rig);
}

/* ---- memory that is not there ---- */

static unsigned n_faults;

static bool refuse_fault(void *context, const uint64_t *gpa)
{
        (void)context, (void)gpa;
        n_faults++;
        return false;
}

/* Maps zeros over the hole, as a front end would. */
static void *hole;
static bool mend_fault(void *context, const uint64_t *gpa)
{
        (void)context, (void)gpa;
        n_faults++;
        return mmap(hole, 4096, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
               hole;
}

static bool lie_about_fault(void *context, const uint64_t *gpa)
{
        (void)context, (void)gpa;
        n_faults++;
        return true;
}

/* A slot at 1 GiB of a page that cannot be touched, or whose file has shrunk. */
static void open_with_hole(struct rig *rig, bool (*memory_fault)(void *context, const uint64_t *gpa),
                           bool shrunk)
{
        struct kvm_userspace_memory_region slot = {
            .slot = 1, .guest_phys_addr = 1u << 30, .memory_size = 4096};
        int fd = memfd_create("hole", MFD_CLOEXEC);

        n_faults = 0;
        rig_open(rig, 1);
        rig->memory_fault = memory_fault;
        assert_int_equal(ftruncate(fd, shrunk ? 0 : 4096), 0);
        hole = mmap(NULL, 4096, shrunk ? PROT_READ | PROT_WRITE : PROT_NONE, MAP_SHARED, fd, 0);
        assert_ptr_not_equal(hole, MAP_FAILED);
        close(fd);
        slot.userspace_addr = (uint64_t)hole;
        assert_int_equal(ioctl(rig->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot), 0);
        rig_boot(rig, KVM_BOOT_LINUX64, "hello touch=0x40000000");
}

static void memory_that_is_not_there_ends_the_vm_in_words(void **state)
{
        struct rig rig;

        (void)state;
        open_with_hole(&rig, refuse_fault, false);
        rig_wait_end(&rig, KVM_END_CRASH);
        assert_int_equal(n_faults, 1);
        assert_non_null(strstr(rig.why, "memory"));
        rig_close(&rig);
        munmap(hole, 4096);
}

static void memory_that_was_put_right_is_used(void **state)
{
        struct rig rig;

        (void)state;
        open_with_hole(&rig, mend_fault, false);
        rig_wait_output(&rig, "read 0x0\nok touch 0\n");
        rig_wait_end(&rig, KVM_END_SHUTDOWN);
        assert_in_range(n_faults, 1, 2);
        rig_close(&rig);
        assert_int_equal(*(uint32_t *)hole, 0x5eed);
        munmap(hole, 4096);
}

static void fault_that_is_never_put_right_ends_too(void **state)
{
        struct rig rig;

        (void)state;
        open_with_hole(&rig, lie_about_fault, false);
        rig_wait_end(&rig, KVM_END_CRASH);
        assert_int_equal(n_faults, LIMIT_VCPU_FAULTS);
        rig_close(&rig);
        munmap(hole, 4096);
}

/* KVM may take a page behind the end of a file for one that is on its way, and wait for it inside KVM_RUN (a guest whose
 * interrupts are on; Linux up to 6.18 at least): no EFAULT then. Such a vCPU must still pause, and go on when mended. */
static void vcpu_that_waits_for_a_shrunk_file_pauses_and_goes_on_when_mended(void **state)
{
        struct rig rig;

        (void)state;
        open_with_hole(&rig, mend_fault, true);
        rig_wait_output(&rig, "ok hello 1\n");
        kvm_vcpus_pause(rig.vcpus);
        rig_wait_paused(&rig, 1);
        mend_fault(NULL, NULL);
        kvm_vcpus_resume(rig.vcpus);
        rig_wait_output(&rig, "ok touch 0\n");
        rig_wait_end(&rig, KVM_END_SHUTDOWN);
        rig_close(&rig);
        munmap(hole, 4096);
}

/* ---- pause, resume, stop ---- */

static uint64_t exits_of(struct rig *rig)
{
        struct kvm_vcpus_stats stats;

        kvm_vcpus_stats(rig->vcpus, &stats);
        return stats.exits;
}

static void guest_that_spins_pauses_and_goes_on(void **state)
{
        uint64_t exits;
        struct rig rig;

        (void)state;
        rig_open(&rig, 2);
        rig_boot(&rig, KVM_BOOT_LINUX64, "cpus=2 spin");
        rig_wait_output(&rig, "spinning\n");
        for (unsigned i = 1; i <= 200; i++) {
                kvm_vcpus_pause(rig.vcpus);
                rig_wait_paused(&rig, i);
                exits = exits_of(&rig);
                kvm_vcpus_pause(rig.vcpus); /* again changes nothing */
                assert_int_equal(exits_of(&rig), exits);
                kvm_vcpus_resume(rig.vcpus);
        }
        kvm_vcpus_stop(rig.vcpus);
        rig_wait_left(&rig);
        kvm_vcpus_resume(rig.vcpus); /* too late */
        assert_false(rig.ended);
        rig_close(&rig);
}

/* Looks as often as the other processor's thread can tell. */
static void look_until(struct rig *rig, unsigned stuck)
{
        time_t deadline = time(NULL) + RIG_WAIT_S;

        while (atomic_load(&rig->n_stuck) < stuck) {
                if (time(NULL) > deadline)
                        fail_msg("nobody is stuck, or %u are", atomic_load(&rig->n_stuck));
                kvm_vcpus_look(rig->vcpus);
                sched_yield();
        }
}

static void guest_that_does_not_move_is_found_and_goes_on(void **state)
{
        struct rig rig;

        (void)state;
        rig_open(&rig, 1);
        kvm_vcpus_look(rig.vcpus); /* there is no thread yet */
        rig_boot(&rig, KVM_BOOT_LINUX64, "spin");
        rig_wait_output(&rig, "spinning\n");
        look_until(&rig, 2);
        kvm_vcpus_pause(rig.vcpus);
        rig_wait_paused(&rig, 1);
        kvm_vcpus_look(rig.vcpus); /* nobody runs */
        kvm_vcpus_resume(rig.vcpus);
        look_until(&rig, 4);
        assert_false(rig.ended);
        rig_close(&rig);
}

/* From their first moment on: whatever the thread is doing. */
static void vcpus_stop_at_any_moment(void **state)
{
        (void)state;
        for (unsigned i = 0; i < 50; i++) {
                struct rig rig;

                rig_open(&rig, 2);
                rig_boot(&rig, KVM_BOOT_LINUX64, "cpus=2 spin");
                for (unsigned spin = 0; spin < i * i * 20; spin++)
                        __asm__ volatile("");
                kvm_vcpus_stop(rig.vcpus);
                rig_wait_left(&rig);
                rig_close(&rig);
        }
}

static void vcpus_that_never_started_are_freed(void **state)
{
        struct rig rig;

        (void)state;
        rig_open(&rig, 3);
        rig_close(&rig);
}

static void boot_of_another_architecture_is_refused(void **state)
{
        struct kvm_boot boot = {.mode = KVM_BOOT_ARM64};
        char why[128];
        struct rig rig;

        (void)state;
        rig_open(&rig, 1);
        assert_int_equal(kvm_vcpus_start(rig.vcpus, &boot, why, sizeof(why)), -EINVAL);
        assert_non_null(strstr(why, "the first state of vCPU 0"));
        kvm_vcpus_stop(rig.vcpus);
        assert_true(rig.left); /* nobody else would say so */
        rig_close(&rig);
}

static unsigned open_descriptors(void)
{
        unsigned n = 0;

        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static void nothing_of_a_vm_is_left(void **state)
{
        unsigned before = open_descriptors();

        guest_of_64_bits_runs_and_switches_itself_off(state);
        assert_int_equal(open_descriptors(), before);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test(guest_of_64_bits_runs_and_switches_itself_off),
            cmocka_unit_test(guest_of_pvh_runs_and_switches_itself_off),
            cmocka_unit_test(processors_start_by_init_and_sipi),
            cmocka_unit_test(each_write_reaches_its_device_and_each_interrupt_its_guest),
            cmocka_unit_test(guest_drives_a_disk_and_starts_again_twenty_times),
            cmocka_unit_test(nothing_reads_as_ones_and_is_counted),
            cmocka_unit_test(what_is_typed_interrupts_and_comes_back),
            cmocka_unit_test(resets_are_told_from_crashes),
            cmocka_unit_test(kernel_that_is_not_there_is_a_crash_in_words),
            cmocka_unit_test(memory_that_is_not_there_ends_the_vm_in_words),
            cmocka_unit_test(memory_that_was_put_right_is_used),
            cmocka_unit_test(fault_that_is_never_put_right_ends_too),
            cmocka_unit_test(vcpu_that_waits_for_a_shrunk_file_pauses_and_goes_on_when_mended),
            cmocka_unit_test(guest_that_spins_pauses_and_goes_on),
            cmocka_unit_test(guest_that_does_not_move_is_found_and_goes_on),
            cmocka_unit_test(vcpus_stop_at_any_moment),
            cmocka_unit_test(vcpus_that_never_started_are_freed),
            cmocka_unit_test(boot_of_another_architecture_is_refused),
            cmocka_unit_test(nothing_of_a_vm_is_left),
        };
        const char *missing = rig_missing();

        if (missing) {
                printf("skipped: %s\n", missing);
                return getenv("MUST_RUN") ? 1 : 77;
        }
        cmocka_set_test_filter(getenv("FILTER"));
        return cmocka_run_group_tests(tests, NULL, NULL);
}
