/* Rings in pages that lie anywhere and cannot be mapped once more: private, huge, of a shared memory region, other than the guest's, without
 * room, or gone. mmap and mremap are wrapped. TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit_core/scattered.h"

/* ---- what fails ---- */

static unsigned calls_left = UINT32_MAX; /* that are served */

void *__real_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
void *__real_mremap(void *from, size_t old_len, size_t len, int flags, ...);
void *__wrap_mremap(void *from, size_t old_len, size_t len, int flags, void *to);

static bool fails_now(void)
{
        if (calls_left == 0) {
                errno = ENOMEM;
                return true;
        }
        calls_left -= calls_left != UINT32_MAX;
        return false;
}

void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
        return at == NULL && fails_now() ? MAP_FAILED : __real_mmap(at, len, protection, flags, fd, offset);
}

void *__wrap_mremap(void *from, size_t old_len, size_t len, int flags, void *to)
{
        return fails_now() ? MAP_FAILED : __real_mremap(from, old_len, len, flags, to);
}

/* ---- what cannot be mapped once more ---- */

static void assert_scattered(struct guest *guest)
{
        assert_true(guest->queue.started);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_SCATTERED);
        assert_string_equal(queue_fault_name(guest->queue.fault),
                            "ring in translated pages that cannot be put side by side");
        assert_int_equal(guest_pop(guest, 4), -EPROTO);
        assert_int_equal(scattered_mapped(guest), 0);
}

/* The rings' place is memory of another kind. */
static void start_in(struct guest *guest, uint16_t size, const struct guest_region *region, uint64_t shmem)
{
        struct guest_memory *memory = guest_snapshot(guest, ~1u), *with;
        struct order order = scattered_backwards();

        if (shmem > 0) {
                assert_int_equal(guest_memory_with_shmem(memory, region->start, shmem, &with), 0);
                guest_memory_unref(memory);
                memory = with;
        }
        assert_int_equal(guest_memory_with(memory, region, &with), 0);
        guest_memory_unref(memory);
        memory = guest_scattered(with, order.page);
        guest_memory_unref(with);
        guest->scattered = true;
        guest_layout(guest, size);
        assert_int_equal(queue_start(&guest->queue, memory, &guest->layout, &guest->features, 0), 0);
        guest_memory_unref(memory);
}

