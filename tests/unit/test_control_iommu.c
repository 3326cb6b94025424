/* An IOMMU's messages on the control channel: make, check, and what the check refuses.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/control.h"

#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "tests/unit/judged.h"
#include "tests/unit/unit_arena.h"

#define LAST (UINT64_MAX - 4095)

static uint8_t buf[LIMIT_FRAME_HEADER];

static int to_broker(enum control_kind_to_broker kind, struct control_iommu iommu,
                     struct control_to_broker *ret)
{
        const struct control_to_broker message = {.kind = kind, .iommu = iommu};
        ssize_t n = control_make_to_broker(&message, buf, sizeof(buf));

        assert_true(n > 0);
        return control_check_to_broker(&arena, buf, (size_t)n, ret);
}

static int to_worker(const struct control_to_worker *message, struct control_to_worker *ret)
{
        ssize_t n = control_make_to_worker(message, buf, sizeof(buf));

        assert_true(n > 0);
        return control_check_to_worker(&arena, buf, (size_t)n, ret);
}

static void maps_at_the_edges_come_back(void **state)
{
        static const struct control_iommu good[] = {
            {1, 0, 0, 4096, 0, 1},
            {UINT32_MAX, LIMIT_DEVICES - 1, LAST, 4096, LAST - 4096, 2},
            {7, 3, 4096, LAST, 0, 3}, /* ends at 2^64 */
        };
        static struct control_to_broker got;

        (void)state;
        for (size_t i = 0; i < array_size(good); i++) {
                assert_int_equal(to_broker(CONTROL_IOMMU_MAP, good[i], &got), 0);
                assert_int_equal(got.kind, CONTROL_IOMMU_MAP);
                assert_memory_equal(&got.iommu.iova, &good[i].iova, 24);
                assert_true(got.iommu.id == good[i].id && got.iommu.endpoint == good[i].endpoint &&
                            got.iommu.rights == good[i].rights);
        }
}

static void maps_out_of_shape_are_refused(void **state)
{
        static const struct control_iommu bad[] = {
            {1, LIMIT_DEVICES, 0, 4096, 0, 1}, /* no number of a device */
            {1, 0, 0, 0, 0, 1},                /* of nothing */
            {1, 0, 1, 4096, 0, 1},             /* no whole pages: */
            {1, 0, 0, 4095, 0, 1},
            {1, 0, 0, 4096, 2048, 1},
            {1, 0, LAST, 8192, 0, 1}, /* goes on at 0 */
            {1, 0, 0, 4096, LAST, 1}, /* so does what it stands for */
            {1, 0, 0, 8192, LAST, 1},
            {1, 0, 0, 4096, 0, 0}, /* without rights */
            {1, 0, 0, 4096, 0, 4}, /* with others */
            {1, 0, 0, 4096, 0, 0x80000001},
        };
        static struct control_to_broker got;

        (void)state;
        for (size_t i = 0; i < array_size(bad); i++)
                assert_int_equal(to_broker(CONTROL_IOMMU_MAP, bad[i], &got), -EPROTO);
}

static void unmaps_come_back_or_are_refused(void **state)
{
        static const struct {
                uint64_t iova, len;
                int r;
        } rows[] = {
            {0, 0, 0},          {0, 4096, 0},          {4096, LAST, 0},    {LAST, 4096, 0},
            {4096, 0, -EPROTO}, {LAST, 8192, -EPROTO}, {1, 4096, -EPROTO}, {0, 4097, -EPROTO},
        };
        static struct control_to_broker got;

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                const struct control_iommu unmap = {
                    .id = 9, .endpoint = 63, .iova = rows[i].iova, .len = rows[i].len};

                assert_int_equal(to_broker(CONTROL_IOMMU_UNMAP, unmap, &got), rows[i].r);
                if (rows[i].r == 0)
                        assert_true(got.iommu.id == 9 && got.iommu.endpoint == 63 &&
                                    got.iommu.iova == rows[i].iova && got.iommu.len == rows[i].len &&
                                    got.iommu.rights == 0);
        }
        assert_int_equal(to_broker(CONTROL_IOMMU_UNMAP, (struct control_iommu){.endpoint = 64}, &got),
                         -EPROTO);
}

