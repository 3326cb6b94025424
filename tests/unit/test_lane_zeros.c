/* Columns of zeros are not sent, and come back as zeros.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/base/status.h"
#include "proto/lane.h"

#define N            2u
#define COLUMN_BYTES (2u + N * sizeof(uint32_t)) /* tag and length are a byte each */
#define N_COLUMNS    6u

static struct arena arena;
static uint8_t buf[LIMIT_FRAME_HEADER];
static const uint64_t id[LIMIT_WIRE_COLUMN] = {UINT64_MAX, 1};
static uint32_t column[N_COLUMNS][LIMIT_WIRE_COLUMN];

static int begin(void **state)
{
        (void)state;
        memset(column, 0, sizeof(column));
        return arena_init(&arena, LIMIT_ARENA);
}

static int end(void **state)
{
        (void)state;
        arena_done(&arena);
        return 0;
}

static ssize_t send_requests(size_t n, uint32_t payload_len, struct lane_requests *ret)
{
        const struct lane_to_worker message = {
            .kind = LANE_REQUESTS,
            .requests = {n, id, column[0], column[1], column[2], column[3], column[4], column[5]}};
        ssize_t len = lane_make_to_worker(&message, buf, sizeof(buf));
        struct lane_to_worker got;

        assert_int_equal(lane_check_to_worker(&arena, buf, (size_t)len, payload_len, &got), 0);
        *ret = got.requests;
        return len;
}

static ssize_t send_to_broker(const struct lane_to_broker *message, uint32_t payload_len,
                              struct lane_to_broker *ret)
{
        ssize_t len = lane_make_to_broker(message, buf, sizeof(buf));

        assert_int_equal(lane_check_to_broker(&arena, buf, (size_t)len, payload_len, ret), 0);
        return len;
}

static ssize_t send_complete(uint32_t payload_len, struct lane_complete *ret)
{
        const struct lane_to_broker message = {
            .kind = LANE_COMPLETE, .complete = {N, id, column[0], column[1], column[2], column[3]}};
        struct lane_to_broker got;
        ssize_t len = send_to_broker(&message, payload_len, &got);

        *ret = got.complete;
        return len;
}

static void assert_columns(const uint32_t *const *got, unsigned n_columns, size_t n)
{
        for (unsigned i = 0; i < n_columns; i++) {
                assert_non_null(got[i]);
                assert_memory_equal(got[i], column[i], n * sizeof(uint32_t));
        }
}

static void assert_requests(const struct lane_requests *got, size_t n)
{
        const uint32_t *const columns[N_COLUMNS] = {got->queue,   got->readable, got->writable,
                                                    got->inlined, got->attempt,  got->must_fail};

        assert_int_equal(got->n, n);
        assert_memory_equal(got->id, id, n * sizeof(*id));
        assert_columns(columns, N_COLUMNS, n);
        assert_null(got->in_at);
        assert_null(got->out_at);
}

static void requests_of_zeros_are_their_ids(void **state)
{
        struct lane_requests got;
        ssize_t none;

        (void)state;
        none = send_requests(N, 0, &got);
        assert_requests(&got, N);
        for (unsigned i = 0; i < N_COLUMNS; i++) {
                if (i == 3) /* what is inlined must be readable */
                        column[1][1] = 1;
                column[i][1] = 1;
                assert_int_equal(send_requests(N, i == 3, &got),
                                 none + (ssize_t)(i == 3 ? 2 * COLUMN_BYTES : COLUMN_BYTES));
                assert_requests(&got, N);
                memset(column, 0, sizeof(column));
        }
}

static void the_longest_batch_may_be_zeros(void **state)
{
        struct lane_requests got;

        (void)state;
        send_requests(LIMIT_WIRE_COLUMN, 0, &got);
        assert_requests(&got, LIMIT_WIRE_COLUMN);
}

static void a_zero_stands_where_others_do_not(void **state)
{
        struct lane_requests got;

        (void)state;
        column[0][0] = 5; /* the second is 0 */
        column[2][1] = 7; /* the first is */
        send_requests(N, 0, &got);
        assert_requests(&got, N);
}

static void completions_of_zeros_are_their_ids(void **state)
{
        static const uint32_t some[] = {WIRE_STATUS_PROTOCOL, 9, 3, 4};
        struct lane_complete got;
        ssize_t none;

        (void)state;
        none = send_complete(0, &got);
        assert_null(got.placed);
        for (unsigned i = 0; i < 4; i++) {
                const uint32_t *columns[3];

                column[i][1] = some[i];
                assert_int_equal(send_complete(i == 2 ? some[2] : 0, &got), none + (ssize_t)COLUMN_BYTES);
                columns[0] = got.status;
                columns[1] = got.offset;
                columns[2] = got.len;
                assert_columns(columns, 3, N);
                assert_true(i == 3 ? memcmp(got.placed, column[3], N * sizeof(uint32_t)) == 0 : !got.placed);
                memset(column, 0, sizeof(column));
        }
}

static void what_is_moved_from_the_beginning_needs_no_offset(void **state)
{
        static const uint32_t len[N] = {3, 4};
        const struct lane_to_broker messages[] = {
            {.kind = LANE_MEM_READ, .mem_read = {.n = N, .id = id, .offset = column[0], .len = len}},
            {.kind = LANE_MEM_WRITE, .mem_write = {.n = N, .id = id, .offset = column[0], .len = len}},
        };

        (void)state;
        for (size_t i = 0; i < array_size(messages); i++) {
                uint32_t payload_len = messages[i].kind == LANE_MEM_WRITE ? 7 : 0;
                struct lane_to_broker got;
                const uint32_t *offset;
                ssize_t none;

                column[0][0] = 0;
                none = send_to_broker(&messages[i], payload_len, &got);
                offset = i == 0 ? got.mem_read.offset : got.mem_write.offset;
                assert_memory_equal(offset, column[0], N * sizeof(uint32_t));
                column[0][0] = 1;
                assert_int_equal(send_to_broker(&messages[i], payload_len, &got),
                                 none + (ssize_t)COLUMN_BYTES);
                offset = i == 0 ? got.mem_read.offset : got.mem_write.offset;
                assert_memory_equal(offset, column[0], N * sizeof(uint32_t));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(requests_of_zeros_are_their_ids, begin, end),
            cmocka_unit_test_setup_teardown(the_longest_batch_may_be_zeros, begin, end),
            cmocka_unit_test_setup_teardown(a_zero_stands_where_others_do_not, begin, end),
            cmocka_unit_test_setup_teardown(completions_of_zeros_are_their_ids, begin, end),
            cmocka_unit_test_setup_teardown(what_is_moved_from_the_beginning_needs_no_offset, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
