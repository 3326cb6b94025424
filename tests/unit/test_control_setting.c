/* What an operator sets, on its way to a worker: make, check, and what the check refuses.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/control.h"

#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "tests/unit/unit_arena.h"

static uint8_t buf[LIMIT_FRAME_HEADER];

static void settings_are_known_ones_in_their_ranges(void **state)
{
        static const struct {
                struct control_setting setting;
                bool good;
        } rows[] = {
            {{SETTING_LINK, 0, 0}, true},
            {{SETTING_LINK, 0, 1}, true},
            {{SETTING_LINK, 0, 2}, false},
            {{SETTING_LINK, 1, 1}, false},
            {{SETTING_SIZE, 0, 1 | 1 << 16}, true},
            {{SETTING_SIZE, LIMIT_PORTS - 1, 0xffffffff}, true},
            {{SETTING_SIZE, LIMIT_PORTS, 0xffffffff}, false},
            {{SETTING_SIZE, 0, 0x100000000}, false},
            {{SETTING_SIZE, 0, 0x1ffffffff}, false},
            {{SETTING_SIZE, 0, 80}, false},
            {{SETTING_SIZE, 0, 25 << 16}, false},
            {{(enum control_setting_id)0, 0, 0}, false},
            {{SETTING_END_, 0, 1}, false},
        };
        struct control_to_worker got, before;

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                struct control_to_worker sent = {.kind = CONTROL_SET, .seq = 9, .set = rows[i].setting};

                ssize_t n = control_make_to_worker(&sent, buf, sizeof(buf));

                assert_true(n > 0);
                memset(&got, 0x7e, sizeof(got));
                before = got;
                assert_int_equal(control_check_to_worker(&arena, buf, (size_t)n, &got),
                                 rows[i].good ? 0 : -EPROTO);
                assert_memory_equal(&got, rows[i].good ? &sent : &before, sizeof(got));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            UNIT_ARENA_TEST(settings_are_known_ones_in_their_ranges),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
