/* Kernels that hold nothing but what makes them kernels.
 * Owns nothing; called by tests. TRUST: everything here is our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/loader/kernels.h"

#include <elf.h>
#include <string.h>

#include "proto/base/bytes.h"

#define MIB (1u << 20)

static void count_up(uint8_t *bytes, size_t len)
{
        for (size_t i = 0; i < len; i++)
                bytes[i] = (uint8_t)(i * 7 + (i >> 8));
}

size_t kernel_make_bzimage(uint8_t *bytes)
{
        const size_t setup = 5 * 512, body = 16000;

        memset(bytes, 0, KERNEL_BYTES);
        bytes[0x1f1] = 4;
        bytes_store32(bytes + 0x1f4, (uint32_t)(body / 16));
        bytes_store16(bytes + 0x1fe, 0xaa55);
        bytes[0x200] = 0xeb;
        bytes[0x201] = 0x6a;
        memcpy(bytes + 0x202, "HdrS", 4);
        bytes_store16(bytes + 0x206, 0x020f);
        bytes[0x211] = 1;
        bytes_store32(bytes + 0x22c, 0x7fffffff);
        bytes[0x234] = 1;
        bytes_store16(bytes + 0x236, 0x7f);
        bytes_store32(bytes + 0x238, 2047);
        bytes_store64(bytes + 0x258, 16 * MIB);
        bytes_store32(bytes + 0x260, 8 * MIB);
        count_up(bytes + setup, body);
        return setup + body;
}

/* ---- ELF: head, three program headers, at 0x200 notes, at 0x1000 and 0x3000 what is loaded ---- */

#define NOTES_AT 0x200u
#define TEXT_AT  0x1000u
#define DATA_AT  0x3000u
#define FILE_END 0x3800u

static size_t put_note(uint8_t *at, const char *name, uint32_t type, const void *content, uint32_t len)
{
        uint32_t name_len = (uint32_t)strlen(name) + 1, padded = (name_len + 3) & ~3u;

        bytes_store32(at, name_len);
        bytes_store32(at + 4, len);
        bytes_store32(at + 8, type);
        memcpy(at + 12, name, name_len);
        memcpy(at + 12 + padded, content, len);
        return 12 + padded + ((len + 3) & ~3u);
}

/* One that is not meant, and the entry. */
static uint32_t put_notes(uint8_t *bytes)
{
        uint8_t entry[8];
        size_t len;

        bytes_store64(entry, 16 * MIB + 0x40);
        len = put_note(bytes + NOTES_AT, "GNU", 18, "abcde", 5);
        len += put_note(bytes + NOTES_AT + len, "Xen", 18, entry, sizeof(entry));
        return (uint32_t)len;
}

static void fill(uint8_t *bytes)
{
        memset(bytes, 0, KERNEL_BYTES);
        count_up(bytes + TEXT_AT, 0x2000);
        count_up(bytes + DATA_AT, FILE_END - DATA_AT);
}

size_t kernel_make_elf64(uint8_t *bytes)
{
        const Elf64_Ehdr head = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                                 .e_type = ET_EXEC,
                                 .e_machine = EM_X86_64,
                                 .e_version = EV_CURRENT,
                                 .e_phoff = sizeof(head),
                                 .e_ehsize = sizeof(head),
                                 .e_phentsize = sizeof(Elf64_Phdr),
                                 .e_phnum = 3};
        Elf64_Phdr segments[3] = {{.p_type = PT_LOAD,
                                   .p_offset = TEXT_AT,
                                   .p_paddr = 16 * MIB,
                                   .p_filesz = 0x2000,
                                   .p_memsz = 0x2000},
                                  {.p_type = PT_LOAD,
                                   .p_offset = DATA_AT,
                                   .p_paddr = 18 * MIB,
                                   .p_filesz = FILE_END - DATA_AT,
                                   .p_memsz = 0x5000},
                                  {.p_type = PT_NOTE, .p_offset = NOTES_AT}};

        fill(bytes);
        segments[2].p_filesz = segments[2].p_memsz = put_notes(bytes);
        memcpy(bytes, &head, sizeof(head));
        memcpy(bytes + sizeof(head), segments, sizeof(segments));
        return FILE_END;
}

size_t kernel_make_elf32(uint8_t *bytes)
{
        const Elf32_Ehdr head = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
                                 .e_type = ET_EXEC,
                                 .e_machine = EM_386,
                                 .e_version = EV_CURRENT,
                                 .e_phoff = sizeof(head),
                                 .e_ehsize = sizeof(head),
                                 .e_phentsize = sizeof(Elf32_Phdr),
                                 .e_phnum = 3};
        Elf32_Phdr segments[3] = {{.p_type = PT_NOTE, .p_offset = NOTES_AT},
                                  {.p_type = PT_LOAD, /* not in order */
                                   .p_offset = DATA_AT,
                                   .p_paddr = 18 * MIB,
                                   .p_filesz = FILE_END - DATA_AT,
                                   .p_memsz = 0x5000},
                                  {.p_type = PT_LOAD,
                                   .p_offset = TEXT_AT,
                                   .p_paddr = 16 * MIB,
                                   .p_filesz = 0x2000,
                                   .p_memsz = 0x2000}};

        fill(bytes);
        segments[0].p_filesz = segments[0].p_memsz = put_notes(bytes);
        memcpy(bytes, &head, sizeof(head));
        memcpy(bytes + sizeof(head), segments, sizeof(segments));
        return FILE_END;
}

size_t kernel_make_arm64(uint8_t *bytes)
{
        memset(bytes, 0, KERNEL_BYTES);
        bytes_store64(bytes + 16, 4 * MIB);
        memcpy(bytes + 56, "ARM\x64", 4);
        count_up(bytes + 64, 9000);
        return 9064;
}
