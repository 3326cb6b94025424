/* A queue of the most descriptors in pages that lie anywhere, over the guest of tests.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/unit_core/guest.h"

#define PAGE LIMIT_IOTLB_PAGE
#define SIZE LIMIT_RING_SIZE

struct order {
        uint8_t page[RING_PAGES];
};

/* The last page first. */
struct order scattered_backwards(void);

/* The split ring in that order, started. */
struct guest *scattered_begin(void **state);

/* One chain through it, and its answer where the driver looks for it. */
void scattered_serve(struct guest *guest, unsigned i);

/* Second mappings of parts of the ring: that there are, that were ever made. */
unsigned scattered_mapped(const struct guest *guest);
uint64_t scattered_made(const struct guest *guest);

/* Mappings of this process, of whatever. */
unsigned scattered_lines_of_maps(void);
