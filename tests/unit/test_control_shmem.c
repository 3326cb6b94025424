/* Shared memory regions on the control channel: make, check, and what the check refuses.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/control.h"

#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/wire.h"
#include "schema/control.pb-c.h"
#include "tests/unit/judged.h"
#include "tests/unit/unit_arena.h"

static uint8_t buf[LIMIT_FRAME_HEADER];

static int to_broker(const struct control_to_broker *message, struct control_to_broker *ret)
{
        ssize_t n = control_make_to_broker(message, buf, sizeof(buf));

        assert_true(n > 0);
        return control_check_to_broker(&arena, buf, (size_t)n, ret);
}

static int to_worker(const struct control_to_worker *message, struct control_to_worker *ret)
{
        ssize_t n = control_make_to_worker(message, buf, sizeof(buf));

        assert_true(n > 0);
        return control_check_to_worker(&arena, buf, (size_t)n, ret);
}

/* ---- Configure ---- */

static struct control_to_worker configure(const struct device_region *regions, uint32_t n)
{
        struct control_to_worker m = {.kind = CONTROL_CONFIGURE,
                                      .configure = {.name = "sample0",
                                                    .n_queues = 1,
                                                    .n_lanes = 1,
                                                    .max_payload = 1 << 20,
                                                    .type = DEVICE_TYPE_SAMPLE,
                                                    .options = {{{.number = 1 << 20}}},
                                                    .n_regions = n}};

        memcpy(m.configure.regions, regions, MIN(n, LIMIT_SHMEM_REGIONS) * sizeof(*regions));
        return m;
}

static void regions_come_back_in_their_order(void **state)
{
        static struct control_to_worker got;
        struct device_region regions[LIMIT_SHMEM_REGIONS];
        struct control_to_worker m;

        (void)state;
        for (unsigned i = 0; i < LIMIT_SHMEM_REGIONS; i++)
                regions[i] = (struct device_region){.shmid = (uint8_t)(255 - LIMIT_SHMEM_REGIONS + 1 + i),
                                                    .len = i == 0 ? LIMIT_SHMEM_LEN : LIMIT_SHMEM_PAGE << i,
                                                    .source = i % 2 ? REGION_MEMORY : REGION_FILES};
        m = configure(regions, LIMIT_SHMEM_REGIONS);
        assert_int_equal(to_worker(&m, &got), 0);
        assert_int_equal(got.configure.n_regions, LIMIT_SHMEM_REGIONS);
        for (unsigned i = 0; i < LIMIT_SHMEM_REGIONS; i++)
                assert_true(got.configure.regions[i].shmid == regions[i].shmid &&
                            got.configure.regions[i].len == regions[i].len &&
                            got.configure.regions[i].source == regions[i].source);
        m.configure.n_regions = LIMIT_SHMEM_REGIONS + 1;
        assert_int_equal(control_make_to_worker(&m, buf, sizeof(buf)), -E2BIG);
        m.configure.n_regions = 0;
        assert_int_equal(to_worker(&m, &got), 0);
        assert_int_equal(got.configure.n_regions, 0);
}

static void regions_that_cannot_be_are_refused(void **state)
{
        static const struct device_region bad[][2] = {
            {{1, 4096, REGION_MEMORY}, {1, 4096, REGION_MEMORY}},
            {{2, 4096, REGION_MEMORY}, {1, 4096, REGION_MEMORY}},
            {{0, 4096, REGION_MEMORY}, {1, 0, REGION_MEMORY}},
            {{0, 4096, REGION_MEMORY}, {1, 4095, REGION_MEMORY}},
            {{0, 4096, REGION_MEMORY}, {1, 6144, REGION_FILES}},
            {{0, LIMIT_SHMEM_LEN + 4096, REGION_FILES}, {1, 4096, REGION_FILES}},
            {{0, 4096, (enum region_source)0}, {1, 4096, REGION_FILES}},
            {{0, 4096, REGION_SOURCE_END_}, {1, 4096, REGION_FILES}},
        };
        static struct control_to_worker got;

        (void)state;
        for (size_t i = 0; i < array_size(bad); i++) {
                struct control_to_worker m = configure(bad[i], 2);

                assert_int_equal(to_worker(&m, &got), -EPROTO);
        }
}

/* ---- maps ---- */

static void maps_and_unmaps_come_back(void **state)
{
        static const struct control_shmem map = {.id = UINT32_MAX,
                                                 .shmid = 255,
                                                 .writable = true,
                                                 .offset = UINT64_MAX,
                                                 .len = UINT64_MAX - 1,
                                                 .fd_offset = UINT64_MAX - 2,
                                                 .fd = 7};
        static struct control_to_broker m, got;

        (void)state;
        m = (struct control_to_broker){.kind = CONTROL_SHMEM_MAP, .shmem = map};
        assert_int_equal(to_broker(&m, &got), 0);
        assert_true(got.shmem.id == map.id && got.shmem.shmid == 255 && got.shmem.writable);
        assert_true(got.shmem.offset == map.offset && got.shmem.len == map.len &&
                    got.shmem.fd_offset == map.fd_offset);
        assert_int_equal(got.shmem.fd, -1); /* no number of a descriptor ever travels */
        m.kind = CONTROL_SHMEM_UNMAP;
        assert_int_equal(to_broker(&m, &got), 0);
        assert_true(got.kind == CONTROL_SHMEM_UNMAP && got.shmem.len == map.len && !got.shmem.writable &&
                    got.shmem.fd_offset == 0 && got.shmem.fd == -1);
}

static ssize_t wire_map(uint32_t shmid, uint32_t writable)
{
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        Bulkhead__Control__ShmemMap body = BULKHEAD__CONTROL__SHMEM_MAP__INIT;

        body.shmid = shmid;
        body.writable = writable;
        body.len = 4096;
        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_SHMEM_MAP;
        wire.shmem_map = &body;
        return wire_pack(&wire.base, buf, sizeof(buf));
}

