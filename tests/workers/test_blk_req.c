/* workers/blk/blk_req: good and bad requests, and every bit and length of them.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "workers/blk/blk_req.h"

#define CAPACITY 1000u /* sectors */

static const struct blk_disk disk = {.capacity = CAPACITY};
static const struct blk_disk read_only = {.capacity = CAPACITY, .read_only = true};
/* Wide enough for the limits of a range to be reached before the end of the disk. */
static const struct blk_disk large = {.capacity = (UINT64_C(1) << 54) - 1};

struct range {
        uint64_t sector;
        uint32_t n, flags;
};

static size_t put(uint8_t *bytes, uint32_t type, uint64_t sector, const struct range *ranges, size_t n)
{
        uint32_t le_type = htole32(type), reserved = 0;
        uint64_t le_sector = htole64(sector);

        memcpy(bytes, &le_type, 4);
        memcpy(bytes + 4, &reserved, 4);
        memcpy(bytes + 8, &le_sector, 8);
        for (size_t i = 0; i < n; i++) {
                uint8_t *at = bytes + BLK_HEADER_BYTES + i * BLK_RANGE_BYTES;
                uint32_t le_n = htole32(ranges[i].n), flags = htole32(ranges[i].flags);

                le_sector = htole64(ranges[i].sector);
                memcpy(at, &le_sector, 8);
                memcpy(at + 8, &le_n, 4);
                memcpy(at + 12, &flags, 4);
        }
        return BLK_HEADER_BYTES + n * BLK_RANGE_BYTES;
}

/* A refusal must leave the result alone. */
static int check(const struct blk_disk *d, uint32_t readable, uint32_t writable, const uint8_t *bytes,
                 size_t len, struct blk_req *ret_req)
{
        struct blk_req before;
        int r;

        memset(ret_req, 0x5a, sizeof(*ret_req));
        before = *ret_req;
        r = blk_req_check(d, readable, writable, bytes, len, ret_req);
        if (r < 0)
                assert_memory_equal(&before, ret_req, sizeof(before));
        return r;
}

static int check_simple(const struct blk_disk *d, uint32_t type, uint64_t sector, uint32_t readable,
                        uint32_t writable)
{
        uint8_t bytes[BLK_HEADER_BYTES];
        struct blk_req req;

        put(bytes, type, sector, NULL, 0);
        return check(d, readable, writable, bytes, sizeof(bytes), &req);
}

static void reads_and_writes_are_held_against_the_disk(void **state)
{
        static const struct {
                uint32_t type;
                uint64_t sector;
                uint32_t data;
                int want;
        } rows[] = {
            {0, 0, 512, 0},
            {0, 0, 0, 0},
            {0, CAPACITY, 0, 0},
            {0, CAPACITY + 1, 0, -EIO},
            {0, CAPACITY - 1, 512, 0},
            {0, CAPACITY - 1, 1024, -EIO},
            {0, CAPACITY, 512, -EIO},
            {0, 0, CAPACITY * 512, 0},
            {0, 0, (CAPACITY + 1) * 512, -EIO},
            {0, 1, CAPACITY * 512, -EIO},
            {0, UINT64_MAX, 512, -EIO},
            {0, UINT64_MAX / 512, 512, -EIO},
            {0, UINT64_MAX / 512 + 1, 512, -EIO},
            {0, UINT64_C(1) << 55, 512, -EIO},
            {0, 0, 511, -EIO},
            {0, 0, 513, -EIO},
            {0, 0, 1, -EIO},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                assert_int_equal(check_simple(&disk, 0, rows[i].sector, 16, rows[i].data + 1), rows[i].want);
                assert_int_equal(check_simple(&disk, 1, rows[i].sector, 16 + rows[i].data, 1), rows[i].want);
        }
}

static void data_in_the_wrong_direction_is_an_error(void **state)
{
        (void)state;
        assert_int_equal(check_simple(&disk, 0, 0, 16 + 512, 513), -EIO);
        assert_int_equal(check_simple(&disk, 0, 0, 17, 513), -EIO);
        assert_int_equal(check_simple(&disk, 1, 0, 16 + 512, 513), -EIO);
        assert_int_equal(check_simple(&disk, 1, 0, 16 + 512, 2), -EIO);
}

