/* Lane messages of workers that walk their own rings: guest memory by address, and where one goes on.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/lane.h"

#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/wire.h"
#include "schema/lane.pb-c.h"
#include "tests/unit/judged.h"
#include "tests/unit/unit.h"

static uint8_t buf[65536];
static struct arena arena;
static uint64_t at[LIMIT_MEM_SEGMENTS + 1];
static uint32_t offset[LIMIT_MEM_SEGMENTS + 1], len[LIMIT_MEM_SEGMENTS + 1];

static int setup(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(at); i++) {
                at[i] = UINT64_C(0x1000) * i;
                offset[i] = 0;
                len[i] = 8;
        }
        return arena_init(&arena, LIMIT_ARENA);
}

static int teardown(void **state)
{
        (void)state;
        arena_done(&arena);
        return 0;
}

static struct lane_to_broker raw(enum lane_kind_to_broker kind, size_t n)
{
        return (struct lane_to_broker){.kind = kind, .raw = {.seq = 9, .n = n, .at = at, .len = len}};
}

static int said(struct lane_to_broker message, uint32_t payload_len, struct lane_to_broker *ret)
{
        ssize_t n = lane_make_to_broker(&message, buf, sizeof(buf));

        assert_true(n > 0);
        return lane_check_to_broker(&arena, buf, (size_t)n, payload_len, ret);
}

static void refused(struct lane_to_broker message, uint32_t payload_len)
{
        struct lane_to_broker got, before;

        memset(&got, 0x7e, sizeof(got));
        before = got;
        assert_int_equal(said(message, payload_len, &got), -EPROTO);
        assert_memory_equal(&got, &before, sizeof(got));
}

/* What lane_make would not say. */
static int forged(bool write, size_t n_at, size_t n_offset, size_t n_len, uint32_t payload_len)
{
        Bulkhead__Lane__ToBroker wire = BULKHEAD__LANE__TO_BROKER__INIT;
        Bulkhead__Lane__MemRead read_body = BULKHEAD__LANE__MEM_READ__INIT;
        Bulkhead__Lane__MemWrite write_body = BULKHEAD__LANE__MEM_WRITE__INIT;
        struct lane_to_broker got;
        ssize_t n;

        read_body.space = write_body.space = BULKHEAD__LANE__SPACE__SPACE_RAW;
        read_body.n_id = write_body.n_id = n_at, read_body.id = write_body.id = at;
        read_body.n_offset = write_body.n_offset = n_offset, read_body.offset = write_body.offset = offset;
        read_body.n_len = write_body.n_len = n_len, read_body.len = write_body.len = len;
        wire.kind_case =
            write ? BULKHEAD__LANE__TO_BROKER__KIND_MEM_WRITE : BULKHEAD__LANE__TO_BROKER__KIND_MEM_READ;
        if (write)
                wire.mem_write = &write_body;
        else
                wire.mem_read = &read_body;
        n = wire_pack(&wire.base, buf, sizeof(buf));
        assert_true(n > 0);
        return lane_check_to_broker(&arena, buf, (size_t)n, payload_len, &got);
}

static void reads_and_writes_come_back_as_they_were(void **state)
{
        struct lane_to_broker got;

        (void)state;
        for (size_t n = 1; n <= LIMIT_MEM_SEGMENTS; n += 21) {
                assert_int_equal(said(raw(LANE_RAW_READ, n), 0, &got), 0);
                assert_int_equal(got.kind, LANE_RAW_READ);
                assert_int_equal(got.raw.seq, 9);
                assert_int_equal(got.raw.n, n);
                assert_int_equal(got.raw.total, 8 * n);
                assert_memory_equal(got.raw.at, at, n * sizeof(at[0]));
                assert_memory_equal(got.raw.len, len, n * sizeof(len[0]));
                assert_int_equal(said(raw(LANE_RAW_WRITE, n), (uint32_t)(8 * n), &got), 0);
                assert_int_equal(got.kind, LANE_RAW_WRITE);
                assert_int_equal(got.raw.n, n);
                assert_int_equal(got.raw.total, 8 * n);
                assert_memory_equal(got.raw.at, at, n * sizeof(at[0]));
        }
}

static void addresses_end_with_the_last_byte(void **state)
{
        struct lane_to_broker got;

        (void)state;
        at[0] = UINT64_MAX - 7;
        assert_int_equal(said(raw(LANE_RAW_READ, 1), 0, &got), 0);
        assert_int_equal(said(raw(LANE_RAW_WRITE, 1), 8, &got), 0);
        at[0]++;
        refused(raw(LANE_RAW_READ, 1), 0);
        refused(raw(LANE_RAW_WRITE, 1), 8);
        at[0] = UINT64_MAX;
        len[0] = 1;
        assert_int_equal(said(raw(LANE_RAW_READ, 1), 0, &got), 0);
        len[0] = 2;
        refused(raw(LANE_RAW_READ, 1), 0);
}

