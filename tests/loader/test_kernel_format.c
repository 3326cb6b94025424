/* What kind of kernel a file is.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/loader/kernel_format.h"

#include "proto/base/checked.h"
#include "tests/unit/unit.h"

static uint8_t bytes[1024];

static enum kernel_format find(enum boot_arch arch, uint32_t at, const char *magic, size_t len,
                               const char **ret_why)
{
        memset(bytes, 0, sizeof(bytes));
        memcpy(bytes + at, magic, len);
        return kernel_format_find(arch, bytes, sizeof(bytes), ret_why);
}

static void each_architecture_has_its_formats(void **state)
{
        const char *why = NULL;

        (void)state;
        assert_int_equal(find(BOOT_ARCH_X86_64, 0x202, "HdrS", 4, &why), KERNEL_FORMAT_BZIMAGE);
        assert_int_equal(find(BOOT_ARCH_X86_64, 0,
                              "\x7f"
                              "ELF",
                              4, &why),
                         KERNEL_FORMAT_ELF);
        assert_int_equal(find(BOOT_ARCH_ARM64, 0x38, "ARM\x64", 4, &why), KERNEL_FORMAT_ARM64);
        assert_null(why);
}

static void everything_else_is_named_with_its_remedy(void **state)
{
        static const struct {
                enum boot_arch arch;
                uint32_t at;
                const char *magic;
                size_t len;
                const char *words;
        } rows[] = {
            {BOOT_ARCH_ARM64, 0x202, "HdrS", 4, "kernel for x86"},
            {BOOT_ARCH_ARM64, 0,
             "\x7f"
             "ELF",
             4, "name the Image"},
            {BOOT_ARCH_X86_64, 0x38, "ARM\x64", 4, "kernel for arm64"},
            {BOOT_ARCH_ARM64, 4, "zimg", 4, "CONFIG_EFI_ZBOOT=n"},
            {BOOT_ARCH_ARM64, 0, "\x1f\x8b", 2, "zcat FILE"},
            {BOOT_ARCH_ARM64, 0, "\xfd\x37zXZ", 5, "xzcat FILE"},
            {BOOT_ARCH_ARM64, 0, "\x28\xb5\x2f\xfd", 4, "zstdcat FILE"},
            {BOOT_ARCH_X86_64, 0, "MZ", 2, "EFI program"},
            {BOOT_ARCH_X86_64, 0, "#!/bin/sh", 9, "is no kernel"},
        };
        const char *why;

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                why = NULL;
                assert_int_equal(find(rows[i].arch, rows[i].at, rows[i].magic, rows[i].len, &why),
                                 KERNEL_FORMAT_NONE);
                assert_non_null(strstr(why, rows[i].words));
                assert_non_null(strchr(why, ':'));
        }
}

/* Nothing behind its end is looked at. */
static void a_short_file_is_no_kernel(void **state)
{
        const char *why = NULL;

        (void)state;
        find(BOOT_ARCH_X86_64, 0x202, "HdrS", 4, &why);
        for (size_t len = 0; len < 0x206; len++) {
                uint8_t *exact = malloc(len + 1);

                assert_non_null(exact);
                memcpy(exact + 1, bytes, len);
                assert_int_equal(kernel_format_find(BOOT_ARCH_X86_64, exact + 1, len, &why),
                                 KERNEL_FORMAT_NONE);
                assert_non_null(strstr(why, len == 0 ? "is empty" : "is no kernel"));
                free(exact);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(each_architecture_has_its_formats),
            cmocka_unit_test(everything_else_is_named_with_its_remedy),
            cmocka_unit_test(a_short_file_is_no_kernel),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
