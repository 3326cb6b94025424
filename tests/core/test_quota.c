/* Quotas as arithmetic: what a request is worth, what may be saved, and buckets that fill by a given time.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "tests/core/model_guest.h"

/* ---- lanes ---- */

static bool spend(struct quota_lane *quota, uint64_t frames, uint64_t bytes)
{
        return quota_lane_spend(quota, &(struct quota_work){frames, bytes});
}

static void a_request_is_worth_its_size(void **state)
{
        static const struct {
                uint32_t readable, writable;
                uint64_t frames, bytes;
        } rows[] = {
            {0, 0, 16, 16384},
            {0, 1, 16, 16388},
            {16, 4079, 16, 16384 + 4 * 4095},
            {16, 4080, 17, 16384 + 4 * 4096},
            {4096, 4096, 18, 16384 + 4 * 8192},
            {LIMIT_CHAIN_BYTES, 0, 16 + 8192, 16384 + 4ull * (32u << 20)},
            {UINT32_MAX, UINT32_MAX, 16 + 2097151, 16384 + 8ull * UINT32_MAX},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                struct quota_work grant = quota_grant(rows[i].readable, rows[i].writable);

                assert_int_equal(grant.frames, rows[i].frames);
                assert_int_equal(grant.bytes, rows[i].bytes);
        }
}

static void without_a_request_nothing_can_be_spent(void **state)
{
        struct quota_lane quota;

        (void)state;
        quota_lane_reset(&quota);
        assert_false(spend(&quota, 1, 0));
        assert_false(spend(&quota, 0, 1));
        assert_true(spend(&quota, 0, 0));
}

static void each_part_has_its_own_edge_and_a_refusal_takes_nothing(void **state)
{
        const struct quota_work grant = quota_grant(100, 200);

        (void)state;
        for (unsigned part = 0; part < 2; part++) {
                struct quota_lane quota = {0};

                quota_lane_earn(&quota, 100, 200);
                assert_false(spend(&quota, grant.frames + (part == 0), grant.bytes + (part == 1)));
                assert_true(spend(&quota, grant.frames - 1, grant.bytes - 1));
                assert_true(spend(&quota, 1, 1));
                assert_false(spend(&quota, part == 0, part == 1));
        }
}

static void an_honest_past_is_kept_up_to_its_limit_only(void **state)
{
        struct quota_lane quota = {0};

        (void)state;
        for (unsigned i = 0; i < 100000; i++) {
                quota_lane_earn(&quota, 16, 4096);
                quota_lane_settle(&quota, 16, 4096);
        }
        assert_int_equal(quota.left.frames, LIMIT_QUOTA_SAVED_FRAMES);
        assert_int_equal(quota.left.bytes, LIMIT_QUOTA_SAVED_BYTES);
        assert_int_equal(quota.granted.frames, 0);
        assert_int_equal(quota.granted.bytes, 0);
        quota_lane_reset(&quota);
        assert_false(spend(&quota, 1, 1));
}

/* What of a grant has not been used goes when its request goes, but never what others still need. */
static void an_answer_takes_nothing_from_the_others(void **state)
{
        struct quota_lane quota = {0};
        struct quota_work grant = quota_grant(0, LIMIT_CHAIN_BYTES);

        (void)state;
        for (unsigned i = 0; i < 3; i++)
                quota_lane_earn(&quota, 0, LIMIT_CHAIN_BYTES);
        quota_lane_settle(&quota, 0, LIMIT_CHAIN_BYTES);
        quota_lane_settle(&quota, 0, LIMIT_CHAIN_BYTES);
        assert_true(spend(&quota, grant.frames, grant.bytes));
}

#define HELD 40u

