/* A kernel of whatever format.
 * Owns the file's first bytes; called by loader.c. TRUST: every byte of the file may be anybody's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "proto/base/checked.h"
#include "workers/loader/kernel_format.h"
#include "workers/loader/load.h"

int load_kernel(struct load *load)
{
        static uint8_t head[KERNEL_FORMAT_BYTES];
        const char *why;
        int r;

        load->head = head;
        load->head_len = MIN(load->kernel.size, (uint64_t)sizeof(head));
        r = loader_file_read(&load->kernel, 0, head, load->head_len);
        if (r < 0)
                return load_refuse(load, "the kernel file cannot be read (%s): copy it to another disk",
                                   strerror(-r));
        switch (kernel_format_find(load->options->arch, load->head, load->head_len, &why)) {
        case KERNEL_FORMAT_BZIMAGE:
                return load_bzimage(load);
        case KERNEL_FORMAT_ELF:
                return load_elf(load);
        case KERNEL_FORMAT_ARM64:
                return load_arm64(load);
        case KERNEL_FORMAT_NONE:
                break;
        }
        return load_refuse(load, "the kernel file %s", why);
}
