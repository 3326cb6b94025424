/* Buffers in another device's shared memory region: served where a file is mapped, and an error of that request where none is
 * or where it has been cut short; by every way that bytes go, and nothing else is harmed.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/direct_copy.h"
#include "broker/core/lane_fail.h"
#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/core/lane_bench.h"

#define K      UINT32_C(1024)
#define M      (K * K)
#define REGION MODEL_HIGH       /* a range of MODEL_PART: mapped, ... */
#define HOLE   (REGION + M)     /* ... a hole of a mebibyte, ... */
#define BEHIND (REGION + 2 * M) /* ... and mapped to the end */
#define CUT    (BEHIND + M)     /* where the tests let the file end */
#define STATUS MODEL_BUFFERS    /* of a request: the last byte that is written */
#define IOERR  0x5e

static const uint8_t error[] = {IOERR}, answer[] = {9, 8, 7, 6};

static const struct lane_failure failure = {.error = error, .len = sizeof(error)};

static struct lane_bench bench;
static uint8_t bytes[M];

static struct guest_memory *with_region(struct guest_memory *memory, uint64_t start, uint64_t len)
{
        struct guest_region region = {.start = GPA(start), .len = len, .writable = true};
        struct guest_memory *with;

        assert_int_equal(guest_mapping_new(bench.guest.fd, start - MODEL_LOW, len, true, &region.mapping), 0);
        assert_int_equal(guest_memory_with(memory, &region, &with), 0);
        guest_mapping_unref(region.mapping);
        guest_memory_unref(memory);
        return with;
}

/* The low part, and the range; with files in it or not. */
static void set_memory(bool mapped)
{
        struct guest_memory *memory = model_guest_snapshot(&bench.guest, false), *with;

        assert_int_equal(guest_memory_with_shmem(memory, GPA(REGION), MODEL_PART, &with), 0);
        guest_memory_unref(memory);
        if (mapped) {
                with = with_region(with, REGION, M);
                with = with_region(with, BEHIND, REGION + MODEL_PART - BEHIND);
        }
        lane_set_memory(&bench.lane, with);
        guest_memory_unref(with);
}

static void begin_as(enum queue_kind kind, bool direct)
{
        struct bench_options options = bench_defaults;

        options.kind = kind;
        options.n_queues = 2; /* the second is an innocent neighbour */
        options.area_len = direct ? LIMIT_AREA : 0;
        options.area_out = direct;
        bench_init(&bench, &options);
        lane_set_failure(&bench.lane, &failure);
        set_memory(true);
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)(i * 7 + i / 251);
}

static void begin(bool direct)
{
        begin_as(QUEUE_WORK, direct);
}

/* A request as a disk has it: bytes one way or the other, and a status. */
static uint16_t post(uint64_t at, uint32_t len, bool write)
{
        const struct model_buffer buffers[] = {{at, len, write}, {STATUS, 1, true}};

        model_fill(&bench.guest, STATUS, 1, 0xee);
        return model_post(&bench.guest, 0, buffers, 2);
}

static const struct bench_request *one(void)
{
        assert_int_equal(bench_requests(&bench), 1);
        return &bench.requests[0];
}

static void cut(void)
{
        assert_int_equal(ftruncate(bench.guest.fd, (off_t)(CUT - MODEL_LOW)), 0);
}

/* Worker and queue are as well as before. */
static void end(void)
{
        uint16_t head = model_post(&bench.guest, 1, &(struct model_buffer){STATUS, 64, false}, 1);

        assert_int_equal(one()->queue, 1);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_used(&bench, 1, head, 0);
        head = model_post(&bench.guest, 0, &(struct model_buffer){STATUS, 64, false}, 1);
        fake_worker_complete(&bench.worker, one()->id, 0, NULL, 0);
        bench_used(&bench, 0, head, 0);
        assert_int_equal(bench.faults, 0);
        assert_int_equal(bench.broken[0] + bench.broken[1], 0);
        bench_done(&bench);
}

/* The worker says that all went well, with `len` bytes and its status. */
static void answers_well(const struct bench_request *request, uint32_t len)
{
        uint8_t *payload = calloc(1, len + 1);

        assert_non_null(payload);
        memcpy(payload, bytes, len);
        if (request->place && len > 0) {
                memcpy(request->place, payload, len);
                fake_worker_complete_placed(&bench.worker, request->id, len, "", 1);
        } else {
                fake_worker_complete(&bench.worker, request->id, 0, payload, len + 1);
        }
        free(payload);
}

