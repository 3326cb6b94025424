/* The command line of a verb.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "broker/ctl/ctl.h"
#include "proto/base/checked.h"

static const struct ctl_verb verb = {.name = "v",
                                     .operand = CTL_OPERAND_REQUIRED,
                                     .operand_name = "CONFIG",
                                     .options = CTL_OPTION_BIT(CTL_OPTION_JSON) |
                                                CTL_OPTION_BIT(CTL_OPTION_RUN_DIR)};

static int parse(const struct ctl_verb *v, const char *const *words, struct ctl_args *args,
                 char why[static 256])
{
        int n = 0;

        while (words[n])
                n++;
        return ctl_args_parse(v, n, (char *const *)words, args, why, 256);
}

static void options_and_operands_come_in_any_order(void **state)
{
        const char *const lines[][5] = {{"c", "--json", "--run-dir", "d", NULL},
                                        {"--run-dir=d", "--json", "c", NULL},
                                        {"--json", "--run-dir", "d", "--", "c"}};
        struct ctl_args args;
        char why[256];

        (void)state;
        for (size_t i = 0; i < array_size(lines); i++) {
                const char *words[6] = {0};

                memcpy(words, lines[i], sizeof(lines[i]));
                assert_int_equal(parse(&verb, words, &args, why), 0);
                assert_string_equal(args.operand, "c");
                assert_string_equal(args.option[CTL_OPTION_RUN_DIR], "d");
                assert_non_null(args.option[CTL_OPTION_JSON]);
                assert_null(args.option[CTL_OPTION_HELP]);
        }
}

static void what_is_behind_two_dashes_is_no_option(void **state)
{
        const char *const words[] = {"--", "--json", NULL};
        struct ctl_args args;
        char why[256];

        (void)state;
        assert_int_equal(parse(&verb, words, &args, why), 0);
        assert_string_equal(args.operand, "--json");
}

static void every_refusal_is_one_line_with_a_hint(void **state)
{
        static const struct {
                const char *words[4];
                const char *why;
        } rows[] = {
            {{NULL}, "CONFIG is missing"},
            {{"a", "b"}, "b is one word too many"},
            {{"a", "--memory", "1"}, "unknown option --memory"}, /* another verb's */
            {{"a", "--jso"}, "unknown option --jso"},
            {{"a", "--jsonx"}, "unknown option --jsonx"},
            {{"a", "--json=1"}, "--json takes no value"},
            {{"a", "--json", "--json"}, "--json is there twice"},
            {{"a", "--run-dir"}, "--run-dir needs a value"},
            {{"a", "-j"}, "unknown option -j"},
            {{"a", "--\x1b[2J"}, "unknown option --\\x1b[2J"},
        };
        struct ctl_args args = {.operand = "untouched"};
        char why[256];

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                const char *words[5] = {0};

                memcpy(words, rows[i].words, sizeof(rows[i].words));
                assert_int_equal(parse(&verb, words, &args, why), -EINVAL);
                assert_non_null(strstr(why, rows[i].why));
                assert_null(strchr(why, '\n'));
                assert_string_equal(args.operand, "untouched");
        }
}

static void help_needs_no_operand(void **state)
{
        const char *const words[] = {"--help", NULL};
        struct ctl_args args;
        char why[256];

        (void)state;
        assert_int_equal(parse(&verb, words, &args, why), 0);
        assert_non_null(args.option[CTL_OPTION_HELP]);
}

static void every_option_has_a_name_and_a_summary(void **state)
{
        (void)state;
        for (size_t i = 0; i < CTL_OPTION_COUNT_; i++) {
                assert_memory_equal(ctl_options[i].name, "--", 2);
                assert_true(strlen(ctl_options[i].summary) > 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(options_and_operands_come_in_any_order),
            cmocka_unit_test(what_is_behind_two_dashes_is_no_option),
            cmocka_unit_test(every_refusal_is_one_line_with_a_hint),
            cmocka_unit_test(help_needs_no_operand),
            cmocka_unit_test(every_option_has_a_name_and_a_summary),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
