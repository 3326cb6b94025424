/* The head of a bzImage, judged.
 * Owns nothing; called by load_bzimage.c. TRUST: every byte is of a file that anybody may have made. What it says is used
 * to place bytes in the guest's own RAM, and is judged against that by the caller.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/loader/bzimage.h"

#include <errno.h>

#include "proto/base/checked.h"
#include "proto/base/bytes.h"

/* setup_header: offsets in the file. */
#define AT_SETUP_SECTS  0x1f1u
#define AT_SYSSIZE      0x1f4u
#define AT_BOOT_FLAG    0x1feu
#define AT_JUMP         0x201u /* how far the header reaches behind 0x202 */
#define AT_MAGIC        0x202u
#define AT_VERSION      0x206u
#define AT_LOADFLAGS    0x211u
#define AT_INITRD_MAX   0x22cu
#define AT_RELOCATABLE  0x234u
#define AT_XLOADFLAGS   0x236u
#define AT_CMDLINE_SIZE 0x238u
#define AT_PREF_ADDRESS 0x258u
#define AT_INIT_SIZE    0x260u
#define HEADER_MIN      0x264u /* the end of init_size */

#define SECTOR          512u
#define SETUP_SECTS_OLD 4u /* what 0 means */
#define SETUP_SECTS_MAX 64u
#define PARAGRAPH       16u
#define VERSION_MIN     0x020cu
#define LOADED_HIGH     1u
#define XLF_KERNEL_64   1u
#define LOAD_MIN        0x100000u
#define INIT_MIN        4096u

static int refuse(const char *why, const char **ret_why)
{
        *ret_why = why;
        return -EINVAL;
}

static int check_protocol(const uint8_t *bytes, size_t len, const char **ret_why)
{
        if (len < HEADER_MIN || bytes_load16(bytes + AT_BOOT_FLAG) != 0xaa55 ||
            memcmp(bytes + AT_MAGIC, "HdrS", 4) != 0)
                return refuse("is no bzImage, or one cut short: name a whole kernel", ret_why);
        if (bytes_load16(bytes + AT_VERSION) < VERSION_MIN)
                return refuse("has a boot protocol older than 2.12: name a kernel of Linux 3.8 or newer",
                              ret_why);
        if (!(bytes[AT_LOADFLAGS] & LOADED_HIGH))
                return refuse("is a zImage, which is loaded below 1 MiB: name a bzImage", ret_why);
        if (!(bytes_load16(bytes + AT_XLOADFLAGS) & XLF_KERNEL_64))
                return refuse("has no 64-bit entry, it is a 32-bit kernel: name one for x86_64", ret_why);
        return 0;
}

/* Setup code and header come first, the kernel itself behind them. */
static int check_body(const uint8_t *bytes, uint64_t size, struct bzimage *image, const char **ret_why)
{
        uint32_t sects = bytes[AT_SETUP_SECTS] == 0 ? SETUP_SECTS_OLD : bytes[AT_SETUP_SECTS];
        uint64_t paragraphs = bytes_load32(bytes + AT_SYSSIZE);

        if (sects > SETUP_SECTS_MAX)
                return refuse("has more setup code than the boot protocol allows: name another kernel",
                              ret_why);
        image->body_at = (uint64_t)(sects + 1) * SECTOR;
        if (size <= image->body_at || (size - image->body_at + PARAGRAPH - 1) / PARAGRAPH < paragraphs)
                return refuse("is cut short: copy the kernel again", ret_why);
        image->body_len = size - image->body_at;
        return 0;
}

static int check_place(const uint8_t *bytes, struct bzimage *image, const char **ret_why)
{
        image->load = bytes_load64(bytes + AT_PREF_ADDRESS);
        image->init_len = bytes_load32(bytes + AT_INIT_SIZE);
        image->initrd_max = bytes_load32(bytes + AT_INITRD_MAX);
        image->cmdline_max = bytes_load32(bytes + AT_CMDLINE_SIZE);
        if (image->load < LOAD_MIN || image->load > UINT32_MAX || image->load % INIT_MIN != 0 ||
            image->init_len < INIT_MIN || image->body_len > image->init_len)
                return refuse("says an address or a size that cannot be: copy the kernel again", ret_why);
        return 0;
}

int bzimage_check(const uint8_t *bytes, size_t len, uint64_t size, struct bzimage *ret_image,
                  const char **ret_why)
{
        struct bzimage image = {0};
        int r = check_protocol(bytes, len, ret_why);

        if (r == 0)
                r = check_body(bytes, size, &image, ret_why);
        if (r == 0)
                r = check_place(bytes, &image, ret_why);
        if (r < 0)
                return r;
        image.header_end = MIN(AT_MAGIC + bytes[AT_JUMP], BZIMAGE_HEADER_END);
        if (image.header_end < HEADER_MIN || image.header_end > len)
                return refuse("has a header that cannot be: copy the kernel again", ret_why);
        *ret_image = image;
        return 0;
}
