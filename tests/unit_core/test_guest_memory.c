/* Guest memory: regions and their edges, snapshots, copies over adjacent regions, memory that goes away.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/fault_safe.h"
#include "proto/base/limits.h"

#define PAGE      4096u
#define FILE_NAME "bulkhead-test-memory"
#define N_PAGES   64u

static int file = -1;
static unsigned mappings_before;

static unsigned count_mappings(void)
{
        FILE *maps = fopen("/proc/self/maps", "re");
        char line[512];
        unsigned n = 0;

        assert_non_null(maps);
        while (fgets(line, sizeof(line), maps))
                n += strstr(line, FILE_NAME) != NULL;
        fclose(maps);
        return n;
}

static int setup(void **state)
{
        (void)state;
        file = memfd_create(FILE_NAME, MFD_CLOEXEC);
        mappings_before = count_mappings();
        for (unsigned i = 0; i < N_PAGES; i++) {
                uint8_t page[PAGE];

                for (unsigned k = 0; k < PAGE; k++)
                        page[k] = (uint8_t)(i * 31 + k);
                if (write(file, page, PAGE) != (ssize_t)PAGE)
                        return -1;
        }
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        close(file);
        return count_mappings() == mappings_before ? 0 : -1; /* nothing that a test made is left */
}

static uint8_t file_byte(uint64_t offset)
{
        return (uint8_t)(offset / PAGE * 31 + offset % PAGE);
}

static struct guest_mapping *map(uint64_t offset, uint64_t len, bool writable)
{
        struct guest_mapping *mapping;

        assert_int_equal(guest_mapping_new(file, offset, len, writable, &mapping), 0);
        return mapping;
}

/* Replaces *memory by a snapshot with one more region of a mapping of its own. */
static int add(struct guest_memory **memory, uint64_t start, uint64_t len, uint64_t offset, bool writable)
{
        struct guest_mapping *mapping = map(offset, (len + PAGE - 1) / PAGE * PAGE, writable);
        struct guest_region region = {
            .start = GPA(start), .len = len, .mapping = mapping, .writable = writable};
        struct guest_memory *with = *memory;
        int r = guest_memory_with(*memory, &region, &with);

        (void)guest_mapping_unref(mapping);
        if (r == 0)
                (void)guest_memory_unref(*memory);
        else
                assert_ptr_equal(with, *memory);
        *memory = with;
        return r;
}

/* Two adjacent regions that lie elsewhere on the host, a hole, and one that is read-only. */
static struct guest_memory *memory_new(void)
{
        struct guest_memory *memory = guest_memory_new();

        assert_non_null(memory);
        assert_int_equal(add(&memory, 0x10000, 2 * PAGE, 8 * PAGE, true), 0);
        assert_int_equal(add(&memory, 0x10000 + 2 * PAGE, 2 * PAGE, 4 * PAGE, true), 0);
        assert_int_equal(add(&memory, 0x20000, PAGE, 16 * PAGE, false), 0);
        return memory;
}

static void mapping_refuses_what_is_not_in_pages(void **state)
{
        struct guest_mapping *mapping = NULL;

        (void)state;
        assert_int_equal(guest_mapping_new(file, 0, 0, true, &mapping), -EINVAL);
        assert_int_equal(guest_mapping_new(file, 0, PAGE + 1, true, &mapping), -EINVAL);
        assert_int_equal(guest_mapping_new(file, 1, PAGE, true, &mapping), -EINVAL);
        assert_int_equal(guest_mapping_new(file, UINT64_MAX - PAGE + 1, PAGE, true, &mapping), -EINVAL);
        assert_int_equal(guest_mapping_new(file, 0, UINT64_MAX - PAGE + 1, true, &mapping), -EINVAL);
        assert_int_equal(guest_mapping_new(file, (uint64_t)INT64_MAX / PAGE * PAGE, PAGE, true, &mapping),
                         -EINVAL);
        assert_int_equal(guest_mapping_new(-1, 0, PAGE, true, &mapping), -EBADF);
        assert_null(mapping);
        assert_int_equal(count_mappings(), 0);
}

