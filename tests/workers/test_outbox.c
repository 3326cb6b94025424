/* workers/runtime/outbox: when what is gathered goes out.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/fd.h"
#include "workers/runtime/outbox.h"

static struct fd_duplex ends[2];
static uint8_t stage[LINK_STAGE], payload[OUTBOX_PAYLOAD];
static struct link link_;
static struct outbox outbox;

static int setup(void **state)
{
        (void)state;
        if (fd_pipe_pair(ends) < 0 || fd_set_nonblock(ends[0].out) < 0 || fd_set_nonblock(ends[1].in) < 0)
                return -1;
        link_init(&link_, ends[0], stage, LIMIT_FRAME_PAYLOAD);
        outbox_init(&outbox, &link_, payload);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        fd_duplex_close(&ends[0]);
        fd_duplex_close(&ends[1]);
        return 0;
}

static bool went_out(void)
{
        uint8_t bytes[4096];

        return read(ends[1].in, bytes, sizeof(bytes)) > 0;
}

static void complete(uint64_t id, uint32_t placed)
{
        *outbox_reserve(&outbox, 1) = 0;
        outbox_complete_placed(&outbox, id, placed, 1);
}

static void placed_bytes_fill_a_frame(void **state)
{
        (void)state;
        complete(1, OUTBOX_PLACED - 1);
        assert_false(went_out());
        complete(2, 1);
        assert_true(went_out());
        complete(3, OUTBOX_PLACED - 1); /* the next frame begins with none */
        assert_false(went_out());
        outbox_flush(&outbox);
        assert_true(went_out());
}

static void a_batch_fills_a_frame_unless_many_wait(void **state)
{
        (void)state;
        outbox_expect(&outbox, OUTBOX_MANY);
        for (uint64_t id = 1; id < OUTBOX_BATCH; id++)
                complete(id, 1);
        assert_false(went_out());
        complete(OUTBOX_BATCH, 1);
        assert_true(went_out());
        outbox_expect(&outbox, OUTBOX_MANY + 1);
        for (uint64_t id = 1; id < OUTBOX_MANY; id++)
                complete(id, 1);
        assert_false(went_out());
        complete(OUTBOX_MANY, 1);
        assert_true(went_out());
}

/* Completions in the next frame. */
static size_t n_in_frame(void)
{
        uint8_t bytes[8192];
        struct lane_to_broker message;
        struct frame_head head;
        struct arena arena;
        ssize_t n = read(ends[1].in, bytes, FRAME_HEAD_BYTES);

        assert_int_equal(n, FRAME_HEAD_BYTES);
        assert_int_equal(frame_head_check(bytes, LIMIT_FRAME_PAYLOAD, &head), 0);
        assert_int_equal(read(ends[1].in, bytes, head.header_len), head.header_len);
        assert_int_equal(arena_init(&arena, 65536), 0);
        assert_int_equal(lane_check_to_broker(&arena, bytes, head.header_len, head.payload_len, &message), 0);
        arena_done(&arena);
        assert_int_equal(read(ends[1].in, bytes, head.payload_len), head.payload_len);
        return message.complete.n;
}

static void completions_that_belong_together_are_not_parted(void **state)
{
        (void)state;
        for (uint64_t id = 1; id < OUTBOX_BATCH; id++)
                complete(id, 0);
        memset(outbox_reserve(&outbox, OUTBOX_TOGETHER), 7, OUTBOX_TOGETHER);
        outbox_together(&outbox, OUTBOX_TOGETHER);
        for (uint64_t id = 100; id < 100 + OUTBOX_TOGETHER; id++)
                outbox_complete(&outbox, id, 0, 0, 1);
        assert_int_equal(n_in_frame(), OUTBOX_BATCH - 1);
        assert_int_equal(n_in_frame(), OUTBOX_TOGETHER);
        assert_false(went_out());
}

static void completions_that_belong_together_may_join_others(void **state)
{
        (void)state;
        complete(1, 0);
        memset(outbox_reserve(&outbox, 40), 7, 40);
        outbox_together(&outbox, 40);
        for (uint64_t id = 100; id < 140; id++)
                outbox_complete(&outbox, id, 0, 0, 1);
        assert_int_equal(n_in_frame(), 41);
        complete(2, 0);
        assert_false(went_out());
}

static void what_may_come_together_goes_out_in_the_longest_pieces(void **state)
{
        (void)state;
        outbox_expect(&outbox, 0);
        outbox_set_longer(&outbox, true);
        for (uint64_t id = 1; id < OUTBOX_MANY; id++)
                complete(id, 1);
        assert_false(went_out());
        complete(OUTBOX_MANY, 1);
        assert_true(went_out());
        outbox_set_longer(&outbox, false);
        for (uint64_t id = 1; id <= OUTBOX_BATCH; id++)
                complete(id, 1);
        assert_true(went_out());
}

static void finish(uint64_t id, uint64_t moved)
{
        outbox_moved(&outbox, moved);
        *outbox_reserve(&outbox, 1) = 0;
        outbox_complete(&outbox, id, 0, 0, 1);
}

static void what_has_been_moved_fills_a_frame_unless_many_wait_or_longer_ones_are_better(void **state)
{
        (void)state;
        finish(1, OUTBOX_MOVED - 1);
        assert_false(went_out());
        finish(2, 1);
        assert_int_equal(n_in_frame(), 2);
        finish(3, OUTBOX_MOVED - 1); /* the next frame begins with none */
        assert_false(went_out());
        complete(4, 0); /* and each is counted once */
        assert_false(went_out());
        outbox_set_longer(&outbox, true);
        finish(5, OUTBOX_MOVED);
        assert_false(went_out());
        outbox_set_longer(&outbox, false);
        outbox_expect(&outbox, OUTBOX_MANY + 1);
        finish(6, OUTBOX_MOVED);
        assert_false(went_out());
        outbox_expect(&outbox, OUTBOX_MANY);
        finish(7, 0);
        assert_int_equal(n_in_frame(), 5);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(placed_bytes_fill_a_frame, setup, teardown),
            cmocka_unit_test_setup_teardown(a_batch_fills_a_frame_unless_many_wait, setup, teardown),
            cmocka_unit_test_setup_teardown(
                what_has_been_moved_fills_a_frame_unless_many_wait_or_longer_ones_are_better, setup,
                teardown),
            cmocka_unit_test_setup_teardown(completions_that_belong_together_are_not_parted, setup, teardown),
            cmocka_unit_test_setup_teardown(completions_that_belong_together_may_join_others, setup,
                                            teardown),
            cmocka_unit_test_setup_teardown(what_may_come_together_goes_out_in_the_longest_pieces, setup,
                                            teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
