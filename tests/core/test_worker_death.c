/* Two witnesses of one death, and what is said of it.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/worker_death.h"

#include <linux/audit.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/limits.h"

static const struct spawn_to_broker forbidden = {
    .kind = SPAWN_EXITED,
    .pid = 77,
    .code = SIGSYS,
    .signaled = true,
    .cause = {.breach = SPAWN_BREACH_CALL,
              .have_call = true,
              .nr = 257,
              .arch = AUDIT_ARCH_X86_64,
              .args = {0xffffff9c, 0x7ffd3a10, 0, 1, 2, UINT64_MAX},
              .call = "openat",
              .gate = SPAWN_GATE_RUN,
              .ip = 0x1234},
};

static const char *text_of(const struct spawn_to_broker *exited, bool by_us)
{
        static char out[LIMIT_LOG_LINE / 2];
        struct worker_death death = {0};

        worker_death_gone(&death, 77, by_us);
        if (exited)
                worker_death_told(&death, exited);
        return worker_death_text(&death, "blk", out, sizeof(out));
}

static void witnesses_come_in_either_order(void **state)
{
        struct worker_death death = {0};

        (void)state;
        assert_false(worker_death_known(&death));
        worker_death_gone(&death, 77, false);
        assert_false(worker_death_known(&death));
        worker_death_told(&death, &forbidden);
        assert_true(worker_death_known(&death));
        death = (struct worker_death){0};
        worker_death_told(&death, &forbidden);
        assert_false(worker_death_known(&death));
        worker_death_gone(&death, 77, false);
        assert_true(worker_death_known(&death));
        worker_death_gone(&death, 78, false); /* another process: what was told is not of it */
        assert_false(worker_death_known(&death));
}

static void forbidden_call_is_said_in_full(void **state)
{
        struct spawn_to_broker exited = forbidden;

        (void)state;
        assert_string_equal(
            text_of(&exited, false),
            "was killed for a forbidden system call: openat(0xffffff9c, 0x7ffd3a10, 0x0, 0x1, 0x2, "
            "0xffffffffffffffff) nr=257 arch=x86_64 ip=0x1234: no row of sandbox/policy/blk.c names "
            "it in the run gate");
        exited.cause.breach = SPAWN_BREACH_ARGUMENTS;
        exited.cause.gate = SPAWN_GATE_START;
        assert_non_null(
            strstr(text_of(&exited, false), "allow it in the start gate with other arguments only"));
        exited.cause.breach = SPAWN_BREACH_ARCH;
        exited.cause.nr |= 0x40000000;
        exited.cause.call[0] = '\0';
        assert_non_null(strstr(text_of(&exited, false), "unnamed(0xffffff9c"));
        assert_non_null(strstr(text_of(&exited, false), "arch=x32"));
        exited.cause = (struct spawn_cause){.breach = SPAWN_BREACH_UNKNOWN};
        assert_string_equal(text_of(&exited, false),
                            "was killed for a forbidden system call: the rows are in "
                            "sandbox/policy/blk.c and base.c");
}

/* All numbers at their longest: the line with its names still fits. */
static void longest_text_is_not_cut(void **state)
{
        struct spawn_to_broker exited = forbidden;
        char out[LIMIT_LOG_LINE / 2];
        struct worker_death death = {0};

        (void)state;
        memset(exited.cause.args, 0xff, sizeof(exited.cause.args));
        exited.cause.ip = UINT64_MAX;
        exited.cause.nr = UINT32_MAX;
        exited.cause.breach = SPAWN_BREACH_ARGUMENTS;
        exited.cause.gate = SPAWN_GATE_START;
        memset(exited.cause.call, 'x', SPAWN_CALL_NAME - 1);
        worker_death_gone(&death, 77, false);
        worker_death_told(&death, &exited);
        worker_death_text(&death, "some-long-type-name", out, sizeof(out));
        assert_true(strlen(out) < sizeof(out) - 64);
        assert_non_null(strstr(out, "with other arguments only"));
}

static void other_deaths_are_said_in_words(void **state)
{
        struct spawn_to_broker exited = {.kind = SPAWN_EXITED, .pid = 77, .code = SIGSEGV, .signaled = true};

        (void)state;
        assert_string_equal(text_of(&exited, false), "died of SIGSEGV");
        exited.cause.ip = 0xabc;
        assert_string_equal(text_of(&exited, false), "died of SIGSEGV ip=0xabc");
        exited.code = SIGKILL;
        assert_string_equal(text_of(&exited, false), "was killed");
        assert_string_equal(text_of(&exited, true), "was replaced for a reset");
        exited.cause.oom = true;
        assert_string_equal(text_of(&exited, false),
                            "was killed by the kernel: its control group is out of memory");
        exited = (struct spawn_to_broker){.kind = SPAWN_EXITED, .pid = 77, .code = 3};
        assert_string_equal(text_of(&exited, false), "ended by itself status=3");
        assert_string_equal(text_of(&exited, true), "ended by itself status=3");
        exited.code = 0;
        assert_string_equal(text_of(&exited, true), "was replaced for a reset");
        assert_string_equal(text_of(NULL, false), "died, nobody knows how: the spawner is gone");
}

static void resets_and_good_ends_are_no_crashes(void **state)
{
        struct worker_death death = {0};
        struct spawn_to_broker exited = {.kind = SPAWN_EXITED, .pid = 77};

        (void)state;
        worker_death_gone(&death, 77, false);
        worker_death_told(&death, &exited);
        assert_false(worker_death_is_crash(&death));
        exited.code = 1;
        worker_death_told(&death, &exited);
        assert_true(worker_death_is_crash(&death));
        exited.code = SIGKILL;
        exited.signaled = true;
        worker_death_told(&death, &exited);
        assert_true(worker_death_is_crash(&death));
        worker_death_gone(&death, 77, true);
        assert_false(worker_death_is_crash(&death));
}

static void what_it_was_replaced_for_is_said(void **state)
{
        const struct spawn_to_broker killed = {
            .kind = SPAWN_EXITED, .pid = 77, .code = SIGKILL, .signaled = true};
        struct worker_death death = {0};
        char out[LIMIT_LOG_LINE / 2];

        (void)state;
        assert_string_equal(text_of(&killed, true), "was replaced for a reset");
        worker_death_gone(&death, 77, true);
        death.renewed = true;
        worker_death_told(&death, &killed);
        assert_string_equal(worker_death_text(&death, "net", out, sizeof(out)),
                            "was replaced: what it was given is dead");
        assert_false(worker_death_is_crash(&death));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(witnesses_come_in_either_order),
            cmocka_unit_test(forbidden_call_is_said_in_full),
            cmocka_unit_test(longest_text_is_not_cut),
            cmocka_unit_test(other_deaths_are_said_in_words),
            cmocka_unit_test(resets_and_good_ends_are_no_crashes),
            cmocka_unit_test(what_it_was_replaced_for_is_said),
        };

        return cmocka_run_group_tests_name("worker_death", tests, NULL, NULL);
}
