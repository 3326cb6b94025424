/* Memory through translations and windows: what is there, what is missing, with which rights, and what a ring may lie in.
 *
 *      0x00010000  first      4 pages, writable: pages 0 to 3 of the file
 *      0x00014000  second     4 pages, writable, adjacent: pages 8 to 11
 *      0x00018000  a hole
 *      0x00020000  read-only  2 pages: 12 and 13
 *      0x00030000  a range with holes, 4 pages, whose second is page 14
 *
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/fault_safe.h"
#include "broker/core/guest_memory.h"
#include "broker/core/interval_map.h"
#include "broker/core/iotlb.h"
#include "proto/base/limits.h"

#define PAGE      UINT64_C(4096)
#define FIRST     UINT64_C(0x10000)
#define SECOND    UINT64_C(0x14000)
#define HOLE      UINT64_C(0x18000)
#define READ_ONLY UINT64_C(0x20000)
#define SHMEM     UINT64_C(0x30000)
#define IOVA      UINT64_C(0x7f0000000000)
#define LAST      (UINT64_MAX - PAGE + 1) /* the last page of the address space */
#define R         IOTLB_READ
#define W         IOTLB_WRITE
#define RW        (IOTLB_READ | IOTLB_WRITE)

struct world {
        int fd;
        uint8_t *file;
        struct guest_memory *memory, *view;
        struct iotlb iotlb;
};

static void replace(struct guest_memory **memory, struct guest_memory *by)
{
        (void)guest_memory_unref(*memory);
        *memory = by;
}

static void add(struct world *world, uint64_t start, uint64_t page, uint64_t n_pages, bool writable)
{
        struct guest_mapping *mapping;
        struct guest_memory *with;
        struct guest_region region = {
            .start = GPA(start), .len = n_pages * PAGE, .offset = page * PAGE, .writable = writable};

        assert_int_equal(guest_mapping_new(world->fd, 0, 16 * PAGE, writable, &mapping), 0);
        region.mapping = mapping;
        assert_int_equal(guest_memory_with(world->memory, &region, &with), 0);
        (void)guest_mapping_unref(mapping);
        replace(&world->memory, with);
}

static int setup(void **state)
{
        struct world *world = calloc(1, sizeof(*world));
        struct guest_memory *with;

        assert_non_null(world);
        assert_int_equal(fault_safe_install(), 0);
        world->fd = memfd_create("bulkhead-test-view", MFD_CLOEXEC);
        assert_int_equal(ftruncate(world->fd, 16 * PAGE), 0);
        world->file = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, world->fd, 0);
        assert_ptr_not_equal(world->file, MAP_FAILED);
        for (uint64_t i = 0; i < 16; i++)
                memset(world->file + i * PAGE, (int)i + 1, PAGE);
        world->memory = guest_memory_new();
        assert_non_null(world->memory);
        add(world, FIRST, 0, 4, true);
        add(world, SECOND, 8, 4, true);
        add(world, READ_ONLY, 12, 2, false);
        assert_int_equal(guest_memory_with_shmem(world->memory, GPA(SHMEM), 4 * PAGE, &with), 0);
        replace(&world->memory, with);
        add(world, SHMEM + PAGE, 14, 1, true);
        assert_int_equal(iotlb_init(&world->iotlb), 0);
        *state = world;
        return 0;
}

static int teardown(void **state)
{
        struct world *world = *state;

        iotlb_done(&world->iotlb);
        replace(&world->view, NULL);
        replace(&world->memory, NULL);
        (void)munmap(world->file, 16 * PAGE);
        close(world->fd);
        free(world);
        return 0;
}

static void view(struct world *world)
{
        struct guest_memory *made;

        assert_int_equal(guest_memory_translate(world->memory, world->iotlb.entries, &made), 0);
        replace(&world->view, made);
}

/* One more translation, and the view with it. */
static void map(struct world *world, uint64_t iova, uint64_t n_pages, uint64_t gpa, unsigned rights)
{
        struct iotlb_entry entry = {.iova = iova, .len = n_pages * PAGE, .gpa = gpa, .rights = rights};

        assert_int_equal(iotlb_update(&world->iotlb, &entry), 0);
        view(world);
}

