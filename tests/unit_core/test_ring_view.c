/* Rings of 1024 in pages that lie anywhere, through translations: they are served as any other, follow their pages when these change, are
 * mapped anew only then, and leave no mapping behind. TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/iotlb.h"
#include "tests/unit_core/packed_pen.h"
#include "tests/unit_core/scattered.h"

#define RW (IOTLB_READ | IOTLB_WRITE)

/* ---- the guest's pages ---- */

static uint64_t file_at(unsigned page)
{
        return guest_places[0].offset + (uint64_t)page * PAGE;
}

static bool page_is(const struct guest *guest, unsigned page, uint8_t byte)
{
        uint8_t bytes[PAGE];

        assert_int_equal(pread(guest->fd, bytes, PAGE, (off_t)file_at(page)), PAGE);
        for (unsigned i = 0; i < PAGE; i++)
                if (bytes[i] != byte)
                        return false;
        return true;
}

static void fill_page(const struct guest *guest, unsigned page, uint8_t byte)
{
        uint8_t bytes[PAGE];

        memset(bytes, byte, PAGE);
        assert_int_equal(pwrite(guest->fd, bytes, PAGE, (off_t)file_at(page)), PAGE);
}

/* The bytes go along, and the driver's mapping. */
static void move_page(const struct guest *guest, unsigned i, unsigned from, unsigned to)
{
        uint8_t bytes[PAGE];

        assert_int_equal(pread(guest->fd, bytes, PAGE, (off_t)file_at(from)), PAGE);
        assert_int_equal(pwrite(guest->fd, bytes, PAGE, (off_t)file_at(to)), PAGE);
        assert_true(mmap(guest->bytes + file_at(i), PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                         guest->fd, (off_t)file_at(to)) != MAP_FAILED);
}

static int rebind(struct guest *guest, const struct order *order)
{
        struct guest_memory *memory = guest_scattered(guest_memory_below(guest->memory), order->page);
        int r = queue_rebind(&guest->queue, memory);

        guest_memory_unref(memory);
        return r;
}

/* ---- rings that work ---- */

static void split_ring_of_the_longest_parts_is_served(void **state)
{
        struct guest *guest = *state;

        for (unsigned i = 0; i < RING_PAGES; i++)
                fill_page(guest, i, 0xa5);
        guest_scatter_backwards(guest);
        guest_layout(guest, SIZE);
        memset(guest_at(guest, guest->layout.desc.v), 0, 16u * SIZE);
        memset(guest_at(guest, guest->layout.avail.v), 0, 6 + 2u * SIZE);
        memset(guest_at(guest, guest->layout.used.v), 0, 6 + 8u * SIZE);
        guest_start(guest, SIZE, 0);
        assert_int_equal(guest->queue.views[QUEUE_DESC].n_pages, RING_VIEW_PAGES);
        assert_int_equal(guest->queue.views[QUEUE_AVAIL].n_pages, 2);
        assert_int_equal(guest->queue.views[QUEUE_USED].n_pages, 3);
        for (unsigned i = 0; i < 3 * SIZE; i++)
                scattered_serve(guest, i);
        for (unsigned i = 8; i < RING_PAGES; i++)
                assert_true(page_is(guest, RING_PAGES - 1 - i,
                                    0xa5)); /* the ring is in eight pages, and ends before theirs do */
        assert_int_equal(*guest_at(guest, RINGS + 0xfef), 0xa5);
        assert_int_equal(*guest_at(guest, RINGS + 0x7ff6), 0xa5);
        assert_int_equal(scattered_made(guest), 3);
}

static void packed_ring_of_the_most_descriptors_is_served(void **state)
{
        struct guest *guest = *state;

        guest_scatter_backwards(guest);
        packed_start_fresh(guest, SIZE);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_NONE);
        assert_int_equal(scattered_mapped(guest), 1); /* both event areas have their page as it is */
        for (unsigned i = 0; i < 3 * SIZE; i++) {
                uint16_t place = guest->avail_index, id = (uint16_t)(i * 5 % SIZE);
                bool wrap = guest->avail_wrap;

                packed_take(guest, id);
                assert_int_equal(queue_push(&guest->queue, id, i), 0);
                assert_true(queue_publish(&guest->queue) >= 0);
                assert_int_equal(packed_used_at(guest, place).id, id);
                assert_int_equal(packed_used_at(guest, place).len, i);
                assert_true(packed_is_used(guest, place, wrap));
        }
}

