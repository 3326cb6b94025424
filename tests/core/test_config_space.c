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

static const struct config_order modern = {0};

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
        assert_int_equal(config_space_read(&space, false, 0, LIMIT_CONFIG_BYTES, whole), 0);
        assert_memory_equal(whole, image, sizeof(image));
        assert_int_equal(whole[254], 0);
        assert_int_equal(whole[255], 0x7f);
        for (uint32_t offset = 0; offset <= 24; offset++) {
                for (uint32_t len = 0; len <= 24; len++) {
                        memset(bytes, 0xcc, sizeof(bytes));
                        assert_int_equal(config_space_read(&space, false, offset, len, bytes), 0);
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
        assert_int_equal(config_space_read(&space, false, 256, 0, &byte), 0);
        for (size_t i = 0; i < array_size(bad); i++) {
                assert_int_equal(config_space_read(&space, false, bad[i].offset, bad[i].len, &byte), -EINVAL);
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

                        if (config_space_judge_write(&space, &modern, offset, len, bytes, &field, &value) <
                            0) {
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

/* virtio 1.3, 2.5.4: each field by itself is turned, where it stands. */
static void a_big_endian_guest_reads_each_field_in_its_order(void **state)
{
        static const uint8_t big[20] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0xaa, 0xbb,
                                        0xcc, 0xdd, 0,    0,    0,    0,    0x01, 0x02, 0xfe, 0};
        struct config_space space = make();
        uint8_t whole[LIMIT_CONFIG_BYTES], bytes[8];

        (void)state;
        assert_int_equal(config_space_read(&space, true, 0, LIMIT_CONFIG_BYTES, whole), 0);
        assert_memory_equal(whole, big, sizeof(big));
        assert_int_equal(whole[255], 0x7f);
        for (uint32_t offset = 0; offset <= 24; offset++)
                for (uint32_t len = 0; len <= 8; len++) {
                        assert_int_equal(config_space_read(&space, true, offset, len, bytes), 0);
                        assert_memory_equal(bytes, whole + offset, len);
                }
}

/* Byte by byte as Linux does, and in all other pieces; every piece is a value of the whole field, and the last has it all. */
static void a_legacy_driver_writes_a_field_in_parts(void **state)
{
        (void)state;
        for (unsigned big = 0; big < 2; big++)
                for (uint32_t piece = 1; piece <= 4; piece *= 2) {
                        const struct config_order order = {.big_endian = big, .parts = true};
                        const uint8_t bytes[4] = {1, 2, 3, 4};
                        struct config_space space = make();
                        uint8_t read[4];

                        for (uint32_t at = 0; at < 4; at += piece) {
                                uint32_t field = 99;
                                uint64_t value;

                                assert_int_equal(config_space_judge_write(&space, &order, 8 + at, piece,
                                                                          bytes + at, &field, &value),
                                                 0);
                                assert_int_equal(field, 1);
                                config_space_set(&space, field, value);
                        }
                        assert_int_equal(space.fields[1].value, big ? 0x01020304 : 0x04030201);
                        assert_int_equal(config_space_read(&space, big, 8, 4, read), 0);
                        assert_memory_equal(read, bytes, 4);
                }
}

static void a_part_of_two_fields_or_of_none_cannot_be_written(void **state)
{
        static const struct {
                uint32_t offset, len;
        } bad[] = {{0, 1},  {7, 1},  {7, 2},  {8, 5},   {11, 2}, {12, 1},         {15, 2},
                   {16, 4}, {17, 2}, {18, 1}, {255, 2}, {8, 0},  {UINT32_MAX, 1}, {9, UINT32_MAX}};
        const struct config_order order = {.parts = true};
        const uint8_t bytes[8] = {0};
        struct config_space space = make();

        (void)state;
        for (size_t i = 0; i < array_size(bad); i++) {
                uint32_t field = 99;
                uint64_t value = 77;

                assert_int_equal(config_space_judge_write(&space, &order, bad[i].offset, bad[i].len, bytes,
                                                          &field, &value),
                                 -EINVAL);
                assert_int_equal(field, 99);
                assert_int_equal(value, 77);
        }
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
        assert_int_equal(config_space_read(&space, false, 0, 4, bytes), 0);
        assert_memory_equal(bytes, "\0\0\0\0", 4);
        assert_int_equal(config_space_judge_write(&space, &modern, 0, 0, bytes, &field, &value), -EINVAL);
        assert_int_equal(config_space_update(&space, NULL, 0, &changed), 0);
        assert_false(changed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_range_reads_as_little_endian_with_zeros_between),
            cmocka_unit_test(a_read_outside_is_refused_and_writes_nothing),
            cmocka_unit_test(only_a_whole_writable_field_can_be_written),
            cmocka_unit_test(a_big_endian_guest_reads_each_field_in_its_order),
            cmocka_unit_test(a_legacy_driver_writes_a_field_in_parts),
            cmocka_unit_test(a_part_of_two_fields_or_of_none_cannot_be_written),
            cmocka_unit_test(an_update_is_whole_or_nothing),
            cmocka_unit_test(a_device_without_config_reads_as_zeros),
        };

        return cmocka_run_group_tests_name("config_space", tests, NULL, NULL);
}
