/* The host fails the block worker: errors, interruptions and short transfers of each call that it makes, in
 * its jail, behind a whole broker (recorder.c makes the calls fail).
 * TRUST: statuses and data are the broker's, and are what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"
#include "tests/faults/load.h"
#include "tests/faults/stack.h"
#include "tests/power_cut/record_order.h"

#define BLOCKS ((unsigned)(RECORD_DISK / LOAD_BLOCK))
#define DEPTH  16u
#define ALWAYS UINT32_MAX
#define EVERY  63u /* all calls */

static const char *bin;
static bool direct;
static struct stack stack;
static struct load load;
static struct record_control *control;
static pid_t worker;

static void require(int r, const char *what)
{
        if (r >= 0)
                return;
        stack_show_log(&stack);
        fail_msg("%s: %s; %s", what, strerror(-r), load.why);
}

static int setup(void **state)
{
        uint8_t *image;

        (void)state;
        memset(&load, 0, sizeof(load));
        load.seed = 11;
        /* placement: free, since a lane that shares its worker's CPU sees each of its short pieces come: one that drips */
        if (stack_make(&stack, bin, direct ? RECORD_DIRECT_PARENT : NULL, RECORD_IMAGE) < 0 ||
            (direct && stack_configure(&stack, stack.image, ", direct: true, placement: free") < 0) ||
            record_map(stack.image, RECORD_LOG, &image) < 0 || stack_start(&stack) < 0)
                return -1;
        control = (struct record_control *)(image + RECORD_CONTROL);
        if (load_open(&load, stack.socket, FRONT_END_QEMU_7_2, DEPTH, BLOCKS) < 0 || load_clear(&load) < 0)
                return -1;
        worker = stack_worker(&stack, "blk");
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        load_close(&load);
        munmap((uint8_t *)control - RECORD_CONTROL, RECORD_LOG);
        stack_done(&stack);
        return 0;
}

static int do_request(uint32_t type)
{
        return blk_front_do(&load.blk, type, 8, type == BLK_FLUSH ? 0 : LOAD_BLOCK, LOAD_DEADLINE_MS);
}

static void works_again(const char *what)
{
        require(load_clear(&load), what);
        require(load_run(&load, 100), what);
        require(load_drain(&load), what);
        if (stack_worker(&stack, "blk") != worker)
                stack_show_log(&stack);
        assert_int_equal(stack_worker(&stack, "blk"), worker);
}

static void an_error_of_the_host_fails_that_request_alone(void **state)
{
        static const struct {
                uint32_t call, request;
                int error;
        } rows[] = {
            {CALL_PREAD, BLK_IN, EIO},
            {CALL_PWRITE, BLK_OUT, EIO},
            {CALL_PWRITE, BLK_OUT, ENOSPC},
            {CALL_PWRITE, BLK_OUT, EDQUOT},
            {CALL_PWRITE, BLK_OUT, EFBIG},
            {CALL_FALLOCATE, BLK_DISCARD, EIO},
            {CALL_FALLOCATE, BLK_WRITE_ZEROES, ENOSPC},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                record_fault(control, rows[i].call, rows[i].error, 1, 1);
                assert_int_equal(do_request(rows[i].request), BLK_S_IOERR);
                assert_int_equal(do_request(rows[i].request), BLK_S_OK);
                works_again(strerror(rows[i].error));
        }
}

static void an_interrupted_call_is_made_again(void **state)
{
        (void)state;
        record_fault(control, EVERY, EINTR, 2, ALWAYS);
        require(load_run(&load, 500), "every second call is interrupted");
        require(load_check(&load), "at the end");
        assert_int_equal(do_request(BLK_DISCARD), BLK_S_OK);
        record_fault(control, 0, 0, 0, 0);
        works_again("after interruptions");
}

static void interruptions_without_end_are_an_error(void **state)
{
        (void)state;
        record_fault(control, CALL_PREAD | CALL_PWRITE, EINTR, 1, ALWAYS);
        assert_int_equal(do_request(BLK_IN), BLK_S_IOERR);
        assert_int_equal(do_request(BLK_OUT), BLK_S_IOERR);
        record_fault(control, 0, 0, 0, 0);
        works_again("after interruptions without end");
}

static void short_transfers_are_continued(void **state)
{
        (void)state;
        record_fault(control, EVERY & ~(uint32_t)(CALL_FDATASYNC | CALL_FALLOCATE), 0, 1, ALWAYS);
        require(load_run(&load, 500), "all transfers are short");
        require(load_check(&load), "all transfers are short");
        record_fault(control, 0, 0, 0, 0);
        works_again("after short transfers");
}