static void a_request_without_header_or_status_is_no_request(void **state)
{
        (void)state;
        for (uint32_t type = 0; type < 16; type++) {
                uint8_t bytes[BLK_HEADER_BYTES];
                struct blk_req req;

                put(bytes, type, 0, NULL, 0);
                assert_int_equal(check(&disk, 16, 0, bytes, 16, &req), -EPROTO);
                for (uint32_t len = 0; len < BLK_HEADER_BYTES; len++) {
                        assert_int_equal(check(&disk, len, 1, bytes, len, &req), -EPROTO);
                        assert_int_equal(check(&disk, 16, 1, bytes, len, &req), -EPROTO);
                }
                assert_int_equal(check(&disk, 16, 1, bytes, 17, &req), -EPROTO);
                assert_int_not_equal(check(&disk, 16, 1, bytes, 16, &req), -EPROTO);
        }
}

static void a_disk_of_whole_blocks_refuses_parts_of_them(void **state)
{
        static const struct blk_disk blocks = {.capacity = CAPACITY / 8 * 8, .block_mask = 7};
        struct range range = {8, 8, 0};
        uint8_t bytes[BLK_JUDGED_BYTES];
        struct blk_req req;
        size_t len;

        (void)state;
        assert_int_equal(check_simple(&blocks, 0, 8, 16, 4097), 0);
        assert_int_equal(check_simple(&blocks, 0, 9, 16, 4097), -EIO);
        assert_int_equal(check_simple(&blocks, 0, 8, 16, 513), -EIO);
        assert_int_equal(check_simple(&blocks, 1, 8, 16 + 4096, 1), 0);
        assert_int_equal(check_simple(&blocks, 1, 8, 16 + 4096 + 512, 1), -EIO);
        assert_int_equal(check_simple(&blocks, 1, 4, 16 + 4096, 1), -EIO);
        len = put(bytes, 13, 0, &range, 1);
        assert_int_equal(check(&blocks, (uint32_t)len, 1, bytes, len, &req), 0);
        range.n = 4;
        len = put(bytes, 13, 0, &range, 1);
        assert_int_equal(check(&blocks, (uint32_t)len, 1, bytes, len, &req), -EIO);
}

static void a_read_only_disk_is_read_and_no_more(void **state)
{
        struct range range = {0, 1, 0};
        uint8_t bytes[BLK_JUDGED_BYTES];
        struct blk_req req;
        size_t len;

        (void)state;
        assert_int_equal(check_simple(&read_only, 0, 0, 16, 513), 0);
        assert_int_equal(check_simple(&read_only, 1, 0, 16 + 512, 1), -EIO);
        assert_int_equal(check_simple(&read_only, 4, 0, 16, 1), 0);
        assert_int_equal(check_simple(&read_only, 8, 0, 16, 21), 0);
        len = put(bytes, 11, 0, &range, 1);
        assert_int_equal(check(&read_only, (uint32_t)len, 1, bytes, len, &req), -EIO);
        len = put(bytes, 13, 0, &range, 1);
        assert_int_equal(check(&read_only, (uint32_t)len, 1, bytes, len, &req), -EIO);
}

static void types_that_are_not_served_are_unsupported(void **state)
{
        (void)state;
        for (uint32_t type = 0; type < 64; type++) {
                bool served = type == 0 || type == 1 || type == 4 || type == 8 || type == 11 || type == 13;

                if (!served)
                        assert_int_equal(check_simple(&disk, type, 0, 16, 1), -EOPNOTSUPP);
        }
        assert_int_equal(check_simple(&disk, 0x80000000u, 0, 16, 1),
                         -EOPNOTSUPP); /* the legacy barrier bit */
        assert_int_equal(check_simple(&disk, UINT32_MAX, 0, 16, 1), -EOPNOTSUPP);
}

static void get_id_gives_what_there_is_room_for(void **state)
{
        static const uint32_t rows[][2] = {{1, 0}, {2, 1}, {20, 19}, {21, 20}, {22, 20}, {4096, 20}};

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                uint8_t bytes[BLK_HEADER_BYTES];
                struct blk_req req;

                put(bytes, 8, 0, NULL, 0);
                assert_int_equal(check(&disk, 16, rows[i][0], bytes, 16, &req), 0);
                assert_int_equal(req.op, BLK_OP_GET_ID);
                assert_int_equal(req.id_len, rows[i][1]);
        }
}

