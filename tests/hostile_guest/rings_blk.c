/* A disk's requests: the header cut everywhere, the status byte in every place, types and sectors without sense.
 * virtio 1.3, 2.7.4.2: a device makes no assumption on how a request is cut. TRUST: the hostile side.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "tests/harness/blk_front.h"
#include "tests/hostile_guest/disk_pattern.h"
#include "tests/hostile_guest/ring_case.h"

#define BROKEN OUTCOME_BROKEN
#define SERVED OUTCOME_SERVED

/* ---- the header in pieces ---- */

static void write_data_and_status(struct attack *attack, unsigned first)
{
        attack_desc(attack, 0, first, &(struct desc_row){DATA, SECTOR_BYTES, N | W, (uint16_t)(first + 1)});
        attack_desc(attack, 0, first + 1, &(struct desc_row){STATUS, 1, W, 0});
}

/* Cut once, behind byte `arg`. */
static void write_cut(struct attack *attack, const struct ring_case *c)
{
        uint32_t cut = (uint32_t)c->arg;

        attack_desc(attack, 0, 0, &(struct desc_row){HEADER, cut, N, 1});
        attack_desc(attack, 0, 1, &(struct desc_row){HEADER + cut, 16 - cut, N, 2});
        write_data_and_status(attack, 2);
}

/* In `arg` pieces, the last of which takes the rest; each piece lies somewhere else. */
static void write_pieces(struct attack *attack, const struct ring_case *c)
{
        unsigned n = (unsigned)c->arg, done = 0;

        for (unsigned i = 0; i < n; i++) {
                unsigned len = i == n - 1 ? 16 - done : 16 / n;
                uint64_t at = HEADER + 0x100 * (n - i);

                memset(guest_map_at(attack->map, at, len), 0, len); /* a read of sector 0 is all zeroes */
                attack_desc(attack, 0, i, &(struct desc_row){at, len, N, (uint16_t)(i + 1)});
                done += len;
        }
        write_data_and_status(attack, n);
}

/* Of `arg` bytes in all. */
static void write_short(struct attack *attack, const struct ring_case *c)
{
        attack_desc(attack, 0, 0, &(struct desc_row){HEADER, (uint32_t)c->arg, N, 1});
        write_data_and_status(attack, 1);
}

static void list_headers(struct ring_list *list)
{
        struct ring_case c = {.group = "header",
                              .target = TARGET_BLK,
                              .expect = SERVED,
                              .flags = CASE_READS,
                              .used_len = SECTOR_BYTES + 1,
                              .write = write_cut};

        for (c.arg = 1; c.arg < 16; c.arg++)
                ring_list_add_named(list, &c, "cut_behind_byte_%u", (unsigned)c.arg);
        c.write = write_pieces;
        for (c.arg = 1; c.arg <= 12; c.arg++)
                ring_list_add_named(list, &c, "in_%u_pieces", (unsigned)c.arg);
        c = (struct ring_case){
            .group = "header", .target = TARGET_BLK, .expect = BROKEN, .write = write_short};
        for (c.arg = 1; c.arg < 16; c.arg++)
                ring_list_add_named(list, &c, "of_%u_bytes", (unsigned)c.arg);
}

/* ---- types and sectors ---- */

/* A header with this type and sector, and ordinary descriptors. */
#define REQUEST(type, sector) ((uint64_t)(type) << 56 | (sector))

static void write_request(struct attack *attack, const struct ring_case *c)
{
        attack_blk_header(attack, HEADER, (uint32_t)(c->arg >> 56), c->arg & ((UINT64_C(1) << 56) - 1));
        attack_desc(attack, 0, 0, &(struct desc_row){HEADER, 16, N, 1});
        write_data_and_status(attack, 1);
}

static void write_sector_max(struct attack *attack, const struct ring_case *c)
{
        write_request(attack, c);
        attack_blk_header(attack, HEADER, (uint32_t)(c->arg >> 56), UINT64_MAX);
}

