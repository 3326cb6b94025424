/* workers/blk: adjacent requests of a batch are one host call, and nobody can tell.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/workers/blk_disk.h"
#include "workers/blk/blk_run.h"

#define BATCH 64u
#define BLOCK 4096u

static struct fake_request requests[BATCH];
static struct io ios[BATCH];
static unsigned n_ios;

/* ---- a batch ---- */

static void add(uint32_t type, uint64_t sector, uint32_t len)
{
        struct io *io = &ios[n_ios];
        uint8_t *at = disk + sector * BLK_SECTOR;

        for (uint32_t i = 0; type == T_OUT && i < len; i++)
                at[i] = (uint8_t)rand();
        if (type == T_OUT)
                io_init(io, type, sector, at, len, 1);
        else
                io_init(io, type, sector, NULL, 0, len + 1);
        requests[n_ios++] = io->request;
}

static void add_blocks(uint32_t type, unsigned first, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                add(type, (uint64_t)(first + i) * (BLOCK / BLK_SECTOR), BLOCK);
}

static void send_batch(void)
{
        fake_send_requests(&broker, 0, requests, n_ios);
        fake_drain(&broker, 0);
        for (unsigned i = 0; i < n_ios; i++)
                ios[i].request = requests[i];
}

static void end_batch(void)
{
        while (n_ios > 0)
                io_done(&ios[--n_ios]);
}

static void assert_read(unsigned i, uint64_t sector)
{
        assert_int_equal(io_status(&ios[i]), BLK_STATUS_OK);
        assert_memory_equal(ios[i].writable, disk + sector * BLK_SECTOR, ios[i].request.n_writable - 1);
}

static void assert_calls(unsigned preads, unsigned preadvs, unsigned pwrites, unsigned pwritevs)
{
        assert_int_equal(host_control->preads, preads);
        assert_int_equal(host_control->preadvs, preadvs);
        assert_int_equal(host_control->pwrites, pwrites);
        assert_int_equal(host_control->pwritevs, pwritevs);
}

/* ---- claims ---- */

static void adjacent_reads_are_one_host_call(void **state)
{
        (void)state;
        start();
        add_blocks(T_IN, 3, 32);
        send_batch();
        for (unsigned i = 0; i < 32; i++)
                assert_read(i, (3 + i) * 8);
        assert_calls(0, 2, 0, 0);
        assert_int_equal(broker.n_completes, 2);
        end_batch();
        finish();
}

/* Some have a place, the others do not: there is room for the first 20. */
static void adjacent_reads_of_which_some_have_a_place_are_one_host_call(void **state)
{
        (void)state;
        start();
        broker.lend = true;
        broker.hello.area.len = 40 * LIMIT_AREA_PAGE; /* two a request: one for the status */
        add_blocks(T_IN, 3, 32);
        send_batch();
        for (unsigned i = 0; i < 32; i++)
                assert_read(i, (3 + i) * 8);
        assert_calls(0, 2, 0, 0);
        assert_int_equal(broker.n_placed, 20);
        end_batch();
        finish();
}

static void adjacent_writes_are_one_host_call(void **state)
{
        (void)state;
        start();
        add_blocks(T_OUT, 3, 32);
        send_batch();
        for (unsigned i = 0; i < 32; i++)
                assert_int_equal(io_status(&ios[i]), BLK_STATUS_OK);
        assert_calls(0, 0, 0, 2);
        end_batch();
        finish();
}

static void requests_that_are_not_adjacent_are_done_one_by_one(void **state)
{
        (void)state;
        start();
        add(T_IN, 8, BLOCK);
        add(T_IN, 24, BLOCK);  /* a gap */
        add(T_IN, 16, BLOCK);  /* backwards */
        add(T_IN, 16, BLOCK);  /* the same again */
        add(T_OUT, 24, BLOCK); /* the other direction */
        add(T_IN, 32, BLOCK);
        send_batch();
        assert_calls(5, 0, 1, 0);
        for (unsigned i = 0; i < n_ios; i++)
                assert_int_equal(io_status(&ios[i]), BLK_STATUS_OK);
        end_batch();
        finish();
}

