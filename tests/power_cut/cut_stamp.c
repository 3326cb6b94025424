/* Sectors that say which write they belong to. Owns nothing; called by power_cut.c and cut_disk.c. TRUST: a
 * sector to be read may hold anything.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/power_cut/cut_stamp.h"

#include <string.h>

#define WORDS (CUT_SECTOR / 8u)

void stamp_fill(uint8_t bytes[static CUT_SECTOR], uint32_t sector, uint32_t id)
{
        uint64_t word = (uint64_t)id << 32 | sector;

        for (unsigned i = 0; i < WORDS; i++) {
                memcpy(bytes + 8u * i, &word, sizeof(word));
                word = (word ^ word >> 29) * UINT64_C(0x9e3779b97f4a7c15) + i;
        }
}

uint32_t stamp_read(const uint8_t bytes[static CUT_SECTOR], uint32_t sector)
{
        static const uint8_t zeroes[CUT_SECTOR];
        uint8_t expected[CUT_SECTOR];
        uint64_t word;
        uint32_t id;

        if (memcmp(bytes, zeroes, CUT_SECTOR) == 0)
                return STAMP_ZERO;
        memcpy(&word, bytes, sizeof(word));
        id = (uint32_t)(word >> 32);
        stamp_fill(expected, sector, id);
        return (uint32_t)word == sector && memcmp(bytes, expected, CUT_SECTOR) == 0 ? id : STAMP_TORN;
}