/* The promise: who spends on each request no more than it is worth is never refused. */
static void whoever_keeps_to_each_grant_is_never_refused(void **state)
{
        struct {
                uint32_t readable, writable;
                struct quota_work left;
        } held[HELD];
        struct quota_lane quota = {0};
        uint64_t seed = 7;
        unsigned n = 0;

        (void)state;
        for (unsigned step = 0; step < 200000; step++) {
                unsigned i = n > 0 ? random_below(&seed, n) : 0;

                if (n < HELD && random_below(&seed, 3) == 0) {
                        uint32_t max = 1u << random_below(&seed, 25);

                        held[n].readable = random_below(&seed, max);
                        held[n].writable = random_below(&seed, max);
                        held[n].left = quota_grant(held[n].readable, held[n].writable);
                        quota_lane_earn(&quota, held[n].readable, held[n].writable);
                        n++;
                } else if (n > 0 && random_below(&seed, 2) == 0) {
                        /* sometimes all of it at once */
                        unsigned part = random_below(&seed, 4) == 0 ? 1 : 1 + random_below(&seed, 100);
                        struct quota_work cost = {held[i].left.frames / part, held[i].left.bytes / part};

                        assert_true(quota_lane_spend(&quota, &cost));
                        held[i].left.frames -= cost.frames;
                        held[i].left.bytes -= cost.bytes;
                } else if (n > 0) {
                        quota_lane_settle(&quota, held[i].readable, held[i].writable);
                        held[i] = held[--n];
                }
                assert_true(quota.left.frames <= quota.granted.frames + LIMIT_QUOTA_SAVED_FRAMES);
                assert_true(quota.left.bytes <= quota.granted.bytes + LIMIT_QUOTA_SAVED_BYTES);
        }
}

static void whole_turns_are_free_and_short_ones_have_an_average(void **state)
{
        struct quota_lane quota;

        (void)state;
        quota_lane_reset(&quota);
        for (unsigned i = 0; i < 100000; i++)
                assert_true(quota_lane_turn(&quota, 1, true));
        for (unsigned i = 0; i < 100000; i++)
                assert_true(quota_lane_turn(&quota, LIMIT_QUOTA_TURN, false));
        /* each single byte falls short by the rest of a good turn */
        for (unsigned i = 0; i < LIMIT_QUOTA_SHORT_TURNS; i++)
                assert_true(quota_lane_turn(&quota, 1, false));
        assert_false(quota_lane_turn(&quota, 1, false));
        assert_true(quota_lane_turn(&quota, LIMIT_QUOTA_TURN - LIMIT_QUOTA_SHORT_TURNS, false));
        assert_false(quota_lane_turn(&quota, LIMIT_QUOTA_TURN - 1, false));
        assert_true(quota_lane_turn(&quota, LIMIT_QUOTA_TURN, false));
        /* what large turns bring is kept up to the limit */
        assert_true(quota_lane_turn(&quota, UINT64_C(1) << 40, false));
        assert_int_equal(quota.turns, LIMIT_QUOTA_SHORT_TURNS * LIMIT_QUOTA_TURN);
}

/* ---- buckets ---- */

/* At each row: how many messages pass at this time, one after another. */
static void a_bucket_fills_by_time_and_is_never_fuller_than_full(void **state)
{
        static const struct {
                uint64_t now_ms;
                unsigned pass;
        } rows[] = {
            {5000, 10},       /* full at the start */
            {5000, 0},        /* the same moment gives nothing */
            {5249, 0},        /* 4 a second: one in 250 ms, */
            {5250, 1},        /* ... to the millisecond */
            {5250, 0},        /* */
            {5999, 2},        /* two and nearly three */
            {6000, 1},        /* ... and the rest was not lost */
            {4000, 0},        /* a clock that goes backwards gives nothing, */
            {6249, 0},        /* ... neither now */
            {6250, 1},        /* ... nor later */
            {7000, 3},        /* */
            {9499, 9},        /* 2499 ms: 9.996 */
            {9500, 1},        /* */
            {12000, 10},      /* 2500 ms: just full */
            {1u << 30, 10},   /* a long time: full and no more */
            {UINT64_MAX, 10}, /* the end of time */
            {UINT64_MAX, 0},
        };
        struct quota_bucket bucket = quota_bucket_make(10, 4, 5000);

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                for (unsigned n = 0; n < rows[i].pass; n++)
                        if (!quota_bucket_take(&bucket, rows[i].now_ms))
                                fail_msg("row %zu: only %u", i, n);
                if (quota_bucket_take(&bucket, rows[i].now_ms))
                        fail_msg("row %zu: more than %u", i, rows[i].pass);
        }
}