/* ---- what is mapped is served ---- */

static void bytes_of_a_region_are_read_and_written(bool direct)
{
        uint16_t head;

        begin(direct);
        model_put(&bench.guest, BEHIND, bytes, 64 * K);
        head = post(BEHIND, 8 * K, false);
        assert_int_equal(one()->must_fail, 0);
        assert_memory_equal(bench.requests[0].bytes, bytes, 8 * K);
        answers_well(&bench.requests[0], 0);
        bench_used(&bench, 0, head, 1);
        assert_true(model_is(&bench.guest, STATUS, 1, 0));
        head = post(REGION, 64 * K, true);
        answers_well(one(), 64 * K);
        bench_used(&bench, 0, head, 64 * K + 1);
        assert_memory_equal(model_at(&bench.guest, REGION), bytes, 64 * K);
        end();
}

static void bytes_of_a_region_go_through_the_pipe(void **state)
{
        (void)state;
        bytes_of_a_region_are_read_and_written(false);
}

static void bytes_of_a_region_go_by_direct_copy(void **state)
{
        (void)state;
        bytes_of_a_region_are_read_and_written(true);
}

/* ---- holes ---- */

static void a_hole_under_bytes_to_read_fails_the_request(bool direct)
{
        static const struct {
                uint64_t at;
                uint32_t len;
        } rows[] = {{HOLE, 1}, {HOLE - 1, 2}, {HOLE - 8 * K, 16 * K}, {BEHIND - 8 * K, 16 * K}, {HOLE, M}};

        for (size_t i = 0; i < array_size(rows); i++) {
                uint16_t head;

                begin(direct);
                head = post(rows[i].at, rows[i].len, false);
                assert_int_equal(one()->must_fail, 1);
                assert_int_equal(bench.requests[0].inlined, 0);
                fake_worker_complete(&bench.worker, bench.requests[0].id, 0, error, 1);
                bench_used(&bench, 0, head, 1);
                assert_true(model_is(&bench.guest, STATUS, 1, IOERR));
                end();
        }
}

static void a_hole_under_readable_bytes_must_fail(void **state)
{
        (void)state;
        a_hole_under_bytes_to_read_fails_the_request(false);
}

static void a_hole_under_readable_bytes_must_fail_by_direct_copy(void **state)
{
        (void)state;
        a_hole_under_bytes_to_read_fails_the_request(true);
}

static void a_hole_under_bytes_to_write_is_an_error(bool direct)
{
        static const struct {
                uint64_t at;
                uint32_t len;
        } rows[] = {
            {HOLE, 1}, {HOLE - 1, 2}, {HOLE - 8 * K, 16 * K}, {BEHIND - 8 * K, 16 * K}, {HOLE, 200 * K}};

        for (size_t i = 0; i < array_size(rows); i++) {
                uint16_t head;

                begin(direct);
                model_fill(&bench.guest, HOLE, M, 0x77);
                head = post(rows[i].at, rows[i].len, true);
                answers_well(one(), rows[i].len);
                bench_used(&bench, 0, head, 0);
                assert_true(model_is(&bench.guest, STATUS, 1, IOERR));
                assert_true(model_is(&bench.guest, HOLE, M, 0x77));
                end();
        }
}

static void a_hole_under_writable_bytes_is_the_devices_error(void **state)
{
        (void)state;
        a_hole_under_bytes_to_write_is_an_error(false);
}

static void a_hole_under_writable_bytes_is_the_devices_error_by_direct_copy(void **state)
{
        (void)state;
        a_hole_under_bytes_to_write_is_an_error(true);
}

/* The worker answers with a gap in front, which would be zeros. */
static void a_hole_under_a_gap_is_the_devices_error(void **state)
{
        uint16_t head;

        (void)state;
        begin(false);
        head = post(HOLE - K, 2 * K, true);
        fake_worker_complete(&bench.worker, one()->id, 2 * K, "", 1);
        bench_used(&bench, 0, head, 0);
        assert_true(model_is(&bench.guest, STATUS, 1, IOERR));
        end();
}

