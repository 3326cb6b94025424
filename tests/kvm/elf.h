/* Puts a kernel that is an ELF file into guest memory: enough for our own, which the tests trust.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "broker/core/guest_memory.h"

struct elf_entries {
        uint64_t linux64; /* the file's entry */
        uint64_t pvh;     /* its Xen note's; 0: none */
};

/* 0, or negative errno. */
int elf_load(const char *path, struct guest_memory *memory, struct elf_entries *ret_entries);
