/* What rows of options say of values, kind by kind, at the edges.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device_option.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "proto/base/checked.h"
#include "tests/unit/odd_options.h"
#include "tests/unit/unit.h"

static char why[256];

static void is_good(enum odd_option i, uint64_t number, const char *text)
{
        why[0] = '\0';
        assert_int_equal(option_judge(&odd_rows[i], &(struct option_value){number, text}, why, sizeof(why)),
                         0);
        assert_string_equal(why, "");
}

static void is_bad(enum odd_option i, uint64_t number, const char *text, const char *sentence)
{
        assert_int_equal(option_judge(&odd_rows[i], &(struct option_value){number, text}, why, sizeof(why)),
                         -EINVAL);
        assert_string_equal(why, sentence);
}

static void numbers_are_in_their_range_or_their_preset(void **state)
{
        (void)state;
        is_good(ODD_FLAG, 0, "");
        is_good(ODD_FLAG, 1, "");
        is_bad(ODD_FLAG, 2, "", "flag is no flag: use true or false");
        is_good(ODD_NUMBER, 68, "");
        is_good(ODD_NUMBER, 65535, "");
        is_good(ODD_NUMBER, 0, ""); /* its preset: none */
        is_bad(ODD_NUMBER, 67, "", "number is 67: use 68 to 65535");
        is_bad(ODD_NUMBER, 65536, "", "number is 65536: use 68 to 65535");
        is_bad(ODD_NUMBER, UINT64_MAX, "", "number is 18446744073709551615: use 68 to 65535");
        is_good(ODD_SIZE, 4096, "");
        is_good(ODD_SIZE, UINT64_C(8) << 30, "");
        is_bad(ODD_SIZE, 4095, "", "size is 4095: use 4K to 8G");
        is_bad(ODD_SIZE, (UINT64_C(8) << 30) + 1024, "", "size is 8388609K: use 4K to 8G");
        is_good(ODD_CHOICE, 0, "");
        is_good(ODD_CHOICE, 2, "");
        is_bad(ODD_CHOICE, 3, "", "choice is none of its choices: use none, some or all");
        is_bad(ODD_CHOICE, UINT64_MAX, "", "choice is none of its choices: use none, some or all");
}

static void texts_have_a_length_and_a_form(void **state)
{
        (void)state;
        is_good(ODD_TEXT, 0, "x2345");
        is_good(ODD_TEXT, 0, ""); /* none */
        is_bad(ODD_TEXT, 0, "x23456", "text: use an x and what you like");
        is_bad(ODD_TEXT, 0, "y", "text: use an x and what you like");
        is_bad(ODD_MUST, 0, "", "must is empty: give it a value");
        is_good(ODD_NAME, 0, " ~a");
        is_bad(ODD_NAME, 0, "\x1f", "name: use at most 4 printable ASCII characters");
        is_bad(ODD_NAME, 0, "\x7f", "name: use at most 4 printable ASCII characters");
        is_bad(ODD_NAME, 0, "\xc3\xa4", "name: use at most 4 printable ASCII characters");
}

static void a_text_is_shorter_than_the_limit_whatever_its_row_says(void **state)
{
        static const struct option_row row = {.key = "k", .kind = OPTION_TEXT, .max = UINT64_MAX};
        static char text[LIMIT_OPTION_TEXT + 1];

        (void)state;
        memset(text, 'a', LIMIT_OPTION_TEXT - 1);
        assert_int_equal(option_judge(&row, &(struct option_value){0, text}, why, sizeof(why)), 0);
        text[LIMIT_OPTION_TEXT - 1] = 'a';
        assert_int_equal(option_judge(&row, &(struct option_value){0, text}, why, sizeof(why)), -EINVAL);
}

static void several_texts_are_as_many_as_they_say(void **state)
{
        static const char bad[] = "texts: use at most 3 texts of printable ASCII without commas";

        (void)state;
        is_good(ODD_TEXTS, 0, "");
        is_good(ODD_TEXTS, 1, "a");
        is_good(ODD_TEXTS, 3, "a,b b,c");
        is_bad(ODD_TEXTS, 4, "a,b,c,d", bad);
        is_bad(ODD_TEXTS, 2, "a", bad);
        is_bad(ODD_TEXTS, 1, "", bad);
        is_bad(ODD_TEXTS, 0, "a", bad);
        is_bad(ODD_TEXTS, 2, ",a", bad);
        is_bad(ODD_TEXTS, 2, "a,", bad);
        is_bad(ODD_TEXTS, 1, "a\n", bad);
}

