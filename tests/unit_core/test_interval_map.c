/* The interval map against a byte oracle, and at every edge of the address space.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/interval_map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/limits.h"

#define LAST UINT64_MAX

static int owner_count; /* references that maps hold, over all owners */

static void count_ref(void *owner)
{
        ++*(int *)owner;
        owner_count++;
}

static void count_unref(void *owner)
{
        --*(int *)owner;
        owner_count--;
}

static const struct interval_owner counting = {.ref = count_ref, .unref = count_unref};
static int owners[256];

/* Replaces *map by one with this interval; returns what the map said. */
static int add(struct interval_map **map, uint64_t start, uint64_t len, uint64_t base, uint32_t rights)
{
        struct interval interval = {
            .start = start, .len = len, .base = base, .rights = rights, .owner = &owners[base % 256]};
        struct interval_map *with = *map;
        int r = interval_map_with(*map, &interval, &with);

        if (r == 0)
                (void)interval_map_unref(*map);
        else
                assert_ptr_equal(with, *map); /* untouched on failure */
        *map = with;
        return r;
}

static int drop(struct interval_map **map, uint64_t start, uint64_t len)
{
        struct interval_map *without = *map;
        int r = interval_map_without(*map, start, len, &without);

        if (r == 0)
                (void)interval_map_unref(*map);
        else
                assert_ptr_equal(without, *map);
        *map = without;
        return r;
}

static struct interval_map *map_new(void)
{
        struct interval_map *map = interval_map_new(&counting, LIMIT_REGIONS);

        assert_non_null(map);
        return map;
}

static void map_end(struct interval_map *map)
{
        assert_null(interval_map_unref(map));
        assert_int_equal(owner_count, 0);
}

static void empty_map_holds_nothing(void **state)
{
        struct interval_map *map = map_new();

        (void)state;
        assert_int_equal(interval_map_n(map), 0);
        assert_null(interval_map_find(map, 0));
        assert_null(interval_map_find(map, LAST));
        assert_true(interval_map_covers(map, 0, 0, 0));
        assert_false(interval_map_covers(map, 0, 1, 0));
        map_end(map);
}

static void empty_or_wrapping_interval_is_refused(void **state)
{
        struct interval_map *map = map_new();

        (void)state;
        assert_int_equal(add(&map, 0, 0, 0, 0), -EINVAL);
        assert_int_equal(add(&map, LAST, 0, 0, 0), -EINVAL);
        assert_int_equal(add(&map, LAST, 2, 0, 0), -EINVAL);
        assert_int_equal(add(&map, 1, LAST, 0, 0),
                         0); /* ends with the last byte: 2^64 is where nothing follows */
        assert_int_equal(drop(&map, 1, LAST), 0);
        assert_int_equal(add(&map, 2, LAST, 0, 0), -EINVAL);
        map_end(map);
}

static void interval_may_hold_the_very_last_byte(void **state)
{
        struct interval_map *map = map_new();

        (void)state;
        assert_int_equal(add(&map, LAST, 1, 7, 0), 0);
        assert_int_equal(add(&map, LAST - 4, 4, 8, 0), 0);
        assert_int_equal(add(&map, LAST, 1, 9, 0), -EEXIST);
        assert_int_equal(interval_map_find(map, LAST)->base, 7);
        assert_int_equal(interval_map_find(map, LAST - 1)->base, 8);
        assert_true(interval_map_covers(map, LAST - 4, 5, 0));
        assert_false(interval_map_covers(map, LAST - 4, 6, 0)); /* would go on at 0 */
        assert_int_equal(add(&map, 0, 10, 0, 0), 0);
        assert_false(interval_map_covers(map, LAST - 4, 6, 0)); /* even if something is there */
        assert_false(interval_map_covers(map, LAST, LAST, 0));
        map_end(map);
}

