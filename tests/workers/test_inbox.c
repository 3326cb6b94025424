/* workers/runtime/inbox: credits at the edge, order, and bytes that move.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/limits.h"
#include "workers/runtime/inbox.h"

#define N    8u
#define SIZE 64u

static struct request requests[N];
static uint8_t bytes[SIZE];
static struct inbox inbox;

static int add(size_t n, uint64_t first_id, const uint32_t *inlined, uint8_t fill)
{
        uint64_t id[16];
        uint32_t zero[16] = {0}, lens[16] = {0}, total = 0;
        uint8_t *at = NULL;
        int r;

        for (size_t i = 0; i < n; i++) {
                id[i] = first_id + i;
                lens[i] = inlined ? inlined[i] : 0;
                total += lens[i];
        }
        r = inbox_add(&inbox,
                      &(struct lane_requests){.n = n,
                                              .id = id,
                                              .queue = zero,
                                              .readable = lens,
                                              .writable = zero,
                                              .inlined = lens,
                                              .attempt = zero,
                                              .must_fail = zero},
                      total, &at);
        if (r == 0)
                memset(at, fill, total);
        else
                assert_null(at);
        return r;
}

static int setup(void **state)
{
        (void)state;
        inbox_init(&inbox, NULL, requests, N, bytes, SIZE, NULL);
        return 0;
}

static void all_request_credits_are_taken_and_one_more_is_refused(void **state)
{
        (void)state;
        assert_int_equal(add(N - 1, 1, NULL, 0), 0);
        assert_int_equal(add(2, 100, NULL, 0), -EPROTO);
        assert_int_equal(inbox.n_held, N - 1);
        assert_int_equal(add(1, 100, NULL, 0), 0);
        assert_int_equal(add(1, 101, NULL, 0), -EPROTO);
        assert_int_equal(inbox.n_held, N);
        assert_int_equal(inbox.n_waiting, N);
}

static void all_byte_credits_are_taken_and_one_more_is_refused(void **state)
{
        (void)state;
        assert_int_equal(add(2, 1, (uint32_t[]){SIZE, 1}, 1), -EPROTO);
        assert_int_equal(inbox.n_held, 0);
        assert_int_equal(add(2, 1, (uint32_t[]){SIZE - 1, 0}, 1), 0);
        assert_int_equal(add(1, 3, (uint32_t[]){2}, 1), -EPROTO);
        assert_int_equal(add(1, 3, (uint32_t[]){1}, 1), 0);
        assert_int_equal(add(1, 4, (uint32_t[]){1}, 1), -EPROTO);
        assert_int_equal(add(1, 4, (uint32_t[]){0}, 1), 0);
        assert_int_equal(inbox.held, SIZE);
}

static void a_credit_comes_back_with_the_answer(void **state)
{
        struct request *r;

        (void)state;
        for (uint64_t round = 0; round < 5 * N; round++) {
                assert_int_equal(add(1, round, (uint32_t[]){SIZE}, 1), 0);
                r = inbox_next(&inbox);
                assert_int_equal(r->id, round);
                inbox_remove(&inbox, r);
        }
        assert_int_equal(inbox.n_held, 0);
        assert_int_equal(inbox.held, 0);
        assert_null(inbox_next(&inbox));
}

static void requests_are_handed_out_in_order_of_arrival(void **state)
{
        (void)state;
        assert_int_equal(add(3, 10, NULL, 0), 0);
        assert_int_equal(inbox_next(&inbox)->id, 10);
        assert_int_equal(add(2, 13, NULL, 0), 0);
        for (uint64_t id = 11; id < 15; id++)
                assert_int_equal(inbox_next(&inbox)->id, id);
        assert_null(inbox_next(&inbox));
        assert_int_equal(inbox.n_waiting, 0);
        assert_int_equal(inbox.n_held, 5);
}

static void assert_filled(const struct request *r, uint8_t fill)
{
        for (uint32_t i = 0; i < r->inlined; i++)
                assert_int_equal(inbox.bytes[r->inline_at + i], fill);
}

static void held_bytes_move_down_and_keep_their_value(void **state)
{
        struct request *a, *b, *c;

        (void)state;
        assert_int_equal(add(1, 1, (uint32_t[]){24}, 0xa1), 0);
        assert_int_equal(add(1, 2, (uint32_t[]){24}, 0xa2), 0);
        assert_int_equal(add(1, 3, (uint32_t[]){16}, 0xa3), 0);
        a = inbox_next(&inbox);
        b = inbox_next(&inbox);
        c = inbox_next(&inbox);
        inbox_remove(&inbox, b);
        assert_int_equal(add(1, 4, (uint32_t[]){24}, 0xa4), 0);
        assert_filled(a, 0xa1);
        assert_filled(c, 0xa3);
        assert_int_equal(c->inline_at, 24);
        assert_filled(inbox_next(&inbox), 0xa4);
}

static void any_order_of_answers_keeps_every_byte(void **state)
{
        struct request *held[N];
        uint8_t fill[N];
        uint32_t n = 0;
        uint64_t id = 1;

        (void)state;
        srand(7);
        for (unsigned round = 0; round < 20000; round++) {
                uint32_t len = (uint32_t)rand() % 20;
                uint8_t value = (uint8_t)rand();

                if (n < N && inbox.held + len <= SIZE) {
                        assert_int_equal(add(1, id, &len, value), 0);
                        held[n] = inbox_next(&inbox);
                        assert_int_equal(held[n]->id, id++);
                        fill[n++] = value;
                }
                for (uint32_t i = 0; i < n; i++)
                        assert_filled(held[i], fill[i]);
                if (n > 0 && rand() % 2) {
                        uint32_t out = (uint32_t)rand() % n;

                        inbox_remove(&inbox, held[out]);
                        held[out] = held[--n];
                        fill[out] = fill[n];
                }
        }
}

/* ---- places in the area ---- */