static void mapping_of_a_pipe_is_refused_by_the_kernel(void **state)
{
        struct guest_mapping *mapping = NULL;
        int fds[2];

        (void)state;
        assert_int_equal(pipe(fds), 0);
        assert_true(guest_mapping_new(fds[0], 0, PAGE, false, &mapping) < 0);
        assert_null(mapping);
        close(fds[0]);
        close(fds[1]);
}

static void read_only_descriptor_maps_read_only(void **state)
{
        struct guest_mapping *mapping = NULL;
        char path[64];
        int fd;

        (void)state;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(guest_mapping_new(fd, 0, PAGE, true, &mapping), -EACCES);
        assert_int_equal(guest_mapping_new(fd, 0, PAGE, false, &mapping), 0);
        close(fd); /* the mapping does not need it */
        assert_int_equal(count_mappings(), 1);
        assert_null(guest_mapping_unref(mapping));
        assert_int_equal(count_mappings(), 0);
}

static void mapping_is_shared_never_executable_and_not_dumped(void **state)
{
        struct guest_mapping *mapping = map(0, PAGE, true);
        FILE *smaps = fopen("/proc/self/smaps", "re");
        char line[512], perms[8] = "", flags[512] = "";
        bool inside = false;

        (void)state;
        assert_non_null(smaps);
        while (fgets(line, sizeof(line), smaps)) {
                if (strstr(line, FILE_NAME)) {
                        inside = true;
                        assert_int_equal(sscanf(line, "%*s %7s", perms), 1);
                } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
                        snprintf(flags, sizeof(flags), "%s", line);
                        break;
                }
        }
        fclose(smaps);
        assert_string_equal(perms, "rw-s");
        assert_non_null(strstr(flags, " dd")); /* don't dump */
        assert_non_null(strstr(flags, " dc")); /* don't copy on fork */
        (void)guest_mapping_unref(mapping);
}

static void huge_pages_are_mapped_and_unmapped_whole(void **state)
{
        int huge = memfd_create(FILE_NAME, MFD_CLOEXEC | MFD_HUGETLB);
        struct guest_mapping *mapping;
        int r;

        (void)state;
        if (huge < 0 || ftruncate(huge, 4 << 20) < 0)
                skip();
        /* The middle of a huge page, as a VMM's region behind the hole below 1 MiB is. */
        r = guest_mapping_new(huge, 0xc0000, 0x100000, true, &mapping);
        close(huge);
        if (r == -ENOMEM) {
                print_message("no huge page is free (vm.nr_hugepages)\n");
                skip();
        }
        assert_int_equal(r, 0);
        assert_int_equal(count_mappings(), 1);
        (void)guest_mapping_unref(mapping);
        assert_int_equal(count_mappings(), 0);
}

static void region_outside_its_mapping_is_refused(void **state)
{
        struct guest_mapping *mapping = map(0, 4 * PAGE, true);
        struct guest_memory *memory = guest_memory_new(), *with = NULL;
        static const struct {
                uint64_t start, len, offset;
                int r;
        } rows[] = {
            {0, 4 * PAGE, 0, 0},
            {0, 4 * PAGE + 1, 0, -EINVAL},
            {0, 4 * PAGE, 1, -EINVAL},
            {0, PAGE, 3 * PAGE, 0},
            {0, PAGE, 3 * PAGE + 1, -EINVAL},
            {0, 1, 4 * PAGE, -EINVAL},
            {0, 1, UINT64_MAX, -EINVAL},
            {0, UINT64_MAX, 1, -EINVAL},
            {0, 0, 0, -EINVAL},
            {UINT64_MAX, 1, 0, -EINVAL},
            {UINT64_MAX - PAGE, PAGE, 0, 0},
            {UINT64_MAX - PAGE + 1, PAGE, 0, -EINVAL},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct guest_region region = {.start = GPA(rows[i].start),
                                              .len = rows[i].len,
                                              .offset = rows[i].offset,
                                              .mapping = mapping,
                                              .writable = true};

                assert_int_equal(guest_memory_with(memory, &region, &with), rows[i].r);
                with = guest_memory_unref(with);
        }
        (void)guest_memory_unref(memory);
        assert_int_equal(count_mappings(), 1);
        (void)guest_mapping_unref(mapping);
        assert_int_equal(count_mappings(), 0);
}

