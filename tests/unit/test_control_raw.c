/* What a worker that walks its own rings is told: a window, and where a ring is. Make, check, and what the check refuses.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/control.h"

#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/device/sample.h"
#include "tests/unit/judged.h"
#include "tests/unit/unit_arena.h"

static uint8_t buf[LIMIT_FRAME_HEADER];

static int to_worker(const struct control_to_worker *message, struct control_to_worker *ret)
{
        ssize_t n = control_make_to_worker(message, buf, sizeof(buf));

        assert_true(n > 0);
        return control_check_to_worker(&arena, buf, (size_t)n, ret);
}

static void refused(const struct control_to_worker *message)
{
        static struct control_to_worker got;

        assert_int_equal(to_worker(message, &got), -EPROTO);
}

static struct control_to_worker configure(enum device_type_id type)
{
        struct control_to_worker m = {
            .kind = CONTROL_CONFIGURE,
            .configure = {.name = "d", .n_queues = 1, .n_lanes = 1, .max_payload = 4096, .type = type}};

        if (type == DEVICE_TYPE_SAMPLE)
                m.configure.options.value[SAMPLE_OPTION_SIZE].number = 1 << 20;
        return m;
}

static void a_window_is_told_to_types_that_can_use_it(void **state)
{
        static struct control_to_worker got, m;

        (void)state;
        m = configure(DEVICE_TYPE_RNG);
        assert_int_equal(to_worker(&m, &got), 0);
        assert_int_equal(got.configure.raw.size, 0);
        m.configure.raw = (struct control_raw){4096, 4096};
        refused(&m);
        m = configure(DEVICE_TYPE_SAMPLE);
        m.configure.raw = (struct control_raw){4096, 4096};
        assert_int_equal(to_worker(&m, &got), 0);
        assert_int_equal(got.configure.raw.start, 4096);
        assert_int_equal(got.configure.raw.size, 4096);
}

static void a_window_is_of_whole_pages_and_ends(void **state)
{
        static const struct control_raw good[] = {{0, 4096}, {UINT64_MAX - 8191, 4096}, {0, 1u << 30}};
        static const struct control_raw bad[] = {
            {4096, 0}, {4096, 4095}, {4095, 4096}, {UINT64_MAX - 4095, 4096}, {4096, UINT64_MAX - 4095}};
        static struct control_to_worker got, m;

        (void)state;
        m = configure(DEVICE_TYPE_SAMPLE);
        for (size_t i = 0; i < array_size(good); i++) {
                m.configure.raw = good[i];
                assert_int_equal(to_worker(&m, &got), 0);
                assert_memory_equal(&got.configure.raw, &good[i], sizeof(good[i]));
        }
        for (size_t i = 0; i < array_size(bad); i++) {
                m.configure.raw = bad[i];
                refused(&m);
        }
}

static void a_ring_is_told_with_its_place(void **state)
{
        struct control_to_worker got, m = {.kind = CONTROL_START_QUEUE, .seq = 7};

        (void)state;
        m.start_queue =
            (struct control_start_queue){1, 256, UINT64_MAX - 15, UINT64_MAX - 1, UINT64_MAX - 3, UINT16_MAX};
        assert_int_equal(to_worker(&m, &got), 0);
        assert_memory_equal(&got, &m, sizeof(got));
        for (unsigned i = 0; i < 4; i++) {
                struct control_to_worker bad = m;

                bad.start_queue.desc -= i == 0 ? 8 : 0;
                bad.start_queue.avail -= i == 1;
                bad.start_queue.used -= i == 2 ? 2 : 0;
                bad.start_queue.next += i == 3;
                refused(&bad);
        }
}

static unsigned accepted;

static void sweep(const uint8_t *bytes, size_t n, void *context)
{
        static struct control_to_worker got;

        (void)context;
        if (control_check_to_worker(&arena, bytes, n, &got) < 0)
                return;
        accepted++;
        assert_true(judged_control_to_worker(&got));
}

static void bit_flips_and_truncations_never_break_a_promise(void **state)
{
        static struct control_to_worker m;
        ssize_t n;

        (void)state;
        m = configure(DEVICE_TYPE_SAMPLE);
        m.configure.raw = (struct control_raw){1 << 20, 1 << 20};
        n = control_make_to_worker(&m, buf, sizeof(buf));
        assert_true(n > 0);
        unit_sweep(buf, (size_t)n, sweep, NULL);
        assert_true(accepted >= 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            UNIT_ARENA_TEST(a_window_is_told_to_types_that_can_use_it),
            UNIT_ARENA_TEST(a_window_is_of_whole_pages_and_ends),
            UNIT_ARENA_TEST(a_ring_is_told_with_its_place),
            UNIT_ARENA_TEST(bit_flips_and_truncations_never_break_a_promise),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