#define PAGES 4u

static _Alignas(LIMIT_AREA_PAGE) uint8_t area_bytes[PAGES * LIMIT_AREA_PAGE];

static int setup_steps(uint32_t step, uint32_t shift)
{
        const struct inbox_area area = {
            .bytes = area_bytes, .len = sizeof(area_bytes), .step = step, .shift = shift};

        inbox_init(&inbox, NULL, requests, N, bytes, SIZE, &area);
        return 0;
}

static int setup_area(void **state)
{
        (void)state;
        return setup_steps(LIMIT_AREA_PAGE, LIMIT_AREA_PAGE - 16);
}

/* Places that lie close to each other, of a page and a line: three of them, and most of a fourth. */
#define STEP (LIMIT_AREA_PAGE + LIMIT_AREA_LINE)

static int setup_dense(void **state)
{
        (void)state;
        return setup_steps(STEP, LIMIT_AREA_LINE - 16);
}

/* in_at, out_at: 0: it has no such place. */
static int add_one(uint64_t id, uint32_t inlined, uint32_t writable, uint32_t in_at, uint32_t out_at)
{
        const uint32_t zero = 0;
        uint8_t *at;

        return inbox_add(&inbox,
                         &(struct lane_requests){.n = 1,
                                                 .id = &id,
                                                 .queue = &zero,
                                                 .readable = &inlined,
                                                 .writable = &writable,
                                                 .inlined = &inlined,
                                                 .attempt = &zero,
                                                 .must_fail = &zero,
                                                 .in_at = in_at > 0 ? &in_at : NULL,
                                                 .out_at = out_at > 0 ? &out_at : NULL},
                         in_at > 0 ? 0 : inlined, &at);
}

/* A request whose readable part has a place. */
static int add_placed(uint32_t inlined, uint32_t in_at)
{
        return add_one(1, inlined, 0, in_at, 0);
}

/* A request with room for its writable part. */
static int add_lent(uint32_t writable, uint32_t out_at)
{
        return add_one(2, 0, writable, 0, out_at);
}

static void a_placed_request_costs_no_byte_credit(void **state)
{
        struct request *r;

        (void)state;
        assert_int_equal(add_placed(LIMIT_AREA_PAGE + 16, 1), 0);
        r = inbox_next(&inbox);
        assert_ptr_equal(inbox_inlined(&inbox, r), area_bytes + LIMIT_AREA_PAGE - 16);
        assert_int_equal(inbox.held, 0);
        assert_int_equal(add(1, 3, (uint32_t[]){SIZE}, 1), 0);
        inbox_remove(&inbox, r);
        assert_int_equal(inbox.held, SIZE);
}

static void places_end_with_the_area(void **state)
{
        (void)state;
        assert_int_equal(add_placed(3 * LIMIT_AREA_PAGE + 16, 1), 0);
        assert_int_equal(add_placed(3 * LIMIT_AREA_PAGE + 17, 1), -EPROTO);
        assert_int_equal(add_placed(16, PAGES), 0);
        assert_int_equal(add_placed(17, PAGES), -EPROTO);
        assert_int_equal(add_placed(1, PAGES + 1), -EPROTO);
        assert_int_equal(add_placed(1, UINT32_MAX), -EPROTO);
        assert_int_equal(inbox.n_held, 2);
}

