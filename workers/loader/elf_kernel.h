/* An ELF kernel with a PVH entry (vmlinux), judged: its head, its segments, its notes.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define ELF_KERNEL_SEGMENTS   32u /* program headers: vmlinux has five */
#define ELF_KERNEL_HEADERS    (ELF_KERNEL_SEGMENTS * 56u)
#define ELF_KERNEL_NOTES      8u    /* PT_NOTE segments that are looked at */
#define ELF_KERNEL_NOTE_BYTES 8192u /* of each: the entry is among the first */

struct elf_kernel_head {
        unsigned class_bits;  /* 32 or 64 */
        uint64_t headers_at;  /* in the file: program headers, */
        uint32_t headers_len; /* at most ELF_KERNEL_HEADERS bytes, inside the file */
};

struct elf_kernel_part {
        uint64_t file_at, file_len; /* inside the file */
        uint64_t address, len; /* guest addresses; file_len <= len; address + len at most 4 GiB; len > 0 */
};

struct elf_kernel {
        struct elf_kernel_part parts[ELF_KERNEL_SEGMENTS]; /* ascending by address, apart */
        unsigned n_parts;                                  /* at least one */
        struct elf_kernel_part
            notes[ELF_KERNEL_NOTES]; /* of the file: file_at, file_len <= ELF_KERNEL_NOTE_BYTES */
        unsigned n_notes;
};

/* 0, or -EINVAL: *ret_why says what is wrong and what to do. */
int elf_kernel_check_head(const uint8_t *bytes, size_t len, uint64_t size, struct elf_kernel_head *ret_head,
                          const char **ret_why);

/* `bytes`: the program headers. */
int elf_kernel_check_segments(const struct elf_kernel_head *head, const uint8_t *bytes, uint64_t size,
                              struct elf_kernel *ret_kernel, const char **ret_why);

/* The 32-bit entry (XEN_ELFNOTE_PHYS32_ENTRY) in one segment of notes. 0, or -ENOENT. */
int elf_kernel_find_entry(const uint8_t *bytes, size_t len, uint32_t *ret_entry);