static void a_hole_that_comes_while_the_worker_has_the_request_is_its_error(void **state)
{
        uint16_t head;

        (void)state;
        begin(false);
        head = post(BEHIND, 64 * K, true);
        (void)one();
        set_memory(false);
        answers_well(&bench.requests[0], 64 * K);
        bench_used(&bench, 0, head, 0);
        assert_true(model_is(&bench.guest, STATUS, 1, IOERR));
        end();
}

static void a_read_of_a_hole_by_message_says_so(void **state)
{
        struct fake_frame frame;
        uint16_t head;

        (void)state;
        begin(false);
        head = post(BEHIND, 64 * K, false);
        assert_int_equal(one()->inlined, bench_defaults.max_inline);
        set_memory(false);
        fake_worker_read(&bench.worker, 1, bench.requests[0].id, 16 * K, 48 * K);
        bench_reply(&bench, &frame);
        assert_int_equal(frame.message.mem_read_reply.status[0], WIRE_STATUS_FAULT);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, error, 1);
        bench_used(&bench, 0, head, 1);
        assert_true(model_is(&bench.guest, STATUS, 1, IOERR));
        end();
}

/* ---- files that are cut short ---- */

static void a_cut_file_under_bytes_to_write(bool direct)
{
        static const uint32_t lens[] = {64, 8 * K, 100000};

        for (size_t i = 0; i < array_size(lens); i++) {
                uint16_t head;

                begin(direct);
                head = post(CUT - lens[i] / 2, lens[i], true);
                (void)one();
                cut();
                answers_well(&bench.requests[0], lens[i]);
                bench_used(&bench, 0, head, 0);
                assert_true(model_is(&bench.guest, STATUS, 1, IOERR));
                end();
        }
}

static void a_file_that_is_cut_under_writable_bytes_is_the_devices_error(void **state)
{
        (void)state;
        a_cut_file_under_bytes_to_write(false);
}

static void a_file_that_is_cut_under_writable_bytes_is_the_devices_error_by_direct_copy(void **state)
{
        (void)state;
        a_cut_file_under_bytes_to_write(true);
}

/* It is found when the frame goes: the worker gets zeros and answers well, and the guest is not told so. */
static void a_file_that_is_cut_under_inlined_bytes_is_the_devices_error(void **state)
{
        uint16_t head;

        (void)state;
        begin(false);
        cut();
        head = post(CUT - 4 * K, 8 * K, false);
        assert_int_equal(one()->inlined, 8 * K);
        answers_well(&bench.requests[0], 0);
        bench_used(&bench, 0, head, 1);
        assert_true(model_is(&bench.guest, STATUS, 1, IOERR));
        end();
}

static void a_file_that_is_cut_under_pushed_bytes_must_fail(void **state)
{
        uint16_t head;

        (void)state;
        begin(true);
        cut();
        head = post(CUT - 4 * K, 8 * K, false);
        assert_int_equal(one()->must_fail, 1);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, error, 1);
        bench_used(&bench, 0, head, 1);
        end();
}

static void a_file_that_is_cut_under_a_read_by_message_is_the_devices_error(void **state)
{
        struct fake_frame frame;
        uint16_t head;

        (void)state;
        begin(false);
        head = post(CUT - 24 * K, 64 * K, false);
        (void)one();
        cut();
        fake_worker_read(&bench.worker, 1, bench.requests[0].id, 16 * K, 48 * K);
        bench_reply(&bench, &frame);
        assert_int_equal(frame.payload_len, 48 * K);
        answers_well(&bench.requests[0], 0);
        bench_used(&bench, 0, head, 1);
        assert_true(model_is(&bench.guest, STATUS, 1, IOERR));
        end();
}

/* ---- what the guest is told ---- */

static void a_type_without_an_error_gives_the_buffer_back_empty(void **state)
{
        uint16_t head;

        (void)state;
        begin(false);
        lane_set_failure(&bench.lane, &(struct lane_failure){0});
        head = post(HOLE, K, true);
        answers_well(one(), K);
        bench_used(&bench, 0, head, 0);
        end();
}

