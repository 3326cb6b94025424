/* A lane whose memory is translated, while pages of requests under way are missing: what waits, what does not because a queue stops, and
 * what is wrong when nobody translates them.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/lane_age.h"
#include "proto/base/status.h"
#include "tests/core/miss_bench.h"

/* ---- requests under way ---- */

static void answer_is_not_judged_before_its_pages_are_there(void **state)
{
        uint16_t head;

        (void)state;
        miss_begin();
        miss_tell(AT(10), 2 * PAGE);
        iova_fill(&space, AT(10), 2 * PAGE, 0xaa);
        head = miss_post(0, AT(10), 2 * PAGE, true);
        miss_one();
        miss_forget_all();
        miss_answer(&bench.requests[0]);
        bench_not_used(&bench, 0);
        assert_true(bench.lane.rx.parked);
        assert_true(iova_is(&space, AT(10), 2 * PAGE, 0xaa));
        miss_answer_all();
        bench_used(&bench, 0, head, 2 * PAGE + 1);
        assert_true(iova_holds(&space, AT(10), bytes, 2 * PAGE));
        miss_end();
}

static void answer_waits_for_the_ring_alone(void **state)
{
        uint16_t head;

        (void)state;
        miss_begin();
        miss_tell(AT(10), PAGE);
        head = miss_post(0, AT(10), PAGE, true);
        miss_one();
        miss_forget(bench.lane.queues[0].ring.layout.used.v, PAGE);
        miss_answer(&bench.requests[0]);
        bench_not_used(&bench, 0);
        assert_true(bench.lane.rx.parked);
        miss_answer_all();
        bench_used(&bench, 0, head, PAGE + 1);
        miss_end();
}

/* The first part lands where the page was, the second where it has come to be. */
static void payload_waits_between_two_parts(void **state)
{
        const uint32_t len = 64 * K;
        uint16_t head, other;
        struct iotlb_entry entry;

        (void)state;
        miss_begin();
        miss_tell(AT(10), len);
        iova_fill(&space, AT(10), len, 0xaa);
        head = miss_post(0, AT(10), len, true);
        miss_one();
        bench.may_drip = true;
        bench.worker.step = 1000;
        miss_answer(&bench.requests[0]);
        for (unsigned i = 0; i < 30; i++) {
                fake_worker_push(&bench.worker);
                lane_readable(&bench.lane);
        }
        assert_int_equal(bench.lane.rx.state, LANE_RX_PAYLOAD);
        miss_forget_all();
        assert_true(bench.lane.rx.parked);
        bench.worker.step = 0;
        bench_not_used(&bench, 0);
        assert_true(iova_is(&space, AT(10) + len - PAGE, PAGE, 0xaa));
        entry = iova_entry(&space, AT(10) + len - PAGE, RW); /* the last page lies elsewhere now */
        other = space.page[10 + len / PAGE - 1];
        space.page[10 + len / PAGE - 1] = space.page[1000];
        miss_answer_all();
        bench_used(&bench, 0, head, len + 1);
        assert_true(iova_holds(&space, AT(10), bytes, len));
        assert_true(model_is(&bench.guest, entry.gpa, PAGE, 0xaa)); /* the old one was left alone */
        space.page[1000] = other;
        miss_end();
}

static void question_of_the_worker_waits_for_its_bytes(void **state)
{
        struct bench_options options = bench_defaults;
        struct fake_frame frame;

        (void)state;
        options.n_queues = 2;
        options.max_inline = 0;
        miss_begin_with(&options);
        miss_tell_rings();
        miss_tell(STATUS, 1);
        miss_tell(AT(10), PAGE);
        iova_put(&space, AT(10), bytes, PAGE);
        miss_post(0, AT(10), PAGE, false);
        miss_one();
        miss_forget(AT(10), PAGE);
        fake_worker_read(&bench.worker, 1, bench.requests[0].id, 0, PAGE);
        bench_no_frame(&bench);
        miss_wants(AT(10), 1, IOTLB_READ);
        miss_answer_all();
        bench_reply(&bench, &frame);
        assert_int_equal(frame.message.mem_read_reply.status[0], WIRE_STATUS_OK);
        assert_memory_equal(frame.payload, bytes, PAGE);
        miss_end_alone();
}

