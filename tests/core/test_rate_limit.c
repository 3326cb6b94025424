/* Token buckets by their table; in time that the test makes.
 * TRUST: sees its own numbers only.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/rate_limit.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/base/checked.h"

#define MS     UINT64_C(1000000)
#define SECOND (1000 * MS)
#define START  (UINT64_C(1000) * SECOND)
#define MIB    (UINT64_C(1) << 20)

static struct rate_limit limit;

static void begin(struct device_rate rate)
{
        rate_limit_init(&limit, &rate);
}

static uint64_t wait(uint64_t now_ns)
{
        return rate_limit_wait_ms(&limit, 0, false, now_ns);
}

static void pay(uint32_t ops, uint64_t bytes, uint64_t now_ns)
{
        rate_limit_pay(&limit, 1, ops, bytes, now_ns); /* another lane: nobody is polite */
}

static void a_burst_is_taken_at_once_and_not_one_more(void **state)
{
        (void)state;
        begin((struct device_rate){.ops = 1000, .ops_burst = 50});
        for (unsigned i = 0; i < 50; i++) {
                assert_int_equal(wait(START), 0);
                pay(1, 0, START);
        }
        assert_int_equal(wait(START), 1);
        assert_int_equal(wait(START + 1),
                         0); /* it holds something: a token's debt is waited for afterwards */
        pay(1, 0, START + 1);
        assert_int_equal(wait(START + 1), 1);
        assert_int_equal(wait(START + MS), 1);
        assert_int_equal(wait(START + MS + 2), 0);
}

static void over_time_a_rate_is_kept_exactly(void **state)
{
        static const struct device_rate rates[] = {
            {.ops = 10}, {.ops = 333}, {.ops = 1000000, .ops_burst = 10000}};

        (void)state;
        for (size_t row = 0; row < array_size(rates); row++) {
                uint64_t taken = 0, burst = vm_config_ops_burst(&rates[row]);

                begin(rates[row]);
                for (uint64_t ms = 0; ms < 20000; ms++)
                        while (wait(START + ms * MS) == 0) {
                                pay(1, 0, START + ms * MS);
                                taken++;
                        }
                assert_in_range(taken, 20 * rates[row].ops * 999 / 1000, 20 * rates[row].ops + burst);
        }
}

static void what_is_larger_than_the_burst_passes_and_is_waited_for(void **state)
{
        (void)state;
        begin((struct device_rate){.bytes = 10 * MIB, .bytes_burst = MIB});
        pay(1, LIMIT_CHAIN_BYTES, START);
        assert_int_equal(wait(START),
                         3100 + 1); /* 31 of 32 MiB, and the nanosecond in which it holds something */
        assert_int_equal(wait(START + 3100 * MS), 1);
        assert_int_equal(wait(START + 3100 * MS + 1), 0);
}

static void a_pause_fills_a_bucket_to_its_burst_and_no_further(void **state)
{
        const uint64_t later = START + 3600 * SECOND;

        (void)state;
        begin((struct device_rate){.ops = 1000, .ops_burst = 50});
        pay(1000, 0, START);
        for (unsigned i = 0; i < 50; i++) {
                assert_int_equal(wait(later), 0);
                pay(1, 0, later);
        }
        assert_int_equal(wait(later), 1);
}

static void the_slower_of_two_buckets_counts(void **state)
{
        (void)state;
        begin((struct device_rate){.ops = 1000, .ops_burst = 10, .bytes = MIB, .bytes_burst = MIB});
        pay(1, 2 * MIB, START);
        assert_int_equal(wait(START), 1001);
        begin((struct device_rate){.ops = 1000, .ops_burst = 10, .bytes = MIB, .bytes_burst = MIB});
        pay(30, 1, START);
        assert_int_equal(wait(START), 21);
}

static void input_is_no_operation_but_has_bytes(void **state)
{
        (void)state;
        begin((struct device_rate){.ops = 1000, .ops_burst = 10, .bytes = MIB, .bytes_burst = MIB});
        pay(1000, 0, START);
        assert_int_equal(rate_limit_wait_ms(&limit, 0, true, START), 0);
        pay(0, 2 * MIB, START);
        assert_int_equal(rate_limit_wait_ms(&limit, 0, true, START), 1001);
}

static void who_was_last_lets_another_go_first(void **state)
{
        (void)state;
        begin((struct device_rate){.ops = 1000, .ops_burst = 10});
        rate_limit_pay(&limit, 3, 20, 0, START);
        assert_int_equal(rate_limit_wait_ms(&limit, 3, false, START), 12);
        assert_int_equal(rate_limit_wait_ms(&limit, 2, false, START), 11);
        assert_int_equal(rate_limit_wait_ms(&limit, 3, false, START + 11 * MS), 0); /* but waits for nobody */
}

static void without_a_rate_nothing_waits(void **state)
{
        (void)state;
        begin((struct device_rate){0});
        for (unsigned i = 0; i < 100; i++) {
                pay(1000, LIMIT_CHAIN_BYTES, START);
                assert_int_equal(wait(START), 0);
        }
        assert_true(atomic_load(&limit.ops.full_ns) == 0 && atomic_load(&limit.bytes.full_ns) == 0);
}

static void the_largest_numbers_do_not_wrap(void **state)
{
        (void)state;
        begin((struct device_rate){
            .ops = 10, .ops_burst = UINT32_MAX, .bytes = MIB, .bytes_burst = VM_CONFIG_RATE_MAX});
        assert_true(limit.ops.burst_ns == UINT32_MAX / UINT64_C(10) * SECOND + 5 * SECOND / 10);
        assert_true(limit.bytes.burst_ns == 16384 * SECOND);
        begin((struct device_rate){.bytes = VM_CONFIG_RATE_MAX, .bytes_burst = VM_CONFIG_RATE_MAX - 1});
        assert_true(limit.bytes.burst_ns == SECOND - 1);
        begin((struct device_rate){.bytes = MIB, .bytes_burst = MIB});
        for (unsigned i = 0; i < LIMIT_LANES; i++)
                pay(1, LIMIT_CHAIN_BYTES, START);
        assert_int_equal(wait(START), (32 * LIMIT_LANES - 1) * 1000 + 1);
}

/* Lanes that pay at the same moment. */

#define PAYMENTS 200000u

static void *payer(void *argument)
{
        (void)argument;
        for (unsigned i = 0; i < PAYMENTS; i++)
                rate_limit_pay(&limit, 0, 1, 0, START);
        return NULL;
}

static void no_payment_of_two_lanes_is_lost(void **state)
{
        pthread_t threads[2];

        (void)state;
        begin((struct device_rate){.ops = 1000, .ops_burst = 10});
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, payer, NULL), 0);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(atomic_load(&limit.ops.full_ns) == START + 2 * PAYMENTS * MS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_burst_is_taken_at_once_and_not_one_more),
            cmocka_unit_test(over_time_a_rate_is_kept_exactly),
            cmocka_unit_test(what_is_larger_than_the_burst_passes_and_is_waited_for),
            cmocka_unit_test(a_pause_fills_a_bucket_to_its_burst_and_no_further),
            cmocka_unit_test(the_slower_of_two_buckets_counts),
            cmocka_unit_test(input_is_no_operation_but_has_bytes),
            cmocka_unit_test(who_was_last_lets_another_go_first),
            cmocka_unit_test(without_a_rate_nothing_waits),
            cmocka_unit_test(the_largest_numbers_do_not_wrap),
            cmocka_unit_test(no_payment_of_two_lanes_is_lost),
        };

        return cmocka_run_group_tests_name("rate_limit", tests, NULL, NULL);
}
