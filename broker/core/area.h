/* Which pages of a worker's area are whose, or which other pieces of one size. Pure: knows no address, no process and no
 * request; a worker cannot name anything in here.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/limits.h"

#define AREA_PAGES (LIMIT_AREA / LIMIT_AREA_PAGE)

/* Pages that lie together; n 0: none. */
struct area_span {
        uint16_t first, n;
};

struct area {
        uint32_t n_pages;
        uint32_t end;                   /* one behind the last that is used; 0: none is */
        uint64_t used[AREA_PAGES / 64]; /* a bit a page */
};

/* All pages are free. At most AREA_PAGES. */
void area_init(struct area *area, uint32_t n_pages);

/* The lowest n (at least 1) free pages that lie together: the same ones again and again, while they are in the
 * caches. False: there are none, *ret_span is untouched. */
bool area_take(struct area *area, uint32_t n, struct area_span *ret_span);

/* So many pages are to be had from now on: no fewer than `end`, and at most AREA_PAGES. */
void area_resize(struct area *area, uint32_t n_pages);

/* Gives them back and empties the span; one that is empty already is accepted. */
void area_give(struct area *area, struct area_span *span);