static void a_run_ends_at_its_limits(void **state)
{
        static const struct {
                unsigned n;
                uint32_t len;
                unsigned preads, preadvs;
        } rows[] = {
            {2, 512, 0, 1},
            {BLK_RUN_REQUESTS, 512, 0, 1},
            {BLK_RUN_REQUESTS + 1, 512, 1, 1},
            {4, BLK_RUN_BYTES / 4, 0, 1},
            {5, BLK_RUN_BYTES / 4, 1, 1},
            {4, BLK_RUN_BYTES / 4 + 512, 1, 1},
            {2, BLK_RUN_BYTES / 2 - 512, 0, 1},
            {2, BLK_RUN_BYTES / 2, 0, 1},
            {2, BLK_RUN_BYTES + 512, 2, 0},
        };

        (void)state;
        for (size_t row = 0; row < array_size(rows); row++) {
                uint32_t sectors = rows[row].len / BLK_SECTOR;

                start();
                for (unsigned i = 0; i < rows[row].n; i++)
                        add(T_IN, 5 + (uint64_t)i * sectors, rows[row].len);
                send_batch();
                for (unsigned i = 0; i < rows[row].n; i++)
                        assert_read(i, 5 + (uint64_t)i * sectors);
                assert_calls(rows[row].preads, rows[row].preadvs, 0, 0);
                end_batch();
                finish();
        }
}

static void a_bad_place_fails_only_the_requests_that_touch_it(void **state)
{
        static const uint32_t types[] = {T_IN, T_OUT};

        (void)state;
        for (size_t t = 0; t < array_size(types); t++) {
                start();
                host_control->bad = 9 * BLOCK + 100;
                add_blocks(types[t], 2, 16);
                send_batch();
                for (unsigned i = 0; i < n_ios; i++)
                        assert_int_equal(io_status(&ios[i]), 2 + i == 9 ? BLK_STATUS_IOERR : BLK_STATUS_OK);
                host_control->bad = 0;
                if (types[t] == T_OUT) /* what the file holds there is not what was to be written */
                        assert_int_equal(pread(image, disk + 9 * BLOCK, BLOCK, 9 * BLOCK), BLOCK);
                end_batch();
                finish();
        }
}

static void what_the_host_does_by_halves_is_done_whole(void **state)
{
        (void)state;
        start();
        host_control->halves = true;
        add_blocks(T_OUT, 0, 16);
        add_blocks(T_IN, 32, 16);
        send_batch();
        for (unsigned i = 0; i < 16; i++) {
                assert_int_equal(io_status(&ios[i]), BLK_STATUS_OK);
                assert_read(16 + i, (32 + i) * 8);
        }
        end_batch();
        finish();
}

static void an_image_that_ends_inside_a_run_fails_what_is_beyond(void **state)
{
        (void)state;
        start();
        assert_int_equal(ftruncate(image, 10 * BLOCK), 0);
        add_blocks(T_IN, 6, 8);
        send_batch();
        for (unsigned i = 0; i < n_ios; i++)
                assert_int_equal(io_status(&ios[i]), i < 4 ? BLK_STATUS_OK : BLK_STATUS_IOERR);
        end_batch();
        finish_small();
}

static void a_flush_in_a_batch_covers_the_writes_before_it(void **state)
{
        (void)state;
        start();
        add_blocks(T_OUT, 0, 4);
        add(T_FLUSH, 0, 0);
        add_blocks(T_OUT, 4, 4);
        send_batch();
        for (unsigned i = 0; i < n_ios; i++)
                assert_int_equal(io_status(&ios[i]), BLK_STATUS_OK);
        assert_int_equal(host_control->written_at_sync, 1);
        assert_calls(0, 0, 0, 2);
        end_batch();
        finish();
}