static void overlap_is_refused_and_touching_is_not(void **state)
{
        static const struct {
                uint64_t start, len;
                int r;
        } rows[] = {
            {100, 50, -EEXIST}, {99, 1, 0},        {99, 2, -EEXIST},  {150, 1, 0},
            {149, 1, -EEXIST},  {50, 50, 0},       {50, 51, -EEXIST}, {50, 500, -EEXIST},
            {0, LAST, -EEXIST}, {101, 1, -EEXIST}, {0, 100, 0},       {150, LAST - 149, 0},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct interval_map *map = map_new();

                assert_int_equal(add(&map, 100, 50, 1, 0), 0);
                assert_int_equal(add(&map, rows[i].start, rows[i].len, 2, 0), rows[i].r);
                assert_int_equal(interval_map_n(map), rows[i].r == 0 ? 2 : 1);
                assert_int_equal(owners[2], rows[i].r == 0 ? 1 : 0);
                map_end(map);
        }
}

static void only_the_exact_interval_is_removed(void **state)
{
        struct interval_map *map = map_new();

        (void)state;
        assert_int_equal(add(&map, 100, 50, 1, 0), 0);
        assert_int_equal(add(&map, 150, 50, 2, 0), 0);
        assert_int_equal(drop(&map, 100, 49), -ENOENT);
        assert_int_equal(drop(&map, 100, 51), -ENOENT);
        assert_int_equal(drop(&map, 101, 49), -ENOENT);
        assert_int_equal(drop(&map, 100, 100), -ENOENT);
        assert_int_equal(drop(&map, 99, 50), -ENOENT);
        assert_int_equal(drop(&map, 0, 0), -ENOENT);
        assert_int_equal(interval_map_n(map), 2);
        assert_int_equal(drop(&map, 100, 50), 0);
        assert_int_equal(interval_map_n(map), 1);
        assert_int_equal(owners[1], 0);
        assert_int_equal(interval_map_at(map, 0)->start, 150);
        map_end(map);
}

static void limit_of_regions_is_exact(void **state)
{
        struct interval_map *map = map_new();

        (void)state;
        for (uint64_t i = 0; i < LIMIT_REGIONS; i++)
                assert_int_equal(add(&map, i * 10, 10, i, 0), 0);
        assert_int_equal(add(&map, LIMIT_REGIONS * 10, 10, 0, 0), -E2BIG);
        assert_int_equal(interval_map_n(map), LIMIT_REGIONS);
        assert_int_equal(owner_count, LIMIT_REGIONS);
        assert_int_equal(drop(&map, 0, 10), 0);
        assert_int_equal(add(&map, LIMIT_REGIONS * 10, 10, 0, 0), 0);
        assert_true(interval_map_covers(map, 10, LIMIT_REGIONS * 10, 0));
        assert_false(interval_map_covers(map, 9, LIMIT_REGIONS * 10, 0));
        map_end(map);
}

static void old_map_stays_as_it_was(void **state)
{
        struct interval_map *old = map_new(), *map;

        (void)state;
        assert_int_equal(add(&old, 100, 50, 1, 0), 0);
        map = interval_map_ref(old);
        assert_int_equal(add(&map, 200, 50, 2, 0), 0);
        assert_int_equal(drop(&map, 100, 50), 0);
        assert_non_null(interval_map_find(old, 149));
        assert_null(interval_map_find(old, 200));
        assert_null(interval_map_find(map, 149));
        assert_int_equal(owners[1], 1);
        (void)interval_map_unref(old);
        assert_int_equal(owners[1], 0);
        map_end(map);
}

static void walk_yields_the_pieces_in_order(void **state)
{
        struct interval_map *map = map_new();
        struct interval_walk walk;
        uint64_t base = 77, len = 78;

        (void)state;
        assert_int_equal(add(&map, 100, 50, 1000, INTERVAL_WRITE), 0);
        assert_int_equal(add(&map, 150, 10, 5000, INTERVAL_WRITE), 0);
        assert_int_equal(add(&map, 160, 10, 7000, 0), 0);
        walk = interval_walk_start(map, 140, 30);
        assert_int_equal(interval_walk_next(&walk, INTERVAL_WRITE, &base, &len), 1);
        assert_true(base == 1040 && len == 10);
        assert_int_equal(interval_walk_next(&walk, INTERVAL_WRITE, &base, &len), 1);
        assert_true(base == 5000 && len == 10);
        assert_int_equal(interval_walk_next(&walk, INTERVAL_WRITE, &base, &len), -EFAULT);
        assert_true(base == 5000 && len == 10);
        assert_int_equal(interval_walk_next(&walk, 0, &base, &len), 1);
        assert_true(base == 7000 && len == 10);
        assert_int_equal(interval_walk_next(&walk, 0, &base, &len), 0);
        map_end(map);
}

