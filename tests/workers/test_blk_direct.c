/* workers/blk: a disk past the page cache, many transfers under way at once.
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
#include "proto/base/status.h"
#include "tests/workers/blk_disk.h"
#include "tests/harness/blk_set.h"
#include "workers/blk/blk_direct.h"

#define BATCH 64u
#define BLOCK 4096u

static struct fake_request requests[BATCH];
static struct io ios[BATCH];
static unsigned n_ios;

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
        if (len > 16 * 1024) /* all of a batch could not be inlined */
                io->request.inlined = BLK_HEADER_BYTES;
        requests[n_ios++] = io->request;
}

static void send_batch(void)
{
        fake_send_requests(&broker, 0, requests, n_ios);
        fake_drain(&broker, 0);
        for (unsigned i = 0; i < n_ios; i++)
                ios[i].request = requests[i];
}

static void assert_read(unsigned i, uint64_t sector)
{
        assert_int_equal(io_status(&ios[i]), BLK_STATUS_OK);
        assert_memory_equal(ios[i].writable, disk + sector * BLK_SECTOR, ios[i].request.n_writable - 1);
}

static void end_batch(void)
{
        while (n_ios > 0)
                io_done(&ios[--n_ios]);
}

static void assert_all(uint8_t status)
{
        for (unsigned i = 0; i < n_ios; i++)
                assert_int_equal(io_status(&ios[i]), status);
}

/* Data that is not to go by way of another buffer begins with a page of the worker's. */
static void places_are_whole_pages(void **state)
{
        (void)state;
        start_direct(512);
        assert_false(broker.hello.area.dense);
        assert_int_equal(broker.hello.area.lead, BLK_HEADER_BYTES);
        finish();
}

/* Reads have places, or not. */
static void write_and_read_all_sizes(bool lend)
{
        static const uint32_t sectors[] = {0, 1, 8, 255, 256, 257, 511, 512, 513, 2048, 2049, 8192};
        static uint8_t bytes[SIZE];

        broker.lend = lend;
        for (size_t i = 0; i < array_size(sectors); i++) {
                uint32_t len = sectors[i] * 512;
                uint64_t sector = (SECTORS - sectors[i]) / 3;

                for (uint32_t j = 0; j < len; j++)
                        disk[sector * 512 + j] = (uint8_t)rand();
                assert_int_equal(run(T_OUT, sector, disk + sector * 512, len, NULL, 0), BLK_STATUS_OK);
                assert_int_equal(run(T_IN, sector, NULL, 0, bytes, len), BLK_STATUS_OK);
                assert_memory_equal(bytes, disk + sector * 512, len);
        }
        assert_int_equal(broker.n_placed, lend ? 9 : 0);
}

/* ---- claims ---- */

static void data_of_every_size_is_written_and_read(void **state)
{
        (void)state;
        for (unsigned lend = 0; lend < 2; lend++) {
                start_direct(512);
                write_and_read_all_sizes(lend);
                assert_true(host_control->submits > 0);
                assert_int_equal(host_control->preads + host_control->pwrites, 0);
                finish();
        }
}

static void data_is_right_whatever_the_host_does_to_transfers(void **state)
{
        (void)state;
        for (unsigned how = 1; how < 16; how++) {
                start_direct(512);
                host_control->backwards = how & 1;
                host_control->halves = how & 2;
                host_control->one_by_one = how & 4;
                host_control->submit_error = how & 8 ? EAGAIN : 0;
                write_and_read_all_sizes(__builtin_parity(how)); /* each with and without */
                finish();
        }
}

static void a_batch_is_under_way_at_once(void **state)
{
        (void)state;
        start_direct(512);
        for (unsigned i = 0; i < BATCH; i++)
                add(i % 2 ? T_OUT : T_IN, (i * 37 % BATCH) * 8, BLOCK);
        send_batch();
        assert_all(BLK_STATUS_OK);
        assert_true(host_control->most_flying >= BLK_DIRECT_SUBMIT);
        assert_int_equal(host_control->submits, BATCH / BLK_DIRECT_SUBMIT);
        for (unsigned i = 0; i < BATCH; i += 2)
                assert_read(i, (i * 37 % BATCH) * 8);
        end_batch();
        finish();
}

static void more_than_can_be_staged_waits_for_room(void **state)
{
        (void)state;
        start_direct(512);
        host_control->backwards = true;
        for (unsigned i = 0; i < BATCH; i++)
                add(i % 2 ? T_OUT : T_IN, i * 128, i % 2 ? 64u * 1024 : 4u << 20 >> (i % 3));
        for (unsigned i = 0; i < BATCH; i++) { /* as far as the disk goes */
                uint32_t most = SIZE - i * 128 * 512;

                if (requests[i].n_writable > 1 && requests[i].n_writable > most + 1)
                        requests[i].n_writable = most + 1;
        }
        fake_send_requests(&broker, 0, requests, n_ios);
        fake_drain(&broker, 0);
        for (unsigned i = 0; i < BATCH; i++)
                assert_int_equal(requests[i].status, WIRE_STATUS_OK);
        assert_true(host_control->most_flying <= BLK_DIRECT_DEPTH);
        end_batch();
        finish();
}

