/* Chains that loop, are too long, or go the wrong way. TRUST: the hostile side.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/checked.h"
#include "tests/harness/blk_front.h"
#include "tests/hostile_guest/ring_case.h"

#define BROKEN OUTCOME_BROKEN
#define SERVED OUTCOME_SERVED

/* A chain of `arg` descriptors: of a disk's request the data is cut, of entropy the buffer. */
static void write_long_chain(struct attack *attack, const struct ring_case *c)
{
        unsigned n = (unsigned)c->arg;

        for (unsigned i = 0; i < n; i++) {
                struct desc_row row = {DATA + 4 * i, 4, W, (uint16_t)(i + 1)};

                if (attack->target == TARGET_BLK)
                        row = i == 0 ? (struct desc_row){HEADER, 16, 0, 1}
                                     : (struct desc_row){i == n - 1 ? STATUS : DATA,
                                                         i == n - 1 ? 1 : SECTOR_BYTES, W, (uint16_t)(i + 1)};
                if (i < n - 1)
                        row.flags |= N;
                attack_desc(attack, 0, i, &row);
        }
}

/* `arg` descriptors of the ring, the last of them of a table with as many again as fill the ring, and one: else a
 * request that could be served. */
static void write_direct_and_table(struct attack *attack, const struct ring_case *c)
{
        unsigned direct = (unsigned)c->arg - 1, n = RING_SIZE + 1;

        for (unsigned i = 0; i < n; i++) {
                unsigned place = i < direct ? i : i - direct;
                struct desc_row row = {DATA, SECTOR_BYTES, N | W, (uint16_t)(place + 1)};

                if (i == 0 && attack->target == TARGET_BLK)
                        row = (struct desc_row){HEADER, 16, N, (uint16_t)(place + 1)};
                if (i == n - 1)
                        row = (struct desc_row){STATUS, 1, W, 0};
                if (i < direct)
                        attack_desc(attack, 0, place, &row);
                else
                        attack_table(attack, TABLE, place, &row);
        }
        attack_desc(attack, 0, direct, &(struct desc_row){TABLE, 16 * (n - direct), I, 0});
}

static void write_last(struct attack *attack, const struct ring_case *c)
{
        (void)c;
        attack_desc(attack, 0, RING_SIZE - 1, &(struct desc_row){DATA, 1, N | W, RING_SIZE - 1});
}

