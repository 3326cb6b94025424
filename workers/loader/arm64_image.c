/* The head of an arm64 Image, judged.
 * Owns nothing; called by load_arm64.c. TRUST: every byte is of a file that anybody may have made.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/loader/arm64_image.h"

#include <errno.h>

#include "proto/base/checked.h"
#include "proto/base/bytes.h"

#define AT_TEXT_OFFSET 8u
#define AT_IMAGE_SIZE  16u
#define AT_FLAGS       24u
#define AT_MAGIC       56u
#define HEADER_BYTES   64u

#define FLAG_BIG_ENDIAN 1u
#define PAGE            4096u
#define MEMORY_MAX      (UINT64_C(1) << 32)

static int refuse(const char *why, const char **ret_why)
{
        *ret_why = why;
        return -EINVAL;
}

int arm64_image_check(const uint8_t *bytes, size_t len, uint64_t size, struct arm64_image *ret_image,
                      const char **ret_why)
{
        struct arm64_image image;

        if (len < HEADER_BYTES || memcmp(bytes + AT_MAGIC, "ARM\x64", 4) != 0)
                return refuse("is no arm64 Image, or one cut short: name a whole kernel", ret_why);
        image.text_offset = bytes_load64(bytes + AT_TEXT_OFFSET);
        image.memory_len = bytes_load64(bytes + AT_IMAGE_SIZE);
        if (image.memory_len == 0)
                return refuse("does not say how much memory it needs: name a kernel of Linux 3.17 or newer",
                              ret_why);
        if (bytes_load64(bytes + AT_FLAGS) & FLAG_BIG_ENDIAN)
                return refuse("is a big endian kernel: name one made with CONFIG_CPU_LITTLE_ENDIAN=y",
                              ret_why);
        if (image.text_offset >= ARM64_IMAGE_ALIGN || image.text_offset % PAGE != 0 ||
            image.memory_len > MEMORY_MAX || image.memory_len < size)
                return refuse("says an address or a size that cannot be: copy the kernel again", ret_why);
        *ret_image = image;
        return 0;
}
