/* An arm64 Image (Linux, Documentation/arch/arm64/booting.rst).
 * Owns the device tree it makes; called by loader.c. TRUST: what arm64_image_check has judged is in shape; here it is judged
 * against the guest's RAM.
 *
 * The kernel lies at the beginning of RAM, the device tree in the next two MiB behind it, the initrd behind that: each is
 * within a gigabyte of the other, as old kernels want it, whenever it can be.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"
#include "workers/loader/arm64_image.h"
#include "workers/loader/device_tree.h"
#include "workers/loader/load.h"

_Static_assert(DEVICE_TREE_BYTES <= ARM64_IMAGE_ALIGN, "a device tree has at most 2 MiB");

static uint64_t align_up(uint64_t address)
{
        return (address + ARM64_IMAGE_ALIGN - 1) / ARM64_IMAGE_ALIGN * ARM64_IMAGE_ALIGN;
}

static int write_tree(struct load *load, uint64_t address, uint64_t initrd)
{
        static uint8_t tree[DEVICE_TREE_BYTES];
        int len = device_tree_make(load->options, initrd, initrd ? load->initrd.size : 0, tree, sizeof(tree));

        if (len < 0)
                return load_refuse(load, "the VM's device tree is too large: give it fewer devices");
        load_bytes(load, address, tree, (uint32_t)len);
        return 0;
}

/* Right behind the device tree, whose end is aligned. */
static int write_initrd(struct load *load, uint64_t floor, uint64_t *ret_address)
{
        uint64_t pages = (load->initrd.size + BOOT_PAGE - 1) / BOOT_PAGE;
        uint64_t end = load_ram_end(load);

        if (load->initrd.fd >= 0 && floor <= end && pages <= (end - floor) / BOOT_PAGE)
                end = floor + pages * BOOT_PAGE;
        return load_initrd_below(load, floor, end, ret_address);
}

/* A guest gives its pools to devices: nothing of it may lie there. */
static int judge_pools(struct load *load, uint64_t start, uint64_t end)
{
        const struct boot_options *options = load->options;

        for (uint32_t i = 0; i < options->n_pools; i++) {
                const struct boot_range *pool = &options->pool[i];

                if (pool->start < end && start < pool->start + pool->len)
                        return load_refuse(load,
                                           "a device's window begins at 0x%llx, and kernel, device tree and "
                                           "initrd lie from 0x%llx "
                                           "to 0x%llx: put it behind them",
                                           (unsigned long long)pool->start, (unsigned long long)start,
                                           (unsigned long long)end - 1);
        }
        return 0;
}

int load_arm64(struct load *load)
{
        uint64_t base = align_up(load->options->ram[0].start), end = load_ram_end(load), tree, initrd;
        struct arm64_image image;
        const char *why;

        if (arm64_image_check(load->head, load->head_len, load->kernel.size, &image, &why) < 0)
                return load_refuse(load, "the kernel file %s", why);
        tree = align_up(base + image.text_offset + image.memory_len);
        if (tree > end || end - tree < ARM64_IMAGE_ALIGN)
                return load_refuse(
                    load, "the kernel and its device tree need %llu MiB of memory: give the VM more",
                    (unsigned long long)((tree + ARM64_IMAGE_ALIGN - load->options->ram[0].start) >> 20));
        if (load_file(load, base + image.text_offset, &load->kernel, 0, load->kernel.size) < 0 ||
            write_initrd(load, tree + ARM64_IMAGE_ALIGN, &initrd) < 0 ||
            judge_pools(load, base, initrd ? initrd + load->initrd.size : tree + ARM64_IMAGE_ALIGN) < 0 ||
            write_tree(load, tree, initrd) < 0)
                return -EINVAL;
        load->entry =
            (struct boot_entry){.mode = KVM_BOOT_ARM64, .entry = base + image.text_offset, .arg = tree};
        return 0;
}
