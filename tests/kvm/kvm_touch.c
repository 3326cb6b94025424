/* A guest that writes the last bytes of its memory.
 * Owns its vCPU while it runs. Called by kvm_probe.c. TRUST: the guest is two instructions of ours.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/kvm_touch.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/base/checked.h"

#if defined(__aarch64__)
#define NOWHERE 0x09000000u /* no memory: an access leaves the guest */
#define VALUE   0x600df00du

static int register_set(int fd, uint64_t offset, uint64_t value)
{
        struct kvm_one_reg reg = {.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
                                        offset / sizeof(uint32_t),
                                  .addr = (uintptr_t)&value};

        return ioctl(fd, KVM_SET_ONE_REG, &reg);
}

#define REGISTER(name) offsetof(struct kvm_regs, regs.name)

static int vcpu_prepare(int vm_fd, int fd, const struct kvm_layout *layout, uint64_t code_at)
{
        struct kvm_vcpu_init init;

        if (ioctl(vm_fd, KVM_ARM_PREFERRED_TARGET, &init) < 0 || ioctl(fd, KVM_ARM_VCPU_INIT, &init) < 0)
                return -1;
        return register_set(fd, REGISTER(pc), code_at) < 0 ||
                       register_set(fd, REGISTER(regs[0]), layout->end - 4) < 0 ||
                       register_set(fd, REGISTER(regs[1]), VALUE) < 0 ||
                       register_set(fd, REGISTER(regs[2]), NOWHERE) < 0
                   ? -1
                   : 0;
}

static void vcpu_run(int fd, const struct kvm_run *run, const uint32_t *last, char *words, size_t size)
{
        if (ioctl(fd, KVM_RUN, 0ul) < 0)
                (void)snprintf(words, size, "KVM_RUN:%s", strerrorname_np(errno));
        else if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.phys_addr != NOWHERE)
                (void)snprintf(words, size, "exit:%u:0x%llx", run->exit_reason,
                               (unsigned long long)run->mmio.phys_addr);
        else if (*last != VALUE)
                (void)snprintf(words, size, "value:0x%x", *last);
        else
                (void)snprintf(words, size, "ok");
}

void kvm_touch(int vm_fd, size_t run_size, const struct guest_memory *memory, const struct kvm_layout *layout,
               const uint32_t *last, char *words, size_t size)
{
        static const uint32_t code[] = {0xb9000001 /* str w1, [x0] */, 0xb9000041 /* str w1, [x2] */};
        uint64_t code_at = layout->ram[0].start;
        int fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0ul);
        struct kvm_run *run =
            fd < 0 ? MAP_FAILED : mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (run == MAP_FAILED || guest_memory_write(memory, GPA(code_at), code, sizeof(code)) < 0 ||
            vcpu_prepare(vm_fd, fd, layout, code_at) < 0)
                (void)snprintf(words, size, "vcpu:%s", strerrorname_np(errno));
        else
                vcpu_run(fd, run, last, words, size);
        if (run != MAP_FAILED)
                (void)munmap(run, run_size);
        if (fd >= 0)
                close(fd);
}
#else
void kvm_touch(int vm_fd, size_t run_size, const struct guest_memory *memory, const struct kvm_layout *layout,
               const uint32_t *last, char *words, size_t size)
{
        (void)vm_fd;
        (void)run_size;
        (void)memory;
        (void)layout;
        (void)last;
        (void)snprintf(words, size, "not here");
}
#endif
