/* Places that lie close to each other: parts of a frame that are neighbours in the worker are one range of a call, and what is
 * put between them is nobody's. Places for readable parts, from the one end, and pages for writable ones, from the other, never
 * meet. What stands between the lane and the kernel counts the ranges, and ends a call where a test wants it.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/core/lane_bench.h"

#define K    UINT32_C(1024)
#define M    (K * K)
#define A    (MODEL_BUFFERS)
#define B    (MODEL_BUFFERS + 0x200000) /* what the worker answers */
#define CUT  (MODEL_HIGH + 2 * M)       /* where the tests let the file of the guest's memory end */
#define PAGE LIMIT_AREA_PAGE
#define LINE LIMIT_AREA_LINE
#define LEAD 16u
#define STEP (PAGE + LINE)
#define FULL (PAGE + LEAD) /* a part that ends with its place */
#define MOST 32u           /* requests under way */

static struct lane_bench bench;
static uint8_t bytes[M];
static uint16_t head[MOST];
static uint8_t *model; /* what the area must be, byte for byte */

/* ---- what stands between ---- */

static struct {
        unsigned calls;
        size_t ranges;    /* of the worker's, in all of them */
        const void *last; /* where the last one begins */
        unsigned cut;     /* this one (from 1) ends after so many bytes */
        size_t cut_at;
} kernel;

ssize_t __real_process_vm_writev(pid_t pid, const struct iovec *local, unsigned long n_local,
                                 const struct iovec *remote, unsigned long n_remote, unsigned long flags);
ssize_t __wrap_process_vm_writev(pid_t pid, const struct iovec *local, unsigned long n_local,
                                 const struct iovec *remote, unsigned long n_remote, unsigned long flags);

/* The first `len` bytes of these spans. */
static size_t shorten(const struct iovec *from, size_t n_from, size_t len, struct iovec *to)
{
        size_t n = 0;

        for (; n < n_from && len > 0; n++) {
                to[n] = from[n];
                to[n].iov_len = MIN(from[n].iov_len, len);
                len -= to[n].iov_len;
        }
        return n;
}

ssize_t __wrap_process_vm_writev(pid_t pid, const struct iovec *local, unsigned long n_local,
                                 const struct iovec *remote, unsigned long n_remote, unsigned long flags)
{
        struct iovec shorter[DIRECT_SPANS];

        assert_in_range(n_local, 1, DIRECT_SPANS);
        assert_in_range(n_remote, 1, DIRECT_RANGES);
        kernel.calls++;
        kernel.ranges += n_remote;
        kernel.last = remote[n_remote - 1].iov_base;
        if (kernel.calls == kernel.cut) {
                n_local = shorten(local, n_local, kernel.cut_at, shorter);
                local = shorter;
        }
        return __real_process_vm_writev(pid, local, n_local, remote, n_remote, flags);
}

/* ---- the bench ---- */

static void begin_with(uint32_t area_len, uint32_t lead, bool dense)
{
        struct bench_options options = bench_defaults;

        options.ring_size = 512;
        options.max_segments = 512;
        options.credit_requests = 128;
        options.credit_bytes = M;
        options.area_len = area_len;
        options.area_lead = lead;
        options.area_out = true;
        options.area_dense = dense;
        bench_init(&bench, &options);
        memset(&kernel, 0, sizeof(kernel));
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)(1 + (i * 7 + i / 251) % 255); /* no zero */
        model_put(&bench.guest, A, bytes, sizeof(bytes));
        memset(bench.area, 0xee, area_len);
        model = malloc(area_len);
        assert_non_null(model);
        memset(model, 0xee, area_len);
}

static int begin(void **state)
{
        (void)state;
        begin_with(LIMIT_AREA, LEAD, true);
        return 0;
}

static int end(void **state)
{
        (void)state;
        bench_done(&bench);
        free(model);
        return 0;
}

static uint16_t post(uint64_t at, uint32_t len)
{
        return model_post(&bench.guest, 0, &(struct model_buffer){at, len, false}, 1);
}

static uint16_t post_read(uint32_t len)
{
        return model_post(&bench.guest, 0, &(struct model_buffer){B, len, true}, 1);
}

static void came(size_t i, const uint8_t *expected, uint32_t len)
{
        const struct bench_request *request = &bench.requests[i];

        assert_true(i < bench.n);
        assert_int_equal(request->must_fail, 0);
        assert_int_equal(request->inlined, len);
        assert_memory_equal(request->bytes, expected, len);
}

