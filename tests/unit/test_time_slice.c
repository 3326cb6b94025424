/* Is what the kernel is asked for what it does, for the calling thread alone?
 * TRUST: the kernel's word.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/time_slice.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/limits.h"
#include "tests/harness/slice_of.h"

#define NO_SLICES 77 /* a kernel before 6.12 */

/* In a process of its own: 0, or what was wrong. */
static void run(int (*body)(void))
{
        int status = -1;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
                _exit(body());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == NO_SLICES)
                skip();
        assert_int_equal(WEXITSTATUS(status), 0);
}

static int brief_and_back(void)
{
        const struct slice_of_attr before = slice_of_attr(0), parent = slice_of_attr(getppid());
        struct slice_of_attr now;

        if (before.runtime_ns == 0)
                return NO_SLICES;
        time_slice_set(true);
        now = slice_of_attr(0);
        if (now.runtime_ns != LIMIT_SLICE_NS || now.policy != before.policy || now.nice != before.nice)
                return 1;
        if (slice_of_attr(getppid()).runtime_ns != parent.runtime_ns)
                return 2;
        time_slice_set(false);
        return slice_of_attr(0).runtime_ns == before.runtime_ns ? 0 : 3;
}

static int as_nice(void)
{
        if (nice(5) < 0)
                return 1;
        time_slice_set(true);
        if (slice_of_attr(0).nice != 5)
                return 2;
        time_slice_set(false);
        return slice_of_attr(0).nice == 5 ? 0 : 3;
}

static int as_batch(void)
{
        const struct sched_param none = {0};
        struct slice_of_attr before;

        if (sched_setscheduler(0, SCHED_BATCH, &none) < 0)
                return 1;
        before = slice_of_attr(0);
        time_slice_set(true);
        return slice_of_attr(0).runtime_ns == before.runtime_ns && slice_of_attr(0).policy == SCHED_BATCH ? 0
                                                                                                          : 2;
}

static void turns_are_short_and_then_as_before(void **state)
{
        (void)state;
        run(brief_and_back);
}

static void niceness_stays(void **state)
{
        (void)state;
        run(as_nice);
}

static void another_policy_is_left_as_it_is(void **state)
{
        (void)state;
        run(as_batch);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(turns_are_short_and_then_as_before),
            cmocka_unit_test(niceness_stays),
            cmocka_unit_test(another_policy_is_left_as_it_is),
        };

        return cmocka_run_group_tests_name("time_slice", tests, NULL, NULL);
}
