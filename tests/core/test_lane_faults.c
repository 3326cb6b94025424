/* Memory that goes away under a lane's requests: the request or queue fails, the stream stays in step, and
 * nothing lands where it should not.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/status.h"
#include "tests/core/lane_bench.h"

#define A    (MODEL_BUFFERS)
#define B    (MODEL_BUFFERS + 0x100000)
#define M    (UINT32_C(1) << 20)
#define PAGE UINT64_C(4096)
#define CUT  (MODEL_HIGH + 2 * M) /* where the tests let the file end */
#define TWO  2                    /* queues: the second is an innocent neighbour */

static struct lane_bench bench;
static uint8_t bytes[M];

static void begin(void)
{
        struct bench_options options = bench_defaults;

        options.n_queues = TWO;
        bench_init(&bench, &options);
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)(i * 7 + i / 251);
}

static uint16_t post(unsigned queue, uint64_t at, uint32_t len, bool write)
{
        return model_post(&bench.guest, queue, &(struct model_buffer){at, len, write}, 1);
}

/* Everything to the broker, nothing read from it. */
static void push_all(void)
{
        while (bench.worker.tx_len > 0)
                assert_true(fake_worker_push(&bench.worker));
}

static void cut(void)
{
        assert_int_equal(ftruncate(bench.guest.fd, (off_t)(CUT - MODEL_LOW)), 0);
}

/* The other queue is served as ever, by the same worker. */
static void neighbour_is_well(void)
{
        uint16_t head = post(1, A, 64, false);

        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].queue, 1);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_used(&bench, 1, head, 0);
        assert_int_equal(bench.faults, 0);
        assert_int_equal(bench.broken[1], 0);
}

static void truncation_before_a_reply_is_zeros_and_a_status(void **state)
{
        struct fake_frame frame;

        (void)state;
        begin();
        model_put(&bench.guest, CUT - M / 2, bytes, M);
        post(0, CUT - M / 2, M, false);
        assert_int_equal(bench_requests(&bench), 1);
        cut();
        fake_worker_read(&bench.worker, 1, bench.requests[0].id, 16384, M - 16384);
        bench_reply(&bench, &frame);
        assert_int_equal(frame.payload_len, M - 16384);
        assert_memory_equal(frame.payload, bytes + 16384, M / 2 - 16384);
        for (uint32_t i = M / 2 - 16384; i < frame.payload_len; i++)
                assert_int_equal(frame.payload[i], 0);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_not_used(&bench, 0);
        assert_int_equal(bench.broken[0], 1);
        assert_int_equal(lane_queue_find(&bench.lane, 0)->ring.fault, QUEUE_FAULT_MEMORY);
        neighbour_is_well();
        bench_done(&bench);
}

/* The worker reads in small steps and the file is cut while the frame is on its way. */
static void truncation_in_the_middle_of_a_frame_to_the_worker_keeps_the_stream(void **state)
{
        struct fake_frame frame;

        (void)state;
        begin();
        model_put(&bench.guest, CUT - M / 2, bytes, M);
        post(0, CUT - M / 2, M, false);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_read(&bench.worker, 1, bench.requests[0].id, 0, M);
        push_all();
        lane_readable(&bench.lane); /* begins the reply: the pipe holds less than a mebibyte */
        assert_true(lane_wants_write(&bench.lane));
        cut();
        bench_reply(&bench, &frame);
        assert_int_equal(frame.payload_len, M);
        assert_memory_equal(frame.payload, bytes, M / 2);
        assert_int_equal(frame.payload[M - 1], 0);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_not_used(&bench, 0);
        assert_int_equal(bench.broken[0], 1);
        neighbour_is_well();
        bench_done(&bench);
}

static void truncation_under_inlined_bytes_keeps_the_stream(void **state)
{
        (void)state;
        begin();
        model_put(&bench.guest, CUT - PAGE, bytes, 2 * PAGE);
        lane_queue_find(&bench.lane, 0)->held = true;
        post(0, CUT - PAGE, 2 * PAGE, false);
        bench_run(&bench);
        cut();
        lane_queue_release(&bench.lane, lane_queue_find(&bench.lane, 0));
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].inlined, 2 * PAGE);
        assert_memory_equal(bench.requests[0].bytes, bytes, PAGE);
        assert_int_equal(bench.requests[0].bytes[PAGE], 0);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_not_used(&bench, 0);
        assert_int_equal(bench.broken[0], 1);
        neighbour_is_well();
        bench_done(&bench);
}