static void answer(size_t n)
{
        for (size_t i = 0; i < n; i++)
                fake_worker_complete(&bench.worker, bench.requests[i].id, 0, NULL, 0);
        bench_run(&bench);
        for (size_t i = 0; i < n; i++)
                bench_used_now(&bench, 0, head[i], 0);
        bench_not_used(&bench, 0);
        assert_int_equal(bench_places(&bench), 0);
        assert_int_equal(bench.faults, 0);
}

/* What one frame has changed in the area: parts, and zeros between two that lie less than a line apart, one behind the other.
 * Nothing else, anywhere. Returns how many ranges that were. */
static size_t changed_as_said(void)
{
        const uint8_t *behind = NULL;
        size_t n = 0;

        for (size_t i = 0; i < bench.n; i++) {
                const struct bench_request *request = &bench.requests[i];

                if (request->in_at == 0)
                        continue;
                if (behind && request->bytes >= behind && (size_t)(request->bytes - behind) < LINE)
                        memset(model + (behind - bench.area), 0, (size_t)(request->bytes - behind));
                else
                        n++;
                behind = request->bytes + request->inlined;
                assert_in_range(behind - bench.area, 1, bench.peer.area.len);
                memcpy(model + (request->bytes - bench.area), request->bytes, request->inlined);
        }
        assert_memory_equal(bench.area, model, bench.peer.area.len);
        return n;
}

/* ---- one range ---- */

static void parts_of_a_page_and_their_lead_are_one_range(void **state)
{
        (void)state;
        for (size_t i = 0; i < MOST; i++)
                head[i] = post(A + i, FULL);
        assert_int_equal(bench_requests(&bench), MOST);
        for (size_t i = 0; i < MOST; i++) {
                assert_int_equal(bench.requests[i].in_at, i + 1);
                assert_ptr_equal(bench.requests[i].bytes, bench.area + i * STEP + LINE - LEAD);
                came(i, bytes + i, FULL);
        }
        assert_int_equal(kernel.calls, 1);
        assert_int_equal(kernel.ranges, 1);
        assert_int_equal(changed_as_said(), 1);
        answer(MOST);
}

/* Of less than a line, of one, of more; behind parts of one place and of several. */
static void only_what_is_less_than_a_line_apart_is_one_range(void **state)
{
        static const struct {
                uint32_t lens[4];
                size_t ranges;
        } rows[] = {
            {{FULL, FULL, FULL, FULL}, 1},
            {{FULL - 15, FULL, FULL, FULL}, 1}, /* 63 bytes */
            {{FULL - 16, FULL, FULL, FULL}, 2}, /* 64 */
            {{FULL - 15, FULL - 15, FULL - 15, FULL - 16}, 1},
            {{FULL - 16, FULL - 16, FULL - 16, FULL}, 4},
            {{FULL, FULL + STEP, FULL, FULL}, 1},
            {{FULL, FULL + 5 * STEP - 15, FULL, FULL}, 1},
            {{FULL, FULL + 5 * STEP - 16, FULL, FULL}, 2},
            {{FULL, FULL + 1, FULL, FULL}, 2}, /* a place of two, nearly one of them empty */
            {{FULL, PAGE - 1, FULL, FULL}, 1}, /* by the pipe: it has no place */
        };

        for (size_t row = 0; row < array_size(rows); row++) {
                for (size_t i = 0; i < 4; i++)
                        head[i] = post(A + 77 * i, rows[row].lens[i]);
                assert_int_equal(bench_requests(&bench), 4);
                for (size_t i = 0; i < 4; i++)
                        came(i, bytes + 77 * i, rows[row].lens[i]);
                assert_int_equal(kernel.calls, 1);
                assert_int_equal(kernel.ranges, rows[row].ranges);
                assert_int_equal(changed_as_said(), rows[row].ranges);
                answer(4);
                end(state);
                begin(state);
        }
}