/* ---- the oracle: one entry per byte of a small window, at the bottom or the top of the address space ----
 */

#define WINDOW 512u

struct oracle {
        uint64_t origin; /* address of byte 0 */
        int id[WINDOW];  /* base + 1 of the interval there; 0: none */
        uint64_t start[WINDOW], len[WINDOW];
        uint32_t rights[WINDOW];
        unsigned n;
};

static uint64_t random_next(uint64_t *state)
{
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return *state >> 33;
}

static void oracle_add(struct oracle *oracle, struct interval_map **map, uint64_t at, uint64_t len, int id,
                       uint32_t rights)
{
        int want = len == 0 || at + len > WINDOW ? -EINVAL : 0;

        if (want == -EINVAL && len != 0 && oracle->origin == 0)
                return; /* only at the top does the window end with the address space */
        for (uint64_t i = at; want == 0 && i < at + len; i++) {
                if (oracle->id[i])
                        want = -EEXIST;
        }
        assert_int_equal(add(map, oracle->origin + at, len, (uint64_t)id, rights), want);
        for (uint64_t i = at; want == 0 && i < at + len; i++) {
                oracle->id[i] = id + 1;
                oracle->start[i] = at;
                oracle->len[i] = len;
                oracle->rights[i] = rights;
        }
        oracle->n += want == 0;
}

static void oracle_drop(struct oracle *oracle, struct interval_map **map, uint64_t at, uint64_t len)
{
        bool exact = oracle->id[at] && oracle->start[at] == at && oracle->len[at] == len;

        assert_int_equal(drop(map, oracle->origin + at, len), exact ? 0 : -ENOENT);
        for (uint64_t i = at; exact && i < at + len; i++)
                oracle->id[i] = 0;
        oracle->n -= exact;
}

static void oracle_ask(const struct oracle *oracle, const struct interval_map *map, uint64_t at, uint64_t len,
                       uint32_t rights)
{
        const struct interval *found = interval_map_find(map, oracle->origin + at);
        bool covered = true;

        assert_int_equal(found != NULL, oracle->id[at] != 0);
        if (found)
                assert_true(found->base == (uint64_t)oracle->id[at] - 1 &&
                            found->start == oracle->origin + oracle->start[at]);
        for (uint64_t i = at; i < at + len; i++)
                covered = covered && i < WINDOW && oracle->id[i] && (oracle->rights[i] & rights) == rights;
        assert_int_equal(interval_map_covers(map, oracle->origin + at, len, rights), covered);
        assert_int_equal(interval_map_n(map), oracle->n);
        assert_int_equal(owner_count, oracle->n);
}

static void property(uint64_t origin, unsigned n_ops)
{
        struct oracle *oracle = calloc(1, sizeof(*oracle));
        struct interval_map *map = map_new();
        uint64_t seed = origin + 1;

        assert_non_null(oracle);
        oracle->origin = origin;
        for (unsigned op = 0; op < n_ops; op++) {
                uint64_t at = random_next(&seed) % WINDOW, len = random_next(&seed) % 24;
                uint64_t kind = random_next(&seed) % 8;
                uint32_t rights = random_next(&seed) % 4 ? INTERVAL_WRITE : 0;

                if (kind < 3)
                        oracle_add(oracle, &map, at, len, (int)(op % 251), rights);
                else if (kind < 5 && oracle->id[at])
                        oracle_drop(oracle, &map, oracle->start[at], oracle->len[at]);
                else if (kind < 6)
                        oracle_drop(oracle, &map, at, len);
                oracle_ask(oracle, map, random_next(&seed) % WINDOW, random_next(&seed) % 64, rights);
        }
        free(oracle);
        map_end(map);
}

static void random_operations_agree_with_bytes_at_the_bottom(void **state)
{
        (void)state;
        property(0, 150000);
}

static void random_operations_agree_with_bytes_at_the_top(void **state)
{
        (void)state;
        property(UINT64_MAX - WINDOW + 1, 150000);
}

/* ---- ranges that are replaced: the oracle says for each byte what it stands for ---- */

struct bytes {
        struct {
                uint64_t base; /* 0: nothing */
                uint32_t rights;
                void *owner;
        } at[WINDOW];
};

