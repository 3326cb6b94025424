/* workers/blk: what a block worker says, does and refuses.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/blk_disk.h"

/* ---- what it says of itself ---- */

static void hello_describes_the_disk(void **state)
{
        (void)state;
        start();
        assert_int_equal(broker.hello.device_type, 2);
        assert_int_equal(broker.hello.features,
                         1u << 1 | 1u << 2 | 1u << 6 | 1u << 9 | 1u << 10 | 1u << 11 | 1u << 13 | 1u << 14);
        assert_int_equal(broker.hello.n_fields, BLK_FIELD_COUNT_);
        assert_int_equal(field(BLK_FIELD_CAPACITY), SECTORS);
        assert_int_equal(field(BLK_FIELD_BLK_SIZE), 512);
        assert_int_equal(field(BLK_FIELD_PHYSICAL_BLOCK_EXP), 3);
        assert_int_equal(field(BLK_FIELD_MIN_IO_SIZE), 8);
        assert_int_equal(field(BLK_FIELD_WRITEBACK), 1);
        assert_int_equal(field(BLK_FIELD_NUM_QUEUES), 1);
        for (uint32_t i = 0; i < broker.hello.n_fields; i++)
                assert_int_equal(broker.hello.fields[i].writable, i == BLK_FIELD_WRITEBACK);
        finish();
}

static void fields_are_those_of_the_specification(void **state)
{
        static const uint8_t offsets[] = {0,  8,  12, 16, 18, 19, 20, 24, 25, 26, 28, 32,
                                          33, 34, 36, 40, 44, 48, 52, 56, 57, 58, 59};
        uint32_t end_of_last = 0;

        (void)state;
        start();
        assert_int_equal(array_size(offsets), broker.hello.n_fields);
        for (uint32_t i = 0; i < broker.hello.n_fields; i++) {
                assert_int_equal(broker.hello.fields[i].offset, offsets[i]);
                assert_int_equal(broker.hello.fields[i].offset, end_of_last);
                end_of_last += broker.hello.fields[i].width;
        }
        assert_int_equal(end_of_last, 60);
        finish();
}

static void a_read_only_disk_says_so_and_offers_no_change(void **state)
{
        uint8_t sector[512];

        (void)state;
        start_with(SIZE, true, 512, 1);
        assert_int_equal(broker.hello.features, 1u << 1 | 1u << 2 | 1u << 5 | 1u << 6 | 1u << 9 | 1u << 10);
        for (uint32_t i = 0; i < broker.hello.n_fields; i++)
                assert_false(broker.hello.fields[i].writable);
        assert_int_equal(run(T_IN, 5, NULL, 0, sector, 512), BLK_STATUS_OK);
        assert_memory_equal(sector, disk + 5 * 512, 512);
        assert_int_equal(run(T_OUT, 5, sector, 512, NULL, 0), BLK_STATUS_IOERR);
        assert_int_equal(run_range(T_DISCARD, 5, 1, 0), BLK_STATUS_IOERR);
        assert_int_equal(run_range(T_WRITE_ZEROES, 5, 1, 0), BLK_STATUS_IOERR);
        assert_int_equal(run(T_FLUSH, 0, NULL, 0, NULL, 0), BLK_STATUS_OK);
        finish();
}

static void large_blocks_and_more_queues_are_said(void **state)
{
        (void)state;
        start_with(3 * 4096 + 4095, false, 4096, 16);
        assert_true(broker.hello.features & (1u << 12));
        assert_int_equal(field(BLK_FIELD_CAPACITY), 3 * 8);
        assert_int_equal(field(BLK_FIELD_BLK_SIZE), 4096);
        assert_int_equal(field(BLK_FIELD_PHYSICAL_BLOCK_EXP), 0);
        assert_int_equal(field(BLK_FIELD_MIN_IO_SIZE), 1);
        assert_int_equal(field(BLK_FIELD_NUM_QUEUES), 16);
        finish_small();
}

