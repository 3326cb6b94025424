/* Shared memory regions in the memory of a process: what others map meanwhile, how many areas there are, files that are cut short,
 * and windows as a guest's memory.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/shmem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/fault_safe.h"
#include "proto/base/checked.h"
#include "tests/core/shmem_maps.h"

#define PAGE     ((uint64_t)LIMIT_SHMEM_PAGE)
#define PAGES    (2 * LIMIT_SHMEM_MAPPINGS)
#define ATTEMPTS 70000u
#define STORM    5000u     /* maps of another thread */
#ifdef __SANITIZE_THREAD__ /* leaves a process little room */
#define LONGEST (UINT64_C(1) << 36)
#else
#define LONGEST LIMIT_SHMEM_LEN
#endif
#define STORM_AT 100u /* page where all happens */
#define GUEST_AT UINT64_C(0x100000000)

static const struct device_region region = {.shmid = 9, .len = PAGES * PAGE, .source = REGION_FILES};
static const struct shmem_limits limits = {.mappings = LIMIT_SHMEM_MAPPINGS, .bytes = PAGES * PAGE};

static unsigned fds_before;

static int setup(void **state)
{
        (void)state;
        fds_before = count_fds();
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        return count_fds() == fds_before ? 0 : -1;
}

static struct shmem *make(void)
{
        struct shmem *shmem;

        assert_int_equal(shmem_new(&region, 1, &limits, &shmem), 0);
        return shmem;
}

static int sealed_file(void)
{
        int fd = memfd_create("shmem", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, PAGES * PAGE), 0);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
        return fd;
}

static int map(struct shmem *shmem, int fd, uint64_t first, uint64_t n, struct shmem_mapping **ret_mapping)
{
        const struct shmem_request request = {
            .shmid = 9, .writable = true, .offset = first * PAGE, .len = n * PAGE, .fd_offset = first * PAGE};

        return shmem_map(shmem, &request, fd, ret_mapping);
}

/* ---- areas of a process ---- */

static size_t count_areas(const struct shmem *shmem)
{
        struct map_lines maps = map_lines_read();
        size_t n = map_lines_within(&maps, (uintptr_t)guest_mapping_base(shmem_window(shmem, 0)), region.len);

        map_lines_free(&maps);
        return n;
}

static void after_70000_attempts_memory_can_be_mapped(void **state)
{
        struct shmem *shmem = make();
        int fd = sealed_file();
        unsigned made = 0;

        (void)state;
        for (unsigned i = 0; i < ATTEMPTS; i++) {
                struct shmem_mapping *mapping;
                uint64_t page = 2 * (i % LIMIT_SHMEM_MAPPINGS) + i / LIMIT_SHMEM_MAPPINGS % 2;
                int r = map(shmem, fd, page, 1, &mapping);

                made += r == 0;
                assert_true(r == 0 || r == -E2BIG || r == -EEXIST);
        }
        assert_int_equal(made, LIMIT_SHMEM_MAPPINGS);
        assert_true(count_areas(shmem) <= 2 * LIMIT_SHMEM_MAPPINGS + 1);
        assert_maps(shmem);
        assert_int_equal(munmap(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE), 0);
        (void)shmem_free(shmem);
        close(fd);
}