/* The byte there: 1 + the page of the file; -1: it cannot be read. */
static int byte_at(const struct world *world, uint64_t at)
{
        uint8_t byte = 0;

        return guest_memory_read(world->view, GPA(at), &byte, 1) == 0 ? byte : -1;
}

static bool can_write(const struct world *world, uint64_t at)
{
        uint8_t byte = 0x5a;
        int r = guest_memory_write(world->view, GPA(at), &byte, 1);

        assert_int_equal(r == 0, guest_memory_covers_whole(world->view, GPA(at), 1, true));
        return r == 0;
}

static void assert_missing(const struct world *world, uint64_t at, uint64_t len, bool write, uint64_t want_at,
                           uint64_t want_len)
{
        uint64_t is_len = 77;
        gpa_t is_at = GPA(77);

        assert_true(guest_memory_missing(world->view, GPA(at), len, write, &is_at, &is_len));
        assert_int_equal(is_at.v, want_at);
        assert_int_equal(is_len, want_len);
}

static void assert_there(const struct world *world, uint64_t at, uint64_t len, bool write)
{
        uint64_t is_len = 77;
        gpa_t is_at = GPA(77);

        assert_true(guest_memory_covers(world->view, GPA(at), len, write));
        assert_false(guest_memory_missing(world->view, GPA(at), len, write, &is_at, &is_len));
        assert_true(is_at.v == 77 && is_len == 77); /* untouched */
}

/* ---- translations ---- */

static void translated_pages_are_found_where_they_stand_for(void **state)
{
        struct world *world = *state;
        uint8_t bytes[3 * PAGE];

        map(world, IOVA, 1, FIRST + 2 * PAGE, RW);
        map(world, IOVA + PAGE, 1, FIRST, RW);
        map(world, IOVA + 2 * PAGE, 2, SECOND - PAGE, RW); /* over two regions */
        assert_int_equal(byte_at(world, IOVA), 3);
        assert_int_equal(byte_at(world, IOVA + PAGE), 1);
        assert_int_equal(byte_at(world, IOVA + 2 * PAGE), 4);
        assert_int_equal(byte_at(world, IOVA + 3 * PAGE), 9);
        assert_int_equal(byte_at(world, FIRST), -1); /* a guest-physical address is none here */
        assert_int_equal(guest_memory_read(world->view, GPA(IOVA + PAGE / 2), bytes, sizeof(bytes)), 0);
        assert_true(bytes[0] == 3 && bytes[PAGE / 2] == 1 && bytes[2 * PAGE] == 4 &&
                    bytes[3 * PAGE - 1] == 9);
        assert_int_equal(guest_memory_zero(world->view, GPA(IOVA + PAGE - 1), 2), 0);
        assert_true(world->file[3 * PAGE - 1] == 0 && world->file[0] == 0 && world->file[1] == 1);
        assert_int_equal(guest_memory_bytes(world->view), 4 * PAGE);
        assert_true(guest_memory_is_translated(world->view));
        assert_false(guest_memory_is_translated(world->memory));
}

static void rights_are_those_that_memory_and_translation_give(void **state)
{
        struct world *world = *state;

        map(world, IOVA, 1, FIRST, R);
        map(world, IOVA + PAGE, 1, FIRST + PAGE, W);
        map(world, IOVA + 2 * PAGE, 1, READ_ONLY, RW);
        map(world, IOVA + 3 * PAGE, 1, READ_ONLY, W); /* comes to nothing */
        assert_int_equal(byte_at(world, IOVA), 1);
        assert_int_equal(byte_at(world, IOVA + PAGE), -1);
        assert_int_equal(byte_at(world, IOVA + 2 * PAGE), 13);
        assert_int_equal(byte_at(world, IOVA + 3 * PAGE), -1);
        assert_false(can_write(world, IOVA));
        assert_true(can_write(world, IOVA + PAGE));
        assert_false(can_write(world, IOVA + 2 * PAGE));
        assert_false(can_write(world, IOVA + 3 * PAGE));
        assert_int_equal(guest_memory_n_regions(world->view), 3);
        assert_missing(world, IOVA, 4 * PAGE, false, IOVA + PAGE, PAGE);
        assert_missing(world, IOVA, 4 * PAGE, true, IOVA, PAGE);
        assert_missing(world, IOVA + PAGE, 3 * PAGE, true, IOVA + 2 * PAGE, 2 * PAGE);
}

