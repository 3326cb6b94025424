/* What a worker has put into the places of its requests is fetched: which requests have one, what arrives, and which claims
 * end the worker. TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/direct_fetch.h"
#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/core/lane_bench.h"

#define A (MODEL_BUFFERS)
#define K UINT32_C(1024)
#define M (K * K)

static struct lane_bench bench;
static uint8_t bytes[2 * M];

static void begin_as(enum queue_kind kind)
{
        struct bench_options options = bench_defaults;

        options.area_len = LIMIT_AREA;
        options.area_out = true;
        options.ring_size = 512;
        options.credit_requests = 128;
        options.kind = kind;
        bench_init(&bench, &options);
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)(i * 7 + i / 251);
}

static int begin(void **state)
{
        (void)state;
        begin_as(QUEUE_WORK);
        return 0;
}

static int end(void **state)
{
        (void)state;
        bench_done(&bench);
        return 0;
}

static uint16_t post(uint64_t at, uint32_t len)
{
        return model_post(&bench.guest, 0, &(struct model_buffer){at, len, true}, 1);
}

/* The only request there is. */
static const struct bench_request *one(void)
{
        assert_int_equal(bench_requests(&bench), 1);
        return &bench.requests[0];
}

static bool no_page_is_used(void)
{
        return bench_places(&bench) == 0;
}

/* Pages are taken from the area's end: the place of so many of them in front of the last `behind`, as a message says it. */
static uint32_t last(uint32_t pages, uint32_t behind)
{
        return LIMIT_AREA / LIMIT_AREA_PAGE - behind - pages + 1;
}

/* ---- places ---- */

static void writable_parts_of_some_length_have_room_in_the_area(void **state)
{
        static const struct {
                uint32_t len, pages;
        } rows[] = {{1, 0},
                    {DIRECT_LEND_MIN - 1, 0},
                    {DIRECT_LEND_MIN, 1},
                    {DIRECT_LEND_MIN + 1, 2},
                    {LIMIT_DIRECT_LEND, LIMIT_DIRECT_LEND / LIMIT_AREA_PAGE},
                    {LIMIT_DIRECT_LEND + 1, 0}};

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                uint16_t head = post(A, rows[i].len);
                const struct bench_request *request = one();

                assert_int_equal(request->out_at, rows[i].pages > 0 ? last(rows[i].pages, 0) : 0);
                assert_int_equal(bench.lane.requests.oldest->out.n, rows[i].pages);
                fake_worker_complete(&bench.worker, request->id, 0, NULL, 0);
                bench_used(&bench, 0, head, 0);
                assert_true(no_page_is_used());
                bench.lane.single = false; /* as if it had had company */
        }
}

/* One call for it alone costs more than it saves. */
static void short_writable_parts_of_the_only_request_have_none(void **state)
{
        static const struct {
                uint32_t len, pages;
        } rows[] = {{DIRECT_LEND_MIN, 1},
                    {DIRECT_LEND_MIN, 0},
                    {DIRECT_SINGLE_MIN - 1, 0},
                    {DIRECT_SINGLE_MIN, DIRECT_SINGLE_MIN / LIMIT_AREA_PAGE}};

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                uint16_t head = post(A, rows[i].len);
                const struct bench_request *request = one();

                assert_int_equal(bench.lane.requests.oldest->out.n, rows[i].pages);
                fake_worker_complete(&bench.worker, request->id, 0, NULL, 0);
                bench_used(&bench, 0, head, 0);
        }
}

static void a_worker_that_wants_no_room_gets_none(void **state)
{
        (void)state;
        bench_die(&bench);
        bench.peer.area.out = false;
        bench_attach(&bench);
        post(A, 64 * K);
        assert_int_equal(one()->out_at, 0);
        assert_true(no_page_is_used());
}

/* What is lent for input may never be answered: its pages would be lost to others. */
static void buffers_that_are_lent_for_input_have_no_room(void **state)
{
        end(state);
        begin_as(QUEUE_SUPPLY);
        post(A, 64 * K);
        assert_int_equal(one()->out_at, 0);
}

static void a_request_that_must_fail_has_no_room(void **state)
{
        (void)state;
        post(A, 64 * K);
        assert_int_equal(one()->out_at, last(16, 0));
        bench_die(&bench);
        bench.lane.requests.oldest->must_fail = true;
        assert_int_equal(bench.lane.requests.oldest->out.n, 0);
        bench_attach(&bench);
        assert_int_equal(one()->must_fail, 1);
        assert_int_equal(bench.requests[0].out_at, 0);
}

