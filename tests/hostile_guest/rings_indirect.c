/* Indirect tables. What the specification permits must be served: direct descriptors before the table, a table
 * anywhere in memory, at any alignment (virtio 1.3, 2.7.5.3). TRUST: the hostile side.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/checked.h"
#include "tests/harness/blk_front.h"
#include "tests/hostile_guest/ring_case.h"

#define BROKEN OUTCOME_BROKEN
#define SERVED OUTCOME_SERVED

#define READ_TABLE TABLE_ROWS(BLK_READ)

/* A table of `arg` buffers in the ring's one descriptor. Of a disk's request the header is cut into all but two. */
static void write_table(struct attack *attack, const struct ring_case *c)
{
        unsigned n = (unsigned)c->arg;
        uint64_t table = c->table_at ? c->table_at : TABLE;

        attack_desc(attack, 0, 0, &(struct desc_row){table, 16 * n, I, 0});
        for (unsigned i = 0; i < n; i++) {
                struct desc_row row = {DATA + 4 * i, 4, W, (uint16_t)(i + 1)};

                if (attack->target == TARGET_BLK && i == 0)
                        row = (struct desc_row){HEADER, 16, 0, 1};
                else if (attack->target == TARGET_BLK)
                        row = (struct desc_row){i == n - 1 ? STATUS : DATA, i == n - 1 ? 1 : SECTOR_BYTES, W,
                                                (uint16_t)(i + 1)};
                if (i < n - 1)
                        row.flags |= N;
                attack_table(attack, table, i, &row);
        }
}

/* `arg` descriptors of the ring before a table that ends the chain: together as many as the ring has. */
static void write_direct_then_table(struct attack *attack, const struct ring_case *c)
{
        unsigned direct = (unsigned)c->arg, in_table = RING_SIZE - direct;

        for (unsigned i = 0; i < direct; i++)
                attack_desc(attack, 0, i,
                            i == 0 && attack->target == TARGET_BLK
                                ? &(struct desc_row){HEADER, 16, N, 1}
                                : &(struct desc_row){DATA, SECTOR_BYTES, N | W, (uint16_t)(i + 1)});
        attack_desc(attack, 0, direct, &(struct desc_row){TABLE, 16 * in_table, I, 0});
        for (unsigned i = 0; i < in_table; i++)
                attack_table(attack, TABLE, i,
                             i == in_table - 1
                                 ? &(struct desc_row){STATUS, 1, W, 0}
                                 : &(struct desc_row){DATA, SECTOR_BYTES, N | W, (uint16_t)(i + 1)});
}

/* A table whose chain jumps about in it: first, last, and one of the middle. */
static void write_jumping(struct attack *attack, const struct ring_case *c)
{
        unsigned n = (unsigned)c->arg;

        attack_desc(attack, 0, 0, &(struct desc_row){TABLE, 16 * n, I, 0});
        attack_table(attack, TABLE, 0, &(struct desc_row){HEADER, 16, N, (uint16_t)(n - 1)});
        attack_table(attack, TABLE, n - 1, &(struct desc_row){DATA, SECTOR_BYTES, N | W, (uint16_t)(n / 2)});
        attack_table(attack, TABLE, n / 2, &(struct desc_row){STATUS, 1, W, 0});
}

/* The table lies in the read-only region, which was filled when it was made. */
static void write_fixed(struct attack *attack, const struct ring_case *c)
{
        (void)c;
        attack_table(attack, FIXED, 0, &(struct desc_row){HEADER, 16, N, 1});
        attack_table(attack, FIXED, 1, &(struct desc_row){DATA, SECTOR_BYTES, N | W, 2});
        attack_table(attack, FIXED, 2, &(struct desc_row){STATUS, 1, W, 0});
        attack_desc(attack, 0, 0, &(struct desc_row){FIXED, 48, I, 0});
}

/* A table that begins `arg` bytes before NEXT, in the region that ends there. */
static void write_crossing(struct attack *attack, const struct ring_case *c)
{
        static const struct desc_row rows[] = {BLK_READ};
        uint64_t at = NEXT - c->arg;
        uint8_t bytes[sizeof(rows)];

        for (size_t i = 0; i < array_size(rows); i++)
                attack_row_bytes(attack, &rows[i], bytes + i * sizeof(rows[0]));
        for (size_t i = 0; i < sizeof(rows); i++)
                *(uint8_t *)guest_map_at(attack->map, at + i, 1) = bytes[i];
        attack_desc(attack, 0, 0, &(struct desc_row){at, sizeof(rows), I, 0});
}