static int check_ranges(const struct blk_disk *d, uint32_t type, const struct range *ranges, size_t n,
                        struct blk_req *ret_req)
{
        uint8_t bytes[BLK_HEADER_BYTES + (LIMIT_BLK_RANGES + 2) * BLK_RANGE_BYTES];
        uint32_t len = (uint32_t)put(bytes, type, 0, ranges, n);

        return check(d, len, 1, bytes, blk_req_judged_len(bytes, len), ret_req);
}

static void ranges_are_held_against_disk_and_limits(void **state)
{
        static const struct {
                uint32_t type;
                struct range range;
                int want;
        } rows[] = {
            {11, {0, 1, 0}, 0},
            {11, {0, 0, 0}, 0},
            {11, {0, LIMIT_BLK_DISCARD - 1, 0}, 0},
            {11, {0, LIMIT_BLK_DISCARD, 0}, 0},
            {11, {0, LIMIT_BLK_DISCARD + 1, 0}, -EIO},
            {11, {0, UINT32_MAX, 0}, -EIO},
            {11, {UINT64_MAX, 1, 0}, -EIO},
            {11, {(UINT64_C(1) << 54) - 2, 1, 0}, 0},
            {11, {(UINT64_C(1) << 54) - 1, 1, 0}, -EIO},
            {11, {0, 1, 1}, -EOPNOTSUPP}, /* unmap on a discard */
            {11, {0, 1, 2}, -EOPNOTSUPP},
            {13, {0, LIMIT_BLK_ZEROES, 0}, 0},
            {13, {0, LIMIT_BLK_ZEROES, 1}, 0},
            {13, {0, LIMIT_BLK_ZEROES + 1, 0}, -EIO},
            {13, {0, 1, 2}, -EOPNOTSUPP},
            {13, {0, 1, 3}, -EOPNOTSUPP},
            {13, {0, 1, 0x80000000u}, -EOPNOTSUPP},
            {13, {UINT64_MAX - 1, 4, 0}, -EIO},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                struct blk_req req;

                assert_int_equal(check_ranges(&large, rows[i].type, &rows[i].range, 1, &req), rows[i].want);
                if (rows[i].want == 0)
                        assert_int_equal(req.ranges[0].unmap, rows[i].range.flags);
        }
}

static void a_list_has_one_to_the_limit_of_ranges(void **state)
{
        struct range ranges[LIMIT_BLK_RANGES + 1];
        struct blk_req req;

        (void)state;
        for (size_t i = 0; i < array_size(ranges); i++)
                ranges[i] = (struct range){i, 1, 0};
        assert_int_equal(check_ranges(&disk, 11, ranges, 0, &req), -EIO);
        assert_int_equal(check_ranges(&disk, 11, ranges, LIMIT_BLK_RANGES - 1, &req), 0);
        assert_int_equal(check_ranges(&disk, 11, ranges, LIMIT_BLK_RANGES, &req), 0);
        assert_int_equal(req.n_ranges, LIMIT_BLK_RANGES);
        assert_int_equal(req.ranges[LIMIT_BLK_RANGES - 1].offset, (LIMIT_BLK_RANGES - 1) * 512);
        assert_int_equal(check_ranges(&disk, 11, ranges, LIMIT_BLK_RANGES + 1, &req), -EIO);
        assert_int_equal(check_ranges(&disk, 13, ranges, 0, &req), -EIO);
        assert_int_equal(check_ranges(&disk, 13, ranges, 1, &req), 0);
        assert_int_equal(check_ranges(&disk, 13, ranges, 2, &req), -EIO);
}

static void one_bad_range_refuses_the_whole_list(void **state)
{
        struct range ranges[LIMIT_BLK_RANGES];
        struct blk_req req;

        (void)state;
        for (size_t bad = 0; bad < array_size(ranges); bad++) {
                for (size_t i = 0; i < array_size(ranges); i++)
                        ranges[i] = (struct range){i == bad ? CAPACITY : i, 1, 0};
                assert_int_equal(check_ranges(&disk, 11, ranges, array_size(ranges), &req), -EIO);
        }
}

