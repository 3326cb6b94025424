/* Whole pages, taken and given back in any order.
 * Owns the marks; called by blk_direct.c. TRUST: lengths are judged; bytes are not looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/blk/blk_staging.h"

#include <string.h>

#include "workers/runtime/trap.h"

void blk_staging_init(struct blk_staging *staging, uint8_t *bytes)
{
        *staging = (struct blk_staging){.bytes = bytes};
}

static uint32_t blk_staging_pages(size_t len)
{
        return (uint32_t)((len + BLK_STAGING_PAGE - 1) / BLK_STAGING_PAGE);
}

/* How many of `n` pages from `first` on are free; not past the end. */
static uint32_t blk_staging_free_run(const struct blk_staging *staging, uint32_t first, uint32_t n)
{
        uint32_t run = 0;

        while (run < n && first + run < BLK_STAGING_PAGES && !staging->used[first + run])
                run++;
        return run;
}

/* Onwards from where the last search ended: what was given back long ago is cold, but it is there; what is taken
 * in order is given back in order, so the first look mostly finds it. */
uint8_t *blk_staging_take(struct blk_staging *staging, size_t len)
{
        uint32_t n = blk_staging_pages(len), looked = 0;
        uint32_t at = staging->next;

        if (n == 0 || n > BLK_STAGING_PAGES)
                worker_trap();
        while (looked <= BLK_STAGING_PAGES + n) {
                uint32_t run = blk_staging_free_run(staging, at, n);

                if (run == n) {
                        memset(&staging->used[at], true, n);
                        staging->next = (at + n) % BLK_STAGING_PAGES;
                        return staging->bytes + (size_t)at * BLK_STAGING_PAGE;
                }
                looked += run + 1;
                at = at + run + 1 < BLK_STAGING_PAGES ? at + run + 1 : 0;
        }
        return NULL;
}

void blk_staging_give(struct blk_staging *staging, const uint8_t *bytes, size_t len)
{
        size_t offset = (size_t)(bytes - staging->bytes);
        uint32_t first = (uint32_t)(offset / BLK_STAGING_PAGE), n = blk_staging_pages(len);

        if (offset % BLK_STAGING_PAGE != 0)
                worker_trap();
        for (uint32_t i = first; i < first + n; i++) {
                if (i >= BLK_STAGING_PAGES || !staging->used[i])
                        worker_trap();
                staging->used[i] = false;
        }
}