static void write_type_max(struct attack *attack, const struct ring_case *c)
{
        write_request(attack, c);
        attack_blk_header(attack, HEADER, UINT32_MAX, 0);
}

/* A write whose data follows the header in the same descriptor. */
static void write_out_in_one(struct attack *attack, const struct ring_case *c)
{
        attack_blk_header(attack, HEADER, BLK_OUT, 64);
        disk_pattern_fill(guest_map_at(attack->map, HEADER + 16, SECTOR), ORACLE_DISK, 64, 1, 1);
        attack_desc(attack, 0, 0, &(struct desc_row){HEADER, 16 + SECTOR_BYTES, N, 1});
        attack_desc(attack, 0, 1, &(struct desc_row){STATUS, 1, W, 0});
        (void)c;
}

/* Ranges to discard, `arg` bytes of them. */
static void write_ranges(struct attack *attack, const struct ring_case *c)
{
        attack_blk_header(attack, HEADER, BLK_DISCARD, 0);
        attack_desc(attack, 0, 0, &(struct desc_row){HEADER, 16, N, 1});
        attack_desc(attack, 0, 1, &(struct desc_row){DATA, (uint32_t)c->arg, N, 2});
        attack_desc(attack, 0, 2, &(struct desc_row){STATUS, 1, W, 0});
}

/* Ranges whose numbers are `arg` in every byte. */
static void write_mad_range(struct attack *attack, const struct ring_case *c)
{
        struct ring_case ranges = *c;

        ranges.arg = 16;
        memset(guest_map_at(attack->map, DATA, 16), (int)c->arg, 16);
        write_ranges(attack, &ranges);
}

/* 100 descriptors of one byte before the last of a sector. */
static void write_crumbs(struct attack *attack, const struct ring_case *c)
{
        unsigned n = (unsigned)c->arg;

        attack_desc(attack, 0, 0, &(struct desc_row){HEADER, 16, N, 1});
        for (unsigned i = 1; i <= n; i++)
                attack_desc(attack, 0, i, &(struct desc_row){DATA + i - 1, 1, N | W, (uint16_t)(i + 1)});
        attack_desc(attack, 0, n + 1,
                    &(struct desc_row){DATA + n, SECTOR_BYTES - n, N | W, (uint16_t)(n + 2)});
        attack_desc(attack, 0, n + 2, &(struct desc_row){STATUS, 1, W, 0});
}

#define BLK(group, name) group, name, TARGET_BLK

