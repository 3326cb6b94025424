/* What a big-endian guest has at the front of its requests comes to the worker in little endian, by whichever way, and how often.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/core/lane_bench.h"

#define A    MODEL_BUFFERS
#define B    (MODEL_BUFFERS + 0x200000)
#define HEAD 16u
#define DATA 300u
#define LONG UINT32_C(0x20000)

static const uint8_t widths[DEVICE_LEGACY_FIELDS] = {4, 4, 8};
static const uint8_t as_guest[HEAD] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const uint8_t as_worker[HEAD] = {4, 3, 2, 1, 8, 7, 6, 5, 16, 15, 14, 13, 12, 11, 10, 9};

static struct lane_bench bench;
static uint8_t data[LONG];

static void begin_with(const uint8_t *head, uint32_t area_len, uint32_t max_inline)
{
        struct bench_options options = bench_defaults;

        options.head_widths = head;
        options.area_len = area_len;
        options.area_lead = HEAD;
        options.max_inline = max_inline;
        options.replay = REPLAY_IDEMPOTENT;
        bench_init(&bench, &options);
        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (uint8_t)(i * 7 + i / 251);
        model_put(&bench.guest, A, as_guest, HEAD);
        model_put(&bench.guest, B, data, LONG);
}

static uint16_t post(uint32_t len)
{
        const struct model_buffer buffers[] = {{A, HEAD, false}, {B, len, false}};

        return model_post(&bench.guest, 0, buffers, 2);
}

/* Bytes [from, from + len) of what a worker is to see. */
static void assert_readable(const uint8_t *bytes, uint32_t from, uint32_t len)
{
        for (uint32_t i = 0; i < len; i++)
                assert_int_equal(bytes[i], from + i < HEAD ? as_worker[from + i] : data[from + i - HEAD]);
}

static void complete(uint16_t head)
{
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_used(&bench, 0, head, 0);
}

static void the_head_goes_with_the_request_in_little_endian(void **state)
{
        uint16_t head;

        (void)state;
        begin_with(widths, 0, 16384);
        head = post(DATA);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].inlined, HEAD + DATA);
        assert_readable(bench.requests[0].bytes, 0, HEAD + DATA);
        complete(head);
        bench_done(&bench);
}

/* However the guest cuts it. */
static void a_head_in_many_pieces_is_the_same(void **state)
{
        (void)state;
        for (uint32_t cut = 1; cut < HEAD; cut++) {
                const struct model_buffer buffers[] = {
                    {A, cut, false}, {A + cut, HEAD - cut, false}, {B, DATA, false}};
                uint16_t head;

                begin_with(widths, 0, 16384);
                head = model_post(&bench.guest, 0, buffers, 3);
                assert_int_equal(bench_requests(&bench), 1);
                assert_readable(bench.requests[0].bytes, 0, HEAD + DATA);
                complete(head);
                bench_done(&bench);
        }
}

/* From within it, over its end, and behind it; and what is inlined may end in it. */
static void a_head_that_is_asked_for_is_the_same(void **state)
{
        struct fake_frame frame;

        (void)state;
        for (uint32_t at = 0; at < HEAD + 4; at++)
                for (uint32_t len = 1; len < 24; len += 5) {
                        uint16_t head;

                        begin_with(widths, 0, 6);
                        head = post(DATA);
                        assert_int_equal(bench_requests(&bench), 1);
                        assert_int_equal(bench.requests[0].inlined, 6);
                        assert_readable(bench.requests[0].bytes, 0, 6);
                        fake_worker_read(&bench.worker, 1, bench.requests[0].id, at, len);
                        bench_reply(&bench, &frame);
                        assert_int_equal(frame.message.mem_read_reply.status[0], WIRE_STATUS_OK);
                        assert_int_equal(frame.payload_len, len);
                        assert_readable(frame.payload, at, len);
                        complete(head);
                        bench_done(&bench);
                }
}

static void a_head_that_is_copied_straight_to_its_worker_is_the_same(void **state)
{
        uint16_t head;

        (void)state;
        begin_with(widths, LIMIT_AREA, 16384);
        head = post(LONG);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].in_at, 1);
        assert_readable(bench.requests[0].bytes, 0, HEAD + LONG);
        complete(head);
        bench_done(&bench);
}

