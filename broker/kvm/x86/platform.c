/* The x86-64 platform: interrupt controllers and timer in the kernel, a serial port, power ports, and each vCPU's
 * first state.
 * Owns the serial port and its interrupt's eventfd; holds a reference of guest memory. Called by the front end and
 * vcpu.c on the main thread, through platform.h. TRUST: none of its own; guests reach what it puts on the bus.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/platform.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "broker/kvm/x86/cpuid.h"
#include "broker/kvm/x86/power_ports.h"
#include "broker/kvm/x86/start.h"
#include "broker/kvm/x86/uart16550.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

#define APIC_LVT_LINT0   0x350u /* local APIC registers (Intel SDM 3A, table 11-1) */
#define APIC_LVT_LINT1   0x360u
#define APIC_MODE_EXTINT 0x700u
#define APIC_MODE_NMI    0x400u
#define APIC_MASKED      0x10000u

#define MSR_MTRR_DEFAULT 0x2ffu
#define MTRR_ENABLED     0x800u
#define MTRR_WRITE_BACK  6u

struct kvm_platform {
        int vm_fd;
        unsigned n_vcpus;
        struct guest_memory *memory;
        struct kvm_cpuid2 *cpuid;
        bool tsc_deadline;
        struct uart16550 *uart;
        int uart_irq; /* eventfd; -1: none yet */
};

static int fail(int error, const char *what, char *why, size_t size)
{
        snprintf(why, size, "%s: %s", what, strerror(-error));
        return error;
}

/* ---- the VM ---- */

