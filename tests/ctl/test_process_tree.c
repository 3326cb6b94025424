/* Processes that nobody has named.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/process_tree.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"

static struct process_row rows[] = {{1, 0},   {10, 1}, {20, 10}, {21, 10},
                                    {30, 21}, {40, 1}, {50, 51}, {51, 50}};
static const struct process_tree tree = {.rows = rows, .n = array_size(rows)};

static void descendants_that_are_not_named_are_found(void **state)
{
        const pid_t all[] = {20, 21, 30}, some[] = {20, 21};
        pid_t first = 7;

        (void)state;
        assert_int_equal(process_tree_strangers(&tree, 10, all, array_size(all), &first), 0);
        assert_int_equal(first, 0);
        assert_int_equal(process_tree_strangers(&tree, 10, some, array_size(some), &first), 1);
        assert_int_equal(first, 30); /* a grandchild */
        assert_int_equal(process_tree_strangers(&tree, 10, NULL, 0, &first), 3);
        assert_int_equal(process_tree_strangers(&tree, 40, NULL, 0, &first), 0);
}

static void a_loop_in_the_table_ends(void **state)
{
        pid_t first;

        (void)state;
        assert_int_equal(process_tree_strangers(&tree, 99, NULL, 0, &first), 0);
}

static void a_child_of_ours_is_seen(void **state)
{
        struct process_tree real = {0};
        pid_t child = fork(), first = 0;

        (void)state;
        if (child == 0) {
                pause();
                _exit(0);
        }
        assert_int_equal(process_tree_read(&real), 0);
        assert_int_equal(process_tree_strangers(&real, getpid(), NULL, 0, &first), 1);
        assert_int_equal(first, child);
        assert_int_equal(process_tree_strangers(&real, getpid(), &child, 1, &first), 0);
        process_tree_done(&real);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(descendants_that_are_not_named_are_found),
            cmocka_unit_test(a_loop_in_the_table_ends),
            cmocka_unit_test(a_child_of_ours_is_seen),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
