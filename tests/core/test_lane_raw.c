/* Rings that a worker walks itself: kicks, and guest memory by address.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_raw.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/lane_isolate.h"
#include "proto/base/bytes.h"
#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/core/lane_bench.h"

/* All rings, buffers, and 64 KiB where no memory is. */
#define START MODEL_LOW
#define SIZE  (MODEL_END - MODEL_LOW + 0x10000)
#define END   (START + SIZE)
#define A     (MODEL_BUFFERS + 0x1000)
#define RING  256u

static struct lane_bench bench;

static struct bench_options with_window(uint64_t start, uint64_t size)
{
        struct bench_options options = bench_defaults;

        options.raw_start = start;
        options.raw_size = size;
        return options;
}

/* The worker holds the kick of each queue's start. */
static void begin_queues(unsigned n, uint64_t start, uint64_t size)
{
        struct bench_options options = with_window(start, size);

        options.n_queues = n;
        bench_init(&bench, &options);
        assert_int_equal(bench_requests(&bench), n);
}

static void begin(void)
{
        begin_queues(1, START, SIZE);
}

static uint64_t held(void)
{
        return bench.requests[0].id;
}

static void complete(void)
{
        fake_worker_complete(&bench.worker, held(), 0, NULL, 0);
        bench_run(&bench);
}

static void kick(unsigned queue)
{
        lane_kicked(&bench.lane, lane_queue_find(&bench.lane, queue), 1);
}

static void ask(uint32_t n, const uint64_t *at, const uint32_t *len)
{
        const struct lane_to_broker message = {.kind = LANE_RAW_READ,
                                               .raw = {.seq = 7, .n = n, .at = at, .len = len}};

        fake_worker_send(&bench.worker, &message, NULL, 0);
}

static void put(uint64_t at, const void *bytes, uint32_t len)
{
        const struct lane_to_broker message = {.kind = LANE_RAW_WRITE,
                                               .raw = {.n = 1, .at = &at, .len = &len}};

        fake_worker_send(&bench.worker, &message, bytes, len);
        bench_run(&bench);
}

static void taken(uint32_t queue, uint32_t next)
{
        const struct lane_to_broker message = {.kind = LANE_TAKEN, .taken = {queue, next}};

        fake_worker_send(&bench.worker, &message, NULL, 0);
        bench_run(&bench);
}

static enum queue_fault fault_of(unsigned queue)
{
        return lane_queue_find(&bench.lane, queue)->ring.fault;
}

/* ---- kicks ---- */

static void a_kick_is_a_request_without_bytes_and_its_completion_the_interrupt(void **state)
{
        (void)state;
        begin();
        assert_int_equal(bench.requests[0].readable + bench.requests[0].writable, 0);
        assert_int_equal(model_signals(&bench.guest, 0), 0);
        complete();
        assert_int_equal(model_signals(&bench.guest, 0), 1);
        bench_no_frame(&bench);
        kick(0);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(atomic_load(&bench.lane.stats.requests), 2);
        complete();
        assert_int_equal(model_signals(&bench.guest, 0), 1);
        assert_int_equal(bench.faults + bench.broken[0] + bench.suspicious, 0);
        bench_done(&bench);
}

static void kicks_while_one_is_held_become_one_more(void **state)
{
        (void)state;
        begin_queues(2, START, SIZE);
        for (unsigned i = 0; i < 5; i++)
                kick(0);
        bench_no_frame(&bench);
        complete();
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].queue, 0);
        complete();
        bench_no_frame(&bench);
        assert_int_equal(model_signals(&bench.guest, 0), 2);
        assert_int_equal(model_signals(&bench.guest, 1), 0);
        bench_done(&bench);
}

static void the_ring_is_left_alone(void **state)
{
        uint8_t before[3 * 4096], after[sizeof(before)];

        (void)state;
        begin();
        model_post(&bench.guest, 0, (struct model_buffer[]){{A, 16, false}}, 1);
        model_get(&bench.guest, MODEL_LOW, before, sizeof(before));
        kick(0);
        complete();
        assert_int_equal(bench_requests(&bench), 1);
        complete();
        model_get(&bench.guest, MODEL_LOW, after, sizeof(after));
        assert_memory_equal(before, after, sizeof(before));
        bench_done(&bench);
}

