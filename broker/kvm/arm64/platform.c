/* The arm64 platform: interrupt controller and timers in the kernel, PSCI, a PL011, and each vCPU's first state.
 * Owns the serial port, its interrupt's eventfd and the controller's descriptor. Called by the front end and vcpu.c on the
 * main thread, through platform.h. TRUST: none of its own; guests reach what it puts on the bus.
 *
 * Switching off and resetting are PSCI's, which the kernel answers: they come as a system event of KVM_RUN.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/platform.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "broker/kvm/arm64/gic.h"
#include "broker/kvm/arm64/pl011.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

/* Core registers by their place in the kernel's struct, system registers by their encoding. */
#define CORE(field) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))
#define ESR_EL1     ARM64_SYS_REG(3, 0, 5, 2, 0)
#define FAR_EL1     ARM64_SYS_REG(3, 0, 6, 0, 0)

#define PSTATE_EL1H_MASKED 0x3c5u /* EL1 with its own stack; no interrupt of any kind */

struct kvm_platform {
        int vm_fd;
        struct gic gic;
        struct pl011 *uart;
        int uart_irq; /* eventfd; -1: none yet */
};

static int fail(int error, const char *what, char *why, size_t size)
{
        snprintf(why, size, "%s: %s", what, strerror(-error));
        return error;
}

/* ---- the VM ---- */

static int make_serial(struct kvm_platform *platform, const struct kvm_platform_options *options)
{
        struct pl011_options uart = {.out = options->serial_out, .in = options->serial_in};
        int r;

        platform->uart_irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (platform->uart_irq < 0)
                return -errno;
        uart.irq_fd = platform->uart_irq;
        r = pl011_new(&uart, &platform->uart);
        if (r < 0)
                return r;
        return kvm_bus_add(options->bus, KVM_SPACE_MMIO, KVM_ARM64_SERIAL, KVM_ARM64_SERIAL_LEN, "serial",
                           pl011_access, platform->uart);
}

/* An access to a device by an instruction that the processor does not describe then comes as an exit that says where, not
 * as an error of KVM_RUN. A kernel that lacks it (before Linux 5.5) ends such a guest with fewer words. */
static void ask_for_undecoded(int vm_fd)
{
        struct kvm_enable_cap cap = {.cap = KVM_CAP_ARM_NISV_TO_USER};

        (void)ioctl(vm_fd, KVM_ENABLE_CAP, &cap);
}

int kvm_platform_new(const struct kvm_platform_options *options, struct kvm_platform **ret_platform,
                     char *why, size_t size)
{
        struct kvm_platform *platform = calloc(1, sizeof(*platform));
        int r;

        if (!platform)
                return fail(-ENOMEM, "the platform", why, size);
        platform->vm_fd = options->vm_fd;
        platform->gic.fd = -1;
        platform->uart_irq = -1;
        ask_for_undecoded(options->vm_fd);
        r = gic_open(options->vm_fd, &platform->gic);
        if (r < 0)
                fail(r, "no interrupt controller (GICv3 or GICv2)", why, size);
        else if ((r = make_serial(platform, options)) < 0)
                fail(r, "the serial port", why, size);
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
        pl011_free(platform->uart);
        cleanup_close(&platform->uart_irq);
        cleanup_close(&platform->gic.fd);
        free(platform);
        return NULL;
}

/* ---- vCPUs ---- */

int kvm_platform_vcpu_init(struct kvm_platform *platform, unsigned index, int vcpu_fd, char *why, size_t size)
{
        struct kvm_vcpu_init init;

        if (ioctl(platform->vm_fd, KVM_ARM_PREFERRED_TARGET, &init) < 0)
                return fail(-errno, "KVM_ARM_PREFERRED_TARGET", why, size);
        init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
        if (index > 0)
                init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF; /* until CPU_ON */
        if (ioctl(vcpu_fd, KVM_ARM_VCPU_INIT, &init) < 0)
                return fail(-errno, "KVM_ARM_VCPU_INIT", why, size);
        return 0;
}

