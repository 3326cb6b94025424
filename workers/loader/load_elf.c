/* An ELF kernel by its PVH entry (xen/include/public/arch-x86/hvm/start_info.h).
 * Owns the buffers of what it reads and makes; called by loader.c. TRUST: what elf_kernel.c has judged is in shape; here it
 * is judged against the guest's RAM.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/bytes.h"
#include "workers/loader/elf_kernel.h"
#include "workers/loader/x86_memory.h"

#define START_MAGIC   0x336ec578u
#define START_VERSION 1u
#define START_BYTES   56u
#define MODULE_BYTES  32u
#define MAP_AT        64u /* behind the list of modules */
#define MAP_ENTRY     24u

static int read_segments(struct load *load, struct elf_kernel *ret_kernel)
{
        uint8_t headers[ELF_KERNEL_HEADERS];
        struct elf_kernel_head head;
        const char *why;
        int r;

        if (elf_kernel_check_head(load->head, load->head_len, load->kernel.size, &head, &why) < 0)
                return load_refuse(load, "the kernel file %s", why);
        r = loader_file_read(&load->kernel, head.headers_at, headers, head.headers_len);
        if (r < 0)
                return load_refuse(load, "the kernel file cannot be read (%s): copy it to another disk",
                                   strerror(-r));
        if (elf_kernel_check_segments(&head, headers, load->kernel.size, ret_kernel, &why) < 0)
                return load_refuse(load, "the kernel file %s", why);
        return 0;
}

static int find_entry(struct load *load, const struct elf_kernel *kernel, uint32_t *ret_entry)
{
        static uint8_t notes[ELF_KERNEL_NOTE_BYTES];

        for (unsigned i = 0; i < kernel->n_notes; i++) {
                const struct elf_kernel_part *part = &kernel->notes[i];

                if (loader_file_read(&load->kernel, part->file_at, notes, part->file_len) < 0)
                        continue;
                if (elf_kernel_find_entry(notes, part->file_len, ret_entry) == 0)
                        return 0;
        }
        return load_refuse(
            load, "the kernel file is an ELF file without a PVH entry: name a bzImage, or make it with "
                  "CONFIG_PVH=y");
}

static bool entry_is_loaded(const struct elf_kernel *kernel, uint32_t entry)
{
        for (unsigned i = 0; i < kernel->n_parts; i++)
                if (entry >= kernel->parts[i].address &&
                    entry - kernel->parts[i].address < kernel->parts[i].file_len)
                        return true;
        return false;
}

/* Parts ascend, so the first and the last one bound them all. */
static int judge(struct load *load, const struct elf_kernel *kernel, uint32_t entry)
{
        const struct elf_kernel_part *last = &kernel->parts[kernel->n_parts - 1];

        if (kernel->parts[0].address < X86_HIGH)
                return load_refuse(load,
                                   "the kernel file has a segment below 1 MiB: name a bzImage or vmlinux");
        if (last->address + last->len > load_ram_end(load))
                return load_refuse(load, "the kernel needs memory up to %llu MiB: give the VM more",
                                   (unsigned long long)((last->address + last->len + (1u << 20) - 1) >> 20));
        if (!entry_is_loaded(kernel, entry))
                return load_refuse(
                    load, "the kernel file has its PVH entry outside of what is loaded: copy it again");
        return 0;
}

/* Everything else in memory is zero, as parts behind their file's bytes are to be. */
static int write_parts(struct load *load, const struct elf_kernel *kernel)
{
        for (unsigned i = 0; i < kernel->n_parts; i++)
                if (load_file(load, kernel->parts[i].address, &load->kernel, kernel->parts[i].file_at,
                              kernel->parts[i].file_len) < 0)
                        return -EINVAL;
        return 0;
}

static void write_start_info(struct load *load, uint64_t initrd)
{
        uint8_t start[START_BYTES] = {0}, lists[MAP_AT + X86_MAP_RANGES * MAP_ENTRY] = {0};
        struct x86_map_range map[X86_MAP_RANGES];
        unsigned n = x86_memory_map(load->options, map);

        bytes_store64(lists, initrd);
        bytes_store64(lists + 8, initrd ? load->initrd.size : 0);
        for (unsigned i = 0; i < n; i++) {
                uint8_t *at = lists + MAP_AT + i * MAP_ENTRY;

                bytes_store64(at, map[i].start);
                bytes_store64(at + 8, map[i].len);
                bytes_store32(at + 16, (uint32_t)map[i].type);
        }
        bytes_store32(start, START_MAGIC);
        bytes_store32(start + 4, START_VERSION);
        bytes_store32(start + 12, initrd ? 1 : 0); /* modules */
        bytes_store64(start + 16, initrd ? X86_LISTS : 0);
        bytes_store64(start + 24, X86_CMDLINE);
        bytes_store64(start + 32, X86_ACPI);
        bytes_store64(start + 40, X86_LISTS + MAP_AT);
        bytes_store32(start + 48, n);
        load_bytes(load, X86_LISTS, lists, sizeof(lists));
        load_bytes(load, X86_START_INFO, start, sizeof(start));
}

_Static_assert(MODULE_BYTES <= MAP_AT, "one module");

int load_elf(struct load *load)
{
        struct elf_kernel kernel;
        uint64_t initrd;
        uint32_t entry;

        if (read_segments(load, &kernel) < 0 || find_entry(load, &kernel, &entry) < 0 ||
            judge(load, &kernel, entry) < 0)
                return -EINVAL;
        if (x86_memory_write(load) < 0 || write_parts(load, &kernel) < 0)
                return -EINVAL;
        if (load_initrd_below(load,
                              kernel.parts[kernel.n_parts - 1].address + kernel.parts[kernel.n_parts - 1].len,
                              load_ram_end(load), &initrd) < 0)
                return -EINVAL;
        write_start_info(load, initrd);
        load->entry = (struct boot_entry){.mode = KVM_BOOT_PVH, .entry = entry, .arg = X86_START_INFO};
        return 0;
}