static void writable_region_needs_a_writable_mapping(void **state)
{
        struct guest_mapping *mapping = map(0, PAGE, false);
        struct guest_memory *memory = guest_memory_new(), *with = NULL;
        struct guest_region region = {.len = PAGE, .mapping = mapping, .writable = true};

        (void)state;
        assert_int_equal(guest_memory_with(memory, &region, &with), -EINVAL);
        assert_null(with);
        region.writable = false;
        assert_int_equal(guest_memory_with(memory, &region, &with), 0);
        (void)guest_memory_unref(with);
        (void)guest_memory_unref(memory);
        (void)guest_mapping_unref(mapping);
}

static void overlap_and_unknown_regions_are_refused(void **state)
{
        struct guest_memory *memory = memory_new(), *without = NULL;

        (void)state;
        assert_int_equal(guest_memory_n_regions(memory), 3);
        assert_int_equal(guest_memory_bytes(memory), 5 * PAGE);
        assert_int_equal(add(&memory, 0x10000 + 4 * PAGE - 1, PAGE, 0, true), -EEXIST);
        assert_int_equal(guest_memory_without(memory, GPA(0x10000), PAGE, &without), -ENOENT);
        assert_int_equal(guest_memory_without(memory, GPA(0x10000), 4 * PAGE, &without), -ENOENT);
        assert_null(without);
        assert_int_equal(count_mappings(), 3);
        assert_int_equal(guest_memory_without(memory, GPA(0x10000), 2 * PAGE, &without), 0);
        assert_int_equal(guest_memory_bytes(without), 3 * PAGE);
        (void)guest_memory_unref(memory);
        assert_int_equal(count_mappings(), 2);
        (void)guest_memory_unref(without);
}

static void table_holds_exactly_the_limit_of_regions(void **state)
{
        struct guest_mapping *mapping = map(0, PAGE, true);
        struct guest_memory *memory = guest_memory_new();
        struct guest_region region = {.len = PAGE, .mapping = mapping, .writable = true};
        struct guest_memory *with;

        (void)state;
        for (uint64_t i = 0; i < LIMIT_REGIONS; i++) {
                region.start = GPA(i * PAGE);
                assert_int_equal(guest_memory_with(memory, &region, &with), 0);
                (void)guest_memory_unref(memory);
                memory = with;
        }
        region.start = GPA(LIMIT_REGIONS * (uint64_t)PAGE);
        with = NULL;
        assert_int_equal(guest_memory_with(memory, &region, &with), -E2BIG);
        assert_null(with);
        (void)guest_memory_unref(memory);
        (void)guest_mapping_unref(mapping);
        assert_int_equal(count_mappings(), 0);
}

static void old_snapshot_keeps_its_mappings_alive(void **state)
{
        struct guest_memory *old = memory_new(), *memory;
        uint8_t byte;

        (void)state;
        assert_int_equal(guest_memory_without(old, GPA(0x10000), 2 * PAGE, &memory), 0);
        assert_int_equal(guest_memory_read(memory, GPA(0x10000), &byte, 1), -EFAULT);
        assert_int_equal(guest_memory_read(old, GPA(0x10000), &byte, 1), 0);
        assert_int_equal(byte, file_byte(8 * PAGE));
        (void)guest_memory_unref(memory);
        assert_int_equal(count_mappings(), 3);
        (void)guest_memory_unref(old);
        assert_int_equal(count_mappings(), 0);
}