static void an_image_without_a_block_is_refused(void **state)
{
        static const struct {
                uint64_t size;
                uint32_t block_size;
        } rows[] = {{0, 512}, {511, 512}, {4095, 4096}};

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                struct control_to_worker message = {.kind = CONTROL_CONFIGURE,
                                                    .configure = options(false, rows[i].block_size, 1)};
                struct control_to_broker answer;

                message.configure.n_lanes = 1;
                message.configure.max_payload = LIMIT_FRAME_PAYLOAD;
                make_image(rows[i].size, false);
                fake_start_ops(&broker, &device_ops, 1, &image, 1);
                fake_send_control(&broker, &message);
                assert_false(fake_next_control(&broker, &answer));
                assert_true(fake_exited(fake_await(&broker), 1));
                close(image);
        }
}

/* ---- data ---- */

static void data_of_every_size_is_written_and_read(void **state)
{
        static const uint32_t sectors[] = {0, 1, 8, 255, 256, 257, 511, 512, 513, 2048, 2049, 8192};
        uint8_t *bytes = malloc(SIZE);

        (void)state;
        start();
        for (size_t i = 0; i < array_size(sectors); i++) {
                uint32_t len = sectors[i] * 512;
                uint64_t sector = (SECTORS - sectors[i]) / 3;

                for (uint32_t j = 0; j < len; j++)
                        disk[sector * 512 + j] = (uint8_t)rand();
                assert_int_equal(run(T_OUT, sector, disk + sector * 512, len, NULL, 0), BLK_STATUS_OK);
                assert_int_equal(run(T_IN, sector, NULL, 0, bytes, len), BLK_STATUS_OK);
                assert_memory_equal(bytes, disk + sector * 512, len);
        }
        assert_true(broker.n_mem_reads > 0);
        free(bytes);
        finish();
}

static void a_small_read_is_one_frame_of_data_and_status(void **state)
{
        uint8_t bytes[4096];

        (void)state;
        start();
        assert_int_equal(run(T_IN, 8, NULL, 0, bytes, 4096), BLK_STATUS_OK);
        assert_memory_equal(bytes, disk + 8 * 512, 4096);
        assert_int_equal(broker.n_completes, 1);
        assert_int_equal(broker.n_mem_writes, 0);
        assert_int_equal(broker.n_mem_reads, 0);
        finish();
}

/* A read of `len` bytes; in so many frames. */
static void read_in_frames(uint32_t len, unsigned mem_writes)
{
        uint8_t *bytes = malloc(len);
        unsigned before = broker.n_mem_writes, completes = broker.n_completes;

        assert_int_equal(run(T_IN, 8, NULL, 0, bytes, len), BLK_STATUS_OK);
        assert_memory_equal(bytes, disk + 8 * 512, len);
        assert_int_equal(broker.n_mem_writes - before, mem_writes);
        assert_int_equal(broker.n_completes - completes, 1);
        free(bytes);
}

static void a_long_read_is_pieces_and_a_frame_without_a_place(void **state)
{
        (void)state;
        start();
        read_in_frames(65536, 0);
        read_in_frames(REQUEST_PIECE, 0);
        read_in_frames(REQUEST_PIECE + 512, 1);
        read_in_frames(1 << 20, 7);
        assert_int_equal(broker.n_placed, 0);
        finish();
}

static void a_read_that_has_a_place_goes_there_with_its_status_behind_it(void **state)
{
        (void)state;
        start();
        broker.lend = true;
        read_in_frames(3584, 0);
        assert_int_equal(broker.n_placed, 0);
        read_in_frames(4096, 0);
        read_in_frames(65536, 0);
        read_in_frames(1 << 20, 0);
        assert_int_equal(broker.n_placed, 3);
        assert_int_equal(host_control->preads, 4);
        read_in_frames((1 << 20) + 8192, 8); /* too long for one */
        assert_int_equal(broker.n_placed, 3);
        finish();
}

/* Two writes whose places lie next to each other, as a broker fills them with one range. */
static void writes_are_found_in_places_that_lie_close(void **state)
{
        uint8_t *data = disk + 16 * 512, back[2 * 4096];
        struct fake_request requests[2];
        struct io ios[2];

        (void)state;
        start();
        assert_true(broker.hello.area.dense);
        assert_int_equal(broker.hello.area.lead, BLK_HEADER_BYTES);
        for (size_t i = 0; i < sizeof(back); i++)
                data[i] = (uint8_t)rand();
        for (uint32_t i = 0; i < 2; i++) {
                io_init(&ios[i], T_OUT, 16 + 8 * i, data + 4096 * i, 4096, 1);
                requests[i] = ios[i].request;
                requests[i].in_at = 7 + i;
                fake_place(&broker, &requests[i]);
        }
        fake_send_requests(&broker, 0, requests, 2);
        fake_drain(&broker, 0);
        for (size_t i = 0; i < 2; i++) {
                ios[i].request = requests[i];
                assert_int_equal(io_status(&ios[i]), BLK_STATUS_OK);
                io_done(&ios[i]);
        }
        assert_int_equal(broker.n_mem_reads, 0);
        assert_int_equal(run(T_IN, 16, NULL, 0, back, sizeof(back)), BLK_STATUS_OK);
        assert_memory_equal(back, data, sizeof(back));
        finish();
}

