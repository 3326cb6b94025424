/* errno and wire status.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/status.h"

#include <errno.h>

#include "tests/unit/unit.h"

static void every_status_goes_there_and_back(void **state)
{
        (void)state;
        for (uint32_t status = 0; status < WIRE_STATUS_COUNT_; status++) {
                assert_true(status_to_errno(status) <= 0);
                assert_int_equal(status_from_errno(status_to_errno(status)), status);
                assert_string_not_equal(status_name(status), "unknown status");
        }
        assert_int_equal(status_to_errno(WIRE_STATUS_OK), 0);
}

static void numbers_out_of_the_table_are_a_broken_protocol(void **state)
{
        static const uint32_t bad[] = {WIRE_STATUS_COUNT_, WIRE_STATUS_COUNT_ + 1, INT32_MAX, UINT32_MAX};

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                assert_int_equal(status_to_errno(bad[i]), -EPROTO);
                assert_string_equal(status_name(bad[i]), "unknown status");
        }
}

static void errors_without_a_row_become_input_output_errors(void **state)
{
        (void)state;
        assert_int_equal(status_from_errno(-ENOTTY), WIRE_STATUS_IO);
        assert_int_equal(status_from_errno(-4096), WIRE_STATUS_IO);
        assert_int_equal(status_from_errno(INT32_MIN), WIRE_STATUS_IO);
        assert_int_equal(status_from_errno(EINVAL), WIRE_STATUS_IO); /* positive: a mistake of the caller's */
        assert_int_equal(status_from_errno(-EPERM), WIRE_STATUS_ACCESS);
        assert_int_equal(status_from_errno(0), WIRE_STATUS_OK);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_status_goes_there_and_back),
            cmocka_unit_test(numbers_out_of_the_table_are_a_broken_protocol),
            cmocka_unit_test(errors_without_a_row_become_input_output_errors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