/* It need not ask for what it has been sent, and may. */
static void question_for_bytes_that_were_sent_waits_for_them(void **state)
{
        struct fake_frame frame;

        (void)state;
        miss_begin();
        miss_tell(AT(10), PAGE);
        iova_put(&space, AT(10), bytes, 100);
        miss_post(0, AT(10), 100, false);
        miss_one();
        miss_forget(AT(10), PAGE);
        fake_worker_read(&bench.worker, 1, bench.requests[0].id, 0, 100);
        bench_no_frame(&bench);
        miss_wants(AT(10), 1, IOTLB_READ);
        miss_answer_all();
        bench_reply(&bench, &frame);
        assert_int_equal(frame.message.mem_read_reply.status[0], WIRE_STATUS_OK);
        assert_memory_equal(frame.payload, bytes, 100);
        miss_end_alone();
}

/* It was judged while its bytes were there, and the pipe is full. */
static void reply_that_is_late_waits_for_its_bytes(void **state)
{
        struct bench_options options = bench_defaults;
        struct fake_frame frame;
        uint64_t id;

        (void)state;
        options.max_inline = 0;
        miss_begin_with(&options);
        miss_tell_rings();
        miss_tell(STATUS, 1);
        miss_tell(AT(10), 256 * K);
        iova_put(&space, AT(10), bytes, 256 * K);
        miss_post(0, AT(10), 256 * K, false);
        id = miss_one()->id;
        for (uint32_t i = 0; i < LIMIT_MEM_READS; i++)
                fake_worker_read(&bench.worker, i, id, i % 4 * 64 * K, 64 * K);
        fake_worker_push(&bench.worker); /* it does not take what it has asked for */
        lane_readable(&bench.lane);
        assert_true(bench.lane.tx.n_reads > 0);
        miss_forget_all();
        for (uint32_t i = 0; i < LIMIT_MEM_READS; i++) {
                while (!fake_worker_next(&bench.worker, &frame)) {
                        bench_run(&bench);
                        miss_answer_all();
                }
                assert_int_equal(frame.message.mem_read_reply.seq, i);
                assert_int_equal(frame.message.mem_read_reply.status[0], WIRE_STATUS_OK);
                assert_memory_equal(frame.payload, bytes + i % 4 * 64 * K, 64 * K);
                assert_false(bench.lane.requests.oldest->faulted);
        }
        miss_end_alone();
}

static void what_a_dead_worker_held_waits_for_its_bytes(void **state)
{
        (void)state;
        miss_begin();
        miss_tell(AT(10), PAGE);
        miss_post(0, AT(10), PAGE, false);
        miss_one();
        miss_forget(AT(10), PAGE);
        bench_die(&bench);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 0);
        miss_wants(AT(10), 1, IOTLB_READ);
        miss_end_alone();
}

static void worker_that_dies_unheard_leaves_nothing_behind(void **state)
{
        uint16_t head;

        (void)state;
        miss_begin();
        miss_tell(AT(10), PAGE);
        head = miss_post(0, AT(10), PAGE, true);
        miss_one();
        miss_forget_all();
        miss_answer(&bench.requests[0]);
        bench_not_used(&bench, 0);
        assert_true(bench.lane.rx.parked);
        bench_die(&bench);
        assert_false(bench.lane.rx.parked);
        miss_answer_all();
        bench_attach(&bench);
        assert_int_equal(miss_one()->attempt, 1);
        miss_answer(&bench.requests[0]);
        bench_used(&bench, 0, head, PAGE + 1);
        miss_end();
}

static void worker_is_not_blamed_for_time_in_which_nobody_listens(void **state)
{
        uint64_t now;

        (void)state;
        miss_begin();
        miss_tell(AT(10), PAGE);
        lane_set_max_age(&bench.lane, 100);
        miss_post(0, AT(10), PAGE, true);
        miss_one();
        miss_forget_all();
        miss_answer(&bench.requests[0]);
        bench_run(&bench);
        now = lane_clock_ms();
        assert_int_equal(lane_check_age(&bench.lane, now + 1000), 100);
        assert_int_equal(bench.faults, 0);
        bench.lane.requests.oldest->sent_ms = 1; /* long ago */
        miss_answer_all();
        miss_end();
}

