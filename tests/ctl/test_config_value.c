/* Texts that stand for values, at their edges.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_value.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"

static void uint_is_decimal_digits_up_to_32_bits(void **state)
{
        static const char *const bad[] = {
            "", "-1", "+1", " 1", "1 ", "0x10", "1.0", "4294967296", "99999999999999999999"};
        uint32_t value = 77;

        (void)state;
        for (size_t i = 0; i < array_size(bad); i++) {
                assert_int_equal(config_value_uint(bad[i], &value), -EINVAL);
                assert_int_equal(value, 77);
        }
        assert_int_equal(config_value_uint("4294967295", &value), 0);
        assert_int_equal(value, UINT32_MAX);
        assert_int_equal(config_value_uint("0", &value), 0);
        assert_int_equal(value, 0);
        assert_int_equal(config_value_uint("010", &value), 0);
        assert_int_equal(value, 10); /* not octal */
}

static void bool_is_true_or_false_and_nothing_else(void **state)
{
        static const char *const bad[] = {"", "True", "yes", "no", "on", "1", "flase", "true "};
        bool value = true;

        (void)state;
        assert_int_equal(config_value_bool("false", &value), 0);
        assert_false(value);
        assert_int_equal(config_value_bool("true", &value), 0);
        assert_true(value);
        for (size_t i = 0; i < array_size(bad); i++)
                assert_int_equal(config_value_bool(bad[i], &value), -EINVAL);
}

static void mode_is_octal_up_to_0777(void **state)
{
        static const char *const bad[] = {"", "8", "0668", "1000", "rw", "-1", "0o660"};
        uint32_t mode = 1;

        (void)state;
        for (size_t i = 0; i < array_size(bad); i++)
                assert_int_equal(config_value_mode(bad[i], &mode), -EINVAL);
        assert_int_equal(mode, 1);
        assert_int_equal(config_value_mode("777", &mode), 0);
        assert_int_equal(mode, 0777);
        assert_int_equal(config_value_mode("0660", &mode), 0);
        assert_int_equal(mode, 0660);
}

static void size_has_a_unit_and_does_not_wrap(void **state)
{
        static const char *const bad[] = {
            "", "0", "0M", "M", "1T", "1MB", "1 M", "1m", "18446744073709551616", "17179869184G"};
        uint64_t size = 7;

        (void)state;
        for (size_t i = 0; i < array_size(bad); i++)
                assert_int_equal(config_value_size(bad[i], &size), -EINVAL);
        assert_int_equal(size, 7);
        assert_int_equal(config_value_size("17179869183G", &size), 0);
        assert_true(size == 17179869183ull << 30);
        assert_int_equal(config_value_size("3K", &size), 0);
        assert_int_equal(size, 3072);
        assert_int_equal(config_value_size("513", &size), 0);
        assert_int_equal(size, 513);
}

static void an_address_is_hexadecimal_or_a_size(void **state)
{
        static const char *const bad[] = {
            "", "0x", "0X1", "x1", "1f", "0x1g", "0x 1", "-1", "0x10000000000000000", "00", "1T"};
        static const uint64_t good[] = {0, 1, 4096, 0x80000000, UINT64_MAX};
        uint64_t address = 7;
        char text[32];

        (void)state;
        for (size_t i = 0; i < array_size(bad); i++)
                assert_int_equal(config_value_address(bad[i], &address), -EINVAL);
        assert_int_equal(address, 7);
        assert_int_equal(config_value_address("0xFFFFffffFFFFffff", &address), 0);
        assert_true(address == UINT64_MAX);
        assert_int_equal(config_value_address("3G", &address), 0);
        assert_true(address == 3ull << 30);
        assert_int_equal(config_value_address("0", &address), 0);
        assert_int_equal(address, 0);
        for (size_t i = 0; i < array_size(good); i++) {
                assert_int_equal(
                    config_value_address(config_value_address_text(good[i], text, sizeof(text)), &address),
                    0);
                assert_true(address == good[i]);
        }
}