static void private_memory_breaks_the_queue(void **state)
{
        struct guest *guest = *state;
        struct guest_mapping *window;

        assert_int_equal(guest_mapping_reserve(RING_PAGES * PAGE, &window), 0);
        assert_true(mmap(guest_mapping_base(window), RING_PAGES * PAGE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
        start_in(guest, SIZE,
                 &(struct guest_region){
                     .start = GPA(RINGS), .len = RING_PAGES * PAGE, .mapping = window, .writable = true},
                 0);
        guest_mapping_unref(window);
        assert_scattered(guest);
}

/* How many huge pages the kernel keeps; sets it first, where we may. Negative: not known. */
static int huge_pages(int set)
{
        FILE *file = fopen("/proc/sys/vm/nr_hugepages", set < 0 ? "re" : "r+e");
        int n = -1;

        if (!file)
                return -1;
        if (fscanf(file, "%d", &n) == 1 && set >= 0) {
                rewind(file);
                n = fprintf(file, "%d", set) > 0 ? set : -1;
        }
        return fclose(file) == 0 ? n : -1;
}

static void huge_pages_break_the_queue(void **state)
{
        struct guest *guest = *state;
        struct guest_mapping *mapping = NULL;
        int had = huge_pages(-1), lent = had == 0 ? huge_pages(2) : -1;
        int huge = memfd_create("bulkhead-test-guest", MFD_CLOEXEC | MFD_HUGETLB);
        int r = huge < 0 || ftruncate(huge, 2 << 20) < 0
                    ? -1
                    : guest_mapping_new(huge, 0, RING_PAGES * PAGE, true, &mapping);

        if (huge >= 0)
                close(huge);
        if (r < 0) {
                if (lent >= 0)
                        (void)huge_pages(0);
                print_message("no huge page is free, and none can be had without root (vm.nr_hugepages)\n");
                skip();
        }
        start_in(guest, SIZE,
                 &(struct guest_region){
                     .start = GPA(RINGS), .len = RING_PAGES * PAGE, .mapping = mapping, .writable = true},
                 0);
        guest_mapping_unref(mapping);
        if (lent >= 0)
                assert_int_equal(huge_pages(0), 0); /* the last one goes with its mapping */
        assert_scattered(guest);
}

/* Page for page the guest's bytes lie in two of this process'; of a short ring, too, whose bytes each lie in one. */
static void pages_that_lie_otherwise_break_the_queue(void **state)
{
        struct guest *guest = *state;
        struct guest_mapping *mapping;

        for (unsigned size = 2; size <= SIZE; size *= SIZE / 2) {
                assert_int_equal(guest_mapping_new(guest->fd, guest_places[0].offset, (RING_PAGES + 1) * PAGE,
                                                   true, &mapping),
                                 0);
                start_in(guest, (uint16_t)size,
                         &(struct guest_region){.start = GPA(RINGS),
                                                .len = RING_PAGES * PAGE,
                                                .mapping = mapping,
                                                .offset = 16,
                                                .writable = true},
                         0);
                guest_mapping_unref(mapping);
                assert_scattered(guest);
                (void)queue_stop(&guest->queue);
        }
}

static void shared_memory_region_breaks_the_queue(void **state)
{
        struct guest *guest = *state;
        struct guest_mapping *mapping;

        assert_int_equal(
            guest_mapping_new(guest->fd, guest_places[0].offset, RING_PAGES * PAGE, true, &mapping), 0);
        start_in(guest, SIZE,
                 &(struct guest_region){
                     .start = GPA(RINGS), .len = RING_PAGES * PAGE, .mapping = mapping, .writable = true},
                 RING_PAGES * PAGE);
        guest_mapping_unref(mapping);
        assert_scattered(guest);
}

/* Each of the calls: three reservations, and two a page. */
static void without_room_the_queue_breaks_and_nothing_is_left(void **state)
{
        struct guest *guest = *state;
        const unsigned n_calls = 3 + 2 * (RING_VIEW_PAGES + 2 + 3);
        unsigned lines;

        guest_scatter_backwards(guest);
        guest_start(guest, SIZE, 0);
        (void)queue_stop(&guest->queue);
        lines = scattered_lines_of_maps();
        for (unsigned i = 0; i <= n_calls; i++) {
                calls_left = i;
                guest_start(guest, SIZE, 0);
                calls_left = UINT32_MAX;
                if (i < n_calls)
                        assert_scattered(guest);
                else
                        scattered_serve(guest, 1);
                (void)queue_stop(&guest->queue);
                assert_int_equal(scattered_lines_of_maps(), lines);
        }
}

/* The file is shorter than it was: an error of the ring, as ever. */
static void truncated_file_breaks_its_ring_alone(void **state)
{
        struct guest *guest = scattered_begin(state);

        scattered_serve(guest, 1);
        guest_describe(guest, 2, BUFFERS, 1, 0, 0);
        guest_post(guest, 2);
        assert_int_equal(guest_pop(guest, 4), 1);
        assert_int_equal(ftruncate(guest->fd, (off_t)guest_places[1].offset), 0);
        assert_int_equal(guest_pop(guest, 4), -EPROTO);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_MEMORY);
        assert_int_equal(queue_push(&guest->queue, 2, 0), -EPROTO);
        (void)queue_stop(&guest->queue);
        assert_int_equal(scattered_mapped(guest), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            CASE(private_memory_breaks_the_queue),
            CASE(huge_pages_break_the_queue),
            CASE(pages_that_lie_otherwise_break_the_queue),
            CASE(shared_memory_region_breaks_the_queue),
            CASE(without_room_the_queue_breaks_and_nothing_is_left),
            CASE(truncated_file_breaks_its_ring_alone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
