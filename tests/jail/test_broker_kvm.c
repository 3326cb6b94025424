/* A broker that runs a VM, confined: its VM goes on working on a real KVM, and it can make no other.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "sandbox/broker_jail.h"
#include "tests/jail/jail_fixture.h"

#define PAGE 4096u

static int kvm_fd, vm_fd, vcpu_fd;
static struct kvm_run *run;
static uint8_t *ram;

/* x86_64: KVM's first state will do. */
static bool init_vcpu(void)
{
#if defined(__aarch64__)
        struct kvm_vcpu_init init;

        return ioctl(vm_fd, KVM_ARM_PREFERRED_TARGET, &init) == 0 &&
               ioctl(vcpu_fd, KVM_ARM_VCPU_INIT, &init) == 0;
#else
        return true;
#endif
}

/* All that the front end does before it is confined. The child's own: KVM serves nobody else. */
static bool make_vm(void)
{
        int len;

        kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
        vm_fd = kvm_fd < 0 ? -1 : ioctl(kvm_fd, KVM_CREATE_VM, 0);
        vcpu_fd = vm_fd < 0 ? -1 : ioctl(vm_fd, KVM_CREATE_VCPU, 0);
        len = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
        if (vcpu_fd < 0 || len <= 0 || !init_vcpu())
                return false;
        run = mmap(NULL, (size_t)len, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);
        ram = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        return run != MAP_FAILED && ram != MAP_FAILED;
}

/* Status of a child that has made a VM, confined itself as a broker with or without one, and acted. */
static int confined(bool kvm, void (*act)(void))
{
        struct broker_jail jail = {.uid = FIXTURE_OWNER, .gid = FIXTURE_OWNER, .nofile = 64, .kvm = kvm};
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                const char *stage;
                uint32_t missing;

                if (!make_vm())
                        _exit(98);
                if (broker_confine(&jail, &missing, &stage) < 0)
                        _exit(99);
                act();
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

/* Neither the uid nor the filter nor the empty root takes the VM away. */
static void act_run(void)
{
        struct kvm_userspace_memory_region region = {
            .slot = 3, .guest_phys_addr = 16 * PAGE, .memory_size = PAGE, .userspace_addr = (uintptr_t)ram};

        run->immediate_exit = 1;
        if (ioctl(vcpu_fd, KVM_RUN, 0) == 0 || errno != EINTR)
                _exit(1);
        if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
                _exit(2);
        region.memory_size = 0;
        if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
                _exit(3);
#if defined(__x86_64__)
        struct kvm_sregs sregs;
        struct kvm_regs regs;
        struct kvm_mp_state state;
        struct kvm_translation translation = {0};

        if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0 || ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0 ||
            ioctl(vcpu_fd, KVM_GET_REGS, &regs) < 0 || ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0 ||
            ioctl(vcpu_fd, KVM_GET_MP_STATE, &state) < 0 || ioctl(vcpu_fd, KVM_TRANSLATE, &translation) < 0)
                _exit(4);
#else
        uint64_t pc;
        struct kvm_one_reg reg = {.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
                                        KVM_REG_ARM_CORE_REG(regs.pc),
                                  .addr = (uintptr_t)&pc};

        if (ioctl(vcpu_fd, KVM_GET_ONE_REG, &reg) < 0 || ioctl(vcpu_fd, KVM_SET_ONE_REG, &reg) < 0)
                _exit(4);
#endif
}

/* The kernel's answer does not matter, only that the filter lets the question pass. */
static void act_wire(void)
{
        struct kvm_irqfd irqfd = {.fd = (uint32_t)-1};
        struct kvm_ioeventfd event = {.fd = -1};
        struct kvm_dirty_log log = {.slot = 77};

        ioctl(vm_fd, KVM_IRQFD, &irqfd);
        ioctl(vm_fd, KVM_IOEVENTFD, &event);
        ioctl(vm_fd, KVM_GET_DIRTY_LOG, &log);
}

static void act_make_vm(void)
{
        ioctl(kvm_fd, KVM_CREATE_VM, 0);
}

static void act_make_vcpu(void)
{
        ioctl(vm_fd, KVM_CREATE_VCPU, 1);
}

static void act_ask_host(void)
{
        ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQFD);
}

static void act_make_device(void)
{
        struct kvm_create_device device = {.type = KVM_DEV_TYPE_VFIO};

        ioctl(vm_fd, KVM_CREATE_DEVICE, &device);
}

static void act_enable(void)
{
        struct kvm_enable_cap cap = {0};

        ioctl(vm_fd, KVM_ENABLE_CAP, &cap);
}

static void a_confined_broker_runs_maps_and_wires_its_vm(void **state)
{
        (void)state;
        assert_int_equal(confined(true, act_run), 0);
        assert_int_equal(confined(true, act_wire), 0);
}

static void assert_killed(bool kvm, void (*act)(void))
{
        int status = confined(kvm, act);

        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void a_confined_broker_makes_nothing_of_kvm(void **state)
{
        static void (*const acts[])(void) = {act_make_vm, act_make_vcpu, act_ask_host, act_make_device,
                                             act_enable};

        (void)state;
        for (size_t i = 0; i < array_size(acts); i++)
                assert_killed(true, acts[i]);
}

static void a_broker_of_another_front_end_has_no_word_for_kvm(void **state)
{
        static void (*const acts[])(void) = {act_run, act_wire, act_make_vm};

        (void)state;
        for (size_t i = 0; i < array_size(acts); i++)
                assert_killed(false, acts[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_confined_broker_runs_maps_and_wires_its_vm),
            cmocka_unit_test(a_confined_broker_makes_nothing_of_kvm),
            cmocka_unit_test(a_broker_of_another_front_end_has_no_word_for_kvm),
        };

        if (!fixture_needs_root())
                return 77;
        if (!make_vm()) {
                fprintf(stderr, "skipped: needs a /dev/kvm that makes a VM: %s\n", strerror(errno));
                return getenv("MUST_RUN") ? EXIT_FAILURE : 77;
        }
        fixture_keep_rights();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
