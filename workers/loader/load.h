/* One kernel on its way into the guest: what all formats share. Nothing is loaded twice, and nothing that was refused is
 * undone: the process ends with the answer.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/boot.h"
#include "workers/loader/loader_file.h"
#include "workers/runtime/boot_memory.h"

struct load {
        const struct boot_options *options;
        struct boot_memory *memory;
        struct loader_file kernel, initrd; /* initrd.fd is -1 when there is none */
        const uint8_t *head; /* the first bytes of the kernel file, KERNEL_FORMAT_BYTES or all of it */
        size_t head_len;
        char why[LIMIT_BOOT_REASON]; /* of a refusal: one sentence with its remedy */
        struct boot_entry entry;     /* of a success */
};

/* Says why not. Returns -EINVAL. */
int load_refuse(struct load *load, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Own bytes, or bytes [at, at + len) of a file, to a guest address in the first range of RAM, and up to its end: judged
 * before. 0, or -EINVAL after a refusal: the file could not be read. */
void load_bytes(struct load *load, uint64_t address, const void *bytes, uint32_t len);
int load_file(struct load *load, uint64_t address, const struct loader_file *file, uint64_t at, uint64_t len);

/* Where RAM's first range ends. */
uint64_t load_ram_end(const struct load *load);

/* The initrd goes to the highest whole page from which on it ends at `end` or before, not below `floor`. Without an initrd
 * *ret_address is 0. 0, or -EINVAL after a refusal. */
int load_initrd_below(struct load *load, uint64_t floor, uint64_t end, uint64_t *ret_address);

/* Looks what the kernel file is, and loads it. 0, and load->entry is where to begin; or -EINVAL after a refusal. */
int load_kernel(struct load *load);

/* The formats, likewise; load->head has been read. */
int load_bzimage(struct load *load);
int load_elf(struct load *load);
int load_arm64(struct load *load);
