/* Whether an ELF kernel of x86 has what it boots by: program headers, and the note with the PVH entry among them.
 * Owns nothing; called by `doctor`. The kernel's loader (workers/loader/elf_kernel.c), in its jail, is the one who judges
 * segments too; here is only what a file that is no kernel, or no such kernel, lacks.
 * TRUST: bytes of a file that may be anybody's: each place is held against the file's size or the buffer's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/kernel_elf.h"

#include <elf.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "proto/base/checked.h"

/* As many as the loader looks at. */
#define ELF_HEADERS    32u
#define ELF_NOTES      8u
#define ELF_NOTE_BYTES 8192u
#define NOTE_HEAD      12u /* three words: lengths of name and content, type */
#define NOTE_PHYS32    18u /* XEN_ELFNOTE_PHYS32_ENTRY (xen/include/public/elfnote.h) */

struct elf_head {
        bool is64;
        unsigned type, n, step; /* program headers: how many, bytes of one */
        uint64_t at;
};

struct elf_part {
        uint32_t type;
        uint64_t at, len; /* in the file */
};

static bool read_at(int fd, uint64_t at, void *bytes, size_t len)
{
        return pread(fd, bytes, len, (off_t)at) == (ssize_t)len;
}

static bool read_head(int fd, struct elf_head *ret_head)
{
        union {
                Elf64_Ehdr e64;
                Elf32_Ehdr e32;
        } raw;

        if (!read_at(fd, 0, &raw, sizeof(raw)))
                return false;
        if (raw.e64.e_ident[EI_CLASS] == ELFCLASS64)
                *ret_head = (struct elf_head){.is64 = true,
                                              .type = le16toh(raw.e64.e_type),
                                              .n = le16toh(raw.e64.e_phnum),
                                              .step = le16toh(raw.e64.e_phentsize),
                                              .at = le64toh(raw.e64.e_phoff)};
        else
                *ret_head = (struct elf_head){.type = le16toh(raw.e32.e_type),
                                              .n = le16toh(raw.e32.e_phnum),
                                              .step = le16toh(raw.e32.e_phentsize),
                                              .at = le32toh(raw.e32.e_phoff)};
        return true;
}

static bool read_part(int fd, const struct elf_head *head, unsigned i, struct elf_part *ret_part)
{
        union {
                Elf64_Phdr p64;
                Elf32_Phdr p32;
        } raw;

        if (!read_at(fd, head->at + (uint64_t)i * head->step, &raw, head->step))
                return false;
        if (head->is64)
                *ret_part = (struct elf_part){le32toh(raw.p64.p_type), le64toh(raw.p64.p_offset),
                                              le64toh(raw.p64.p_filesz)};
        else
                *ret_part = (struct elf_part){le32toh(raw.p32.p_type), le32toh(raw.p32.p_offset),
                                              le32toh(raw.p32.p_filesz)};
        return true;
}

static bool has_entry(const uint8_t *notes, uint64_t len)
{
        uint64_t at = 0;

        while (range_inside(at, NOTE_HEAD, len)) { /* each note takes twelve bytes at least */
                uint32_t name_len = bytes_load32(notes + at), content_len = bytes_load32(notes + at + 4);
                uint64_t name_at = at + NOTE_HEAD,
                         content_at = name_at + (((uint64_t)name_len + 3) & ~UINT64_C(3));

                if (name_len == 4 && content_len >= 4 && range_inside(content_at, content_len, len) &&
                    memcmp(notes + name_at, "Xen", 4) == 0 && bytes_load32(notes + at + 8) == NOTE_PHYS32)
                        return true;
                at = content_at + (((uint64_t)content_len + 3) & ~UINT64_C(3));
        }
        return false;
}

/* NULL: it boots. */
static const char *judge_parts(int fd, const struct elf_head *head, uint64_t file_size)
{
        static uint8_t notes[ELF_NOTE_BYTES];
        unsigned n_notes = 0;
        bool entry = false;

        for (unsigned i = 0; i < head->n; i++) {
                struct elf_part part;

                if (!read_part(fd, head, i, &part))
                        return "ELF that cannot be read: copy it to another disk";
                if (part.type != PT_LOAD && part.type != PT_NOTE)
                        continue;
                if (!range_inside(part.at, part.len, file_size))
                        return "ELF with a segment outside of the file: copy the kernel again";
                if (part.type == PT_LOAD || entry || n_notes++ >= ELF_NOTES)
                        continue;
                part.len = MIN(part.len, (uint64_t)ELF_NOTE_BYTES);
                entry = read_at(fd, part.at, notes, part.len) && has_entry(notes, part.len);
        }
        return entry ? NULL : "ELF without a PVH entry: name a bzImage, or make it with CONFIG_PVH=y";
}

static const char *judge(int fd, uint64_t file_size)
{
        struct elf_head head;

        if (!read_head(fd, &head))
                return "ELF that is cut short: name a whole kernel";
        if (head.type != ET_EXEC)
                return "ELF, but no program with fixed addresses: name a bzImage or vmlinux";
        if (head.n < 1 || head.n > ELF_HEADERS ||
            head.step != (head.is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
                return "ELF without program headers, or with more than a kernel has: name a bzImage or "
                       "vmlinux";
        if (!range_inside(head.at, (uint64_t)head.n * head.step, file_size))
                return "ELF that is cut short: copy the kernel again";
        return judge_parts(fd, &head, file_size);
}

bool kernel_elf_boots(int fd, uint64_t file_size, char *text, size_t size)
{
        const char *wrong = judge(fd, file_size);

        if (wrong)
                snprintf(text, size, "%s", wrong);
        return !wrong;
}