static bool is_one(const struct bytes *bytes, uint64_t i)
{
        return i > 0 && bytes->at[i - 1].base != 0 && bytes->at[i].base == bytes->at[i - 1].base + 1 &&
               bytes->at[i].rights == bytes->at[i - 1].rights && bytes->at[i].owner == bytes->at[i - 1].owner;
}

static void assert_is(const struct bytes *bytes, const struct interval_map *map, uint64_t origin)
{
        size_t n = 0;

        for (uint64_t i = 0; i < WINDOW; i++) {
                const struct interval *item = interval_map_find(map, origin + i);

                assert_int_equal(item ? item->base + (origin + i - item->start) : 0, bytes->at[i].base);
                assert_true(!item ||
                            (item->rights == bytes->at[i].rights && item->owner == bytes->at[i].owner));
                n += item && !is_one(bytes, i); /* an interval begins here */
        }
        assert_int_equal(interval_map_n(map), n);
        assert_int_equal(owner_count, n);
}

/* Bases repeat, so that many intervals go on where their neighbour ends. */
static void replace_some(struct bytes *bytes, struct interval_map **map, uint64_t origin, uint64_t *seed)
{
        uint64_t at = random_next(seed) % WINDOW, len = random_next(seed) % 24 + 1;
        struct interval interval = {.start = origin + at,
                                    .base = 1 + at + WINDOW * (random_next(seed) % 2),
                                    .rights = random_next(seed) % 8 == 0,
                                    .owner = &owners[random_next(seed) % 8 == 0]};
        bool is_cut = random_next(seed) % 3 == 0;
        int r;

        interval.len = len = at + len > WINDOW ? WINDOW - at : len;
        r = is_cut ? interval_map_cut(map, interval.start, len) : interval_map_replace(map, &interval);
        assert_int_equal(r, 0);
        for (uint64_t i = 0; i < len; i++) {
                bytes->at[at + i].base = is_cut ? 0 : interval.base + i;
                bytes->at[at + i].rights = interval.rights;
                bytes->at[at + i].owner = interval.owner;
        }
}

static void replaced(uint64_t origin)
{
        struct bytes *bytes = calloc(1, sizeof(*bytes));
        struct interval_map *map = map_new();
        uint64_t seed = origin + 7;

        assert_non_null(bytes);
        for (unsigned i = 0; i < 3000; i++) {
                replace_some(bytes, &map, origin, &seed);
                assert_is(bytes, map, origin);
        }
        free(bytes);
        map_end(map);
}

static void replaced_ranges_agree_with_bytes_at_both_ends(void **state)
{
        (void)state;
        replaced(0);
        replaced(UINT64_MAX - WINDOW + 1);
}

static void range_that_is_none_replaces_nothing(void **state)
{
        struct interval_map *map = map_new(), *untouched = map;
        const struct interval bad[] = {{.start = 5, .len = 0, .owner = &owners[0]},
                                       {.start = LAST, .len = 2, .owner = &owners[0]},
                                       {.start = 2, .len = LAST, .owner = &owners[0]}};

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                assert_int_equal(interval_map_replace(&map, &bad[i]), -EINVAL);
                assert_int_equal(interval_map_cut(&map, bad[i].start, bad[i].len), -EINVAL);
        }
        assert_ptr_equal(untouched, map);
        map_end(map);
}

/* [0, 2^64) cannot be said by one length: its halves do not become one. What stands for the end of a space does not go on at its
 * beginning. */
static void what_would_wrap_is_not_one(void **state)
{
        struct interval_map *map = map_new();
        struct interval interval = {.start = 0, .len = LAST - 9, .base = 0, .owner = &owners[0]};

        (void)state;
        assert_int_equal(interval_map_replace(&map, &interval), 0);
        interval = (struct interval){.start = LAST - 9, .len = 10, .base = LAST - 9, .owner = &owners[0]};
        assert_int_equal(interval_map_replace(&map, &interval), 0);
        assert_int_equal(interval_map_n(map), 2);
        map_end(map);
        map = map_new();
        interval = (struct interval){.start = 100, .len = 10, .base = LAST - 9, .owner = &owners[0]};
        assert_int_equal(interval_map_replace(&map, &interval), 0);
        interval = (struct interval){.start = 110, .len = 10, .base = 0, .owner = &owners[0]};
        assert_int_equal(interval_map_replace(&map, &interval), 0);
        assert_int_equal(interval_map_n(map), 2);
        map_end(map);
}