static void nothing_is_no_segment_and_no_message(void **state)
{
        (void)state;
        len[1] = 0;
        refused(raw(LANE_RAW_READ, 3), 0);
        refused(raw(LANE_RAW_WRITE, 3), 16);
        assert_int_equal(forged(false, 0, 0, 0, 0), -EPROTO);
        assert_int_equal(forged(true, 0, 0, 0, 0), -EPROTO);
}

static void segments_and_their_sum_have_limits(void **state)
{
        struct lane_to_broker got;

        (void)state;
        assert_int_equal(
            lane_make_to_broker(
                &(struct lane_to_broker){.kind = LANE_RAW_READ,
                                         .raw = {.n = LIMIT_MEM_SEGMENTS + 1, .at = at, .len = len}},
                buf, sizeof(buf)),
            -E2BIG);
        for (unsigned write = 0; write < 2; write++) {
                const size_t over = LIMIT_MEM_SEGMENTS + 1;

                assert_int_equal(forged(write, over, over, over, write ? 8 * (uint32_t)over : 0), -EPROTO);
                assert_int_equal(forged(write, 3, 2, 3, write ? 24 : 0), -EPROTO);
                assert_int_equal(forged(write, 3, 3, 2, write ? 24 : 0), -EPROTO);
                assert_int_equal(forged(write, 2, 3, 3, write ? 24 : 0), -EPROTO);
                assert_int_equal(forged(write, 3, 3, 3, write ? 24 : 0), 0);
        }
        len[0] = LIMIT_FRAME_PAYLOAD - 8;
        assert_int_equal(said(raw(LANE_RAW_READ, 2), 0, &got), 0);
        assert_int_equal(said(raw(LANE_RAW_WRITE, 2), LIMIT_FRAME_PAYLOAD, &got), 0);
        len[0]++;
        refused(raw(LANE_RAW_READ, 2), 0);
        refused(raw(LANE_RAW_WRITE, 2), LIMIT_FRAME_PAYLOAD + 1);
        len[0] = len[1] = UINT32_MAX; /* their sum as a 32-bit number would be good */
        len[2] = 10;
        refused(raw(LANE_RAW_READ, 3), 0);
}

static void an_address_has_no_offset(void **state)
{
        (void)state;
        offset[1] = 1;
        assert_int_equal(forged(false, 2, 2, 2, 0), -EPROTO);
        assert_int_equal(forged(true, 2, 2, 2, 16), -EPROTO);
        assert_int_equal(forged(false, 1, 1, 1, 0), 0);
}

static void a_payload_is_the_sum_of_a_write_and_nothing_of_a_read(void **state)
{
        (void)state;
        refused(raw(LANE_RAW_READ, 2), 16);
        refused(raw(LANE_RAW_WRITE, 2), 0);
        refused(raw(LANE_RAW_WRITE, 2), 15);
        refused(raw(LANE_RAW_WRITE, 2), 17);
}

static void taken_is_an_index_of_a_queue(void **state)
{
        struct lane_to_broker got, m = {.kind = LANE_TAKEN, .taken = {LIMIT_QUEUES - 1, UINT16_MAX}};

        (void)state;
        assert_int_equal(said(m, 0, &got), 0);
        assert_int_equal(got.kind, LANE_TAKEN);
        assert_int_equal(got.taken.queue, LIMIT_QUEUES - 1);
        assert_int_equal(got.taken.next, UINT16_MAX);
        refused(m, 1);
        m.taken.next++;
        refused(m, 0);
        m.taken.next = 0;
        m.taken.queue++;
        refused(m, 0);
}

struct sweep {
        uint32_t payload_len;
        unsigned accepted;
};

static void sweep_one(const uint8_t *bytes, size_t n, void *context)
{
        struct sweep *sweep = context;
        struct lane_to_broker got;

        if (lane_check_to_broker(&arena, bytes, n, sweep->payload_len, &got) < 0)
                return;
        assert_true(judged_lane_to_broker(&got, sweep->payload_len));
        sweep->accepted++;
}

static void bit_flips_and_truncations_never_break_a_promise(void **state)
{
        const struct lane_to_broker messages[] = {
            raw(LANE_RAW_READ, 3), raw(LANE_RAW_WRITE, 3), {.kind = LANE_TAKEN, .taken = {1, 7}}};

        (void)state;
        for (size_t i = 0; i < array_size(messages); i++) {
                struct sweep sweep = {.payload_len = i == 1 ? 24 : 0};
                ssize_t n = lane_make_to_broker(&messages[i], buf, sizeof(buf));

                assert_true(n > 0);
                unit_sweep(buf, (size_t)n, sweep_one, &sweep);
                assert_true(sweep.accepted >= 1);
        }
}

#define RAW_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            RAW_TEST(reads_and_writes_come_back_as_they_were),
            RAW_TEST(addresses_end_with_the_last_byte),
            RAW_TEST(nothing_is_no_segment_and_no_message),
            RAW_TEST(segments_and_their_sum_have_limits),
            RAW_TEST(an_address_has_no_offset),
            RAW_TEST(a_payload_is_the_sum_of_a_write_and_nothing_of_a_read),
            RAW_TEST(taken_is_an_index_of_a_queue),
            RAW_TEST(bit_flips_and_truncations_never_break_a_promise),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