/* clang-format off */
static const struct ring_case cases[] = {
    {BLK("status", "missing"), BROKEN, DESC({HEADER, 16, N, 1}, {DATA, SECTOR_BYTES, 0, 0})},
    {BLK("status", "read_only"), BROKEN, DESC({HEADER, 16, N, 1}, {DATA, SECTOR_BYTES, N, 2}, {STATUS, 1, 0, 0})},
    {BLK("status", "length_0_behind_nothing"), BROKEN, DESC({HEADER, 16, N, 1}, {STATUS, 0, W, 0})},
    {BLK("status", "header_alone"), BROKEN, DESC({HEADER, 16, 0, 0})},
    {BLK("status", "in_the_data_s_descriptor"), SERVED, CASE_READS, .status_at = DATA + SECTOR_BYTES,
     DESC({HEADER, 16, N, 1}, {DATA, SECTOR_BYTES + 1, W, 0}), .used_len = 513},
    {BLK("status", "alone"), SERVED, DESC({HEADER, 16, N, 1}, {STATUS, 1, W, 0}), .used_len = 1},
    {BLK("status", "behind_511_bytes_and_one"), SERVED, .status_at = DATA + SECTOR_BYTES,
     DESC({HEADER, 16, N, 1}, {DATA, 511, N | W, 2}, {DATA + 511, 2, W, 0}), .used_len = 513},
    {BLK("status", "of_four_bytes"), SERVED, .status = 0xff, .status_at = STATUS,
     DESC({HEADER, 16, N, 1}, {DATA, SECTOR_BYTES, N | W, 2}, {STATUS + 1, 4, W, 0})},
    {BLK("status", "over_the_header"), SERVED, .status_at = HEADER, DESC({HEADER, 16, N, 1}, {HEADER, 1, W, 0})},
    {BLK("status", "over_the_data"), SERVED, .status_at = DATA,
     DESC({HEADER, 16, N, 1}, {DATA, SECTOR_BYTES, N | W, 2}, {DATA, 1, W, 0})},

    {BLK("request", "readable_byte_behind_the_header_of_a_read"), SERVED, .status = BLK_S_IOERR,
     DESC({HEADER, 17, N, 1}, {DATA, SECTOR_BYTES, N | W, 2}, {STATUS, 1, W, 0})},
    {BLK("request", "100_bytes_are_no_sector"), SERVED, .status = BLK_S_IOERR,
     DESC({HEADER, 16, N, 1}, {DATA, 100, N | W, 2}, {STATUS, 1, W, 0})},
    {BLK("request", "data_in_100_descriptors_of_a_byte"), SERVED, CASE_READS, .size = 128, .write = write_crumbs, .arg = 100},
    {BLK("request", "write_with_its_data_in_the_header_s_descriptor"), SERVED, .write = write_out_in_one, .used_len = 1},
    {BLK("request", "write_that_the_device_is_to_write"), SERVED, .status = BLK_S_IOERR, .write = write_request,
     .arg = REQUEST(BLK_OUT, 0)},
    {BLK("request", "unknown_type"), SERVED, .status = BLK_S_UNSUP, .write = write_request, .arg = REQUEST(77, 0)},
    {BLK("request", "largest_type"), SERVED, .status = BLK_S_UNSUP, .write = write_type_max},
    {BLK("request", "type_2_that_was_scsi"), SERVED, .status = BLK_S_UNSUP, .write = write_request, .arg = REQUEST(2, 0)},
    {BLK("request", "sector_behind_the_disk"), SERVED, .status = BLK_S_IOERR, .write = write_request,
     .arg = REQUEST(BLK_IN, 131072)},
    {BLK("request", "sector_2_55_whose_offset_is_0"), SERVED, .status = BLK_S_IOERR, .write = write_request,
     .arg = REQUEST(BLK_IN, UINT64_C(1) << 55)},
    {BLK("request", "largest_sector"), SERVED, .status = BLK_S_IOERR, .write = write_sector_max},
    {BLK("request", "last_sector"), SERVED, .write = write_request, .arg = REQUEST(BLK_IN, 131071)},
    {BLK("request", "discard_without_ranges"), SERVED, .status = BLK_S_IOERR,
     .write = write_request, .arg = REQUEST(BLK_DISCARD, 0)},
    {BLK("request", "discard_of_15_bytes"), SERVED, .status = BLK_S_IOERR, .write = write_ranges, .arg = 15},
    {BLK("request", "discard_of_33_ranges"), SERVED, .status = BLK_S_IOERR, .write = write_ranges,
     .arg = 16 * (LIMIT_BLK_RANGES + 1)},
    {BLK("request", "discard_of_1_mib_of_ranges"), SERVED, .status = BLK_S_IOERR, .write = write_ranges, .arg = 1 << 20},
    {BLK("request", "discard_of_everything"), SERVED, .status = BLK_S_UNSUP, .write = write_mad_range, .arg = 0xff},
    {BLK("request", "discard_of_7f_everywhere"), SERVED, .status = BLK_S_UNSUP, .write = write_mad_range, .arg = 0x7f},
};
/* clang-format on */

void rings_blk_list(struct ring_list *list)
{
        list_headers(list);
        for (size_t i = 0; i < array_size(cases); i++)
                ring_list_add(list, &cases[i]);
}