static void a_kick_ages_and_is_sent_to_a_successor(void **state)
{
        (void)state;
        begin();
        assert_int_equal(bench.lane.n_aging, 1);
        taken(0, 9);
        bench_die(&bench);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].attempt, 1);
        assert_int_equal(bench.requests[0].must_fail, 0);
        assert_int_equal(lane_queue_find(&bench.lane, 0)->ring.last_avail, 9);
        complete();
        assert_int_equal(bench.lane.n_aging, 0);
        bench_die(&bench); /* nothing was held; what has come meanwhile waits */
        kick(0);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 1);
        bench_done(&bench);
}

static void a_kick_that_kills_breaks_its_queue(void **state)
{
        (void)state;
        begin();
        for (unsigned i = 0; i < LIMIT_POISON_ATTEMPTS; i++) {
                bench_die(&bench);
                bench_attach(&bench);
                assert_int_equal(bench_requests(&bench), 1);
        }
        bench_die(&bench);
        lane_isolate(&bench.lane, LANE_ISOLATES);
        bench_attach(&bench);
        lane_isolate(&bench.lane, LANE_ISOLATES);
        assert_int_equal(bench_requests(&bench), 1);
        bench_die(&bench);
        assert_int_equal(bench.poisons, 1);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].must_fail, 1);
        complete();
        assert_int_equal(bench.broken[0], 1);
        assert_int_equal(fault_of(0), QUEUE_FAULT_DEVICE);
        assert_int_equal(model_signals(&bench.guest, 0), 0);
        kick(0); /* and stays so */
        bench_no_frame(&bench);
        bench_done(&bench);
}

static void a_worker_may_call_its_ring_broken(void **state)
{
        const uint32_t none = 0, status = WIRE_STATUS_PROTOCOL;
        uint64_t id;

        (void)state;
        begin();
        id = held();
        fake_worker_send(
            &bench.worker,
            &(struct lane_to_broker){
                .kind = LANE_COMPLETE,
                .complete = {.n = 1, .id = &id, .status = &status, .offset = &none, .len = &none}},
            NULL, 0);
        bench_run(&bench);
        assert_int_equal(bench.broken[0], 1);
        assert_int_equal(bench.faults, 0);
        bench_done(&bench);
}

/* ---- starts and stops ---- */

static void a_stop_waits_for_the_kick_and_tells_where_the_worker_is(void **state)
{
        struct lane_queue *queue;

        (void)state;
        begin();
        queue = lane_queue_find(&bench.lane, 0);
        lane_queue_drain(&bench.lane, queue);
        kick(0);
        assert_int_equal(bench.drained[0], 0);
        taken(0, 65535);
        complete();
        assert_int_equal(bench.drained[0], 1);
        bench_no_frame(&bench); /* what was kicked for meanwhile is of the next start */
        assert_int_equal(lane_queue_stop(&bench.lane, queue), 65535);
        bench_start_queue(&bench, 0, 77);
        bench_no_frame(&bench);
        lane_queue_release(&bench.lane, queue);
        assert_int_equal(bench_requests(&bench), 1);
        complete();
        lane_queue_drain(&bench.lane, queue);
        assert_int_equal(bench.drained[0], 2);
        assert_int_equal(lane_queue_stop(&bench.lane, queue), 77); /* it has said nothing */
        assert_int_equal(bench.lane.quota.granted.frames, 0);
        assert_int_equal(bench.faults, 0);
        bench_done(&bench);
}

static void what_must_fail_for_a_stop_breaks_nothing(void **state)
{
        (void)state;
        begin();
        lane_queue_drain(&bench.lane, lane_queue_find(&bench.lane, 0));
        bench_die(&bench);
        lane_fail_draining(&bench.lane);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].must_fail, 1);
        complete();
        assert_int_equal(bench.drained[0], 1);
        assert_int_equal(bench.broken[0], 0);
        bench_done(&bench);
}

