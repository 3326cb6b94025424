/* The content of sectors. Owns nothing. TRUST: judges bytes of the device under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_guest/disk_pattern.h"

#include <string.h>

void disk_pattern_fill(uint8_t *bytes, uint32_t disk, uint64_t sector, uint32_t version, unsigned n_sectors)
{
        for (unsigned i = 0; i < n_sectors; i++) {
                uint64_t word =
                    ((uint64_t)disk << 56 ^ (sector + i) << 24 ^ version) * UINT64_C(0x9e3779b97f4a7c15);

                for (unsigned at = 0; at < SECTOR; at += 8) {
                        word ^= word << 13;
                        word ^= word >> 7;
                        word ^= word << 17;
                        memcpy(bytes + i * SECTOR + at, &word, 8);
                }
        }
}

bool disk_pattern_is(const uint8_t *bytes, uint32_t disk, uint64_t sector, uint32_t version,
                     unsigned n_sectors)
{
        uint8_t expected[SECTOR];

        for (unsigned i = 0; i < n_sectors; i++) {
                disk_pattern_fill(expected, disk, sector + i, version, 1);
                if (memcmp(bytes + i * SECTOR, expected, SECTOR) != 0)
                        return false;
        }
        return true;
}