static void placed_bytes_are_not_fetched_before_their_pages_are_there(void **state)
{
        uint16_t head;

        (void)state;
        miss_begin_as(QUEUE_WORK, true);
        miss_tell(AT(10), 16 * K);
        head = miss_post(0, AT(10), 16 * K, true);
        miss_one();
        assert_non_null(bench.requests[0].place);
        memcpy(bench.requests[0].place, bytes, 16 * K);
        miss_forget_all();
        fake_worker_complete_placed(&bench.worker, bench.requests[0].id, 16 * K, "\0", 1);
        bench_not_used(&bench, 0);
        miss_answer_all();
        bench_used(&bench, 0, head, 16 * K + 1);
        assert_true(iova_holds(&space, AT(10), bytes, 16 * K));
        miss_end();
}

static void failing_lane_waits_for_the_byte_it_writes(void **state)
{
        uint16_t head;

        (void)state;
        miss_begin();
        miss_tell(AT(10), PAGE);
        head = miss_post(0, AT(10), PAGE, false);
        miss_one();
        bench_die(&bench);
        miss_forget_all();
        lane_fail_begin(&bench.lane);
        assert_false(bench.lane.again); /* no timer runs for it */
        bench_not_used(&bench, 0);
        miss_answer_all();
        bench_used(&bench, 0, head, 1);
        assert_int_equal(*iova_at(&space, STATUS), IOERR);
        miss_end_alone();
}

/* ---- nobody waits for a stop ---- */

static void stop_does_not_wait_for_a_page(void **state)
{
        uint16_t head;

        (void)state;
        miss_begin();
        miss_tell(AT(10), PAGE);
        head = miss_post(0, AT(10), PAGE, true);
        miss_one();
        miss_forget(AT(10), PAGE);
        miss_answer(&bench.requests[0]);
        bench_not_used(&bench, 0);
        lane_miss_hurry(&bench.lane, true);
        lane_queue_drain(&bench.lane, lane_queue_find(&bench.lane, 0));
        bench_run(&bench);
        assert_int_equal(bench.drained[0], 1);
        bench_used(&bench, 0, head, 0); /* with the device's own error: its bytes are not there */
        assert_int_equal(*iova_at(&space, STATUS), IOERR);
        assert_int_equal(bench.broken[0], 0);
        lane_miss_hurry(&bench.lane, false);
        miss_end();
}

/* A request, answered without a ring to tell it by, while the other queue stops. */
static uint16_t answer_without_a_ring(enum replay_class replay)
{
        uint16_t head;

        miss_begin();
        bench.lane.queues[0].replay = replay;
        miss_tell(AT(10), PAGE);
        head = miss_post(0, AT(10), PAGE, true);
        miss_one();
        miss_forget(bench.lane.queues[0].ring.layout.used.v, PAGE);
        lane_miss_hurry(&bench.lane, true);
        miss_answer(&bench.requests[0]);
        bench_not_used(&bench, 0);
        return head;
}

static void answer_without_a_ring_is_kept_until_it_comes(void **state)
{
        uint16_t head;

        (void)state;
        head = answer_without_a_ring(REPLAY_IDEMPOTENT);
        assert_int_equal(bench.lane.used_requests, 0); /* its worker has nothing to do with it any more */
        lane_miss_hurry(&bench.lane, false);
        bench_not_used(&bench, 0);
        bench_die(&bench);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 0); /* nor has the next one */
        miss_tell_rings();
        bench_used(&bench, 0, head, PAGE + 1);
        assert_true(iova_holds(&space, AT(10), bytes, PAGE));
        miss_end();
}

static void answer_without_a_ring_goes_back_at_a_stop(void **state)
{
        struct lane_queue *queue;
        struct queue_layout layout;
        uint16_t head;

        (void)state;
        head = answer_without_a_ring(REPLAY_IDEMPOTENT);
        queue = lane_queue_find(&bench.lane, 0);
        layout = queue->ring.layout;
        lane_queue_drain(&bench.lane, queue);
        assert_int_equal(bench.drained[0], 1);
        assert_int_equal(bench.broken[0], 0);
        assert_int_equal(lane_queue_stop(&bench.lane, queue), 0); /* as if it had not been taken */
        lane_miss_hurry(&bench.lane, false);
        miss_tell_rings();
        assert_int_equal(lane_queue_start(&bench.lane, queue, &layout,
                                          &(struct queue_features){.indirect = true}, 0,
                                          dup(bench.guest.queues[0].kick), -1),
                         0);
        lane_queue_release(&bench.lane, queue);
        miss_answer(miss_one());
        bench_used(&bench, 0, head, PAGE + 1);
        miss_end();
}

