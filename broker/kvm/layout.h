/* Where everything of a VM lies in guest-physical addresses, and which interrupt belongs to which device. Pure: no
 * system call, no allocation; what is judged here needs no /dev/kvm.
 *
 *      x86_64                                        arm64
 *      0            RAM, up to 3 GiB                 0x0800_0000  GIC: distributor, v2 CPU interface, redistributors
 *      0xd000_0000  devices, one page each           0x0900_0000  PL011
 *      0xfec0_0000  I/O APIC                         0x0a00_0000  devices, one page each
 *      0xfee0_0000  local APICs                      0x4000_0000  RAM
 *      0xfffb_c000  KVM's own pages (Intel)          behind       shared memory regions, at the next GiB
 *      4 GiB        the rest of RAM
 *      behind       shared memory regions, at the next GiB
 *
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kvm_arch {
        KVM_ARCH_X86_64,
        KVM_ARCH_ARM64,
};

/* The architecture that this program is built for: the only one whose VMs it can run. */
#if defined(__x86_64__)
#define KVM_ARCH_HERE KVM_ARCH_X86_64
#elif defined(__aarch64__)
#define KVM_ARCH_HERE KVM_ARCH_ARM64
#else
#error "bulkhead runs VMs on x86_64 and arm64"
#endif

#define KVM_LAYOUT_RAM       4u           /* pieces of RAM that a layout has room for */
#define KVM_DEVICE_WINDOW    0x1000u      /* from one device's registers to the next's: a page */
#define KVM_DEVICE_REGISTERS 0x200u       /* bytes of a device's registers, 256 of config space among them */
#define KVM_SLOT_MAX         (1ull << 42) /* bytes of one memory slot: KVM takes less than 2^31 pages */
#define KVM_ADDRESS_BITS     52u          /* the widest guest-physical address of either architecture */
#define KVM_SHMEM_ALIGN      (1ull << 30) /* of the first region: a guest maps it with its largest pages */

struct kvm_range {
        uint64_t start, len; /* len 0: there is none, and start is 0 */
};

struct kvm_layout {
        enum kvm_arch arch;
        unsigned n_vcpus, n_devices, n_ram;
        struct kvm_range ram[KVM_LAYOUT_RAM]; /* ascending; the first holds kernel and initrd */
        uint64_t devices_start;               /* device i: kvm_layout_device() */
        struct kvm_range shmem;               /* shared memory regions of all devices, one behind the other */
        uint64_t end;                         /* one past the highest byte of all that */
};

/* The layout of a VM. `memory` and `shmem_len` are bytes. 0, or -EINVAL: `why` holds one clause with the remedy, and
 * *ret_layout is untouched:
 *   memory: whole MiB, VM_CONFIG_GUEST_MIN at least; vCPUs: 1 to LIMIT_VCPUS;
 *   devices: as many as there are interrupts for (x86_64: 17; arm64: LIMIT_DEVICES); shmem_len: whole MiB, or 0;
 *   and an end within KVM_ADDRESS_BITS. Whether this host has so many bits: broker/kvm/width.h. */
int kvm_layout_make(enum kvm_arch arch, uint64_t memory, unsigned n_vcpus, unsigned n_devices,
                    uint64_t shmem_len, struct kvm_layout *ret_layout, char *why, size_t why_size);

/* Where a device's registers begin. */
uint64_t kvm_layout_device(const struct kvm_layout *layout, unsigned device);

/* A device's interrupt, as KVM_IRQFD counts: the I/O APIC's pin, or the SPI without the 32 of the banked interrupts
 * (as a device tree has it). No two devices share one, and none is another part's. */
uint32_t kvm_layout_gsi(const struct kvm_layout *layout, unsigned device);

/* Bytes of RAM in all, and the memory slots that it takes: one for each KVM_SLOT_MAX of a piece. */
uint64_t kvm_layout_memory(const struct kvm_layout *layout);
unsigned kvm_layout_n_slots(const struct kvm_layout *layout);
