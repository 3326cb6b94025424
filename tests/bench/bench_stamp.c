/* Stamps. Owns the map of generations; one queue's thread uses it. TRUST: the bytes that are judged come from the
 * device under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/bench_stamp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR       512u
#define SECTOR_WORDS (SECTOR / 8)

int bench_stamps_init(struct bench_stamps *stamps, uint64_t run, uint64_t first_sector, uint64_t n_blocks,
                      uint32_t block)
{
        struct bench_stamps made = {
            .run = run, .block = block, .first_sector = first_sector, .n_blocks = n_blocks};

        made.generations = calloc(n_blocks, sizeof(*made.generations));
        made.busy = calloc(n_blocks, sizeof(*made.busy));
        if (!made.generations || !made.busy) {
                bench_stamps_done(&made);
                return -ENOMEM;
        }
        *stamps = made;
        return 0;
}

void bench_stamps_done(struct bench_stamps *stamps)
{
        free(stamps->generations);
        free(stamps->busy);
        stamps->generations = NULL;
        stamps->busy = NULL;
}

/* splitmix64: neighbours have nothing in common. */
static uint64_t scramble(uint64_t x)
{
        x += UINT64_C(0x9e3779b97f4a7c15);
        x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
        return x ^ x >> 31;
}

static uint64_t word_of(const struct bench_stamps *stamps, uint64_t sector, uint32_t generation,
                        unsigned word)
{
        return scramble(stamps->run ^ (sector * SECTOR_WORDS + word)) + generation;
}

static uint64_t sector_of(const struct bench_stamps *stamps, uint64_t at, uint32_t offset)
{
        return stamps->first_sector + (at * stamps->block + offset) / SECTOR;
}

void bench_stamps_fill(struct bench_stamps *stamps, uint64_t at, uint8_t *bytes)
{
        uint32_t generation = ++stamps->generations[at];

        for (uint32_t done = 0; done < stamps->block; done += 8) {
                uint64_t word = word_of(stamps, sector_of(stamps, at, done), generation, done % SECTOR / 8);

                memcpy(bytes + done, &word, sizeof(word));
        }
}

void bench_stamps_spoil(const struct bench_stamps *stamps, uint8_t *bytes)
{
        memset(bytes, 0xa5, stamps->block);
}

bool bench_stamps_match(const struct bench_stamps *stamps, uint64_t at, const uint8_t *bytes,
                        uint64_t *ret_sector)
{
        uint32_t generation = stamps->generations[at];

        for (uint32_t done = 0; generation > 0 && done < stamps->block; done += 8) {
                uint64_t sector = sector_of(stamps, at, done), word;

                memcpy(&word, bytes + done, sizeof(word));
                if (word != word_of(stamps, sector, generation, done % SECTOR / 8)) {
                        *ret_sector = sector;
                        return false;
                }
        }
        return true;
}