static void paths_are_absolute_or_none(void **state)
{
        static char path[LIMIT_OPTION_TEXT + 1] = "/";

        (void)state;
        is_good(ODD_PATH, 0, "/");
        is_good(ODD_LOG, 0, "");
        is_bad(ODD_PATH, 0, "", "path \"\" is not absolute: write the whole path, from / on");
        is_bad(ODD_LOG, 0, "a\n", "log \"a\\x0a\" is not absolute: write the whole path, from / on");
        memset(path + 1, 'a', PATH_MAX - 2);
        is_good(ODD_PATH, 0, path);
        path[PATH_MAX - 1] = 'a';
        assert_int_equal(option_judge(&odd_rows[ODD_PATH], &(struct option_value){0, path}, why, sizeof(why)),
                         -EINVAL);
}

static void presets_come_from_the_row_and_the_name(void **state)
{
        char room[LIMIT_NAME];
        struct option_value value;

        (void)state;
        assert_int_equal(option_preset(&odd_rows[ODD_FLAG], "device", room).number, 1);
        assert_string_equal(option_preset(&odd_rows[ODD_FLAG], "device", room).text, "");
        assert_string_equal(option_preset(&odd_rows[ODD_TEXT], "device", room).text, "xyz");
        assert_string_equal(option_preset(&odd_rows[ODD_NAME], "device", room).text, "devi");
        assert_string_equal(option_preset(&odd_rows[ODD_NAME], "d", room).text, "d");
        value = option_preset(&odd_rows[ODD_TEXTS], "device", room);
        assert_int_equal(value.number, 2);
        assert_string_equal(value.text, "a,b");
        assert_string_equal(option_preset(&odd_rows[ODD_LOG], "device", room).text, "");
}

static void a_set_is_good_when_each_is_and_their_rules_hold(void **state)
{
        struct option_set set = odd_set;

        (void)state;
        assert_int_equal(option_set_judge(&odd_type, &set, why, sizeof(why)), 0);
        set.value[ODD_FLAG].number = 1;
        assert_int_equal(option_set_judge(&odd_type, &set, why, sizeof(why)), -EINVAL);
        assert_string_equal(why, "choice is all: set flag: false");
        set.value[ODD_NEEDED].number = 8;
        assert_int_equal(option_set_judge(&odd_type, &set, why, sizeof(why)), -EINVAL);
        assert_string_equal(why, "needed is 8: use 3 to 7");
}

static void a_copy_outlives_what_it_was_copied_from(void **state)
{
        char text[] = "x1";
        struct option_set from = odd_set, copy;

        (void)state;
        from.value[ODD_TEXT].text = text;
        assert_int_equal(option_set_copy(&odd_type, &from, &copy), 0);
        memset(text, '#', 2);
        assert_string_equal(copy.value[ODD_TEXT].text, "x1");
        assert_string_equal(copy.value[ODD_TEXTS].text, "one,two,3");
        assert_int_equal(copy.value[ODD_TEXTS].number, 3);
        assert_string_equal(copy.value[ODD_SIZE].text, "");
        option_set_done(&odd_type, &copy);
        assert_null(copy.value[ODD_TEXT].text);
        option_set_done(&odd_type, &copy);
}

static void workers_are_told_what_is_not_the_hosts(void **state)
{
        (void)state;
        assert_true(option_for_worker(&odd_rows[ODD_TEXT]));
        assert_false(option_for_worker(&odd_rows[ODD_PATH]));
        assert_false(option_for_worker(&odd_rows[ODD_LOG]));
        assert_false(option_for_worker(&odd_rows[ODD_HOST]));
        assert_int_equal(option_find(&odd_type, "log"), ODD_LOG);
        assert_int_equal(option_find(&odd_type, "lo"), ODD_COUNT_);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(numbers_are_in_their_range_or_their_preset),
            cmocka_unit_test(texts_have_a_length_and_a_form),
            cmocka_unit_test(a_text_is_shorter_than_the_limit_whatever_its_row_says),
            cmocka_unit_test(several_texts_are_as_many_as_they_say),
            cmocka_unit_test(paths_are_absolute_or_none),
            cmocka_unit_test(presets_come_from_the_row_and_the_name),
            cmocka_unit_test(a_set_is_good_when_each_is_and_their_rules_hold),
            cmocka_unit_test(a_copy_outlives_what_it_was_copied_from),
            cmocka_unit_test(workers_are_told_what_is_not_the_hosts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
