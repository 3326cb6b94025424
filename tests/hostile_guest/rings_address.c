/* Addresses and lengths of buffers, at every edge of every region, and their sums. TRUST: the hostile side.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "tests/harness/blk_front.h"
#include "tests/hostile_guest/ring_case.h"

#define BROKEN OUTCOME_BROKEN
#define SERVED OUTCOME_SERVED

#define CHAIN_MAX LIMIT_CHAIN_BYTES

/* `arg` writable descriptors of 4 MiB each. */
static void write_many_large(struct attack *attack, const struct ring_case *c)
{
        for (unsigned i = 0; i < c->arg; i++)
                attack_desc(attack, 0, i,
                            &(struct desc_row){LARGE, 4u << 20, (uint16_t)(W | (i + 1 < c->arg ? N : 0)),
                                               (uint16_t)(i + 1)});
}

/* A sector that lies in two regions, the first part of it `arg` bytes long. */
static void write_over_regions(struct attack *attack, const struct ring_case *c)
{
        attack_desc(attack, 0, 0, &(struct desc_row){HEADER, 16, N, 1});
        attack_desc(attack, 0, 1, &(struct desc_row){NEXT - c->arg, SECTOR_BYTES, N | W, 2});
        attack_desc(attack, 0, 2, &(struct desc_row){STATUS, 1, W, 0});
}

/* The header, too: its bytes are put on both sides. */
static void write_header_over_regions(struct attack *attack, const struct ring_case *c)
{
        uint8_t header[16] = {0};

        for (unsigned i = 0; i < sizeof(header); i++)
                *(uint8_t *)guest_map_at(attack->map, NEXT - c->arg + i, 1) = header[i];
        attack_desc(attack, 0, 0, &(struct desc_row){NEXT - c->arg, 16, N, 1});
        attack_desc(attack, 0, 1, &(struct desc_row){DATA, SECTOR_BYTES, N | W, 2});
        attack_desc(attack, 0, 2, &(struct desc_row){STATUS, 1, W, 0});
}

/* A header in memory that the device may only read. */
static void write_fixed_header(struct attack *attack, const struct ring_case *c)
{
        (void)c;
        attack_blk_header(attack, FIXED + 0x100, BLK_IN, 0);
        attack_desc(attack, 0, 0, &(struct desc_row){FIXED + 0x100, 16, N, 1});
        attack_desc(attack, 0, 1, &(struct desc_row){DATA, SECTOR_BYTES, N | W, 2});
        attack_desc(attack, 0, 2, &(struct desc_row){STATUS, 1, W, 0});
}

/* One writable buffer; rows for both devices, since the walk judges before any device does. */
#define BUFFER(name, at, len)                                                                                \
        {                                                                                                    \
                "address", name, TARGET_BOTH, BROKEN, DESC({at, len, W, 0})                                  \
        }