/* Received in place (large) and by copying (small), with the edge in the middle. */
static void truncation_under_the_writable_bytes_keeps_the_stream(void **state)
{
        static const uint32_t lens[] = {64, 2 * PAGE, 100000, M};

        (void)state;
        for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
                uint32_t half = lens[i] / 2;

                begin();
                post(0, CUT - half, lens[i], true);
                assert_int_equal(bench_requests(&bench), 1);
                cut();
                fake_worker_complete(&bench.worker, bench.requests[0].id, 0, bytes, lens[i]);
                bench_not_used(&bench, 0);
                assert_memory_equal(model_at(&bench.guest, CUT - PAGE) + PAGE - half % PAGE,
                                    bytes + (half - half % PAGE), half % PAGE);
                assert_int_equal(bench.broken[0], 1);
                neighbour_is_well();
                bench_done(&bench);
        }
}

static void truncation_in_the_middle_of_a_frame_from_the_worker_keeps_the_stream(void **state)
{
        (void)state;
        begin();
        post(0, CUT - M / 2, M, true);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, bytes, M);
        fake_worker_pump(&bench.worker);
        lane_readable(&bench.lane);
        assert_int_equal(bench.lane.rx.state, LANE_RX_PAYLOAD);
        cut();
        bench_not_used(&bench, 0);
        assert_int_equal(bench.lane.rx.state, LANE_RX_HEAD);
        assert_int_equal(bench.broken[0], 1);
        neighbour_is_well();
        bench_done(&bench);
}

static void truncation_under_a_gap_is_a_fault_on_the_request(void **state)
{
        (void)state;
        begin();
        post(0, CUT - 100, 8192, true);
        assert_int_equal(bench_requests(&bench), 1);
        cut();
        fake_worker_complete(&bench.worker, bench.requests[0].id, 8000, "x", 1);
        bench_not_used(&bench, 0);
        assert_true(model_is(&bench.guest, CUT - 100, 100, 0));
        assert_int_equal(bench.broken[0], 1);
        neighbour_is_well();
        bench_done(&bench);
}

static void truncation_under_a_ring_breaks_that_queue(void **state)
{
        (void)state;
        begin();
        post(0, A, 4, false);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(ftruncate(bench.guest.fd, 0), 0);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_run(&bench);
        assert_int_equal(bench.broken[0], 1);
        assert_int_equal(bench.faults, 0);
        assert_int_equal(bench.lane.requests.outstanding, 0);
        bench_done(&bench);
}

/* Nothing is outstanding: the lane finds it when it says that it wants no kicks. */
static void truncation_under_a_used_ring_alone_breaks_that_queue(void **state)
{
        (void)state;
        begin();
        bench.lane.hold = 1;
        post(0, A, 4, false);
        bench_run(&bench);
        assert_int_equal(ftruncate(bench.guest.fd, 0x8000), 0); /* the first queue's, and all behind */
        bench.lane.hold = 0;
        lane_turn(&bench.lane);
        assert_int_equal(bench.broken[0], 1);
        assert_int_equal(bench.faults, 0);
        assert_int_equal(bench.lane.requests.outstanding, 0);
        bench_done(&bench);
}

/* ---- the table of regions changes ---- */

static void set_low_only(void)
{
        struct guest_memory *memory = model_guest_snapshot(&bench.guest, false);

        lane_set_memory(&bench.lane, memory);
        guest_memory_unref(memory);
}

static void a_table_change_in_the_middle_of_a_frame_to_the_worker_sends_the_old_bytes(void **state)
{
        struct fake_frame frame;

        (void)state;
        begin();
        model_put(&bench.guest, MODEL_HIGH, bytes, M);
        post(0, MODEL_HIGH, M, false);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_read(&bench.worker, 1, bench.requests[0].id, 0, M);
        push_all();
        lane_readable(&bench.lane);
        assert_true(lane_wants_write(&bench.lane));
        set_low_only();
        model_fill(&bench.guest, MODEL_HIGH, M, 0xee); /* another's from here on */
        bench_reply(&bench, &frame);
        assert_int_equal(frame.payload_len, M);
        assert_memory_equal(frame.payload, bytes, M);
        fake_worker_read(&bench.worker, 2, bench.requests[0].id, 0, 8);
        bench_reply(&bench, &frame);
        assert_int_equal(frame.message.mem_read_reply.status[0], WIRE_STATUS_FAULT);
        assert_int_equal(frame.payload[0], 0);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_run(&bench);
        neighbour_is_well();
        bench_done(&bench);
}