/* 8 MiB are 2048 pages: seven requests of 257, and 249 are left. */
static void without_pages_answers_come_through_the_pipe(void **state)
{
        const struct bench_request *r = bench.requests;

        (void)state;
        for (unsigned i = 0; i < 8; i++)
                post(A, LIMIT_DIRECT_LEND);
        assert_int_equal(bench_requests(&bench), 8);
        for (unsigned i = 0; i < 7; i++)
                assert_int_equal(r[i].out_at, last(257, i * 257));
        assert_int_equal(r[7].out_at, 0);
        fake_worker_complete(&bench.worker, r[7].id, 0, bytes, M);
        bench_run(&bench);
        assert_memory_equal(model_at(&bench.guest, A), bytes, M);
        assert_int_equal(bench.faults, 0);
}

/* ---- bytes ---- */

static void what_lies_in_a_place_goes_to_the_guest(void **state)
{
        static const uint32_t lens[] = {1, 4096, 4097, 64 * K, M};

        (void)state;
        for (size_t i = 0; i < array_size(lens); i++) {
                uint16_t head = post(A + i, LIMIT_DIRECT_LEND);
                const struct bench_request *request = one();

                model_fill(&bench.guest, A + i, lens[i] + 2, 0xee);
                memcpy(request->place, bytes + i, lens[i]);
                fake_worker_complete_placed(&bench.worker, request->id, lens[i], "!", 1);
                bench_used(&bench, 0, head, lens[i] + 1);
                assert_memory_equal(model_at(&bench.guest, A + i), bytes + i, lens[i]);
                assert_memory_equal(model_at(&bench.guest, A + i + lens[i]), "!\xee", 2);
                assert_true(no_page_is_used());
        }
}

/* As if they had been written first: what is between is zeros, and what comes behind them wins. */
static void placed_bytes_are_a_write_at_the_beginning(void **state)
{
        uint16_t head = post(A, 64 * K);
        const struct bench_request *request = one();
        const uint32_t status = WIRE_STATUS_OK, placed = 4096, len = 1;
        uint32_t offset = 8192;
        struct lane_to_broker message = {.kind = LANE_COMPLETE,
                                         .complete = {1, &request->id, &status, &offset, &len, &placed}};
        uint8_t zeros[4096] = {0};

        (void)state;
        model_fill(&bench.guest, A, 64 * K, 0xee);
        memcpy(request->place, bytes, 4096);
        fake_worker_send(&bench.worker, &message, "!", 1);
        bench_used(&bench, 0, head, 8193);
        assert_memory_equal(model_at(&bench.guest, A), bytes, 4096);
        assert_memory_equal(model_at(&bench.guest, A + 4096), zeros, 4096);
        head = post(A, 64 * K);
        request = one();
        fake_worker_write(&bench.worker, request->id, 0, zeros, 100);
        fake_worker_write(&bench.worker, request->id, 60 * K, "far", 3);
        bench_run(&bench);
        memcpy(request->place, bytes, 4096);
        offset = 10;
        message.complete.id = &request->id;
        fake_worker_send(&bench.worker, &message, "!", 1);
        bench_used(&bench, 0, head, 60 * K + 3);
        assert_memory_equal(model_at(&bench.guest, A), bytes, 10);
        assert_memory_equal(model_at(&bench.guest, A + 10), "!", 1);
        assert_memory_equal(model_at(&bench.guest, A + 11), bytes + 11, 4096 - 11);
}

struct frame {
        size_t n;
        uint64_t id[LIMIT_WIRE_COLUMN];
        uint32_t status[LIMIT_WIRE_COLUMN], offset[LIMIT_WIRE_COLUMN], len[LIMIT_WIRE_COLUMN];
        uint32_t placed[LIMIT_WIRE_COLUMN];
};

static void send_frame(struct frame *frame)
{
        const struct lane_to_broker message = {
            .kind = LANE_COMPLETE,
            .complete = {frame->n, frame->id, frame->status, frame->offset, frame->len, frame->placed}};

        fake_worker_send(&bench.worker, &message, NULL, 0);
}

/* More ranges of the worker's than one call takes. */
static void more_requests_than_one_call_takes_arrive(void **state)
{
        static struct frame frame;
        const unsigned n = DIRECT_RANGES + 7;

        (void)state;
        for (unsigned i = 0; i < n; i++)
                post(A + i * 8 * K, 8 * K);
        assert_int_equal(bench_requests(&bench), n);
        frame = (struct frame){.n = n};
        for (unsigned i = 0; i < n; i++) {
                uint32_t len = i % 5 == 0 ? 0 : 8 * K - i;

                frame.id[i] = bench.requests[i].id;
                frame.placed[i] = len;
                memcpy(bench.requests[i].place, bytes + i, len);
        }
        send_frame(&frame);
        for (unsigned i = 0; i < n; i++) {
                uint16_t head;
                uint32_t len;

                bench_run(&bench);
                assert_true(model_reap(&bench.guest, 0, &head, &len));
                assert_int_equal(len, i % 5 == 0 ? 0 : 8 * K - i);
                assert_memory_equal(model_at(&bench.guest, A + i * 8 * K), bytes + i, len);
        }
        assert_true(no_page_is_used());
}