static void a_bucket_without_rate_or_burst_gives_what_it_has(void **state)
{
        struct quota_bucket never = quota_bucket_make(0, 1000, 0), once = quota_bucket_make(2, 0, 0);

        (void)state;
        assert_false(quota_bucket_take(&never, UINT64_MAX));
        assert_true(quota_bucket_take(&once, 0));
        assert_true(quota_bucket_take(&once, 1));
        assert_false(quota_bucket_take(&once, UINT64_MAX));
}

/* ---- the control channel ---- */

static unsigned passes(struct quota_control *quota, enum control_kind_to_broker kind, uint64_t now_ms,
                       enum quota_verdict *ret_end)
{
        unsigned n = 0;

        while (n < 100000 && (*ret_end = quota_control_judge(quota, kind, now_ms)) == QUOTA_PASS)
                n++;
        return n;
}

static void each_kind_has_its_edge(void **state)
{
        static const struct {
                enum control_kind_to_broker kind;
                unsigned burst, second; /* at once; after one second more */
                enum quota_verdict end;
        } rows[] = {
            {CONTROL_LOG, LIMIT_CONTROL_LOG_BURST, LIMIT_CONTROL_LOG_RATE, QUOTA_DROP},
            {CONTROL_CONFIG_SPACE, LIMIT_CONTROL_CONFIG_BURST, LIMIT_CONTROL_CONFIG_RATE, QUOTA_KILL},
            {CONTROL_STATS, LIMIT_CONTROL_BURST, LIMIT_CONTROL_RATE, QUOTA_KILL},
            {CONTROL_PUT_STATE, LIMIT_CONTROL_BURST, LIMIT_CONTROL_RATE, QUOTA_KILL},
            {CONTROL_IOMMU_MAP, LIMIT_CONTROL_IOMMU_BURST, LIMIT_CONTROL_IOMMU_BURST, QUOTA_KILL},
            {CONTROL_IOMMU_UNMAP, LIMIT_CONTROL_IOMMU_BURST, LIMIT_CONTROL_IOMMU_BURST, QUOTA_KILL},
            {CONTROL_HELLO, LIMIT_CONTROL_BURST, LIMIT_CONTROL_RATE, QUOTA_KILL},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                struct quota_control quota;
                enum quota_verdict end;

                quota_control_init(&quota, 1000);
                assert_int_equal(passes(&quota, rows[i].kind, 1000, &end), rows[i].burst);
                assert_int_equal(end, rows[i].end);
                assert_int_equal(passes(&quota, rows[i].kind, 2000, &end), rows[i].second);
                assert_int_equal(end, rows[i].end);
        }
}

static void answers_are_free(void **state)
{
        struct quota_control quota;
        enum quota_verdict end;

        (void)state;
        quota_control_init(&quota, 0);
        assert_int_equal(passes(&quota, CONTROL_STATS, 0, &end), LIMIT_CONTROL_BURST);
        assert_int_equal(passes(&quota, CONTROL_DONE, 0, &end), 100000);
}