static void percentages_are_a_number_and_a_sign(void **state)
{
        static const char *const bad[] = {
            "", "%", "0%", "50", " 50%", "50 %", "50%%", "-1%", "0.5%", "5e1%", "18446744073709551616%"};
        uint64_t percent = 7;

        (void)state;
        for (size_t i = 0; i < array_size(bad); i++)
                assert_int_equal(config_value_percent(bad[i], &percent), -EINVAL);
        assert_int_equal(percent, 7);
        assert_int_equal(config_value_percent("1%", &percent), 0);
        assert_int_equal(percent, 1);
        assert_int_equal(config_value_percent("18446744073709551615%", &percent), 0);
        assert_true(percent == UINT64_MAX);
}

static void size_text_comes_back_as_the_same_size(void **state)
{
        static const uint64_t sizes[] = {1,          1023,      1024, 1025, 1 << 20, (1 << 20) + 1024,
                                         1ull << 30, 3ull << 40};
        char text[32];

        (void)state;
        for (size_t i = 0; i < array_size(sizes); i++) {
                uint64_t back = 0;

                assert_int_equal(
                    config_value_size(config_value_size_text(sizes[i], text, sizeof(text)), &back), 0);
                assert_true(back == sizes[i]);
        }
        assert_string_equal(config_value_size_text(64 << 20, text, sizeof(text)), "64M");
}

static void relative_paths_begin_in_the_folder(void **state)
{
        char path[PATH_MAX];

        (void)state;
        assert_int_equal(config_value_path("a/b", "/x", path), 0);
        assert_string_equal(path, "/x/a/b");
        assert_int_equal(config_value_path("././a", "/", path), 0);
        assert_string_equal(path, "/a");
        assert_int_equal(config_value_path("/a", "/x", path), 0);
        assert_string_equal(path, "/a");
        assert_int_equal(config_value_path("", "/x", path), -EINVAL);
        assert_string_equal(path, "/a");
}

static void a_path_is_as_long_as_a_path_may_be(void **state)
{
        char text[PATH_MAX + 1], path[PATH_MAX];

        (void)state;
        memset(text, 'a', sizeof(text));
        text[0] = '/';
        text[PATH_MAX - 1] = '\0';
        assert_int_equal(config_value_path(text, "/", path), 0);
        text[PATH_MAX - 1] = 'a';
        text[PATH_MAX] = '\0';
        assert_int_equal(config_value_path(text, "/", path), -ENAMETOOLONG);
        text[PATH_MAX - 1] = '\0';
        assert_int_equal(config_value_path(text + 1, "/xy", path), -ENAMETOOLONG); /* the sum is too long */
}

static void groups_go_by_name_and_by_number(void **state)
{
        char text[64];
        uint32_t gid = 5;

        (void)state;
        assert_int_equal(config_value_group("root", &gid), 0);
        assert_int_equal(gid, 0);
        assert_int_equal(config_value_group("3999999999", &gid), 0);
        assert_true(gid == 3999999999u);
        assert_int_equal(config_value_group("no such group", &gid), -ENOENT);
        assert_true(gid == 3999999999u);
        assert_string_equal(config_value_group_text(0, text, sizeof(text)), "root");
        assert_string_equal(config_value_group_text(3999999999u, text, sizeof(text)), "3999999999");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(uint_is_decimal_digits_up_to_32_bits),
            cmocka_unit_test(bool_is_true_or_false_and_nothing_else),
            cmocka_unit_test(mode_is_octal_up_to_0777),
            cmocka_unit_test(size_has_a_unit_and_does_not_wrap),
            cmocka_unit_test(an_address_is_hexadecimal_or_a_size),
            cmocka_unit_test(percentages_are_a_number_and_a_sign),
            cmocka_unit_test(size_text_comes_back_as_the_same_size),
            cmocka_unit_test(relative_paths_begin_in_the_folder),
            cmocka_unit_test(a_path_is_as_long_as_a_path_may_be),
            cmocka_unit_test(groups_go_by_name_and_by_number),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