static void a_bad_place_fails_only_the_requests_that_touch_it(void **state)
{
        static const uint32_t types[] = {T_IN, T_OUT};
        static const uint32_t lens[] = {BLOCK, 256 * 1024};

        (void)state;
        for (size_t t = 0; t < array_size(types); t++)
                for (size_t l = 0; l < array_size(lens); l++) {
                        unsigned n = MIN(16u, SIZE / lens[l]);

                        start_direct(512);
                        host_control->bad = 7 * lens[l] + 100;
                        for (unsigned i = 0; i < n; i++)
                                add(types[t], (uint64_t)i * lens[l] / 512, lens[l]);
                        send_batch();
                        for (unsigned i = 0; i < n; i++)
                                assert_int_equal(io_status(&ios[i]),
                                                 i == 7 ? BLK_STATUS_IOERR : BLK_STATUS_OK);
                        end_batch();
                        host_control->bad = 0;
                        finish(); /* written all the same: the host lied */
                }
}

static void a_flush_waits_for_all_that_is_under_way(void **state)
{
        (void)state;
        start_direct(512);
        for (unsigned round = 0; round < 20; round++) {
                for (unsigned i = 0; i < BLK_DIRECT_SUBMIT + 8; i++) /* begun, and not yet begun */
                        add(i % 4 ? T_OUT : T_IN, i * 8, BLOCK);
                add(T_FLUSH, 0, 0);
                for (unsigned i = 40; i < 60; i++)
                        add(T_OUT, i * 8, BLOCK);
                send_batch();
                assert_all(BLK_STATUS_OK);
                assert_int_equal(host_control->flying_at_sync, 0);
                assert_true(host_control->most_flying >= BLK_DIRECT_SUBMIT);
                end_batch();
        }
        assert_int_equal(sync_control->calls, 20);
        finish();
}

static void what_overlaps_in_a_batch_is_in_order(void **state)
{
        uint8_t first[BLOCK];

        (void)state;
        start_direct(512);
        for (unsigned round = 0; round < 50; round++) {
                add(T_OUT, 0, 2 * BLOCK);
                memcpy(first, disk + BLOCK, BLOCK);
                add(T_IN, 8, BLOCK);
                add(T_OUT, 15, BLOCK); /* its last sector, and more */
                add(T_IN, 0, 4 * BLOCK);
                add(T_OUT, 16, BLOCK);
                send_batch();
                assert_memory_equal(ios[1].writable, first, BLOCK);
                assert_memory_equal(ios[3].writable, disk, 8192); /* before the last one */
                end_batch();
        }
        finish();
}

static void discarded_and_zeroed_ranges_wait_for_what_is_under_way(void **state)
{
        (void)state;
        start_direct(4096);
        for (unsigned i = 0; i < 8; i++)
                add(T_OUT, i * 8, BLOCK);
        send_batch();
        end_batch();
        assert_int_equal(run_range(T_WRITE_ZEROES, 8, 8, 0), BLK_STATUS_OK);
        memset(disk + 8 * 512, 0, BLOCK);
        assert_int_equal(run_range(T_DISCARD, 24, 8, 0), BLK_STATUS_OK);
        memset(disk + 24 * 512, 0, BLOCK);
        assert_int_equal(run_range(T_DISCARD, 24, 7, 0), BLK_STATUS_IOERR); /* no block */
        finish();
}

static void what_is_no_block_is_refused(void **state)
{
        static uint8_t bytes[2 * BLOCK];

        (void)state;
        start_direct(4096);
        assert_int_equal(run(T_IN, 0, NULL, 0, bytes, 512), BLK_STATUS_IOERR);
        assert_int_equal(run(T_IN, 1, NULL, 0, bytes, BLOCK), BLK_STATUS_IOERR);
        assert_int_equal(run(T_OUT, 0, bytes, 512, NULL, 0), BLK_STATUS_IOERR);
        assert_int_equal(run(T_OUT, 7, bytes, BLOCK, NULL, 0), BLK_STATUS_IOERR);
        assert_int_equal(run(T_IN, 8, NULL, 0, bytes, BLOCK), BLK_STATUS_OK);
        assert_memory_equal(bytes, disk + BLOCK, BLOCK);
        finish();
}