static void replacing_keeps_the_limit_too(void **state)
{
        struct interval_map *map = map_new(), *before;
        struct interval interval = {.start = 1, .len = 1, .rights = INTERVAL_WRITE, .owner = &owners[0]};

        (void)state;
        for (uint64_t i = 0; i < LIMIT_REGIONS - 1; i++)
                assert_int_equal(add(&map, i * 10, 10, i * 1000, 0), 0);
        before = map;
        assert_int_equal(interval_map_replace(&map, &interval), -E2BIG); /* three for one */
        assert_ptr_equal(map, before);
        assert_int_equal(interval_map_cut(&map, 1, 1), 0); /* two for one */
        assert_int_equal(interval_map_n(map), LIMIT_REGIONS);
        before = map;
        assert_int_equal(interval_map_cut(&map, 21, 1), -E2BIG);
        assert_ptr_equal(map, before);
        assert_int_equal(owner_count, LIMIT_REGIONS);
        map_end(map);
}

/* Whoever holds the map sees what it was; the last who holds it changes it where it is. */
static void what_is_held_by_another_is_copied(void **state)
{
        struct interval_map *map = interval_map_new(NULL, 8), *held, *before;
        const struct interval one = {.start = 0, .len = 4}, other = {.start = 8, .len = 4};

        (void)state;
        assert_non_null(map);
        held = interval_map_ref(map);
        assert_int_equal(interval_map_replace(&map, &one), 0);
        assert_ptr_not_equal(map, held);
        assert_int_equal(interval_map_n(held), 0);
        (void)interval_map_unref(held);
        before = map;
        assert_int_equal(interval_map_replace(&map, &other), 0);
        assert_int_equal(interval_map_cut(&map, 1, 1), 0);
        assert_ptr_equal(map, before);
        assert_int_equal(interval_map_n(map), 3);
        held = interval_map_ref(map);
        assert_int_equal(interval_map_cut(&map, 0, 12), 0);
        assert_int_equal(interval_map_n(map), 0);
        assert_int_equal(interval_map_n(held), 3);
        (void)interval_map_unref(held);
        (void)interval_map_unref(map);
}

/* ---- one map behind the other ---- */

/* Every address of the window by both maps, one after the other. */
static void assert_composed(const struct interval_map *outer, const struct interval_map *inner,
                            const struct interval_map *both, uint64_t origin)
{
        for (uint64_t i = 0; i < WINDOW; i++) {
                const struct interval *first = interval_map_find(outer, origin + i), *is, *second = NULL;
                uint32_t rights = 0;
                uint64_t middle = 0;

                if (first) {
                        middle = first->base + (origin + i - first->start);
                        second = interval_map_find(inner, middle);
                }
                if (second)
                        rights = first->rights & second->rights;
                is = interval_map_find(both, origin + i);
                assert_int_equal(is ? is->rights : 0, rights);
                if (is) {
                        assert_int_equal(is->base + (origin + i - is->start),
                                         second->base + (middle - second->start));
                        assert_null(is->owner);
                }
        }
}

static struct interval_map *random_map(uint64_t origin, uint64_t base, uint64_t *seed)
{
        struct interval_map *map = interval_map_new(NULL, LIMIT_REGIONS);

        assert_non_null(map);
        for (uint64_t n = random_next(seed) % 60; n > 0; n--) {
                uint64_t at = random_next(seed) % WINDOW, len = random_next(seed) % 40 + 1;
                struct interval interval = {.start = origin + at,
                                            .len = at + len > WINDOW ? WINDOW - at : len,
                                            .base = base + random_next(seed) % WINDOW,
                                            .rights = (uint32_t)random_next(seed) % 4};

                assert_int_equal(interval_map_replace(&map, &interval), 0);
        }
        return map;
}

