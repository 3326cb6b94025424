/* The life of requests on a lane with an honest worker. TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/core/lane_bench.h"

#define A (MODEL_BUFFERS) /* places for buffers */
#define B (MODEL_BUFFERS + 0x100000)
#define M (UINT32_C(1) << 20)

static struct lane_bench bench;

static void pattern(uint8_t *bytes, size_t len, uint64_t seed)
{
        for (size_t i = 0; i < len; i++)
                bytes[i] = (uint8_t)random_next(&seed);
}

static uint16_t post(uint64_t at, uint32_t readable, uint64_t to, uint32_t writable)
{
        struct model_buffer buffers[2];
        unsigned n = 0;

        if (readable > 0)
                buffers[n++] = (struct model_buffer){at, readable, false};
        if (writable > 0)
                buffers[n++] = (struct model_buffer){to, writable, true};
        return model_post(&bench.guest, 0, buffers, n);
}

static void a_request_goes_there_and_back(void **state)
{
        uint8_t bytes[600];
        uint16_t head;

        (void)state;
        bench_init(&bench, &bench_defaults);
        pattern(bytes, sizeof(bytes), 1);
        model_put(&bench.guest, A, bytes, sizeof(bytes));
        model_fill(&bench.guest, B, 600, 0xcc);
        head = post(A, 600, B, 500);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].queue, 0);
        assert_int_equal(bench.requests[0].readable, 600);
        assert_int_equal(bench.requests[0].writable, 500);
        assert_int_equal(bench.requests[0].inlined, 600);
        assert_int_equal(bench.requests[0].attempt, 0);
        assert_int_equal(bench.requests[0].must_fail, 0);
        assert_memory_equal(bench.requests[0].bytes, bytes, 600);
        bench_not_used(&bench, 0);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, bytes + 50, 500);
        bench_used(&bench, 0, head, 500);
        assert_memory_equal(model_at(&bench.guest, B), bytes + 50, 500);
        assert_true(model_is(&bench.guest, B + 500, 100, 0xcc));
        assert_int_equal(model_signals(&bench.guest, 0), 1);
        assert_int_equal(bench.lane.completed, 1);
        assert_int_equal(bench.lane.used_requests, 0);
        assert_int_equal(bench.lane.used_bytes, 0);
        assert_int_equal(bench.faults, 0);
        bench_done(&bench);
}

static void a_request_without_writable_bytes_is_used_with_length_zero(void **state)
{
        uint16_t head;

        (void)state;
        bench_init(&bench, &bench_defaults);
        head = post(A, 1, 0, 0);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_used(&bench, 0, head, 0);
        bench_done(&bench);
}

/* Inline at, under and over max_inline; the rest comes by MemRead. */
static void readable_bytes_over_the_inline_limit_are_read_by_message(void **state)
{
        static uint8_t bytes[16385];
        struct fake_frame frame;

        (void)state;
        pattern(bytes, sizeof(bytes), 2);
        for (uint32_t len = 16383; len <= 16385; len++) {
                uint32_t inlined = MIN(len, 16384u);

                bench_init(&bench, &bench_defaults);
                model_put(&bench.guest, A, bytes, len);
                post(A, len, 0, 0);
                assert_int_equal(bench_requests(&bench), 1);
                assert_int_equal(bench.requests[0].readable, len);
                assert_int_equal(bench.requests[0].inlined, inlined);
                assert_memory_equal(bench.requests[0].bytes, bytes, inlined);
                fake_worker_read(&bench.worker, 77, bench.requests[0].id, len - 1, 1);
                bench_reply(&bench, &frame);
                assert_int_equal(frame.message.mem_read_reply.seq, 77);
                assert_int_equal(frame.message.mem_read_reply.n, 1);
                assert_int_equal(frame.message.mem_read_reply.status[0], WIRE_STATUS_OK);
                assert_int_equal(frame.payload_len, 1);
                assert_int_equal(frame.payload[0], bytes[len - 1]);
                bench_done(&bench);
        }
}