static void what_is_written_again_or_read_back_in_a_batch_is_in_order(void **state)
{
        uint8_t first[BLOCK];

        (void)state;
        start();
        add_blocks(T_OUT, 0, 2);
        memcpy(first, disk + BLOCK, BLOCK);
        add_blocks(T_IN, 1, 1);
        add_blocks(T_OUT, 1, 2);
        add_blocks(T_IN, 1, 2);
        send_batch();
        assert_memory_equal(ios[2].writable, first, BLOCK);
        assert_read(5, 8);
        assert_read(6, 16);
        end_batch();
        finish();
}

static void a_request_that_must_fail_is_no_part_of_a_run(void **state)
{
        (void)state;
        start();
        add_blocks(T_IN, 0, 8);
        requests[3].must_fail = true;
        add(T_IN, SECTORS, BLOCK); /* beyond the end */
        send_batch();
        for (unsigned i = 0; i < n_ios; i++)
                assert_int_equal(io_status(&ios[i]), i == 3 || i == 8 ? BLK_STATUS_IOERR : BLK_STATUS_OK);
        assert_calls(0, 2, 0, 0);
        end_batch();
        finish();
}

/* While one is fetched that does not continue them, a batch comes in for which the bytes of those that wait are
 * moved to the front. */
static void writes_that_wait_may_be_moved(void **state)
{
        struct fake_request more;
        struct io big;

        (void)state;
        start();
        for (unsigned i = 0; i < 7; i++)
                add(T_OUT, 1024 + i * 256, 128 * 1024);
        add_blocks(T_OUT, 0, 3);
        add(T_OUT, 512, BLOCK);
        requests[10].inlined = 0;
        broker.hold_reads = true;
        fake_send_requests(&broker, 0, requests, n_ios);
        while (broker.open_reads == 0)
                assert_true(fake_serve(&broker, 0));
        memset(disk + 4096 * BLK_SECTOR, 0x5a, 128 * 1024);
        io_init(&big, T_OUT, 4096, disk + 4096 * BLK_SECTOR, 128 * 1024, 1);
        more = big.request;
        fake_send_requests(&broker, 0, &more, 1);
        fake_answer_reads(&broker);
        broker.hold_reads = false;
        fake_drain(&broker, 0);
        end_batch();
        io_done(&big);
        finish();
}

static void under_writethrough_a_run_is_stable_before_its_answers(void **state)
{
        (void)state;
        start();
        assert_int_equal(fake_config_write(&broker, BLK_FIELD_WRITEBACK, 0), 0);
        sync_control->calls = 0;
        add_blocks(T_OUT, 0, 8);
        send_batch();
        assert_int_equal(sync_control->calls, 1);
        assert_int_equal(host_control->written_at_sync, 1);
        for (unsigned i = 0; i < n_ios; i++)
                assert_int_equal(io_status(&ios[i]), BLK_STATUS_OK);
        end_batch();
        sync_control->error = EIO;
        add_blocks(T_OUT, 0, 8);
        send_batch();
        for (unsigned i = 0; i < n_ios; i++)
                assert_int_equal(io_status(&ios[i]), BLK_STATUS_IOERR);
        end_batch();
        finish();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(adjacent_reads_are_one_host_call),
            cmocka_unit_test(adjacent_reads_of_which_some_have_a_place_are_one_host_call),
            cmocka_unit_test(adjacent_writes_are_one_host_call),
            cmocka_unit_test(requests_that_are_not_adjacent_are_done_one_by_one),
            cmocka_unit_test(a_run_ends_at_its_limits),
            cmocka_unit_test(a_bad_place_fails_only_the_requests_that_touch_it),
            cmocka_unit_test(what_the_host_does_by_halves_is_done_whole),
            cmocka_unit_test(an_image_that_ends_inside_a_run_fails_what_is_beyond),
            cmocka_unit_test(a_flush_in_a_batch_covers_the_writes_before_it),
            cmocka_unit_test(what_is_written_again_or_read_back_in_a_batch_is_in_order),
            cmocka_unit_test(a_request_that_must_fail_is_no_part_of_a_run),
            cmocka_unit_test(writes_that_wait_may_be_moved),
            cmocka_unit_test(under_writethrough_a_run_is_stable_before_its_answers),
        };

        return cmocka_run_group_tests(tests, setup_group, NULL);
}