/* What the first and the last of five have is not answered yet. The middle goes to others, who come in another order. */
static void places_of_others_are_not_touched(void **state)
{
        (void)state;
        for (size_t i = 0; i < 5; i++)
                head[i] = post(A + i, FULL);
        assert_int_equal(bench_requests(&bench), 5);
        changed_as_said();
        for (size_t i = 1; i < 4; i++)
                fake_worker_complete(&bench.worker, bench.requests[i].id, 0, NULL, 0);
        bench_run(&bench);
        memset(bench.area, 0xdd, STEP); /* all of what the two have, as if they had put something there */
        memset(bench.area + 4 * STEP, 0xdd, STEP);
        memcpy(model, bench.area, LIMIT_AREA);
        kernel.ranges = 0;
        post(A + 100, FULL + STEP);
        post(A + 200, FULL - 3);
        post(A + 300, FULL);
        assert_int_equal(bench_requests(&bench), 3);
        assert_int_equal(bench.requests[0].in_at, 2);
        assert_int_equal(bench.requests[1].in_at, 4);
        assert_int_equal(bench.requests[2].in_at, 6);
        came(0, bytes + 100, FULL + STEP);
        came(1, bytes + 200, FULL - 3);
        came(2, bytes + 300, FULL);
        assert_int_equal(changed_as_said(), 2);
        assert_int_equal(kernel.ranges, 2);
}

/* The zeros between two parts are a span, too: one span more than a call takes, just as many, and none left for the second. */
static void spans_that_are_too_many_for_a_call_make_more_calls(void **state)
{
        static const struct {
                unsigned counts[2], calls;
        } rows[] = {{{DIRECT_SPANS - 2, 1}, 1}, {{DIRECT_SPANS - 2, 2}, 2},
                    {{DIRECT_SPANS - 1, 1}, 2}, {{DIRECT_SPANS, 1}, 2},
                    {{DIRECT_SPANS + 1, 1}, 3}, {{1, DIRECT_SPANS - 2}, 1},
                    {{1, DIRECT_SPANS - 1}, 2}, {{1, 511}, 3}};
        struct model_buffer buffers[511];

        for (size_t row = 0; row < array_size(rows); row++) {
                for (size_t i = 0; i < 2; i++) {
                        unsigned n = rows[row].counts[i];
                        uint32_t piece = FULL / n;

                        for (unsigned j = 0; j < n; j++)
                                buffers[j] = (struct model_buffer){A + i * FULL + j * piece, piece, false};
                        buffers[n - 1].len = FULL - (n - 1) * piece;
                        head[i] = model_post(&bench.guest, 0, buffers, n);
                }
                assert_int_equal(bench_requests(&bench), 2);
                came(0, bytes, FULL);
                came(1, bytes + FULL, FULL);
                assert_int_equal(kernel.calls, rows[row].calls);
                answer(2);
                end(state);
                begin(state);
        }
}

/* ---- calls that end early ---- */

/* In a part, between two, and in what is between them; and where the last byte is missing. */
static void a_call_that_ends_anywhere_is_done_again(void **state)
{
        static const size_t places[] = {
            0,
            1,
            PAGE,
            FULL - 1,
            FULL,
            FULL + 1,
            STEP - 1,
            STEP,
            STEP + 1,
            2 * STEP + 7,
            5 * STEP - 1,
            5 * STEP + PAGE,
            5 * STEP + FULL - 1,
        };

        for (size_t i = 0; i < array_size(places); i++) {
                kernel.cut = 1;
                kernel.cut_at = places[i];
                for (size_t j = 0; j < 6; j++)
                        head[j] = post(A + j, FULL);
                assert_int_equal(bench_requests(&bench), 6);
                for (size_t j = 0; j < 6; j++)
                        came(j, bytes + j, FULL);
                assert_true(kernel.calls > 1);
                for (size_t j = 0; j < LIMIT_AREA - 6 * STEP; j += PAGE)
                        assert_int_equal(bench.area[6 * STEP + j], 0xee);
                answer(6);
                end(state);
                begin(state);
        }
}

/* The third of five lies next to both of its neighbours; its memory ends in its middle. */
static void a_request_whose_memory_is_gone_fails_alone(void **state)
{
        end(state); /* once more, in the test itself: the handlers of faults are to be ours */
        begin(state);
        for (size_t i = 0; i < 5; i++)
                head[i] = post(i == 2 ? CUT - PAGE : A + i, i == 2 ? FULL + STEP : FULL);
        assert_int_equal(ftruncate(bench.guest.fd, (off_t)(CUT - MODEL_LOW)), 0);
        assert_int_equal(bench_requests(&bench), 5);
        for (size_t i = 0; i < 5; i++)
                if (i != 2)
                        came(i, bytes + i, FULL);
        assert_int_equal(bench.requests[2].must_fail, 1);
        assert_int_equal(bench.requests[2].in_at, 0);
        assert_int_equal(bench.requests[2].inlined, 0);
        assert_int_equal(bench_places(&bench), 4);
        answer(5);
}

