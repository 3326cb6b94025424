/* What a person's keys mean while a terminal is a guest's serial port.
 * TRUST: bytes of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/terminal_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"

#define ALL(text) text, sizeof(text) - 1

static const struct {
        const char *typed;
        size_t typed_len;
        const char *guest;
        size_t guest_len;
        enum terminal_action action;
} rows[] = {
    {ALL("abc"), ALL("abc"), TERMINAL_NONE},
    {ALL("\x03\x04\x1a\x1c\r\n\0\xff"), ALL("\x03\x04\x1a\x1c\r\n\0\xff"), TERMINAL_NONE},
    {ALL("a\x01xb"), ALL("a"), TERMINAL_END},
    {ALL("\x01h"), ALL(""), TERMINAL_HELP},
    {ALL("\x01hb\x01x"), ALL("b"), TERMINAL_END},
    {ALL("\x01\x01x"), ALL("\x01x"), TERMINAL_NONE},
    {ALL("\x01\x01\x01x"), ALL("\x01"), TERMINAL_END},
    {ALL("\x01zx"), ALL("x"), TERMINAL_NONE},
    {ALL("x\x01"), ALL("x"), TERMINAL_NONE},
    {ALL(""), ALL(""), TERMINAL_NONE},
};

static void keys_behind_the_prefix_are_ours_and_all_others_the_guests(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                struct terminal_keys keys = {0};
                enum terminal_action action;
                uint8_t bytes[32];

                memcpy(bytes, rows[i].typed, rows[i].typed_len);
                assert_int_equal(terminal_keys_take(&keys, bytes, rows[i].typed_len, &action),
                                 rows[i].guest_len);
                assert_memory_equal(bytes, rows[i].guest, rows[i].guest_len);
                assert_int_equal(action, rows[i].action);
        }
}

/* However the terminal cuts what is typed. */
static void keys_mean_the_same_one_by_one(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                enum terminal_action action, last = TERMINAL_NONE;
                struct terminal_keys keys = {0};
                uint8_t guest[32];
                size_t n = 0;

                for (size_t k = 0; k < rows[i].typed_len && last != TERMINAL_END; k++) {
                        uint8_t byte = (uint8_t)rows[i].typed[k];
                        size_t taken = terminal_keys_take(&keys, &byte, 1, &action);

                        if (taken > 0)
                                guest[n++] = byte;
                        if (action != TERMINAL_NONE)
                                last = action;
                }
                assert_int_equal(n, rows[i].guest_len);
                assert_memory_equal(guest, rows[i].guest, n);
                assert_int_equal(last, rows[i].action);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(keys_behind_the_prefix_are_ours_and_all_others_the_guests),
            cmocka_unit_test(keys_mean_the_same_one_by_one),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
