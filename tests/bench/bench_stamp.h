/* What a client has written where: every 8 bytes of a disk follow from (run, sector, generation), so that one stale,
 * lost or misplaced sector is found and named.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct bench_stamps {
        uint64_t run; /* tells the bytes of this run from those of any other */
        uint32_t block;
        uint64_t first_sector, n_blocks;
        uint32_t *generations; /* of each block: 0, not written in this run */
        uint8_t *busy;         /* of each block: a request holds it */
};

/* 0 or -ENOMEM. */
int bench_stamps_init(struct bench_stamps *stamps, uint64_t run, uint64_t first_sector, uint64_t n_blocks,
                      uint32_t block);
void bench_stamps_done(struct bench_stamps *stamps);

/* Before a write is posted: the next generation, and its bytes. */
void bench_stamps_fill(struct bench_stamps *stamps, uint64_t at, uint8_t *bytes);
/* Before a read is posted: bytes that no stamp has, so that a device that wrote nothing is found. */
void bench_stamps_spoil(const struct bench_stamps *stamps, uint8_t *bytes);
/* Behind a read: does it hold what was last written there? Blocks not written yet hold what they like. */
bool bench_stamps_match(const struct bench_stamps *stamps, uint64_t at, const uint8_t *bytes,
                        uint64_t *ret_sector);
