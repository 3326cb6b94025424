/* A VM of the real /dev/kvm for a test.
 * Owns /dev/kvm's descriptor, the VM and its processor until they are done with. TRUST: the guest is the test's own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/real_vm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/kvm/width.h"

bool real_vm_possible(int *ret_status)
{
        char why[256] = "";
        int fd = kvm_host_open(why, sizeof(why));
        int vm = fd >= 0 ? ioctl(fd, KVM_CREATE_VM, 0ul) : -1;

        if (fd >= 0 && vm < 0)
                (void)snprintf(why, sizeof(why), "this /dev/kvm makes no VM: %s", strerror(errno));
        if (vm >= 0)
                close(vm);
        if (fd >= 0)
                close(fd);
        if (vm >= 0)
                return true;
        fprintf(stderr, "skipped: %s\n", why);
        *ret_status = getenv("MUST_RUN") ? 1 : 77;
        return false;
}

void real_vm_init(struct real_vm *real)
{
        char why[256] = "";

        real->kvm_fd = kvm_host_open(why, sizeof(why));
        if (real->kvm_fd < 0 || kvm_host_probe(real->kvm_fd, &real->host, why, sizeof(why)) < 0 ||
            kvm_layout_make(KVM_ARCH_HERE, REAL_VM_MEMORY, 1, 1, 64 << 20, &real->layout, why, sizeof(why)) <
                0 ||
            kvm_width_judge(&real->layout, real->host.width, real->host.width_known, &real->bits, why,
                            sizeof(why)) < 0 ||
            kvm_vm_new(&real->host, &real->layout, real->bits, &real->vm, why, sizeof(why)) < 0)
                fail_msg("%s", why);
}

void real_vm_done(struct real_vm *real)
{
        real->vm = kvm_vm_free(real->vm);
        close(real->kvm_fd);
}

#if defined(__x86_64__)
/* The flat, unreal beginnings of 16-bit code: segments begin where we say and reach everything. */
static void segments_set(int fd, uint32_t data_at)
{
        struct kvm_sregs sregs;

        assert_int_equal(ioctl(fd, KVM_GET_SREGS, &sregs), 0);
        sregs.cs.base = 0;
        sregs.cs.selector = 0;
        sregs.ds.base = data_at;
        sregs.ds.selector = 0;
        assert_int_equal(ioctl(fd, KVM_SET_SREGS, &sregs), 0);
}

void real_vcpu_init(struct real_vcpu *vcpu, const struct real_vm *real)
{
        vcpu->fd = ioctl(kvm_vm_fd(real->vm), KVM_CREATE_VCPU, 0ul);
        assert_true(vcpu->fd >= 0);
        vcpu->run_size = real->host.vcpu_mmap_size;
        vcpu->run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
        assert_true(vcpu->run != MAP_FAILED);
}

void real_vcpu_done(struct real_vcpu *vcpu)
{
        assert_int_equal(munmap(vcpu->run, vcpu->run_size), 0);
        close(vcpu->fd);
}

void real_vcpu_load(struct real_vcpu *vcpu, const struct real_vm *real, enum real_code code, uint32_t at,
                    uint32_t eax)
{
        static const uint8_t codes[][7] = {
            [CODE_READ8] = {0x8a, 0x05, 0xe6, DONE_PORT, 0xeb, 0xfa},         /* mov al, [di]; out; jmp */
            [CODE_WRITE8] = {0x88, 0x05, 0xe6, DONE_PORT, 0xeb, 0xfa},        /* mov [di], al; out; jmp */
            [CODE_WRITE32] = {0x66, 0x89, 0x05, 0xe6, DONE_PORT, 0xeb, 0xf9}, /* mov [di], eax; out; jmp */
        };
        struct kvm_regs regs = {.rip = CODE_AT, .rflags = 2, .rax = eax};

        assert_int_equal(
            guest_memory_write(kvm_vm_memory(real->vm), GPA(CODE_AT), codes[code], sizeof(codes[code])), 0);
        segments_set(vcpu->fd, at);
        assert_int_equal(ioctl(vcpu->fd, KVM_SET_REGS, &regs), 0);
}

int real_vcpu_run(struct real_vcpu *vcpu)
{
        return ioctl(vcpu->fd, KVM_RUN, 0ul) < 0 ? -errno : (int)vcpu->run->exit_reason;
}
#endif