/* Not all have a place: eight requests of 1 MiB are more than there is room for. */
static void a_batch_of_long_reads_brings_each_its_bytes_and_its_status(void **state)
{
        static struct fake_request requests[12];
        static struct io ios[12];

        (void)state;
        start();
        broker.lend = true;
        for (unsigned i = 0; i < 12; i++) { /* every third is a small one */
                io_init(&ios[i], T_IN, i * 128, NULL, 0, i % 3 == 1 ? 513 : (1 << 20) + 1);
                requests[i] = ios[i].request;
        }
        fake_send_requests(&broker, 0, requests, 12);
        fake_drain(&broker, 0);
        for (unsigned i = 0; i < 12; i++) {
                ios[i].request = requests[i];
                assert_int_equal(io_status(&ios[i]), BLK_STATUS_OK);
                assert_memory_equal(ios[i].writable, disk + i * 65536, requests[i].n_writable - 1);
                io_done(&ios[i]);
        }
        assert_int_equal(broker.n_placed, 7);
        assert_true(broker.n_mem_writes > 0);
        finish();
}

/* Each frame brings so many requests: the guest does not wait for all of them. */
static void read_into_places(bool longer, unsigned n_frames)
{
        static struct fake_request requests[24];
        static struct io ios[24];

        start();
        broker.lend = true;
        broker.longer = longer;
        for (unsigned i = 0; i < 24; i++) {
                io_init(&ios[i], T_IN, i * 256, NULL, 0, 131073);
                requests[i] = ios[i].request;
        }
        fake_send_requests(&broker, 0, requests, 24);
        fake_drain(&broker, 0);
        for (unsigned i = 0; i < 24; i++) {
                ios[i].request = requests[i];
                assert_int_equal(io_status(&ios[i]), BLK_STATUS_OK);
                assert_memory_equal(ios[i].writable, disk + i * 131072, 131072);
                io_done(&ios[i]);
        }
        assert_int_equal(broker.n_placed, 24);
        assert_int_equal(broker.n_completes, n_frames);
        broker.longer = false;
        finish();
}

static void what_lies_in_places_leaves_in_pieces_of_128_kib_or_longer_ones_of_512(void **state)
{
        (void)state;
        read_into_places(false, 24);
        read_into_places(true, 6);
}

/* n writes of a sector each, in one batch: how many frames answer them. */
static unsigned frames_for_writes(unsigned n)
{
        static struct fake_request requests[64];
        static struct io ios[64];
        unsigned before = broker.n_completes;

        for (unsigned i = 0; i < n; i++) {
                io_init(&ios[i], T_OUT, i * 8, disk + i * 4096, 512, 1); /* no two of them are adjacent */
                requests[i] = ios[i].request;
        }
        fake_send_requests(&broker, 0, requests, n);
        fake_drain(&broker, 0);
        for (unsigned i = 0; i < n; i++) {
                ios[i].request = requests[i];
                assert_int_equal(io_status(&ios[i]), BLK_STATUS_OK);
                io_done(&ios[i]);
        }
        return broker.n_completes - before;
}

static void answers_leave_in_longer_pieces_while_many_wait(void **state)
{
        (void)state;
        start();
        assert_int_equal(frames_for_writes(16), 1);
        assert_int_equal(frames_for_writes(17), 2);
        assert_int_equal(frames_for_writes(48), 3); /* 16 each: 32 wait when the first is full */
        assert_int_equal(frames_for_writes(64), 3); /* 32, 16, 16 */
        broker.longer = true;
        assert_int_equal(frames_for_writes(32), 1);
        assert_int_equal(frames_for_writes(33), 2);
        broker.longer = false;
        assert_int_equal(frames_for_writes(32), 2);
        finish();
}