static void rights_other_than_reading_and_writing_cannot_be_said(void **state)
{
        static struct control_to_broker got;

        (void)state;
        assert_int_equal(control_check_to_broker(&arena, buf, (size_t)wire_map(255, 1), &got), 0);
        assert_int_equal(control_check_to_broker(&arena, buf, (size_t)wire_map(256, 1), &got), -EPROTO);
        for (uint32_t right = 2; right != 0; right <<= 1)
                assert_int_equal(control_check_to_broker(&arena, buf, (size_t)wire_map(0, right), &got),
                                 -EPROTO);
}

static void answers_come_back(void **state)
{
        static const int errors[] = {0,       -EINVAL, -EEXIST, -E2BIG, -EMEDIUMTYPE,
                                     -EACCES, -ENXIO,  -ENOMEM, -ENOENT};
        static struct control_to_worker got;

        (void)state;
        for (size_t i = 0; i < array_size(errors); i++) {
                struct control_to_worker m = {.kind = CONTROL_SHMEM_ANSWER, .shmem_answer = {77, errors[i]}};

                assert_int_equal(to_worker(&m, &got), 0);
                assert_int_equal(got.shmem_answer.id, 77);
                assert_int_equal(got.shmem_answer.error, errors[i]);
        }
}

/* ---- Hello ---- */

static struct control_to_broker hello(uint32_t maps, uint16_t region)
{
        return (struct control_to_broker){
            .kind = CONTROL_HELLO,
            .hello = {.device_type = 27,
                      .n_queues = 1,
                      .queue_kind = {QUEUE_WORK},
                      .queue_replay = {REPLAY_IDEMPOTENT},
                      .max_segments = 2,
                      .credit_requests = 1,
                      .n_fields = 2,
                      .fields = {{.width = 8, .region = region}, {.offset = 8, .width = 8, .value = 1}},
                      .maps = maps}};
}

static void hello_tells_how_many_maps_come_and_where_addresses_go(void **state)
{
        static struct control_to_broker m, got;

        (void)state;
        m = hello(LIMIT_SHMEM_MAPPINGS, 256);
        assert_int_equal(to_broker(&m, &got), 0);
        assert_int_equal(got.hello.maps, LIMIT_SHMEM_MAPPINGS);
        assert_int_equal(got.hello.fields[0].region, 256);
        assert_int_equal(got.hello.fields[1].region, 0);
        m = hello(LIMIT_SHMEM_MAPPINGS + 1, 0);
        assert_int_equal(to_broker(&m, &got), -EPROTO);
        m = hello(0, 257);
        assert_int_equal(to_broker(&m, &got), -EPROTO);
}

static void field_of_an_address_is_whole_empty_and_not_the_driver_s(void **state)
{
        static struct control_to_broker m, got;

        (void)state;
        m = hello(0, 1);
        m.hello.fields[0].width = 4;
        assert_int_equal(to_broker(&m, &got), -EPROTO);
        m = hello(0, 1);
        m.hello.fields[0].writable = true;
        assert_int_equal(to_broker(&m, &got), -EPROTO);
        m = hello(0, 1);
        m.hello.fields[0].value = 4096;
        assert_int_equal(to_broker(&m, &got), -EPROTO);
        m = hello(0, 1);
        assert_int_equal(to_broker(&m, &got), 0);
}

static void sweep_up(const uint8_t *bytes, size_t n, void *context)
{
        static struct control_to_broker got;
        int r = control_check_to_broker(&arena, bytes, n, &got);

        (void)context;
        assert_true(r == 0 || r == -EPROTO);
        assert_true(r < 0 || judged_control_to_broker(&got));
}

static void sweep_down(const uint8_t *bytes, size_t n, void *context)
{
        static struct control_to_worker got;
        int r = control_check_to_worker(&arena, bytes, n, &got);

        (void)context;
        assert_true(r == 0 || r == -EPROTO);
        assert_true(r < 0 || judged_control_to_worker(&got));
}

static void bit_flips_and_truncations_never_break_a_promise(void **state)
{
        static const struct device_region regions[] = {{0, 4096, REGION_MEMORY}, {3, 8192, REGION_FILES}};
        const struct control_to_worker down = configure(regions, 2);
        const struct control_to_broker up[] = {
            hello(3, 1),
            {.kind = CONTROL_SHMEM_MAP, .shmem = {1, 2, true, 4096, 8192, 12288, -1}},
            {.kind = CONTROL_SHMEM_UNMAP, .shmem = {1, 2, false, 4096, 8192, 0, -1}},
        };

        (void)state;
        for (size_t i = 0; i < array_size(up); i++)
                unit_sweep(buf, (size_t)control_make_to_broker(&up[i], buf, sizeof(buf)), sweep_up, NULL);
        unit_sweep(buf, (size_t)control_make_to_worker(&down, buf, sizeof(buf)), sweep_down, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            UNIT_ARENA_TEST(regions_come_back_in_their_order),
            UNIT_ARENA_TEST(regions_that_cannot_be_are_refused),
            UNIT_ARENA_TEST(maps_and_unmaps_come_back),
            UNIT_ARENA_TEST(rights_other_than_reading_and_writing_cannot_be_said),
            UNIT_ARENA_TEST(answers_come_back),
            UNIT_ARENA_TEST(hello_tells_how_many_maps_come_and_where_addresses_go),
            UNIT_ARENA_TEST(field_of_an_address_is_whole_empty_and_not_the_driver_s),
            UNIT_ARENA_TEST(bit_flips_and_truncations_never_break_a_promise),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
