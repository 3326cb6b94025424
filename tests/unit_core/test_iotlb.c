/* The table of translations: each edge of each limit, what is refused, what is split, merged, replaced and forgotten.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/iotlb.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "broker/core/interval_map.h"
#include "proto/base/checked.h"
#include "proto/base/limits.h"

#define PAGE UINT64_C(4096)
#define LAST (UINT64_MAX - PAGE + 1) /* the last page of the address space */
#define R    IOTLB_READ
#define W    IOTLB_WRITE
#define RW   (IOTLB_READ | IOTLB_WRITE)

static int setup(void **state)
{
        static struct iotlb iotlb;

        *state = &iotlb;
        return iotlb_init(&iotlb);
}

static int teardown(void **state)
{
        iotlb_done(*state);
        return 0;
}

static int update(struct iotlb *iotlb, uint64_t iova, uint64_t len, uint64_t gpa, unsigned rights)
{
        return iotlb_update(iotlb,
                            &(struct iotlb_entry){.iova = iova, .len = len, .gpa = gpa, .rights = rights});
}

/* The entries are exactly these. */
#define assert_entries(iotlb, ...)                                                                           \
        do {                                                                                                 \
                const struct iotlb_entry want_[] = {__VA_ARGS__};                                            \
                check_entries(iotlb, want_, array_size(want_));                                              \
        } while (0)

static void check_entries(const struct iotlb *iotlb, const struct iotlb_entry *want, size_t n)
{
        assert_int_equal(iotlb_n(iotlb), n);
        for (size_t i = 0; i < n; i++) {
                const struct interval *is = interval_map_at(iotlb->entries, i);

                assert_int_equal(is->start, want[i].iova);
                assert_int_equal(is->len, want[i].len);
                assert_int_equal(is->base, want[i].gpa);
                assert_int_equal(is->rights, want[i].rights);
        }
}

/* ---- what is refused ---- */

static void entry_that_is_none_is_refused_and_changes_nothing(void **state)
{
        static const struct iotlb_entry bad[] = {
            {0x10000, 0, 0, RW},    /* empty */
            {0x10001, PAGE, 0, RW}, /* parts of pages */
            {0x10800, PAGE, 0, RW},        {0x10000, PAGE - 1, 0, RW},
            {0x10000, PAGE + 1, 0, RW},    {0x10000, PAGE, 1, RW},
            {0x10000, PAGE, PAGE / 2, RW}, {LAST, 2 * PAGE, 0, RW}, /* goes on at 0 */
            {2 * PAGE, LAST, 0, RW},       {0, 2 * PAGE, LAST, RW}, /* stands for what goes on at 0 */
            {0, PAGE, LAST, RW},   /* ... or ends there, as guest memory never does */
            {0x10000, PAGE, 0, 0}, /* no rights, rights that there are not */
            {0x10000, PAGE, 0, 4},         {0x10000, PAGE, 0, RW | 8},
            {0x10000, PAGE, 0, ~0u},
        };
        struct iotlb *iotlb = *state;
        uint64_t before;

        assert_int_equal(update(iotlb, 0x10000, PAGE, PAGE, R), 0);
        before = iotlb->n_changes;
        for (size_t i = 0; i < array_size(bad); i++) {
                assert_int_equal(iotlb_update(iotlb, &bad[i]), -EINVAL);
                assert_int_equal(iotlb->n_refused, i + 1);
                assert_int_equal(iotlb->n_changes, before);
        }
        assert_int_equal(iotlb->n_updates, 1);
        assert_entries(iotlb, {0x10000, PAGE, PAGE, R});
}

static void invalidation_of_parts_of_pages_is_refused(void **state)
{
        static const uint64_t bad[][2] = {
            {1, PAGE}, {0, 1}, {0, PAGE + 1}, {LAST, 2 * PAGE}, {2 * PAGE, LAST}};
        struct iotlb *iotlb = *state;

        assert_int_equal(update(iotlb, 0, PAGE, 0, RW), 0);
        for (size_t i = 0; i < array_size(bad); i++)
                assert_int_equal(iotlb_invalidate(iotlb, bad[i][0], bad[i][1]), -EINVAL);
        assert_int_equal(iotlb->n_refused, array_size(bad));
        assert_int_equal(iotlb->n_invalidations, 0);
        assert_entries(iotlb, {0, PAGE, 0, RW});
}

