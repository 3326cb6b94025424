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
        inbox_init(&inbox, NULL, requests, N, bytes, SIZE);
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

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(all_request_credits_are_taken_and_one_more_is_refused, setup),
            cmocka_unit_test_setup(all_byte_credits_are_taken_and_one_more_is_refused, setup),
            cmocka_unit_test_setup(a_credit_comes_back_with_the_answer, setup),
            cmocka_unit_test_setup(requests_are_handed_out_in_order_of_arrival, setup),
            cmocka_unit_test_setup(held_bytes_move_down_and_keep_their_value, setup),
            cmocka_unit_test_setup(any_order_of_answers_keeps_every_byte, setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