static void an_error_that_comes_first_is_the_whole_answer(void **state)
{
        uint16_t head;

        (void)state;
        begin(false);
        lane_set_failure(&bench.lane,
                         &(struct lane_failure){.error = answer, .len = sizeof(answer), .first = true});
        head = post(BEHIND - 4, K, true);
        answers_well(one(), K);
        bench_used(&bench, 0, head, 0); /* it has no room: it would lie in the hole */
        head = post(HOLE - 4, K, true);
        answers_well(one(), K);
        bench_used(&bench, 0, head, sizeof(answer));
        assert_memory_equal(model_at(&bench.guest, HOLE - 4), answer, sizeof(answer));
        end();
}

static void an_error_without_room_is_nothing_written(void **state)
{
        const struct model_buffer in_the_hole = {HOLE, 1, true};
        uint16_t head;

        (void)state;
        begin(false);
        head = model_post(&bench.guest, 0, &in_the_hole, 1);
        fake_worker_complete(&bench.worker, one()->id, 0, "x", 1);
        bench_used(&bench, 0, head, 0);
        lane_set_failure(&bench.lane,
                         &(struct lane_failure){.error = answer,
                                                .len = sizeof(answer)}); /* longer than what may be written */
        head = model_post(&bench.guest, 0, &in_the_hole, 1);
        fake_worker_complete(&bench.worker, one()->id, 0, "x", 1);
        bench_used(&bench, 0, head, 0);
        end();
}

/* Room for input has no place for an error. */
static void what_is_lent_comes_back_empty(void **state)
{
        const struct model_buffer room = {BEHIND - K, 2 * K, true};
        uint16_t head;

        (void)state;
        begin_as(QUEUE_SUPPLY, false);
        model_fill(&bench.guest, BEHIND, K, 0x77);
        head = model_post(&bench.guest, 0, &room, 1);
        answers_well(one(), K / 2);
        bench_used(&bench, 0, head, 0);
        assert_true(model_is(&bench.guest, BEHIND, K, 0x77));
        assert_int_equal(bench.broken[0], 0);
        bench_done(&bench);
}

static void without_a_worker_holes_are_answered_too(void **state)
{
        uint16_t head;

        (void)state;
        begin(false);
        bench_die(&bench);
        lane_fail_begin(&bench.lane);
        head = post(HOLE - K, 2 * K, true);
        bench_used(&bench, 0, head, 0);
        assert_true(model_is(&bench.guest, STATUS, 1, IOERR));
        assert_int_equal(bench.broken[0], 0);
        bench_done(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(bytes_of_a_region_go_through_the_pipe),
            cmocka_unit_test(bytes_of_a_region_go_by_direct_copy),
            cmocka_unit_test(a_hole_under_readable_bytes_must_fail),
            cmocka_unit_test(a_hole_under_readable_bytes_must_fail_by_direct_copy),
            cmocka_unit_test(a_hole_under_writable_bytes_is_the_devices_error),
            cmocka_unit_test(a_hole_under_writable_bytes_is_the_devices_error_by_direct_copy),
            cmocka_unit_test(a_hole_under_a_gap_is_the_devices_error),
            cmocka_unit_test(a_hole_that_comes_while_the_worker_has_the_request_is_its_error),
            cmocka_unit_test(a_read_of_a_hole_by_message_says_so),
            cmocka_unit_test(a_file_that_is_cut_under_writable_bytes_is_the_devices_error),
            cmocka_unit_test(a_file_that_is_cut_under_writable_bytes_is_the_devices_error_by_direct_copy),
            cmocka_unit_test(a_file_that_is_cut_under_inlined_bytes_is_the_devices_error),
            cmocka_unit_test(a_file_that_is_cut_under_pushed_bytes_must_fail),
            cmocka_unit_test(a_file_that_is_cut_under_a_read_by_message_is_the_devices_error),
            cmocka_unit_test(a_type_without_an_error_gives_the_buffer_back_empty),
            cmocka_unit_test(an_error_that_comes_first_is_the_whole_answer),
            cmocka_unit_test(an_error_without_room_is_nothing_written),
            cmocka_unit_test(what_is_lent_comes_back_empty),
            cmocka_unit_test(without_a_worker_holes_are_answered_too),
        };

        return cmocka_run_group_tests_name("lane_shmem", tests, NULL, NULL);
}
