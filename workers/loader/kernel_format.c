/* Which kind of kernel a file is, by its first bytes.
 * Owns nothing; called by loader.c. TRUST: every byte is of a file that anybody may have made.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/loader/kernel_format.h"

#include <stdbool.h>

#include "proto/base/checked.h"
#include "proto/base/bytes.h"

#define SETUP_MAGIC_AT 0x202u
#define IMAGE_MAGIC_AT 0x38u
#define ZBOOT_MAGIC_AT 0x4u

static const struct {
        uint32_t at;
        const char *magic;
        uint32_t len;
        enum kernel_format format;
        enum boot_arch arch; /* 0: any */
        const char *why;     /* of those that cannot be started, or not here */
} rows[] = {
    {SETUP_MAGIC_AT, "HdrS", 4, KERNEL_FORMAT_BZIMAGE, BOOT_ARCH_X86_64,
     "is a kernel for x86 (bzImage): name one for this machine (arm64: arch/arm64/boot/Image)"},
    {0,
     "\x7f"
     "ELF",
     4, KERNEL_FORMAT_ELF, BOOT_ARCH_X86_64, "is an ELF file: name the Image (arch/arm64/boot/Image)"},
    {IMAGE_MAGIC_AT, "ARM\x64", 4, KERNEL_FORMAT_ARM64, BOOT_ARCH_ARM64,
     "is a kernel for arm64 (Image): name one for this machine (x86_64: arch/x86/boot/bzImage)"},
    {ZBOOT_MAGIC_AT, "zimg", 4, KERNEL_FORMAT_NONE, 0,
     "is a kernel that an EFI firmware unpacks (vmlinuz.efi): name the plain Image, made with "
     "CONFIG_EFI_ZBOOT=n"},
    {0, "\x1f\x8b", 2, KERNEL_FORMAT_NONE, 0, "is packed by gzip: unpack it with: zcat FILE > Image"},
    {0, "\xfd\x37zXZ", 5, KERNEL_FORMAT_NONE, 0, "is packed by xz: unpack it with: xzcat FILE > Image"},
    {0, "\x28\xb5\x2f\xfd", 4, KERNEL_FORMAT_NONE, 0,
     "is packed by zstd: unpack it with: zstdcat FILE > Image"},
    {0, "MZ", 2, KERNEL_FORMAT_NONE, 0, "is an EFI program: name a kernel (bzImage, vmlinux or Image)"},
};

static bool has_magic(const uint8_t *bytes, size_t len, size_t i)
{
        return range_inside(rows[i].at, rows[i].len, len) &&
               memcmp(bytes + rows[i].at, rows[i].magic, rows[i].len) == 0;
}

enum kernel_format kernel_format_find(enum boot_arch arch, const uint8_t *bytes, size_t len,
                                      const char **ret_why)
{
        for (size_t i = 0; i < array_size(rows); i++) {
                if (!has_magic(bytes, len, i))
                        continue;
                if (rows[i].format != KERNEL_FORMAT_NONE && rows[i].arch == arch)
                        return rows[i].format;
                *ret_why = rows[i].why;
                return KERNEL_FORMAT_NONE;
        }
        *ret_why = len == 0 ? "is empty: name a kernel (bzImage, vmlinux or Image)"
                            : "is no kernel: name a bzImage, vmlinux or Image";
        return KERNEL_FORMAT_NONE;
}
