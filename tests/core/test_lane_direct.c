/* Long readable parts of requests are copied directly: what is copied, when, how much of it, and whose pages it is.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/core/lane_bench.h"

#define A    (MODEL_BUFFERS)
#define B    (MODEL_BUFFERS + 0x200000)
#define K    UINT32_C(1024)
#define M    (K * K)
#define LEAD 16u

static struct lane_bench bench;
static uint8_t bytes[2 * M];

static void begin_with(uint32_t area_len)
{
        struct bench_options options = bench_defaults;

        options.area_len = area_len;
        options.area_lead = LEAD;
        options.credit_bytes = M;
        options.max_inline = 128 * K;
        bench_init(&bench, &options);
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)(i * 7 + i / 251);
}

static int begin(void **state)
{
        (void)state;
        begin_with(LIMIT_AREA);
        return 0;
}

static int end(void **state)
{
        (void)state;
        bench_done(&bench);
        return 0;
}

static uint16_t post(uint64_t at, uint32_t len, bool write)
{
        return model_post(&bench.guest, 0, &(struct model_buffer){at, len, write}, 1);
}

/* The only request there is. */
static const struct bench_request *one(void)
{
        assert_int_equal(bench_requests(&bench), 1);
        return &bench.requests[0];
}

static void answered(uint64_t id, uint16_t head)
{
        fake_worker_complete(&bench.worker, id, 0, NULL, 0);
        bench_used(&bench, 0, head, 0);
}

/* ---- to the worker ---- */

static void a_long_readable_part_is_there_before_its_request(void **state)
{
        const struct bench_request *request;

        (void)state;
        model_put(&bench.guest, A, bytes, M + LEAD);
        post(A, M + LEAD, false);
        request = one();
        assert_int_equal(request->in_at, 1);
        assert_int_equal(request->inlined, M + LEAD);
        assert_memory_equal(request->bytes, bytes, M + LEAD);
        assert_int_equal((uintptr_t)(request->bytes + LEAD) % LIMIT_AREA_PAGE, 0);
        assert_int_equal(bench.lane.used_bytes, 0);
}

/* More segments than one call takes, and over the border of two regions. */
static void a_part_of_many_segments_arrives_in_order(void **state)
{
        struct model_buffer buffers[100];
        const struct bench_request *request;
        uint8_t *expected = malloc(2 * M);
        uint32_t len = 0;

        (void)state;
        model_put(&bench.guest, MODEL_HIGH - M, bytes, 2 * M);
        for (uint32_t i = 0; i < 100; i++) {
                uint32_t from = (i * 7919) % (2 * M - 20000), n = 1 + (i * 97) % 9000;

                buffers[i] = (struct model_buffer){MODEL_HIGH - M + from, n, false};
                memcpy(expected + len, bytes + from, n);
                len += n;
        }
        model_post(&bench.guest, 0, buffers, 100);
        request = one();
        assert_int_equal(request->inlined, len);
        assert_memory_equal(request->bytes, expected, len);
        free(expected);
}

static void short_and_endless_parts_go_through_the_pipe(void **state)
{
        static const struct {
                uint32_t len;
                bool direct;
        } rows[] = {{DIRECT_MIN - 1, false},
                    {DIRECT_MIN, true},
                    {LIMIT_DIRECT_PART, true},
                    {LIMIT_DIRECT_PART + 1, false}};

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                uint16_t head = post(A, rows[i].len, false);
                const struct bench_request *request = one();

                assert_int_equal(request->in_at > 0, rows[i].direct);
                assert_int_equal(bench.lane.used_bytes, request->in_at ? 0 : request->inlined);
                answered(request->id, head);
                bench.lane.single = false; /* as if it had had company */
        }
}

static void goes_direct(uint32_t len, bool direct)
{
        uint16_t head = post(A, len, false);
        const struct bench_request *request = one();

        assert_int_equal(request->in_at > 0, direct);
        answered(request->id, head);
}

