/* Options as the file has them: each kind from text to value, and what a mistake says.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_option.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/unit/odd_options.h"

static struct arena arena;
static struct option_value value;
static char why[512];

static int setup(void **state)
{
        (void)state;
        return arena_init(&arena, LIMIT_ARENA);
}

static int teardown(void **state)
{
        (void)state;
        arena_done(&arena);
        return 0;
}

static int parse(enum odd_option i, const char *text)
{
        why[0] = '\0';
        return config_option_parse(&odd_rows[i], &text, 1, "/etc/vms", &arena, &value, why, sizeof(why));
}

static void becomes(enum odd_option i, const char *text, uint64_t number)
{
        assert_int_equal(parse(i, text), 0);
        assert_true(value.number == number);
        assert_string_equal(value.text, "");
}

static void says(enum odd_option i, const char *text, const char *sentence)
{
        assert_int_equal(parse(i, text), -EINVAL);
        assert_string_equal(why, sentence);
}

static void each_kind_is_read(void **state)
{
        (void)state;
        becomes(ODD_FLAG, "true", 1);
        becomes(ODD_FLAG, "false", 0);
        becomes(ODD_NUMBER, "65535", 65535);
        becomes(ODD_SIZE, "4K", 4096);
        becomes(ODD_SIZE, "8G", UINT64_C(8) << 30);
        becomes(ODD_SIZE, "5000", 5000);
        becomes(ODD_CHOICE, "none", 0);
        becomes(ODD_CHOICE, "all", 2);
        assert_int_equal(parse(ODD_TEXT, "x1"), 0);
        assert_string_equal(value.text, "x1");
        assert_int_equal(parse(ODD_PATH, "p"), 0);
        assert_string_equal(value.text, "/etc/vms/p");
        assert_int_equal(parse(ODD_PATH, "/p"), 0);
        assert_string_equal(value.text, "/p");
}

static void a_mistake_says_what_is_good(void **state)
{
        (void)state;
        assert_int_equal(parse(ODD_FLAG, "yes"), -ENOMSG); /* the walk's to say */
        assert_int_equal(parse(ODD_NUMBER, "many"), -ENOMSG);
        says(ODD_NUMBER, "67", "number is 67: use 68 to 65535");
        says(ODD_SIZE, "lots", "size: use a size from 4K to 8G");
        says(ODD_SIZE, "0", "size is 0: use 4K to 8G");
        says(ODD_SIZE, "9G", "size is 9G: use 4K to 8G");
        says(ODD_CHOICE, "ALL", "choice is \"ALL\": use none, some or all");
        says(ODD_CHOICE, "\n", "choice is \"\\x0a\": use none, some or all");
        says(ODD_TEXT, "y", "text: use an x and what you like");
        says(ODD_NAME, "12345", "name: use at most 4 printable ASCII characters");
        says(ODD_PATH, "", "path is empty");
}

static void paths_end_at_their_longest(void **state)
{
        static char path[PATH_MAX + 1] = "/";

        (void)state;
        memset(path + 1, 'a', PATH_MAX - 2);
        assert_int_equal(parse(ODD_PATH, path), 0);
        path[PATH_MAX - 1] = 'a';
        says(ODD_PATH, path, "path is longer than a path can be (4095 bytes)");
}

static int parse_list(const char *const *texts, unsigned n)
{
        why[0] = '\0';
        return config_option_parse(&odd_rows[ODD_TEXTS], texts, n, "/", &arena, &value, why, sizeof(why));
}

static void several_texts_are_joined(void **state)
{
        static char half[LIMIT_OPTION_TEXT / 2 + 1];
        static const char *const halves[] = {half + 1, half};

        (void)state;
        assert_int_equal(parse_list((const char *const[]){"one", "2 2", "three"}, 3), 0);
        assert_string_equal(value.text, "one,2 2,three");
        assert_int_equal(value.number, 3);
        assert_int_equal(parse_list((const char *const[]){"a", "b", "c", "d"}, 4), -EINVAL);
        assert_string_equal(why, "texts: use at most 3 texts of printable ASCII without commas");
        assert_int_equal(parse_list((const char *const[]){"a", "b,c"}, 2), -EINVAL);
        assert_string_equal(why, "texts: entry 2 is several: write one behind each \"- \", without commas");
        assert_int_equal(parse_list((const char *const[]){"", "b"}, 2), -EINVAL);
        assert_string_equal(why, "texts: entry 1 is empty: give it a value or leave it out");
        memset(half, 'h', sizeof(half) - 1);
        assert_int_equal(parse_list((const char *const[]){half, half}, 2), -EINVAL);
        assert_string_equal(why, "texts: its entries are too long: 4095 bytes are the most");
        assert_int_equal(parse_list(halves, 2), -EINVAL); /* no room for the NUL */
        assert_string_equal(why, "texts: its entries are too long: 4095 bytes are the most");
        half[sizeof(half) - 2] = '\0';
        assert_int_equal(parse_list((const char *const[]){half, half}, 2), 0);
}

#define OPTION_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            OPTION_TEST(each_kind_is_read),
            OPTION_TEST(a_mistake_says_what_is_good),
            OPTION_TEST(paths_end_at_their_longest),
            OPTION_TEST(several_texts_are_joined),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