static void a_batch_of_small_reads_comes_back_in_pieces(void **state)
{
        static struct fake_request requests[64];
        static struct io ios[64];

        (void)state;
        start();
        for (unsigned i = 0; i < 64; i++) {
                io_init(&ios[i], T_IN, i * 8, NULL, 0, 4097);
                requests[i] = ios[i].request;
        }
        fake_send_requests(&broker, 0, requests, 64);
        fake_drain(&broker, 0);
        for (unsigned i = 0; i < 64; i++) {
                ios[i].request = requests[i];
                assert_int_equal(io_status(&ios[i]), BLK_STATUS_OK);
                assert_memory_equal(ios[i].writable, disk + i * 4096, 4096);
                io_done(&ios[i]);
        }
        assert_int_equal(broker.n_completes, 4); /* 16 requests or 64 KiB each */
        assert_int_equal(broker.n_mem_writes, 0);
        finish();
}

static void a_header_that_is_not_inlined_is_fetched(void **state)
{
        static const uint32_t inlined[] = {0, 1, 15, 16, 17, 100, 528};
        uint8_t data[1024];

        (void)state;
        start();
        for (size_t i = 0; i < array_size(inlined); i++) {
                struct io io;

                memset(data, (int)i, sizeof(data));
                memcpy(disk + 512 * i, data, sizeof(data));
                io_init(&io, T_OUT, i, data, sizeof(data), 1);
                io.request.inlined = inlined[i];
                io_run(&io);
                assert_int_equal(io_status(&io), BLK_STATUS_OK);
                io_done(&io);
        }
        finish();
}

/* ---- errors ---- */

static void bad_requests_are_answered_with_an_error_and_change_nothing(void **state)
{
        static uint8_t bytes[2048];

        (void)state;
        start();
        assert_int_equal(run(T_IN, SECTORS, NULL, 0, bytes, 512), BLK_STATUS_IOERR);
        assert_int_equal(run(T_IN, SECTORS - 1, NULL, 0, bytes, 1024), BLK_STATUS_IOERR);
        assert_int_equal(run(T_IN, 0, NULL, 0, bytes, 513), BLK_STATUS_IOERR);
        assert_int_equal(run(T_OUT, SECTORS - 1, bytes, 1024, NULL, 0), BLK_STATUS_IOERR);
        assert_int_equal(run(T_OUT, UINT64_MAX, bytes, 512, NULL, 0), BLK_STATUS_IOERR);
        assert_int_equal(run(T_OUT, 0, bytes, 511, NULL, 0), BLK_STATUS_IOERR);
        assert_int_equal(run_range(T_DISCARD, SECTORS, 1, 0), BLK_STATUS_IOERR);
        assert_int_equal(run_range(T_DISCARD, 0, 1, 1), BLK_STATUS_UNSUPP);
        assert_int_equal(run_range(T_WRITE_ZEROES, 0, 1, 2), BLK_STATUS_UNSUPP);
        assert_int_equal(run(99, 0, NULL, 0, bytes, 20), BLK_STATUS_UNSUPP);
        finish();
}

static void a_request_that_is_none_breaks_the_device(void **state)
{
        struct io io;

        (void)state;
        start();
        for (uint32_t n = 0; n < BLK_HEADER_BYTES; n++) {
                io_init(&io, T_IN, 0, NULL, 0, 513);
                io.request.n_readable = n;
                io_run(&io);
                assert_int_equal(io.request.status, WIRE_STATUS_PROTOCOL);
                io_done(&io);
        }
        for (unsigned must_fail = 0; must_fail < 2; must_fail++) {
                io_init(&io, T_FLUSH, 0, NULL, 0, 0);
                io.request.must_fail = must_fail;
                io_run(&io);
                assert_int_equal(io.request.status, WIRE_STATUS_PROTOCOL);
                io_done(&io);
        }
        finish();
}

static void a_request_that_must_fail_fails_and_does_nothing(void **state)
{
        uint8_t data[512] = {1};
        struct io io;

        (void)state;
        start();
        io_init(&io, T_OUT, 0, data, sizeof(data), 1);
        io.request.must_fail = true;
        io_run(&io);
        assert_int_equal(io_status(&io), BLK_STATUS_IOERR);
        io_done(&io);
        io_init(&io, T_IN, 0, NULL, 0, 4097);
        io.request.must_fail = true;
        io_run(&io);
        assert_int_equal(io_status(&io), BLK_STATUS_IOERR);
        assert_int_equal(io.writable[0], 0xee); /* the broker fills the gap */
        io_done(&io);
        finish();
}

