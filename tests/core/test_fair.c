/* Turns, windows and shares of a lane's queues, by their table and against a model of two that never end.
 * TRUST: sees its own numbers only.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/fair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/base/checked.h"

#define PAGE  4096u
#define MIB   (1u << 20)
#define CHAIN LIMIT_CHAIN_BYTES

static struct fair fair;

static void begin(unsigned n, uint32_t credits)
{
        fair_init(&fair, n);
        fair_set_credits(&fair, credits);
        fair_begin(&fair, 1000);
}

static void take(unsigned queue, uint32_t len)
{
        assert_int_equal(fair_next(&fair), queue);
        fair_took(&fair, queue, 0, len);
}

/* Answered as soon as it is taken: only turns count. */
static void serve(unsigned queue, uint32_t len)
{
        take(queue, len);
        fair_gave(&fair, queue, 0, len);
}

static void a_single_queue_takes_what_it_has(void **state)
{
        (void)state;
        begin(1, 4);
        for (unsigned i = 0; i < 1000; i++)
                take(0, CHAIN);
        fair_none(&fair, 0);
        assert_int_equal(fair_next(&fair), -1);
        assert_false(fair_left(&fair, 0));
        fair_begin(&fair, 1000);
        assert_int_equal(fair_next(&fair), 0);
}

static void a_turn_is_worth_a_quantum(void **state)
{
        const unsigned n = LIMIT_FAIR_QUANTUM / (PAGE + LIMIT_FAIR_REQUEST);

        (void)state;
        begin(3, 256);
        for (unsigned round = 0; round < 5; round++)
                for (unsigned queue = 0; queue < 3; queue++)
                        for (unsigned i = 0; i < n; i++)
                                serve(queue, PAGE);
}

/* Both never run dry; sizes differ by much, either way round. */
static void bytes_are_shared_whatever_the_size_of_requests(void **state)
{
        static const uint32_t sizes[][2] = {{MIB, PAGE}, {PAGE, MIB}, {CHAIN, 1}, {1, CHAIN}, {65536, 512}};

        (void)state;
        for (size_t row = 0; row < array_size(sizes); row++) {
                uint64_t cost[2] = {0}, most = LIMIT_FAIR_QUANTUM + fair_cost(0, CHAIN);

                begin(2, 256);
                for (unsigned i = 0; i < 100000; i++) {
                        int queue = fair_next(&fair);
                        uint32_t len;

                        assert_in_range(queue, 0, 1);
                        len = sizes[row][queue];
                        cost[queue] += fair_cost(0, len);
                        fair_took(&fair, (unsigned)queue, 0, len);
                        fair_gave(&fair, (unsigned)queue, 0, len);
                        assert_true(MAX(cost[0], cost[1]) - MIN(cost[0], cost[1]) <= most);
                }
                assert_true(cost[0] > 10 * most || sizes[row][0] + sizes[row][1] < CHAIN);
        }
}

static void a_large_request_is_paid_by_later_turns(void **state)
{
        const unsigned rounds = (unsigned)(fair_cost(0, MIB) / LIMIT_FAIR_QUANTUM);

        (void)state;
        begin(2, 256);
        serve(0, MIB);
        for (unsigned i = 0; i < rounds * (LIMIT_FAIR_QUANTUM / (PAGE + LIMIT_FAIR_REQUEST)); i++)
                serve(1, PAGE);
        serve(0, PAGE); /* not before */
}

static void who_has_nothing_saves_nothing(void **state)
{
        (void)state;
        begin(2, 256);
        serve(0, PAGE);
        fair_none(&fair, 0);
        for (unsigned i = 0; i < 100; i++) {
                fair_begin(&fair, 1000);
                fair_none(&fair, 0);
                serve(1, MIB);
        }
        assert_int_equal(fair.queues[0].balance, 0);
        fair_begin(&fair, 1000);
        for (unsigned i = 0; i < LIMIT_FAIR_QUANTUM / (PAGE + LIMIT_FAIR_REQUEST); i++)
                serve(0, PAGE);
        assert_int_equal(fair.queues[0].balance, 0); /* one turn, not a hundred */
}

static void debt_is_kept_by_who_has_nothing(void **state)
{
        int64_t debt;

        (void)state;
        begin(2, 256);
        serve(0, MIB);
        fair_none(&fair, 0);
        debt = fair.queues[0].balance;
        assert_true(debt < 0);
        serve(1, PAGE);
        fair_none(&fair, 1);
        assert_int_equal(fair_next(&fair), -1);
        assert_true(fair.queues[0].balance == debt);
}

