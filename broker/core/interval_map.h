/* A sorted table of address intervals, immutable and refcounted: guest RAM, shared memory regions, I/O
 * translations and DMA windows by the same type.
 *
 * An interval translates: the address start + x stands for base + x. What base means is its user's business
 * (a host address for RAM, a guest address for a translation). A change makes a new map; the old one stays as
 * it was for whoever still holds it, on any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INTERVAL_READ  1u /* rights: that of a translation may lack either; RAM can always be read */
#define INTERVAL_WRITE 2u

struct interval {
        uint64_t start;
        uint64_t len; /* > 0; the last byte, start + (len - 1), does not wrap: an interval may end at 2^64 */
        uint64_t base;
        uint32_t rights;
        void *owner; /* kept alive by every map that holds the interval */
};

/* How owners are counted; one set of functions for all intervals of a map. */
struct interval_owner {
        void (*ref)(void *owner);
        void (*unref)(void *owner);
};

struct interval_map;

/* Empty, with one reference. `owner` must outlive every map made from this one; NULL: nobody owns anything. Neither this map
 * nor one made from it ever has more than `max` intervals. NULL: out of memory. */
struct interval_map *interval_map_new(const struct interval_owner *owner, size_t max);
struct interval_map *interval_map_ref(struct interval_map *map);
struct interval_map *interval_map_unref(struct interval_map *map); /* returns NULL; accepts NULL */

/* A new map = `from` plus one interval (its owner gains a reference), or minus the one that starts and ends
 * exactly there. `from` is untouched. -EINVAL: empty or wraps; -EEXIST: overlaps (adjacent is fine); -E2BIG:
 * it would have more than `max`; -ENOENT; -ENOMEM. */
int interval_map_with(const struct interval_map *from, const struct interval *interval,
                      struct interval_map **ret_map);
int interval_map_without(const struct interval_map *from, uint64_t start, uint64_t len,
                         struct interval_map **ret_map);

/* The caller's map, with nothing but this interval in its range, or with nothing in the range: what reaches over an end of it is
 * split, and goes on to stand for what it stood for. An interval that goes on where its neighbour ends, in what it stands for too and
 * with the same rights and owner, is one with it. Changed in its place where nobody else holds it and nobody owns anything, so that
 * many changes are cheap; else *map becomes a copy, and the others' is untouched. -EINVAL: empty or wraps; -E2BIG; -ENOMEM: nothing
 * has changed. */
int interval_map_replace(struct interval_map **map, const struct interval *interval);
int interval_map_cut(struct interval_map **map, uint64_t start, uint64_t len);

/* A new map of those intervals of `from` whose bit (i of marks[i / 64]) is set. -ENOMEM. */
int interval_map_keep(const struct interval_map *from, const uint64_t *marks, struct interval_map **ret_map);

/* One map behind the other: an address of `outer` stands for one of `inner`, and so for that one's base, with the rights that both
 * give; pieces without any right are left out, and so is what `inner` does not hold. Nobody owns the pieces: keep the maps that
 * they are made of. Adjacent ones that go on are one. Costs O(outer * log inner + pieces). -E2BIG: more than `max` pieces; -ENOMEM. */
int interval_map_compose(const struct interval_map *outer, const struct interval_map *inner, size_t max,
                         struct interval_map **ret_map);

size_t interval_map_n(const struct interval_map *map);
const struct interval *interval_map_at(const struct interval_map *map,
                                       size_t i); /* in order of start; i < n */

/* The interval that holds this address, or NULL. */
const struct interval *interval_map_find(const struct interval_map *map, uint64_t at);

/* The index of the first interval that begins behind this address; interval_map_n: none does. */
size_t interval_map_behind(const struct interval_map *map, uint64_t at);

/* Has an interval of the map a byte in [start, start + len)? len > 0. */
bool interval_map_overlaps(const struct interval_map *map, uint64_t start, uint64_t len);

/* Where a range begins that lies in one interval with these rights: nearly every range does. False: it does not,
 * walk over it. */
bool interval_map_one(const struct interval_map *map, uint64_t at, uint64_t len, uint32_t rights,
                      uint64_t *ret_base);

/* A walk over the pieces of a range that may span adjacent intervals. */
struct interval_walk {
        const struct interval *next, *end; /* the interval that must hold `at` */
        uint64_t at, left;
};
struct interval_walk interval_walk_start(const struct interval_map *map, uint64_t at, uint64_t len);

/* 1: the next piece is [*ret_base, + *ret_len); 0: the range is done; -EFAULT: its next byte is in no
 * interval, or in one without these rights. */
int interval_walk_next(struct interval_walk *walk, uint32_t rights, uint64_t *ret_base, uint64_t *ret_len);

/* Is every byte of the range in some interval with these rights? An empty range is, wherever it lies. */
bool interval_map_covers(const struct interval_map *map, uint64_t at, uint64_t len, uint32_t rights);