/* Whatever was accepted may be carried out without another look. */
static void assert_sound(const struct blk_disk *d, uint32_t readable, uint32_t writable,
                         const struct blk_req *req)
{
        uint64_t size = d->capacity * BLK_SECTOR;

        switch (req->op) {
        case BLK_OP_READ:
                assert_true(range_inside(req->range.offset, req->range.len, size));
                assert_int_equal(req->range.len + 1, writable);
                break;
        case BLK_OP_WRITE:
                assert_false(d->read_only);
                assert_true(range_inside(req->range.offset, req->range.len, size));
                assert_int_equal(req->range.len + BLK_HEADER_BYTES, readable);
                break;
        case BLK_OP_GET_ID:
                assert_true(req->id_len <= BLK_SERIAL_BYTES && req->id_len < writable);
                break;
        case BLK_OP_DISCARD:
        case BLK_OP_WRITE_ZEROES:
                assert_false(d->read_only);
                assert_true(req->n_ranges >= 1 && req->n_ranges <= LIMIT_BLK_RANGES);
                for (uint32_t i = 0; i < req->n_ranges; i++)
                        assert_true(range_inside(req->ranges[i].offset, req->ranges[i].len, size));
                break;
        default:
                assert_int_equal(req->op, BLK_OP_FLUSH);
        }
}

static void sweep_one(const uint8_t *good, uint32_t readable, uint32_t writable)
{
        uint8_t bytes[BLK_JUDGED_BYTES];
        uint32_t judged = blk_req_judged_len(good, readable);
        struct blk_req req;

        memcpy(bytes, good, judged);
        for (uint32_t bit = 0; bit < judged * 8; bit++) {
                bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
                if (blk_req_judged_len(bytes, readable) <= judged &&
                    check(&disk, readable, writable, bytes, blk_req_judged_len(bytes, readable), &req) == 0)
                        assert_sound(&disk, readable, writable, &req);
                bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (uint32_t len = 0; len <= judged; len++)
                if (check(&disk, len, writable, bytes, len, &req) == 0)
                        assert_sound(&disk, len, writable, &req);
        for (uint32_t len = 0; len < judged; len++) /* seen in part only */
                assert_int_not_equal(check(&disk, readable, writable, bytes, len, &req), 0);
}

static void flipped_bits_and_cut_requests_are_refused_or_sound(void **state)
{
        struct range ranges[3] = {{1, 2, 0}, {500, 400, 0}, {999, 1, 0}};
        uint8_t bytes[BLK_JUDGED_BYTES];

        (void)state;
        put(bytes, 0, 7, NULL, 0);
        sweep_one(bytes, 16, 4097);
        put(bytes, 1, 7, NULL, 0);
        sweep_one(bytes, 16 + 4096, 1);
        put(bytes, 4, 0, NULL, 0);
        sweep_one(bytes, 16, 1);
        put(bytes, 8, 0, NULL, 0);
        sweep_one(bytes, 16, 21);
        sweep_one(bytes, (uint32_t)put(bytes, 11, 0, ranges, 3), 1);
        ranges[0].flags = 1;
        sweep_one(bytes, (uint32_t)put(bytes, 13, 0, ranges, 1), 1);
}

static void the_judge_sees_the_list_and_no_data(void **state)
{
        uint8_t bytes[BLK_HEADER_BYTES];

        (void)state;
        put(bytes, 1, 0, NULL, 0);
        assert_int_equal(blk_req_judged_len(bytes, 1 << 20), BLK_HEADER_BYTES);
        put(bytes, 11, 0, NULL, 0);
        assert_int_equal(blk_req_judged_len(bytes, 48), 48);
        assert_int_equal(blk_req_judged_len(bytes, 1 << 20), BLK_JUDGED_BYTES);
        put(bytes, 13, 0, NULL, 0);
        assert_int_equal(blk_req_judged_len(bytes, 32), 32);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(reads_and_writes_are_held_against_the_disk),
            cmocka_unit_test(data_in_the_wrong_direction_is_an_error),
            cmocka_unit_test(a_request_without_header_or_status_is_no_request),
            cmocka_unit_test(a_disk_of_whole_blocks_refuses_parts_of_them),
            cmocka_unit_test(a_read_only_disk_is_read_and_no_more),
            cmocka_unit_test(types_that_are_not_served_are_unsupported),
            cmocka_unit_test(get_id_gives_what_there_is_room_for),
            cmocka_unit_test(ranges_are_held_against_disk_and_limits),
            cmocka_unit_test(a_list_has_one_to_the_limit_of_ranges),
            cmocka_unit_test(one_bad_range_refuses_the_whole_list),
            cmocka_unit_test(flipped_bits_and_cut_requests_are_refused_or_sound),
            cmocka_unit_test(the_judge_sees_the_list_and_no_data),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