static void a_ring_that_is_not_wholly_there_does_not_start(void **state)
{
        struct queue_features features = {0};
        struct lane_queue *queue;
        struct queue_layout good;

        (void)state;
        begin();
        queue = lane_queue_find(&bench.lane, 0);
        good = bench.guest.queues[0].layout;
        complete();
        lane_queue_stop(&bench.lane, queue);
        for (unsigned i = 0; i < 6; i++) {
                struct queue_layout bad = good;
                gpa_t *part = i % 3 == 0 ? &bad.desc : i % 3 == 1 ? &bad.avail : &bad.used;

                *part = GPA(i < 3 ? MODEL_END - 16 : MODEL_LOW - 16);
                assert_int_equal(lane_queue_start(&bench.lane, queue, &bad, &features, 0, -1, -1), -EFAULT);
                assert_false(queue->raw || queue->ring.started);
        }
        good.desc = GPA(good.desc.v + 8);
        assert_int_equal(lane_queue_start(&bench.lane, queue, &good, &features, 0, -1, -1), -EINVAL);
        good = bench.guest.queues[0].layout;
        assert_int_equal(lane_queue_start(&bench.lane, queue, &good, &features, 65536, -1, -1), -EINVAL);
        features.packed = true;
        assert_int_equal(lane_queue_start(&bench.lane, queue, &good, &features, 0, -1, -1), -EINVAL);
        bench_done(&bench);
}

static void a_ring_whose_memory_goes_is_broken(void **state)
{
        struct guest_memory *none = guest_memory_new();

        (void)state;
        begin();
        lane_set_memory(&bench.lane, bench.guest.memory); /* the same again */
        assert_int_equal(bench.broken[0], 0);
        lane_set_memory(&bench.lane, none);
        assert_int_equal(bench.broken[0], 1);
        assert_int_equal(fault_of(0), QUEUE_FAULT_MEMORY);
        guest_memory_unref(none);
        bench_done(&bench);
}

/* ---- reads and writes ---- */

static void the_window_is_read_to_its_ends_and_across_regions(void **state)
{
        const uint64_t at[] = {START, MODEL_HIGH - 3, A, A + 2, A + 8, A + 16, MODEL_END - 1};
        const uint32_t len[] = {1, 6, 2, 2, 4, 8, 1};
        struct fake_frame frame;
        uint32_t done = 0;

        (void)state;
        begin();
        for (unsigned i = 0; i < array_size(at); i++)
                model_fill(&bench.guest, at[i], len[i], (uint8_t)(0x11 * (i + 1)));
        ask(array_size(at), at, len);
        bench_reply(&bench, &frame);
        assert_int_equal(frame.message.mem_read_reply.seq, 7);
        assert_int_equal(frame.message.mem_read_reply.n, array_size(at));
        for (unsigned i = 0; i < array_size(at); i++) {
                assert_int_equal(frame.message.mem_read_reply.status[i], WIRE_STATUS_OK);
                for (uint32_t k = 0; k < len[i]; k++)
                        assert_int_equal(frame.payload[done++], 0x11 * (i + 1));
        }
        assert_int_equal(done, frame.payload_len);
        assert_int_equal(atomic_load(&bench.lane.stats.bytes_from_guest), done);
        bench_done(&bench);
}

static void what_is_written_is_there_and_nothing_beside_it(void **state)
{
        static const uint32_t lens[] = {1, 2, 3, 4, 7, 8, 9, 4096, 70000};
        static uint8_t bytes[70000];

        (void)state;
        memset(bytes, 0x5a, sizeof(bytes));
        for (unsigned i = 0; i < array_size(lens); i++)
                for (unsigned odd = 0; odd < 2; odd++) {
                        const uint64_t at = MODEL_HIGH - 8 + odd;

                        begin();
                        model_fill(&bench.guest, at - 16, lens[i] + 32, 0xee);
                        put(at, bytes, lens[i]);
                        assert_true(model_is(&bench.guest, at, lens[i], 0x5a));
                        assert_true(model_is(&bench.guest, at - 16, 16, 0xee));
                        assert_true(model_is(&bench.guest, at + lens[i], 16, 0xee));
                        assert_int_equal(atomic_load(&bench.lane.stats.bytes_to_guest), lens[i]);
                        assert_int_equal(bench.faults + bench.broken[0], 0);
                        bench_done(&bench);
                }
}

