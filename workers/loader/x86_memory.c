/* What every x86_64 kernel is given beside itself.
 * Owns its buffer; called by load_bzimage.c and load_elf.c. TRUST: everything here is our own or the broker's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/loader/x86_memory.h"

#include <string.h>

#include "proto/base/checked.h"
#include "workers/loader/acpi.h"

_Static_assert(KVM_X86_BOOT_END <= X86_ZERO_PAGE, "the broker's tables come first");
_Static_assert(X86_CMDLINE + LIMIT_CMDLINE <= X86_LOW_END, "the command line is below the hole");
_Static_assert(ACPI_BYTES <= X86_HIGH - X86_ACPI, "the tables end below 1 MiB");

unsigned x86_memory_map(const struct boot_options *options, struct x86_map_range ret_map[X86_MAP_RANGES])
{
        unsigned n = 0;

        ret_map[n++] = (struct x86_map_range){0, X86_LOW_END, X86_MAP_RAM};
        ret_map[n++] = (struct x86_map_range){X86_ACPI, X86_HIGH - X86_ACPI, X86_MAP_RESERVED};
        ret_map[n++] = (struct x86_map_range){X86_HIGH, options->ram[0].len - X86_HIGH, X86_MAP_RAM};
        for (uint32_t i = 1; i < options->n_ram; i++)
                ret_map[n++] =
                    (struct x86_map_range){options->ram[i].start, options->ram[i].len, X86_MAP_RAM};
        return n;
}

int x86_memory_write(struct load *load)
{
        static uint8_t tables[ACPI_BYTES];
        int len;

        if (load->options->ram[0].start != 0 || load->options->ram[0].len <= X86_HIGH)
                return load_refuse(load, "the VM has less than 2 MiB of memory: give it more");
        len = acpi_make(load->options, X86_ACPI, tables, sizeof(tables));
        if (len < 0)
                return load_refuse(load, "the VM's ACPI tables cannot be made (%s): give it fewer devices",
                                   strerror(-len));
        load_bytes(load, X86_ACPI, tables, (uint32_t)len);
        load_bytes(load, X86_CMDLINE, load->options->cmdline, (uint32_t)strlen(load->options->cmdline) + 1);
        return 0;
}