static void under_writethrough_writes_are_stable_before_their_answers(void **state)
{
        (void)state;
        start_direct(512);
        assert_int_equal(fake_config_write(&broker, BLK_FIELD_WRITEBACK, 0), 0);
        sync_control->calls = 0;
        assert_int_equal(run(T_OUT, 1, disk, 512, NULL, 0), BLK_STATUS_OK);
        memcpy(disk + 512, disk, 512);
        assert_int_equal(sync_control->calls, 1);
        for (unsigned i = 0; i < 16; i++)
                add(T_OUT, i * 8, BLOCK);
        send_batch();
        assert_all(BLK_STATUS_OK);
        end_batch();
        assert_true(sync_control->calls >= 2 && sync_control->calls <= 17);
        sync_control->error = EIO;
        add(T_OUT, 0, BLOCK);
        add(T_OUT, 1024, 512 * 1024);
        send_batch();
        assert_all(BLK_STATUS_IOERR);
        end_batch();
        sync_control->error = 0;
        assert_int_equal(run(T_FLUSH, 0, NULL, 0, NULL, 0), BLK_STATUS_IOERR);
        finish();
}

static void a_change_of_the_cache_waits_for_what_is_under_way(void **state)
{
        (void)state;
        start_direct(512);
        for (unsigned i = 0; i < 32; i++)
                add(T_OUT, i * 256, 128 * 1024);
        for (unsigned i = 0; i < 7; i++)
                requests[i].inlined = FAKE_INLINE_ALL;
        fake_send_requests(&broker, 0, requests, 7);
        assert_int_equal(fake_config_write(&broker, BLK_FIELD_WRITEBACK, 0), 0);
        assert_int_equal(host_control->flying_at_sync, 0);
        fake_drain(&broker, 0);
        fake_send_requests(&broker, 0, requests + 7, 25);
        fake_drain(&broker, 0);
        for (unsigned i = 0; i < n_ios; i++)
                ios[i].request = requests[i];
        assert_all(BLK_STATUS_OK);
        end_batch();
        finish();
}

static void unreadable_guest_memory_is_an_error_of_that_request(void **state)
{
        uint8_t *data = calloc(1, 1 << 20);
        struct io io;

        (void)state;
        start_direct(512);
        io_init(&io, T_OUT, 0, data, 1 << 20, 1);
        io.request.inlined = 16;
        broker.read_status = WIRE_STATUS_FAULT;
        io_run(&io);
        assert_int_equal(io_status(&io), BLK_STATUS_IOERR);
        io_done(&io);
        broker.read_status = WIRE_STATUS_OK;
        write_and_read_all_sizes(false);
        free(data);
        finish();
}

static void an_image_that_shrinks_is_an_error_of_what_is_beyond(void **state)
{
        uint8_t *bytes = malloc(1 << 20);

        (void)state;
        start_direct(512);
        assert_int_equal(ftruncate(image, 300032), 0);
        assert_int_equal(run(T_IN, 0, NULL, 0, bytes, 4096), BLK_STATUS_OK);
        assert_int_equal(run(T_IN, 0, NULL, 0, bytes, 1 << 20), BLK_STATUS_IOERR);
        assert_int_equal(run(T_IN, SECTORS - 1, NULL, 0, bytes, 512), BLK_STATUS_IOERR);
        free(bytes);
        finish_small();
}

static void without_room_for_transfers_there_is_no_worker(void **state)
{
        struct control_to_worker message = {.kind = CONTROL_CONFIGURE, .configure = options(false, 512, 1)};
        struct control_to_broker answer;
        int resources[2];

        (void)state;
        message.configure.n_lanes = 1;
        message.configure.max_payload = LIMIT_FRAME_PAYLOAD;
        message.configure.options.value[BLK_OPTION_DIRECT].number = 1;
        make_image(SIZE, false);
        *host_control = (struct host_control){.setup_error = EAGAIN};
        resources[0] = image;
        resources[1] = dup(image);
        fake_start_ops(&broker, &device_ops, 1, resources, 2);
        fake_send_control(&broker, &message);
        assert_false(fake_next_control(&broker, &answer));
        assert_true(fake_exited(fake_await(&broker), 1));
        close(image);
        close(resources[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(places_are_whole_pages),
            cmocka_unit_test(data_of_every_size_is_written_and_read),
            cmocka_unit_test(data_is_right_whatever_the_host_does_to_transfers),
            cmocka_unit_test(a_batch_is_under_way_at_once),
            cmocka_unit_test(more_than_can_be_staged_waits_for_room),
            cmocka_unit_test(a_bad_place_fails_only_the_requests_that_touch_it),
            cmocka_unit_test(a_flush_waits_for_all_that_is_under_way),
            cmocka_unit_test(what_overlaps_in_a_batch_is_in_order),
            cmocka_unit_test(discarded_and_zeroed_ranges_wait_for_what_is_under_way),
            cmocka_unit_test(what_is_no_block_is_refused),
            cmocka_unit_test(under_writethrough_writes_are_stable_before_their_answers),
            cmocka_unit_test(a_change_of_the_cache_waits_for_what_is_under_way),
            cmocka_unit_test(unreadable_guest_memory_is_an_error_of_that_request),
            cmocka_unit_test(an_image_that_shrinks_is_an_error_of_what_is_beyond),
            cmocka_unit_test(without_room_for_transfers_there_is_no_worker),
        };

        return cmocka_run_group_tests(tests, setup_group, NULL);
}
