/* Sectors that say which write they belong to.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#define CUT_SECTOR 512u

#define STAMP_ZERO 0u         /* nothing was ever written, or zeros were */
#define STAMP_TORN UINT32_MAX /* parts of several writes, or of none */

/* Every word of the sector follows from both numbers. id is neither STAMP_ZERO nor STAMP_TORN. */
void stamp_fill(uint8_t bytes[static CUT_SECTOR], uint32_t sector, uint32_t id);

/* The id; STAMP_ZERO for zeros; STAMP_TORN when it is no sector of any one write, or one of another place. */
uint32_t stamp_read(const uint8_t bytes[static CUT_SECTOR], uint32_t sector);
