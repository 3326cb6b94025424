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
                assert_true(device_type_find_worker(type->name) == type);
                for (size_t k = 0; k < i; k++)
                        assert_true(device_types[k].virtio_id != type->virtio_id);
        }
}

static void good_row(const struct option_row *row, const char *device)
{
        char room[LIMIT_NAME], why[256];
        const struct option_value preset = option_preset(row, device, room);

        assert_in_range(row->kind, OPTION_FLAG, OPTION_PATH);
        assert_true(row->key && row->key[0]);
        if (row->kind == OPTION_NUMBER)
                assert_true(row->max <= UINT32_MAX); /* what the file's numbers go to */
        if (row->kind == OPTION_NUMBER || row->kind == OPTION_SIZE)
                assert_true(row->min <= row->max && row->max > 0);
        if (row->kind == OPTION_CHOICE)
                assert_true(row->choices && row->choices[0]);
        if (row->kind == OPTION_TEXT || row->kind == OPTION_TEXTS)
                assert_true(row->max > 0);
        if (row->kind == OPTION_TEXTS)
                assert_true(row->max <= LIMIT_WIRE_REPEATED);
        if (!row->required) /* what is left out is good */
                assert_int_equal(option_judge(row, &preset, why, sizeof(why)), 0);
}

static void rows_of_options_are_whole(void **state)
{
        static char name[LIMIT_NAME];

        (void)state;
        memset(name, 'n', sizeof(name) - 1);
        for (size_t t = 0; t < WORKER_TYPE_COUNT_; t++) {
                assert_true(device_types[t].n_options <= LIMIT_OPTIONS);
                for (unsigned i = 0; i < device_types[t].n_options; i++) {
                        good_row(&device_types[t].options[i], "d");
                        good_row(&device_types[t].options[i], name);
                        assert_int_equal(option_find(&device_types[t], device_types[t].options[i].key), i);
                }
        }
}

/* A key is one place in the file's schema. */
static void a_key_of_two_types_has_one_kind(void **state)
{
        (void)state;
        for (size_t t = 0; t < DEVICE_TYPE_COUNT_; t++)
                for (unsigned i = 0; i < device_types[t].n_options; i++)
                        for (size_t other = 0; other < t; other++) {
                                const struct option_row *row = &device_types[t].options[i];
                                unsigned k = option_find(&device_types[other], row->key);

                                if (k == device_types[other].n_options)
                                        continue;
                                assert_int_equal(device_types[other].options[k].kind, row->kind);
                                if (row->kind == OPTION_TEXTS)
                                        assert_int_equal(device_types[other].options[k].max, row->max);
                        }
}

static void options_have_no_key_of_all_devices(void **state)
{
        static const char *const common[] = {"name",  "type",         "queues", "lanes", "request_timeout",
                                             "copy",  "placement",    "limits", "rate",  "poll_us",
                                             "shmem", "shmem_limits", "memory", "legacy"};

        (void)state;
        for (size_t t = 0; t < DEVICE_TYPE_COUNT_; t++)
                for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
                        assert_int_equal(option_find(&device_types[t], common[i]), device_types[t].n_options);
}

/* No configuration can make one; its Hello says 0. */
static void the_loader_is_no_device(void **state)
{
        const struct device_type *loader = &device_types[DEVICE_TYPE_LOADER];

        (void)state;
        assert_string_equal(loader->program, "bulkhead-worker-loader");
        assert_ptr_equal(device_type_find_worker("loader"), loader);
        assert_int_equal(loader->virtio_id, 0);
        assert_int_equal(loader->max_queues, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_type_is_found_by_its_name),
            cmocka_unit_test(other_names_are_not_found),
            cmocka_unit_test(rows_are_whole_and_differ),
            cmocka_unit_test(rows_of_options_are_whole),
            cmocka_unit_test(a_key_of_two_types_has_one_kind),
            cmocka_unit_test(options_have_no_key_of_all_devices),
            cmocka_unit_test(the_loader_is_no_device),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