static void poisoned_entries_reach_nothing(void **state)
{
        struct world *world = *state;

        map(world, IOVA, 16, HOLE - PAGE, RW); /* a page, the hole, the read-only ones, and behind them */
        map(world, 0, 1, LAST - PAGE, RW);     /* the end of all guest memory */
        assert_int_equal(guest_memory_n_regions(world->view), 2);
        assert_int_equal(byte_at(world, IOVA), 12);
        assert_int_equal(byte_at(world, IOVA + PAGE), -1);
        assert_int_equal(byte_at(world, IOVA + READ_ONLY - HOLE + PAGE), 13);
        assert_int_equal(byte_at(world, IOVA + READ_ONLY - HOLE + 2 * PAGE), 14);
        assert_int_equal(byte_at(world, IOVA + READ_ONLY - HOLE + 3 * PAGE), -1);
        assert_int_equal(byte_at(world, 0), -1);
        assert_missing(world, IOVA, 16 * PAGE, false, IOVA + PAGE, READ_ONLY - HOLE);
        assert_int_equal(iotlb_update(&world->iotlb,
                                      &(struct iotlb_entry){.iova = 0, .len = LAST, .gpa = 0, .rights = RW}),
                         0);
        view(world); /* all there is, one to one */
        assert_int_equal(byte_at(world, SECOND), 9);
        assert_int_equal(guest_memory_bytes(world->view), guest_memory_bytes(world->memory));
}

static void translations_end_with_the_address_space(void **state)
{
        struct world *world = *state;

        map(world, LAST - PAGE, 2, FIRST, RW);
        map(world, 0, 1, FIRST + 2 * PAGE, RW);
        assert_int_equal(byte_at(world, UINT64_MAX), 2);
        assert_there(world, LAST - PAGE, 2 * PAGE, true);
        assert_false(guest_memory_covers(world->view, GPA(LAST), PAGE + 1, false)); /* would go on at 0 */
        map(world, LAST - PAGE, 2, SHMEM, RW);                                      /* nor over holes */
        assert_there(world, LAST - PAGE, 2 * PAGE, true);
        assert_false(guest_memory_covers(world->view, GPA(LAST), PAGE + 1, false));
        assert_int_equal(iotlb_invalidate(&world->iotlb, 0, 0), 0);
        view(world);
        assert_missing(world, LAST + 7, 1, false, LAST, PAGE);
        assert_missing(world, LAST - 1, PAGE + 1, false, LAST - PAGE, 2 * PAGE);
        assert_missing(world, 0, UINT64_MAX, false, 0, LAST); /* more, no length could say */
        assert_missing(world, 1, UINT64_MAX, false, 0, LAST);
}

static void what_is_missing_is_told_in_whole_pages(void **state)
{
        struct world *world = *state;

        map(world, IOVA + PAGE, 1, FIRST, RW);
        map(world, IOVA + 4 * PAGE, 1, FIRST + PAGE, RW);
        assert_there(world, IOVA + PAGE, PAGE, true);
        assert_there(world, IOVA, 0, true); /* nothing of nothing */
        assert_missing(world, IOVA, 1, false, IOVA, PAGE);
        assert_missing(world, IOVA + PAGE - 1, 1, false, IOVA, PAGE);
        assert_missing(world, IOVA + PAGE - 1, 2, false, IOVA, PAGE); /* what follows is there */
        assert_missing(world, IOVA + 2 * PAGE - 1, 2, false, IOVA + 2 * PAGE, PAGE);
        assert_missing(world, IOVA + 2 * PAGE - 1, PAGE + 2, false, IOVA + 2 * PAGE, 2 * PAGE);
        assert_missing(world, IOVA + PAGE, 8 * PAGE, false, IOVA + 2 * PAGE,
                       2 * PAGE); /* the first piece only */
        assert_missing(world, IOVA + 4 * PAGE, PAGE + 1, true, IOVA + 5 * PAGE, PAGE);
        assert_missing(world, IOVA + 5 * PAGE + 10, 3 * PAGE, true, IOVA + 5 * PAGE, 4 * PAGE);
}

