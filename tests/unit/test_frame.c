/* A frame's two lengths.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/frame.h"

#include <errno.h>

#include "proto/base/limits.h"
#include "tests/unit/unit.h"

#define MAX_PAYLOAD 4096u

static int check(uint32_t header_len, uint32_t payload_len, struct frame_head *ret)
{
        uint8_t bytes[FRAME_HEAD_BYTES];

        frame_head_make(&(struct frame_head){header_len, payload_len}, bytes);
        return frame_head_check(bytes, MAX_PAYLOAD, ret);
}

static void heads_are_little_endian(void **state)
{
        const uint8_t expected[FRAME_HEAD_BYTES] = {0x02, 0x01, 0, 0, 0x06, 0x05, 0x04, 0x03};
        uint8_t bytes[FRAME_HEAD_BYTES];

        (void)state;
        frame_head_make(&(struct frame_head){0x0102, 0x03040506}, bytes);
        assert_memory_equal(bytes, expected, sizeof(bytes));
}

static void heads_come_back_as_they_were(void **state)
{
        struct frame_head head;

        (void)state;
        assert_int_equal(check(1, 0, &head), 0);
        assert_int_equal(head.header_len, 1);
        assert_int_equal(head.payload_len, 0);
        assert_int_equal(check(LIMIT_FRAME_HEADER, MAX_PAYLOAD, &head), 0);
        assert_int_equal(head.header_len, LIMIT_FRAME_HEADER);
        assert_int_equal(head.payload_len, MAX_PAYLOAD);
}

static void lengths_outside_their_limits_are_refused(void **state)
{
        struct frame_head head = {7, 7};

        (void)state;
        assert_int_equal(check(0, 0, &head), -EPROTO);
        assert_int_equal(check(LIMIT_FRAME_HEADER + 1, 0, &head), -EPROTO);
        assert_int_equal(check(UINT32_MAX, 0, &head), -EPROTO);
        assert_int_equal(check(1, MAX_PAYLOAD + 1, &head), -EPROTO);
        assert_int_equal(check(1, UINT32_MAX, &head), -EPROTO);
        assert_int_equal(head.header_len, 7);
        assert_int_equal(head.payload_len, 7);
}

static void a_channel_without_payload_takes_none(void **state)
{
        uint8_t bytes[FRAME_HEAD_BYTES];
        struct frame_head head;

        (void)state;
        frame_head_make(&(struct frame_head){1, 0}, bytes);
        assert_int_equal(frame_head_check(bytes, 0, &head), 0);
        frame_head_make(&(struct frame_head){1, 1}, bytes);
        assert_int_equal(frame_head_check(bytes, 0, &head), -EPROTO);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(heads_are_little_endian),
            cmocka_unit_test(heads_come_back_as_they_were),
            cmocka_unit_test(lengths_outside_their_limits_are_refused),
            cmocka_unit_test(a_channel_without_payload_takes_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