static void a_worker_without_a_page_is_at_fault(void **state)
{
        static const size_t holes[] = {0, 1, 3};

        for (size_t i = 0; i < array_size(holes); i++) {
                uint32_t pushed;

                assert_int_equal(mprotect(bench.area + holes[i] * PAGE, PAGE, PROT_NONE), 0);
                for (size_t j = 0; j < 4; j++)
                        post(A + j, FULL);
                bench_run(&bench);
                assert_int_equal(bench.faults, 1);
                assert_string_equal(bench.why, "has no memory where it said");
                assert_false(bench_next(&bench, &pushed));
                assert_int_equal(bench_places(&bench), 0);
                end(state);
                begin(state);
        }
}

/* ---- both ends ---- */

/* An area of so many pages: of requests of one place and one page each, so many get one. Then the others come first. */
static void where_the_two_meet_the_rest_goes_through_the_pipe(void **state)
{
        static const struct {
                uint32_t pages, lead;
                bool dense;
                unsigned ins, outs; /* posted in this order; this many have a place */
                unsigned got_ins, got_outs;
        } rows[] = {
            {1, 0, false, 1, 1, 1, 0},    {2, 0, false, 1, 2, 1, 1},    {8, 0, false, 5, 5, 5, 3},
            {8, 0, true, 5, 5, 5, 3},     {1, 16, true, 1, 1, 0, 1},    {2, 16, true, 2, 2, 1, 0},
            {3, 16, true, 1, 2, 1, 1},    {8, 16, true, 8, 2, 7, 0},    {8, 16, true, 6, 2, 6, 1},
            {65, 16, true, 64, 2, 64, 0}, {66, 16, true, 64, 2, 64, 1}, {1, 4095, true, 1, 1, 0, 1},
            {2, 4095, true, 2, 1, 1, 0},  {5, 4095, true, 2, 2, 2, 1},  {5, 4095, false, 1, 4, 1, 3},
        };

        for (size_t row = 0; row < array_size(rows); row++) {
                for (unsigned first = 0; first < 2; first++) {
                        const uint32_t len = rows[row].lead + PAGE;
                        unsigned ins = 0, outs = 0;

                        end(state);
                        begin_with(rows[row].pages * PAGE, rows[row].lead, rows[row].dense);
                        for (unsigned i = 0; first == 0 && i < rows[row].ins; i++, bench_run(&bench))
                                post(A, MAX(len, DIRECT_MIN));
                        for (unsigned i = 0; i < rows[row].outs; i++, bench_run(&bench))
                                post_read(PAGE);
                        for (unsigned i = 0; first == 1 && i < rows[row].ins; i++, bench_run(&bench))
                                post(A, MAX(len, DIRECT_MIN));
                        assert_int_equal(bench_requests(&bench), rows[row].ins + rows[row].outs);
                        for (size_t i = 0; i < bench.n; i++) {
                                ins += bench.requests[i].in_at > 0;
                                outs += bench.requests[i].out_at > 0;
                                if (bench.requests[i].readable > 0)
                                        came(i, bytes, len);
                        }
                        if (first == 0) {
                                assert_int_equal(ins, rows[row].got_ins);
                                assert_int_equal(outs, rows[row].got_outs);
                        } else {
                                assert_int_equal(outs, MIN(rows[row].outs, rows[row].pages));
                        }
                        assert_int_equal(bench.faults, 0);
                }
        }
}

/* Who has which byte of the area. */
struct held {
        uint64_t id;
        uint32_t from, to;    /* of its place; from == to: it has none */
        const uint8_t *bytes; /* of its readable part */
        const uint8_t *expected;
        uint32_t len;
};

static struct held held[MOST];
static size_t n_held;

static void hold_place(struct held *one, uint32_t from, uint32_t to)
{
        assert_true(from < to && to <= bench.peer.area.len);
        for (size_t i = 0; i < n_held; i++)
                assert_true(to <= held[i].from || from >= held[i].to);
        one->from = from;
        one->to = to;
}