static void a_vectored_read_brings_segments_of_several_requests(void **state)
{
        uint8_t bytes[2][4096];
        uint64_t id[3];
        const uint32_t offset[3] = {10, 0, 4000}, len[3] = {100, 4096, 96};
        struct lane_to_broker message = {
            .kind = LANE_MEM_READ,
            .mem_read = {.seq = 1, .n = 3, .id = id, .offset = offset, .len = len, .total = 4292}};
        struct fake_frame frame;

        (void)state;
        bench_init(&bench, &bench_defaults);
        for (unsigned i = 0; i < 2; i++) {
                pattern(bytes[i], 4096, 10 + i);
                /* across the edge of the regions */
                model_put(&bench.guest, MODEL_HIGH - 2000 + i * 8192, bytes[i], 4096);
                post(MODEL_HIGH - 2000 + i * 8192, 4096, 0, 0);
        }
        assert_int_equal(bench_requests(&bench), 2);
        assert_memory_equal(bench.requests[0].bytes, bytes[0], 4096);
        id[0] = bench.requests[0].id;
        id[1] = bench.requests[1].id;
        id[2] = bench.requests[0].id;
        fake_worker_send(&bench.worker, &message, NULL, 0);
        bench_reply(&bench, &frame);
        assert_int_equal(frame.payload_len, 4292);
        assert_memory_equal(frame.payload, bytes[0] + 10, 100);
        assert_memory_equal(frame.payload + 100, bytes[1], 4096);
        assert_memory_equal(frame.payload + 4196, bytes[0] + 4000, 96);
        bench_done(&bench);
}

/* More spans than one call takes: 64 segments of one request whose chain has 128 buffers. */
static void a_read_with_more_spans_than_an_iovec_holds_is_copied(void **state)
{
        struct bench_options options = bench_defaults;
        struct model_buffer buffers[128];
        uint64_t id[64];
        uint32_t offset[64], len[64];
        uint8_t bytes[128];
        struct lane_to_broker message = {
            .kind = LANE_MEM_READ,
            .mem_read = {.seq = 9, .n = 64, .id = id, .offset = offset, .len = len, .total = 64 * 128}};
        struct fake_frame frame;

        (void)state;
        options.max_inline = 0;
        bench_init(&bench, &options);
        pattern(bytes, sizeof(bytes), 5);
        for (unsigned i = 0; i < 128; i++) {
                buffers[i] = (struct model_buffer){A + 2 * i, 1, false};
                *model_at(&bench.guest, A + 2 * i) = bytes[i];
        }
        model_post(&bench.guest, 0, buffers, 128);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].inlined, 0);
        for (unsigned i = 0; i < 64; i++) {
                id[i] = bench.requests[0].id;
                offset[i] = 0;
                len[i] = 128;
        }
        fake_worker_send(&bench.worker, &message, NULL, 0);
        bench_reply(&bench, &frame);
        assert_int_equal(frame.payload_len, 64 * 128);
        for (unsigned i = 0; i < 64; i++) {
                assert_int_equal(frame.message.mem_read_reply.status[i], WIRE_STATUS_OK);
                assert_memory_equal(frame.payload + 128 * i, bytes, 128);
        }
        bench_done(&bench);
}

static void sixteen_reads_may_be_unanswered_and_are_answered_in_order(void **state)
{
        struct fake_frame frame;

        (void)state;
        bench_init(&bench, &bench_defaults);
        pattern(model_at(&bench.guest, A), 64, 3);
        post(A, 64, 0, 0);
        assert_int_equal(bench_requests(&bench), 1);
        for (uint32_t i = 0; i < LIMIT_MEM_READS; i++)
                fake_worker_read(&bench.worker, 100 + i, bench.requests[0].id, i, 2);
        for (uint32_t i = 0; i < LIMIT_MEM_READS; i++) {
                bench_reply(&bench, &frame);
                assert_int_equal(frame.message.mem_read_reply.seq, 100 + i);
                assert_memory_equal(frame.payload, model_at(&bench.guest, A + i), 2);
        }
        assert_int_equal(bench.faults, 0);
        bench_done(&bench);
}

