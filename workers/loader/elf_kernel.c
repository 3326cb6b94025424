/* An ELF kernel with a PVH entry, judged.
 * Owns nothing; called by load_elf.c. TRUST: every byte is of a file that anybody may have made. Places in the file are
 * judged against its size here, places in the guest against its RAM by the caller.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/loader/elf_kernel.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>

#include "proto/base/checked.h"
#include "proto/base/bytes.h"

#define NOTE_HEAD   12u /* three words: lengths of name and content, type */
#define NOTE_PHYS32 18u /* XEN_ELFNOTE_PHYS32_ENTRY (xen/include/public/elfnote.h) */
#define ADDRESS_END (UINT64_C(1) << 32)

static int refuse(const char *why, const char **ret_why)
{
        *ret_why = why;
        return -EINVAL;
}

/* ---- the head ---- */

static bool machine_ok(const uint8_t *bytes)
{
        uint16_t machine = bytes_load16(bytes + offsetof(Elf64_Ehdr, e_machine));

        return bytes[EI_CLASS] == ELFCLASS64 ? machine == EM_X86_64
                                             : bytes[EI_CLASS] == ELFCLASS32 && machine == EM_386;
}

int elf_kernel_check_head(const uint8_t *bytes, size_t len, uint64_t size, struct elf_kernel_head *ret_head,
                          const char **ret_why)
{
        struct elf_kernel_head head;
        uint32_t entry_len, n;
        bool is64;

        if (len < sizeof(Elf64_Ehdr) || memcmp(bytes, ELFMAG, SELFMAG) != 0)
                return refuse("is no ELF file, or one cut short: name a whole kernel", ret_why);
        if (bytes[EI_DATA] != ELFDATA2LSB || !machine_ok(bytes))
                return refuse("is an ELF file for another machine: name a kernel for x86_64", ret_why);
        if (bytes_load16(bytes + offsetof(Elf64_Ehdr, e_type)) != ET_EXEC)
                return refuse(
                    "is an ELF file, but no program with fixed addresses: name a bzImage or vmlinux",
                    ret_why);
        is64 = bytes[EI_CLASS] == ELFCLASS64;
        head.class_bits = is64 ? 64 : 32;
        head.headers_at = is64 ? bytes_load64(bytes + offsetof(Elf64_Ehdr, e_phoff))
                               : bytes_load32(bytes + offsetof(Elf32_Ehdr, e_phoff));
        entry_len = bytes_load16(
            bytes + (is64 ? offsetof(Elf64_Ehdr, e_phentsize) : offsetof(Elf32_Ehdr, e_phentsize)));
        n = bytes_load16(bytes + (is64 ? offsetof(Elf64_Ehdr, e_phnum) : offsetof(Elf32_Ehdr, e_phnum)));
        if (n < 1 || n > ELF_KERNEL_SEGMENTS || entry_len != (is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
                return refuse("has no program headers, or more than a kernel has: name a bzImage or vmlinux",
                              ret_why);
        head.headers_len = n * entry_len;
        if (!range_inside(head.headers_at, head.headers_len, size))
                return refuse("is cut short: copy the kernel again", ret_why);
        *ret_head = head;
        return 0;
}

/* ---- segments ---- */

struct segment {
        uint32_t type;
        struct elf_kernel_part part;
};

static void segment_load(const struct elf_kernel_head *head, const uint8_t *at, struct segment *ret)
{
        ret->type = bytes_load32(at + offsetof(Elf64_Phdr, p_type)); /* the first word of both */
        if (head->class_bits == 64)
                ret->part =
                    (struct elf_kernel_part){.file_at = bytes_load64(at + offsetof(Elf64_Phdr, p_offset)),
                                             .file_len = bytes_load64(at + offsetof(Elf64_Phdr, p_filesz)),
                                             .address = bytes_load64(at + offsetof(Elf64_Phdr, p_paddr)),
                                             .len = bytes_load64(at + offsetof(Elf64_Phdr, p_memsz))};
        else
                ret->part =
                    (struct elf_kernel_part){.file_at = bytes_load32(at + offsetof(Elf32_Phdr, p_offset)),
                                             .file_len = bytes_load32(at + offsetof(Elf32_Phdr, p_filesz)),
                                             .address = bytes_load32(at + offsetof(Elf32_Phdr, p_paddr)),
                                             .len = bytes_load32(at + offsetof(Elf32_Phdr, p_memsz))};
}

/* Kept in ascending order. */
static bool add_part(struct elf_kernel *kernel, const struct elf_kernel_part *part)
{
        unsigned i = kernel->n_parts;

        if (part->file_len > part->len || !range_inside(part->address, part->len, ADDRESS_END))
                return false;
        if (part->len == 0)
                return true;
        for (; i > 0 && kernel->parts[i - 1].address > part->address; i--)
                kernel->parts[i] = kernel->parts[i - 1];
        kernel->parts[i] = *part;
        kernel->n_parts++;
        return true;
}

static bool parts_are_apart(const struct elf_kernel *kernel)
{
        for (unsigned i = 1; i < kernel->n_parts; i++)
                if (kernel->parts[i].address - kernel->parts[i - 1].address < kernel->parts[i - 1].len)
                        return false;
        return true;
}

static bool add_segment(struct elf_kernel *kernel, struct segment *segment, uint64_t size)
{
        struct elf_kernel_part *part = &segment->part;

        if (segment->type != PT_LOAD && segment->type != PT_NOTE)
                return true;
        if (!range_inside(part->file_at, part->file_len, size))
                return false;
        if (segment->type == PT_LOAD)
                return add_part(kernel, part);
        part->file_len = MIN(part->file_len, (uint64_t)ELF_KERNEL_NOTE_BYTES);
        if (kernel->n_notes < ELF_KERNEL_NOTES)
                kernel->notes[kernel->n_notes++] = *part;
        return true;
}

int elf_kernel_check_segments(const struct elf_kernel_head *head, const uint8_t *bytes, uint64_t size,
                              struct elf_kernel *ret_kernel, const char **ret_why)
{
        uint32_t step = head->class_bits == 64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
        struct elf_kernel kernel = {.n_parts = 0};

        for (uint32_t at = 0; at < head->headers_len; at += step) {
                struct segment segment;

                segment_load(head, bytes + at, &segment);
                if (!add_segment(&kernel, &segment, size))
                        return refuse(
                            "has a segment outside of the file or of 32-bit addresses: copy the kernel again",
                            ret_why);
        }
        if (kernel.n_parts == 0 || !parts_are_apart(&kernel))
                return refuse("has no segments to load, or some that overlap: copy the kernel again",
                              ret_why);
        *ret_kernel = kernel;
        return 0;
}

/* ---- notes ---- */

static uint64_t align4(uint32_t len)
{
        return ((uint64_t)len + 3) & ~UINT64_C(3);
}

int elf_kernel_find_entry(const uint8_t *bytes, size_t len, uint32_t *ret_entry)
{
        uint64_t at = 0;

        /* Each note takes twelve bytes at least, so this ends. */
        while (range_inside(at, NOTE_HEAD, len)) {
                uint32_t name_len = bytes_load32(bytes + at), content_len = bytes_load32(bytes + at + 4);
                uint64_t name_at = at + NOTE_HEAD, content_at = name_at + align4(name_len);
                bool is_xen = name_len == 4 && content_len >= 4 &&
                              range_inside(content_at, content_len, len) &&
                              memcmp(bytes + name_at, "Xen", 4) == 0;

                if (is_xen && bytes_load32(bytes + at + 8) == NOTE_PHYS32) {
                        *ret_entry = bytes_load32(bytes + content_at);
                        return 0;
                }
                at = content_at + align4(content_len);
        }
        return -ENOENT;
}
