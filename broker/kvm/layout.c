/* Where everything of a VM lies in guest-physical addresses.
 * Owns nothing: numbers in, numbers out. Called before there is a VM, and by whatever asks where something lies.
 * TRUST: sizes and counts are the configuration's (the admin's); nothing of a guest's is seen.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/layout.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "broker/kvm/why.h"
#include "proto/base/checked.h"
#include "proto/base/limits.h"

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)

/* Fixed by the architecture, or where every PC has them. KVM wants a page for an identity map and three for a task
 * state on Intel processors without unrestricted guest mode; no guest looks there. */
#define X86_RAM_LOW      (3 * GIB)
#define X86_RAM_HIGH     (4 * GIB)
#define X86_DEVICES      0xd0000000ull
#define X86_IO_APIC      0xfec00000ull
#define X86_LOCAL_APIC   0xfee00000ull
#define X86_IDENTITY_MAP 0xfffbc000ull
#define X86_TSS          0xfffbd000ull

/* As QEMU's machine "virt" has them, so that no guest meets a first. */
#define ARM64_GIC_DIST    0x08000000ull
#define ARM64_GIC_CPU     0x08010000ull
#define ARM64_GIC_REDIST  0x080a0000ull
#define ARM64_REDIST_EACH (128 * KIB)
#define ARM64_SERIAL      0x09000000ull
#define ARM64_SERIAL_SPI  1u
#define ARM64_DEVICES     0x0a000000ull
#define ARM64_DEVICE_SPI  16u
#define ARM64_RAM         0x40000000ull

