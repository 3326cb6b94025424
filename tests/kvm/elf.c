/* The ELF file of the test guest, segment by segment.
 * Owns nothing; called by rig.c. TRUST: our own file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTE_PHYS32_ENTRY 18u

static uint32_t note_entry(const uint8_t *note, uint64_t len)
{
        const uint8_t *end = note + len;

        while (note + sizeof(Elf64_Nhdr) <= end) {
                const Elf64_Nhdr *head = (const Elf64_Nhdr *)note;
                const uint8_t *name = note + sizeof(*head);
                const uint8_t *value = name + ((head->n_namesz + 3) & ~3u);
                uint32_t entry;

                if (head->n_type == NOTE_PHYS32_ENTRY && memcmp(name, "Xen", 4) == 0) {
                        memcpy(&entry, value, sizeof(entry));
                        return entry;
                }
                note = value + ((head->n_descsz + 3) & ~3u);
        }
        return 0;
}

static int load_segments(const uint8_t *file, struct guest_memory *memory, struct elf_entries *entries)
{
        const Elf64_Ehdr *head = (const Elf64_Ehdr *)file;
        const Elf64_Phdr *segments = (const Elf64_Phdr *)(file + head->e_phoff);
        int r = 0;

        entries->linux64 = head->e_entry;
        for (unsigned i = 0; r == 0 && i < head->e_phnum; i++) {
                const Elf64_Phdr *s = &segments[i];

                if (s->p_type == PT_NOTE)
                        entries->pvh = note_entry(file + s->p_offset, s->p_filesz);
                if (s->p_type != PT_LOAD)
                        continue;
                r = guest_memory_zero(memory, GPA(s->p_paddr), s->p_memsz);
                if (r == 0)
                        r = guest_memory_write(memory, GPA(s->p_paddr), file + s->p_offset, s->p_filesz);
        }
        return r;
}

int elf_load(const char *path, struct guest_memory *memory, struct elf_entries *ret_entries)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC), r;
        struct stat st;
        void *file;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        close(fd);
        if (file == MAP_FAILED)
                return -errno;
        memset(ret_entries, 0, sizeof(*ret_entries));
        r = load_segments(file, memory, ret_entries);
        munmap(file, (size_t)st.st_size);
        return r;
}