static void debt_holds_nobody_up_when_nobody_else_is_there(void **state)
{
        (void)state;
        begin(2, 256);
        serve(0, CHAIN);
        fair_none(&fair, 1);
        serve(0, CHAIN);
        serve(0, CHAIN);
        begin(4, 256);
        for (unsigned i = 0; i < 400; i++)
                serve(i % 4, CHAIN); /* all are in debt all the time, and take turns */
}

static void alone_a_queue_has_no_window(void **state)
{
        (void)state;
        begin(2, 256);
        fair_none(&fair, 1);
        for (unsigned i = 0; i < 100; i++) {
                take(0, CHAIN);
                fair_begin(&fair, 1000);
                fair_none(&fair, 1);
        }
}

static void with_another_a_queue_begins_nothing_beyond_its_window(void **state)
{
        (void)state;
        for (uint32_t less = 0; less < 2; less++) {
                begin(2, 256);
                fair_took(&fair, 1, 0, 1);
                fair_took(&fair, 0, 0, LIMIT_FAIR_WINDOW - LIMIT_FAIR_REQUEST - less);
                fair_begin(&fair, 1000);
                fair_none(&fair, 1);
                assert_int_equal(fair_next(&fair), less ? 0 : -1);
                assert_true(fair_left(&fair, 0));
                assert_false(fair_left(&fair, 1));
                fair_gave(&fair, 0, 0, LIMIT_FAIR_WINDOW - LIMIT_FAIR_REQUEST - less);
                assert_int_equal(fair_next(&fair), 0);
        }
}

static void a_queue_is_active_for_a_while(void **state)
{
        (void)state;
        for (uint32_t later = 0; later < 2; later++) {
                begin(2, 256);
                fair_took(&fair, 1, 0, 1);
                fair_gave(&fair, 1, 0, 1);
                fair_took(&fair, 0, 0, MIB);
                fair_begin(&fair, 1000 + LIMIT_FAIR_ACTIVE_MS + later);
                fair_none(&fair, 1);
                assert_int_equal(fair_next(&fair), later ? 0 : -1);
        }
}

static void a_share_of_the_credit_is_kept_for_who_does_not_use_it(void **state)
{
        const uint32_t share = 256 / (LIMIT_FAIR_RESERVE * 2);

        (void)state;
        begin(2, 256);
        fair_none(&fair, 1);
        for (unsigned i = 0; i < 256 - share; i++)
                take(0, 1);
        assert_int_equal(fair_next(&fair), -1);
        assert_true(fair_left(&fair, 0));
        fair_begin(&fair, 1000);
        for (unsigned i = 0; i < share; i++)
                take(1, 1);
        assert_int_equal(fair_next(&fair), -1);
        fair_gave(&fair, 1, 0, 1);
        take(1, 1); /* its own */
        fair_none(&fair, 1);
        fair_gave(&fair, 0, 0, 1);
        take(0, 1);
}

static void few_credits_are_not_kept_from_anybody(void **state)
{
        (void)state;
        begin(2, LIMIT_FAIR_RESERVE * 2 - 1);
        fair_none(&fair, 1);
        for (unsigned i = 0; i < LIMIT_FAIR_RESERVE * 2 - 1; i++)
                take(0, 1);
        assert_int_equal(fair_next(&fair), -1);
        begin(LIMIT_QUEUES, 2);
        take(0, 1);
}

static void as_many_queues_as_a_device_has_are_all_served(void **state)
{
        (void)state;
        begin(LIMIT_QUEUES, 256);
        for (unsigned i = 0; i < 4 * LIMIT_QUEUES; i++)
                serve(i % LIMIT_QUEUES, LIMIT_FAIR_QUANTUM);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_single_queue_takes_what_it_has),
            cmocka_unit_test(a_turn_is_worth_a_quantum),
            cmocka_unit_test(bytes_are_shared_whatever_the_size_of_requests),
            cmocka_unit_test(a_large_request_is_paid_by_later_turns),
            cmocka_unit_test(who_has_nothing_saves_nothing),
            cmocka_unit_test(debt_is_kept_by_who_has_nothing),
            cmocka_unit_test(debt_holds_nobody_up_when_nobody_else_is_there),
            cmocka_unit_test(alone_a_queue_has_no_window),
            cmocka_unit_test(with_another_a_queue_begins_nothing_beyond_its_window),
            cmocka_unit_test(a_queue_is_active_for_a_while),
            cmocka_unit_test(a_share_of_the_credit_is_kept_for_who_does_not_use_it),
            cmocka_unit_test(few_credits_are_not_kept_from_anybody),
            cmocka_unit_test(as_many_queues_as_a_device_has_are_all_served),
        };

        return cmocka_run_group_tests_name("fair", tests, NULL, NULL);
}