static void a_read_of_a_completed_request_is_answered_with_canceled_zeros(void **state)
{
        struct fake_frame frame;
        uint8_t zeros[8] = {0};

        (void)state;
        bench_init(&bench, &bench_defaults);
        model_fill(&bench.guest, A, 64, 0x77);
        post(A, 64, 0, 0);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_read(&bench.worker, 1, bench.requests[0].id, 0, 8);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_reply(&bench, &frame);
        assert_int_equal(frame.message.mem_read_reply.status[0], WIRE_STATUS_CANCELED);
        assert_memory_equal(frame.payload, zeros, 8);
        assert_int_equal(bench.faults, 0);
        bench_done(&bench);
}

static void credits_of_requests_hold_at_their_edge(void **state)
{
        struct bench_options options = bench_defaults;
        uint64_t first;

        (void)state;
        options.credit_requests = 4;
        bench_init(&bench, &options);
        for (unsigned i = 0; i < 6; i++)
                post(A + 64 * i, 16, B + 64 * i, 16);
        assert_int_equal(bench_requests(&bench), 4);
        first = bench.requests[0].id;
        assert_int_equal(bench.lane.used_requests, 4);
        assert_int_equal(bench_requests(&bench), 0);
        fake_worker_complete(&bench.worker, first, 0, NULL, 0);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].readable, 16);
        bench_done(&bench);
}

/* Bytes: at the credit all go; over it the request that does not fit waits, and none overtakes it. */
static void credits_of_bytes_hold_at_their_edge(void **state)
{
        struct bench_options options = bench_defaults;
        uint64_t ids[4];

        (void)state;
        options.credit_bytes = 3000;
        options.max_inline = 1000;
        bench_init(&bench, &options);
        post(A, 1000, 0, 0);
        post(A, 999, 0, 0);
        post(A, 1000, 0, 0); /* 2999 so far */
        post(A, 2, 0, 0);    /* one over */
        post(A, 1, 0, 0);    /* would fit */
        assert_int_equal(bench_requests(&bench), 3);
        for (unsigned i = 0; i < 3; i++)
                ids[i] = bench.requests[i].id;
        assert_int_equal(bench.lane.used_bytes, 2999);
        assert_int_equal(bench_requests(&bench), 0);
        fake_worker_complete(&bench.worker, ids[1], 0, NULL, 0);
        assert_int_equal(bench_requests(&bench), 2);
        assert_int_equal(bench.requests[0].readable, 2);
        assert_int_equal(bench.requests[1].readable, 1);
        assert_int_equal(bench.lane.used_bytes, 2003);
        bench_done(&bench);
}

static void a_batch_has_at_most_its_limit_and_nothing_is_forgotten(void **state)
{
        struct bench_options options = bench_defaults;
        size_t got;

        (void)state;
        options.credit_requests = 256;
        bench_init(&bench, &options);
        for (unsigned i = 0; i < 130; i++)
                post(A + 8 * i, 8, 0, 0);
        got = bench_requests(&bench);
        assert_int_equal(got, 130);
        for (unsigned i = 0; i < 130; i++)
                fake_worker_complete(&bench.worker, bench.requests[129 - i].id, 0, NULL, 0);
        for (unsigned i = 0; i < 130; i++) /* in the worker's order, not the guest's */
                bench_used(&bench, 0, (uint16_t)(129 - i), 0);
        assert_int_equal(bench.lane.requests.outstanding, 0);
        bench_done(&bench);
}

