/* How a VM of the kvm front end gets its kernel: what the loader is told (in Configure) and what it answers (Booted,
 * BootFailed; schema/control.proto). Its bytes travel as MemWrite in space BOOT (lane.h).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "proto/base/limits.h"
#include "proto/kvm_platform.h"

enum boot_arch {
        BOOT_ARCH_X86_64 = 1,
        BOOT_ARCH_ARM64 = 2,
};

#define BOOT_PAGE 4096u
#define BOOT_POOL_ALIGN                                                                                      \
        (2u                                                                                                  \
         << 20) /* of a pool: whole pages of any size that arm64 has, and whole segments of Linux's swiotlb */
#define BOOT_DEVICE_WINDOW 0x1000u /* guest addresses from one virtio-mmio device to the next */

struct boot_range {
        uint64_t start, len; /* whole pages, at least one; start + len does not wrap */
};

/* What the loader must know of the machine. */
struct boot_options {
        enum boot_arch arch;
        uint32_t n_vcpus;                      /* 1 .. LIMIT_VCPUS */
        uint32_t n_ram;                        /* 1 .. LIMIT_BOOT_RAM */
        struct boot_range ram[LIMIT_BOOT_RAM]; /* ascending, apart; kernel and initrd go into the first */
        uint64_t devices_start; /* device i has BOOT_DEVICE_WINDOW bytes behind those before it */
        uint32_t n_devices;     /* 0 .. LIMIT_DEVICES */
        uint32_t interrupt
            [LIMIT_DEVICES]; /* GSI (x86_64) or SPI (arm64) of device i: below LIMIT_BOOT_INTERRUPT */
        uint32_t gic;        /* arm64: version 2 or 3; x86_64: 0 */
        uint32_t n_pools;    /* arm64: 0 .. n_devices; x86_64: 0 */
        struct boot_range pool
            [LIMIT_DEVICES]; /* ranges of RAM that devices are held to: ascending, apart, each some device's */
        uint32_t device_pool[LIMIT_DEVICES]; /* of device i: 0, none; else one and the pool's number */
        uint32_t iommu; /* 0: there is none; or the number of the device that is one, and 1 */
        uint64_t
            endpoints; /* bit i: device i, which is another one, is behind it; its endpoint ID is i. Without IOMMU 0 */
        char cmdline[LIMIT_CMDLINE];
};

/* How and where the first vCPU starts; guest addresses. */
struct boot_entry {
        enum kvm_boot_mode mode;
        uint64_t entry, arg;
};

struct boot_done {
        struct boot_entry entry;
        uint64_t kernel_len, initrd_len; /* bytes of the files, as the loader says: for a log line, no more */
};
