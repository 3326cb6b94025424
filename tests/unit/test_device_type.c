/* The table of device types.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device_type.h"

#include <stdio.h>

#include "proto/base/limits.h"
#include "tests/unit/unit.h"

static void every_type_is_found_by_its_name(void **state)
{
        (void)state;
        for (size_t i = 0; i < DEVICE_TYPE_COUNT_; i++)
                assert_ptr_equal(device_type_find(device_types[i].name), &device_types[i]);
}

static void other_names_are_not_found(void **state)
{
        static const char *const names[] = {"", "b", "blkk", "BLK", "blk ", "gpu", "loader"};

        (void)state;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                assert_null(device_type_find(names[i]));
}

static void rows_are_whole_and_differ(void **state)
{
        char program[64];

        (void)state;
        for (size_t i = 0; i < DEVICE_TYPE_COUNT_; i++) {
                const struct device_type *type = &device_types[i];

                snprintf(program, sizeof(program), "bulkhead-worker-%s", type->name);
                assert_string_equal(type->program, program);
                assert_true(strlen(type->name) < LIMIT_NAME);
                assert_true(type->virtio_id != 0);
                assert_in_range(type->max_queues, 1, LIMIT_QUEUES);
                assert_in_range(type->default_queues, 1, type->max_queues);
                assert_non_null(type->qemu_device);
                for (size_t k = 0; k < i; k++)
                        assert_true(device_types[k].virtio_id != type->virtio_id);
        }
}

/* No configuration can make one; its Hello says 0. */
static void the_loader_is_no_device(void **state)
{
        const struct device_type *loader = &device_types[DEVICE_TYPE_LOADER];

        (void)state;
        assert_string_equal(loader->program, "bulkhead-worker-loader");
        assert_int_equal(loader->virtio_id, 0);
        assert_int_equal(loader->max_queues, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_type_is_found_by_its_name),
            cmocka_unit_test(other_names_are_not_found),
            cmocka_unit_test(rows_are_whole_and_differ),
            cmocka_unit_test(the_loader_is_no_device),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
