/* Hello's area: memory of the worker's that the broker is to copy from and to.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/control.h"
#include "tests/unit/judged.h"
#include "tests/unit/unit.h"

#define PAGE      LIMIT_AREA_PAGE
#define LAST      (UINT64_MAX - LIMIT_LANES * (uint64_t)LIMIT_AREA) /* the highest that cannot wrap */
#define SOMEWHERE UINT64_C(0x7f0000200000)

static struct arena arena;
static uint8_t buf[LIMIT_FRAME_HEADER];

static int setup(void **state)
{
        (void)state;
        return arena_init(&arena, LIMIT_ARENA);
}

static int teardown(void **state)
{
        (void)state;
        arena_done(&arena);
        return 0;
}

static struct control_to_broker hello_with(uint64_t at, uint32_t len, uint32_t lead, bool out, bool dense)
{
        return (struct control_to_broker){
            .kind = CONTROL_HELLO,
            .hello = {.device_type = 2,
                      .n_queues = 1,
                      .queue_kind = {QUEUE_WORK},
                      .queue_replay = {REPLAY_IDEMPOTENT},
                      .max_segments = 1,
                      .credit_requests = 1,
                      .area = {.at = at, .len = len, .lead = lead, .out = out, .dense = dense}}};
}

/* Only the kernel looks where it lies; that sums do not wrap and lengths are bounded is ours. */
static void an_area_is_whole_pages_up_to_its_limit(void **state)
{
        static const struct {
                uint64_t at;
                uint32_t len, lead;
                int expected;
                bool out, dense;
        } rows[] = {
            {0, 0, 0, 0, false},
            {0, 0, 1, -EPROTO, false}, /* of none nothing is said */
            {0, 0, 0, -EPROTO, true},
            {0, 0, 0, -EPROTO, false, true},
            {SOMEWHERE, LIMIT_AREA, 16, 0, true},
            {SOMEWHERE, 0, 0, -EPROTO, false},
            {SOMEWHERE, PAGE, 0, 0, false},
            {SOMEWHERE, PAGE - 1, 0, -EPROTO, false},
            {SOMEWHERE, PAGE + 1, 0, -EPROTO, false},
            {SOMEWHERE, LIMIT_AREA, 16, 0, false},
            {SOMEWHERE, LIMIT_AREA + PAGE, 16, -EPROTO, false},
            {SOMEWHERE, UINT32_MAX - (PAGE - 1), 16, -EPROTO, false},
            {SOMEWHERE, LIMIT_AREA, PAGE - 1, 0, false},
            {SOMEWHERE, LIMIT_AREA, 16, 0, true, true},
            {SOMEWHERE, PAGE, PAGE - 1, 0, false, true}, /* no place fits in it, and that is its own affair */
            {SOMEWHERE, LIMIT_AREA, PAGE, -EPROTO, false, true},
            {SOMEWHERE, LIMIT_AREA, PAGE, -EPROTO, false},
            {SOMEWHERE, LIMIT_AREA, UINT32_MAX, -EPROTO, false},
            {0, PAGE, 0, 0, false}, /* nothing can be there, as the kernel will say */
            {1, PAGE, 0, -EPROTO, false},
            {LAST / PAGE * PAGE, LIMIT_AREA, 0, 0, false},
            {LAST / PAGE * PAGE + PAGE, PAGE, 0, -EPROTO, false},
            {UINT64_MAX - (PAGE - 1), PAGE, 0, -EPROTO, false},
            {UINT64_MAX, PAGE, 0, -EPROTO, false},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                static struct control_to_broker sent, got;
                ssize_t n;

                sent = hello_with(rows[i].at, rows[i].len, rows[i].lead, rows[i].out, rows[i].dense);
                n = control_make_to_broker(&sent, buf, sizeof(buf));
                assert_true(n > 0);
                memset(&got, 0x7e, sizeof(got));
                assert_int_equal(control_check_to_broker(&arena, buf, (size_t)n, &got), rows[i].expected);
                if (rows[i].expected == 0)
                        assert_memory_equal(&got, &sent, sizeof(got));
        }
}

/* No sender of ours can say anything else: in the bytes, it is a number. */
static void dense_is_a_yes_or_a_no(void **state)
{
        static const uint8_t yes[] = {0xa5, 0x01, 1, 0, 0, 0}; /* number 20, of four bytes */
        static struct control_to_broker sent, got;
        uint8_t *at;
        size_t n;

        (void)state;
        sent = hello_with(SOMEWHERE, LIMIT_AREA, 16, true, true);
        n = (size_t)control_make_to_broker(&sent, buf, sizeof(buf));
        at = memmem(buf, n, yes, sizeof(yes));
        assert_non_null(at);
        assert_int_equal(control_check_to_broker(&arena, buf, n, &got), 0);
        assert_true(got.hello.area.dense);
        at[2] = 2;
        assert_int_equal(control_check_to_broker(&arena, buf, n, &got), -EPROTO);
        at[2] = 1;
        at[5] = 1;
        assert_int_equal(control_check_to_broker(&arena, buf, n, &got), -EPROTO);
}

/* What both sides reckon with: parts lie in their own places, and what is behind the lead begins with a line. */
static void places_have_room_for_a_page_and_its_lead(void **state)
{
        (void)state;
        for (uint32_t lead = 0; lead < PAGE; lead++) {
                const struct control_area area = {.len = LIMIT_AREA, .lead = lead, .dense = true};
                const struct control_area pages = {.len = LIMIT_AREA, .lead = lead};
                uint32_t step = control_area_step(&area), shift = control_area_shift(&area);

                assert_int_equal(shift + lead + PAGE, step);
                assert_true(shift < LIMIT_AREA_LINE);
                assert_int_equal((shift + lead) % LIMIT_AREA_LINE, 0);
                assert_int_equal(step % LIMIT_AREA_LINE, 0);
                assert_int_equal(control_area_step(&pages), PAGE);
                assert_int_equal(control_area_shift(&pages) + lead, lead > 0 ? PAGE : 0);
        }
}

/* Another process, other addresses. */
static void a_successor_may_have_its_area_elsewhere(void **state)
{
        struct control_to_broker a = hello_with(SOMEWHERE, PAGE, 16, false, true);
        struct control_to_broker b = hello_with(0, 0, 0, false, false);

        (void)state;
        assert_true(control_hello_equal(&a.hello, &b.hello));
}

static unsigned accepted;

static void sweep(const uint8_t *bytes, size_t n, void *context)
{
        static struct control_to_broker got;
        int r = control_check_to_broker(&arena, bytes, n, &got);

        (void)context;
        assert_true(r == 0 || r == -EPROTO);
        accepted += r == 0;
        if (r == 0)
                assert_true(judged_control_to_broker(&got));
}

static void bit_flips_and_truncations_never_break_a_promise(void **state)
{
        static struct control_to_broker sent;

        (void)state;
        sent = hello_with(SOMEWHERE, LIMIT_AREA, 16, true, true);
        unit_sweep(buf, (size_t)control_make_to_broker(&sent, buf, sizeof(buf)), sweep, NULL);
        assert_true(accepted >= 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(an_area_is_whole_pages_up_to_its_limit),
            cmocka_unit_test(dense_is_a_yes_or_a_no),
            cmocka_unit_test(places_have_room_for_a_page_and_its_lead),
            cmocka_unit_test(a_successor_may_have_its_area_elsewhere),
            cmocka_unit_test(bit_flips_and_truncations_never_break_a_promise),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
