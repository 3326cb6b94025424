/* The head of a bzImage, judged (Linux, Documentation/arch/x86/boot.rst).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define BZIMAGE_HEADER_AT  0x1f1u /* of setup_header, in the file and in the zero page */
#define BZIMAGE_HEADER_END 0x290u /* at most */
#define BZIMAGE_ENTRY64    0x200u /* behind the place that the kernel is loaded to */

struct bzimage {
        uint64_t body_at, body_len; /* of the file: goes to `load`, inside `init_len` */
        uint64_t load;              /* guest address, 1 MiB or above */
        uint32_t
            init_len; /* bytes from there on that it uses before it has tables of its own; at least a page */
        uint32_t initrd_max;  /* the last address that an initrd may have */
        uint32_t cmdline_max; /* bytes, without NUL */
        uint32_t
            header_end; /* [BZIMAGE_HEADER_AT, header_end) of `bytes` is setup_header; at most BZIMAGE_HEADER_END */
};

/* `bytes`: the first `len` bytes of a file of `size` bytes, all or KERNEL_FORMAT_BYTES. Only kernels with a 64-bit entry
 * (protocol 2.12, XLF_KERNEL_64). 0, or -EINVAL: *ret_why says what is wrong and what to do. */
int bzimage_check(const uint8_t *bytes, size_t len, uint64_t size, struct bzimage *ret_image,
                  const char **ret_why);