/* More spans of the guest's than one call takes, odd lengths, and over the border of two regions. */
static void parts_of_many_segments_arrive_in_order(void **state)
{
        static struct model_buffer buffers[4][120];
        static struct frame frame;

        (void)state;
        for (uint32_t i = 0, at = 0; i < 4; i++)
                for (uint32_t j = 0; j < 120; j++) {
                        uint32_t len = 1 + (i * 120 + j) * 97 % 3000;

                        buffers[i][j] = (struct model_buffer){MODEL_HIGH - M / 2 + at, len, true};
                        at += len + 1;
                }
        for (unsigned i = 0; i < 4; i++)
                model_post(&bench.guest, 0, buffers[i], 120);
        assert_int_equal(bench_requests(&bench), 4);
        frame = (struct frame){.n = 4};
        for (unsigned i = 0; i < 4; i++) {
                frame.id[i] = bench.requests[i].id;
                frame.placed[i] = bench.requests[i].writable;
                memcpy(bench.requests[i].place, bytes + i, frame.placed[i]);
        }
        send_frame(&frame);
        bench_run(&bench);
        assert_int_equal(bench.lane.completed, 4);
        for (uint32_t i = 0; i < 4; i++) {
                const uint8_t *expected = bytes + i;

                for (uint32_t j = 0; j < 120; expected += buffers[i][j++].len)
                        assert_memory_equal(model_at(&bench.guest, buffers[i][j].at), expected,
                                            buffers[i][j].len);
        }
}

/* ---- claims ---- */

/* As of requests that it has answered. */
static void save_quota(void)
{
        bench.lane.quota.left = (struct quota_work){LIMIT_QUOTA_SAVED_FRAMES, LIMIT_QUOTA_SAVED_BYTES};
}

static void killed_for(const char *why)
{
        bench_run(&bench);
        assert_int_equal(bench.faults, 1);
        assert_string_equal(bench.why, why);
        bench_not_used(&bench, 0);
}

/* Nothing of a frame is fetched when one claim in it is false. */
static void a_claim_without_a_place_ends_the_worker(void **state)
{
        static const struct {
                uint32_t writable, placed;
        } rows[] = {{64 * K, 64 * K + 1},
                    {4097, 4098},
                    {4097, 8192},
                    {4095, 1},
                    {4096, 4097},
                    {LIMIT_DIRECT_LEND + 1, 1},
                    {4097, LIMIT_DIRECT_LEND}};
        struct frame frame = {.n = 2};

        for (size_t i = 0; i < array_size(rows); i++) {
                post(A, 4096);
                post(A + M, rows[i].writable);
                model_fill(&bench.guest, A, 4096, 0xee);
                assert_int_equal(bench_requests(&bench), 2);
                memset(bench.requests[0].place, 0x11, 4096);
                for (unsigned j = 0; j < 2; j++)
                        frame.id[j] = bench.requests[j].id;
                frame.placed[0] = 4096;
                frame.placed[1] = rows[i].placed;
                send_frame(&frame);
                killed_for("claims bytes that it has no place for");
                assert_int_equal(*model_at(&bench.guest, A), 0xee);
                end(state);
                begin(state);
        }
}

static void a_claim_over_every_limit_is_malformed(void **state)
{
        struct frame frame = {.n = 1, .placed = {LIMIT_DIRECT_LEND + 1}};

        (void)state;
        post(A, LIMIT_DIRECT_LEND);
        frame.id[0] = one()->id;
        send_frame(&frame);
        killed_for("sent a malformed lane message");
}

static void a_claim_is_made_once_and_for_a_request_that_was_sent(void **state)
{
        struct frame frame = {.n = 2, .placed = {4096, 4096}};

        for (unsigned i = 0; i < 2; i++) {
                post(A, 4096);
                frame.id[0] = one()->id;
                frame.id[1] = frame.id[0] + i; /* the same twice, or one that is not there */
                model_fill(&bench.guest, A, 4096, 0xee);
                send_frame(&frame);
                killed_for("completed what it does not hold");
                assert_int_equal(*model_at(&bench.guest, A), 0xee);
                end(state);
                begin(state);
        }
}