/* As many areas as can be: each page is another than its neighbours. */
static void all_devices_at_their_limits_leave_areas(void **state)
{
        struct shmem *devices[LIMIT_DEVICES];
        int fd = sealed_file();
        void *one[1000];
        struct shmem_mapping *mapping;

        (void)state;
        for (unsigned i = 0; i < LIMIT_DEVICES; i++) {
                devices[i] = make();
                for (uint64_t page = 0; page < PAGES; page += 2)
                        assert_int_equal(map(devices[i], fd, page, 1, &mapping), 0);
                assert_int_equal(map(devices[i], fd, 1, 1, &mapping), -E2BIG);
        }
        for (size_t i = 0; i < array_size(one); i++) {
                one[i] = mmap(NULL, PAGE, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                assert_true(one[i] != MAP_FAILED);
        }
        for (size_t i = 0; i < array_size(one); i++)
                assert_int_equal(munmap(one[i], PAGE), 0);
        for (unsigned i = 0; i < LIMIT_DEVICES; i++)
                (void)shmem_free(devices[i]);
        close(fd);
}

/* What came and went leaves one area: nothing piles up over years. */
static void an_empty_window_is_one_area_again(void **state)
{
        struct shmem *shmem = make();
        int fd = sealed_file();

        (void)state;
        for (unsigned turn = 0; turn < 20; turn++) {
                struct shmem_mapping *mapping;

                for (uint64_t page = turn % 3; page + 4 < PAGES; page += 3 + turn % 5)
                        assert_int_equal(map(shmem, fd, page, 1 + turn % 3, &mapping), 0);
                while (shmem_n_mappings(shmem) > 0)
                        shmem_unmap(shmem,
                                    shmem_mapping_at(shmem, turn % 2 ? 0 : shmem_n_mappings(shmem) / 2));
                assert_int_equal(count_areas(shmem), 1);
        }
        (void)shmem_free(shmem);
        close(fd);
}

static void a_window_is_gone_with_its_last_reference(void **state)
{
        struct shmem *shmem = make();
        int fd = sealed_file();
        struct shmem_mapping *mapping;
        struct guest_mapping *window = guest_mapping_ref(shmem_window(shmem, 0));
        uintptr_t base = (uintptr_t)guest_mapping_base(window);
        struct map_lines maps;

        (void)state;
        assert_int_equal(map(shmem, fd, 5, 5, &mapping), 0);
        (void)shmem_free(shmem);
        maps = map_lines_read();
        assert_empty(&maps, base, region.len); /* reserved, and nothing in it */
        map_lines_free(&maps);
        (void)guest_mapping_unref(window);
        assert_int_equal(msync((void *)base, region.len, MS_ASYNC), -1); /* nothing is there at all */
        assert_int_equal(errno, ENOMEM);
        close(fd);
}

static void a_long_window_begins_where_a_large_page_does(void **state)
{
        static const uint64_t lens[] = {2 << 20, (2 << 20) + 4096, LONGEST};

        (void)state;
        for (size_t i = 0; i < array_size(lens); i++) {
                struct guest_mapping *window;

                assert_int_equal(guest_mapping_reserve(lens[i], &window), 0);
                assert_int_equal((uintptr_t)guest_mapping_base(window) % (2 << 20), 0);
                (void)guest_mapping_unref(window);
        }
}

static void windows_and_their_parts_are_whole_pages_inside(void **state)
{
        static const uint64_t bad_lens[] = {
            0, 1, 4095, 4097, UINT64_MAX, UINT64_MAX - 4095, UINT64_C(1) << 63};
        static const struct {
                uint64_t at, len, offset;
        } bad_parts[] = {{0, 0, 0},
                         {1, 4096, 0},
                         {0, 4095, 0},
                         {0, 4096, 1},
                         {65536, 4096, 0},
                         {61440, 8192, 0},
                         {0, 65536 + 4096, 0},
                         {-UINT64_C(4096), 8192, 0},
                         {4096, -UINT64_C(4096), 0},
                         {0, 4096, UINT64_C(1) << 63},
                         {0, 4096, -UINT64_C(4096)}};
        struct guest_mapping *const untouched = (struct guest_mapping *)&fds_before, *window = untouched;
        int fd = sealed_file();
        struct map_lines maps;

        (void)state;
        for (size_t i = 0; i < array_size(bad_lens); i++)
                assert_int_equal(guest_mapping_reserve(bad_lens[i], &window), -EINVAL);
        assert_int_equal(guest_mapping_reserve(UINT64_C(1) << 62, &window), -ENOMEM);
        assert_ptr_equal(window, untouched);
        assert_int_equal(guest_mapping_reserve(65536, &window), 0);
        for (size_t i = 0; i < array_size(bad_parts); i++)
                assert_int_equal(guest_mapping_put(window, bad_parts[i].at, bad_parts[i].len, fd,
                                                   bad_parts[i].offset, true),
                                 -EINVAL);
        maps = map_lines_read();
        assert_empty(&maps, (uintptr_t)guest_mapping_base(window), 65536);
        map_lines_free(&maps);
        (void)guest_mapping_unref(window);
        close(fd);
}

/* ---- others that map ---- */

struct storm {
        uintptr_t start[2], end[2]; /* of the windows */
        atomic_bool over;
        unsigned in_windows, changed;
};

/* Would like to lie in a window, and does if there is a gap at that moment. */
static void storm_once(struct storm *storm, unsigned turn)
{
        size_t len = PAGE << turn % 5;
        uintptr_t wish = turn % 8 ? storm->start[turn % 2] + STORM_AT * PAGE : 0;
        uint64_t *at = mmap((void *)wish, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (at == MAP_FAILED)
                abort();
        for (unsigned i = 0; i < array_size(storm->start); i++)
                storm->in_windows += (uintptr_t)at < storm->end[i] && storm->start[i] < (uintptr_t)at + len;
        at[0] = turn;
        at[len / 8 - 1] = turn;
        storm->changed += at[0] != turn || at[len / 8 - 1] != turn;
        (void)munmap(at, len);
}

static void *storm_all(void *context)
{
        struct storm *storm = context;

        for (unsigned turn = 0; turn < STORM; turn++)
                storm_once(storm, turn);
        atomic_store(&storm->over, true);
        return NULL;
}

static void nothing_else_comes_to_lie_in_a_window(void **state)
{
        struct shmem *shmems[] = {make(), make()};
        int fd = sealed_file();
        struct storm storm = {0};
        unsigned rounds = 0;
        pthread_t thread;

        (void)state;
        for (unsigned i = 0; i < 2; i++) {
                storm.start[i] = (uintptr_t)guest_mapping_base(shmem_window(shmems[i], 0));
                storm.end[i] = storm.start[i] + region.len;
        }
        assert_int_equal(pthread_create(&thread, NULL, storm_all, &storm), 0);
        for (; !atomic_load(&storm.over); rounds++) {
                struct shmem *shmem = shmems[rounds % 2];
                struct shmem_mapping *mapping;

                assert_int_equal(map(shmem, fd, STORM_AT, 16, &mapping), 0);
                shmem_unmap(shmem, mapping);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(rounds > 0);
        assert_int_equal(storm.in_windows, 0);
        assert_int_equal(storm.changed, 0);
        assert_maps(shmems[0]);
        assert_maps(shmems[1]);
        (void)shmem_free(shmems[0]);
        (void)shmem_free(shmems[1]);
        close(fd);
}

/* ---- files that change under a mapping ---- */

static gpa_t gpa(uint64_t at)
{
        return (gpa_t){.v = at};
}

static struct guest_memory *guest_of(struct guest_mapping *window, uint64_t first, uint64_t n)
{
        const struct guest_region part = {.start = gpa(GUEST_AT),
                                          .len = n * PAGE,
                                          .mapping = window,
                                          .offset = first * PAGE,
                                          .writable = true};
        struct guest_memory *empty = guest_memory_new(), *memory;

        assert_int_equal(guest_memory_with(empty, &part, &memory), 0);
        (void)guest_memory_unref(empty);
        return memory;
}

static void a_file_that_is_cut_short_is_an_error_and_nothing_dies(void **state)
{
        char name[] = "/dev/shm/bulkhead-cut.XXXXXX";
        int fd = mkostemp(name, O_CLOEXEC);
        struct shmem *shmem = make();
        struct shmem_mapping *mapping;
        struct guest_memory *memory;
        uint8_t bytes[64] = {0};

        (void)state;
        assert_int_equal(fault_safe_install(), 0); /* over cmocka's own handlers */
        assert_int_equal(ftruncate(fd, 8 * PAGE), 0);
        assert_int_equal(map(shmem, fd, 0, 8, &mapping), 0);
        memory = guest_of(shmem_window(shmem, 0), 0, 8);
        for (uint64_t page = 9; page-- > 0;) {
                assert_int_equal(ftruncate(fd, (off_t)(page * PAGE)), 0);
                for (uint64_t i = 0; i < 8; i++) {
                        gpa_t at = gpa(GUEST_AT + i * PAGE + 100);

                        assert_int_equal(guest_memory_read(memory, at, bytes, 64), i < page ? 0 : -EFAULT);
                        assert_int_equal(guest_memory_write(memory, at, bytes, 64), i < page ? 0 : -EFAULT);
                        assert_int_equal(guest_memory_zero(memory, at, 64), i < page ? 0 : -EFAULT);
                }
        }
        assert_int_equal(ftruncate(fd, 8 * PAGE), 0);
        assert_int_equal(guest_memory_read(memory, gpa(GUEST_AT + 7 * PAGE), bytes, 64), 0);
        assert_maps(shmem);
        (void)guest_memory_unref(memory);
        (void)shmem_free(shmem);
        assert_int_equal(unlink(name), 0);
        close(fd);
}

static void a_hole_is_an_error_and_so_is_writing_what_is_read_only(void **state)
{
        struct shmem_request request = {.shmid = 9, .offset = 2 * PAGE, .len = PAGE};
        struct shmem *shmem = make();
        int fd = sealed_file(), reader = sealed_file();
        struct shmem_mapping *mapping;
        struct guest_memory *memory = guest_of(shmem_window(shmem, 0), 0, 4);
        uint8_t bytes[64] = {7};

        (void)state;
        assert_int_equal(fault_safe_install(), 0);
        assert_int_equal(fcntl(reader, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
        assert_int_equal(map(shmem, fd, 1, 1, &mapping), 0);
        assert_int_equal(shmem_map(shmem, &request, reader, &mapping), 0);
        for (uint64_t page = 0; page < 4; page++) {
                bool is_there = page == 1 || page == 2;
                gpa_t at = gpa(GUEST_AT + page * PAGE);

                assert_int_equal(guest_memory_read(memory, at, bytes, 64), is_there ? 0 : -EFAULT);
                assert_int_equal(guest_memory_write(memory, at, bytes, 64), page == 1 ? 0 : -EFAULT);
        }
        assert_int_equal(guest_memory_read(memory, gpa(GUEST_AT + PAGE - 1), bytes, 2), -EFAULT);
        shmem_unmap(shmem, mapping);
        assert_int_equal(guest_memory_read(memory, gpa(GUEST_AT + 2 * PAGE), bytes, 64), -EFAULT);
        (void)guest_memory_unref(memory);
        (void)shmem_free(shmem);
        close(fd);
        close(reader);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
            CLAIM(after_70000_attempts_memory_can_be_mapped),
            CLAIM(all_devices_at_their_limits_leave_areas),
            CLAIM(an_empty_window_is_one_area_again),
            CLAIM(a_window_is_gone_with_its_last_reference),
            CLAIM(a_long_window_begins_where_a_large_page_does),
            CLAIM(windows_and_their_parts_are_whole_pages_inside),
            CLAIM(nothing_else_comes_to_lie_in_a_window),
            CLAIM(a_file_that_is_cut_short_is_an_error_and_nothing_dies),
            CLAIM(a_hole_is_an_error_and_so_is_writing_what_is_read_only),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