static void hold(const struct bench_request *request)
{
        const struct control_area *area = &bench.peer.area;
        const uint32_t step = control_area_step(area), shift = control_area_shift(area);
        struct held one = {.id = request->id};

        if (request->in_at > 0) {
                uint32_t n = (shift + request->readable + step - 1) / step;

                hold_place(&one, (request->in_at - 1) * step, (request->in_at - 1 + n) * step);
                one.bytes = request->bytes;
                one.len = request->readable;
                one.expected = bytes + request->readable % 1000;
                assert_memory_equal(one.bytes, one.expected, one.len);
        }
        if (request->out_at > 0) {
                uint32_t n = (request->writable + PAGE - 1) / PAGE;

                hold_place(&one, (request->out_at - 1) * PAGE, (request->out_at - 1 + n) * PAGE);
        }
        held[n_held++] = one;
}

static void let_go(uint64_t *seed)
{
        size_t i = random_below(seed, (uint32_t)n_held);
        uint16_t used;
        uint32_t len;

        if (held[i].len > 0)
                assert_memory_equal(held[i].bytes, held[i].expected, held[i].len);
        fake_worker_complete(&bench.worker, held[i].id, 0, NULL, 0);
        bench_run(&bench);
        assert_true(model_reap(&bench.guest, 0, &used, &len));
        held[i] = held[--n_held];
}

/* Lengths around those at which something changes. */
static uint32_t some_length(uint64_t *seed)
{
        uint32_t step = control_area_step(&bench.peer.area), lead = bench.peer.area.lead;
        uint32_t len = random_below(seed, 3) * step + PAGE + lead + random_below(seed, 140) - 70;

        return MAX(len, DIRECT_MIN);
}

static void some_frame(uint64_t *seed)
{
        size_t n = 1 + random_below(seed, 6);

        for (size_t i = 0; i < n && n_held + i < MOST; i++) {
                uint32_t len = some_length(seed);

                if (random_below(seed, 4) > 0)
                        post(A + len % 1000, len);
                else
                        post_read(len);
        }
        kernel.calls = 0;
        kernel.ranges = 0;
        bench_requests(&bench);
        assert_true(kernel.calls <= 1);
        assert_int_equal(changed_as_said(), kernel.ranges);
        for (size_t i = 0; i < bench.n; i++)
                hold(&bench.requests[i]);
}

static void no_byte_is_anybodys_twice(void **state)
{
        static const struct {
                uint32_t pages, lead;
                bool dense;
        } rows[] = {{40, 16, true}, {40, 0, true},    {40, 1, true},   {40, 63, true}, {40, 64, true},
                    {40, 65, true}, {40, 4095, true}, {40, 16, false}, {40, 0, false}, {40, 4095, false},
                    {7, 16, true},  {64, 1000, true}, {2048, 16, true}};
        uint64_t seed = 5;

        for (size_t row = 0; row < array_size(rows); row++) {
                end(state);
                begin_with(rows[row].pages * PAGE, rows[row].lead, rows[row].dense);
                n_held = 0;
                for (unsigned round = 0; round < 300; round++) {
                        while (n_held > 0 && (n_held > MOST - 6 || random_below(&seed, 3) > 0))
                                let_go(&seed);
                        some_frame(&seed);
                }
                while (n_held > 0)
                        let_go(&seed);
                assert_int_equal(bench_places(&bench), 0);
                assert_int_equal(bench.lane.direct.ins.end + bench.lane.direct.outs.end, 0);
                assert_int_equal(bench.faults, 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(parts_of_a_page_and_their_lead_are_one_range, begin, end),
            cmocka_unit_test_setup_teardown(only_what_is_less_than_a_line_apart_is_one_range, begin, end),
            cmocka_unit_test_setup_teardown(places_of_others_are_not_touched, begin, end),
            cmocka_unit_test_setup_teardown(spans_that_are_too_many_for_a_call_make_more_calls, begin, end),
            cmocka_unit_test_setup_teardown(a_call_that_ends_anywhere_is_done_again, begin, end),
            cmocka_unit_test_setup_teardown(a_request_whose_memory_is_gone_fails_alone, begin, end),
            cmocka_unit_test_setup_teardown(a_worker_without_a_page_is_at_fault, begin, end),
            cmocka_unit_test_setup_teardown(where_the_two_meet_the_rest_goes_through_the_pipe, begin, end),
            cmocka_unit_test_setup_teardown(no_byte_is_anybodys_twice, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