/* It is copied when its chain is taken, once: the guest's later bytes are nobody's, and its successor sees the same. */
static void a_head_that_the_guest_changes_stays_as_it_was(void **state)
{
        static const uint8_t other[HEAD] = {0xff, 0xff, 0xff};
        struct fake_frame frame;
        uint16_t head;

        (void)state;
        begin_with(widths, 0, 4);
        head = post(DATA);
        assert_int_equal(bench_requests(&bench), 1);
        model_put(&bench.guest, A, other, HEAD);
        fake_worker_read(&bench.worker, 1, bench.requests[0].id, 0, HEAD);
        bench_reply(&bench, &frame);
        assert_readable(frame.payload, 0, HEAD);
        bench_die(&bench);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].attempt, 1);
        assert_readable(bench.requests[0].bytes, 0, 4);
        fake_worker_read(&bench.worker, 1, bench.requests[0].id, 0, HEAD + DATA);
        bench_reply(&bench, &frame);
        assert_readable(frame.payload, 0, HEAD + DATA);
        complete(head);
        bench_done(&bench);
}

/* A worker is to judge what is too short: it sees whole fields in its order, and what is no whole one as it is. */
static void fields_that_are_not_there_whole_stay_as_they_are(void **state)
{
        (void)state;
        for (uint32_t len = 1; len <= HEAD; len++) {
                uint32_t turned = len < 4 ? 0 : len < 8 ? 4 : len < 16 ? 8 : 16;
                uint16_t head;

                begin_with(widths, 0, 16384);
                head = model_post(&bench.guest, 0, &(struct model_buffer){A, len, false}, 1);
                assert_int_equal(bench_requests(&bench), 1);
                assert_int_equal(bench.requests[0].readable, len);
                assert_memory_equal(bench.requests[0].bytes, as_worker, turned);
                assert_memory_equal(bench.requests[0].bytes + turned, as_guest + turned, len - turned);
                complete(head);
                bench_done(&bench);
        }
}

/* A console's, or a request that is all room. */
static void requests_without_fields_are_left_alone(void **state)
{
        static const uint8_t none[DEVICE_LEGACY_FIELDS] = {0};
        uint16_t head;

        (void)state;
        begin_with(none, 0, 16384);
        head = post(DATA);
        assert_int_equal(bench_requests(&bench), 1);
        assert_memory_equal(bench.requests[0].bytes, as_guest, HEAD);
        assert_memory_equal(bench.requests[0].bytes + HEAD, data, DATA);
        complete(head);
        bench_done(&bench);
        begin_with(widths, 0, 16384);
        head = model_post(&bench.guest, 0, &(struct model_buffer){B, DATA, true}, 1);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].readable, 0);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, data, 100);
        bench_used(&bench, 0, head, 100);
        bench_done(&bench);
}

/* Its memory is gone between the walk and the copy: nothing is made up. */
static void a_head_without_memory_fails_its_request(void **state)
{
        struct guest_memory *low;
        const struct model_buffer buffers[] = {{MODEL_HIGH, HEAD, false}, {A, 1, true}};

        (void)state;
        begin_with(widths, 0, 16384);
        low = model_guest_snapshot(&bench.guest, false);
        guest_memory_unref(bench.lane.memory);
        bench.lane.memory = low; /* its ring still has the other */
        model_post(&bench.guest, 0, buffers, 2);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].must_fail, 1);
        assert_int_equal(bench.requests[0].inlined, 0);
        bench_done(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_head_goes_with_the_request_in_little_endian),
            cmocka_unit_test(a_head_in_many_pieces_is_the_same),
            cmocka_unit_test(a_head_that_is_asked_for_is_the_same),
            cmocka_unit_test(a_head_that_is_copied_straight_to_its_worker_is_the_same),
            cmocka_unit_test(a_head_that_the_guest_changes_stays_as_it_was),
            cmocka_unit_test(fields_that_are_not_there_whole_stay_as_they_are),
            cmocka_unit_test(requests_without_fields_are_left_alone),
            cmocka_unit_test(a_head_without_memory_fails_its_request),
        };

        return cmocka_run_group_tests_name("lane_head", tests, NULL, NULL);
}