static int make_controllers(int vm_fd, char *why, size_t size)
{
        uint64_t identity_map = KVM_X86_IDENTITY_MAP;
        struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};

        if (ioctl(vm_fd, KVM_SET_TSS_ADDR, (unsigned long)KVM_X86_TSS) < 0)
                return fail(-errno, "KVM_SET_TSS_ADDR", why, size);
        if (ioctl(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0)
                return fail(-errno, "KVM_SET_IDENTITY_MAP_ADDR", why, size);
        if (ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
                return fail(-errno, "KVM_CREATE_IRQCHIP", why, size);
        if (ioctl(vm_fd, KVM_CREATE_PIT2, &pit) < 0)
                return fail(-errno, "KVM_CREATE_PIT2", why, size);
        return 0;
}

static int make_serial(struct kvm_platform *platform, const struct kvm_platform_options *options, char *why,
                       size_t size)
{
        struct kvm_irqfd irqfd = {.gsi = KVM_X86_SERIAL_GSI};
        struct uart16550_options uart = {.out = options->serial_out, .in = options->serial_in};
        int r;

        platform->uart_irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (platform->uart_irq < 0)
                return fail(-errno, "the serial port's interrupt", why, size);
        irqfd.fd = (uint32_t)platform->uart_irq;
        if (ioctl(options->vm_fd, KVM_IRQFD, &irqfd) < 0)
                return fail(-errno, "KVM_IRQFD for the serial port", why, size);
        uart.irq_fd = platform->uart_irq;
        r = uart16550_new(&uart, &platform->uart);
        if (r == 0)
                r = kvm_bus_add(options->bus, KVM_SPACE_PIO, KVM_X86_SERIAL_PORT, UART16550_PORTS, "serial",
                                uart16550_access, platform->uart);
        return r < 0 ? fail(r, "the serial port", why, size) : 0;
}

static int make_all(struct kvm_platform *platform, const struct kvm_platform_options *options, char *why,
                    size_t size)
{
        int r = make_controllers(options->vm_fd, why, size);

        if (r == 0)
                r = make_serial(platform, options, why, size);
        if (r < 0)
                return r;
        r = power_ports_add(options->bus, options->ending);
        if (r < 0)
                return fail(r, "the power ports", why, size);
        platform->tsc_deadline = ioctl(options->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
        r = cpuid_new(options->kvm_fd, &platform->cpuid);
        return r < 0 ? fail(r, "KVM_GET_SUPPORTED_CPUID", why, size) : 0;
}

int kvm_platform_new(const struct kvm_platform_options *options, struct kvm_platform **ret_platform,
                     char *why, size_t size)
{
        struct kvm_platform *platform = calloc(1, sizeof(*platform));
        int r;

        if (!platform)
                return fail(-ENOMEM, "the platform", why, size);
        platform->vm_fd = options->vm_fd;
        platform->n_vcpus = options->n_vcpus;
        platform->uart_irq = -1;
        platform->memory = guest_memory_ref(options->memory);
        r = make_all(platform, options, why, size);
        if (r < 0)
                kvm_platform_free(platform);
        else
                *ret_platform = platform;
        return r;
}

struct kvm_platform *kvm_platform_free(struct kvm_platform *platform)
{
        if (!platform)
                return NULL;
        uart16550_free(platform->uart);
        cleanup_close(&platform->uart_irq);
        free(platform->cpuid);
        guest_memory_unref(platform->memory);
        free(platform);
        return NULL;
}

/* ---- vCPUs ---- */

static void lapic_set(struct kvm_lapic_state *lapic, unsigned reg, uint32_t value)
{
        memcpy(&lapic->regs[reg], &value, sizeof(value));
}

/* Virtual wire: the old interrupt controller's line reaches vCPU 0, and an NMI every one, until the guest decides. */
static int set_lapic(int vcpu_fd, unsigned index)
{
        struct kvm_lapic_state lapic;

        if (ioctl(vcpu_fd, KVM_GET_LAPIC, &lapic) < 0)
                return -errno;
        lapic_set(&lapic, APIC_LVT_LINT0, APIC_MODE_EXTINT | (index == 0 ? 0 : APIC_MASKED));
        lapic_set(&lapic, APIC_LVT_LINT1, APIC_MODE_NMI);
        return ioctl(vcpu_fd, KVM_SET_LAPIC, &lapic) < 0 ? -errno : 0;
}

/* All memory is cached: a Linux that finds the MTRRs off does without its page attributes. */
static int set_mtrr(int vcpu_fd)
{
        _Alignas(struct kvm_msrs) uint8_t bytes[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)] = {0};
        struct kvm_msrs *msrs = (struct kvm_msrs *)bytes;
        int n;

        msrs->nmsrs = 1;
        msrs->entries[0].index = MSR_MTRR_DEFAULT;
        msrs->entries[0].data = MTRR_ENABLED | MTRR_WRITE_BACK;
        n = ioctl(vcpu_fd, KVM_SET_MSRS, msrs);
        return n == 1 ? 0 : n < 0 ? -errno : -EOPNOTSUPP;
}

int kvm_platform_vcpu_init(struct kvm_platform *platform, unsigned index, int vcpu_fd, char *why, size_t size)
{
        int r;

        cpuid_place(platform->cpuid, index, platform->n_vcpus, platform->tsc_deadline);
        if (ioctl(vcpu_fd, KVM_SET_CPUID2, platform->cpuid) < 0)
                return fail(-errno, "KVM_SET_CPUID2", why, size);
        r = set_lapic(vcpu_fd, index);
        if (r < 0)
                return fail(r, "KVM_SET_LAPIC", why, size);
        r = set_mtrr(vcpu_fd);
        return r < 0 ? fail(r, "KVM_SET_MSRS", why, size) : 0;
}

int kvm_platform_vcpus_made(struct kvm_platform *platform, char *why, size_t size)
{
        (void)platform, (void)why, (void)size; /* each is whole by itself */
        return 0;
}

int kvm_platform_start(struct kvm_platform *platform, int vcpu_fd, const struct kvm_boot *boot, char *why,
                       size_t size)
{
        int r = start_vcpu(vcpu_fd, platform->memory, boot);

        if (r < 0)
                return fail(r, "the first state of vCPU 0", why, size);
        r = uart16550_start(platform->uart);
        return r < 0 ? fail(r, "no thread for the serial port", why, size) : 0;
}

/* ---- words ---- */

void kvm_platform_registers(int vcpu_fd, char *text, size_t size)
{
        struct kvm_regs r;
        struct kvm_sregs s;

        if (ioctl(vcpu_fd, KVM_GET_REGS, &r) < 0 || ioctl(vcpu_fd, KVM_GET_SREGS, &s) < 0) {
                snprintf(text, size, "registers not known");
                return;
        }
        snprintf(text, size,
                 "rip=0x%llx rsp=0x%llx rflags=0x%llx cs=0x%x cr0=0x%llx cr2=0x%llx cr3=0x%llx cr4=0x%llx "
                 "efer=0x%llx",
                 r.rip, r.rsp, r.rflags, s.cs.selector, s.cr0, s.cr2, s.cr3, s.cr4, s.efer);
}

unsigned kvm_platform_gic(const struct kvm_platform *platform)
{
        (void)platform;
        return 0;
}

void kvm_platform_stats(const struct kvm_platform *platform, struct kvm_platform_stats *ret_stats)
{
        struct serial_stats serial;

        uart16550_stats(platform->uart, &serial);
        *ret_stats = (struct kvm_platform_stats){
            .serial_written = serial.written, .serial_dropped = serial.dropped, .serial_read = serial.read};
}
