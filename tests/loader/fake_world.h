/* A loader's outside in a test: its files are memory, and what it writes is judged and kept. Stands in for loader_file.c and
 * the runtime's boot_memory.c.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workers/loader/load.h"

#define WORLD_WRITES 4096u

struct fake_world {
        struct boot_options options;
        struct load load;
        const uint8_t *kernel, *initrd;
        uint8_t *ram;          /* what the first range of RAM holds now; NULL: bytes are not kept */
        uint64_t fail_read_at; /* reads of the kernel that reach this byte fail; UINT64_MAX: none */
        struct {
                uint64_t start, len;
        } writes[WORLD_WRITES];
        size_t n_writes;
};

/* The only world there is: empty, x86_64, `memory` bytes of RAM (beyond 3 GiB: a second range), one vCPU, two devices. */
struct fake_world *world_reset(enum boot_arch arch, uint64_t memory);

/* Bytes are kept from here on; ends with the next world_reset. */
void world_keep_ram(void);

void world_set_kernel(const uint8_t *bytes, size_t len);
void world_set_initrd(const uint8_t *bytes, size_t len);

/* load_kernel. Aborts if it did what no loader may: wrote outside of the first range of RAM, or twice to one place; said
 * yes with an entry outside of what it wrote; said no without a reason. True: it was loaded. */
bool world_load(void);