static void dense_places_lie_a_step_apart(void **state)
{
        (void)state;
        for (uint32_t at = 1; at <= 4; at++) {
                assert_int_equal(add_placed(16, at), 0);
                assert_ptr_equal(inbox_next(&inbox)->in, area_bytes + (at - 1) * STEP + LIMIT_AREA_LINE - 16);
        }
        assert_int_equal(add_lent(LIMIT_AREA_PAGE, 3), 0); /* which writable ones do not */
        assert_ptr_equal(inbox_next(&inbox)->out, area_bytes + 2 * LIMIT_AREA_PAGE);
}

static void dense_places_end_with_the_area(void **state)
{
        const uint32_t all = sizeof(area_bytes) - (LIMIT_AREA_LINE - 16);

        (void)state;
        assert_int_equal(add_placed(all, 1), 0);
        assert_int_equal(add_placed(all + 1, 1), -EPROTO);
        assert_int_equal(add_placed(all - 3 * STEP, 4), 0);
        assert_int_equal(add_placed(all - 3 * STEP + 1, 4), -EPROTO);
        assert_int_equal(add_placed(UINT32_MAX, 1), -EPROTO);
        assert_int_equal(add_placed(1, 5), -EPROTO);
        assert_int_equal(inbox.n_held, 2);
}

/* Numbers whose sums would begin anew in 32 bits: just at the area's beginning, and in it. */
static void the_number_of_a_place_never_wraps(void **state)
{
        static const uint32_t steps[] = {STEP, LIMIT_AREA_PAGE, 2 * LIMIT_AREA_PAGE};

        (void)state;
        for (size_t i = 0; i < 3; i++) {
                uint32_t once = (uint32_t)((UINT64_C(1) << 32) / steps[i]);

                setup_steps(steps[i], steps[i] == STEP ? 48 : 0);
                for (uint32_t at = once - 2; at < once + 6; at++) {
                        assert_int_equal(add_placed(1, at), -EPROTO);
                        assert_int_equal(add_placed(0, at), -EPROTO);
                }
                assert_int_equal(add_placed(1, UINT32_MAX), -EPROTO);
                assert_int_equal(add_lent(1, UINT32_MAX), -EPROTO);
                assert_int_equal(add_lent(1, (1u << 20) + 1), -EPROTO); /* pages of 4 GiB, and one */
                assert_int_equal(inbox.n_held, 0);
        }
}

static void without_an_area_there_are_no_places(void **state)
{
        (void)state;
        inbox_init(&inbox, NULL, requests, N, bytes, SIZE, NULL);
        assert_int_equal(add_placed(1, 1), -EPROTO);
        assert_int_equal(add_placed(1, 0), 0);
        assert_null(inbox_next(&inbox)->in);
}

/* What moves down is what lies in the inbox. */
static void placed_bytes_stay_where_they_are(void **state)
{
        struct request *a, *placed, *c;

        (void)state;
        assert_int_equal(add(1, 1, (uint32_t[]){24}, 0xa1), 0);
        assert_int_equal(add_placed(100, 2), 0);
        assert_int_equal(add(1, 3, (uint32_t[]){24}, 0xa3), 0);
        a = inbox_next(&inbox);
        placed = inbox_next(&inbox);
        c = inbox_next(&inbox);
        inbox_remove(&inbox, a);
        assert_int_equal(add(1, 4, (uint32_t[]){40}, 0xa4), 0);
        assert_int_equal(c->inline_at, 0);
        assert_filled(c, 0xa3);
        assert_ptr_equal(inbox_inlined(&inbox, placed), area_bytes + 2 * LIMIT_AREA_PAGE - 16);
        assert_filled(inbox_next(&inbox), 0xa4);
}

static void an_area_rests_when_it_was_used_and_nothing_is_held(void **state)
{
        struct request *r;

        (void)state;
        assert_int_equal(add(1, 1, (uint32_t[]){24}, 0xa1), 0);
        inbox_remove(&inbox, inbox_next(&inbox));
        assert_false(inbox_wants_rest(&inbox)); /* not used */
        assert_int_equal(add_placed(100, 2), 0);
        r = inbox_next(&inbox);
        assert_false(inbox_wants_rest(&inbox)); /* held */
        memset(area_bytes, 0x5a, sizeof(area_bytes));
        inbox_remove(&inbox, r);
        assert_true(inbox_wants_rest(&inbox));
        inbox_ask_rest(&inbox);
        assert_int_equal(area_bytes[2 * LIMIT_AREA_PAGE], 0x5a);
        assert_false(inbox_wants_rest(&inbox)); /* one question at a time */
        inbox_may_rest(&inbox);
        for (size_t i = 0; i < sizeof(area_bytes); i++)
                assert_int_equal(area_bytes[i], 0);
        assert_false(inbox_wants_rest(&inbox)); /* once is enough */
}