static void ring_in_any_order_of_its_pages_is_served(void **state)
{
        struct guest *guest = *state;
        struct order order = scattered_backwards();
        uint64_t seed = 3;

        for (unsigned round = 0; round < 50; round++) {
                for (unsigned i = RING_PAGES - 1; i > 0; i--) {
                        unsigned other = random_below(&seed, i + 1);
                        uint8_t page = order.page[i];

                        order.page[i] = order.page[other];
                        order.page[other] = page;
                }
                if (guest_memory_below(guest->memory)) {
                        struct guest_memory *plain = guest_memory_ref(guest_memory_below(guest->memory));

                        guest_memory_unref(guest->memory);
                        guest->memory = plain;
                }
                guest_scatter(guest, order.page);
                guest_start(guest, SIZE, (uint16_t)(round * 1000));
                for (unsigned i = 0; i < 40; i++)
                        scattered_serve(guest, i);
                assert_int_equal(queue_stop(&guest->queue), (uint16_t)(round * 1000 + 40));
                assert_int_equal(scattered_mapped(guest), 0);
        }
}

/* Two files side by side in this process: what shows the first page of the one must not go on in that file. */
static void neighbours_of_two_files_are_each_its_own(void **state)
{
        struct guest *guest = *state;
        struct guest_memory *memory = guest_memory_new(), *with;
        struct guest_mapping *window;
        struct ring_view view = {0};
        struct iotlb table;
        int other = memfd_create("bulkhead-test-guest", MFD_CLOEXEC);
        uint8_t *ring;

        assert_int_equal(ftruncate(other, 2 * PAGE), 0);
        assert_int_equal(pwrite(other, "other", 5, 0), 5);
        fill_page(guest, 0, 1);
        fill_page(guest, 1, 2);
        fill_page(guest, 4, 3);
        assert_int_equal(guest_mapping_reserve(3 * PAGE, &window), 0);
        assert_int_equal(guest_mapping_put(window, 0, PAGE, guest->fd, file_at(0), true), 0);
        assert_int_equal(guest_mapping_put(window, PAGE, PAGE, other, 0, true), 0);
        assert_int_equal(guest_mapping_put(window, 2 * PAGE, PAGE, guest->fd, file_at(4), true), 0);
        assert_int_equal(
            guest_memory_with(memory,
                              &(struct guest_region){
                                  .start = GPA(RINGS), .len = 3 * PAGE, .mapping = window, .writable = true},
                              &with),
            0);
        guest_memory_unref(memory);
        assert_int_equal(iotlb_init(&table), 0);
        assert_int_equal(iotlb_update(&table, &(struct iotlb_entry){0, PAGE, RINGS + 2 * PAGE, RW}), 0);
        assert_int_equal(iotlb_update(&table, &(struct iotlb_entry){PAGE, 2 * PAGE, RINGS, RW}), 0);
        assert_int_equal(guest_memory_translate(with, table.entries, &memory), 0);
        guest_memory_unref(with);
        ring = ring_view_enter(&view, memory, GPA(0), 3 * PAGE, 16, true);
        assert_non_null(ring);
        assert_int_equal(ring[0], 3);
        assert_int_equal(ring[PAGE], 1);
        assert_memory_equal(ring + 2 * PAGE, "other", 5);
        ring_view_leave(&view);
        guest_memory_unref(memory);
        guest_mapping_unref(window);
        iotlb_done(&table);
        close(other);
}

/* The last bytes that there are, and one byte of a page that has the whole part in it: no second mapping. */
static void ring_may_end_with_the_address_space(void **state)
{
        struct guest *guest = *state;
        const uint64_t end = UINT64_MAX - 2 * PAGE + 1;
        struct guest_memory *memory;
        struct ring_view view = {0};
        struct iotlb table;
        uint8_t *ring;

        fill_page(guest, 2, 2);
        fill_page(guest, 7, 7);
        assert_int_equal(iotlb_init(&table), 0);
        assert_int_equal(iotlb_update(&table, &(struct iotlb_entry){end, PAGE, RINGS + 7 * PAGE, RW}), 0);
        assert_int_equal(iotlb_update(&table, &(struct iotlb_entry){end + PAGE, PAGE, RINGS + 2 * PAGE, RW}),
                         0);
        assert_int_equal(guest_memory_translate(guest->memory, table.entries, &memory), 0);
        ring = ring_view_enter(&view, memory, GPA(end + 16), 2 * PAGE - 16, 16, true);
        assert_non_null(ring);
        assert_int_equal(ring[PAGE - 17], 7);
        assert_int_equal(ring[PAGE - 16], 2);
        assert_null(ring_view_enter(&view, memory, GPA(end + 8), PAGE, 16, true));
        assert_null(view.window);
        assert_non_null(ring_view_enter(&view, memory, GPA(end + PAGE), PAGE, 16, true));
        assert_null(view.window);
        guest_memory_unref(memory);
        iotlb_done(&table);
}