/* A call for it alone costs more than it saves. Whether others come with it is known by the one before. */
static void short_parts_of_the_only_request_go_through_the_pipe(void **state)
{
        uint16_t heads[2];
        uint64_t ids[2];

        (void)state;
        goes_direct(DIRECT_MIN, true);
        goes_direct(DIRECT_MIN, false);
        goes_direct(DIRECT_SINGLE_MIN - 1, false);
        goes_direct(DIRECT_SINGLE_MIN, true);
        for (unsigned i = 0; i < 2; i++)
                heads[i] = post(A, DIRECT_MIN, false);
        assert_int_equal(bench_requests(&bench), 2);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(bench.requests[i].in_at > 0, i > 0);
                ids[i] = bench.requests[i].id;
        }
        for (unsigned i = 0; i < 2; i++)
                answered(ids[i], heads[i]);
        goes_direct(DIRECT_MIN, true);
        goes_direct(DIRECT_MIN, false);
}

/* Pages are for what is copied to them: what the guest lends for writing comes through the pipe. */
static void writable_parts_get_no_place(void **state)
{
        const struct model_buffer both[] = {{A, 64 * K, false}, {B, 64 * K, true}};
        uint16_t head = post(B, 64 * K, true);
        const struct bench_request *request = one();

        (void)state;
        assert_int_equal(request->in_at, 0);
        assert_int_equal(bench.lane.direct.ins.used[0], 0);
        fake_worker_complete(&bench.worker, request->id, 0, bytes, 64 * K);
        bench_used(&bench, 0, head, 64 * K);
        assert_memory_equal(model_at(&bench.guest, B), bytes, 64 * K);
        head = model_post(&bench.guest, 0, both, array_size(both));
        request = one();
        assert_int_equal(request->in_at, 1);
        assert_int_equal(bench.lane.direct.ins.used[0], 0x1ffff); /* and one for the lead */
        fake_worker_complete(&bench.worker, request->id, 0, bytes + 1, 64 * K);
        bench_used(&bench, 0, head, 64 * K);
        assert_memory_equal(model_at(&bench.guest, B), bytes + 1, 64 * K);
        assert_int_equal(bench.lane.direct.ins.used[0], 0);
}

static void the_worker_hears_of_requests_before_too_much_is_put_there(void **state)
{
        uint32_t pushed, n = 0;

        (void)state;
        for (unsigned i = 0; i < 6; i++)
                post(A, LIMIT_DIRECT_PUSH / 2, false);
        bench_run(&bench);
        for (; bench_next(&bench, &pushed); n++) {
                assert_int_equal(bench.n, 2);
                assert_int_equal(pushed, LIMIT_DIRECT_PUSH);
        }
        assert_int_equal(n, 3);
        for (unsigned i = 0; i < 2; i++)
                post(A, LIMIT_DIRECT_PUSH + 1, false);
        bench_run(&bench);
        for (n = 0; bench_next(&bench, &pushed); n++)
                assert_int_equal(pushed, LIMIT_DIRECT_PUSH + 1);
        assert_int_equal(n, 2);
}

static void eight_writes_of_64_kib_and_their_heads_are_one_frame(void **state)
{
        uint32_t pushed;

        (void)state;
        for (unsigned i = 0; i < 8; i++)
                post(A, (64u << 10) + 16, false);
        bench_run(&bench);
        assert_true(bench_next(&bench, &pushed));
        assert_int_equal(bench.n, 8);
        assert_false(bench_next(&bench, &pushed));
}

static void requests_that_must_fail_get_no_place(void **state)
{
        struct request *request;

        (void)state;
        post(A, M, false);
        post(B, M, false);
        assert_int_equal(bench_requests(&bench), 2);
        bench_die(&bench);
        for (request = bench.lane.requests.oldest; request; request = request->newer) {
                assert_int_equal(request->in.n, 0);
                request->must_fail = true;
        }
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 2);
        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(bench.requests[i].must_fail, 1);
                assert_int_equal(bench.requests[i].in_at, 0);
                assert_int_equal(bench.requests[i].inlined, 0);
        }
}

/* ---- pages ---- */

/* 60 KiB and the lead: 16 pages. */
static void pages_go_to_others_when_a_request_is_answered(void **state)
{
        uint16_t first = post(A, 60 * K, false), second = post(B, 60 * K, false);
        uint64_t id[2];

        (void)state;
        assert_int_equal(bench_requests(&bench), 2);
        assert_int_equal(bench.requests[0].in_at, 1);
        assert_int_equal(bench.requests[1].in_at, 17);
        id[0] = bench.requests[0].id;
        id[1] = bench.requests[1].id;
        answered(id[0], first);
        first = post(A, 60 * K, false);
        assert_int_equal(one()->in_at, 1);
        answered(bench.requests[0].id, first);
        answered(id[1], second);
        assert_int_equal(bench.lane.direct.ins.used[0], 0);
}

