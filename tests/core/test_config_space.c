/* The cached config space.
 * TRUST: a guest's offsets and a worker's values, good and bad.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/config_space.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"

static const struct control_hello hello = {
    .n_fields = 5,
    .fields =
        {
            {.offset = 0, .width = 8, .value = UINT64_C(0x1122334455667788)},
            {.offset = 8, .width = 4, .writable = true, .value = 0xaabbccdd},
            {.offset = 16, .width = 2, .writable = true, .value = 0x0102},
            {.offset = 18, .width = 1, .value = 0xfe},
            {.offset = 255, .width = 1, .writable = true, .value = 0x7f},
        },
};

static const uint8_t image[20] = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xdd, 0xcc,
                                  0xbb, 0xaa, 0,    0,    0,    0,    0x02, 0x01, 0xfe, 0};

static struct config_space make(void)
{
        struct config_space space;

        memset(&space, 0xff, sizeof(space));
        config_space_init(&space, &hello);
        return space;
}

static void every_range_reads_as_little_endian_with_zeros_between(void **state)
{
        struct config_space space = make();
        uint8_t whole[LIMIT_CONFIG_BYTES], bytes[LIMIT_CONFIG_BYTES + 1];

        (void)state;
        assert_int_equal(space.size, 256);
        assert_int_equal(config_space_read(&space, 0, LIMIT_CONFIG_BYTES, whole), 0);
        assert_memory_equal(whole, image, sizeof(image));
        assert_int_equal(whole[254], 0);
        assert_int_equal(whole[255], 0x7f);
        for (uint32_t offset = 0; offset <= 24; offset++) {
                for (uint32_t len = 0; len <= 24; len++) {
                        memset(bytes, 0xcc, sizeof(bytes));
                        assert_int_equal(config_space_read(&space, offset, len, bytes), 0);
                        assert_memory_equal(bytes, whole + offset, len);
                        assert_int_equal(bytes[len], 0xcc);
                }
        }
}

static void a_read_outside_is_refused_and_writes_nothing(void **state)
{
        static const struct {
                uint32_t offset, len;
        } bad[] = {{0, 257}, {256, 1},        {255, 2},        {257, 0},
                   {1, 256}, {UINT32_MAX, 1}, {1, UINT32_MAX}, {UINT32_MAX, UINT32_MAX}};
        struct config_space space = make();
        uint8_t byte = 0x55;

        (void)state;
        assert_int_equal(config_space_read(&space, 256, 0, &byte), 0);
        for (size_t i = 0; i < array_size(bad); i++) {
                assert_int_equal(config_space_read(&space, bad[i].offset, bad[i].len, &byte), -EINVAL);
                assert_int_equal(byte, 0x55);
        }
}

static void only_a_whole_writable_field_can_be_written(void **state)
{
        const uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
        struct config_space space = make();
        unsigned permitted = 0;

        (void)state;
        for (uint32_t offset = 0; offset <= 260; offset++) {
                for (uint32_t len = 0; len <= 8; len++) {
                        uint32_t field = 99;
                        uint64_t value = 77;

                        if (config_space_judge_write(&space, offset, len, bytes, &field, &value) < 0) {
                                assert_int_equal(field, 99);
                                assert_int_equal(value, 77);
                                continue;
                        }
                        permitted++;
                        assert_true(hello.fields[field].writable);
                        assert_int_equal(hello.fields[field].offset, offset);
                        assert_int_equal(hello.fields[field].width, len);
                        assert_int_equal(value, len == 4 ? 0x04030201 : len == 2 ? 0x0201 : 1);
                }
        }
        assert_int_equal(permitted, 3);
}

static void an_update_is_whole_or_nothing(void **state)
{
        struct config_space space = make(), before;
        uint64_t values[5] = {1, 2, 3, 4, 5};
        bool changed = true;

        (void)state;
        before = space;
        assert_int_equal(config_space_update(&space, values, 4, &changed), -EPROTO);
        assert_int_equal(config_space_update(&space, values, 6, &changed), -EPROTO);
        values[1] = UINT64_C(1) << 32;
        assert_int_equal(config_space_update(&space, values, 5, &changed), -EPROTO);
        values[1] = 2;
        values[4] = 256;
        assert_int_equal(config_space_update(&space, values, 5, &changed), -EPROTO);
        assert_memory_equal(&space, &before, sizeof(space));
        values[0] = UINT64_MAX;
        values[1] = UINT32_MAX;
        values[4] = 255;
        assert_int_equal(config_space_update(&space, values, 5, &changed), 0);
        assert_true(changed);
        assert_int_equal(config_space_update(&space, values, 5, &changed), 0);
        assert_false(changed);
        assert_int_equal(space.fields[0].value, UINT64_MAX);
}

static void a_device_without_config_reads_as_zeros(void **state)
{
        const struct control_hello none = {0};
        struct config_space space;
        uint8_t bytes[4] = {1, 2, 3, 4};
        uint32_t field;
        uint64_t value;
        bool changed = true;

        (void)state;
        config_space_init(&space, &none);
        assert_int_equal(space.size, 0);
        assert_int_equal(config_space_read(&space, 0, 4, bytes), 0);
        assert_memory_equal(bytes, "\0\0\0\0", 4);
        assert_int_equal(config_space_judge_write(&space, 0, 0, bytes, &field, &value), -EINVAL);
        assert_int_equal(config_space_update(&space, NULL, 0, &changed), 0);
        assert_false(changed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_range_reads_as_little_endian_with_zeros_between),
            cmocka_unit_test(a_read_outside_is_refused_and_writes_nothing),
            cmocka_unit_test(only_a_whole_writable_field_can_be_written),
            cmocka_unit_test(an_update_is_whole_or_nothing),
            cmocka_unit_test(a_device_without_config_reads_as_zeros),
        };

        return cmocka_run_group_tests_name("config_space", tests, NULL, NULL);
}