/* Whatever pieces it comes in: an index is stored whole. */
static void a_write_in_drips_lands_as_one(void **state)
{
        const uint64_t at[] = {A, A + 64, A + 2};
        const uint32_t len[] = {2, 13, 2};
        const struct lane_to_broker message = {.kind = LANE_RAW_WRITE, .raw = {.n = 3, .at = at, .len = len}};
        const char bytes[] = "abthirteenbytescd";

        (void)state;
        for (size_t step = 1; step < 8; step++) {
                begin();
                bench.may_drip = true;
                bench.worker.step = step;
                fake_worker_send(&bench.worker, &message, bytes, 17);
                complete();
                assert_memory_equal(model_at(&bench.guest, A), "abcd", 4);
                assert_memory_equal(model_at(&bench.guest, A + 64), "thirteenbytes", 13);
                assert_int_equal(model_signals(&bench.guest, 0), 1);
                bench_done(&bench);
        }
}

static void where_no_memory_is_in_the_window_a_read_is_an_error_and_a_write_breaks(void **state)
{
        const uint64_t at[] = {MODEL_END, MODEL_END - 1, A};
        const uint32_t len[] = {4, 2, 4};
        struct fake_frame frame;

        (void)state;
        begin();
        model_fill(&bench.guest, A, 4, 0x77);
        model_fill(&bench.guest, MODEL_END - 1, 1, 0x77);
        ask(3, at, len);
        bench_reply(&bench, &frame);
        assert_int_equal(frame.message.mem_read_reply.status[0], WIRE_STATUS_FAULT);
        assert_int_equal(frame.message.mem_read_reply.status[1], WIRE_STATUS_FAULT);
        assert_int_equal(frame.message.mem_read_reply.status[2], WIRE_STATUS_OK);
        assert_memory_equal(frame.payload, "\0\0\0\0\0\0\x77\x77\x77\x77", 10);
        assert_int_equal(bench.broken[0], 0);
        put(END - 1, "x", 1); /* the window's last byte */
        assert_int_equal(bench.broken[0], 1);
        assert_int_equal(fault_of(0), QUEUE_FAULT_ADDRESS);
        assert_int_equal(bench.faults, 0);
        bench_done(&bench);
}

static void what_may_only_be_read_is_not_written(void **state)
{
        struct guest_memory *empty = guest_memory_new(), *low, *both;
        struct guest_mapping *mapping, *rings;

        (void)state;
        begin();
        assert_int_equal(guest_mapping_new(bench.guest.fd, 0, MODEL_PART, true, &rings), 0);
        assert_int_equal(guest_mapping_new(bench.guest.fd, MODEL_PART, MODEL_PART, false, &mapping), 0);
        assert_int_equal(guest_memory_with(empty,
                                           &(struct guest_region){.start = GPA(MODEL_LOW),
                                                                  .len = MODEL_PART,
                                                                  .mapping = rings,
                                                                  .writable = true},
                                           &low),
                         0);
        assert_int_equal(
            guest_memory_with(
                low, &(struct guest_region){.start = GPA(MODEL_HIGH), .len = MODEL_PART, .mapping = mapping},
                &both),
            0);
        lane_set_memory(&bench.lane, both);
        model_fill(&bench.guest, MODEL_HIGH, 8, 0x33);
        put(MODEL_HIGH - 1, "ab", 2);
        assert_int_equal(bench.broken[0], 1);
        assert_true(model_is(&bench.guest, MODEL_HIGH, 8, 0x33));
        assert_int_equal(bench.faults, 0);
        guest_memory_unref(empty);
        guest_memory_unref(low);
        guest_memory_unref(both);
        guest_mapping_unref(rings);
        guest_mapping_unref(mapping);
        bench_done(&bench);
}

/* ---- offences ---- */

static const struct {
        uint64_t at;
        uint32_t len;
} outside[] = {
    {START - 1, 1},  {START - 1, 2}, {START - 8, 8}, {END, 1},     {END - 1, 2},
    {END - 8, 9},    {0, 1},         {0, 1u << 20},  {END, 8},     {UINT64_MAX, 1},
    {START - 4, 16}, {END - 4, 16},  {1, 1u << 20},  {END + 1, 1}, {UINT64_MAX - 7, 8},
};