static void memory_that_is_no_view_can_be_asked_too(void **state)
{
        struct world *world = *state;

        world->view = guest_memory_ref(world->memory);
        assert_there(world, FIRST, 8 * PAGE, true);
        assert_missing(world, FIRST, 9 * PAGE, false, HOLE, PAGE);
        assert_missing(world, READ_ONLY, 1, true, READ_ONLY, PAGE);
        assert_there(world, SHMEM, 4 * PAGE, true);
}

/* ---- rings, spans ---- */

static void ring_lies_in_pieces_that_follow_each_other(void **state)
{
        struct world *world = *state;
        uint8_t *ring;

        map(world, IOVA, 1, FIRST, RW);
        map(world, IOVA + PAGE, 1, FIRST + PAGE, RW);
        map(world, IOVA + 2 * PAGE, 1, FIRST + 2 * PAGE, R);
        assert_int_equal(guest_memory_n_regions(world->view), 2); /* two are one */
        ring = guest_memory_ring(world->view, GPA(IOVA + PAGE - 64), 128, 16, true);
        assert_non_null(ring);
        assert_true(ring[0] == 1 && ring[64] == 2);
        ring = guest_memory_ring(world->view, GPA(IOVA), 3 * PAGE, 16,
                                 false); /* whatever else their rights are */
        assert_non_null(ring);
        assert_int_equal(ring[3 * PAGE - 1], 3);
        assert_null(guest_memory_ring(world->view, GPA(IOVA), 3 * PAGE, 16, true));
        assert_null(guest_memory_ring(world->view, GPA(IOVA), 3 * PAGE + 1, 16, false));
        assert_null(guest_memory_ring(world->view, GPA(IOVA + 8), 64, 16, false));
        /* Translated wholly, but elsewhere. */
        map(world, IOVA + 2 * PAGE, 1, FIRST, R);
        assert_there(world, IOVA, 3 * PAGE, false);
        assert_null(guest_memory_ring(world->view, GPA(IOVA), 3 * PAGE, 16, false));
        map(world, IOVA + PAGE, 1, SECOND, RW);
        assert_null(guest_memory_ring(world->view, GPA(IOVA), 2 * PAGE, 16, false));
}

static void spans_of_a_view_are_its_pieces(void **state)
{
        struct world *world = *state;
        struct iovec spans[4];
        size_t n = 0;

        map(world, IOVA, 1, FIRST + PAGE, RW);
        map(world, IOVA + PAGE, 1, FIRST, RW);
        assert_int_equal(guest_memory_iovec(world->view, GPA(IOVA + 100), 2 * PAGE - 100, true, spans, 4, &n),
                         2 * PAGE - 100);
        assert_int_equal(n, 2);
        assert_true(spans[0].iov_len == PAGE - 100 && *(uint8_t *)spans[0].iov_base == 2);
        assert_true(spans[1].iov_len == PAGE && *(uint8_t *)spans[1].iov_base == 1);
        assert_int_equal(guest_memory_iovec(world->view, GPA(IOVA), 2 * PAGE + 1, true, spans, 4, &n),
                         -EFAULT);
        assert_int_equal(n, 2);
}

/* ---- ranges with holes ---- */

