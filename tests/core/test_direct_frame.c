/* Direct copy of a whole frame: how many system calls that takes, and what becomes of its requests when one ends early or is
 * refused. What stands between the lane and the kernel counts the calls, and makes them end where a test wants it.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
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

#define K     UINT32_C(1024)
#define M     (K * K)
#define A     (MODEL_BUFFERS)
#define CUT   (MODEL_HIGH + 2 * M) /* where the tests let the file of the guest's memory end */
#define PAGE  LIMIT_AREA_PAGE
#define LEAD  16u
#define FRAME LIMIT_POP_BATCH

static struct lane_bench bench;
static uint8_t bytes[M];
static uint16_t head[FRAME];

/* ---- what stands between ---- */

static struct {
        unsigned calls;
        size_t most;      /* ranges of the worker's in one of them */
        unsigned refused; /* this one (from 1), with that error */
        int error;
        unsigned cut; /* this one ends after so many bytes */
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

        kernel.calls++;
        kernel.most = MAX(kernel.most, (size_t)n_remote);
        if (kernel.calls == kernel.refused) {
                errno = kernel.error;
                return -1;
        }
        if (kernel.calls == kernel.cut) {
                n_local = shorten(local, n_local, kernel.cut_at, shorter);
                local = shorter;
        }
        return __real_process_vm_writev(pid, local, n_local, remote, n_remote, flags);
}

/* ---- frames ---- */

static void begin_with(uint32_t credit_bytes, enum replay_class replay)
{
        struct bench_options options = bench_defaults;

        memset(&kernel, 0, sizeof(kernel));
        options.ring_size = 512;
        options.max_segments = 512;
        options.area_len = LIMIT_AREA;
        options.area_lead = LEAD;
        options.area_out = true;
        options.credit_bytes = credit_bytes;
        options.replay = replay;
        bench_init(&bench, &options);
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)(i * 7 + i / 251);
        model_put(&bench.guest, A, bytes, sizeof(bytes));
}

static int begin(void **state)
{
        (void)state;
        begin_with(M, REPLAY_IDEMPOTENT);
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
        return model_post(&bench.guest, 0, &(struct model_buffer){at, len, false}, 1);
}

/* A request that has a place for its answer, too. */
static uint16_t post_both(uint64_t at, uint32_t len)
{
        const struct model_buffer both[] = {{at, len, false}, {A + sizeof(bytes), 2 * DIRECT_MIN, true}};

        return model_post(&bench.guest, 0, both, array_size(both));
}

/* Requests that begin one byte apart: none is like another. */
static void post_many(size_t n, uint32_t len)
{
        for (size_t i = 0; i < n; i++)
                head[i] = post(A + i, len);
}

/* This request has come whole: with a place, or through the pipe. */
static void came(size_t i, bool placed, const uint8_t *expected, uint32_t len)
{
        const struct bench_request *request = &bench.requests[i];

        assert_true(i < bench.n);
        assert_int_equal(request->in_at > 0, placed);
        assert_int_equal(request->must_fail, 0);
        assert_int_equal(request->attempt, 0);
        assert_int_equal(request->readable, len);
        assert_int_equal(request->inlined, len);
        assert_memory_equal(request->bytes, expected, len);
}

static void came_many(size_t n, bool placed, uint32_t len)
{
        assert_int_equal(bench_requests(&bench), n);
        for (size_t i = 0; i < n; i++)
                came(i, placed, bytes + i, len);
}

/* All that have come are answered: each goes back to the guest, once, and nothing is kept. */
static void answer(size_t n)
{
        for (size_t i = 0; i < n; i++)
                fake_worker_complete(&bench.worker, bench.requests[i].id, 0, NULL, 0);
        bench_run(&bench);
        for (size_t i = 0; i < n; i++)
                bench_used_now(&bench, 0, head[i], 0);
        bench_not_used(&bench, 0);
        assert_int_equal(bench.lane.used_requests, 0);
        assert_int_equal(bench.lane.used_bytes, 0);
        assert_int_equal(bench.lane.n_unsent, 0);
        assert_int_equal(bench.lane.n_aging, 0);
        assert_int_equal(bench.lane.quota.granted.frames, 0);
        assert_int_equal(bench.lane.quota.granted.bytes, 0);
        assert_int_equal(bench_places(&bench), 0);
}