static void pieces_and_a_last_piece_make_the_used_length(void **state)
{
        uint8_t bytes[9000];
        uint16_t head;

        (void)state;
        bench_init(&bench, &bench_defaults);
        pattern(bytes, sizeof(bytes), 7);
        model_fill(&bench.guest, MODEL_HIGH - 3000, 9100, 0xcc);
        head = post(0, 0, MODEL_HIGH - 3000, 9000);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_write(&bench.worker, bench.requests[0].id, 0, bytes, 4000);
        bench_not_used(&bench, 0);
        fake_worker_write(&bench.worker, bench.requests[0].id, 4000, bytes + 4000, 4000);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 8000, bytes + 8000, 1000);
        bench_used(&bench, 0, head, 9000);
        assert_memory_equal(model_at(&bench.guest, MODEL_HIGH - 3000), bytes, 9000);
        assert_true(model_is(&bench.guest, MODEL_HIGH + 6000, 100, 0xcc));
        bench_done(&bench);
}

static void a_gap_becomes_zeros_and_counts(void **state)
{
        uint16_t head;

        (void)state;
        bench_init(&bench, &bench_defaults);
        model_fill(&bench.guest, B, 1000, 0xcc);
        head = post(0, 0, B, 1000);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_write(&bench.worker, bench.requests[0].id, 100, "abc", 3);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 500, "z", 1);
        bench_used(&bench, 0, head, 501);
        assert_true(model_is(&bench.guest, B, 100, 0));
        assert_memory_equal(model_at(&bench.guest, B + 100), "abc", 3);
        assert_true(model_is(&bench.guest, B + 103, 397, 0));
        assert_int_equal(*model_at(&bench.guest, B + 500), 'z');
        assert_true(model_is(&bench.guest, B + 501, 499, 0xcc));
        bench_done(&bench);
}

/* Backwards: what was written is not zeroed again. */
static void a_later_lower_write_zeroes_nothing(void **state)
{
        uint16_t head;

        (void)state;
        bench_init(&bench, &bench_defaults);
        model_fill(&bench.guest, B, 64, 0xcc);
        head = post(0, 0, B, 64);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_write(&bench.worker, bench.requests[0].id, 32, "high", 4);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 2, "low", 3);
        bench_used(&bench, 0, head, 36);
        assert_true(model_is(&bench.guest, B, 2, 0));
        assert_memory_equal(model_at(&bench.guest, B + 2), "low", 3);
        assert_true(model_is(&bench.guest, B + 5, 27, 0));
        assert_memory_equal(model_at(&bench.guest, B + 32), "high", 4);
        bench_done(&bench);
}

/* One Complete of many, some with bytes and some without; payloads do not slip. */
static void a_vectored_completion_brings_each_its_own_bytes(void **state)
{
        uint64_t id[40];
        uint32_t status[40], offset[40], len[40];
        uint8_t bytes[40 * 512];
        size_t at = 0;

        (void)state;
        bench_init(&bench, &bench_defaults);
        pattern(bytes, sizeof(bytes), 11);
        model_fill(&bench.guest, B, 40 * 1024, 0xcc);
        for (unsigned i = 0; i < 40; i++)
                post(0, 0, B + 1024 * i, 512);
        assert_int_equal(bench_requests(&bench), 40);
        for (unsigned i = 0; i < 40; i++) {
                id[i] = bench.requests[i].id;
                status[i] = WIRE_STATUS_OK;
                offset[i] = 0;
                len[i] = i % 3 == 0 ? 0 : 12 * i;
                at += len[i];
        }
        fake_worker_send(&bench.worker,
                         &(struct lane_to_broker){
                             .kind = LANE_COMPLETE,
                             .complete = {.n = 40, .id = id, .status = status, .offset = offset, .len = len}},
                         bytes, at);
        at = 0;
        for (unsigned i = 0; i < 40; i++) {
                bench_used(&bench, 0, (uint16_t)i, len[i]);
                if (len[i] > 0)
                        assert_memory_equal(model_at(&bench.guest, B + 1024 * i), bytes + at, len[i]);
                assert_true(model_is(&bench.guest, B + 1024 * i + len[i], 1024 - len[i], 0xcc));
                at += len[i];
        }
        assert_int_equal(model_signals(&bench.guest, 0), 1);
        bench_done(&bench);
}