static void an_area_that_is_used_after_the_question_does_not_rest(void **state)
{
        (void)state;
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(add_lent(100, 3), 0);
                inbox_remove(&inbox, inbox_next(&inbox));
                assert_true(inbox_wants_rest(&inbox));
                inbox_ask_rest(&inbox);
                memset(area_bytes, 0x5a, sizeof(area_bytes));
                assert_int_equal(i == 0 ? add_lent(100, 3) : add_placed(100, 2), 0);
                inbox_remove(&inbox, inbox_next(&inbox));
                assert_false(inbox_wants_rest(&inbox));
                inbox_may_rest(&inbox); /* of the first question: what came since may not have been fetched */
                assert_int_equal(area_bytes[2 * LIMIT_AREA_PAGE], 0x5a);
                assert_true(inbox_wants_rest(&inbox));
                assert_false(inbox.area_doubt);
        }
}

static void room_for_the_writable_part_ends_with_the_area(void **state)
{
        (void)state;
        assert_int_equal(add_lent(LIMIT_AREA_PAGE, PAGES), 0);
        assert_ptr_equal(inbox_next(&inbox)->out, area_bytes + (PAGES - 1) * LIMIT_AREA_PAGE);
        assert_int_equal(add_lent(LIMIT_AREA_PAGE + 1, PAGES), -EPROTO);
        assert_int_equal(add_lent(sizeof(area_bytes), 1), 0);
        assert_ptr_equal(inbox_next(&inbox)->out, area_bytes);
        assert_int_equal(add_lent(1, PAGES + 1), -EPROTO);
        assert_int_equal(add_lent(1, UINT32_MAX), -EPROTO);
        assert_int_equal(add_lent(sizeof(area_bytes), 0), 0);
        assert_null(inbox_next(&inbox)->out);
        inbox_init(&inbox, NULL, requests, N, bytes, SIZE, NULL);
        assert_int_equal(add_lent(1, 1), -EPROTO);
}

/* It may have been put there before the rest. */
static void after_a_rest_nothing_has_come_until_an_answer_has(void **state)
{
        struct request *r;

        (void)state;
        assert_int_equal(add_placed(100, 2), 0);
        inbox_remove(&inbox, inbox_next(&inbox));
        inbox_ask_rest(&inbox);
        inbox_may_rest(&inbox);
        assert_int_equal(add_placed(100, 2), 0);
        r = inbox_next(&inbox);
        assert_null(r->in);
        assert_int_equal(r->inlined, 0);
        assert_int_equal(r->readable, 100);
        assert_int_equal(add(1, 3, (uint32_t[]){SIZE}, 0xa3), 0); /* what comes by the socket has come */
        assert_filled(inbox_next(&inbox), 0xa3);
        inbox_trust(&inbox);
        inbox_remove(&inbox, r);
        assert_int_equal(add_placed(100, 2), 0);
        r = inbox_next(&inbox);
        assert_ptr_equal(inbox_inlined(&inbox, r), area_bytes + 2 * LIMIT_AREA_PAGE - 16);
        assert_int_equal(r->inlined, 100);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(all_request_credits_are_taken_and_one_more_is_refused, setup),
            cmocka_unit_test_setup(all_byte_credits_are_taken_and_one_more_is_refused, setup),
            cmocka_unit_test_setup(a_credit_comes_back_with_the_answer, setup),
            cmocka_unit_test_setup(requests_are_handed_out_in_order_of_arrival, setup),
            cmocka_unit_test_setup(held_bytes_move_down_and_keep_their_value, setup),
            cmocka_unit_test_setup(any_order_of_answers_keeps_every_byte, setup),
            cmocka_unit_test_setup(a_placed_request_costs_no_byte_credit, setup_area),
            cmocka_unit_test_setup(places_end_with_the_area, setup_area),
            cmocka_unit_test_setup(dense_places_lie_a_step_apart, setup_dense),
            cmocka_unit_test_setup(dense_places_end_with_the_area, setup_dense),
            cmocka_unit_test_setup(the_number_of_a_place_never_wraps, setup_dense),
            cmocka_unit_test_setup(without_an_area_there_are_no_places, setup_area),
            cmocka_unit_test_setup(placed_bytes_stay_where_they_are, setup_area),
            cmocka_unit_test_setup(an_area_rests_when_it_was_used_and_nothing_is_held, setup_area),
            cmocka_unit_test_setup(an_area_that_is_used_after_the_question_does_not_rest, setup_area),
            cmocka_unit_test_setup(room_for_the_writable_part_ends_with_the_area, setup_area),
            cmocka_unit_test_setup(after_a_rest_nothing_has_come_until_an_answer_has, setup_area),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
