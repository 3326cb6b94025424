/* Pages that something waits for in translated memory (iotlb.h): a bounded list, as it is asked for.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/guest_memory.h"
#include "proto/base/limits.h"

struct miss_page {
        uint64_t iova;   /* whole LIMIT_IOTLB_PAGE */
        unsigned rights; /* IOTLB_READ, IOTLB_WRITE, or both */
        bool
            posted; /* of a chain that has not been taken: it can wait. Else: of a ring, or of a request under way */
};

struct miss_list {
        unsigned n;
        struct miss_page pages[LIMIT_IOTLB_MISSES];
};

static inline void miss_list_clear(struct miss_list *list)
{
        list->n = 0;
}

/* False: it is not in the list. */
bool miss_list_has(const struct miss_list *list, uint64_t iova, unsigned rights);

/* Adds a page; one that is there already, for the same owner, is wanted with the rights of both. False: the list is full. */
bool miss_list_add(struct miss_list *list, uint64_t iova, unsigned rights);

/* Adds one whose wish may be another's: the first that wants a page is heard, the next one in its turn. */
bool miss_list_offer(struct miss_list *list, const struct miss_page *page);

/* Adds what is missing of a range (which does not wrap) with one right, as far as there is room. True: something is missing. */
bool miss_list_range(struct miss_list *list, const struct guest_memory *memory, gpa_t at, uint64_t len,
                     unsigned right);
