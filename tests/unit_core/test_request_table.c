/* The request table: ids that find nothing once stale, order, and the full table.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/request_table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/limits.h"

static struct request *add(struct request_table *table, uint16_t queue)
{
        struct request *request = request_table_peek(table);

        if (request)
                request_table_add(table, request, queue, 1000);
        return request;
}

static void sizes_outside_the_limits_are_refused(void **state)
{
        struct request_table table = {.capacity = 77};

        (void)state;
        assert_int_equal(request_table_init(&table, 0, 1), -EINVAL);
        assert_int_equal(request_table_init(&table, LIMIT_CREDITS + 1, 1), -EINVAL);
        assert_int_equal(request_table_init(&table, 1, 0), -EINVAL);
        assert_int_equal(request_table_init(&table, 1, LIMIT_CHAIN_SEGMENTS + 1), -EINVAL);
        assert_int_equal(table.capacity, 77);
        assert_int_equal(request_table_init(&table, 1, 1), 0);
        request_table_done(&table);
        assert_int_equal(request_table_init(&table, LIMIT_CREDITS, LIMIT_CHAIN_SEGMENTS), 0);
        request_table_done(&table);
        request_table_done(&table); /* accepts the empty one */
}

static void table_gives_exactly_its_capacity(void **state)
{
        struct request_table table;
        struct request *requests[LIMIT_CREDITS];

        (void)state;
        assert_int_equal(request_table_init(&table, LIMIT_CREDITS, 3), 0);
        for (uint32_t i = 0; i < LIMIT_CREDITS; i++) {
                requests[i] = add(&table, 0);
                assert_non_null(requests[i]);
                assert_int_equal(table.outstanding, i + 1);
        }
        assert_null(request_table_peek(&table));
        request_table_release(&table, requests[100]);
        assert_ptr_equal(request_table_peek(&table), requests[100]);
        request_table_done(&table);
}

static void segments_of_requests_do_not_overlap(void **state)
{
        struct request_table table;

        (void)state;
        assert_int_equal(request_table_init(&table, LIMIT_CREDITS, 5), 0);
        for (uint32_t i = 0; i < LIMIT_CREDITS; i++) {
                struct request *request = add(&table, 0);

                assert_int_equal(request->chain.max_segments, 5);
                for (unsigned k = 0; k < 5; k++)
                        request->chain.segments[k].len = i;
        }
        for (struct request *request = table.oldest; request; request = request->newer) {
                for (unsigned k = 1; k < 5; k++)
                        assert_int_equal(request->chain.segments[k].len, request->chain.segments[0].len);
        }
        request_table_done(&table);
}

static void peeked_request_that_is_left_changes_nothing(void **state)
{
        struct request_table table;
        struct request *peeked;

        (void)state;
        assert_int_equal(request_table_init(&table, 2, 1), 0);
        peeked = request_table_peek(&table);
        peeked->chain.head = 5;
        assert_int_equal(peeked->state, REQUEST_FREE);
        assert_null(request_table_find(&table, peeked->id));
        assert_ptr_equal(request_table_peek(&table), peeked);
        assert_int_equal(table.outstanding, 0);
        assert_null(table.oldest);
        request_table_done(&table);
}

static void id_zero_and_invented_ids_find_nothing(void **state)
{
        struct request_table table;
        struct request *request;

        (void)state;
        assert_int_equal(request_table_init(&table, 4, 1), 0);
        for (uint64_t id = 0; id < 8; id++)
                assert_null(request_table_find(&table, id));
        request = add(&table, 3);
        assert_int_equal(request->id >> 16, 1);
        assert_ptr_equal(request_table_find(&table, request->id), request);
        assert_int_equal(request->queue, 3);
        assert_int_equal(request->born_ms, 1000);
        assert_int_equal(request->state, REQUEST_QUEUED);
        for (unsigned bit = 0; bit < 64; bit++)
                assert_null(request_table_find(&table, request->id ^ UINT64_C(1) << bit));
        assert_null(request_table_find(&table, request->id & 0xffff));
        assert_null(request_table_find(&table, UINT64_MAX));
        request_table_done(&table);
}

