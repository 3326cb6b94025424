/* A sorted, immutable table of address intervals.
 * Owns its array and one reference on the owner of each interval. Called by guest_memory.c and iotlb.c; by every
 * thread that holds a snapshot. TRUST: starts and lengths come from the VMM or the guest's IOMMU, looked-up addresses from the
 * guest; every comparison is by subtraction, so that none of them can wrap.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/interval_map.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"

struct interval_map {
        atomic_uint refs;
        const struct interval_owner *owner;
        size_t max; /* intervals of this map and of all that are made from it */
        size_t n, room;
        struct interval items[]; /* by start; no two overlap */
};

static size_t map_size(size_t n)
{
        return sizeof(struct interval_map) + n * sizeof(struct interval);
}

static struct interval_map *map_alloc(const struct interval_owner *owner, size_t max, size_t n)
{
        struct interval_map *map = malloc(map_size(n));

        if (!map)
                return NULL;
        atomic_init(&map->refs, 1);
        map->owner = owner;
        map->max = max;
        map->n = map->room = n;
        return map;
}

static void map_ref_owners(struct interval_map *map)
{
        for (size_t i = 0; map->owner && i < map->n; i++)
                map->owner->ref(map->items[i].owner);
}

struct interval_map *interval_map_new(const struct interval_owner *owner, size_t max)
{
        return map_alloc(owner, max, 0);
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

size_t interval_map_behind(const struct interval_map *map, uint64_t at)
{
        return count_starting_by(map, at);
}

bool interval_map_overlaps(const struct interval_map *map, uint64_t start, uint64_t len)
{
        size_t n = count_starting_by(map, start);

        if (n > 0 && start - map->items[n - 1].start < map->items[n - 1].len)
                return true;
        return n < map->n && map->items[n].start - start < len;
}

static bool is_range(uint64_t start, uint64_t len)
{
        return len > 0 && len - 1 <= UINT64_MAX - start;
}

int interval_map_with(const struct interval_map *from, const struct interval *interval,
                      struct interval_map **ret_map)
{
        struct interval_map *map;
        size_t at;

        if (!is_range(interval->start, interval->len))
                return -EINVAL;
        if (interval_map_overlaps(from, interval->start, interval->len))
                return -EEXIST;
        if (from->n >= from->max)
                return -E2BIG;
        map = map_alloc(from->owner, from->max, from->n + 1);
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
        map = map_alloc(from->owner, from->max, from->n - 1);
        if (!map)
                return -ENOMEM;
        at = (size_t)(item - from->items);
        memcpy(map->items, from->items, at * sizeof(map->items[0]));
        memcpy(map->items + at, from->items + at + 1, (map->n - at) * sizeof(map->items[0]));
        map_ref_owners(map);
        *ret_map = map;
        return 0;
}

/* ---- ranges ---- */

/* Is `next` the rest of `item`: there, in what it stands for, and in what may be done with it? */
static bool goes_on(const struct interval *item, const struct interval *next)
{
        return item->start < next->start && next->start - item->start == item->len &&
               item->base < next->base && next->base - item->base == item->len &&
               item->rights == next->rights && item->owner == next->owner &&
               next->len <= UINT64_MAX - item->len;
}

/* `item` starts behind everything in the array, which has room for it. */
static void items_append(struct interval *items, size_t *n, const struct interval *item)
{
        if (*n > 0 && goes_on(&items[*n - 1], item))
                items[*n - 1].len += item->len;
        else
                items[(*n)++] = *item;
}

static void map_append(struct interval_map *map, const struct interval *item)
{
        items_append(map->items, &map->n, item);
}

/* The interval's bytes from an address in it, or just behind its end, which is behind its start. */
static struct interval interval_from(const struct interval *item, uint64_t at)
{
        struct interval rest = *item;

        rest.start = at;
        rest.base += at - item->start;
        rest.len -= at - item->start;
        return rest;
}

/* What comes to stand in place of the items [first, first + n_old): those that the range touches, and the neighbours that
 * may go on with what comes to stand in it. */
struct amendment {
        size_t first, n_old, n_new;
        struct interval items
            [5]; /* a neighbour, what is left in front, what is put there, what is left behind, a neighbour */
};

/* `interval`: what comes to stand in the range, or NULL. */
static void amendment_make(const struct interval_map *map, uint64_t start, uint64_t len,
                           const struct interval *interval, struct amendment *ret_made)
{
        const uint64_t last = start + (len - 1);
        size_t behind = count_starting_by(map, last);
        struct amendment made = {.first = count_starting_by(map, start)};

        if (made.first > 0 && map->items[made.first - 1].start == start)
                made.first--; /* nothing is left of it in front */
        if (made.first > 0) {
                struct interval front = map->items[--made.first];

                front.len = MIN(front.len, start - front.start);
                items_append(made.items, &made.n_new, &front);
        }
        if (interval)
                items_append(made.items, &made.n_new, interval);
        if (behind > 0 && last - map->items[behind - 1].start < map->items[behind - 1].len - 1) {
                struct interval rest = interval_from(&map->items[behind - 1], last + 1);

                items_append(made.items, &made.n_new, &rest);
        }
        if (behind < map->n)
                items_append(made.items, &made.n_new, &map->items[behind++]);
        made.n_old = behind - made.first;
        *ret_made = made;
}

static size_t amended_n(const struct interval_map *map, const struct amendment *made)
{
        return map->n - made->n_old + made->n_new;
}

/* The map has room. */
static void amendment_apply(struct interval_map *map, const struct amendment *made)
{
        struct interval *old = map->items + made->first;

        memmove(old + made->n_new, old + made->n_old,
                (map->n - made->first - made->n_old) * sizeof(map->items[0]));
        memcpy(old, made->items, made->n_new * sizeof(map->items[0]));
        map->n = amended_n(map, made);
}

static int amend_copy(const struct interval_map *from, const struct amendment *made, size_t room,
                      struct interval_map **ret_map)
{
        struct interval_map *map = map_alloc(from->owner, from->max, room);