/* The origins also at the top, where bases wrap. */
static void one_map_behind_the_other_is_both(void **state)
{
        uint64_t seed = 3;

        (void)state;
        for (unsigned i = 0; i < 1500; i++) {
                uint64_t origin = i & 1 ? UINT64_MAX - WINDOW + 1 : 0;
                uint64_t middle = i & 2 ? UINT64_MAX - WINDOW + 1 : 0;
                struct interval_map *outer = random_map(origin, middle, &seed), *both;
                struct interval_map *inner = random_map(middle, 1000, &seed);

                assert_int_equal(interval_map_compose(outer, inner, 100000, &both), 0);
                assert_composed(outer, inner, both, origin);
                (void)interval_map_unref(outer);
                (void)interval_map_unref(inner);
                (void)interval_map_unref(both);
        }
}

static void composition_keeps_its_limit(void **state)
{
        struct interval_map *outer = interval_map_new(NULL, LIMIT_REGIONS), *inner, *both = NULL;
        struct interval interval = {.len = 40, .rights = INTERVAL_READ};

        (void)state;
        assert_non_null(outer);
        inner = outer;
        outer = interval_map_ref(outer);
        for (uint64_t i = 0; i < 4; i++) { /* 4 times 4 pieces */
                interval.start = i * 40;
                assert_int_equal(interval_map_replace(&outer, &interval), 0);
        }
        for (uint64_t i = 0; i < 4; i++) {
                struct interval piece = {
                    .start = i * 10, .len = 10, .base = i * 100, .rights = INTERVAL_READ};

                assert_int_equal(interval_map_replace(&inner, &piece), 0);
        }
        assert_int_equal(interval_map_compose(outer, inner, 15, &both), -E2BIG);
        assert_int_equal(interval_map_compose(outer, inner, 0, &both), -E2BIG);
        assert_null(both);
        assert_int_equal(interval_map_compose(outer, inner, 16, &both), 0);
        assert_int_equal(interval_map_n(both), 16);
        (void)interval_map_unref(both);
        (void)interval_map_unref(outer);
        (void)interval_map_unref(inner);
}

static void only_what_lies_in_one_interval_is_one(void **state)
{
        struct interval_map *map = map_new();
        uint64_t base = 99;

        (void)state;
        assert_int_equal(add(&map, 100, 50, 1000, INTERVAL_WRITE), 0);
        assert_int_equal(add(&map, 150, 50, 3000, 0), 0);
        assert_false(interval_map_one(map, 99, 1, 0, &base));
        assert_false(interval_map_one(map, 149, 2, 0, &base)); /* two of them */
        assert_false(interval_map_one(map, 199, 2, 0, &base));
        assert_false(interval_map_one(map, 150, UINT64_MAX, 0, &base));
        assert_false(interval_map_one(map, 150, 1, INTERVAL_WRITE, &base));
        assert_int_equal(base, 99);
        assert_true(interval_map_one(map, 100, 50, INTERVAL_WRITE, &base));
        assert_int_equal(base, 1000);
        assert_true(interval_map_one(map, 149, 1, 0, &base));
        assert_int_equal(base, 1049);
        assert_true(interval_map_one(map, 160, 40, 0, &base));
        assert_int_equal(base, 3010);
        map_end(map);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(empty_map_holds_nothing),
            cmocka_unit_test(empty_or_wrapping_interval_is_refused),
            cmocka_unit_test(interval_may_hold_the_very_last_byte),
            cmocka_unit_test(overlap_is_refused_and_touching_is_not),
            cmocka_unit_test(only_the_exact_interval_is_removed),
            cmocka_unit_test(limit_of_regions_is_exact),
            cmocka_unit_test(old_map_stays_as_it_was),
            cmocka_unit_test(walk_yields_the_pieces_in_order),
            cmocka_unit_test(replaced_ranges_agree_with_bytes_at_both_ends),
            cmocka_unit_test(range_that_is_none_replaces_nothing),
            cmocka_unit_test(what_would_wrap_is_not_one),
            cmocka_unit_test(replacing_keeps_the_limit_too),
            cmocka_unit_test(what_is_held_by_another_is_copied),
            cmocka_unit_test(one_map_behind_the_other_is_both),
            cmocka_unit_test(composition_keeps_its_limit),
            cmocka_unit_test(only_what_lies_in_one_interval_is_one),
            cmocka_unit_test(random_operations_agree_with_bytes_at_the_bottom),
            cmocka_unit_test(random_operations_agree_with_bytes_at_the_top),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