static void unreadable_guest_memory_is_an_error_of_that_request(void **state)
{
        uint8_t *data = calloc(1, 1 << 20);
        struct io io;

        (void)state;
        start();
        io_init(&io, T_OUT, 0, data, 1 << 20, 1);
        io.request.inlined = 16;
        broker.read_status = WIRE_STATUS_FAULT;
        io_run(&io);
        assert_int_equal(io_status(&io), BLK_STATUS_IOERR);
        io_done(&io);
        io_init(&io, T_OUT, 0, data, 512, 1);
        io.request.inlined = 0;
        io_run(&io);
        assert_int_equal(io_status(&io), BLK_STATUS_IOERR);
        io_done(&io);
        broker.read_status = WIRE_STATUS_OK;
        assert_int_equal(run(T_FLUSH, 0, NULL, 0, NULL, 0), BLK_STATUS_OK);
        free(data);
        finish();
}

static void an_image_that_shrinks_is_an_error_of_what_is_beyond(void **state)
{
        uint8_t *bytes = malloc(1 << 20);

        (void)state;
        start();
        assert_int_equal(run(T_IN, 0, NULL, 0, bytes, 1 << 20), BLK_STATUS_OK);
        assert_int_equal(ftruncate(image, 300000 / 512 * 512), 0);
        assert_int_equal(run(T_IN, 0, NULL, 0, bytes, 4096), BLK_STATUS_OK);
        assert_int_equal(run(T_IN, 0, NULL, 0, bytes, 1 << 20), BLK_STATUS_IOERR);
        assert_int_equal(run(T_IN, 512, NULL, 0, bytes, 65536), BLK_STATUS_IOERR);
        assert_int_equal(run(T_IN, 256, NULL, 0, bytes, 65536), BLK_STATUS_OK);
        assert_memory_equal(bytes, disk + 256 * 512, 65536);
        assert_int_equal(run(T_IN, SECTORS - 1, NULL, 0, bytes, 512), BLK_STATUS_IOERR);
        free(bytes);
        finish_small();
}

/* ---- the serial ---- */

static void get_id_is_the_serial(void **state)
{
        uint8_t id[40];

        (void)state;
        start();
        memset(id, 0xaa, sizeof(id));
        assert_int_equal(run(T_GET_ID, 0, NULL, 0, id, 20), BLK_STATUS_OK);
        assert_memory_equal(id, "0123456789abcdefghij", 20);
        assert_int_equal(run(T_GET_ID, 0, NULL, 0, id, 40), BLK_STATUS_OK);
        assert_memory_equal(id, "0123456789abcdefghij", 20);
        assert_int_equal(run(T_GET_ID, 0, NULL, 0, id, 7), BLK_STATUS_OK);
        assert_memory_equal(id, "0123456", 7);
        assert_int_equal(run(T_GET_ID, 0, NULL, 0, id, 0), BLK_STATUS_OK);
        finish();
}

/* ---- the cache ---- */

static void a_write_is_stable_at_once_only_in_writethrough(void **state)
{
        static const struct {
                bool flush, wce;
                int writeback; /* -1: not written */
                unsigned syncs;
        } rows[] = {
            {true, false, -1, 0}, {false, false, -1, 1}, {true, true, 1, 0},  {true, true, 0, 1},
            {false, true, 1, 0},  {false, true, 0, 1},   {true, true, -1, 0},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                uint64_t features = (rows[i].flush ? BLK_F_FLUSH : 0) | (rows[i].wce ? BLK_F_CONFIG_WCE : 0);

                start();
                assert_int_equal(fake_set_features(&broker, features), 0);
                if (rows[i].writeback >= 0)
                        assert_int_equal(
                            fake_config_write(&broker, BLK_FIELD_WRITEBACK, (uint64_t)rows[i].writeback), 0);
                sync_control->calls = 0;
                assert_int_equal(run(T_OUT, 1, disk, 512, NULL, 0), BLK_STATUS_OK);
                memcpy(disk + 512, disk, 512);
                assert_int_equal(sync_control->calls, rows[i].syncs);
                assert_int_equal(run_range(T_WRITE_ZEROES, 9, 1, 0), BLK_STATUS_OK);
                memset(disk + 9 * 512, 0, 512);
                assert_int_equal(run_range(T_DISCARD, 9, 1, 0), BLK_STATUS_OK);
                assert_int_equal(sync_control->calls, 3 * rows[i].syncs);
                assert_int_equal(run(T_FLUSH, 0, NULL, 0, NULL, 0), BLK_STATUS_OK);
                assert_int_equal(sync_control->calls, 3 * rows[i].syncs + 1);
                finish();
        }
}