static void holes_are_translated_too(void **state)
{
        struct world *world = *state;

        map(world, IOVA, 3, SHMEM, RW);
        map(world, IOVA + 3 * PAGE, 1, SHMEM + 3 * PAGE, R);
        assert_there(world, IOVA, 3 * PAGE, true);
        assert_there(world, IOVA, 4 * PAGE, false); /* nobody's mistake, ... */
        assert_int_equal(byte_at(world, IOVA), -1); /* ... but an error */
        assert_int_equal(byte_at(world, IOVA + PAGE), 15);
        assert_missing(world, IOVA, 4 * PAGE, true, IOVA + 3 * PAGE, PAGE);
        assert_missing(world, IOVA, 5 * PAGE, false, IOVA + 4 * PAGE, PAGE);
        assert_true(guest_memory_has_shmem(world->view, GPA(IOVA), 1));
        assert_false(guest_memory_has_shmem(world->view, GPA(SHMEM), 1));
        assert_false(guest_memory_covers_whole(world->view, GPA(IOVA + PAGE), 1, false));
        assert_null(guest_memory_ring(world->view, GPA(IOVA + PAGE), 16, 16, false));
        /* A page of RAM in front of one that may go away: that is no ring either. */
        map(world, IOVA - PAGE, 1, FIRST, RW);
        assert_non_null(guest_memory_ring(world->view, GPA(IOVA - PAGE), PAGE, 16, true));
        assert_null(guest_memory_ring(world->view, GPA(IOVA - PAGE), PAGE + 16, 16, true));
}

/* ---- windows ---- */

static struct interval_map *windows_of(uint64_t start, uint64_t len)
{
        struct interval_map *none = interval_map_new(NULL, 4), *windows;

        assert_non_null(none);
        assert_int_equal(
            interval_map_with(
                none, &(struct interval){.start = start, .len = len, .base = start, .rights = RW}, &windows),
            0);
        (void)interval_map_unref(none);
        return windows;
}

static void memory_outside_of_the_windows_is_not_there(void **state)
{
        struct world *world = *state;
        struct interval_map *windows = windows_of(SECOND - PAGE, SHMEM + PAGE - (SECOND - PAGE));

        assert_int_equal(guest_memory_confine(world->memory, windows, &world->view), 0);
        assert_false(guest_memory_is_translated(world->view));
        assert_there(world, SECOND - PAGE, 5 * PAGE, true);
        assert_int_equal(byte_at(world, SECOND - PAGE), 4);
        assert_int_equal(byte_at(world, SECOND - PAGE - 1), -1);
        assert_missing(world, FIRST, 8 * PAGE, false, FIRST, 3 * PAGE);
        assert_there(world, READ_ONLY, PAGE, false);
        assert_missing(world, READ_ONLY, PAGE, true, READ_ONLY, PAGE);
        assert_there(world, SHMEM, PAGE, true);
        assert_missing(world, SHMEM, 2 * PAGE, true, SHMEM + PAGE, PAGE);
        assert_int_equal(guest_memory_bytes(world->view), 7 * PAGE);
        assert_false(guest_memory_is_outside(world->view, GPA(SECOND - PAGE), 5 * PAGE));
        assert_false(
            guest_memory_is_outside(world->view, GPA(HOLE), PAGE)); /* no memory, but in the window */
        assert_true(guest_memory_is_outside(world->view, GPA(SECOND - PAGE - 1), 2));
        assert_true(guest_memory_is_outside(world->view, GPA(SHMEM + PAGE - 1), 2));
        assert_true(guest_memory_is_outside(world->view, GPA(UINT64_MAX), 2)); /* ... and what wraps */
        assert_false(guest_memory_is_outside(world->memory, GPA(HOLE), PAGE));
        (void)interval_map_unref(windows);
}

static void translations_reach_no_further_than_the_windows(void **state)
{
        struct world *world = *state;
        struct interval_map *windows = windows_of(FIRST + PAGE, PAGE);
        struct guest_memory *confined, *made;

        assert_int_equal(guest_memory_confine(world->memory, windows, &confined), 0);
        map(world, IOVA, 3, FIRST, RW);
        assert_int_equal(guest_memory_translate(confined, world->iotlb.entries, &made), 0);
        replace(&world->view, made);
        (void)guest_memory_unref(confined);
        (void)interval_map_unref(windows);
        assert_int_equal(byte_at(world, IOVA), -1);
        assert_int_equal(byte_at(world, IOVA + PAGE), 2);
        assert_int_equal(byte_at(world, IOVA + 2 * PAGE), -1);
        assert_true(guest_memory_is_translated(world->view));
}

/* ---- views as such ---- */

static void view_keeps_what_it_is_a_view_of(void **state)
{
        struct world *world = *state;

        map(world, IOVA, 8, FIRST, RW);
        replace(&world->memory, NULL);
        iotlb_clear(&world->iotlb);
        assert_int_equal(byte_at(world, IOVA + 7 * PAGE), 12);
}

