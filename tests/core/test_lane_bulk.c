/* Long answers, one after another, and who is told when. TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/core/lane_bench.h"

#define N     8u
#define LONG  (LANE_RX_FIRST + 50000u)
#define A     (MODEL_BUFFERS)
#define AT(i) (MODEL_HIGH + (uint64_t)(i) * (LONG + 4096))

static struct lane_bench bench;
static uint16_t heads[N];

static uint8_t *pattern(size_t len, uint64_t seed)
{
        uint8_t *bytes = malloc(len);

        assert_non_null(bytes);
        for (size_t i = 0; i < len; i++)
                bytes[i] = (uint8_t)random_next(&seed);
        return bytes;
}

/* The worker holds n reads of `len` bytes. */
static void hold(unsigned n, uint32_t len)
{
        bench_init(&bench, &bench_defaults);
        for (unsigned i = 0; i < n; i++) {
                const struct model_buffer buffers[] = {{A, 16, false}, {AT(i), len, true}};

                model_fill(&bench.guest, AT(i), len + 1, 0xcc);
                heads[i] = model_post(&bench.guest, 0, buffers, 2);
        }
        assert_int_equal(bench_requests(&bench), n);
}

static void told_after(unsigned completions, unsigned signals)
{
        for (unsigned i = 0; i < completions; i++)
                fake_worker_complete(&bench.worker, bench.requests[i].id, 0, "xy", 2);
        bench_run(&bench);
        for (unsigned i = 0; i < completions; i++)
                bench_used_now(&bench, 0, heads[i], 2);
        assert_int_equal(model_signals(&bench.guest, 0), signals);
}

/* Lengths at the edges of what is read ahead, in one stream that is cut anywhere. */
static void long_frames_behind_each_other_keep_every_byte(void **state)
{
        static const size_t steps[] = {0, 700, 4096, LANE_RX_FIRST, LANE_RX_FIRST + 1, LONG, LONG + 100};
        static const uint32_t lens[N] = {
            LONG, LANE_RX_FIRST_LONG - 40, LANE_RX_FIRST + 1, 1, LANE_RX_FIRST_LONG, LONG - 1, LANE_RX_FIRST,
            3};

        (void)state;
        for (size_t s = 0; s < array_size(steps); s++) {
                hold(N, LONG);
                bench.worker.step = steps[s];
                bench.may_drip = true;
                for (unsigned i = 0; i < N; i++) {
                        uint8_t *bytes = pattern(lens[i], i + 1);

                        fake_worker_complete(&bench.worker, bench.requests[i].id, 0, bytes, lens[i]);
                        free(bytes);
                }
                bench_run(&bench);
                for (unsigned i = 0; i < N; i++) {
                        uint8_t *bytes = pattern(lens[i], i + 1);

                        bench_used_now(&bench, 0, heads[i], lens[i]);
                        assert_memory_equal(model_at(&bench.guest, AT(i)), bytes, lens[i]);
                        assert_true(model_is(&bench.guest, AT(i) + lens[i], 1, 0xcc));
                        free(bytes);
                }
                assert_int_equal(bench.faults, 0);
                bench_done(&bench);
        }
}

/* What is read ahead of a frame is judged as if it had come alone. */
static void a_bad_frame_behind_a_long_one_ends_the_worker_after_it(void **state)
{
        uint8_t *bytes = pattern(LONG, 9), bad[FRAME_HEAD_BYTES];

        (void)state;
        hold(2, LONG);
        frame_head_make(&(struct frame_head){.header_len = 1, .payload_len = LIMIT_FRAME_PAYLOAD}, bad);
        bad[7] = 0xff; /* a payload over its limit */
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, bytes, LONG);
        fake_worker_send_bytes(&bench.worker, bad, sizeof(bad));
        bench_run(&bench);
        bench_used_now(&bench, 0, heads[0], LONG);
        bench_not_used(&bench, 0);
        assert_memory_equal(model_at(&bench.guest, AT(0)), bytes, LONG);
        assert_int_equal(model_signals(&bench.guest, 0), 1);
        assert_int_equal(bench.faults, 1);
        free(bytes);
        bench_done(&bench);
}

static void completions_that_come_together_are_told_together(void **state)
{
        (void)state;
        hold(N, 2);
        told_after(4, 1); /* four are left with the worker */
        bench_done(&bench);
}

static void no_more_than_four_wait_to_be_told(void **state)
{
        const struct lane_stats *stats = &bench.lane.stats;

        (void)state;
        hold(N, 2);
        told_after(N, 1 + 4); /* four, and then the last four one by one: the worker has little left to do */
        assert_int_equal(atomic_load(&stats->outstanding), 0);
        bench_done(&bench);
}

static void with_little_under_way_each_is_told_at_once(void **state)
{
        (void)state;
        hold(4, 2);
        told_after(4, 4);
        bench_done(&bench);
}

/* The rest of the next frame may be long in coming. */
static void nobody_waits_for_a_frame_that_does_not_come(void **state)
{
        static const uint8_t begun[FRAME_HEAD_BYTES + 1] = {20, 0, 0, 0, 2, 0, 0, 0, 18};

        (void)state;
        hold(N, 2);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, "xy", 2);
        fake_worker_send_bytes(&bench.worker, begun, sizeof(begun));
        bench.may_drip = true;
        bench_run(&bench);
        bench_used_now(&bench, 0, heads[0], 2);
        assert_int_equal(model_signals(&bench.guest, 0), 1);
        bench_done(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(long_frames_behind_each_other_keep_every_byte),
            cmocka_unit_test(a_bad_frame_behind_a_long_one_ends_the_worker_after_it),
            cmocka_unit_test(completions_that_come_together_are_told_together),
            cmocka_unit_test(no_more_than_four_wait_to_be_told),
            cmocka_unit_test(with_little_under_way_each_is_told_at_once),
            cmocka_unit_test(nobody_waits_for_a_frame_that_does_not_come),
        };

        return cmocka_run_group_tests_name("lane_bulk", tests, NULL, NULL);
}
