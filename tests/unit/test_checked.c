/* Checked arithmetic.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/checked.h"

#include "tests/unit/unit.h"

static void sums_and_products_are_refused_from_the_first_value_that_wraps(void **state)
{
        uint64_t v = 7;

        (void)state;
        assert_true(checked_add_u64(UINT64_MAX - 1, 1, &v));
        assert_true(v == UINT64_MAX);
        v = 7;
        assert_false(checked_add_u64(UINT64_MAX, 1, &v));
        assert_false(checked_add_u64(1, UINT64_MAX, &v));
        assert_false(checked_mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &v));
        assert_false(checked_mul_u64(UINT64_MAX, 2, &v));
        assert_true(v == 7);
        assert_true(checked_mul_u64(UINT64_C(1) << 32, (UINT64_C(1) << 32) - 1, &v));
        assert_true(v == UINT64_MAX - UINT32_MAX);
        assert_true(checked_mul_u64(UINT64_MAX, 0, &v));
        assert_true(v == 0);
}

static void narrowing_is_refused_one_over(void **state)
{
        uint32_t v = 7;

        (void)state;
        assert_false(checked_u32(UINT64_C(1) << 32, &v));
        assert_false(checked_u32(UINT64_MAX, &v));
        assert_int_equal(v, 7);
        assert_true(checked_u32(UINT32_MAX, &v));
        assert_true(v == UINT32_MAX);
}

static void ranges_are_inside_up_to_their_last_byte(void **state)
{
        (void)state;
        assert_true(range_inside(0, 10, 10));
        assert_true(range_inside(9, 1, 10));
        assert_false(range_inside(9, 2, 10));
        assert_false(range_inside(10, 1, 10));
        assert_false(range_inside(0, 11, 10));
        assert_true(range_inside(10, 0, 10));
        assert_false(range_inside(11, 0, 10));
        assert_true(range_inside(0, 0, 0));
}

static void ranges_whose_end_wraps_are_outside(void **state)
{
        (void)state;
        assert_false(range_inside(UINT64_MAX, 2, 10));
        assert_false(range_inside(UINT64_MAX - 4, 10, 10));
        assert_false(range_inside(5, UINT64_MAX, 10));
        assert_true(range_inside(UINT64_MAX - 1, 1, UINT64_MAX));
        assert_false(range_inside(UINT64_MAX - 1, 2, UINT64_MAX));
}

static void ranges_lie_within_one_another(void **state)
{
        (void)state;
        assert_true(range_within(100, 10, 100, 10));
        assert_false(range_within(99, 2, 100, 10));
        assert_false(range_within(109, 2, 100, 10));
        assert_false(range_within(0, 1, 100, 10));
        assert_true(range_within(UINT64_MAX, 1, UINT64_MAX, 1));
}

static void powers_of_two_have_one_bit(void **state)
{
        (void)state;
        assert_false(is_power_of_2(0));
        assert_false(is_power_of_2(3));
        assert_false(is_power_of_2(UINT64_MAX));
        for (unsigned bit = 0; bit < 64; bit++)
                assert_true(is_power_of_2(UINT64_C(1) << bit));
}

static void smaller_and_larger_evaluate_their_arguments_once(void **state)
{
        int i = 1, j = 5;

        (void)state;
        assert_int_equal(MIN(i++, j++), 1);
        assert_int_equal(MAX(i++, j++), 6);
        assert_int_equal(i, 3);
        assert_int_equal(j, 7);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(sums_and_products_are_refused_from_the_first_value_that_wraps),
            cmocka_unit_test(narrowing_is_refused_one_over),
            cmocka_unit_test(ranges_are_inside_up_to_their_last_byte),
            cmocka_unit_test(ranges_whose_end_wraps_are_outside),
            cmocka_unit_test(ranges_lie_within_one_another),
            cmocka_unit_test(powers_of_two_have_one_bit),
            cmocka_unit_test(smaller_and_larger_evaluate_their_arguments_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
