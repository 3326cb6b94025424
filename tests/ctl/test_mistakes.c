/* The list of mistakes: order and limit.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/mistakes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/limits.h"

static char *print(struct mistakes *mistakes)
{
        char *text = NULL;
        size_t len;
        FILE *out = open_memstream(&text, &len);

        assert_non_null(out);
        mistakes_print(mistakes, "f", out);
        fclose(out);
        return text;
}

static void mistakes_come_out_in_the_order_of_the_file(void **state)
{
        struct mistakes m = {0};
        char *text;

        (void)state;
        mistakes_add(&m, MISTAKE_ERROR, 3, 1, "c");
        mistakes_add(&m, MISTAKE_WARNING, 1, 9, "b");
        mistakes_add(&m, MISTAKE_ERROR, 1, 2, "a %d", 7);
        mistakes_add(&m, MISTAKE_ERROR, 0, 0, "whole");
        text = print(&m);
        assert_string_equal(text, "f: error: whole\nf:1:2: error: a 7\nf:1:9: warning: b\nf:3:1: error: c\n");
        assert_int_equal(m.n_errors, 3);
        free(text);
        mistakes_done(&m);
        assert_null(m.list);
}

static void what_is_over_the_limit_is_counted_and_said(void **state)
{
        struct mistakes m = {0};
        char *text;

        (void)state;
        for (size_t i = 0; i < LIMIT_CTL_MISTAKES; i++)
                mistakes_add(&m, MISTAKE_ERROR, i + 1, 1, "x");
        assert_int_equal(m.n_dropped, 0);
        mistakes_add(&m, MISTAKE_ERROR, 1, 1, "x");
        assert_int_equal(m.n, LIMIT_CTL_MISTAKES);
        assert_int_equal(m.n_dropped, 1);
        assert_int_equal(m.n_errors, LIMIT_CTL_MISTAKES + 1);
        text = print(&m);
        assert_non_null(strstr(text, "f: and 1 more\n"));
        free(text);
        mistakes_done(&m);
}

static void a_long_text_is_cut_and_not_overrun(void **state)
{
        struct mistakes m = {0};
        char text[2000];

        (void)state;
        memset(text, 'y', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        mistakes_add(&m, MISTAKE_ERROR, 1, 1, "%s", text);
        assert_int_equal(strlen(m.list[0].text), sizeof(m.list[0].text) - 1);
        mistakes_done(&m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(mistakes_come_out_in_the_order_of_the_file),
            cmocka_unit_test(what_is_over_the_limit_is_counted_and_said),
            cmocka_unit_test(a_long_text_is_cut_and_not_overrun),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