/* The controller wants to know all vCPUs first, and an interrupt wants the controller. */
int kvm_platform_vcpus_made(struct kvm_platform *platform, char *why, size_t size)
{
        struct kvm_irqfd irqfd = {.fd = (uint32_t)platform->uart_irq, .gsi = KVM_ARM64_SERIAL_SPI};
        int r = gic_init(&platform->gic);

        if (r < 0)
                return fail(r, "the interrupt controller's last step", why, size);
        if (ioctl(platform->vm_fd, KVM_IRQFD, &irqfd) < 0)
                return fail(-errno, "KVM_IRQFD for the serial port", why, size);
        return 0;
}

static int set_register(int vcpu_fd, uint64_t id, uint64_t value)
{
        struct kvm_one_reg reg = {.id = id, .addr = (uint64_t)&value};

        return ioctl(vcpu_fd, KVM_SET_ONE_REG, &reg) < 0 ? -errno : 0;
}

int kvm_platform_start(struct kvm_platform *platform, int vcpu_fd, const struct kvm_boot *boot, char *why,
                       size_t size)
{
        int r = boot->mode == KVM_BOOT_ARM64 ? 0 : -EINVAL;

        if (r == 0)
                r = set_register(vcpu_fd, CORE(regs.pstate), PSTATE_EL1H_MASKED);
        if (r == 0)
                r = set_register(vcpu_fd, CORE(regs.regs[0]), boot->arg);
        if (r == 0)
                r = set_register(vcpu_fd, CORE(regs.pc), boot->entry);
        if (r < 0)
                return fail(r, "the first state of vCPU 0", why, size);
        r = pl011_start(platform->uart);
        return r < 0 ? fail(r, "no thread for the serial port", why, size) : 0;
}

/* ---- words ---- */

void kvm_platform_registers(int vcpu_fd, char *text, size_t size)
{
        static const struct {
                const char *name;
                uint64_t id;
        } shown[] = {
            {"pc", CORE(regs.pc)},         {"lr", CORE(regs.regs[30])}, {"sp", CORE(sp_el1)},
            {"pstate", CORE(regs.pstate)}, {"esr_el1", ESR_EL1},        {"far_el1", FAR_EL1},
        };
        size_t at = 0;

        text[0] = 0;
        for (size_t i = 0; i < array_size(shown) && at < size; i++) {
                uint64_t value;
                struct kvm_one_reg reg = {.id = shown[i].id, .addr = (uint64_t)&value};

                if (ioctl(vcpu_fd, KVM_GET_ONE_REG, &reg) < 0)
                        continue;
                at += (size_t)snprintf(text + at, size - at, "%s%s=0x%llx", at ? " " : "", shown[i].name,
                                       (unsigned long long)value);
        }
}

/* KVM waits here itself for memory, and says EFAULT when there is none. */
bool kvm_platform_stand(int vcpu_fd, struct kvm_stand *ret_stand)
{
        (void)vcpu_fd;
        (void)ret_stand;
        return false;
}

bool kvm_platform_reach(int vcpu_fd, const struct guest_memory *memory, uint64_t start, uint64_t len,
                        bool (*each)(void *context, uint64_t gpa), void *context)
{
        (void)vcpu_fd;
        (void)memory;
        (void)start;
        (void)len;
        (void)each;
        (void)context;
        return false;
}

unsigned kvm_platform_gic(const struct kvm_platform *platform)
{
        return platform->gic.version;
}

void kvm_platform_stats(const struct kvm_platform *platform, struct kvm_platform_stats *ret_stats)
{
        struct serial_stats serial;

        pl011_stats(platform->uart, &serial);
        *ret_stats = (struct kvm_platform_stats){
            .serial_written = serial.written, .serial_dropped = serial.dropped, .serial_read = serial.read};
}