static void ring_lies_in_one_region_and_is_aligned(void **state)
{
        struct guest_memory *memory = memory_new();

        (void)state;
        assert_non_null(guest_memory_ring(memory, GPA(0x10000), 2 * PAGE, 4096, true));
        assert_null(
            guest_memory_ring(memory, GPA(0x10000), 2 * PAGE + 1, 1, false)); /* adjacent is not enough */
        assert_null(guest_memory_ring(memory, GPA(0x10000 + 2 * PAGE - 1), 2, 1, false));
        assert_non_null(guest_memory_ring(memory, GPA(0x10000 + 2 * PAGE - 2), 2, 2, false));
        assert_null(guest_memory_ring(memory, GPA(0x10001), 16, 2, false));
        assert_null(guest_memory_ring(memory, GPA(0x10008), 16, 16, false));
        assert_non_null(guest_memory_ring(memory, GPA(0x10008), 16, 8, false));
        assert_null(guest_memory_ring(memory, GPA(0xffff), 2, 1, false));
        assert_null(guest_memory_ring(memory, GPA(0x10000), 0, 1, false));
        assert_null(guest_memory_ring(memory, GPA(UINT64_MAX), 2, 1, false));
        assert_null(guest_memory_ring(memory, GPA(0x10000), UINT64_MAX, 1, false));
        assert_non_null(guest_memory_ring(memory, GPA(0x20000), PAGE, 16, false));
        assert_null(guest_memory_ring(memory, GPA(0x20000), PAGE, 16, true)); /* read-only */
        (void)guest_memory_unref(memory);
}

static void ring_misaligned_on_the_host_is_refused(void **state)
{
        struct guest_mapping *mapping = map(0, PAGE, true);
        struct guest_memory *memory = guest_memory_new(), *with;
        struct guest_region region = {.start = GPA(0x1000), .len = 100, .mapping = mapping, .offset = 1};

        (void)state;
        assert_int_equal(guest_memory_with(memory, &region, &with), 0);
        assert_non_null(guest_memory_ring(with, GPA(0x1000), 16, 1, false));
        assert_null(guest_memory_ring(with, GPA(0x1000), 16, 2, false));
        assert_null(guest_memory_ring(with, GPA(0x1001), 16, 2, false));
        (void)guest_memory_unref(with);
        (void)guest_memory_unref(memory);
        (void)guest_mapping_unref(mapping);
}

static void cover_ends_with_the_last_byte_of_adjacent_regions(void **state)
{
        struct guest_memory *memory = memory_new();
        uint64_t end = 0x10000 + 4 * PAGE;

        (void)state;
        assert_true(guest_memory_covers(memory, GPA(0x10000), 4 * PAGE, true));
        assert_false(guest_memory_covers(memory, GPA(0x10000), 4 * PAGE + 1, true));
        assert_false(guest_memory_covers(memory, GPA(0xffff), 2, true));
        assert_true(guest_memory_covers(memory, GPA(end - 1), 1, true));
        assert_false(guest_memory_covers(memory, GPA(end), 1, true));
        assert_true(guest_memory_covers(memory, GPA(0x20000), PAGE, false));
        assert_false(guest_memory_covers(memory, GPA(0x20000), PAGE, true));
        assert_false(guest_memory_covers(memory, GPA(0x10000), UINT64_MAX, false));
        assert_false(guest_memory_covers(memory, GPA(UINT64_MAX), 1, false));
        assert_true(guest_memory_covers(memory, GPA(UINT64_MAX), 0, true));
        assert_true(guest_memory_covers(memory, GPA(0x30000), 0, true));
        (void)guest_memory_unref(memory);
}

static void copies_cross_adjacent_regions(void **state)
{
        struct guest_memory *memory = memory_new();
        uint8_t bytes[4 * PAGE], back[4 * PAGE];

        (void)state;
        assert_int_equal(guest_memory_read(memory, GPA(0x10000), bytes, 4 * PAGE), 0);
        for (unsigned i = 0; i < 4 * PAGE; i++)
                assert_int_equal(bytes[i], file_byte(i < 2 * PAGE ? 8 * PAGE + i : 4 * PAGE + i - 2 * PAGE));
        memset(back, 0x5a, sizeof(back));
        assert_int_equal(guest_memory_write(memory, GPA(0x10000 + PAGE), back, 2 * PAGE), 0);
        assert_int_equal(guest_memory_zero(memory, GPA(0x10000 + 2 * PAGE - 3), 6), 0);
        assert_int_equal(guest_memory_read(memory, GPA(0x10000), back, 4 * PAGE), 0);
        for (unsigned i = 0; i < 4 * PAGE; i++) {
                bool zeroed = i >= 2 * PAGE - 3 && i < 2 * PAGE + 3;

                assert_int_equal(back[i], i < PAGE || i >= 3 * PAGE ? bytes[i] : zeroed ? 0 : 0x5a);
        }
        assert_int_equal(guest_memory_write(memory, GPA(0x10000), bytes, 4 * PAGE), 0);
        (void)guest_memory_unref(memory);
}