/* Which bytes were lost is not known, and a later success would hide it. */
static void after_a_failed_flush_every_flush_fails_until_there_is_a_new_worker(void **state)
{
        (void)state;
        record_fault(control, CALL_FDATASYNC, EIO, 1, 1);
        assert_int_equal(do_request(BLK_FLUSH), BLK_S_IOERR);
        record_fault(control, 0, 0, 0, 0); /* the host is well again */
        for (int i = 0; i < 5; i++)
                assert_int_equal(do_request(BLK_FLUSH), BLK_S_IOERR);
        assert_int_equal(do_request(BLK_OUT), BLK_S_OK);
        assert_int_equal(do_request(BLK_IN), BLK_S_OK);
        assert_int_equal(do_request(BLK_FLUSH), BLK_S_IOERR);
        assert_int_equal(stack_worker(&stack, "blk"), worker);
        assert_int_equal(stack_kill_worker(&stack, "blk"), worker);
        worker = stack_worker_after(&stack, "blk", worker);
        assert_int_equal(do_request(BLK_FLUSH), BLK_S_OK);
        works_again("after a new worker");
}

static void a_flush_that_is_interrupted_is_made_again(void **state)
{
        (void)state;
        record_fault(control, CALL_FDATASYNC, EINTR, 1, 3);
        assert_int_equal(do_request(BLK_FLUSH), BLK_S_OK);
        assert_int_equal(do_request(BLK_FLUSH), BLK_S_OK);
        works_again("after an interrupted flush");
}

static void under_writethrough_a_write_that_cannot_be_settled_fails(void **state)
{
        const uint64_t features = UINT64_C(1) << 32 | 1u << 29 | 1u << 28;

        (void)state;
        front_end_close(&load.front);
        load.front.wire = (struct wire){.sock = -1, .deadline_ms = LOAD_DEADLINE_MS};
        require(wire_connect(&load.front.wire, stack.socket), "a second session");
        require(front_end_negotiate(&load.front, FRONT_END_QEMU_7_2, true), "a second session");
        blk_front_forget(&load.blk);
        require(front_end_start(&load.front, features, &load.ram), "without FLUSH");
        require(front_end_start_ring(&load.front, 0, &load.blk.ring, 0), "without FLUSH");
        assert_int_equal(do_request(BLK_OUT), BLK_S_OK);
        record_fault(control, CALL_FDATASYNC, EIO, 1, 1);
        assert_int_equal(do_request(BLK_OUT), BLK_S_IOERR);
        assert_int_equal(do_request(BLK_OUT), BLK_S_IOERR);
        assert_int_equal(do_request(BLK_IN), BLK_S_OK);
}

static void a_host_that_cannot_punch_or_zero_is_served_by_writing(void **state)
{
        static const uint8_t zeroes[LOAD_BLOCK];

        (void)state;
        record_fault(control, CALL_FALLOCATE, EOPNOTSUPP, 1, ALWAYS);
        assert_int_equal(do_request(BLK_DISCARD), BLK_S_OK);
        assert_int_equal(do_request(BLK_WRITE_ZEROES), BLK_S_OK);
        assert_int_equal(do_request(BLK_IN), BLK_S_OK);
        assert_memory_equal(blk_front_data(&load.blk, 0), zeroes, LOAD_BLOCK);
        works_again("without fallocate");
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
            FAULT_TEST(an_error_of_the_host_fails_that_request_alone),
            FAULT_TEST(an_interrupted_call_is_made_again),
            FAULT_TEST(interruptions_without_end_are_an_error),
            FAULT_TEST(short_transfers_are_continued),
            FAULT_TEST(after_a_failed_flush_every_flush_fails_until_there_is_a_new_worker),
            FAULT_TEST(a_flush_that_is_interrupted_is_made_again),
            FAULT_TEST(under_writethrough_a_write_that_cannot_be_settled_fails),
            FAULT_TEST(a_host_that_cannot_punch_or_zero_is_served_by_writing),
        };

        if (argc != 2 && (argc != 3 || strcmp(argv[2], "--direct") != 0))
                return 2;
        bin = argv[1];
        direct = argc == 3;
        if (direct && (stack_make(&stack, bin, RECORD_DIRECT_PARENT, RECORD_IMAGE) < 0 ||
                       !record_can_be_direct(stack.image))) {
                stack_done(&stack);
                return RECORD_SKIPPED;
        }
        if (direct)
                stack_done(&stack);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