/* ---- calls ---- */

static void one_call_copies_what_a_frame_sends(void **state)
{
        (void)state;
        post_many(DIRECT_RANGES, DIRECT_MIN);
        came_many(DIRECT_RANGES, true, DIRECT_MIN);
        assert_int_equal(kernel.calls, 1);
        assert_int_equal(kernel.most, DIRECT_RANGES);
        assert_int_equal(bench.lane.used_bytes, 0);
        answer(DIRECT_RANGES);
}

static void a_call_names_no_more_ranges_than_the_filter_lets_through(void **state)
{
        (void)state;
        post_many(FRAME, DIRECT_MIN);
        came_many(FRAME, true, DIRECT_MIN);
        assert_int_equal(kernel.calls, 2);
        assert_int_equal(kernel.most, DIRECT_RANGES);
        answer(FRAME);
}

/* One request has more spans than a call takes, or several have, or as many; and all must lie where they belong. */
static void spans_that_are_too_many_for_a_call_make_more_calls(void **state)
{
        static const struct {
                size_t counts[3];
                unsigned calls;
        } rows[] = {{{100, 100, 56}, 1},           {{100, 100, 57}, 2}, {{DIRECT_SPANS, 1, 1}, 2},
                    {{DIRECT_SPANS + 1, 1, 1}, 3}, {{1, 300, 100}, 3},  {{1, 1, 500}, 2}};
        struct model_buffer buffers[500];

        (void)state;
        for (size_t row = 0; row < array_size(rows); row++) {
                uint32_t from = 0, len[3];

                kernel.calls = 0;
                for (size_t i = 0; i < 3; i++) {
                        uint32_t piece = DIRECT_MIN / (uint32_t)rows[row].counts[i] + 1;

                        len[i] = 0;
                        for (size_t j = 0; j < rows[row].counts[i]; j++, len[i] += piece)
                                buffers[j] = (struct model_buffer){A + from + len[i], piece, false};
                        head[i] = model_post(&bench.guest, 0, buffers, (unsigned)rows[row].counts[i]);
                        from += len[i];
                }
                assert_int_equal(bench_requests(&bench), 3);
                from = 0;
                for (size_t i = 0; i < 3; from += len[i++])
                        came(i, true, bytes + from, len[i]);
                assert_int_equal(kernel.calls, rows[row].calls);
                answer(3);
        }
}

static void short_ones_of_a_frame_go_in_its_payload(void **state)
{
        const uint32_t lens[] = {DIRECT_MIN - 1, DIRECT_MIN, 16, 3 * DIRECT_MIN, DIRECT_MIN + 1, 1};
        uint32_t pushed, short_bytes = 0;

        (void)state;
        for (size_t i = 0; i < array_size(lens); i++)
                head[i] = post(A + i, lens[i]);
        bench_run(&bench);
        assert_true(bench_next(&bench, &pushed));
        assert_int_equal(bench.n, array_size(lens));
        for (size_t i = 0; i < array_size(lens); i++) {
                came(i, lens[i] >= DIRECT_MIN, bytes + i, lens[i]);
                short_bytes += lens[i] < DIRECT_MIN ? lens[i] : 0;
        }
        assert_int_equal(kernel.calls, 1);
        assert_int_equal(bench.lane.used_bytes, short_bytes);
        answer(array_size(lens));
}

/* ---- calls that end early ---- */

