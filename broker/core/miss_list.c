/* A bounded list of pages that are missing.
 * Owns nothing; called by queues and lanes, in the lane's thread, and by the device. TRUST: addresses are the guest's; the list
 * ends at its limit, whatever they are.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/miss_list.h"

#include "broker/core/iotlb.h"

static struct miss_page *list_find(struct miss_list *list, uint64_t iova)
{
        /* From the youngest on: ranges that follow each other meet in one page. */
        for (unsigned i = list->n; i > 0; i--)
                if (list->pages[i - 1].iova == iova)
                        return &list->pages[i - 1];
        return NULL;
}

bool miss_list_has(const struct miss_list *list, uint64_t iova, unsigned rights)
{
        for (unsigned i = 0; i < list->n; i++)
                if (list->pages[i].iova == iova && (list->pages[i].rights & rights) != 0)
                        return true;
        return false;
}

bool miss_list_add(struct miss_list *list, uint64_t iova, unsigned rights)
{
        struct miss_page *page = list_find(list, iova);

        if (page) {
                page->rights |= rights;
                return true;
        }
        return miss_list_offer(list, &(struct miss_page){.iova = iova, .rights = rights});
}

bool miss_list_offer(struct miss_list *list, const struct miss_page *page)
{
        if (list_find(list, page->iova))
                return true;
        if (list->n == LIMIT_IOTLB_MISSES)
                return false;
        list->pages[list->n++] = *page;
        return true;
}

bool miss_list_range(struct miss_list *list, const struct guest_memory *memory, gpa_t at, uint64_t len,
                     unsigned right)
{
        uint64_t done = 0, piece_len;
        bool any = false;
        gpa_t piece;

        /* Pieces are whole pages, so the last may reach over the end of the range, and even end at 2^64. */
        while (done < len && guest_memory_missing(memory, GPA(at.v + done), len - done, right == IOTLB_WRITE,
                                                  &piece, &piece_len)) {
                any = true;
                for (uint64_t i = 0; i < piece_len; i += LIMIT_IOTLB_PAGE)
                        if (!miss_list_add(list, piece.v + i, right))
                                return true;
                done = piece.v + piece_len - at.v;
        }
        return any;
}
