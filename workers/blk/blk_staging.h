/* Whole pages that bytes lie in between the image and the guest: an image without the page cache takes and gives
 * nothing but aligned memory.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLK_STAGING_PAGE  4096u
#define BLK_STAGING_PAGES 1024u /* 4 MiB: a disk's bandwidth times its latency, and four requests of 1 MiB */

struct blk_staging {
        uint8_t *bytes; /* BLK_STAGING_PAGES of them, the caller's */
        uint32_t next;  /* where the next search begins */
        bool used[BLK_STAGING_PAGES];
};

/* `bytes` begins a page and outlives the staging. */
void blk_staging_init(struct blk_staging *staging, uint8_t *bytes);

/* Room for `len` bytes (more than 0), or NULL: none now. When nothing is taken there is room for all of it. */
uint8_t *blk_staging_take(struct blk_staging *staging, size_t len);

/* Gives back [bytes, bytes + len), which begins and was taken in whole pages. */
void blk_staging_give(struct blk_staging *staging, const uint8_t *bytes, size_t len);