static void one_byte_outside_of_the_window_ends_the_worker(void **state)
{
        static const uint8_t bytes[1u << 20];

        (void)state;
        for (unsigned i = 0; i < array_size(outside); i++)
                for (unsigned write = 0; write < 2; write++) {
                        const uint64_t at[] = {A, outside[i].at};
                        const uint32_t len[] = {8, outside[i].len};
                        const struct lane_to_broker message = {.kind = write ? LANE_RAW_WRITE : LANE_RAW_READ,
                                                               .raw = {.n = 2, .at = at, .len = len}};

                        begin();
                        model_fill(&bench.guest, MODEL_LOW, 4096, 0x44);
                        model_fill(&bench.guest, A, 8, 0x44);
                        if (len[1] + 8u > LIMIT_FRAME_PAYLOAD)
                                fake_worker_send(
                                    &bench.worker,
                                    &(struct lane_to_broker){.kind = message.kind,
                                                             .raw = {.n = 1, .at = at + 1, .len = len + 1}},
                                    bytes, write ? len[1] : 0);
                        else
                                fake_worker_send(&bench.worker, &message, bytes, write ? len[1] + 8u : 0);
                        bench_run(&bench);
                        assert_int_equal(bench.faults, 1);
                        assert_non_null(strstr(bench.why, "guest memory that it does not reach"));
                        bench_no_frame(&bench);
                        assert_true(model_is(&bench.guest, A, 8, 0x44)); /* all of it is judged before */
                        assert_true(model_is(&bench.guest, MODEL_LOW, 4096, 0x44));
                        assert_int_equal(bench.broken[0], 0);
                        bench_done(&bench);
                }
}

/* A window in the midst of memory: that there is some around it makes no difference. */
static void memory_around_the_window_is_not_reached_either(void **state)
{
        static const uint64_t at[] = {MODEL_LOW + 0x100000 - 1, MODEL_LOW + 0x200000};
        const uint32_t one = 1;

        (void)state;
        for (unsigned i = 0; i < array_size(at); i++) {
                struct bench_options options = with_window(MODEL_LOW, SIZE);

                bench_init(&bench, &options);
                lane_set_raw(&bench.lane, MODEL_LOW + 0x100000, 0x100000);
                assert_int_equal(bench_requests(&bench), 1);
                ask(1, &at[i], &one);
                bench_run(&bench);
                assert_int_equal(bench.faults, 1);
                bench_done(&bench);
        }
}

/* Each of the three messages is its worker's end, and moves no byte. */
static void reach_in_vain(unsigned message)
{
        const uint64_t at = A;
        const uint32_t len = 8;

        if (message == 0)
                ask(1, &at, &len);
        else if (message == 1)
                put(at, "overwritten", len);
        else
                taken(0, 1);
        bench_run(&bench);
        assert_int_equal(bench.faults, 1);
        assert_true(model_is(&bench.guest, A, 8, 0x55));
        bench_done(&bench);
}

static void without_a_kick_nothing_is_reached(void **state)
{
        (void)state;
        for (unsigned i = 0; i < 3; i++) {
                begin();
                model_fill(&bench.guest, A, 8, 0x55);
                complete();
                assert_int_equal(bench.faults, 0);
                reach_in_vain(i);
        }
}

/* What is asked for before the kick is completed, and answered afterwards, is not read any more. */
static void a_question_that_outlives_its_kick_is_answered_with_zeros(void **state)
{
        const uint64_t at[] = {A, A + 64};
        const uint32_t len[] = {8, 4096};
        struct fake_frame frame;

        (void)state;
        begin();
        model_fill(&bench.guest, A, 8192, 0x66);
        ask(2, at, len);
        fake_worker_complete(&bench.worker, held(), 0, NULL, 0);
        bench_reply(&bench, &frame);
        assert_int_equal(frame.payload_len, 8 + 4096);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(frame.message.mem_read_reply.status[i], WIRE_STATUS_CANCELED);
        for (uint32_t i = 0; i < frame.payload_len; i++)
                assert_int_equal(frame.payload[i], 0);
        assert_int_equal(bench.faults, 0);
        bench_done(&bench);
}

static void who_walks_no_rings_reaches_nothing_by_address(void **state)
{
        (void)state;
        for (unsigned i = 0; i < 3; i++) {
                bench_init(&bench, &bench_defaults);
                model_post(&bench.guest, 0, (struct model_buffer[]){{A, 16, false}, {A + 16, 64, true}}, 2);
                assert_int_equal(bench_requests(&bench), 1);
                model_fill(&bench.guest, A, 8, 0x55);
                reach_in_vain(i);
        }
}

