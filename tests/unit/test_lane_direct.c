/* Bytes that lie in the worker's area, and its rest: make, check, and what the check refuses.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/lane.h"

#include <errno.h>

#include "proto/base/limits.h"
#include "proto/wire.h"
#include "schema/lane.pb-c.h"
#include "tests/unit/judged.h"
#include "tests/unit/unit.h"

#define ROOM 4u

static struct arena arena;
static uint8_t buf[LIMIT_FRAME_HEADER];

/* Columns that every test fills anew: everything is 0 but ids. */
static uint64_t id[ROOM];
static uint32_t queue[ROOM], readable[ROOM], writable[ROOM], inlined[ROOM], attempt[ROOM], must_fail[ROOM];
static uint32_t in_at[ROOM], out_at[ROOM];

static int columns_setup(void **state)
{
        (void)state;
        for (size_t i = 0; i < ROOM; i++) {
                id[i] = UINT64_MAX - i;
                readable[i] = inlined[i] = in_at[i] = out_at[i] = 0;
        }
        return arena_init(&arena, LIMIT_ARENA);
}

static int columns_teardown(void **state)
{
        (void)state;
        arena_done(&arena);
        return 0;
}

static struct lane_to_worker requests(size_t n)
{
        return (struct lane_to_worker){
            .kind = LANE_REQUESTS,
            .requests = {n, id, queue, readable, writable, inlined, attempt, must_fail}};
}

static int to_worker(struct lane_to_worker message, uint32_t payload_len, struct lane_to_worker *ret)
{
        ssize_t n = lane_make_to_worker(&message, buf, sizeof(buf));

        assert_true(n > 0);
        return lane_check_to_worker(&arena, buf, (size_t)n, payload_len, ret);
}

/* Refused, and the result is untouched. */
static void refused_by_worker(struct lane_to_worker message, uint32_t payload_len)
{
        struct lane_to_worker got, before;

        memset(&got, 0x7e, sizeof(got));
        before = got;
        assert_int_equal(to_worker(message, payload_len, &got), -EPROTO);
        assert_memory_equal(&got, &before, sizeof(got));
}

static struct lane_to_worker requests_with_places(size_t n)
{
        struct lane_to_worker message = requests(n);

        message.requests.in_at = in_at;
        message.requests.out_at = out_at;
        return message;
}

static void bytes_that_have_a_place_are_not_in_the_payload(void **state)
{
        struct lane_to_worker got;

        (void)state;
        readable[0] = inlined[0] = 40000;
        readable[1] = inlined[1] = 7;
        readable[2] = inlined[2] = 70000;
        in_at[0] = 2048;
        in_at[2] = UINT32_MAX; /* what lies in the area is the receiver's to know */
        assert_int_equal(to_worker(requests_with_places(3), 7, &got), 0);
        assert_int_equal(got.requests.in_at[0], 2048);
        assert_int_equal(got.requests.in_at[1], 0);
        assert_int_equal(got.requests.in_at[2], UINT32_MAX);
        refused_by_worker(requests_with_places(3), 110007);
        assert_int_equal(to_worker(requests(3), 110007, &got), 0);
        assert_null(got.requests.in_at);
        inlined[0] = 40001;
        refused_by_worker(requests_with_places(3), 7);
}

static int forged_places(size_t n_in, size_t n_out)
{
        Bulkhead__Lane__ToWorker wire = BULKHEAD__LANE__TO_WORKER__INIT;
        Bulkhead__Lane__Requests body = BULKHEAD__LANE__REQUESTS__INIT;
        struct lane_to_worker got;
        ssize_t n;

        body.n_id = body.n_queue = body.n_readable = body.n_writable = body.n_inlined = body.n_attempt =
            body.n_must_fail = 3;
        body.id = id, body.queue = queue, body.readable = readable, body.writable = writable;
        body.inlined = inlined, body.attempt = attempt, body.must_fail = must_fail;
        body.n_in_at = n_in, body.in_at = in_at;
        body.n_out_at = n_out, body.out_at = out_at;
        wire.kind_case = BULKHEAD__LANE__TO_WORKER__KIND_REQUESTS;
        wire.requests = &body;
        n = wire_pack(&wire.base, buf, sizeof(buf));
        assert_true(n > 0);
        return lane_check_to_worker(&arena, buf, (size_t)n, 0, &got);
}

static void a_column_of_places_is_whole_or_not_there(void **state)
{
        (void)state;
        for (size_t n = 0; n <= 4; n++) {
                assert_int_equal(forged_places(n, 0), n == 0 || n == 3 ? 0 : -EPROTO);
                assert_int_equal(forged_places(3, n), n == 0 || n == 3 ? 0 : -EPROTO);
        }
}

static void room_for_writable_bytes_comes_as_it_was_said(void **state)
{
        struct lane_to_worker got;

        (void)state;
        out_at[0] = 1;
        out_at[1] = UINT32_MAX; /* the receiver's to know */
        assert_int_equal(to_worker(requests_with_places(3), 0, &got), 0);
        assert_int_equal(got.requests.out_at[0], 1);
        assert_int_equal(got.requests.out_at[1], UINT32_MAX);
        assert_int_equal(got.requests.out_at[2], 0);
        assert_int_equal(to_worker(requests(3), 0, &got), 0);
        assert_null(got.requests.out_at);
}