static void stale_id_finds_nothing(void **state)
{
        struct request_table table;
        uint64_t ids[100];

        (void)state;
        assert_int_equal(request_table_init(&table, 1, 1), 0);
        for (unsigned i = 0; i < 100; i++) {
                struct request *request = add(&table, 0);

                ids[i] = request->id;
                for (unsigned k = 0; k < i; k++)
                        assert_null(request_table_find(&table, ids[k]));
                assert_ptr_equal(request_table_find(&table, ids[i]), request);
                request_table_release(&table, request);
                assert_null(request_table_find(&table, ids[i]));
        }
        request_table_done(&table);
}

static void generation_wraps_past_zero(void **state)
{
        struct request_table table;
        struct request *request;

        (void)state;
        assert_int_equal(request_table_init(&table, 2, 1), 0);
        (void)add(&table, 0);
        request = request_table_peek(&table);
        request->id = UINT64_C(0xfffffffffffe) << 16 | 1;
        request_table_add(&table, request, 0, 0);
        assert_true(request->id == (UINT64_C(0xffffffffffff) << 16 | 1));
        assert_ptr_equal(request_table_find(&table, UINT64_C(0xffffffffffff) << 16 | 1), request);
        request_table_release(&table, request);
        request = add(&table, 0);
        assert_true(request->id == (UINT64_C(1) << 16 | 1));
        assert_null(request_table_find(&table, UINT64_C(0xffffffffffff) << 16 | 1));
        assert_null(request_table_find(&table, 1));
        request_table_done(&table);
}

static void released_request_comes_back_clean(void **state)
{
        struct request_table table;
        struct request *request;
        struct segment *segments;

        (void)state;
        assert_int_equal(request_table_init(&table, 1, 4), 0);
        request = add(&table, 9);
        segments = request->chain.segments;
        request->state = REQUEST_SENT;
        request->attempt = 3;
        request->must_fail = request->faulted = true;
        request->inlined = request->written = 44;
        request->chain.n_readable = 2;
        request->chain.head = 7;
        request_table_release(&table, request);
        assert_ptr_equal(request_table_peek(&table), request);
        assert_int_equal(request->state, REQUEST_FREE);
        assert_int_equal(request->attempt, 0);
        assert_false(request->must_fail || request->faulted);
        assert_int_equal(request->inlined + request->written, 0);
        assert_int_equal(request->chain.n_readable + request->chain.head, 0);
        assert_int_equal(request->chain.max_segments, 4);
        assert_ptr_equal(request->chain.segments, segments);
        request_table_done(&table);
}

/* Walks both ways and compares with the expected order. */
static void assert_order(const struct request_table *table, struct request *const *want, uint32_t n)
{
        struct request *request = table->oldest;

        assert_int_equal(table->outstanding, n);
        for (uint32_t i = 0; i < n; i++, request = request->newer)
                assert_ptr_equal(request, want[i]);
        assert_null(request);
        request = table->newest;
        for (uint32_t i = n; i > 0; i--, request = request->older)
                assert_ptr_equal(request, want[i - 1]);
        assert_null(request);
}

static void order_survives_release_anywhere(void **state)
{
        struct request_table table;
        struct request *want[LIMIT_CREDITS];
        uint32_t n = 0;
        uint64_t seed = 5;

        (void)state;
        assert_int_equal(request_table_init(&table, 17, 1), 0);
        for (unsigned op = 0; op < 20000; op++) {
                seed = seed * UINT64_C(6364136223846793005) + 1;
                if ((seed >> 40) % 2 == 0) {
                        struct request *request = add(&table, 0);

                        assert_int_equal(request != NULL, n < 17);
                        if (request)
                                want[n++] = request;
                } else if (n > 0) {
                        uint32_t i = (uint32_t)(seed >> 41) % n;
                        uint64_t id = want[i]->id;

                        request_table_release(&table, want[i]);
                        assert_null(request_table_find(&table, id));
                        memmove(&want[i], &want[i + 1], (n - i - 1) * sizeof(want[0]));
                        n--;
                }
                assert_order(&table, want, n);
        }
        request_table_done(&table);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(sizes_outside_the_limits_are_refused),
            cmocka_unit_test(table_gives_exactly_its_capacity),
            cmocka_unit_test(segments_of_requests_do_not_overlap),
            cmocka_unit_test(peeked_request_that_is_left_changes_nothing),
            cmocka_unit_test(id_zero_and_invented_ids_find_nothing),
            cmocka_unit_test(stale_id_finds_nothing),
            cmocka_unit_test(generation_wraps_past_zero),
            cmocka_unit_test(released_request_comes_back_clean),
            cmocka_unit_test(order_survives_release_anywhere),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
