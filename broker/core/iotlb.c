/* The translations of one device: what is kept of updates and invalidations.
 * Owns the table. Called by the device, on the main thread; guest_memory.c works the table into snapshots. TRUST: entries come
 * from a VMM or from the guest's own IOMMU; what they stand for is judged where it is looked up, in guest memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/iotlb.h"

#include <errno.h>

#include "broker/core/interval_map.h"
#include "proto/base/checked.h"
#include "proto/base/limits.h"

/* The same bits, so that nothing needs to be put into other words. */
_Static_assert(IOTLB_READ == INTERVAL_READ && IOTLB_WRITE == INTERVAL_WRITE, "rights");

int iotlb_init(struct iotlb *iotlb)
{
        struct interval_map *none = interval_map_new(NULL, LIMIT_IOTLB_ENTRIES);

        if (!none)
                return -ENOMEM;
        *iotlb = (struct iotlb){.entries = interval_map_ref(none), .none = none};
        return 0;
}

void iotlb_done(struct iotlb *iotlb)
{
        iotlb->entries = interval_map_unref(iotlb->entries);
        iotlb->none = interval_map_unref(iotlb->none);
}

static bool is_whole(uint64_t v)
{
        return v % LIMIT_IOTLB_PAGE == 0;
}

/* Whole pages that do not go on at 0. */
static bool is_range(uint64_t iova, uint64_t len)
{
        return len > 0 && is_whole(iova) && is_whole(len) && len - 1 <= UINT64_MAX - iova;
}

static bool is_entry(const struct iotlb_entry *entry)
{
        uint64_t end;

        return is_range(entry->iova, entry->len) && is_whole(entry->gpa) &&
               checked_add_u64(entry->gpa, entry->len, &end) && entry->rights != 0 &&
               (entry->rights & ~(IOTLB_READ | IOTLB_WRITE)) == 0;
}

static void take_entries(struct iotlb *iotlb, struct interval_map *entries)
{
        (void)interval_map_unref(iotlb->entries);
        iotlb->entries = entries;
        iotlb->n_changes++;
}

/* Keepers tell again what was known all along. */
static bool is_known(const struct iotlb *iotlb, const struct iotlb_entry *entry)
{
        const struct interval *item = interval_map_find(iotlb->entries, entry->iova);

        return item && item->rights == entry->rights &&
               item->base + (entry->iova - item->start) == entry->gpa &&
               range_inside(entry->iova - item->start, entry->len, item->len);
}

static int update(struct iotlb *iotlb, const struct iotlb_entry *entry)
{
        int r;

        if (!is_entry(entry))
                return -EINVAL;
        if (is_known(iotlb, entry))
                return 0;
        r = interval_map_replace(&iotlb->entries, &(struct interval){.start = entry->iova,
                                                                     .len = entry->len,
                                                                     .base = entry->gpa,
                                                                     .rights = entry->rights});
        if (r < 0)
                return r == -E2BIG ? -ENOSPC : r;
        iotlb->n_changes++;
        return 0;
}

int iotlb_update(struct iotlb *iotlb, const struct iotlb_entry *entry)
{
        int r = update(iotlb, entry);

        if (r < 0)
                iotlb->n_refused++;
        else
                iotlb->n_updates++;
        return r;
}

int iotlb_invalidate(struct iotlb *iotlb, uint64_t iova, uint64_t len)
{
        if (len != 0 && !is_range(iova, len)) {
                iotlb->n_refused++;
                return -EINVAL;
        }
        iotlb->n_invalidations++;
        if (len != 0 && !interval_map_overlaps(iotlb->entries, iova, len))
                return 0;
        if (len == 0 || interval_map_cut(&iotlb->entries, iova, len) < 0)
                iotlb_clear(iotlb); /* too much is right, too little is not */
        else
                iotlb->n_changes++;
        return 0;
}

void iotlb_keep(struct iotlb *iotlb, const uint64_t *marks)
{
        struct interval_map *entries;

        if (interval_map_keep(iotlb->entries, marks, &entries) < 0)
                iotlb_clear(iotlb);
        else
                take_entries(iotlb, entries);
}

void iotlb_clear(struct iotlb *iotlb)
{
        take_entries(iotlb, interval_map_ref(iotlb->none));
}

size_t iotlb_n(const struct iotlb *iotlb)
{
        return interval_map_n(iotlb->entries);
}

bool iotlb_is_full(const struct iotlb *iotlb)
{
        return iotlb_n(iotlb) + 2 >
               LIMIT_IOTLB_ENTRIES; /* an entry in the middle of another makes three of it */
}