/* Pins of the I/O APIC that are no other part's: timer, keyboard, cascade, serial ports, clock, coprocessor. */
static const uint8_t x86_pins[] = {5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

_Static_assert(X86_RAM_LOW <= X86_DEVICES, "RAM ends before the devices begin");
_Static_assert(array_size(x86_pins) <= (X86_IO_APIC - X86_DEVICES) / KVM_DEVICE_WINDOW,
               "the devices end before the I/O APIC");
_Static_assert(LIMIT_VCPUS *ARM64_REDIST_EACH <= ARM64_SERIAL - ARM64_GIC_REDIST,
               "redistributors end before the PL011");
_Static_assert(LIMIT_DEVICES *KVM_DEVICE_WINDOW <= ARM64_RAM - ARM64_DEVICES,
               "the devices end before RAM begins");
_Static_assert(LIMIT_VCPUS < 255, "an APIC's number has eight bits, and one of them means all");

static uint64_t range_end(const struct kvm_range *range)
{
        return range->start + range->len;
}

static uint64_t align_up(uint64_t at, uint64_t align)
{
        return (at + align - 1) & ~(align - 1);
}

static unsigned devices_max(enum kvm_arch arch)
{
        return arch == KVM_ARCH_X86_64 ? (unsigned)array_size(x86_pins) : LIMIT_DEVICES;
}

static int layout_check(enum kvm_arch arch, uint64_t memory, unsigned n_vcpus, unsigned n_devices,
                        uint64_t shmem_len, char *why, size_t why_size)
{
        const uint64_t most = 1ull << KVM_ADDRESS_BITS;

        if (memory < LIMIT_KVM_MEMORY_MIN || memory % MIB != 0)
                return kvm_why(-EINVAL, why, why_size,
                               "memory is %" PRIu64 " bytes; give whole MiB, %u at least", memory,
                               (unsigned)(LIMIT_KVM_MEMORY_MIN / MIB));
        if (shmem_len % MIB != 0)
                return kvm_why(-EINVAL, why, why_size,
                               "the shared memory regions are %" PRIu64 " bytes; give whole MiB", shmem_len);
        /* Both far below 2^64, so that no sum of the layout wraps. */
        if (memory > most || shmem_len > most)
                return kvm_why(
                    -EINVAL, why, why_size,
                    "no processor has more than %u bits of guest-physical address; give less memory",
                    KVM_ADDRESS_BITS);
        if (n_vcpus == 0 || n_vcpus > LIMIT_VCPUS)
                return kvm_why(-EINVAL, why, why_size, "vcpus is %u; give 1 to %u", n_vcpus, LIMIT_VCPUS);
        if (n_devices > devices_max(arch))
                return kvm_why(
                    -EINVAL, why, why_size,
                    "%u devices, and %u interrupts for them; leave out %u, or put them into another VM",
                    n_devices, devices_max(arch), n_devices - devices_max(arch));
        return 0;
}

static void layout_x86(struct kvm_layout *layout, uint64_t memory)
{
        uint64_t low = MIN(memory, X86_RAM_LOW);

        layout->ram[layout->n_ram++] = (struct kvm_range){0, low};
        if (memory > low)
                layout->ram[layout->n_ram++] = (struct kvm_range){X86_RAM_HIGH, memory - low};
        layout->devices_start = X86_DEVICES;
        layout->x86.io_apic = (struct kvm_range){X86_IO_APIC, 4 * KIB};
        layout->x86.local_apic = (struct kvm_range){X86_LOCAL_APIC, 4 * KIB};
        layout->x86.identity_map = X86_IDENTITY_MAP;
        layout->x86.tss = X86_TSS;
        layout->end = X86_RAM_HIGH; /* the reset vector, and KVM's own pages, lie right below it */
}

static void layout_arm64(struct kvm_layout *layout, uint64_t memory)
{
        layout->ram[layout->n_ram++] = (struct kvm_range){ARM64_RAM, memory};
        layout->devices_start = ARM64_DEVICES;
        layout->arm64.gic_dist = (struct kvm_range){ARM64_GIC_DIST, 64 * KIB};
        layout->arm64.gic_cpu = (struct kvm_range){ARM64_GIC_CPU, 8 * KIB};
        layout->arm64.gic_redist = (struct kvm_range){ARM64_GIC_REDIST, layout->n_vcpus * ARM64_REDIST_EACH};
        layout->arm64.serial = (struct kvm_range){ARM64_SERIAL, 4 * KIB};
        layout->arm64.serial_spi = ARM64_SERIAL_SPI;
        layout->end = ARM64_RAM;
}

int kvm_layout_make(enum kvm_arch arch, uint64_t memory, unsigned n_vcpus, unsigned n_devices,
                    uint64_t shmem_len, struct kvm_layout *ret_layout, char *why, size_t why_size)
{
        struct kvm_layout layout = {.arch = arch, .n_vcpus = n_vcpus, .n_devices = n_devices};
        int r = layout_check(arch, memory, n_vcpus, n_devices, shmem_len, why, why_size);

        if (r < 0)
                return r;
        if (arch == KVM_ARCH_X86_64)
                layout_x86(&layout, memory);
        else
                layout_arm64(&layout, memory);
        layout.end = MAX(layout.end, range_end(&layout.ram[layout.n_ram - 1]));
        if (shmem_len > 0) {
                layout.shmem = (struct kvm_range){align_up(layout.end, KVM_SHMEM_ALIGN), shmem_len};
                layout.end = range_end(&layout.shmem);
        }
        if (layout.end > 1ull << KVM_ADDRESS_BITS)
                return kvm_why(-EINVAL, why, why_size,
                               "it all ends at 0x%" PRIx64
                               ", and no processor has more than %u bits of guest-physical "
                               "address; give less memory",
                               layout.end, KVM_ADDRESS_BITS);
        *ret_layout = layout;
        return 0;
}

uint64_t kvm_layout_device(const struct kvm_layout *layout, unsigned device)
{
        assert(device < layout->n_devices);
        return layout->devices_start + (uint64_t)device * KVM_DEVICE_WINDOW;
}

uint32_t kvm_layout_gsi(const struct kvm_layout *layout, unsigned device)
{
        assert(device < layout->n_devices);
        return layout->arch == KVM_ARCH_X86_64 ? x86_pins[device] : ARM64_DEVICE_SPI + device;
}

uint64_t kvm_layout_memory(const struct kvm_layout *layout)
{
        uint64_t sum = 0;

        for (unsigned i = 0; i < layout->n_ram; i++)
                sum += layout->ram[i].len;
        return sum;
}
