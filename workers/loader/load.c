/* What all formats of a kernel share.
 * Owns nothing; called by load_*.c and loader.c. TRUST: sizes of files are their makers'; sums of them are checked.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/loader/load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/checked.h"
#include "workers/runtime/trap.h"

int load_refuse(struct load *load, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vsnprintf(load->why, sizeof(load->why), format, args);
        va_end(args);
        return -EINVAL;
}

uint64_t load_ram_end(const struct load *load)
{
        const struct boot_range *ram = &load->options->ram[0];

        return ram->start + MIN(ram->len, UINT64_C(1) << 32);
}

/* From the beginning of the first range. Who has not judged an address is in error. */
static uint64_t load_offset(const struct load *load, uint64_t address, uint64_t len)
{
        const struct boot_range *ram = &load->options->ram[0];

        if (!range_within(address, len, ram->start, load_ram_end(load) - ram->start))
                worker_trap();
        return address - ram->start;
}

void load_bytes(struct load *load, uint64_t address, const void *bytes, uint32_t len)
{
        boot_memory_write(load->memory, 0, (uint32_t)load_offset(load, address, len), bytes, len);
}

int load_file(struct load *load, uint64_t address, const struct loader_file *file, uint64_t at, uint64_t len)
{
        const char *name = file == &load->initrd ? "initrd" : "kernel";
        int r;

        if (len == 0)
                return 0;
        r = boot_memory_write_file(load->memory, 0, (uint32_t)load_offset(load, address, len), len, file->fd,
                                   at);
        if (r == -EIO)
                return load_refuse(load, "the %s file has become shorter while it was read: start again",
                                   name);
        if (r < 0)
                return load_refuse(load, "the %s file cannot be read (%s): copy it to another disk", name,
                                   strerror(-r));
        return 0;
}

#define MIB(bytes) (((bytes) + (1u << 20) - 1) >> 20)

int load_initrd_below(struct load *load, uint64_t floor, uint64_t end, uint64_t *ret_address)
{
        uint64_t size = load->initrd.size, address;

        if (load->initrd.fd < 0) {
                *ret_address = 0;
                return 0;
        }
        if (floor > end || size > end - floor)
                return load_refuse(
                    load,
                    "the initrd has %llu MiB, and %llu MiB are free below the end of RAM or of what the "
                    "kernel can reach: give the VM more memory, or make the initrd smaller",
                    (unsigned long long)MIB(size),
                    (unsigned long long)(floor > end ? 0 : (end - floor) >> 20));
        address = (end - size) / BOOT_PAGE * BOOT_PAGE;
        if (address < floor)
                return load_refuse(load, "the initrd does not fit by a page: give the VM more memory");
        *ret_address = address;
        return load_file(load, address, &load->initrd, 0, size);
}