/* ---- the edges of the address space ---- */

static void last_page_of_the_address_space_is_a_page(void **state)
{
        struct iotlb *iotlb = *state;

        assert_int_equal(update(iotlb, LAST, PAGE, PAGE, RW), 0);
        assert_int_equal(update(iotlb, 0, PAGE, 2 * PAGE, RW), 0); /* goes on nowhere: it does not wrap */
        assert_entries(iotlb, {0, PAGE, 2 * PAGE, RW}, {LAST, PAGE, PAGE, RW});
        assert_int_equal(iotlb_invalidate(iotlb, LAST, PAGE), 0);
        assert_entries(iotlb, {0, PAGE, 2 * PAGE, RW});
}

static void entry_may_be_all_but_a_page(void **state)
{
        struct iotlb *iotlb = *state;

        assert_int_equal(update(iotlb, PAGE, LAST, 0, R), 0); /* ends at 2^64 */
        assert_entries(iotlb, {PAGE, LAST, 0, R});
        assert_int_equal(update(iotlb, LAST, PAGE, 0, R), 0);
        assert_entries(iotlb, {PAGE, LAST - PAGE, 0, R}, {LAST, PAGE, 0, R});
        assert_int_equal(update(iotlb, 0, LAST, 0, R), 0);
        assert_int_equal(update(iotlb, 0, LAST, PAGE, R), -EINVAL); /* its end is no guest address */
        assert_entries(iotlb, {0, LAST, 0, R}, {LAST, PAGE, 0, R});
        assert_int_equal(iotlb_invalidate(iotlb, PAGE, LAST), 0);
        assert_entries(iotlb, {0, PAGE, 0, R});
}

/* ---- replaced, split, merged ---- */

static void newest_wins_and_the_rest_of_the_older_stays(void **state)
{
        struct iotlb *iotlb = *state;

        assert_int_equal(update(iotlb, 0x10000, 4 * PAGE, 0x100000, RW), 0);
        assert_int_equal(update(iotlb, 0x11000, PAGE, 0x900000, RW), 0); /* in its middle */
        assert_entries(iotlb, {0x10000, PAGE, 0x100000, RW}, {0x11000, PAGE, 0x900000, RW},
                       {0x12000, 2 * PAGE, 0x102000, RW});
        assert_int_equal(update(iotlb, 0x10000, PAGE, 0x800000, R), 0); /* one, exactly */
        assert_int_equal(update(iotlb, 0x11000, 2 * PAGE, 0x700000, W),
                         0); /* one, and the first of the next */
        assert_entries(iotlb, {0x10000, PAGE, 0x800000, R}, {0x11000, 2 * PAGE, 0x700000, W},
                       {0x13000, PAGE, 0x103000, RW});
        assert_int_equal(update(iotlb, 0xf000, 16 * PAGE, 0, RW), 0); /* all of them */
        assert_entries(iotlb, {0xf000, 16 * PAGE, 0, RW});
}

