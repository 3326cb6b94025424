/* What every sector of a test's disk holds: its content follows from disk, sector and version.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SECTOR 512u

void disk_pattern_fill(uint8_t *bytes, uint32_t disk, uint64_t sector, uint32_t version, unsigned n_sectors);
bool disk_pattern_is(const uint8_t *bytes, uint32_t disk, uint64_t sector, uint32_t version,
                     unsigned n_sectors);
