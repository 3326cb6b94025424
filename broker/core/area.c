/* Which pages of a worker's area are whose.
 * Owns a bitmap; called by direct_copy.c, in the lane's thread. TRUST: sees no foreign bytes: how many pages there are
 * was judged with Hello, how many are asked for follows from the guest's judged chain.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/area.h"

#include <assert.h>
#include <string.h>

#include "proto/base/checked.h"

_Static_assert(AREA_PAGES % 64 == 0 && AREA_PAGES <= UINT16_MAX, "whole words, and numbers that fit a span");

void area_init(struct area *area, uint32_t n_pages)
{
        assert(n_pages <= AREA_PAGES);
        memset(area, 0, sizeof(*area));
        area->n_pages = n_pages;
}

void area_resize(struct area *area, uint32_t n_pages)
{
        assert(n_pages >= area->end && n_pages <= AREA_PAGES);
        area->n_pages = n_pages;
}

/* The bits of [first, first + n) that lie in the word of `first`; *ret_n says how many. */
static uint64_t area_mask(uint32_t first, uint32_t n, uint32_t *ret_n)
{
        uint32_t here = MIN(n, 64 - first % 64);

        *ret_n = here;
        return (here == 64 ? UINT64_MAX : (UINT64_C(1) << here) - 1) << (first % 64);
}

static void area_mark(struct area *area, uint32_t first, uint32_t n, bool used)
{
        while (n > 0) {
                uint32_t here;
                uint64_t mask = area_mask(first, n, &here);
                uint64_t *word = &area->used[first / 64];

                assert((*word & mask) == (used ? 0 : mask));
                *word ^= mask;
                first += here;
                n -= here;
        }
}

/* The first page of [from, to) that is used, or that is not; `to`: there is none. */
static uint32_t area_next(const struct area *area, uint32_t from, uint32_t to, bool used)
{
        while (from < to) {
                uint64_t word = area->used[from / 64];
                uint64_t wanted = (used ? word : ~word) >> (from % 64);

                if (wanted)
                        return MIN(from + (uint32_t)__builtin_ctzll(wanted), to);
                from += 64 - from % 64;
        }
        return to;
}

bool area_take(struct area *area, uint32_t n, struct area_span *ret_span)
{
        const uint32_t end = area->n_pages;
        uint32_t first = area_next(area, 0, end, false);

        while (n <= end - first) {
                uint32_t used = area_next(area, first, first + n, true);

                if (used == first + n) {
                        *ret_span = (struct area_span){.first = (uint16_t)first, .n = (uint16_t)n};
                        area_mark(area, first, n, true);
                        area->end = MAX(area->end, first + n);
                        return true;
                }
                first = area_next(area, used, end, false);
        }
        return false;
}

/* One behind the last used page of [0, to); 0: there is none. */
static uint32_t area_last(const struct area *area, uint32_t to)
{
        while (to > 0) {
                uint32_t first = (to - 1) / 64 * 64;
                uint64_t word = area->used[first / 64] << (63 - (to - 1) % 64);

                if (word)
                        return to - (uint32_t)__builtin_clzll(word);
                to = first;
        }
        return 0;
}

void area_give(struct area *area, struct area_span *span)
{
        area_mark(area, span->first, span->n, false);
        if (area->end == (uint32_t)span->first + span->n)
                area->end = area_last(area, area->end);
        *span = (struct area_span){0};
}