static void half_of_a_burst_is_low(void **state)
{
        struct quota_control quota;

        (void)state;
        quota_control_init(&quota, 0);
        for (unsigned i = 0; i < LIMIT_CONTROL_BURST / 2; i++)
                assert_int_equal(quota_control_judge(&quota, CONTROL_SHMEM_MAP, 0), QUOTA_PASS);
        assert_false(quota_control_is_low(&quota, CONTROL_SHMEM_MAP));
        assert_int_equal(quota_control_judge(&quota, CONTROL_SHMEM_MAP, 0), QUOTA_PASS);
        assert_true(quota_control_is_low(&quota, CONTROL_SHMEM_UNMAP));
        /* Who waits LIMIT_CONTROL_REST_MS after each from then on is never refused. */
        for (uint64_t now_ms = 0; now_ms < 100000; now_ms += LIMIT_CONTROL_REST_MS)
                assert_int_equal(quota_control_judge(&quota, CONTROL_SHMEM_UNMAP, now_ms), QUOTA_PASS);
}

/* What an IOMMU says counts by itself; and who says LIMIT_IOMMU_PENDING of it after each rest is never refused. */
static void an_iommu_s_words_have_a_measure_of_their_own(void **state)
{
        struct quota_control quota;

        (void)state;
        quota_control_init(&quota, 0);
        for (unsigned i = 0; i < LIMIT_CONTROL_IOMMU_BURST / 2; i++)
                assert_int_equal(quota_control_judge(&quota, CONTROL_IOMMU_MAP, 0), QUOTA_PASS);
        assert_false(quota_control_is_low(&quota, CONTROL_IOMMU_MAP));
        assert_int_equal(quota_control_judge(&quota, CONTROL_IOMMU_UNMAP, 0), QUOTA_PASS);
        assert_true(quota_control_is_low(&quota, CONTROL_IOMMU_UNMAP));
        assert_false(quota_control_is_low(&quota, CONTROL_SHMEM_MAP));
        for (uint64_t now_ms = 0; now_ms < 10000; now_ms += LIMIT_CONTROL_REST_MS)
                for (unsigned i = 0; i < LIMIT_IOMMU_PENDING; i++)
                        assert_int_equal(quota_control_judge(&quota, CONTROL_IOMMU_MAP, now_ms), QUOTA_PASS);
        for (unsigned i = 0; i < LIMIT_CONTROL_BURST; i++)
                assert_int_equal(quota_control_judge(&quota, CONTROL_STATS, 10000), QUOTA_PASS);
}

static void dropped_logs_are_counted_once_and_too_many_kill(void **state)
{
        struct quota_control quota;

        (void)state;
        quota_control_init(&quota, 0);
        for (unsigned i = 0; i < LIMIT_CONTROL_BURST; i++)
                assert_int_equal(quota_control_judge(&quota, CONTROL_LOG, 0),
                                 i < LIMIT_CONTROL_LOG_BURST ? QUOTA_PASS : QUOTA_DROP);
        assert_int_equal(quota_control_judge(&quota, CONTROL_LOG, 0), QUOTA_KILL);
        assert_int_equal(quota_control_take_dropped(&quota), LIMIT_CONTROL_BURST - LIMIT_CONTROL_LOG_BURST);
        assert_int_equal(quota_control_take_dropped(&quota), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_request_is_worth_its_size),
            cmocka_unit_test(without_a_request_nothing_can_be_spent),
            cmocka_unit_test(each_part_has_its_own_edge_and_a_refusal_takes_nothing),
            cmocka_unit_test(an_honest_past_is_kept_up_to_its_limit_only),
            cmocka_unit_test(an_answer_takes_nothing_from_the_others),
            cmocka_unit_test(whoever_keeps_to_each_grant_is_never_refused),
            cmocka_unit_test(whole_turns_are_free_and_short_ones_have_an_average),
            cmocka_unit_test(a_bucket_fills_by_time_and_is_never_fuller_than_full),
            cmocka_unit_test(a_bucket_without_rate_or_burst_gives_what_it_has),
            cmocka_unit_test(each_kind_has_its_edge),
            cmocka_unit_test(answers_are_free),
            cmocka_unit_test(half_of_a_burst_is_low),
            cmocka_unit_test(an_iommu_s_words_have_a_measure_of_their_own),
            cmocka_unit_test(dropped_logs_are_counted_once_and_too_many_kill),
        };

        return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
