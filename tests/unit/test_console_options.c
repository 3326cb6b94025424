/* proto/device/console: ports by their names, and how many queues they lead to.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device/console.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/device_type.h"

static char why[256];

static struct option_set ports(const char *names)
{
        struct option_set set = {
            .value = {[CONSOLE_OPTION_PORTS] = {.number = option_count_texts(names), .text = names},
                      [CONSOLE_OPTION_LOG_DIR] = {.text = ""},
                      [CONSOLE_OPTION_LOG_MAX] = {.number = 1u << 20}}};

        return set;
}

static int judge(const char *names)
{
        const struct option_set set = ports(names);

        return option_set_judge(&device_types[DEVICE_TYPE_CONSOLE], &set, why, sizeof(why));
}

static void names_are_judged(void **state)
{
        static const char *const good[] = {
            "console", "a", "a,b", "a.b_c-d,0", "1,2,3,4,5,6,7,8", "abcdefghijklmnopqrstuvwxyz01234"};
        static const char *const bad[] = {"",
                                          ".a",
                                          "-a",
                                          "a b",
                                          "a/b",
                                          "a,,b",
                                          "a,",
                                          "a,b,a",
                                          "\x80",
                                          "1,2,3,4,5,6,7,8,9",
                                          "abcdefghijklmnopqrstuvwxyz012345"};

        (void)state;
        for (size_t i = 0; i < array_size(good); i++)
                if (judge(good[i]) < 0)
                        fail_msg("\"%s\" is refused: %s", good[i], why);
        for (size_t i = 0; i < array_size(bad); i++)
                if (judge(bad[i]) != -EINVAL)
                        fail_msg("\"%s\" is taken", bad[i]);
        assert_int_equal(judge("a,b,a"), -EINVAL);
        assert_string_equal(why, "ports: a is there twice: give each a name of its own");
}

static void sizes_of_logs_have_their_edges(void **state)
{
        static const struct {
                uint64_t max;
                int want;
        } rows[] = {{LIMIT_CONSOLE_LOG_MIN - 1, -EINVAL},
                    {LIMIT_CONSOLE_LOG_MIN, 0},
                    {LIMIT_CONSOLE_LOG_MAX, 0},
                    {LIMIT_CONSOLE_LOG_MAX + 1, -EINVAL}};

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                struct option_set set = ports("a");

                set.value[CONSOLE_OPTION_LOG_MAX].number = rows[i].max;
                assert_int_equal(option_set_judge(&device_types[DEVICE_TYPE_CONSOLE], &set, why, sizeof(why)),
                                 rows[i].want);
        }
}

static void ports_are_read_in_their_order_and_lead_to_queues(void **state)
{
        struct option_set set = ports("console,agent,0");
        struct console_options options = console_options_read(&set);

        (void)state;
        assert_int_equal(options.n_ports, 3);
        assert_string_equal(options.names[0], "console");
        assert_string_equal(options.names[1], "agent");
        assert_string_equal(options.names[2], "0");
        assert_int_equal(console_options_queues(&set), 8);
        set = ports("1,2,3,4,5,6,7,8");
        assert_int_equal(console_options_queues(&set), device_types[DEVICE_TYPE_CONSOLE].max_queues);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(names_are_judged),
            cmocka_unit_test(sizes_of_logs_have_their_edges),
            cmocka_unit_test(ports_are_read_in_their_order_and_lead_to_queues),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