static void a_kick_has_no_bytes_of_its_own(void **state)
{
        (void)state;
        begin();
        fake_worker_read(&bench.worker, 1, held(), 0, 1);
        bench_run(&bench);
        assert_int_equal(bench.faults, 1);
        bench_done(&bench);
        begin();
        fake_worker_write(&bench.worker, held(), 0, "x", 1);
        bench_run(&bench);
        assert_int_equal(bench.faults, 1);
        bench_done(&bench);
}

static void a_place_is_taken_in_a_ring_that_was_kicked_alone(void **state)
{
        (void)state;
        for (uint32_t queue = 0; queue < 3; queue++) {
                begin_queues(2, START, SIZE);
                complete(); /* of queue 0; 1 has its kick */
                taken(queue, 3);
                assert_int_equal(bench.faults, queue == 1 ? 0 : 1);
                assert_int_equal(lane_queue_find(&bench.lane, 1)->ring.last_avail, queue == 1 ? 3 : 0);
                bench_done(&bench);
        }
}

static void questions_are_bounded(void **state)
{
        const uint64_t at = A;
        const uint32_t len = 8;

        (void)state;
        for (unsigned over = 0; over < 2; over++) {
                begin();
                for (unsigned i = 0; i < LIMIT_MEM_READS + over; i++)
                        ask(1, &at, &len);
                bench_run(&bench);
                assert_int_equal(bench.faults, over);
                bench_done(&bench);
        }
}

/* A ring's worth a kick. */
static void work_is_bounded_by_kicks(void **state)
{
        const struct quota_work worth = quota_grant(RING * LIMIT_RAW_CHAIN, 0);
        const struct quota_work mine = quota_grant(0, 0);
        uint64_t done = 0;

        (void)state;
        begin();
        assert_int_equal(bench.lane.quota.left.frames, worth.frames + mine.frames);
        for (; bench.faults == 0 && done < 2 * worth.frames; done++)
                put(A, "12345678", 8);
        assert_int_equal(bench.faults, 1);
        assert_string_equal(bench.why, "sends more than its requests can need");
        assert_int_equal(done, worth.frames + mine.frames + 1);
        bench_done(&bench);
        begin();
        for (done = 0; done < 4 * worth.frames; done++) {
                if (done % worth.frames == 0 && done > 0) {
                        complete();
                        kick(0);
                        assert_int_equal(bench_requests(&bench), 1);
                }
                put(A, "12345678", 8);
        }
        assert_int_equal(bench.faults, 0);
        bench_done(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_kick_is_a_request_without_bytes_and_its_completion_the_interrupt),
            cmocka_unit_test(kicks_while_one_is_held_become_one_more),
            cmocka_unit_test(the_ring_is_left_alone),
            cmocka_unit_test(a_kick_ages_and_is_sent_to_a_successor),
            cmocka_unit_test(a_kick_that_kills_breaks_its_queue),
            cmocka_unit_test(a_worker_may_call_its_ring_broken),
            cmocka_unit_test(a_stop_waits_for_the_kick_and_tells_where_the_worker_is),
            cmocka_unit_test(what_must_fail_for_a_stop_breaks_nothing),
            cmocka_unit_test(a_ring_that_is_not_wholly_there_does_not_start),
            cmocka_unit_test(a_ring_whose_memory_goes_is_broken),
            cmocka_unit_test(the_window_is_read_to_its_ends_and_across_regions),
            cmocka_unit_test(what_is_written_is_there_and_nothing_beside_it),
            cmocka_unit_test(a_write_in_drips_lands_as_one),
            cmocka_unit_test(where_no_memory_is_in_the_window_a_read_is_an_error_and_a_write_breaks),
            cmocka_unit_test(what_may_only_be_read_is_not_written),
            cmocka_unit_test(one_byte_outside_of_the_window_ends_the_worker),
            cmocka_unit_test(memory_around_the_window_is_not_reached_either),
            cmocka_unit_test(without_a_kick_nothing_is_reached),
            cmocka_unit_test(a_question_that_outlives_its_kick_is_answered_with_zeros),
            cmocka_unit_test(who_walks_no_rings_reaches_nothing_by_address),
            cmocka_unit_test(a_kick_has_no_bytes_of_its_own),
            cmocka_unit_test(a_place_is_taken_in_a_ring_that_was_kicked_alone),
            cmocka_unit_test(questions_are_bounded),
            cmocka_unit_test(work_is_bounded_by_kicks),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