/* clang-format off */
static const struct ring_case cases[] = {
    {"indirect", "length_0", TARGET_BOTH, BROKEN, DESC({TABLE, 0, I, 0}), READ_TABLE},
    {"indirect", "length_1", TARGET_BOTH, BROKEN, DESC({TABLE, 1, I, 0}), READ_TABLE},
    {"indirect", "length_15", TARGET_BOTH, BROKEN, DESC({TABLE, 15, I, 0}), READ_TABLE},
    {"indirect", "length_17", TARGET_BOTH, BROKEN, DESC({TABLE, 17, I, 0}), READ_TABLE},
    {"indirect", "length_47", TARGET_BOTH, BROKEN, DESC({TABLE, 47, I, 0}), READ_TABLE},
    {"indirect", "length_49", TARGET_BOTH, BROKEN, DESC({TABLE, 49, I, 0}), READ_TABLE},
    {"indirect", "length_fffffff0", TARGET_BOTH, BROKEN, DESC({TABLE, 0xfffffff0, I, 0}), READ_TABLE},
    {"indirect", "length_ffffffff", TARGET_BOTH, BROKEN, DESC({TABLE, 0xffffffff, I, 0}), READ_TABLE},
    {"indirect", "length_100000_of_65536_entries", TARGET_BOTH, BROKEN, DESC({TABLE, 0x100000, I, 0}), READ_TABLE},
    {"indirect", "length_of_65537_entries", TARGET_BOTH, BROKEN, DESC({TABLE, 0x100010, I, 0}), READ_TABLE},
    {"indirect", "with_next", TARGET_BOTH, BROKEN, DESC({TABLE, 48, I | N, 1}, {STATUS, 1, W, 0}), READ_TABLE},
    {"indirect", "two_tables", TARGET_BOTH, BROKEN, DESC({TABLE, 48, I | N, 1}, {TABLE, 48, I, 0}), READ_TABLE},
    {"indirect", "in_the_middle", TARGET_BOTH, BROKEN,
     DESC({HEADER, 16, N, 1}, {TABLE, 16, I | N, 2}, {STATUS, 1, W, 0}), TABLE_ROWS({DATA, SECTOR_BYTES, W, 0})},
    {"indirect", "nested", TARGET_BOTH, BROKEN, DESC({TABLE, 16, I, 0}), TABLE_ROWS({TABLE + 0x100, 16, I, 0})},
    {"indirect", "nested_in_itself", TARGET_BOTH, BROKEN, DESC({TABLE, 16, I, 0}), TABLE_ROWS({TABLE, 16, I, 0})},
    {"indirect", "nested_behind_a_header", TARGET_BOTH, BROKEN, DESC({TABLE, 32, I, 0}),
     TABLE_ROWS({HEADER, 16, N, 1}, {TABLE, 16, I, 0})},
    {"indirect", "without_its_feature", TARGET_BOTH, BROKEN, CASE_NO_INDIRECT, DESC({TABLE, 48, I, 0}), READ_TABLE},
    {"indirect", "behind_a_header_without_its_feature", TARGET_BOTH, BROKEN, CASE_NO_INDIRECT,
     DESC({HEADER, 16, N, 1}, {TABLE, 32, I, 0}), TABLE_ROWS({DATA, SECTOR_BYTES, N | W, 1}, {STATUS, 1, W, 0})},
    {"indirect", "one_entry_more_than_the_ring", TARGET_BOTH, BROKEN, .write = write_table, .arg = RING_SIZE + 1},
    {"indirect", "unmapped", TARGET_BOTH, BROKEN, DESC({HOLE, 48, I, 0})},
    {"indirect", "at_0", TARGET_BOTH, BROKEN, DESC({0, 48, I, 0})},
    {"indirect", "into_the_hole", TARGET_BOTH, BROKEN, DESC({HOLE - 32, 48, I, 0})},
    {"indirect", "one_byte_over_the_edge", TARGET_BOTH, BROKEN, DESC({HOLE - 47, 48, I, 0})},
    {"indirect", "from_before_the_first_region", TARGET_BOTH, BROKEN, DESC({MAIN - 16, 48, I, 0})},
    {"indirect", "over_2_64", TARGET_BOTH, BROKEN, DESC({UINT64_MAX - 15, 48, I, 0})},
    {"indirect", "ends_at_2_64", TARGET_BOTH, BROKEN, DESC({UINT64_MAX - 47, 48, I, 0})},
    {"indirect", "over_the_last_page", TARGET_BOTH, BROKEN, DESC({HIGH_END - 16, 48, I, 0})},
    {"indirect", "a_user_address", TARGET_BOTH, BROKEN, DESC({UINT64_C(0x7e0000000000) + TABLE, 48, I, 0})},

    {"indirect", "plain", TARGET_BLK, SERVED, CASE_READS, DESC({TABLE, 48, I, 0}), READ_TABLE},
    {"indirect", "with_write_which_means_nothing", TARGET_BLK, SERVED, CASE_READS, DESC({TABLE, 48, I | W, 0}),
     READ_TABLE},
    {"indirect", "next_field_means_nothing", TARGET_BLK, SERVED, CASE_READS, DESC({TABLE, 48, I, 0xffff}), READ_TABLE},
    {"indirect", "larger_than_its_chain", TARGET_BLK, SERVED, CASE_READS, DESC({TABLE, 96, I, 0}), READ_TABLE},
    {"indirect", "as_long_as_the_ring", TARGET_BOTH, SERVED, .write = write_table, .arg = RING_SIZE},
    {"indirect", "one_entry", TARGET_RNG, SERVED, DESC({TABLE, 16, I, 0}), TABLE_ROWS({DATA, 64, W, 0}), .used_len = 64},
    {"indirect", "1_direct_then_a_table", TARGET_BOTH, SERVED, .write = write_direct_then_table, .arg = 1},
    {"indirect", "8_direct_then_a_table", TARGET_BOTH, SERVED, .write = write_direct_then_table, .arg = 8},
    {"indirect", "15_direct_then_a_table", TARGET_BOTH, SERVED, .write = write_direct_then_table, .arg = 15},
    {"indirect", "unaligned", TARGET_BLK, SERVED, CASE_READS, DESC({TABLE + 1, 48, I, 0}), READ_TABLE,
     .table_at = TABLE + 1},
    {"indirect", "ends_at_the_edge", TARGET_BLK, SERVED, CASE_READS, DESC({HOLE - 48, 48, I, 0}), READ_TABLE,
     .table_at = HOLE - 48},
    {"indirect", "ends_at_the_last_page", TARGET_BLK, SERVED, CASE_READS, DESC({HIGH_END - 48, 48, I, 0}), READ_TABLE,
     .table_at = HIGH_END - 48},
    {"indirect", "jumps_over_16_entries", TARGET_BLK, SERVED, CASE_READS, .size = 64, .write = write_jumping, .arg = 64},
    {"indirect", "jumps_over_1000_entries", TARGET_BLK, SERVED, CASE_READS, .size = 1024, .write = write_jumping,
     .arg = 1024},
    {"indirect", "in_read_only_memory", TARGET_BLK, SERVED, CASE_READS, .write = write_fixed},
    {"indirect", "over_two_regions_in_a_descriptor", TARGET_BLK, SERVED, CASE_READS, .write = write_crossing, .arg = 24},
    {"indirect", "over_two_regions_between_descriptors", TARGET_BLK, SERVED, CASE_READS, .write = write_crossing,
     .arg = 16},
    {"indirect", "over_two_regions_by_a_byte", TARGET_BLK, SERVED, CASE_READS, .write = write_crossing, .arg = 1},
    {"indirect", "in_the_ring_itself", TARGET_BLK, SERVED, CASE_READS, DESC({RING(0) + 16, 48, I, 0}, {HEADER, 16, N, 1},
     {DATA, SECTOR_BYTES, N | W, 2}, {STATUS, 1, W, 0})},
};
/* clang-format on */

void rings_indirect_list(struct ring_list *list)
{
        for (size_t i = 0; i < array_size(cases); i++)
                ring_list_add(list, &cases[i]);
}