static void answer_without_a_ring_that_comes_while_its_queue_stops_goes_back(void **state)
{
        struct lane_queue *queue;

        (void)state;
        miss_begin();
        miss_tell(AT(10), 3 * PAGE);
        for (unsigned i = 0; i < 3; i++)
                miss_post(0, AT(10 + i), PAGE, true);
        assert_int_equal(bench_requests(&bench), 3);
        miss_answer(&bench.requests[0]);
        bench_run(&bench);
        miss_forget_all();
        lane_miss_hurry(&bench.lane, true);
        queue = lane_queue_find(&bench.lane, 0);
        lane_queue_drain(&bench.lane, queue);
        miss_answer(&bench.requests[2]); /* out of order, and with no page for its bytes either */
        bench_run(&bench);
        assert_int_equal(bench.drained[0], 0);
        miss_answer(&bench.requests[1]);
        bench_run(&bench);
        assert_int_equal(bench.drained[0], 1);
        assert_int_equal(lane_queue_stop(&bench.lane, queue), 1); /* the first was told */
        assert_int_equal(bench.broken[0], 0);
        lane_miss_hurry(&bench.lane, false);
        miss_end_alone();
}

static void answer_that_may_not_come_twice_breaks_its_queue_without_a_ring(void **state)
{
        (void)state;
        (void)answer_without_a_ring(REPLAY_AT_MOST_ONCE);
        assert_int_equal(bench.lane.queues[0].ring.fault, QUEUE_FAULT_MEMORY);
        lane_miss_hurry(&bench.lane, false);
        miss_end();
}

static void lent_buffers_go_back_without_a_ring(void **state)
{
        struct lane_queue *queue;

        (void)state;
        miss_begin_as(QUEUE_SUPPLY, false);
        miss_tell(AT(10), 8 * PAGE);
        for (unsigned i = 0; i < 8; i++)
                model_post(&bench.guest, 0, &(struct model_buffer){AT(10 + i), PAGE, true}, 1);
        assert_int_equal(bench_requests(&bench), 8);
        miss_forget_all();
        bench_die(&bench);
        lane_miss_hurry(&bench.lane, true);
        queue = lane_queue_find(&bench.lane, 0);
        lane_queue_drain(&bench.lane, queue);
        assert_int_equal(bench.drained[0], 1);
        assert_int_equal(lane_queue_stop(&bench.lane, queue), 0); /* as if none had been taken */
        assert_int_equal(bench.broken[0], 0);
        miss_end_alone();
}

/* ---- nobody translates ---- */

static void page_of_a_chain_that_nobody_translates_breaks_its_queue(void **state)
{
        (void)state;
        miss_begin();
        miss_tell(AT(10), PAGE);
        miss_post(0, AT(10), 2 * PAGE, false);
        assert_int_equal(bench_requests(&bench), 0);
        miss_wants(AT(11), 1, IOTLB_READ);
        lane_miss_refuse(&bench.lane, AT(12), RW);          /* not what it waits for */
        lane_miss_refuse(&bench.lane, AT(11), IOTLB_WRITE); /* nor this */
        assert_int_equal(bench.broken[0], 0);
        lane_miss_refuse(&bench.lane, AT(11), IOTLB_READ);
        assert_int_equal(bench.broken[0], 1);
        assert_int_equal(bench.lane.queues[0].ring.fault, QUEUE_FAULT_ADDRESS);
        miss_wants_nothing();
        miss_end();
}

static void ring_that_nobody_translates_breaks_its_queue(void **state)
{
        (void)state;
        miss_bare();
        lane_miss_refuse(&bench.lane, bench.lane.queues[0].ring.layout.avail.v, IOTLB_READ);
        assert_int_equal(bench.lane.queues[0].ring.fault, QUEUE_FAULT_MEMORY);
        assert_int_equal(bench.broken[0], 1);
        miss_end();
}