static void a_call_that_ends_anywhere_is_taken_up(void **state)
{
        static const size_t places[] = {
            0, 1, DIRECT_MIN, DIRECT_MIN + 1, 3 * DIRECT_MIN + 5, 6 * DIRECT_MIN - 1,
        };

        (void)state;
        for (size_t i = 0; i < array_size(places); i++) {
                kernel.calls = 0;
                kernel.cut = 1;
                kernel.cut_at = places[i];
                memset(bench.area, 0, 64 * PAGE);
                post_many(6, DIRECT_MIN);
                came_many(6, true, DIRECT_MIN);
                assert_true(kernel.calls > 1);
                assert_int_equal(bench.faults, 0);
                answer(6);
        }
}

/* The third of five. The guest takes the file's end away under it. */
static void a_request_whose_memory_is_gone_fails_alone(void **state)
{
        const struct bench_request *request = &bench.requests[2];

        end(state); /* once more, in the test itself: the handlers of faults are to be ours */
        begin(state);
        post_many(2, 2 * DIRECT_MIN);
        head[2] = post_both(CUT - DIRECT_MIN, 2 * DIRECT_MIN);
        head[3] = post(A + 3, 2 * DIRECT_MIN);
        head[4] = post(A + 4, 2 * DIRECT_MIN);
        assert_int_equal(ftruncate(bench.guest.fd, (off_t)(CUT - MODEL_LOW)), 0);
        assert_int_equal(bench_requests(&bench), 5);
        for (size_t i = 0; i < 5; i++)
                if (i != 2)
                        came(i, true, bytes + i, 2 * DIRECT_MIN);
        assert_int_equal(request->must_fail, 1);
        assert_int_equal(request->in_at, 0);
        assert_int_equal(request->out_at, 0);
        assert_int_equal(request->inlined, 0);
        assert_int_equal(bench_places(&bench), 4 * 3); /* one for the lead */
        assert_int_equal(bench.faults, 0);
        answer(5);
}

/* They wait for the next worker, and then a part of the second is not in the table of regions any more. */
static void a_request_that_the_table_has_left_fails_alone(void **state)
{
        struct guest_memory *low = model_guest_snapshot(&bench.guest, false);

        (void)state;
        head[0] = post(A, 2 * DIRECT_MIN);
        head[1] = post(MODEL_HIGH - DIRECT_MIN, 2 * DIRECT_MIN);
        head[2] = post(A + 2, 2 * DIRECT_MIN);
        assert_int_equal(bench_requests(&bench), 3);
        bench_die(&bench);
        lane_set_memory(&bench.lane, low);
        guest_memory_unref(low);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 3);
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(bench.requests[i].must_fail, i == 1);
                assert_int_equal(bench.requests[i].in_at > 0, i != 1);
                assert_int_equal(bench.requests[i].inlined, i == 1 ? 0 : 2 * DIRECT_MIN);
                if (i != 1)
                        assert_memory_equal(bench.requests[i].bytes, bytes + i, 2 * DIRECT_MIN);
        }
        answer(3);
}