/* The successor has been sent it by another id, or not yet: an old claim is nothing. */
static void a_claim_does_not_outlive_its_worker(void **state)
{
        struct frame frame = {.n = 1, .placed = {4096}};

        (void)state;
        post(A, 4096);
        frame.id[0] = one()->id;
        bench_die(&bench);
        bench.lane.credit_requests = 0; /* it waits */
        bench_attach(&bench);
        save_quota();
        send_frame(&frame);
        killed_for("completed what it does not hold");
}

static void placed_bytes_are_paid_for(void **state)
{
        struct frame frame = {.n = 1, .placed = {64 * K}};

        (void)state;
        post(A, 64 * K);
        frame.id[0] = one()->id;
        bench.lane.quota.left.bytes = 64 * K; /* and nothing for the frame */
        model_fill(&bench.guest, A, 64 * K, 0xee);
        send_frame(&frame);
        killed_for("sends more than its requests can need");
        assert_int_equal(*model_at(&bench.guest, A), 0xee);
}

/* Two halves of a small frame are two wake-ups: what it brings makes them worth it. */
static void placed_bytes_are_worth_the_wake_ups_of_their_frame(void **state)
{
        (void)state;
        for (unsigned i = 0; i < 3 * LIMIT_QUOTA_SHORT_TURNS; i++) {
                post(A, 4096);
                bench.lane.single = false;
                fake_worker_complete_placed(&bench.worker, one()->id, 4096, NULL, 0);
                bench.worker.step = 20;
                bench_run(&bench);
                bench.worker.step = 0;
                assert_int_equal(bench.faults, 0);
        }
}

/* ---- rest ---- */

static void ask_rest(void)
{
        fake_worker_send(&bench.worker, &(struct lane_to_broker){.kind = LANE_ASK_REST}, NULL, 0);
}

static void hear_rest(void)
{
        struct fake_frame frame;

        bench_run(&bench);
        assert_true(fake_worker_next(&bench.worker, &frame));
        assert_int_equal(frame.message.kind, LANE_MAY_REST);
        assert_int_equal(frame.payload_len, 0);
        bench_no_frame(&bench);
}

static void a_worker_may_rest_when_what_it_has_said_is_done(void **state)
{
        uint16_t head;

        (void)state;
        save_quota();
        ask_rest();
        hear_rest();
        head = post(A, 64 * K);
        memcpy(one()->place, bytes, 64 * K);
        fake_worker_complete_placed(&bench.worker, bench.requests[0].id, 64 * K - 1, "!", 1);
        ask_rest();
        hear_rest();
        memset(bench.area, 0, 64 * K); /* as it rests */
        bench_used_now(&bench, 0, head, 64 * K);
        assert_memory_equal(model_at(&bench.guest, A), bytes, 64 * K - 1);
        assert_int_equal(bench.faults, 0);
}

static void a_second_question_while_one_is_open_ends_the_worker(void **state)
{
        (void)state;
        save_quota();
        ask_rest();
        ask_rest();
        killed_for("asks to rest while its last question is open");
}

/* The question of a worker that has died is not answered to its successor. */
static void a_question_dies_with_its_worker(void **state)
{
        (void)state;
        bench.lane.tx.rest_asked = true;
        bench_die(&bench);
        bench_attach(&bench);
        bench_no_frame(&bench);
}

#define FETCH_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
            FETCH_TEST(writable_parts_of_some_length_have_room_in_the_area),
            FETCH_TEST(short_writable_parts_of_the_only_request_have_none),
            FETCH_TEST(a_worker_that_wants_no_room_gets_none),
            FETCH_TEST(buffers_that_are_lent_for_input_have_no_room),
            FETCH_TEST(a_request_that_must_fail_has_no_room),
            FETCH_TEST(without_pages_answers_come_through_the_pipe),
            FETCH_TEST(what_lies_in_a_place_goes_to_the_guest),
            FETCH_TEST(placed_bytes_are_a_write_at_the_beginning),
            FETCH_TEST(more_requests_than_one_call_takes_arrive),
            FETCH_TEST(parts_of_many_segments_arrive_in_order),
            FETCH_TEST(a_claim_without_a_place_ends_the_worker),
            FETCH_TEST(a_claim_over_every_limit_is_malformed),
            FETCH_TEST(a_claim_is_made_once_and_for_a_request_that_was_sent),
            FETCH_TEST(a_claim_does_not_outlive_its_worker),
            FETCH_TEST(placed_bytes_are_paid_for),
            FETCH_TEST(placed_bytes_are_worth_the_wake_ups_of_their_frame),
            FETCH_TEST(a_worker_may_rest_when_what_it_has_said_is_done),
            FETCH_TEST(a_second_question_while_one_is_open_ends_the_worker),
            FETCH_TEST(a_question_dies_with_its_worker),
        };

        return cmocka_run_group_tests_name("lane_fetch", tests, NULL, NULL);
}