/* ---- pages that change ---- */

static void page_of_a_live_ring_moves_and_the_old_one_is_left_alone(void **state)
{
        struct guest *guest = scattered_begin(state);
        struct order order = scattered_backwards();

        scattered_serve(guest, 0);
        for (unsigned i = 0; i < 8; i++) { /* each page of the ring, to one of the other half */
                const unsigned from = order.page[i], to = 7 - i;
                const uint64_t before = scattered_made(guest);

                order.page[i] = RING_PAGES;
                assert_int_equal(rebind(guest, &order), 0);
                assert_true(guest->queue.parked);
                assert_int_equal(scattered_mapped(guest), 0);
                move_page(guest, i, from, to);
                fill_page(guest, from, 0xee);
                order.page[i] = (uint8_t)to;
                assert_int_equal(rebind(guest, &order), 0);
                assert_false(guest->queue.parked);
                assert_int_equal(scattered_made(guest), before + scattered_mapped(guest));
                for (unsigned k = 0; k < 2 * SIZE; k++)
                        scattered_serve(guest, k);
                assert_true(page_is(guest, from, 0xee));
        }
}

/* Without a snapshot between that lacks it. */
static void page_that_is_another_at_once_is_followed(void **state)
{
        struct guest *guest = scattered_begin(state);
        struct order order = scattered_backwards();

        scattered_serve(guest, 0);
        for (unsigned i = 0; i < 8; i++) {
                const unsigned from = order.page[i];

                order.page[i] = (uint8_t)(7 - i);
                move_page(guest, i, from, order.page[i]);
                assert_int_equal(rebind(guest, &order), 0);
                fill_page(guest, from, 0xee);
                for (unsigned k = 0; k < 2 * SIZE; k++)
                        scattered_serve(guest, k);
                assert_true(page_is(guest, from, 0xee));
        }
}

static void unrelated_updates_map_nothing_anew(void **state)
{
        struct guest *guest = scattered_begin(state);
        struct order order = scattered_backwards();
        const uint8_t *desc = guest->queue.desc, *avail = guest->queue.avail, *used = guest->queue.used;

        for (unsigned i = 0; i < 1000; i++) {
                order.page[8 + i % 8] =
                    i & 8 ? RING_PAGES : (uint8_t)(i % 8); /* pages of buffers come and go */
                assert_int_equal(rebind(guest, &order), 0);
                scattered_serve(guest, i);
        }
        assert_int_equal(scattered_made(guest), 3);
        assert_ptr_equal(guest->queue.desc, desc);
        assert_ptr_equal(guest->queue.avail, avail);
        assert_ptr_equal(guest->queue.used, used);
}

/* The same order in another memory, whose regions may have come to lie where the old ones were. */
static void new_memory_is_mapped_anew_and_the_old_one_let_go(void **state)
{
        struct guest *guest = scattered_begin(state);
        struct order order = scattered_backwards();
        unsigned mappings = 0;

        for (unsigned round = 1; round < 5; round++) {
                struct guest_memory *plain = guest_snapshot(guest, ~0u);
                struct guest_memory *memory = guest_scattered(plain, order.page);

                guest_memory_unref(plain);
                assert_int_equal(queue_rebind(&guest->queue, memory), 0);
                assert_int_equal(scattered_made(guest), 3 * (1 + round));
                scattered_serve(guest, round);
                guest_memory_unref(guest->memory);
                guest->memory = memory;
                mappings = round == 1 ? guest_count_mappings() : mappings;
                assert_int_equal(guest_count_mappings(), mappings);
        }
}

/* The pages of the ring are where they were, another region is not. */
static void region_that_is_gone_is_not_kept_by_a_ring_that_stays(void **state)
{
        struct guest *guest = scattered_begin(state);
        const unsigned mappings = guest_count_mappings();
        struct order order = scattered_backwards();
        struct guest_memory *with;

        assert_int_equal(
            guest_memory_without(guest_memory_below(guest->memory), GPA(LARGE), guest_places[3].len, &with),
            0);
        guest_memory_unref(guest->memory);
        guest->memory = guest_scattered(with, order.page);
        guest_memory_unref(with);
        assert_int_equal(queue_rebind(&guest->queue, guest->memory), 0);
        assert_int_equal(guest_count_mappings(), mappings - 1);
        assert_int_equal(scattered_made(guest), 6);
        scattered_serve(guest, 1);
}