        if (!map)
                return -ENOMEM;
        memcpy(map->items, from->items, from->n * sizeof(map->items[0]));
        map->n = from->n;
        amendment_apply(map, made);
        map_ref_owners(map);
        *ret_map = map;
        return 0;
}

static int judge_amendment(const struct interval_map *map, uint64_t start, uint64_t len,
                           const struct interval *interval, struct amendment *ret_made)
{
        if (!is_range(start, len))
                return -EINVAL;
        amendment_make(map, start, len, interval, ret_made);
        return amended_n(map, ret_made) > map->max ? -E2BIG : 0;
}

/* Room for twice as many where it has to be another: one that grows step by step is copied few times. */
static int amend(struct interval_map **map, uint64_t start, uint64_t len, const struct interval *interval)
{
        struct interval_map *old = *map;
        struct amendment made;
        int r = judge_amendment(old, start, len, interval, &made);

        if (r < 0)
                return r;
        if (!old->owner && atomic_load_explicit(&old->refs, memory_order_acquire) == 1 &&
            amended_n(old, &made) <= old->room) {
                amendment_apply(old, &made);
                return 0;
        }
        r = amend_copy(old, &made, MIN(2 * (old->n + 2), old->max + 2), map);
        if (r == 0)
                (void)interval_map_unref(old);
        return r;
}

int interval_map_replace(struct interval_map **map, const struct interval *interval)
{
        return amend(map, interval->start, interval->len, interval);
}

int interval_map_cut(struct interval_map **map, uint64_t start, uint64_t len)
{
        return amend(map, start, len, NULL);
}

int interval_map_keep(const struct interval_map *from, const uint64_t *marks, struct interval_map **ret_map)
{
        struct interval_map *map = map_alloc(from->owner, from->max, from->n);

        if (!map)
                return -ENOMEM;
        map->n = 0;
        for (size_t i = 0; i < from->n; i++)
                if (marks[i / 64] >> (i % 64) & 1)
                        map_append(map, &from->items[i]);
        map_ref_owners(map);
        *ret_map = map;
        return 0;
}

/* ---- one behind the other ---- */

static int composition_append(struct interval_map **made, const struct interval *piece)
{
        struct interval_map *map = *made;

        if (map->n == map->room) {
                size_t room = MIN(2 * map->room, map->max + 1); /* one more shows that there are too many */

                map = realloc(map, map_size(room));
                if (!map)
                        return -ENOMEM;
                map->room = room;
                *made = map;
        }
        map_append(map, piece);
        return map->n > map->max ? -E2BIG : 0;
}

/* What is left of an interval of the outer map where one of the inner map begins, and what both make of it. */
static int compose_piece(struct interval_map **made, const struct interval *outer,
                         const struct interval *inner)
{
        uint64_t first = MAX(outer->base, inner->start);
        struct interval piece = interval_from(outer, outer->start + (first - outer->base));

        piece.base = inner->base + (first - inner->start);
        piece.len = MIN(piece.len, inner->len - (first - inner->start));
        piece.rights = outer->rights & inner->rights;
        piece.owner = NULL;
        return piece.rights == 0 ? 0 : composition_append(made, &piece);
}

static int compose_one(struct interval_map **made, const struct interval *outer,
                       const struct interval_map *inner)
{
        uint64_t span = MIN(outer->len - 1, UINT64_MAX - outer->base);
        size_t i = count_starting_by(inner, outer->base);
        int r = 0;

        if (i > 0 && outer->base - inner->items[i - 1].start < inner->items[i - 1].len)
                i--;
        for (; r == 0 && i < inner->n; i++) {
                if (inner->items[i].start > outer->base && inner->items[i].start - outer->base > span)
                        break;
                r = compose_piece(made, outer, &inner->items[i]);
        }
        return r;
}

int interval_map_compose(const struct interval_map *outer, const struct interval_map *inner, size_t max,
                         struct interval_map **ret_map)
{
        /* As many as there are when no interval of the inner map is named twice. */
        struct interval_map *made = map_alloc(NULL, max, MIN(outer->n + inner->n, max) + 1);
        int r = 0;

        if (!made)
                return -ENOMEM;
        made->n = 0;
        for (size_t i = 0; r == 0 && i < outer->n; i++)
                r = compose_one(&made, &outer->items[i], inner);
        if (r < 0) {
                free(made);
                return r;
        }
        *ret_map = made;
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