static void copies_outside_fail(void **state)
{
        struct guest_memory *memory = memory_new();
        uint8_t bytes[8] = {0};

        (void)state;
        assert_int_equal(guest_memory_read(memory, GPA(0xfffc), bytes, 8), -EFAULT);
        assert_int_equal(guest_memory_read(memory, GPA(0x10000 + 4 * PAGE - 4), bytes, 8), -EFAULT);
        assert_int_equal(guest_memory_write(memory, GPA(0x20000), bytes, 8), -EFAULT);
        assert_int_equal(guest_memory_zero(memory, GPA(0x20000), 8), -EFAULT);
        assert_int_equal(guest_memory_read(memory, GPA(0x20000), bytes, 8), 0);
        assert_int_equal(bytes[1], file_byte(16 * PAGE + 1)); /* neither write nor zero came through */
        assert_int_equal(guest_memory_read(memory, GPA(UINT64_MAX - 3), bytes, 8), -EFAULT);
        assert_int_equal(guest_memory_read(memory, GPA(0), bytes, 0), 0);
        (void)guest_memory_unref(memory);
}

static void truncated_file_fails_the_copy_and_not_the_process(void **state)
{
        int fd = memfd_create(FILE_NAME, MFD_CLOEXEC);
        struct guest_memory *memory = guest_memory_new(), *with;
        struct guest_mapping *mapping;
        uint8_t bytes[2 * PAGE];

        (void)state;
        assert_int_equal(fault_safe_install(),
                         0); /* here: cmocka puts its own handlers in place before each test */
        assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
        assert_int_equal(guest_mapping_new(fd, 0, 2 * PAGE, true, &mapping), 0);
        assert_int_equal(
            guest_memory_with(
                memory, &(struct guest_region){.len = 2 * PAGE, .mapping = mapping, .writable = true}, &with),
            0);
        assert_int_equal(ftruncate(fd, PAGE), 0);
        assert_true(guest_memory_covers(with, GPA(0), 2 * PAGE, true)); /* the table still says so */
        assert_int_equal(guest_memory_read(with, GPA(0), bytes, 2 * PAGE), -EFAULT);
        assert_int_equal(guest_memory_write(with, GPA(PAGE - 1), bytes, 2), -EFAULT);
        assert_int_equal(guest_memory_zero(with, GPA(PAGE), 1), -EFAULT);
        assert_int_equal(guest_memory_read(with, GPA(0), bytes, PAGE), 0);
        (void)guest_memory_unref(with);
        (void)guest_memory_unref(memory);
        (void)guest_mapping_unref(mapping);
        close(fd);
}

static void iovec_stops_when_full_and_says_how_far(void **state)
{
        struct guest_memory *memory = memory_new();
        struct iovec iov[3] = {{.iov_len = 99}, {.iov_len = 99}, {.iov_len = 99}};
        size_t n = 0;

        (void)state;
        assert_int_equal(guest_memory_iovec(memory, GPA(0x10000 + PAGE), 2 * PAGE, true, iov, 3, &n),
                         2 * PAGE);
        assert_int_equal(n, 2);
        assert_int_equal(iov[0].iov_len + iov[1].iov_len, 2 * PAGE);
        assert_int_equal(*(uint8_t *)iov[1].iov_base, file_byte(4 * PAGE));
        assert_int_equal(guest_memory_iovec(memory, GPA(0x10000 + PAGE), 2 * PAGE, true, iov, 3, &n), PAGE);
        assert_int_equal(n, 3);
        assert_int_equal(guest_memory_iovec(memory, GPA(0x10000), 1, true, iov, 3, &n), 0);
        assert_int_equal(n, 3);
        assert_int_equal(guest_memory_iovec(memory, GPA(0x10000), 0, true, iov, 3, &n), 0);
        (void)guest_memory_unref(memory);
}