/* ---- Complete ---- */

static int forged_complete(size_t n_placed, const uint32_t *placed, struct lane_to_broker *ret)
{
        Bulkhead__Lane__ToBroker wire = BULKHEAD__LANE__TO_BROKER__INIT;
        Bulkhead__Lane__Complete body = BULKHEAD__LANE__COMPLETE__INIT;
        uint32_t zero[ROOM] = {0};
        ssize_t n;

        body.n_id = body.n_status = body.n_offset = body.n_len = 3;
        body.id = id, body.status = body.offset = body.len = zero;
        body.n_placed = n_placed, body.placed = (uint32_t *)(uintptr_t)placed;
        wire.kind_case = BULKHEAD__LANE__TO_BROKER__KIND_COMPLETE;
        wire.complete = &body;
        n = wire_pack(&wire.base, buf, sizeof(buf));
        assert_true(n > 0);
        return lane_check_to_broker(&arena, buf, (size_t)n, 0, ret);
}

static void the_column_of_placed_bytes_is_whole_or_not_there(void **state)
{
        const uint32_t placed[ROOM] = {1, 0, LIMIT_DIRECT_LEND};
        struct lane_to_broker got;

        (void)state;
        for (size_t n = 0; n <= 4; n++) {
                assert_int_equal(forged_complete(n, placed, &got), n == 0 || n == 3 ? 0 : -EPROTO);
                if (n == 0)
                        assert_null(got.complete.placed);
                if (n == 3)
                        assert_memory_equal(got.complete.placed, placed, 3 * sizeof(placed[0]));
        }
}

static void no_more_bytes_are_placed_than_are_ever_lent(void **state)
{
        struct lane_to_broker got;

        (void)state;
        assert_int_equal(forged_complete(3, (uint32_t[]){0, LIMIT_DIRECT_LEND, 0}, &got), 0);
        assert_int_equal(forged_complete(3, (uint32_t[]){0, LIMIT_DIRECT_LEND + 1, 0}, &got), -EPROTO);
        assert_int_equal(forged_complete(3, (uint32_t[]){0, 0, UINT32_MAX}, &got), -EPROTO);
}

/* ---- Rest ---- */

static void rest_is_a_question_and_an_answer_of_nothing_else(void **state)
{
        const struct lane_to_broker ask = {.kind = LANE_ASK_REST};
        const struct lane_to_worker may = {.kind = LANE_MAY_REST};
        struct lane_to_broker got_ask;
        struct lane_to_worker got_may;

        (void)state;
        assert_int_equal(lane_make_to_broker(&ask, buf, sizeof(buf)), 2);
        assert_int_equal(lane_check_to_broker(&arena, buf, 2, 0, &got_ask), 0);
        assert_int_equal(got_ask.kind, LANE_ASK_REST);
        assert_int_equal(lane_check_to_broker(&arena, buf, 2, 1, &got_ask), -EPROTO);
        assert_int_equal(lane_make_to_broker(&ask, buf, 1), -E2BIG);
        assert_int_equal(to_worker(may, 0, &got_may), 0);
        assert_int_equal(got_may.kind, LANE_MAY_REST);
        refused_by_worker(may, 1);
}

/* ---- sweeps ---- */

static unsigned accepted;

static void sweep_to_worker(const uint8_t *bytes, size_t n, void *context)
{
        const uint32_t *payload_len = context;
        struct lane_to_worker got;
        int r = lane_check_to_worker(&arena, bytes, n, *payload_len, &got);

        assert_true(r == 0 || r == -EPROTO);
        accepted += r == 0;
        if (r == 0)
                assert_true(judged_lane_to_worker(&got, *payload_len));
}

static void bit_flips_and_truncations_never_break_a_promise(void **state)
{
        const struct lane_to_worker down = requests_with_places(3);
        uint32_t payload_len = 2;
        ssize_t n;

        (void)state;
        readable[0] = inlined[0] = 65536;
        readable[2] = inlined[2] = 2;
        in_at[0] = 7;
        out_at[2] = 9;
        accepted = 0;
        n = lane_make_to_worker(&down, buf, sizeof(buf));
        unit_sweep(buf, (size_t)n, sweep_to_worker, &payload_len);
        assert_true(accepted >= 1);
}

#define LANE_TEST(f) cmocka_unit_test_setup_teardown(f, columns_setup, columns_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            LANE_TEST(bytes_that_have_a_place_are_not_in_the_payload),
            LANE_TEST(a_column_of_places_is_whole_or_not_there),
            LANE_TEST(room_for_writable_bytes_comes_as_it_was_said),
            LANE_TEST(the_column_of_placed_bytes_is_whole_or_not_there),
            LANE_TEST(no_more_bytes_are_placed_than_are_ever_lent),
            LANE_TEST(rest_is_a_question_and_an_answer_of_nothing_else),
            LANE_TEST(bit_flips_and_truncations_never_break_a_promise),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