/* clang-format off */
static const struct ring_case cases[] = {
    BUFFER("at_0", 0, 64),
    BUFFER("just_before_the_first_region", MAIN - 64, 64),
    BUFFER("from_before_the_first_region", MAIN - 1, 64),
    BUFFER("at_the_hole", HOLE, 64),
    BUFFER("in_the_hole", HOLE + 0x80000, 64),
    BUFFER("last_of_the_hole", FIXED - 1, 1),
    BUFFER("into_the_hole", HOLE - 1, 2),
    BUFFER("over_the_hole_into_the_next_region", HOLE - 64, FIXED - HOLE + 128),
    BUFFER("over_two_regions_into_the_hole", NEXT - 64, NEXT_SIZE + 128),
    BUFFER("one_byte_over_the_last_region", HIGH_END - 1, 2),
    BUFFER("just_behind_the_last_region", HIGH_END, 1),
    BUFFER("to_2_64", HIGH_END - 64, 64 + 0x1000),
    BUFFER("over_2_64", HIGH_END - 64, 64 + 0x1000 + 64),
    BUFFER("wraps_into_the_first_region", UINT64_MAX - 15, 16 + MAIN + 64),
    BUFFER("2_64_minus_1", UINT64_MAX, 1),
    BUFFER("2_64_minus_1_and_2_bytes", UINT64_MAX, 2),
    BUFFER("2_64_minus_4096", UINT64_MAX - 4095, 4096),
    BUFFER("2_63", UINT64_C(1) << 63, 64),
    BUFFER("2_52", UINT64_C(1) << 52, 64),
    BUFFER("a_user_address", UINT64_C(0x7e0000000000) + DATA, 64),
    BUFFER("an_address_with_its_upper_half_set", UINT64_C(0xffffffff00000000) | DATA, 64),
    BUFFER("read_only_memory", FIXED, 64),
    BUFFER("last_of_read_only_memory", FIXED + FIXED_SIZE - 1, 1),
    BUFFER("length_0", DATA, 0),
    BUFFER("length_0_and_unmapped", HOLE, 0),
    BUFFER("length_0_at_2_64_minus_1", UINT64_MAX, 0),
    BUFFER("length_ffffffff", DATA, 0xffffffff),
    BUFFER("length_80000000", LARGE, 0x80000000),
    BUFFER("length_of_its_region_and_1", NEXT, NEXT_SIZE + 1),
    {"address", "readable_at_the_hole", TARGET_BOTH, BROKEN, DESC({HOLE, 16, N, 1}, {DATA, 64, W, 0})},
    {"address", "readable_into_the_hole", TARGET_BOTH, BROKEN, DESC({HOLE - 8, 16, N, 1}, {DATA, 64, W, 0})},
    {"address", "readable_at_2_64_minus_1", TARGET_BOTH, BROKEN, DESC({UINT64_MAX, 1, N, 1}, {DATA, 64, W, 0})},
    {"address", "good_then_unmapped", TARGET_BOTH, BROKEN, DESC({DATA, 64, N | W, 1}, {HOLE, 64, W, 0})},
    {"address", "unmapped_in_a_table", TARGET_BOTH, BROKEN, DESC({TABLE, 32, I, 0}),
     TABLE_ROWS({DATA, 64, N | W, 1}, {HOLE, 64, W, 0})},
    {"address", "status_unmapped", TARGET_BLK, BROKEN,
     DESC({HEADER, 16, N, 1}, {DATA, SECTOR_BYTES, N | W, 2}, {HOLE, 1, W, 0})},
    {"address", "status_of_length_0", TARGET_BLK, BROKEN,
     DESC({HEADER, 16, N, 1}, {DATA, SECTOR_BYTES, N | W, 2}, {STATUS, 0, W, 0})},
    {"address", "status_in_read_only_memory", TARGET_BLK, BROKEN,
     DESC({HEADER, 16, N, 1}, {DATA, SECTOR_BYTES, N | W, 2}, {FIXED, 1, W, 0})},

    {"address", "last_byte_of_a_region", TARGET_RNG, SERVED, DESC({HOLE - 1, 1, W, 0}), .used_len = 1},
    {"address", "first_byte_of_a_region", TARGET_RNG, SERVED, DESC({LARGE, 1, W, 0}), .used_len = 1},
    {"address", "last_byte_below_2_64", TARGET_RNG, SERVED, DESC({HIGH_END - 1, 1, W, 0}), .used_len = 1},
    {"address", "over_two_regions", TARGET_RNG, SERVED, DESC({NEXT - 1, 2, W, 0}), .used_len = 2},
    {"address", "two_whole_regions", TARGET_RNG, SERVED, DESC({MAIN + SCRATCH, MAIN_SIZE + NEXT_SIZE - SCRATCH, W, 0}),
     .used_len = 65536},
    {"address", "status_in_the_last_byte_below_2_64", TARGET_BLK, SERVED, CASE_READS, .status_at = HIGH_END - 1,
     DESC({HEADER, 16, N, 1}, {DATA, SECTOR_BYTES, N | W, 2}, {HIGH_END - 1, 1, W, 0})},
    {"address", "status_in_the_last_byte_of_a_region", TARGET_BLK, SERVED, CASE_READS, .status_at = HOLE - 1,
     DESC({HEADER, 16, N, 1}, {DATA, SECTOR_BYTES, N | W, 2}, {HOLE - 1, 1, W, 0})},
    {"address", "data_over_two_regions_by_a_byte", TARGET_BLK, SERVED, .write = write_over_regions, .arg = 1,
     .used_len = 513},
    {"address", "data_over_two_regions_but_a_byte", TARGET_BLK, SERVED, .write = write_over_regions, .arg = 511,
     .used_len = 513},
    {"address", "header_over_two_regions", TARGET_BLK, SERVED, CASE_READS, .write = write_header_over_regions, .arg = 7},
    {"address", "header_in_read_only_memory", TARGET_BLK, SERVED, CASE_READS, .write = write_fixed_header},
    {"address", "unaligned", TARGET_RNG, SERVED, DESC({DATA + 1, 63, W, 0}), .used_len = 63},
    {"address", "the_same_buffer_twice", TARGET_RNG, SERVED, DESC({DATA, 64, N | W, 1}, {DATA, 64, W, 0}),
     .used_len = 128},
    {"address", "a_buffer_over_the_device_s_own_ring", TARGET_RNG, OUTCOME_SERVED | OUTCOME_BROKEN, CASE_DIRTY,
     DESC({RING(0), 256, W, 0})},
    {"address", "a_buffer_over_the_available_ring", TARGET_RNG, OUTCOME_SERVED | OUTCOME_BROKEN, CASE_DIRTY,
     DESC({RING_AVAIL(0), 38, W, 0})},

    {"sum", "three_of_ffffffff", TARGET_BOTH, BROKEN,
     DESC({LARGE, 0xffffffff, N | W, 1}, {LARGE, 0xffffffff, N | W, 2}, {LARGE, 0xffffffff, W, 0})},
    {"sum", "two_of_80000000", TARGET_BOTH, BROKEN, DESC({LARGE, 0x80000000, N | W, 1}, {LARGE, 0x80000000, W, 0})},
    {"sum", "readable_and_writable_over_2_32", TARGET_BOTH, BROKEN,
     DESC({LARGE, 0x80000000, N, 1}, {LARGE, 0x80000000, W, 0})},
    {"sum", "over_2_32_by_a_byte_that_is_left", TARGET_BOTH, BROKEN,
     DESC({DATA, 64, N | W, 1}, {LARGE, 0xffffffc1, W, 0})},
    {"sum", "nine_of_4_mib", TARGET_BOTH, BROKEN, .write = write_many_large, .arg = 9},
    {"sum", "limit_and_1", TARGET_BOTH, BROKEN, DESC({LARGE, CHAIN_MAX + 1, W, 0})},
    {"sum", "limit_and_1_in_two", TARGET_BOTH, BROKEN, DESC({LARGE, CHAIN_MAX, N | W, 1}, {STATUS, 1, W, 0})},
    {"sum", "limit_and_1_in_both_directions", TARGET_BOTH, BROKEN,
     DESC({HEADER, 16, N, 1}, {LARGE, CHAIN_MAX - 15, W, 0})},
    {"sum", "limit", TARGET_RNG, SERVED, DESC({LARGE, CHAIN_MAX, W, 0}), .used_len = 65536},
    {"sum", "limit_in_eight", TARGET_RNG, SERVED, .write = write_many_large, .arg = 8, .used_len = 65536},
    {"sum", "limit_of_no_whole_sectors", TARGET_BLK, SERVED, .status = BLK_S_IOERR,
     DESC({HEADER, 16, N, 1}, {LARGE, CHAIN_MAX - 17, N | W, 2}, {STATUS, 1, W, 0})},
};
/* clang-format on */

void rings_address_list(struct ring_list *list)
{
        for (size_t i = 0; i < array_size(cases); i++)
                ring_list_add(list, &cases[i]);
}