static void a_mebibyte_goes_both_ways(void **state)
{
        uint8_t *bytes = malloc(M);
        struct fake_frame frame;
        uint16_t head;

        (void)state;
        bench_init(&bench, &bench_defaults);
        pattern(bytes, M, 13);
        model_put(&bench.guest, MODEL_HIGH - M / 2, bytes, M);
        head = post(MODEL_HIGH - M / 2, M, MODEL_HIGH + M, M);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_read(&bench.worker, 1, bench.requests[0].id, 0, M);
        bench_reply(&bench, &frame);
        assert_int_equal(frame.payload_len, M);
        assert_memory_equal(frame.payload, bytes, M);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, bytes, M);
        bench_used(&bench, 0, head, M);
        assert_memory_equal(model_at(&bench.guest, MODEL_HIGH + M), bytes, M);
        free(bytes);
        bench_done(&bench);
}

/* Every frame, header and payload of both directions is cut at each byte. */
static void frames_in_single_bytes_mean_the_same(void **state)
{
        uint8_t bytes[300];
        struct fake_frame frame;
        uint16_t head;

        (void)state;
        for (size_t step = 1; step <= 3; step++) {
                bench_init(&bench, &bench_defaults);
                bench.worker.step = step;
                bench.may_drip = true;
                pattern(bytes, sizeof(bytes), step);
                model_put(&bench.guest, MODEL_HIGH - 100, bytes, 300);
                head = post(MODEL_HIGH - 100, 300, B, 300);
                assert_int_equal(bench_requests(&bench), 1);
                assert_memory_equal(bench.requests[0].bytes, bytes, 300);
                fake_worker_read(&bench.worker, 5, bench.requests[0].id, 1, 299);
                bench_reply(&bench, &frame);
                assert_memory_equal(frame.payload, bytes + 1, 299);
                fake_worker_write(&bench.worker, bench.requests[0].id, 10, bytes + 10, 190);
                fake_worker_complete(&bench.worker, bench.requests[0].id, 200, bytes + 200, 100);
                bench_used(&bench, 0, head, 300);
                assert_true(model_is(&bench.guest, B, 10, 0));
                assert_memory_equal(model_at(&bench.guest, B + 10), bytes + 10, 290);
                bench_done(&bench);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_request_goes_there_and_back),
            cmocka_unit_test(a_request_without_writable_bytes_is_used_with_length_zero),
            cmocka_unit_test(readable_bytes_over_the_inline_limit_are_read_by_message),
            cmocka_unit_test(a_vectored_read_brings_segments_of_several_requests),
            cmocka_unit_test(a_read_with_more_spans_than_an_iovec_holds_is_copied),
            cmocka_unit_test(sixteen_reads_may_be_unanswered_and_are_answered_in_order),
            cmocka_unit_test(a_read_of_a_completed_request_is_answered_with_canceled_zeros),
            cmocka_unit_test(credits_of_requests_hold_at_their_edge),
            cmocka_unit_test(credits_of_bytes_hold_at_their_edge),
            cmocka_unit_test(a_batch_has_at_most_its_limit_and_nothing_is_forgotten),
            cmocka_unit_test(pieces_and_a_last_piece_make_the_used_length),
            cmocka_unit_test(a_gap_becomes_zeros_and_counts),
            cmocka_unit_test(a_later_lower_write_zeroes_nothing),
            cmocka_unit_test(a_vectored_completion_brings_each_its_own_bytes),
            cmocka_unit_test(a_mebibyte_goes_both_ways),
            cmocka_unit_test(frames_in_single_bytes_mean_the_same),
        };

        return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