static void what_goes_on_is_one_entry(void **state)
{
        struct iotlb *iotlb = *state;

        assert_int_equal(update(iotlb, 0x10000, PAGE, 0x100000, RW), 0);
        assert_int_equal(update(iotlb, 0x12000, PAGE, 0x102000, RW), 0);
        assert_int_equal(update(iotlb, 0x11000, PAGE, 0x101000, RW), 0);
        assert_entries(iotlb, {0x10000, 3 * PAGE, 0x100000, RW});
        assert_int_equal(update(iotlb, 0x13000, PAGE, 0x103000, R), 0);  /* other rights */
        assert_int_equal(update(iotlb, 0xf000, PAGE, 0xfe000, RW), 0);   /* stands for something else */
        assert_int_equal(update(iotlb, 0x15000, PAGE, 0x105000, RW), 0); /* not adjacent */
        assert_entries(iotlb, {0xf000, PAGE, 0xfe000, RW}, {0x10000, 3 * PAGE, 0x100000, RW},
                       {0x13000, PAGE, 0x103000, R}, {0x15000, PAGE, 0x105000, RW});
        assert_int_equal(update(iotlb, 0x13000, 2 * PAGE, 0x103000, RW), 0);
        assert_entries(iotlb, {0xf000, PAGE, 0xfe000, RW}, {0x10000, 6 * PAGE, 0x100000, RW});
}

static void what_is_known_changes_nothing(void **state)
{
        struct iotlb *iotlb = *state;
        uint64_t before;

        assert_int_equal(update(iotlb, 0x10000, 4 * PAGE, 0x100000, RW), 0);
        before = iotlb->n_changes;
        assert_int_equal(update(iotlb, 0x12000, 2 * PAGE, 0x102000, RW), 0);
        assert_int_equal(iotlb_invalidate(iotlb, 0x14000, PAGE), 0); /* nothing is there */
        assert_int_equal(iotlb->n_changes, before);
        assert_int_equal(iotlb->n_updates, 2);
        assert_int_equal(iotlb->n_invalidations, 1);
        assert_int_equal(update(iotlb, 0x12000, 2 * PAGE, 0x102000, R), 0); /* fewer rights are news */
        assert_int_not_equal(iotlb->n_changes, before);
}

static void invalidation_forgets_its_bytes_and_no_other(void **state)
{
        struct iotlb *iotlb = *state;

        assert_int_equal(update(iotlb, 0x10000, 8 * PAGE, 0x100000, RW), 0);
        assert_int_equal(update(iotlb, 0x20000, PAGE, 0x200000, R), 0);
        assert_int_equal(iotlb_invalidate(iotlb, 0x12000, PAGE), 0); /* a split */
        assert_entries(iotlb, {0x10000, 2 * PAGE, 0x100000, RW}, {0x13000, 5 * PAGE, 0x103000, RW},
                       {0x20000, PAGE, 0x200000, R});
        assert_int_equal(iotlb_invalidate(iotlb, 0x11000, 3 * PAGE), 0); /* an end and a start */
        assert_entries(iotlb, {0x10000, PAGE, 0x100000, RW}, {0x14000, 4 * PAGE, 0x104000, RW},
                       {0x20000, PAGE, 0x200000, R});
        assert_int_equal(iotlb_invalidate(iotlb, 0xf000, 10 * PAGE), 0); /* over both ends */
        assert_entries(iotlb, {0x20000, PAGE, 0x200000, R});
        assert_int_equal(iotlb_invalidate(iotlb, 0, 0), 0);
        assert_int_equal(iotlb_n(iotlb), 0);
}

/* ---- the limit ---- */

/* So many single pages that none goes on where another ends. */
static void fill(struct iotlb *iotlb, uint64_t n)
{
        for (uint64_t i = iotlb_n(iotlb); i < n; i++)
                assert_int_equal(update(iotlb, 2 * i * PAGE, PAGE, 0, RW), 0);
        assert_int_equal(iotlb_n(iotlb), n);
}

