/* What a kernel file is, by its first bytes.
 * Owns nothing; called by `doctor`.
 * TRUST: bytes of a file that may be anybody's: a few numbers at fixed places, and no more.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/kernel_kind.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/checked.h"

/* Documentation/arch/x86/boot.rst, arch/arm64/booting.rst */
#define X86_SETUP_SECTS   0x1f1u
#define X86_SETUP_OLD     4u     /* what 0 sectors mean */
#define X86_SYSSIZE       0x1f4u /* what lies behind them, in units of 16 bytes */
#define X86_MAGIC         0x202u
#define X86_VERSION       0x206u
#define X86_VERSION_MIN   0x020cu /* 2.12: the first with xloadflags */
#define X86_XLOADFLAGS    0x236u
#define X86_XLF_KERNEL_64 1u
#define ARM64_MAGIC       0x38u
#define ELF_MACHINE       0x12u
#define ELF_X86_64        62u
#define ELF_I386          3u

static bool has(const uint8_t *head, size_t len, size_t at, const char *magic, size_t magic_len)
{
        return at + magic_len <= len && memcmp(head + at, magic, magic_len) == 0;
}

bool kernel_is_elf(const uint8_t *head, size_t len)
{
        return has(head, len, 0, "\177ELF", 4);
}

/* As the loader has it (workers/loader/bzimage.c). */
static bool x86_is_cut(const uint8_t *head, uint64_t file_size)
{
        uint64_t sects = head[X86_SETUP_SECTS] ? head[X86_SETUP_SECTS] : X86_SETUP_OLD;
        uint64_t body = (sects + 1) * 512;
        uint64_t units = bytes_load32(head + X86_SYSSIZE);

        return file_size <= body || (file_size - body + 15) / 16 < units;
}

static bool x86_kind(const uint8_t *head, size_t len, uint64_t file_size, char *text, size_t size)
{
        if (kernel_is_elf(head, len) && len >= ELF_MACHINE + 2) {
                bool is64 = head[4] == 2, little = head[5] == 1;
                bool good = little && bytes_load16(head + ELF_MACHINE) == (is64 ? ELF_X86_64 : ELF_I386) &&
                            (is64 || head[4] == 1);

                snprintf(text, size, "%s",
                         !good  ? "ELF of another architecture: name a kernel of x86_64"
                         : is64 ? "ELF of x86_64, which boots by its PVH note"
                                : "ELF of 32 bits, which boots by its PVH note");
                return good;
        }
        if (!has(head, len, X86_MAGIC, "HdrS", 4) || len < KERNEL_HEAD) {
                snprintf(text, size, "no kernel: name a bzImage, or an ELF with a PVH note");
                return false;
        }
        if (bytes_load16(head + X86_VERSION) < X86_VERSION_MIN) {
                snprintf(text, size, "bzImage of boot protocol %u.%02u: use a kernel from Linux 3.8 on",
                         head[X86_VERSION + 1], head[X86_VERSION]);
                return false;
        }
        if (!(bytes_load16(head + X86_XLOADFLAGS) & X86_XLF_KERNEL_64)) {
                snprintf(text, size, "bzImage of 32 bits: use a kernel of x86_64");
                return false;
        }
        if (x86_is_cut(head, file_size)) {
                snprintf(text, size, "bzImage that is cut short: copy the kernel again");
                return false;
        }
        snprintf(text, size, "bzImage of boot protocol %u.%02u", head[X86_VERSION + 1], head[X86_VERSION]);
        return true;
}

static bool arm64_kind(const uint8_t *head, size_t len, char *text, size_t size)
{
        if (has(head, len, ARM64_MAGIC, "ARM\x64", 4)) {
                snprintf(text, size, "Image of arm64");
                return true;
        }
        snprintf(text, size, "no kernel of arm64: name an Image");
        return false;
}

/* What is often named in a kernel's place. */
static const struct {
        enum kvm_arch arch; /* that does not boot it */
        size_t at;
        const char *magic;
        size_t len;
        const char *text;
} strangers[] = {
    {KVM_ARCH_X86_64, 0, "\x1f\x8b", 2, "compressed by gzip: name the bzImage itself"},
    {KVM_ARCH_X86_64, ARM64_MAGIC, "ARM\x64", 4, "a kernel of arm64: name one of x86_64"},
    {KVM_ARCH_ARM64, 0, "\x1f\x8b", 2, "compressed by gzip: unpack it with gunzip"},
    {KVM_ARCH_ARM64, 4, "zimg", 4, "compressed (EFI zboot): unpack it, or name the Image of the build"},
    {KVM_ARCH_ARM64, X86_MAGIC, "HdrS", 4, "a kernel of x86: name one of arm64"},
};

bool kernel_kind(enum kvm_arch arch, const uint8_t *head, size_t len, uint64_t file_size, char *text,
                 size_t size)
{
        for (size_t i = 0; i < array_size(strangers); i++)
                if (strangers[i].arch == arch &&
                    has(head, len, strangers[i].at, strangers[i].magic, strangers[i].len)) {
                        snprintf(text, size, "%s", strangers[i].text);
                        return false;
                }
        return arch == KVM_ARCH_ARM64 ? arm64_kind(head, len, text, size)
                                      : x86_kind(head, len, file_size, text, size);
}