/* Segments of so many pieces that they were copied, between others that go out of guest memory: all are moved
 * to one place when the table changes in the middle of the frame. */
static void a_table_change_under_copied_segments_sends_the_old_bytes(void **state)
{
        enum { PIECES = 500, EACH = 250, SEGMENTS = 8 };
        struct bench_options options = bench_defaults;
        struct model_buffer buffers[PIECES];
        uint64_t id[SEGMENTS];
        uint32_t offset[SEGMENTS], len[SEGMENTS], total = 0;
        struct lane_to_broker message = {.kind = LANE_MEM_READ,
                                         .mem_read = {.n = SEGMENTS, .id = id, .offset = offset, .len = len}};
        struct guest_memory *low;
        struct fake_frame frame;
        size_t at = 0;

        (void)state;
        options.ring_size = 512;
        options.max_segments = PIECES;
        options.max_inline = 0;
        bench_init(&bench, &options);
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)(i * 7 + i / 251);
        for (unsigned i = 0; i < PIECES; i++) {
                buffers[i] = (struct model_buffer){MODEL_HIGH + 256 * i, EACH, false};
                model_put(&bench.guest, buffers[i].at, bytes + EACH * i, EACH);
        }
        model_post(&bench.guest, 0, buffers, PIECES);
        assert_int_equal(bench_requests(&bench), 1);
        for (unsigned i = 0; i < SEGMENTS; i++) {
                /* one piece, all pieces, one piece ... */
                id[i] = bench.requests[0].id;
                offset[i] = i % 2 ? 0 : i;
                len[i] = i % 2 ? PIECES * EACH : 1 + i;
                total += len[i];
        }
        message.mem_read.total = total;
        fake_worker_send(&bench.worker, &message, NULL, 0);
        push_all();
        lane_readable(&bench.lane);
        assert_true(lane_wants_write(&bench.lane)); /* more than the pipe takes */
        low = model_guest_snapshot(&bench.guest, false);
        lane_set_memory(&bench.lane, low);
        guest_memory_unref(low);
        model_fill(&bench.guest, MODEL_HIGH, 256 * PIECES, 0xee);
        bench_reply(&bench, &frame);
        assert_int_equal(frame.payload_len, total);
        for (unsigned i = 0; i < SEGMENTS; at += len[i++])
                assert_memory_equal(frame.payload + at, bytes + offset[i], len[i]);
        bench_done(&bench);
}

static void a_table_change_in_the_middle_of_a_frame_from_the_worker_writes_nothing_more(void **state)
{
        uint32_t before = 0;

        (void)state;
        begin();
        model_fill(&bench.guest, MODEL_HIGH, M, 0);
        post(0, MODEL_HIGH, M, true);
        assert_int_equal(bench_requests(&bench), 1);
        memset(bytes, 0x11, M);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, bytes, M);
        fake_worker_pump(&bench.worker);
        lane_readable(&bench.lane);
        assert_int_equal(bench.lane.rx.state, LANE_RX_PAYLOAD);
        set_low_only();
        while (before < M && *model_at(&bench.guest, MODEL_HIGH + before) == 0x11)
                before++;
        assert_true(before < M);
        bench_not_used(&bench, 0);
        assert_true(model_is(&bench.guest, MODEL_HIGH + before, M - before, 0));
        assert_int_equal(bench.broken[0], 1);
        neighbour_is_well();
        bench_done(&bench);
}

static void a_table_change_before_a_request_is_sent_makes_it_fail(void **state)
{
        struct bench_options options = bench_defaults;

        (void)state;
        options.credit_requests = 1;
        bench_init(&bench, &options);
        post(0, A, 4, false);
        assert_int_equal(bench_requests(&bench), 1);
        bench_die(&bench);
        post(0, MODEL_HIGH, 4, false);
        set_low_only();
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].attempt, 1);
        assert_int_equal(bench.requests[0].inlined, 4);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_run(&bench);
        assert_int_equal(lane_queue_find(&bench.lane, 0)->ring.fault, QUEUE_FAULT_ADDRESS);
        bench_done(&bench);
}

static void a_replayed_request_whose_memory_is_gone_must_fail(void **state)
{
        (void)state;
        begin();
        post(0, MODEL_HIGH, 4, false);
        assert_int_equal(bench_requests(&bench), 1);
        bench_die(&bench);
        set_low_only();
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].must_fail, 1);
        assert_int_equal(bench.requests[0].inlined, 0);
        bench_done(&bench);
}

