/* Which kind of kernel a file is, by its first bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/boot.h"

enum kernel_format {
        KERNEL_FORMAT_NONE = 0,
        KERNEL_FORMAT_BZIMAGE, /* x86: real-mode setup, then a compressed kernel */
        KERNEL_FORMAT_ELF,
        KERNEL_FORMAT_ARM64, /* Image */
};

#define KERNEL_FORMAT_BYTES                                                                                  \
        4096u /* of the file's beginning: what every check of a header gets, or the whole file */

/* The format of a file that `arch` can start. KERNEL_FORMAT_NONE: *ret_why says what it is and what to do. */
enum kernel_format kernel_format_find(enum boot_arch arch, const uint8_t *bytes, size_t len,
                                      const char **ret_why);