static void request_whose_page_nobody_translates_fails_alone(void **state)
{
        uint16_t head, other;

        (void)state;
        miss_begin();
        miss_tell(AT(10), PAGE);
        miss_tell(AT(20), PAGE);
        head = miss_post(0, AT(10), PAGE, true);
        other = model_post(&bench.guest, 0, &(struct model_buffer){AT(20), PAGE, true}, 1);
        assert_int_equal(bench_requests(&bench), 2);
        miss_forget(AT(10), PAGE);
        miss_answer(&bench.requests[0]);
        fake_worker_complete(&bench.worker, bench.requests[1].id, 0, bytes + 1, PAGE);
        bench_not_used(&bench, 0);
        lane_miss_refuse(&bench.lane, AT(10), IOTLB_WRITE);
        bench_run(&bench);
        bench_used_now(&bench, 0, head, 0);
        bench_used_now(&bench, 0, other, PAGE);
        assert_int_equal(*iova_at(&space, STATUS), IOERR);
        assert_true(iova_holds(&space, AT(20), bytes + 1, PAGE));
        assert_int_equal(bench.broken[0], 0);
        miss_end();
}

static void replay_whose_page_nobody_translates_must_fail(void **state)
{
        uint16_t head;

        (void)state;
        miss_begin();
        miss_tell(AT(10), PAGE);
        head = miss_post(0, AT(10), PAGE, false);
        miss_one();
        bench_die(&bench);
        miss_forget(AT(10), PAGE);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 0);
        lane_miss_refuse(&bench.lane, AT(10), RW);
        assert_true(miss_one()->must_fail);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, "\x5e", 1);
        bench_used(&bench, 0, head, 1);
        assert_int_equal(*iova_at(&space, STATUS), IOERR);
        assert_int_equal(bench.broken[0], 0);
        miss_end();
}

/* What its worker has been sent is not needed again. */
static void bytes_that_were_sent_are_not_asked_for_again(void **state)
{
        (void)state;
        miss_begin();
        miss_tell(AT(10), PAGE);
        miss_post(0, AT(10), PAGE, false);
        miss_one();
        miss_forget(AT(10), PAGE);
        miss_wants_nothing();
        miss_end_alone();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(answer_is_not_judged_before_its_pages_are_there),
            cmocka_unit_test(answer_waits_for_the_ring_alone),
            cmocka_unit_test(payload_waits_between_two_parts),
            cmocka_unit_test(question_of_the_worker_waits_for_its_bytes),
            cmocka_unit_test(question_for_bytes_that_were_sent_waits_for_them),
            cmocka_unit_test(reply_that_is_late_waits_for_its_bytes),
            cmocka_unit_test(what_a_dead_worker_held_waits_for_its_bytes),
            cmocka_unit_test(worker_that_dies_unheard_leaves_nothing_behind),
            cmocka_unit_test(worker_is_not_blamed_for_time_in_which_nobody_listens),
            cmocka_unit_test(placed_bytes_are_not_fetched_before_their_pages_are_there),
            cmocka_unit_test(failing_lane_waits_for_the_byte_it_writes),
            cmocka_unit_test(stop_does_not_wait_for_a_page),
            cmocka_unit_test(answer_without_a_ring_is_kept_until_it_comes),
            cmocka_unit_test(answer_without_a_ring_goes_back_at_a_stop),
            cmocka_unit_test(answer_without_a_ring_that_comes_while_its_queue_stops_goes_back),
            cmocka_unit_test(answer_that_may_not_come_twice_breaks_its_queue_without_a_ring),
            cmocka_unit_test(lent_buffers_go_back_without_a_ring),
            cmocka_unit_test(page_of_a_chain_that_nobody_translates_breaks_its_queue),
            cmocka_unit_test(ring_that_nobody_translates_breaks_its_queue),
            cmocka_unit_test(request_whose_page_nobody_translates_fails_alone),
            cmocka_unit_test(replay_whose_page_nobody_translates_must_fail),
            cmocka_unit_test(bytes_that_were_sent_are_not_asked_for_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
