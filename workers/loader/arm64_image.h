/* The head of an arm64 Image, judged (Linux, Documentation/arch/arm64/booting.rst).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define ARM64_IMAGE_ALIGN (2u << 20) /* of the base that text_offset counts from */

struct arm64_image {
        uint64_t text_offset; /* from a multiple of ARM64_IMAGE_ALIGN: below that, whole pages */
        uint64_t memory_len;  /* bytes that it uses from there on: at least the file's, at most 4 GiB */
};

/* `bytes`: the first `len` bytes of a file of `size` bytes. 0, or -EINVAL: *ret_why says what is wrong and what to do. */
int arm64_image_check(const uint8_t *bytes, size_t len, uint64_t size, struct arm64_image *ret_image,
                      const char **ret_why);