static void without_room_bytes_go_through_the_pipe(void **state)
{
        const struct bench_request *r = bench.requests;

        (void)state;
        bench_done(&bench);
        begin_with(64 * K); /* 16 pages: the first takes 11 of them */
        model_put(&bench.guest, A, bytes, 64 * K);
        post(A, 40 * K, false);
        post(A + 1, 40 * K, false);
        assert_int_equal(bench_requests(&bench), 2);
        assert_int_equal(r[0].in_at, 1);
        assert_memory_equal(r[0].bytes, bytes, 40 * K);
        assert_int_equal(r[1].in_at, 0);
        assert_int_equal(r[1].inlined, 40 * K);
        assert_int_equal(bench.lane.used_bytes, 40 * K);
        assert_memory_equal(r[1].bytes, bytes + 1, 40 * K);
        assert_int_equal(bench.faults, 0);
}

/* What a dead worker had is nobody's; its successor's area is another one, and it gets the bytes again. */
static void a_successor_gets_places_of_its_own(void **state)
{
        uint8_t *second = aligned_alloc(LIMIT_AREA_PAGE, M), *first = bench.area;
        uint16_t head[2];
        uint64_t id[2];

        (void)state;
        model_put(&bench.guest, A, bytes, 64 * K);
        model_put(&bench.guest, B, bytes + 1, 64 * K);
        head[0] = post(A, 64 * K, false);
        head[1] = post(B, 64 * K, false);
        assert_int_equal(bench_requests(&bench), 2);
        bench_die(&bench);
        bench.peer.area = (struct control_area){.at = (uintptr_t)second, .len = M, .lead = 0};
        bench.area = second;
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 2);
        assert_int_equal(bench.requests[0].attempt, 1);
        assert_ptr_equal(bench.requests[0].bytes, second);
        assert_memory_equal(second, bytes, 64 * K);
        assert_ptr_equal(bench.requests[1].bytes, second + 64 * K);
        assert_memory_equal(second + 64 * K, bytes + 1, 64 * K);
        id[0] = bench.requests[0].id;
        id[1] = bench.requests[1].id;
        answered(id[0], head[0]);
        answered(id[1], head[1]);
        bench.area = first;
        bench.peer.area.len = LIMIT_AREA;
        free(second);
}

/* The spawner is gone: what is under way is served, and nothing new is handed out. */
static void after_the_end_of_it_what_is_under_way_is_served(void **state)
{
        uint16_t head = post(A, 64 * K, false);
        uint64_t id = one()->id;

        (void)state;
        assert_int_equal(bench.requests[0].in_at, 1);
        direct_end(&bench.lane.direct);
        answered(id, head);
        assert_int_equal(bench.lane.direct.ins.used[0], 0);
        post(A, 64 * K, false);
        assert_int_equal(one()->in_at, 0);
        assert_int_equal(bench.requests[0].inlined, 64 * K);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(a_long_readable_part_is_there_before_its_request, begin, end),
            cmocka_unit_test_setup_teardown(a_part_of_many_segments_arrives_in_order, begin, end),
            cmocka_unit_test_setup_teardown(short_and_endless_parts_go_through_the_pipe, begin, end),
            cmocka_unit_test_setup_teardown(short_parts_of_the_only_request_go_through_the_pipe, begin, end),
            cmocka_unit_test_setup_teardown(writable_parts_get_no_place, begin, end),
            cmocka_unit_test_setup_teardown(the_worker_hears_of_requests_before_too_much_is_put_there, begin,
                                            end),
            cmocka_unit_test_setup_teardown(eight_writes_of_64_kib_and_their_heads_are_one_frame, begin, end),
            cmocka_unit_test_setup_teardown(requests_that_must_fail_get_no_place, begin, end),
            cmocka_unit_test_setup_teardown(pages_go_to_others_when_a_request_is_answered, begin, end),
            cmocka_unit_test_setup_teardown(without_room_bytes_go_through_the_pipe, begin, end),
            cmocka_unit_test_setup_teardown(a_successor_gets_places_of_its_own, begin, end),
            cmocka_unit_test_setup_teardown(after_the_end_of_it_what_is_under_way_is_served, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