/* clang-format off */
static const struct ring_case cases[] = {
    {"loop", "readable_points_at_itself", TARGET_BOTH, BROKEN, DESC({HEADER, 16, N, 0})},
    {"loop", "writable_points_at_itself", TARGET_BOTH, BROKEN, DESC({DATA, 64, N | W, 0})},
    {"loop", "two_readable", TARGET_BOTH, BROKEN, DESC({HEADER, 16, N, 1}, {HEADER, 16, N, 0})},
    {"loop", "two_writable", TARGET_BOTH, BROKEN, DESC({DATA, 64, N | W, 1}, {DATA, 64, N | W, 0})},
    {"loop", "readable_then_writable", TARGET_BOTH, BROKEN, DESC({HEADER, 16, N, 1}, {DATA, 64, N | W, 0})},
    {"loop", "tail_of_three", TARGET_BOTH, BROKEN,
     DESC({HEADER, 16, N, 1}, {DATA, 64, N | W, 2}, {DATA, 64, N | W, 3}, {DATA, 64, N | W, 1})},
    {"loop", "zero_length_points_at_itself", TARGET_BOTH, BROKEN, DESC({DATA, 0, N | W, 0})},
    {"loop", "two_zero_length", TARGET_BOTH, BROKEN, DESC({HEADER, 0, N, 1}, {HEADER, 0, N, 0})},
    {"loop", "zero_length_behind_a_header", TARGET_BOTH, BROKEN, DESC({HEADER, 16, N, 1}, {DATA, 0, N | W, 1})},
    {"loop", "status_points_at_the_head", TARGET_BLK, BROKEN,
     DESC({HEADER, 16, N, 1}, {DATA, SECTOR_BYTES, N | W, 2}, {STATUS, 1, N | W, 0})},
    {"loop", "last_of_the_ring", TARGET_BOTH, BROKEN, .write = write_last, HEADS(15)},
    {"loop", "in_a_table", TARGET_BOTH, BROKEN, DESC({TABLE, 16, I, 0}), TABLE_ROWS({DATA, 64, N | W, 0})},
    {"loop", "two_in_a_table", TARGET_BOTH, BROKEN, DESC({TABLE, 32, I, 0}),
     TABLE_ROWS({DATA, 64, N | W, 1}, {DATA, 64, N | W, 0})},
    {"loop", "zero_length_in_a_table", TARGET_BOTH, BROKEN, DESC({TABLE, 16, I, 0}),
     TABLE_ROWS({DATA, 0, N | W, 0})},
    {"loop", "table_is_the_ring_itself", TARGET_BOTH, BROKEN, DESC({RING(0), 16 * RING_SIZE, I, 0})},

    {"length", "as_long_as_the_ring", TARGET_BOTH, SERVED, .write = write_long_chain, .arg = RING_SIZE},
    {"length", "as_long_as_a_ring_of_2", TARGET_RNG, SERVED, .size = 2, .write = write_long_chain, .arg = 2},
    {"length", "as_many_segments_as_a_disk_takes", TARGET_BLK, SERVED, .size = 256, .write = write_long_chain,
     .arg = 130},
    {"length", "one_segment_more_than_a_disk_takes", TARGET_BLK, BROKEN, .size = 256, .write = write_long_chain,
     .arg = 131},
    {"length", "as_long_as_the_largest_ring", TARGET_RNG, SERVED, .size = 1024, .write = write_long_chain,
     .arg = 1024},
    {"length", "15_and_a_table_are_one_too_many", TARGET_BOTH, BROKEN, .write = write_direct_and_table, .arg = 16},
    {"length", "1_and_a_table_are_one_too_many", TARGET_BOTH, BROKEN, .write = write_direct_and_table, .arg = 2},
    {"length", "8_and_a_table_are_one_too_many", TARGET_BOTH, BROKEN, .write = write_direct_and_table, .arg = 9},

    {"order", "readable_behind_writable", TARGET_BOTH, BROKEN, DESC({DATA, 64, N | W, 1}, {HEADER, 16, 0, 0})},
    {"order", "readable_between_writable", TARGET_BOTH, BROKEN,
     DESC({HEADER, 16, N, 1}, {DATA, SECTOR_BYTES, N | W, 2}, {HEADER, 16, N, 3}, {STATUS, 1, W, 0})},
    {"order", "readable_behind_writable_in_a_table", TARGET_BOTH, BROKEN, DESC({TABLE, 32, I, 0}),
     TABLE_ROWS({DATA, 64, N | W, 1}, {HEADER, 16, 0, 0})},
    {"order", "table_behind_writable_begins_readable", TARGET_BOTH, BROKEN, DESC({DATA, 64, N | W, 1}, {TABLE, 32, I, 0}),
     TABLE_ROWS({HEADER, 16, N, 1}, {STATUS, 1, W, 0})},
    {"order", "all_readable", TARGET_BOTH, BROKEN, DESC({HEADER, 16, N, 1}, {DATA, SECTOR_BYTES, N, 2}, {STATUS, 1, 0, 0})},
    {"order", "all_writable", TARGET_BLK, BROKEN,
     DESC({HEADER, 16, N | W, 1}, {DATA, SECTOR_BYTES, N | W, 2}, {STATUS, 1, W, 0})},
    {"order", "one_readable_byte", TARGET_BOTH, BROKEN, DESC({HEADER, 1, 0, 0})},
    {"order", "readable_before_a_buffer", TARGET_RNG, SERVED, .used_len = 64,
     DESC({HEADER, 16, N, 1}, {DATA, 64, W, 0})},

    {"flags", "unknown_bits_are_ignored", TARGET_BLK, SERVED, CASE_READS,
     DESC({HEADER, 16, N | 0xfff8, 1}, {DATA, SECTOR_BYTES, N | W | 0xfff8, 2}, {STATUS, 1, W | 0xfff8, 0})},
    {"flags", "unknown_bits_are_ignored", TARGET_RNG, SERVED, DESC({DATA, 64, W | 0xfff8, 0}), .used_len = 64},
    {"flags", "all_bits", TARGET_BOTH, BROKEN, DESC({DATA, 64, 0xffff, 0xffff})},
    {"flags", "next_is_not_looked_at_without_its_flag", TARGET_BLK, SERVED, CASE_READS,
     DESC({HEADER, 16, N, 1}, {DATA, SECTOR_BYTES, N | W, 2}, {STATUS, 1, W, 0xffff})},
    {"flags", "next_is_not_looked_at_without_its_flag", TARGET_RNG, SERVED, DESC({DATA, 64, W, 0xffff})},
};
/* clang-format on */

void rings_chain_list(struct ring_list *list)
{
        for (size_t i = 0; i < array_size(cases); i++)
                ring_list_add(list, &cases[i]);
}