/* None of them has been sent: the successor gets all for the first time, though each may be sent but once. */
static void a_worker_without_a_page_has_seen_nothing_of_the_frame(void **state)
{
        uint32_t pushed;

        end(state);
        begin_with(M, REPLAY_AT_MOST_ONCE);
        assert_int_equal(mprotect(bench.area + 5 * PAGE, PAGE, PROT_NONE), 0); /* of the third place */
        head[0] = post_both(A, 16);
        for (size_t i = 1; i < 6; i++)
                head[i] = post(A + i, DIRECT_MIN + LEAD);
        bench_run(&bench);
        assert_int_equal(bench.faults, 1);
        assert_string_equal(bench.why, "has no memory where it said");
        assert_false(bench_next(&bench, &pushed));
        assert_false(lane_tx_busy(&bench.lane.tx));
        assert_int_equal(bench.lane.n_unsent, 6);
        assert_int_equal(bench.lane.used_requests + bench.lane.used_bytes + bench.lane.n_aging, 0);
        assert_int_equal(bench_places(&bench), 0);
        bench_die(&bench);
        assert_int_equal(mprotect(bench.area + 5 * PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 6);
        came(0, false, bytes, 16);
        assert_int_equal(bench.requests[0].out_at, LIMIT_AREA / PAGE - 1); /* the last two pages */
        for (size_t i = 1; i < 6; i++)
                came(i, true, bytes + i, DIRECT_MIN + LEAD);
        answer(6);
}

/* ---- calls that are refused ---- */

/* The first or the second of the two that such a frame takes; and bytes in the frame's payload before and behind. */
static void a_refused_frame_goes_through_the_pipe_in_order(void **state)
{
        static const int errors[] = {ESRCH, EPERM};

        for (unsigned i = 0; i < 4; i++) {
                kernel.refused = 1 + i / 2;
                kernel.error = errors[i % 2];
                post_many(FRAME, DIRECT_MIN);
                came_many(FRAME, false, DIRECT_MIN);
                assert_int_equal(kernel.calls, kernel.refused);
                assert_false(bench.lane.direct.open);
                assert_int_equal(bench_places(&bench), 0);
                assert_int_equal(bench.lane.used_bytes, FRAME * DIRECT_MIN);
                assert_int_equal(bench.lane.used_requests, FRAME);
                assert_int_equal(bench.lane.n_aging, FRAME);
                answer(FRAME);
                post_many(3, 2 * DIRECT_MIN); /* and nobody asks the kernel again */
                came_many(3, false, 2 * DIRECT_MIN);
                assert_int_equal(kernel.calls, kernel.refused);
                answer(3);
                assert_int_equal(bench.faults, 0);
                end(state);
                begin(state);
        }
}

/* Places cost no credit of bytes, the pipe does. */
static void what_the_pipe_has_no_credit_for_waits(void **state)
{
        uint64_t id[FRAME];
        size_t n = 0;

        end(state);
        begin_with(16 * DIRECT_MIN, REPLAY_IDEMPOTENT);
        kernel.refused = 1;
        kernel.error = ESRCH;
        post_many(FRAME, DIRECT_MIN);
        while (n < FRAME) {
                assert_int_equal(bench_requests(&bench), 16);
                for (size_t i = 0; i < 16; i++, n++) {
                        came(i, false, bytes + n, DIRECT_MIN);
                        id[n] = bench.requests[i].id;
                }
                for (size_t i = n - 16; i < n; i++)
                        fake_worker_complete(&bench.worker, id[i], 0, NULL, 0);
                fake_worker_pump(&bench.worker);
                lane_readable(&bench.lane);
                for (size_t i = n - 16; i < n; i++)
                        bench_used_now(&bench, 0, head[i], 0);
        }
        assert_int_equal(bench_requests(&bench), 0);
        answer(0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(one_call_copies_what_a_frame_sends, begin, end),
            cmocka_unit_test_setup_teardown(a_call_names_no_more_ranges_than_the_filter_lets_through, begin,
                                            end),
            cmocka_unit_test_setup_teardown(spans_that_are_too_many_for_a_call_make_more_calls, begin, end),
            cmocka_unit_test_setup_teardown(short_ones_of_a_frame_go_in_its_payload, begin, end),
            cmocka_unit_test_setup_teardown(a_call_that_ends_anywhere_is_taken_up, begin, end),
            cmocka_unit_test_setup_teardown(a_request_whose_memory_is_gone_fails_alone, begin, end),
            cmocka_unit_test_setup_teardown(a_request_that_the_table_has_left_fails_alone, begin, end),
            cmocka_unit_test_setup_teardown(a_worker_without_a_page_has_seen_nothing_of_the_frame, begin,
                                            end),
            cmocka_unit_test_setup_teardown(a_refused_frame_goes_through_the_pipe_in_order, begin, end),
            cmocka_unit_test_setup_teardown(what_the_pipe_has_no_credit_for_waits, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