static void without_memory_everything_is_a_fault_and_nothing_crashes(void **state)
{
        struct fake_frame frame;

        (void)state;
        begin();
        post(0, A, 20000, false);
        post(0, B, 20000, true);
        assert_int_equal(bench_requests(&bench), 2);
        lane_set_memory(&bench.lane, NULL);
        assert_int_equal(bench.broken[0], 1);
        assert_int_equal(bench.broken[1], 1);
        fake_worker_read(&bench.worker, 1, bench.requests[0].id, 16384, 100);
        bench_reply(&bench, &frame);
        assert_int_equal(frame.message.mem_read_reply.status[0], WIRE_STATUS_FAULT);
        fake_worker_complete(&bench.worker, bench.requests[1].id, 100, bytes, 19900);
        bench_run(&bench);
        assert_int_equal(bench.faults, 0);
        bench_die(&bench);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].must_fail, 1);
        bench_done(&bench);
}

/* ---- what goes back to the guest is the guest's ---- */

/* A worker that completes early must not be sent what the guest writes there afterwards. */
static void a_completed_request_is_not_read_any_more(void **state)
{
        struct fake_frame frame;
        uint16_t head;

        (void)state;
        begin();
        memset(bytes, 0x22, M);
        model_put(&bench.guest, MODEL_HIGH, bytes, M);
        head = post(0, MODEL_HIGH, M, false);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_read(&bench.worker, 1, bench.requests[0].id, 0, M);
        push_all();
        lane_readable(&bench.lane);
        assert_true(lane_wants_write(&bench.lane));
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        push_all(); /* without having read the reply */
        lane_readable(&bench.lane);
        bench_used_now(&bench, 0, head, 0);
        model_fill(&bench.guest, MODEL_HIGH, M, 0xee); /* a secret */
        bench_reply(&bench, &frame);
        assert_int_equal(frame.payload_len, M);
        assert_memory_equal(frame.payload, bytes, M);
        neighbour_is_well();
        bench_done(&bench);
}

/* Its place in the table is another request's by then: a fault must not be put on that one. */
static void a_fault_after_completion_hits_nobody_else(void **state)
{
        struct bench_options options = bench_defaults;
        struct fake_frame frame;
        uint16_t head;

        (void)state;
        options.credit_requests = 1; /* one place only */
        bench_init(&bench, &options);
        head = post(0, CUT, M, false);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_read(&bench.worker, 1, bench.requests[0].id, 0, M);
        push_all();
        lane_readable(&bench.lane);
        assert_true(lane_wants_write(&bench.lane));
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        push_all();
        lane_readable(&bench.lane);
        bench_used_now(&bench, 0, head, 0);
        head = post(0, A, 4, false);
        cut();
        bench_reply(&bench, &frame);
        assert_int_equal(bench_requests(&bench), 1);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_used(&bench, 0, head, 0);
        assert_int_equal(bench.broken[0], 0);
        bench_done(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(truncation_before_a_reply_is_zeros_and_a_status),
            cmocka_unit_test(truncation_in_the_middle_of_a_frame_to_the_worker_keeps_the_stream),
            cmocka_unit_test(truncation_under_inlined_bytes_keeps_the_stream),
            cmocka_unit_test(truncation_under_the_writable_bytes_keeps_the_stream),
            cmocka_unit_test(truncation_in_the_middle_of_a_frame_from_the_worker_keeps_the_stream),
            cmocka_unit_test(truncation_under_a_gap_is_a_fault_on_the_request),
            cmocka_unit_test(truncation_under_a_ring_breaks_that_queue),
            cmocka_unit_test(truncation_under_a_used_ring_alone_breaks_that_queue),
            cmocka_unit_test(a_table_change_in_the_middle_of_a_frame_to_the_worker_sends_the_old_bytes),
            cmocka_unit_test(a_table_change_under_copied_segments_sends_the_old_bytes),
            cmocka_unit_test(a_table_change_in_the_middle_of_a_frame_from_the_worker_writes_nothing_more),
            cmocka_unit_test(a_table_change_before_a_request_is_sent_makes_it_fail),
            cmocka_unit_test(a_replayed_request_whose_memory_is_gone_must_fail),
            cmocka_unit_test(without_memory_everything_is_a_fault_and_nothing_crashes),
            cmocka_unit_test(a_completed_request_is_not_read_any_more),
            cmocka_unit_test(a_fault_after_completion_hits_nobody_else),
        };

        return cmocka_run_group_tests_name("lane_faults", tests, NULL, NULL);
}
