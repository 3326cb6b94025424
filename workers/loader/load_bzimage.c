/* A bzImage by its 64-bit entry (Linux, Documentation/arch/x86/boot.rst, "64-bit boot protocol").
 * Owns the zero page it makes; called by loader.c. TRUST: what bzimage_check has judged is in shape; here it is judged
 * against the guest's RAM.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/bytes.h"
#include "workers/loader/bzimage.h"
#include "workers/loader/x86_memory.h"

/* The zero page (Documentation/arch/x86/zero-page.rst), beside setup_header. */
#define ZERO_RSDP        0x070u
#define ZERO_MAP_ENTRIES 0x1e8u
#define ZERO_LOADER_TYPE 0x210u
#define ZERO_INITRD      0x218u
#define ZERO_INITRD_SIZE 0x21cu
#define ZERO_CMDLINE     0x228u
#define ZERO_SETUP_DATA  0x250u
#define ZERO_MAP         0x2d0u
#define ZERO_MAP_ENTRY   20u
#define ZERO_VIDEO_MODE  0x1fau

#define LOADER_UNKNOWN 0xffu /* has no number of its own */
#define VIDEO_NORMAL   0xffffu

static void put_map(uint8_t *zero, const struct boot_options *options)
{
        struct x86_map_range map[X86_MAP_RANGES];
        unsigned n = x86_memory_map(options, map);

        zero[ZERO_MAP_ENTRIES] = (uint8_t)n;
        for (unsigned i = 0; i < n; i++) {
                uint8_t *at = zero + ZERO_MAP + i * ZERO_MAP_ENTRY;

                bytes_store64(at, map[i].start);
                bytes_store64(at + 8, map[i].len);
                bytes_store32(at + 16, (uint32_t)map[i].type);
        }
}

static void write_zero_page(struct load *load, const struct bzimage *image, uint64_t initrd)
{
        static uint8_t zero[BOOT_PAGE];

        memcpy(zero + BZIMAGE_HEADER_AT, load->head + BZIMAGE_HEADER_AT,
               image->header_end - BZIMAGE_HEADER_AT);
        bytes_store64(zero + ZERO_RSDP, X86_ACPI);
        bytes_store16(zero + ZERO_VIDEO_MODE, VIDEO_NORMAL);
        zero[ZERO_LOADER_TYPE] = LOADER_UNKNOWN;
        bytes_store32(zero + ZERO_INITRD, (uint32_t)initrd);
        bytes_store32(zero + ZERO_INITRD_SIZE, initrd ? (uint32_t)load->initrd.size : 0);
        bytes_store32(zero + ZERO_CMDLINE, X86_CMDLINE);
        bytes_store64(zero + ZERO_SETUP_DATA, 0);
        put_map(zero, load->options);
        load_bytes(load, X86_ZERO_PAGE, zero, sizeof(zero));
}

#define MIB(bytes) (((bytes) + (1u << 20) - 1) >> 20)

static int judge(struct load *load, const struct bzimage *image)
{
        if (!range_inside(image->load, image->init_len, load_ram_end(load)))
                return load_refuse(load, "the kernel needs memory up to %llu MiB: give the VM more",
                                   (unsigned long long)MIB(image->load + image->init_len));
        if (strlen(load->options->cmdline) > image->cmdline_max)
                return load_refuse(
                    load, "the kernel takes command lines of %u bytes, this one has %zu: make it shorter",
                    image->cmdline_max, strlen(load->options->cmdline));
        return 0;
}

int load_bzimage(struct load *load)
{
        struct bzimage image;
        const char *why;
        uint64_t initrd;

        if (bzimage_check(load->head, load->head_len, load->kernel.size, &image, &why) < 0)
                return load_refuse(load, "the kernel file %s", why);
        if (judge(load, &image) < 0 || x86_memory_write(load) < 0)
                return -EINVAL;
        if (load_file(load, image.load, &load->kernel, image.body_at, image.body_len) < 0)
                return -EINVAL;
        if (load_initrd_below(load, image.load + image.init_len,
                              MIN((uint64_t)image.initrd_max + 1, load_ram_end(load)), &initrd) < 0)
                return -EINVAL;
        write_zero_page(load, &image, initrd);
        load->entry = (struct boot_entry){
            .mode = KVM_BOOT_LINUX64, .entry = image.load + BZIMAGE_ENTRY64, .arg = X86_ZERO_PAGE};
        return 0;
}
