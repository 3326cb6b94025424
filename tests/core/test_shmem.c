/* Shared memory regions of a device: what may lie where, limits, orphans, memory of the broker's own.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/shmem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/fault_safe.h"
#include "proto/base/checked.h"
#include "tests/core/shmem_maps.h"

#define PAGE    ((uint64_t)LIMIT_SHMEM_PAGE)
#define N_PAGES 32u
#define FILES   3u /* shmids */
#define MEMORY  7u
#define MORE    200u

#define GRANULE (8 * PAGE)
#define ENDING  9u

static const struct device_region regions[] = {
    {.shmid = FILES, .len = 16 * PAGE, .source = REGION_FILES},
    {.shmid = MEMORY, .len = 4 * PAGE, .source = REGION_MEMORY},
    {.shmid = MORE, .len = 1024 * PAGE, .source = REGION_FILES},
    {.shmid = ENDING, .len = 4 * GRANULE, .source = REGION_FILES, .granule = GRANULE},
};
static const struct shmem_limits roomy = {.mappings = LIMIT_SHMEM_MAPPINGS, .bytes = 1024 * PAGE};

static int file = -1; /* sealed, each page full of its number */
static unsigned fds_before;

static int sealed_file(uint8_t first)
{
        int fd = memfd_create("shmem", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        uint8_t page[PAGE];

        assert_true(fd >= 0);
        for (unsigned i = 0; i < N_PAGES; i++) {
                memset(page, first + (int)i, sizeof(page));
                assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
        }
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
        return fd;
}

static int setup(void **state)
{
        (void)state;
        fds_before = count_fds();
        file = sealed_file(1);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        close(file);
        return count_fds() == fds_before ? 0 : -1;
}

static struct shmem *make(const struct shmem_limits *limits)
{
        struct shmem *shmem;

        assert_int_equal(shmem_new(regions, array_size(regions), limits, &shmem), 0);
        return shmem;
}

static int map(struct shmem *shmem, uint8_t shmid, uint64_t first, uint64_t n, uint64_t file_page,
               struct shmem_mapping **ret_mapping)
{
        const struct shmem_request request = {.shmid = shmid,
                                              .writable = true,
                                              .offset = first * PAGE,
                                              .len = n * PAGE,
                                              .fd_offset = file_page * PAGE};

        return shmem_map(shmem, &request, file, ret_mapping);
}

static struct shmem_mapping *mapped(struct shmem *shmem, uint8_t shmid, uint64_t first, uint64_t n,
                                    uint64_t file_page)
{
        struct shmem_mapping *mapping;

        assert_int_equal(map(shmem, shmid, first, n, file_page, &mapping), 0);
        return mapping;
}

/* A refusal is nothing but that: no descriptor, no mapping, no byte, no other result. */
static void assert_refused(struct shmem *shmem, const struct shmem_request *request, int fd, int error)
{
        struct shmem_mapping *const untouched = (struct shmem_mapping *)&file, *mapping = untouched;
        unsigned fds = count_fds();
        size_t n = shmem_n_mappings(shmem);
        uint64_t bytes = shmem_bytes(shmem);

        assert_int_equal(shmem_map(shmem, request, fd, &mapping), error);
        assert_ptr_equal(mapping, untouched);
        assert_int_equal(count_fds(), fds);
        assert_int_equal(shmem_n_mappings(shmem), n);
        assert_int_equal(shmem_bytes(shmem), bytes);
        assert_maps(shmem);
}

/* ---- what is mapped ---- */

static void a_mapping_shows_its_file_and_nothing_around_it(void **state)
{
        struct shmem *shmem = make(&roomy);
        struct shmem_mapping *mapping = mapped(shmem, FILES, 4, 2, 8);
        uint8_t byte = 0;

        (void)state;
        assert_int_equal(fault_safe_install(), 0); /* over cmocka's own handlers */
        assert_maps(shmem);
        assert_int_equal(fault_safe_copy(&byte, mapping->host, 1), 0);
        assert_int_equal(byte, 9);
        assert_int_equal(fault_safe_copy(&byte, (uint8_t *)mapping->host + PAGE, 1), 0);
        assert_int_equal(byte, 10);
        assert_int_equal(fault_safe_copy(&byte, (uint8_t *)mapping->host - 1, 1), 1);
        assert_int_equal(fault_safe_copy(&byte, (uint8_t *)mapping->host + 2 * PAGE, 1), 1);
        assert_int_equal(shmem_n_mappings(shmem), 1);
        assert_int_equal(shmem_bytes(shmem), 2 * PAGE);
        assert_ptr_equal(shmem_mapping_at(shmem, 0), mapping);
        assert_ptr_equal(shmem_find(shmem, FILES, 4 * PAGE, 2 * PAGE), mapping);
        shmem_unmap(shmem, mapping);
        assert_int_equal(shmem_n_mappings(shmem), 0);
        assert_int_equal(shmem_bytes(shmem), 0);
        assert_maps(shmem);
        (void)shmem_free(shmem);
}

static void two_ids_of_a_device_do_not_meet(void **state)
{
        struct shmem *shmem = make(&roomy);
        struct shmem_mapping *a = mapped(shmem, FILES, 4, 2, 0), *b = mapped(shmem, MORE, 4, 2, 0);

        (void)state;
        assert_maps(shmem);
        assert_null(shmem_find(shmem, MEMORY, 4 * PAGE, 2 * PAGE));
        shmem_unmap(shmem, a);
        assert_maps(shmem);
        assert_ptr_equal(shmem_find(shmem, MORE, 4 * PAGE, 2 * PAGE), b);
        (void)shmem_free(shmem);
}

/* ---- refusals ---- */

static void what_is_not_inside_or_not_whole_is_refused(void **state)
{
        static const struct shmem_request refused[] = {
            {.shmid = FILES, .writable = true, .offset = 0, .len = 0},
            {.shmid = FILES, .writable = true, .offset = 16 * PAGE, .len = 0},
            {.shmid = FILES, .writable = true, .offset = 1, .len = PAGE},
            {.shmid = FILES, .writable = true, .offset = 0, .len = PAGE - 1},
            {.shmid = FILES, .writable = true, .offset = 0, .len = PAGE, .fd_offset = 512},
            {.shmid = FILES, .writable = true, .offset = 0, .len = 17 * PAGE},
            {.shmid = FILES, .writable = true, .offset = 16 * PAGE, .len = PAGE},
            {.shmid = FILES, .writable = true, .offset = 15 * PAGE, .len = 2 * PAGE},
            {.shmid = FILES, .writable = true, .offset = PAGE, .len = -PAGE},
            {.shmid = FILES, .writable = true, .offset = -PAGE, .len = PAGE},
            {.shmid = FILES, .writable = true, .offset = -PAGE, .len = 2 * PAGE},
            {.shmid = FILES, .writable = true, .len = PAGE, .fd_offset = -PAGE},
            {.shmid = FILES, .writable = true, .len = PAGE, .fd_offset = UINT64_C(1) << 63},
            {.shmid = FILES, .writable = true, .len = PAGE, .fd_offset = (UINT64_C(1) << 63) - PAGE},
            {.shmid = FILES + 1, .writable = true, .len = PAGE},
            {.shmid = 0, .writable = true, .len = PAGE},
            {.shmid = 255, .writable = true, .len = PAGE},
            {.shmid = MEMORY, .writable = true, .len = PAGE},
        };
        struct shmem *shmem = make(&roomy);

        (void)state;
        for (size_t i = 0; i < array_size(refused); i++)
                assert_refused(shmem, &refused[i], file, -EINVAL);
        (void)mapped(shmem, FILES, 15, 1, 0); /* up to the end */
        (void)mapped(shmem, FILES, 0, 15, 0); /* and beside it */
        assert_maps(shmem);
        (void)shmem_free(shmem);
}

static void what_overlaps_a_mapping_is_refused(void **state)
{
        struct shmem *shmem = make(&roomy);

        (void)state;
        (void)mapped(shmem, FILES, 4, 4, 4);
        for (uint64_t first = 0; first < 12; first++)
                for (uint64_t n = 1; n <= 12 - first; n++) {
                        const struct shmem_request request = {.shmid = FILES,
                                                              .writable = true,
                                                              .offset = first * PAGE,
                                                              .len = n * PAGE,
                                                              .fd_offset = first * PAGE};

                        if (first + n > 4 && first < 8) {
                                assert_refused(shmem, &request, file, -EEXIST);
                                continue;
                        }
                        shmem_unmap(shmem, mapped(shmem, FILES, first, n, first));
                }
        (void)shmem_free(shmem);
}

static void only_a_whole_mapping_is_found(void **state)
{
        struct shmem *shmem = make(&roomy);

        (void)state;
        (void)mapped(shmem, FILES, 2, 2, 2);
        (void)mapped(shmem, FILES, 4, 4,
                     4); /* of the same file and adjacent there, too: one area for the kernel */
        for (uint64_t first = 0; first < 12; first++)
                for (uint64_t n = 0; n <= 12 - first; n++) {
                        const struct shmem_mapping *found = shmem_find(shmem, FILES, first * PAGE, n * PAGE);

                        assert_int_equal(found != NULL, (first == 2 && n == 2) || (first == 4 && n == 4));
                }
        assert_null(shmem_find(shmem, FILES, 2 * PAGE + 1, 2 * PAGE));
        assert_null(shmem_find(shmem, FILES, 2 * PAGE, 2 * PAGE - 1));
        shmem_unmap(shmem, shmem_find(shmem, FILES, 4 * PAGE, 4 * PAGE));
        assert_maps(shmem);
        (void)shmem_free(shmem);
}

static void what_is_read_only_is_mapped_so(void **state)
{
        const struct shmem_request request = {.shmid = FILES, .offset = PAGE, .len = PAGE};
        static const int seals[] = {F_SEAL_FUTURE_WRITE, F_SEAL_WRITE};
        struct shmem *shmem = make(&roomy);

        (void)state;
        assert_refused(shmem, &request, file, -EACCES);
        for (size_t i = 0; i < array_size(seals); i++) {
                struct shmem_mapping *mapping;
                int fd = sealed_file(1), r;

                assert_int_equal(fcntl(fd, F_ADD_SEALS, seals[i]), 0);
                r = shmem_map(shmem, &request, fd, &mapping);
                assert_true(r == 0 || (r == -EPERM && seals[i] == F_SEAL_WRITE)); /* before Linux 6.7 */
                close(fd);
                assert_maps(shmem); /* says that it is read-only */
                if (r == 0)
                        shmem_unmap(shmem, mapping);
        }
        (void)shmem_free(shmem);
}

/* ---- limits ---- */

static void mappings_end_at_their_limit(void **state)
{
        static const uint32_t limits[] = {1, 2, 64, LIMIT_SHMEM_MAPPINGS};

        (void)state;
        for (size_t i = 0; i < array_size(limits); i++) {
                const struct shmem_limits limit = {.mappings = limits[i], .bytes = UINT64_MAX};
                const struct shmem_request request = {.shmid = FILES, .writable = true, .len = PAGE};
                struct shmem *shmem = make(&limit);

                assert_int_equal(shmem_make_memory(shmem), 0); /* does not count */
                for (uint32_t k = 0; k < limits[i]; k++)
                        (void)mapped(shmem, MORE, 2 * k, 1, k % N_PAGES);
                assert_refused(shmem, &request, file, -E2BIG);
                shmem_unmap(shmem, shmem_find(shmem, MORE, 0, PAGE));
                (void)mapped(shmem, FILES, 0, 1, 0);
                (void)shmem_free(shmem);
        }
}

static void bytes_end_at_their_limit(void **state)
{
        const struct shmem_limits limit = {.mappings = 64, .bytes = 8 * PAGE};
        const struct shmem_request two = {.shmid = FILES, .writable = true, .len = 2 * PAGE},
                                   one = {.shmid = FILES, .writable = true, .len = PAGE};
        struct shmem *shmem = make(&limit);

        (void)state;
        assert_int_equal(shmem_make_memory(shmem), 0);
        (void)mapped(shmem, MORE, 0, 7, 0);
        assert_refused(shmem, &two, file, -E2BIG);
        (void)mapped(shmem, MORE, 7, 1, 0);
        assert_refused(shmem, &one, file, -E2BIG);
        shmem_unmap(shmem, shmem_find(shmem, MORE, 0, 7 * PAGE));
        (void)mapped(shmem, MORE, 0, 6, 0);
        (void)mapped(shmem, FILES, 0, 1, 0);
        assert_refused(shmem, &one, file, -EEXIST);
        assert_int_equal(shmem_bytes(shmem), 12 * PAGE);
        (void)shmem_free(shmem);
}

static void a_device_without_regions_maps_nothing(void **state)
{
        const struct shmem_request request = {.shmid = FILES, .writable = true, .len = PAGE};
        struct shmem *shmem;

        (void)state;
        assert_int_equal(shmem_new(NULL, 0, &(struct shmem_limits){0}, &shmem), 0);
        assert_int_equal(shmem_n_regions(shmem), 0);
        assert_int_equal(shmem_make_memory(shmem), 0);
        assert_refused(shmem, &request, file, -EINVAL);
        shmem_orphan(shmem);
        assert_null(shmem_free(shmem));
        assert_null(shmem_free(NULL));
}

/* ---- orphans ---- */

static void where_files_may_end_whole_granules_are_mapped(void **state)
{
        static const struct {
                uint64_t first, n;
        } bad[] = {{0, 1}, {0, 7}, {0, 9}, {0, 16}, {1, 8}, {7, 8}, {32, 8}};
        struct shmem *shmem = make(&roomy);
        struct shmem_mapping *mapping;

        (void)state;
        for (size_t i = 0; i < array_size(bad); i++) {
                const struct shmem_request request = {
                    .shmid = ENDING, .writable = true, .offset = bad[i].first * PAGE, .len = bad[i].n * PAGE};

                assert_refused(shmem, &request, file, -EINVAL);
        }
        mapping = mapped(shmem, ENDING, 8, 8, 3); /* the file's offset may be any page */
        assert_true(mapping->may_end);
        assert_false(mapped(shmem, FILES, 0, 1, 0)->may_end);
        (void)shmem_free(shmem);
}

static void where_files_may_end_they_may_be_short_and_grow(void **state)
{
        struct shmem *shmem = make(&roomy);
        struct shmem_mapping *mapping;
        uint8_t byte = 0;

        (void)state;
        assert_int_equal(fault_safe_install(), 0);
        mapping = mapped(shmem, ENDING, 0, 8, N_PAGES - 2);
        assert_int_equal(fault_safe_copy(&byte, (uint8_t *)mapping->host + PAGE, 1), 0);
        assert_int_equal(byte, N_PAGES);
        assert_int_equal(fault_safe_copy(&byte, (uint8_t *)mapping->host + 2 * PAGE, 1), 1);
        assert_int_equal(ftruncate(file, (N_PAGES + 1) * PAGE), 0);
        assert_int_equal(fault_safe_copy(&byte, (uint8_t *)mapping->host + 2 * PAGE, 1), 0);
        assert_int_equal(byte, 0);
        mapping = mapped(shmem, ENDING, 8, 8, 1000 * N_PAGES); /* far behind it */
        assert_int_equal(fault_safe_copy(&byte, mapping->host, 1), 1);
        shmem_orphan(shmem);
        assert_ptr_equal(mapped(shmem, ENDING, 8, 8, 1000 * N_PAGES), mapping);
        (void)shmem_free(shmem);
}

static void an_orphan_is_adopted_by_its_equal_alone(void **state)
{
        struct shmem *shmem = make(&roomy);
        struct shmem_mapping *orphan = mapped(shmem, FILES, 4, 2, 8), *adopted;
        const struct shmem_request same = {
            .shmid = FILES, .writable = true, .offset = 4 * PAGE, .len = 2 * PAGE, .fd_offset = 8 * PAGE};
        struct shmem_request other = same;
        int another = sealed_file(1), again = fcntl(file, F_DUPFD_CLOEXEC, 0);
        unsigned fds = count_fds();
        void *host = orphan->host;

        (void)state;
        assert_refused(shmem, &same, file, -EEXIST);
        shmem_orphan(shmem);
        assert_true(orphan->orphan);
        assert_maps(shmem);
        other.fd_offset = 9 * PAGE;
        assert_refused(shmem, &other, file, -EEXIST);
        other = same;
        other.len = PAGE;
        assert_refused(shmem, &other, file, -EEXIST);
        assert_refused(shmem, &same, another, -EEXIST);
        other = same;
        other.writable = false;
        assert_refused(shmem, &other, file, -EACCES);
        assert_true(orphan->orphan);
        assert_int_equal(shmem_map(shmem, &same, again, &adopted), 0);
        assert_ptr_equal(adopted, orphan);
        assert_ptr_equal(adopted->host, host);
        assert_false(orphan->orphan);
        assert_int_equal(shmem_n_mappings(shmem), 1);
        assert_int_equal(count_fds(), fds);
        assert_refused(shmem, &same, again, -EEXIST); /* once */
        close(another);
        close(again);
        (void)shmem_free(shmem);
}

static void an_orphan_is_adopted_at_the_limits(void **state)
{
        const struct shmem_limits limit = {.mappings = 1, .bytes = 2 * PAGE};
        struct shmem *shmem = make(&limit);
        struct shmem_mapping *orphan = mapped(shmem, FILES, 4, 2, 8);

        (void)state;
        shmem_orphan(shmem);
        assert_ptr_equal(mapped(shmem, FILES, 4, 2, 8), orphan);
        assert_int_equal(shmem_bytes(shmem), 2 * PAGE);
        (void)shmem_free(shmem);
}

/* ---- memory of the broker's own ---- */

static void memory_is_sealed_and_whole_and_zero(void **state)
{
        struct shmem *shmem = make(&roomy);
        struct shmem_mapping *mapping;
        int fd;

        (void)state;
        assert_int_equal(shmem_memory_fd(shmem, 1), -1);
        assert_int_equal(shmem_make_memory(shmem), 0);
        assert_int_equal(shmem_memory_fd(shmem, 0), -1);
        fd = shmem_memory_fd(shmem, 1);
        assert_int_equal(fcntl(fd, F_GET_SEALS) & ~0x20 /* F_SEAL_EXEC */,
                         F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
        assert_int_equal(ftruncate(fd, 0), -1);
        assert_int_equal(ftruncate(fd, (off_t)(8 * PAGE)), -1);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        mapping = shmem_find(shmem, MEMORY, 0, 4 * PAGE);
        assert_non_null(mapping);
        for (uint64_t i = 0; i < 4 * PAGE / 8; i++) {
                uint64_t word = 1;

                assert_int_equal(fault_safe_load64((uint64_t *)mapping->host + i, &word), 0);
                assert_int_equal(word, 0);
        }
        assert_maps(shmem);
        (void)shmem_free(shmem);
}

static void memory_outlives_a_worker_and_not_a_reset(void **state)
{
        struct shmem *shmem = make(&roomy);
        struct shmem_mapping *mapping;
        uint64_t word = 0, ino;

        (void)state;
        assert_int_equal(shmem_make_memory(shmem), 0);
        mapping = shmem_find(shmem, MEMORY, 0, 4 * PAGE);
        ino = mapping->ino;
        assert_int_equal(fault_safe_store64(mapping->host, 42), 0);
        assert_int_equal(pread(shmem_memory_fd(shmem, 1), &word, sizeof(word), 0), sizeof(word));
        assert_int_equal(word, 42);
        (void)mapped(shmem, FILES, 0, 1, 0);
        shmem_orphan(shmem);
        assert_false(mapping->orphan);
        assert_int_equal(fault_safe_load64(mapping->host, &word), 0);
        assert_int_equal(word, 42);
        while (shmem_n_mappings(shmem) > 0)
                shmem_unmap(shmem, shmem_mapping_at(shmem, 0));
        assert_maps(shmem);
        assert_int_equal(shmem_memory_fd(shmem, 1), -1);
        assert_int_equal(shmem_make_memory(shmem), 0);
        mapping = shmem_find(shmem, MEMORY, 0, 4 * PAGE);
        assert_int_equal(fault_safe_load64(mapping->host, &word), 0);
        assert_int_equal(word, 0);
        assert_int_not_equal(mapping->ino, ino);
        (void)shmem_free(shmem);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
            CLAIM(a_mapping_shows_its_file_and_nothing_around_it),
            CLAIM(two_ids_of_a_device_do_not_meet),
            CLAIM(what_is_not_inside_or_not_whole_is_refused),
            CLAIM(what_overlaps_a_mapping_is_refused),
            CLAIM(only_a_whole_mapping_is_found),
            CLAIM(what_is_read_only_is_mapped_so),
            CLAIM(mappings_end_at_their_limit),
            CLAIM(bytes_end_at_their_limit),
            CLAIM(a_device_without_regions_maps_nothing),
            CLAIM(where_files_may_end_whole_granules_are_mapped),
            CLAIM(where_files_may_end_they_may_be_short_and_grow),
            CLAIM(an_orphan_is_adopted_by_its_equal_alone),
            CLAIM(an_orphan_is_adopted_at_the_limits),
            CLAIM(memory_is_sealed_and_whole_and_zero),
            CLAIM(memory_outlives_a_worker_and_not_a_reset),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