static void answers_and_faults_come_back(void **state)
{
        static const int errors[] = {0, -EFAULT, -ENOSPC, -ENOMEM};
        struct control_to_worker m = {.kind = CONTROL_IOMMU_FAULT, .iommu_fault = {63, LAST, 3}};
        static struct control_to_worker got;

        (void)state;
        for (size_t i = 0; i < array_size(errors); i++) {
                const struct control_to_worker answer = {.kind = CONTROL_IOMMU_ANSWER,
                                                         .iommu_answer = {77, errors[i]}};

                assert_int_equal(to_worker(&answer, &got), 0);
                assert_int_equal(got.iommu_answer.id, 77);
                assert_int_equal(got.iommu_answer.error, errors[i]);
        }
        assert_int_equal(to_worker(&m, &got), 0);
        assert_true(got.iommu_fault.endpoint == 63 && got.iommu_fault.iova == LAST &&
                    got.iommu_fault.rights == 3);
        m.iommu_fault.rights = 0;
        assert_int_equal(to_worker(&m, &got), -EPROTO);
        m.iommu_fault.rights = 1;
        m.iommu_fault.endpoint = 64;
        assert_int_equal(to_worker(&m, &got), -EPROTO);
        m.iommu_fault.endpoint = 0;
        m.iommu_fault.iova = 1;
        assert_int_equal(to_worker(&m, &got), -EPROTO);
}

static struct control_to_worker configure(enum device_type_id type)
{
        return (struct control_to_worker){.kind = CONTROL_CONFIGURE,
                                          .configure = {.name = "iommu0",
                                                        .n_queues = device_types[type].max_queues,
                                                        .n_lanes = 1,
                                                        .max_payload = 1 << 20,
                                                        .type = type,
                                                        .endpoints = UINT64_C(1) << 63 | 5}};
}

static void only_an_iommu_is_told_who_is_behind_it(void **state)
{
        struct control_to_worker m = configure(DEVICE_TYPE_IOMMU);
        static struct control_to_worker got;

        (void)state;
        assert_int_equal(to_worker(&m, &got), 0);
        assert_true(got.configure.endpoints == (UINT64_C(1) << 63 | 5));
        m = configure(DEVICE_TYPE_RNG);
        assert_int_equal(to_worker(&m, &got), -EPROTO);
        m.configure.endpoints = 0;
        assert_int_equal(to_worker(&m, &got), 0);
}

static void sweep_up(const uint8_t *bytes, size_t n, void *context)
{
        static struct control_to_broker got;
        int r = control_check_to_broker(&arena, bytes, n, &got);

        (void)context;
        assert_true(r == 0 || r == -EPROTO);
        assert_true(r < 0 || judged_control_to_broker(&got));
}

static void bit_flips_and_truncations_never_break_a_promise(void **state)
{
        const struct control_to_broker up[] = {
            {.kind = CONTROL_IOMMU_MAP, .iommu = {7, 5, 0xfffff000, 0x2000, 0x100000, 3}},
            {.kind = CONTROL_IOMMU_UNMAP, .iommu = {.id = 7, .endpoint = 5, .iova = 0xfffff000, .len = 4096}},
        };

        (void)state;
        for (size_t i = 0; i < array_size(up); i++)
                unit_sweep(buf, (size_t)control_make_to_broker(&up[i], buf, sizeof(buf)), sweep_up, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            UNIT_ARENA_TEST(maps_at_the_edges_come_back),
            UNIT_ARENA_TEST(maps_out_of_shape_are_refused),
            UNIT_ARENA_TEST(unmaps_come_back_or_are_refused),
            UNIT_ARENA_TEST(answers_and_faults_come_back),
            UNIT_ARENA_TEST(only_an_iommu_is_told_who_is_behind_it),
            UNIT_ARENA_TEST(bit_flips_and_truncations_never_break_a_promise),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