static void memory_that_is_gone_leaves_no_mapping(void **state)
{
        struct guest *guest = scattered_begin(state);

        assert_int_equal(queue_rebind(&guest->queue, NULL), -EPROTO);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_MEMORY);
        assert_int_equal(scattered_mapped(guest), 0);
        for (unsigned i = 0; i < QUEUE_PARTS_; i++)
                assert_null(guest->queue.views[i].below);
}

static void start_and_stop_leave_no_mapping(void **state)
{
        struct guest *guest = *state;
        unsigned lines;

        guest_scatter_backwards(guest);
        guest_start(guest, SIZE, 0);
        (void)queue_stop(&guest->queue);
        lines = scattered_lines_of_maps();
        for (unsigned i = 0; i < 100; i++) {
                guest_start(guest, SIZE, 0);
                scattered_serve(guest, i);
                if (i % 3 == 0)
                        queue_break(&guest->queue, QUEUE_FAULT_DEVICE);
                (void)queue_stop(&guest->queue);
                assert_int_equal(scattered_mapped(guest), 0);
        }
        guest_start(guest, SIZE, 0);
        queue_done(&guest->queue);
        queue_init(&guest->queue);
        assert_int_equal(scattered_lines_of_maps(), lines);
}

/* ---- rights ---- */

static int rebind_used_as(struct guest *guest, unsigned rights)
{
        struct guest_memory *memory;
        struct iotlb table;
        int r;

        assert_int_equal(iotlb_init(&table), 0);
        for (uint64_t i = 0; i < RING_PAGES; i++)
                assert_int_equal(
                    iotlb_update(&table, &(struct iotlb_entry){RINGS + i * PAGE, PAGE,
                                                               RINGS + (RING_PAGES - 1 - i) * PAGE,
                                                               i == 6 ? rights : RW}),
                    0);
        assert_int_equal(iotlb_update(&table, &(struct iotlb_entry){BUFFERS, PAGE, BUFFERS, RW}), 0);
        assert_int_equal(guest_memory_translate(guest_memory_below(guest->memory), table.entries, &memory),
                         0);
        r = queue_rebind(&guest->queue, memory);
        guest_memory_unref(memory);
        iotlb_done(&table);
        return r;
}

static void used_ring_must_be_both_read_and_written(void **state)
{
        struct guest *guest = scattered_begin(state);

        for (unsigned rights = IOTLB_READ; rights <= IOTLB_WRITE; rights++) {
                assert_int_equal(rebind_used_as(guest, rights), 0);
                assert_true(guest->queue.parked);
                assert_int_equal(guest->queue.miss.n, 1);
                assert_true(miss_list_has(&guest->queue.miss, RINGS + 6 * PAGE, RW & ~rights));
                assert_int_equal(scattered_mapped(guest), 0);
        }
        assert_int_equal(rebind_used_as(guest, RW), 0);
        assert_false(guest->queue.parked);
        scattered_serve(guest, 1);
}

/* What the second mapping is made of is neither for a child nor for a core file. */
static void view_stays_out_of_children_and_core_files(void **state)
{
        struct guest *guest = scattered_begin(state);
        FILE *maps = fopen("/proc/self/smaps", "re");
        const uintptr_t at = (uintptr_t)guest->queue.desc;
        unsigned long start = 0, end = 0;
        bool inside = false, seen = false;
        char line[512];

        assert_non_null(maps);
        while (fgets(line, sizeof(line), maps)) {
                if (sscanf(line, "%lx-%lx rw-s", &start, &end) == 2)
                        inside = at >= start && at < end;
                if (inside && strncmp(line, "VmFlags:", 8) == 0) {
                        assert_non_null(strstr(line, " dc"));
                        assert_non_null(strstr(line, " dd"));
                        seen = true;
                }
        }
        fclose(maps);
        assert_true(seen);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            CASE(split_ring_of_the_longest_parts_is_served),
            CASE(packed_ring_of_the_most_descriptors_is_served),
            CASE(ring_in_any_order_of_its_pages_is_served),
            CASE(neighbours_of_two_files_are_each_its_own),
            CASE(ring_may_end_with_the_address_space),
            CASE(page_of_a_live_ring_moves_and_the_old_one_is_left_alone),
            CASE(page_that_is_another_at_once_is_followed),
            CASE(unrelated_updates_map_nothing_anew),
            CASE(new_memory_is_mapped_anew_and_the_old_one_let_go),
            CASE(region_that_is_gone_is_not_kept_by_a_ring_that_stays),
            CASE(memory_that_is_gone_leaves_no_mapping),
            CASE(start_and_stop_leave_no_mapping),
            CASE(used_ring_must_be_both_read_and_written),
            CASE(view_stays_out_of_children_and_core_files),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