static void the_change_to_writethrough_flushes(void **state)
{
        (void)state;
        start();
        assert_int_equal(fake_config_write(&broker, BLK_FIELD_WRITEBACK, 0), 0);
        assert_int_equal(sync_control->calls, 1);
        assert_int_equal(fake_config_write(&broker, BLK_FIELD_WRITEBACK, 1), 0);
        assert_int_equal(sync_control->calls, 1);
        assert_int_equal(fake_config_write(&broker, BLK_FIELD_WRITEBACK, 2), -EINVAL);
        finish();
}

static void a_failed_flush_fails_until_the_worker_is_replaced(void **state)
{
        uint8_t sector[512];

        (void)state;
        start();
        assert_int_equal(run(T_FLUSH, 0, NULL, 0, NULL, 0), BLK_STATUS_OK);
        sync_control->error = EIO;
        assert_int_equal(run(T_FLUSH, 0, NULL, 0, NULL, 0), BLK_STATUS_IOERR);
        sync_control->error = 0;
        assert_int_equal(run(T_FLUSH, 0, NULL, 0, NULL, 0), BLK_STATUS_IOERR);
        assert_int_equal(run(T_IN, 0, NULL, 0, sector, 512), BLK_STATUS_OK);
        assert_int_equal(fake_config_write(&broker, BLK_FIELD_WRITEBACK, 0), -EIO);
        assert_int_equal(run(T_OUT, 0, disk, 512, NULL, 0), BLK_STATUS_IOERR);
        finish();
        start();
        assert_int_equal(run(T_FLUSH, 0, NULL, 0, NULL, 0), BLK_STATUS_OK);
        finish();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(hello_describes_the_disk),
            cmocka_unit_test(fields_are_those_of_the_specification),
            cmocka_unit_test(a_read_only_disk_says_so_and_offers_no_change),
            cmocka_unit_test(large_blocks_and_more_queues_are_said),
            cmocka_unit_test(an_image_without_a_block_is_refused),
            cmocka_unit_test(data_of_every_size_is_written_and_read),
            cmocka_unit_test(a_small_read_is_one_frame_of_data_and_status),
            cmocka_unit_test(a_long_read_is_pieces_and_a_frame_without_a_place),
            cmocka_unit_test(a_read_that_has_a_place_goes_there_with_its_status_behind_it),
            cmocka_unit_test(writes_are_found_in_places_that_lie_close),
            cmocka_unit_test(what_lies_in_places_leaves_in_pieces_of_128_kib_or_longer_ones_of_512),
            cmocka_unit_test(a_batch_of_long_reads_brings_each_its_bytes_and_its_status),
            cmocka_unit_test(answers_leave_in_longer_pieces_while_many_wait),
            cmocka_unit_test(a_batch_of_small_reads_comes_back_in_pieces),
            cmocka_unit_test(a_header_that_is_not_inlined_is_fetched),
            cmocka_unit_test(bad_requests_are_answered_with_an_error_and_change_nothing),
            cmocka_unit_test(a_request_that_is_none_breaks_the_device),
            cmocka_unit_test(a_request_that_must_fail_fails_and_does_nothing),
            cmocka_unit_test(unreadable_guest_memory_is_an_error_of_that_request),
            cmocka_unit_test(an_image_that_shrinks_is_an_error_of_what_is_beyond),
            cmocka_unit_test(get_id_is_the_serial),
            cmocka_unit_test(a_write_is_stable_at_once_only_in_writethrough),
            cmocka_unit_test(the_change_to_writethrough_flushes),
            cmocka_unit_test(a_failed_flush_fails_until_the_worker_is_replaced),
        };

        return cmocka_run_group_tests(tests, setup_group, NULL);
}
