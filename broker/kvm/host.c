/* What this host's KVM is and can do.
 * Owns nothing: the descriptor is the caller's. Called before there is a VM, and by the operator's doctor.
 * TRUST: answers of the kernel. They are still bounded where they become sizes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "broker/kvm/host_width.h"
#include "broker/kvm/why.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/limits.h"

#ifndef KVM_CAP_MEMORY_FAULT_INFO
#define KVM_CAP_MEMORY_FAULT_INFO 232 /* Linux 6.8 */
#endif

#define OVERCOMMIT_NEVER 2u /* vm.overcommit_memory */

#define KVM_API 12 /* the only one there has been since 2007; a program must refuse any other */

/* What no VM of ours runs without. */
static const struct {
        int extension;
        const char *name, *reason;
} needed[] = {
    {KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY", "guest memory is the broker's"},
    {KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "KVM_CAP_DESTROY_MEMORY_REGION_WORKS",
     "shared memory regions come and go while the guest runs"},
    {KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM", "some shared memory regions are read-only"},
    {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", "a processor must stop at once when it is told to"},
    {KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD", "a guest's kick goes straight to its device"},
    {KVM_CAP_IRQFD, "KVM_CAP_IRQFD", "a device's interrupt goes straight to its guest"},
    {KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE", "processors wait for the first one to start them"},
#if defined(__x86_64__)
    {KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP", "the interrupt controllers are the kernel's"},
    {KVM_CAP_PIT2, "KVM_CAP_PIT2", "Linux calibrates its clock with this timer"},
    {KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID", "the guest asks what its processor can do"},
    {KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR", "older processors of Intel need its pages"},
#elif defined(__aarch64__)
    {KVM_CAP_ONE_REG, "KVM_CAP_ONE_REG", "a processor starts with registers of ours"},
    {KVM_CAP_ARM_PSCI_0_2, "KVM_CAP_ARM_PSCI_0_2",
     "the guest starts processors and switches itself off by it"},
    {KVM_CAP_DEVICE_CTRL, "KVM_CAP_DEVICE_CTRL", "the interrupt controller is the kernel's"},
#endif
};

/* Modules that say whose KVM it is; the kernel has no call for that. The first that is there counts. */
static const struct {
        const char *path, *kind;
        bool software;
} kinds[] = {
    {"/sys/module/kvm_pvm", "kvm_pvm: software", true},
    {"/sys/module/kvm_intel", "kvm_intel", false},
    {"/sys/module/kvm_amd", "kvm_amd", false},
};

int kvm_host_open(char *why, size_t why_size)
{
        int fd = open(KVM_HOST_DEVICE, O_RDWR | O_CLOEXEC);
        int error = errno;

        if (fd >= 0)
                return fd;
        if (error == ENOENT || error == ENXIO || error == ENODEV)
                return kvm_why(-error, why, why_size,
                               "there is no " KVM_HOST_DEVICE
                               "; switch virtualization on in the firmware and load the "
                               "module kvm_intel or kvm_amd, or use frontend: vhost-user");
        if (error == EACCES || error == EPERM)
                return kvm_why(-error, why, why_size,
                               "no permission to open " KVM_HOST_DEVICE
                               " for user %u; add the user to its group with: "
                               "usermod -aG kvm NAME",
                               (unsigned)geteuid());
        if (error == EBUSY)
                return kvm_why(-error, why, why_size,
                               KVM_HOST_DEVICE
                               " is busy; another hypervisor (VirtualBox, Xen) has the processor: stop it");
        return kvm_why(-error, why, why_size, KVM_HOST_DEVICE ": %s", strerror(error));
}

static void kind_probe(struct kvm_host *host)
{
        (void)snprintf(host->kind, sizeof(host->kind), KVM_ARCH_HERE == KVM_ARCH_ARM64 ? "arm64" : "unknown");
        for (size_t i = 0; i < array_size(kinds) && KVM_ARCH_HERE == KVM_ARCH_X86_64; i++) {
                if (access(kinds[i].path, F_OK) < 0)
                        continue;
                (void)snprintf(host->kind, sizeof(host->kind), "%s", kinds[i].kind);
                host->software = kinds[i].software;
                return;
        }
}

/* The number that a file of the kernel begins with, or has behind `key`; 0: none. */
static uint64_t kernel_number(const char *path, const char *key)
{
        char text[8192];
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        const char *at;

        if (n < 0)
                return 0;
        text[n] = '\0';
        at = strstr(text, key);
        return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* Strict overcommit gives no more than it has; what it will have given when the guest comes to its last page is not known,
 * but a VM that does not fit now is refused now and not in its middle. */
static uint64_t commit_left(void)
{
        uint64_t limit, used;

        if (kernel_number("/proc/sys/vm/overcommit_memory", "") != OVERCOMMIT_NEVER)
                return 0;
        limit = kernel_number("/proc/meminfo", "\nCommitLimit:") << 10;
        used = kernel_number("/proc/meminfo", "\nCommitted_AS:") << 10;
        return limit > used ? limit - used : 1;
}

/* 0: none. */
static uint64_t own_limit(unsigned resource)
{
        struct rlimit limit;

        if (getrlimit(resource, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
                return 0;
        return MAX(limit.rlim_cur, 1u);
}

static void memory_probe(struct kvm_host *host)
{
        struct sysinfo info;

        if (sysinfo(&info) == 0)
                host->memory = (info.totalram + info.totalswap) * (uint64_t)info.mem_unit;
        host->commit = commit_left();
        host->space = own_limit(RLIMIT_AS);
        host->file = own_limit(RLIMIT_FSIZE);
}

/* A number that an extension answers with; what is not there or makes no sense becomes `otherwise`. */
static unsigned extension_number(int fd, int extension, unsigned otherwise)
{
        int r = ioctl(fd, KVM_CHECK_EXTENSION, (unsigned long)extension);

        return r > 0 ? (unsigned)r : otherwise;
}

static int needed_check(int fd, char *why, size_t why_size)
{
        int version = ioctl(fd, KVM_GET_API_VERSION, 0ul);

        if (version < 0)
                return kvm_why(
                    -errno, why, why_size,
                    KVM_HOST_DEVICE
                    " is not KVM (%s); remove what is there, and load the module kvm_intel or kvm_amd",
                    strerror(errno));
        if (version != KVM_API)
                return kvm_why(-EOPNOTSUPP, why, why_size,
                               "KVM speaks version %d of its API and not %d; use a Linux kernel", version,
                               KVM_API);
        for (size_t i = 0; i < array_size(needed); i++) {
                if (ioctl(fd, KVM_CHECK_EXTENSION, (unsigned long)needed[i].extension) <= 0)
                        return kvm_why(
                            -EOPNOTSUPP, why, why_size,
                            "this KVM (%s) lacks %s: %s; use a newer kernel, or frontend: vhost-user",
                            KVM_HOST_DEVICE, needed[i].name, needed[i].reason);
        }
        return 0;
}

int kvm_host_probe(int fd, struct kvm_host *ret_host, char *why, size_t why_size)
{
        struct kvm_host host = {.fd = fd};
        int r = needed_check(fd, why, why_size), size;

        if (r < 0)
                return r;
        size = ioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 0ul);
        if (size < (int)sizeof(struct kvm_run))
                return kvm_why(-EOPNOTSUPP, why, why_size,
                               "KVM's record of a processor has %d bytes; use a newer kernel", size);
        host.vcpu_mmap_size = (unsigned)size;
        r = kvm_host_width(fd, &host.width, &host.width_known, why, why_size);
        if (r < 0)
                return r;
        /* The answers of a kernel that lacks these extensions (Documentation/virt/kvm/api.rst, 4.7 and 4.35). */
        host.max_vcpus = extension_number(fd, KVM_CAP_MAX_VCPUS, extension_number(fd, KVM_CAP_NR_VCPUS, 4));
        host.max_memslots = extension_number(fd, KVM_CAP_NR_MEMSLOTS, 32);
        host.memory_fault = extension_number(fd, KVM_CAP_MEMORY_FAULT_INFO, 0) > 0;
        kind_probe(&host);
        memory_probe(&host);
        *ret_host = host;
        return 0;
}

static int memory_judge(const struct kvm_host *host, uint64_t memory, char *why, size_t why_size)
{
        const struct {
                uint64_t most; /* 0: no limit */
                const char *whose, *remedy;
        } limits[] = {
            {host->memory, "this host has", ", swap included; give less"},
            {host->commit, "this host has left",
             ", with vm.overcommit_memory=2; give less, or raise vm.overcommit_ratio"},
            {host->space, "our address space is limited to",
             "; give less, or start with ulimit -v unlimited"},
            {host->file, "our files are limited to", "; give less, or start with ulimit -f unlimited"},
        };

        for (size_t i = 0; i < array_size(limits); i++)
                if (limits[i].most > 0 && memory > limits[i].most)
                        return kvm_why(-E2BIG, why, why_size,
                                       "memory is %" PRIu64 " MiB and %s %" PRIu64 " MiB%s", memory >> 20,
                                       limits[i].whose, limits[i].most >> 20, limits[i].remedy);
        return 0;
}

int kvm_host_judge(const struct kvm_host *host, const struct kvm_layout *layout, char *why, size_t why_size)
{
        if (layout->n_vcpus > host->max_vcpus)
                return kvm_why(-E2BIG, why, why_size,
                               "vcpus is %u and this host's KVM allows %u; give at most so many",
                               layout->n_vcpus, host->max_vcpus);
        if (kvm_layout_n_slots(layout) > host->max_memslots)
                return kvm_why(-E2BIG, why, why_size,
                               "this host's KVM has %u memory slots and the VM needs %u", host->max_memslots,
                               kvm_layout_n_slots(layout));
        return memory_judge(host, kvm_layout_memory(layout), why, why_size);
}
