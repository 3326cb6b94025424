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
#include "proto/kvm_platform.h"
#include "proto/vm_config.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

/* What lies between these stands in proto/kvm_platform.h, and the assertions below keep the order. */
#define X86_RAM_LOW      (3 * GIB)
#define X86_RAM_HIGH     (4 * GIB)
#define X86_DEVICES      0xd0000000ull
#define ARM64_DEVICES    0x0a000000ull
#define ARM64_DEVICE_SPI 16u
#define ARM64_RAM        0x40000000ull

/* Pins of the I/O APIC that are no other part's: timer, keyboard, cascade, serial ports, clock, coprocessor. */
static const uint8_t x86_pins[] = {5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

_Static_assert(X86_RAM_LOW <= X86_DEVICES, "RAM ends before the devices begin");
_Static_assert(X86_DEVICES + array_size(x86_pins) * KVM_DEVICE_WINDOW <= KVM_X86_IOAPIC,
               "and they end before the APICs");
_Static_assert(KVM_X86_IOAPIC < KVM_X86_LOCAL_APIC && KVM_X86_LOCAL_APIC < KVM_X86_IDENTITY_MAP &&
                   KVM_X86_IDENTITY_MAP < KVM_X86_TSS && KVM_X86_TSS + 0x3000 <= X86_RAM_HIGH,
               "which end before the rest of RAM");
_Static_assert(KVM_ARM64_GIC_REDISTRIBUTOR + LIMIT_VCPUS * KVM_ARM64_GIC_REDISTRIBUTOR_LEN <=
                       KVM_ARM64_SERIAL &&
                   KVM_ARM64_SERIAL + KVM_ARM64_SERIAL_LEN <= ARM64_DEVICES &&
                   ARM64_DEVICES + LIMIT_DEVICES * KVM_DEVICE_WINDOW <= ARM64_RAM,
               "GIC, PL011, devices and RAM lie one behind the other");
_Static_assert(KVM_ARM64_SERIAL_SPI < ARM64_DEVICE_SPI && ARM64_DEVICE_SPI + LIMIT_DEVICES <= KVM_ARM64_N_SPI,
               "no interrupt is two parts'");

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

        if (memory < VM_CONFIG_GUEST_MIN || memory % MIB != 0)
                return kvm_why(-EINVAL, why, why_size,
                               "memory is %" PRIu64 " bytes; give whole MiB, %u at least", memory,
                               (unsigned)(VM_CONFIG_GUEST_MIN / MIB));
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
        layout->end = X86_RAM_HIGH; /* the reset vector, and KVM's own pages, lie right below it */
}

static void layout_arm64(struct kvm_layout *layout, uint64_t memory)
{
        layout->ram[layout->n_ram++] = (struct kvm_range){ARM64_RAM, memory};
        layout->devices_start = ARM64_DEVICES;
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

unsigned kvm_layout_n_slots(const struct kvm_layout *layout)
{
        uint64_t n = 0;

        for (unsigned i = 0; i < layout->n_ram; i++)
                n += (layout->ram[i].len + KVM_SLOT_MAX - 1) / KVM_SLOT_MAX;
        return (unsigned)n;
}
