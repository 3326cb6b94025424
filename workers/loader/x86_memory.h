/* What every x86_64 kernel is given beside itself: the map of memory, the command line, ACPI tables; and where in the first
 * MiB they lie.
 *
 *     0x00000   left zero
 *     0x01000   the broker's own tables, up to KVM_X86_BOOT_END (proto/kvm_platform.h)
 *     0x09000   zero page (bzImage) or start info (PVH)
 *     0x0a000   memory map and list of modules (PVH)
 *     0x0b000   command line
 *     0x9fc00   end of usable RAM
 *     0xe0000   ACPI tables, reserved
 *    0x100000   usable again
 *
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/boot.h"
#include "workers/loader/load.h"

#define X86_ZERO_PAGE  0x9000u
#define X86_START_INFO 0x9000u
#define X86_LISTS      0xa000u
#define X86_CMDLINE    0xb000u
#define X86_LOW_END    0x9fc00u
#define X86_ACPI       0xe0000u
#define X86_HIGH       0x100000u

#define X86_MAP_RANGES (3u + LIMIT_BOOT_RAM) /* at most */

enum x86_map_type {
        X86_MAP_RAM = 1,
        X86_MAP_RESERVED = 2,
};

struct x86_map_range {
        uint64_t start, len;
        enum x86_map_type type;
};

/* The map that both protocols pass on, in ascending order. Returns the number of ranges. RAM begins at 0 and its first range
 * reaches beyond X86_HIGH. */
unsigned x86_memory_map(const struct boot_options *options, struct x86_map_range ret_map[X86_MAP_RANGES]);

/* Is the machine as those lines above have it? Writes the command line and the tables. 0, or -EINVAL after a refusal. */
int x86_memory_write(struct load *load);
