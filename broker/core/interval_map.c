/* A sorted, immutable table of address intervals.
 * Owns its array and one reference on the owner of each interval. Called by guest_memory.c; by every thread
 * that holds a snapshot. TRUST: starts and lengths come from the VMM, looked-up addresses from the guest;
 * every comparison is by subtraction, so that none of them can wrap.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/interval_map.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/limits.h"

struct interval_map {
        atomic_uint refs;
        const struct interval_owner *owner;
        size_t n;
        struct interval items[]; /* by start; no two overlap */
};

static struct interval_map *map_alloc(const struct interval_owner *owner, size_t n)
{
        struct interval_map *map = malloc(sizeof(*map) + n * sizeof(map->items[0]));

        if (!map)
                return NULL;
        atomic_init(&map->refs, 1);
        map->owner = owner;
        map->n = n;
        return map;
}

static void map_ref_owners(struct interval_map *map)
{
        for (size_t i = 0; map->owner && i < map->n; i++)
                map->owner->ref(map->items[i].owner);
}

struct interval_map *interval_map_new(const struct interval_owner *owner)
{
        return map_alloc(owner, 0);
}

struct interval_map *interval_map_ref(struct interval_map *map)
{
        atomic_fetch_add_explicit(&map->refs, 1, memory_order_relaxed);
        return map;
}

struct interval_map *interval_map_unref(struct interval_map *map)
{
        /* Acquire and release: the last holder must see what the others did with the owners before it ends
         * them. */
        if (!map || atomic_fetch_sub_explicit(&map->refs, 1, memory_order_acq_rel) != 1)
                return NULL;
        for (size_t i = 0; map->owner && i < map->n; i++)
                map->owner->unref(map->items[i].owner);
        free(map);
        return NULL;
}

/* How many intervals start at or below this address: the last of them is the only one that can hold it. */
static size_t count_starting_by(const struct interval_map *map, uint64_t at)
{
        size_t low = 0, high = map->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (map->items[middle].start <= at)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

const struct interval *interval_map_find(const struct interval_map *map, uint64_t at)
{
        size_t n = count_starting_by(map, at);
        const struct interval *item;

        if (n == 0)
                return NULL;
        item = &map->items[n - 1];
        return at - item->start < item->len ? item : NULL;
}

/* Does an interval of the map have a byte in [start, start + len)? */
static bool overlaps(const struct interval_map *map, uint64_t start, uint64_t len)
{
        size_t n = count_starting_by(map, start);

        if (n > 0 && start - map->items[n - 1].start < map->items[n - 1].len)
                return true;
        return n < map->n && map->items[n].start - start < len;
}

int interval_map_with(const struct interval_map *from, const struct interval *interval,
                      struct interval_map **ret_map)
{
        struct interval_map *map;
        size_t at;

        if (interval->len == 0 || interval->len - 1 > UINT64_MAX - interval->start)
                return -EINVAL;
        if (overlaps(from, interval->start, interval->len))
                return -EEXIST;
        if (from->n >= LIMIT_REGIONS)
                return -E2BIG;
        map = map_alloc(from->owner, from->n + 1);
        if (!map)
                return -ENOMEM;
        at = count_starting_by(from, interval->start);
        memcpy(map->items, from->items, at * sizeof(map->items[0]));
        map->items[at] = *interval;
        memcpy(map->items + at + 1, from->items + at, (from->n - at) * sizeof(map->items[0]));
        map_ref_owners(map);
        *ret_map = map;
        return 0;
}

int interval_map_without(const struct interval_map *from, uint64_t start, uint64_t len,
                         struct interval_map **ret_map)
{
        const struct interval *item = interval_map_find(from, start);
        struct interval_map *map;
        size_t at;

        if (!item || item->start != start || item->len != len)
                return -ENOENT;
        map = map_alloc(from->owner, from->n - 1);
        if (!map)
                return -ENOMEM;
        at = (size_t)(item - from->items);
        memcpy(map->items, from->items, at * sizeof(map->items[0]));
        memcpy(map->items + at, from->items + at + 1, (map->n - at) * sizeof(map->items[0]));
        map_ref_owners(map);
        *ret_map = map;
        return 0;
}

size_t interval_map_n(const struct interval_map *map)
{
        return map->n;
}

const struct interval *interval_map_at(const struct interval_map *map, size_t i)
{
        return &map->items[i];
}

bool interval_map_one(const struct interval_map *map, uint64_t at, uint64_t len, uint32_t rights,
                      uint64_t *ret_base)
{
        const struct interval *item = interval_map_find(map, at);
        uint64_t inside;

        if (!item || (item->rights & rights) != rights)
                return false;
        inside = at - item->start;
        if (len > item->len - inside)
                return false;
        *ret_base = item->base + inside;
        return true;
}

struct interval_walk interval_walk_start(const struct interval_map *map, uint64_t at, uint64_t len)
{
        const struct interval *end = map->items + map->n;
        const struct interval *first = len > 0 ? interval_map_find(map, at) : NULL;

        return (struct interval_walk){.next = first ? first : end, .end = end, .at = at, .left = len};
}

int interval_walk_next(struct interval_walk *walk, uint32_t rights, uint64_t *ret_base, uint64_t *ret_len)
{
        const struct interval *item = walk->next;
        uint64_t inside, len;

        if (walk->left == 0)
                return 0;
        /* Behind the first piece `at` is where the last interval ended: the next one must start just there.
         * At the end of the address space `at` is 0, where no further interval starts. */
        if (item == walk->end || (item->rights & rights) != rights || walk->at - item->start >= item->len)
                return -EFAULT;
        inside = walk->at - item->start;
        len = item->len - inside;
        if (len > walk->left)
                len = walk->left;
        *ret_base = item->base + inside;
        *ret_len = len;
        walk->at += len;
        walk->left -= len;
        walk->next = item + 1;
        return 1;
}

bool interval_map_covers(const struct interval_map *map, uint64_t at, uint64_t len, uint32_t rights)
{
        struct interval_walk walk;
        uint64_t base, piece;
        int r;

        if (interval_map_one(map, at, len, rights, &base))
                return true;
        walk = interval_walk_start(map, at, len);
        do
                r = interval_walk_next(&walk, rights, &base, &piece);
        while (r > 0);
        return r == 0;
}
