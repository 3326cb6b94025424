/* docs/SANDBOX.md names each stage and each policy row with its reason: a row that is added without a word there fails
 * here.
 * Owns nothing. TRUST: our own page and tables.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sandbox/jail.h"
#include "sandbox/policy.h"

static char page[256 * 1024];

static int read_page(void **state)
{
        FILE *file = fopen(SANDBOX_PAGE, "re");
        size_t len;

        (void)state;
        if (!file)
                return -1;
        len = fread(page, 1, sizeof(page) - 1, file);
        fclose(file);
        return len > 0 && len < sizeof(page) - 1 ? 0 : -1;
}

static void assert_cell(const char *text)
{
        char cell[512];

        snprintf(cell, sizeof(cell), "| %s |", text);
        if (!strstr(page, cell))
                fail_msg("docs/SANDBOX.md has no cell \"%s\"", text);
}

static void page_names_each_stage_with_its_reason(void **state)
{
        (void)state;
        for (size_t i = 0; jail_stage_name(i); i++) {
                assert_cell(jail_stage_name(i));
                assert_cell(jail_stage_reason(i));
        }
}

static void page_names_each_policy_row_with_its_reason(void **state)
{
        const struct policy *policy;
        const struct policy_row *row;

        (void)state;
        for (size_t p = 0; (policy = policy_at(p)); p++)
                for (size_t i = 0; (row = policy_row_at(policy, POLICY_GATE_START, i)); i++)
                        assert_cell(row->reason);
}

static void page_gives_the_number_of_calls(void **state)
{
        char text[128];

        (void)state;
        snprintf(text, sizeof(text), "rng has %u calls there, blk %u",
                 policy_count_calls(policy_find("rng"), POLICY_GATE_RUN),
                 policy_count_calls(policy_find("blk"), POLICY_GATE_RUN));
        if (!strstr(page, text))
                fail_msg("docs/SANDBOX.md does not say \"%s\"", text);
}

static void page_names_each_layer_that_may_be_missing(void **state)
{
        (void)state;
        for (unsigned i = 0; i < JAIL_LAYER_COUNT_; i++) {
                const char *name = jail_layer_name((enum jail_layer)i);

                if (strncmp(name, "cgroup ", 7) != 0 && !strstr(page, name))
                        fail_msg("docs/SANDBOX.md does not name the layer \"%s\"", name);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(page_names_each_stage_with_its_reason),
            cmocka_unit_test(page_names_each_policy_row_with_its_reason),
            cmocka_unit_test(page_gives_the_number_of_calls),
            cmocka_unit_test(page_names_each_layer_that_may_be_missing),
        };

        return cmocka_run_group_tests(tests, read_page, NULL);
}