static void views_are_made_of_memory_and_not_changed(void **state)
{
        struct world *world = *state;
        struct guest_memory *untouched = world->memory, *made = untouched;
        struct guest_mapping *mapping;
        struct guest_region region = {.start = GPA(0), .len = PAGE};

        map(world, IOVA, 1, FIRST, RW);
        assert_int_equal(guest_mapping_new(world->fd, 0, PAGE, true, &mapping), 0);
        region.mapping = mapping;
        assert_int_equal(guest_memory_with(world->view, &region, &made), -EINVAL);
        assert_int_equal(guest_memory_without(world->view, GPA(IOVA), PAGE, &made), -EINVAL);
        assert_int_equal(guest_memory_with_shmem(world->view, GPA(0), PAGE, &made), -EINVAL);
        assert_int_equal(guest_memory_translate(world->view, world->iotlb.entries, &made), -EINVAL);
        assert_int_equal(guest_memory_confine(world->view, world->iotlb.entries, &made), -EINVAL);
        assert_ptr_equal(made, untouched);
        (void)guest_mapping_unref(mapping);
}

/* As many regions as there may be, none of which goes on in this process where its neighbour ends. */
static struct guest_memory *scattered(const struct world *world)
{
        struct guest_memory *memory = guest_memory_new(), *with;
        struct guest_mapping *mapping;

        assert_int_equal(guest_mapping_new(world->fd, 0, 16 * PAGE, true, &mapping), 0);
        for (uint64_t i = 0; i < LIMIT_REGIONS; i++) {
                struct guest_region region = {
                    .start = GPA(i * PAGE), .len = PAGE, .mapping = mapping, .offset = (i & 1) * 2 * PAGE};

                assert_int_equal(guest_memory_with(memory, &region, &with), 0);
                replace(&memory, with);
        }
        (void)guest_mapping_unref(mapping);
        return memory;
}

static void view_has_as_many_pieces_as_it_may_have_and_no_more(void **state)
{
        struct world *world = *state;
        struct guest_memory *memory = scattered(world), *made = NULL;
        struct iotlb_entry entry = {.len = LIMIT_REGIONS * PAGE, .rights = RW};

        for (uint64_t i = 0; i < LIMIT_VIEW_PIECES / LIMIT_REGIONS; i++) {
                entry.iova = i * 2 * LIMIT_REGIONS * PAGE;
                assert_int_equal(iotlb_update(&world->iotlb, &entry), 0);
        }
        assert_int_equal(guest_memory_translate(memory, world->iotlb.entries, &world->view), 0);
        assert_int_equal(guest_memory_n_regions(world->view), LIMIT_VIEW_PIECES);
        assert_int_equal(byte_at(world, entry.iova + 3 * PAGE), 3);
        entry = (struct iotlb_entry){.iova = LAST, .len = PAGE, .rights = R};
        assert_int_equal(iotlb_update(&world->iotlb, &entry), 0);
        assert_int_equal(guest_memory_translate(memory, world->iotlb.entries, &made), -E2BIG);
        assert_null(made);
        (void)guest_memory_unref(memory);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        static const struct CMUnitTest tests[] = {
            TEST(translated_pages_are_found_where_they_stand_for),
            TEST(rights_are_those_that_memory_and_translation_give),
            TEST(poisoned_entries_reach_nothing),
            TEST(translations_end_with_the_address_space),
            TEST(what_is_missing_is_told_in_whole_pages),
            TEST(memory_that_is_no_view_can_be_asked_too),
            TEST(ring_lies_in_pieces_that_follow_each_other),
            TEST(spans_of_a_view_are_its_pieces),
            TEST(holes_are_translated_too),
            TEST(memory_outside_of_the_windows_is_not_there),
            TEST(translations_reach_no_further_than_the_windows),
            TEST(view_keeps_what_it_is_a_view_of),
            TEST(views_are_made_of_memory_and_not_changed),
            TEST(view_has_as_many_pieces_as_it_may_have_and_no_more),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