static void table_is_full_at_its_limit_and_not_before(void **state)
{
        struct iotlb *iotlb = *state;
        uint64_t before;

        fill(iotlb, LIMIT_IOTLB_ENTRIES - 2);
        assert_false(iotlb_is_full(iotlb));
        fill(iotlb, LIMIT_IOTLB_ENTRIES - 1);
        assert_true(iotlb_is_full(iotlb)); /* an entry in the middle of another would be two more */
        fill(iotlb, LIMIT_IOTLB_ENTRIES);
        before = iotlb->n_changes;
        assert_int_equal(update(iotlb, LAST, PAGE, 0, RW), -ENOSPC);
        assert_int_equal(update(iotlb, PAGE, PAGE, PAGE * 7, RW), -ENOSPC);
        assert_int_equal(iotlb->n_refused, 2);
        assert_int_equal(iotlb->n_changes, before);
        /* What needs no more room is taken: another page for one, one that joins two, all of them. */
        assert_int_equal(update(iotlb, 4 * PAGE, PAGE, 3 * PAGE, R), 0);
        assert_int_equal(iotlb_n(iotlb), LIMIT_IOTLB_ENTRIES);
        assert_int_equal(update(iotlb, 4 * PAGE, 3 * PAGE, UINT64_C(1) << 40, RW), 0);
        assert_int_equal(iotlb_n(iotlb), LIMIT_IOTLB_ENTRIES - 1);
        assert_int_equal(update(iotlb, 0, LAST, 0, RW), 0);
        assert_int_equal(iotlb_n(iotlb), 1);
        assert_false(iotlb_is_full(iotlb));
}

static void split_at_the_limit_forgets_all(void **state)
{
        struct iotlb *iotlb = *state;
        const uint64_t large = UINT64_C(1) << 50;

        fill(iotlb, LIMIT_IOTLB_ENTRIES - 2);
        assert_int_equal(update(iotlb, large, 8 * PAGE, 0, RW), 0);
        assert_int_equal(iotlb_invalidate(iotlb, large + PAGE, PAGE), 0); /* the last that fits */
        assert_int_equal(iotlb_n(iotlb), LIMIT_IOTLB_ENTRIES);
        assert_int_equal(update(iotlb, large + 3 * PAGE, PAGE, 0, RW), -ENOSPC);
        assert_int_equal(iotlb_n(iotlb), LIMIT_IOTLB_ENTRIES);
        assert_int_equal(iotlb_invalidate(iotlb, large, PAGE), 0); /* needs no room */
        assert_int_equal(iotlb_n(iotlb), LIMIT_IOTLB_ENTRIES - 1);
        fill(iotlb, LIMIT_IOTLB_ENTRIES);
        assert_int_equal(iotlb_invalidate(iotlb, large + 4 * PAGE, PAGE), 0);
        assert_int_equal(iotlb_n(iotlb), 0);
        assert_int_equal(update(iotlb, 0, PAGE, 0, RW), 0); /* as good as new */
}

static void clear_forgets_and_needs_no_memory(void **state)
{
        struct iotlb *iotlb = *state;
        struct interval_map *held;

        iotlb_clear(iotlb);
        assert_int_equal(update(iotlb, 0, PAGE, 0, RW), 0);
        held = interval_map_ref(iotlb->entries);
        iotlb_clear(iotlb);
        assert_int_equal(iotlb_n(iotlb), 0);
        assert_int_equal(interval_map_n(held), 1); /* who holds the old table still has it */
        (void)interval_map_unref(held);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(entry_that_is_none_is_refused_and_changes_nothing, setup,
                                            teardown),
            cmocka_unit_test_setup_teardown(invalidation_of_parts_of_pages_is_refused, setup, teardown),
            cmocka_unit_test_setup_teardown(last_page_of_the_address_space_is_a_page, setup, teardown),
            cmocka_unit_test_setup_teardown(entry_may_be_all_but_a_page, setup, teardown),
            cmocka_unit_test_setup_teardown(newest_wins_and_the_rest_of_the_older_stays, setup, teardown),
            cmocka_unit_test_setup_teardown(what_goes_on_is_one_entry, setup, teardown),
            cmocka_unit_test_setup_teardown(what_is_known_changes_nothing, setup, teardown),
            cmocka_unit_test_setup_teardown(invalidation_forgets_its_bytes_and_no_other, setup, teardown),
            cmocka_unit_test_setup_teardown(table_is_full_at_its_limit_and_not_before, setup, teardown),
            cmocka_unit_test_setup_teardown(split_at_the_limit_forgets_all, setup, teardown),
            cmocka_unit_test_setup_teardown(clear_forgets_and_needs_no_memory, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
