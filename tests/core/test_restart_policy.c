/* When may the next incarnation start: lives as tables of events.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/restart_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"

#define NEVER UINT64_MAX

enum event {
        END = 0,
        STARTED,     /* nothing is asked */
        DIED,        /* without having done anything */
        USEFUL_DIED, /* after having done something */
        REFUSED,     /* could not be started */
        RESET,
};

struct step {
        uint64_t at_ms;
        enum event event;
        uint64_t wait_ms; /* what must be said; NEVER: quarantine */
};

static const struct step one_crash[] = {{1000, STARTED, 0}, {90000, DIED, 0}, {0, END, 0}};

static const struct step a_crash_loop[] = {
    {1000, STARTED, 0}, {5000, DIED, 0},     {5000, STARTED, 0}, {5001, DIED, 19},   {5020, STARTED, 0},
    {5021, DIED, 20},   {5041, STARTED, 0},  {5042, DIED, 40},   {5082, STARTED, 0}, {5083, DIED, 80},
    {5163, STARTED, 0}, {5164, DIED, NEVER}, {0, END, 0},
};

static const struct step usefulness_forgives[] = {
    {1000, STARTED, 0},     {2000, DIED, 0},    {2000, STARTED, 0}, {3000, DIED, 10}, {3010, STARTED, 0},
    {4000, USEFUL_DIED, 0}, {4000, STARTED, 0}, {5000, DIED, 10},   {0, END, 0},
};

/* One completed request a life: never quarantined, never faster than one start every LIMIT_RESTART_MS. */
static const struct step useful_and_dying[] = {
    {1000, STARTED, 0},      {1001, USEFUL_DIED, 19}, {1020, STARTED, 0},
    {1020, USEFUL_DIED, 20}, {1040, STARTED, 0},      {1059, USEFUL_DIED, 1},
    {1060, STARTED, 0},      {1080, USEFUL_DIED, 0},  {0, END, 0},
};

static const struct step refused[] = {
    {0, STARTED, 0},   {0, REFUSED, 20},      {20, STARTED, 0},   {50, REFUSED, 10}, {60, STARTED, 0},
    {90, REFUSED, 20}, {110, STARTED, 0},     {150, REFUSED, 40}, {190, STARTED, 0}, {500, REFUSED, 80},
    {580, STARTED, 0}, {900, REFUSED, NEVER}, {0, END, 0},
};

static const struct step resets[] = {
    {0, STARTED, 0},    {1000, RESET, 0},  {1000, STARTED, 0}, {1001, RESET, 49},
    {1050, STARTED, 0}, {1050, RESET, 50}, {1100, STARTED, 0}, {1150, RESET, 0},
    {1150, STARTED, 0}, {9000, RESET, 0},  {0, END, 0},
};

/* A reset is nobody's fault, but it starts a process all the same. */
static const struct step a_reset_right_after_a_restart[] = {
    {0, STARTED, 0},    {1000, DIED, 0},  {1000, STARTED, 0}, {1005, RESET, 15},
    {1020, STARTED, 0}, {2000, DIED, 10}, {0, END, 0},
};

/* Asked twice before the first turn has come. */
static const struct step resets_queue_up[] = {
    {0, STARTED, 0}, {1000, RESET, 0}, {1000, RESET, 50}, {1000, RESET, 100}, {0, END, 0}};

static uint64_t answer(struct restart_policy *policy, const struct step *step)
{
        uint64_t wait = 0;

        if (step->event == STARTED)
                restart_policy_started(policy, step->at_ms);
        if (step->event == USEFUL_DIED)
                restart_policy_clear(policy);
        if (step->event == RESET)
                wait = restart_policy_reset(policy, step->at_ms);
        if ((step->event == DIED || step->event == USEFUL_DIED || step->event == REFUSED) &&
            !restart_policy_died(policy, step->at_ms, step->event != REFUSED, &wait))
                wait = NEVER;
        return wait;
}

static void every_life_of_the_table_is_answered_as_it_says(void **state)
{
        static const struct step *const lives[] = {
            one_crash, a_crash_loop, usefulness_forgives,           useful_and_dying,
            refused,   resets,       a_reset_right_after_a_restart, resets_queue_up};

        (void)state;
        for (size_t i = 0; i < array_size(lives); i++) {
                struct restart_policy policy = {0};

                for (const struct step *step = lives[i]; step->event != END; step++) {
                        uint64_t wait = answer(&policy, step);

                        if (wait != step->wait_ms)
                                fail_msg("life %zu, step %zu: %llu, not %llu", i, (size_t)(step - lives[i]),
                                         (unsigned long long)wait, (unsigned long long)step->wait_ms);
                }
        }
}

/* The back-off doubles up to its limit, whatever LIMIT_BARREN_RESTARTS is. */
static void a_wait_is_never_over_its_limit_and_quarantine_comes_at_the_limit_s_edge(void **state)
{
        struct restart_policy policy = {0};
        uint64_t wait = 0;

        (void)state;
        for (uint32_t i = 1; i <= LIMIT_BARREN_RESTARTS; i++) {
                assert_true(restart_policy_died(&policy, 1000000, true, &wait));
                assert_true(wait <= LIMIT_BACKOFF_MAX_MS);
        }
        wait = 4711;
        assert_false(restart_policy_died(&policy, 1000000, true, &wait));
        assert_int_equal(wait, 4711);
        restart_policy_clear(&policy);
        assert_true(restart_policy_died(&policy, 1000000, true, &wait));
        assert_int_equal(wait, 0);
}

static void ten_thousand_deaths_of_a_useful_worker_are_no_reason_to_give_up(void **state)
{
        struct restart_policy policy = {0};
        uint64_t now = 5, before = 0, wait = 0;

        (void)state;
        for (unsigned i = 0; i < 10000; i++) {
                restart_policy_started(&policy, now);
                assert_true(i == 0 || now - before >= LIMIT_RESTART_MS);
                before = now;
                now += i % 3; /* it lives that long */
                restart_policy_clear(&policy);
                assert_true(restart_policy_died(&policy, now, true, &wait));
                assert_true(wait <= LIMIT_RESTART_MS);
                now += wait;
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_life_of_the_table_is_answered_as_it_says),
            cmocka_unit_test(a_wait_is_never_over_its_limit_and_quarantine_comes_at_the_limit_s_edge),
            cmocka_unit_test(ten_thousand_deaths_of_a_useful_worker_are_no_reason_to_give_up),
        };

        return cmocka_run_group_tests_name("restart_policy", tests, NULL, NULL);
}