static void iovec_over_a_hole_appends_nothing(void **state)
{
        struct guest_memory *memory = memory_new();
        struct iovec iov[4];
        size_t n = 1;

        (void)state;
        assert_int_equal(guest_memory_iovec(memory, GPA(0x10000), 4 * PAGE + 1, true, iov, 4, &n), -EFAULT);
        assert_int_equal(guest_memory_iovec(memory, GPA(0x10000), 4 * PAGE + 1, true, iov, 2, &n), -EFAULT);
        assert_int_equal(guest_memory_iovec(memory, GPA(0x20000), 1, true, iov, 4, &n), -EFAULT);
        assert_int_equal(guest_memory_iovec(memory, GPA(UINT64_MAX), 2, false, iov, 4, &n), -EFAULT);
        assert_int_equal(n, 1);
        assert_int_equal(guest_memory_iovec(memory, GPA(0x20000), 1, false, iov, 4, &n), 1);
        assert_int_equal(n, 2);
        (void)guest_memory_unref(memory);
}

static void *hold_and_drop(void *argument)
{
        struct guest_memory *memory = argument;
        uint8_t byte;

        for (unsigned i = 0; i < 2000; i++) {
                struct guest_memory *held = guest_memory_ref(memory);

                if (guest_memory_read(held, GPA(0x10000), &byte, 1) < 0)
                        return argument;
                (void)guest_memory_unref(held);
        }
        (void)guest_memory_unref(memory);
        return NULL;
}

static void snapshot_shared_by_threads_dies_once(void **state)
{
        struct guest_memory *memory = memory_new();
        pthread_t threads[4];

        (void)state;
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, hold_and_drop, guest_memory_ref(memory)),
                                 0);
        (void)guest_memory_unref(memory);
        for (size_t i = 0; i < 4; i++) {
                void *failed;

                assert_int_equal(pthread_join(threads[i], &failed), 0);
                assert_null(failed);
        }
        assert_int_equal(count_mappings(), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(mapping_refuses_what_is_not_in_pages, setup, teardown),
            cmocka_unit_test_setup_teardown(mapping_of_a_pipe_is_refused_by_the_kernel, setup, teardown),
            cmocka_unit_test_setup_teardown(read_only_descriptor_maps_read_only, setup, teardown),
            cmocka_unit_test_setup_teardown(mapping_is_shared_never_executable_and_not_dumped, setup,
                                            teardown),
            cmocka_unit_test_setup_teardown(huge_pages_are_mapped_and_unmapped_whole, setup, teardown),
            cmocka_unit_test_setup_teardown(region_outside_its_mapping_is_refused, setup, teardown),
            cmocka_unit_test_setup_teardown(writable_region_needs_a_writable_mapping, setup, teardown),
            cmocka_unit_test_setup_teardown(overlap_and_unknown_regions_are_refused, setup, teardown),
            cmocka_unit_test_setup_teardown(table_holds_exactly_the_limit_of_regions, setup, teardown),
            cmocka_unit_test_setup_teardown(old_snapshot_keeps_its_mappings_alive, setup, teardown),
            cmocka_unit_test_setup_teardown(ring_lies_in_one_region_and_is_aligned, setup, teardown),
            cmocka_unit_test_setup_teardown(ring_misaligned_on_the_host_is_refused, setup, teardown),
            cmocka_unit_test_setup_teardown(cover_ends_with_the_last_byte_of_adjacent_regions, setup,
                                            teardown),
            cmocka_unit_test_setup_teardown(copies_cross_adjacent_regions, setup, teardown),
            cmocka_unit_test_setup_teardown(copies_outside_fail, setup, teardown),
            cmocka_unit_test_setup_teardown(truncated_file_fails_the_copy_and_not_the_process, setup,
                                            teardown),
            cmocka_unit_test_setup_teardown(iovec_stops_when_full_and_says_how_far, setup, teardown),
            cmocka_unit_test_setup_teardown(iovec_over_a_hole_appends_nothing, setup, teardown),
            cmocka_unit_test_setup_teardown(snapshot_shared_by_threads_dies_once, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
