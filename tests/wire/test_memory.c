/* The memory table alone: what is refused, and that a refusal leaves nothing behind. TRUST: everything here
 * is our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/vhost_user/memory_table.h"
#include "proto/base/checked.h"
#include "tests/wire/fixture.h"

#define MIB  (UINT64_C(1) << 20)
#define USER UINT64_C(0x7e0000000000)
#define TOP  (UINT64_MAX - 4095) /* the last page of the address space */

struct region_case {
        const char *name;
        struct vhost_user_memory_region region; /* guest_address, size, user_address, mmap_offset */
        int result;
};

static int file;

static int setup(void **state)
{
        struct memory_table *table = calloc(1, sizeof(*table));

        file = memfd_create("memory-table", MFD_CLOEXEC);
        if (file < 0 || ftruncate(file, 4 * (off_t)MIB) < 0)
                return -1;
        memory_table_init(table, NULL);
        *state = table;
        return 0;
}

static int teardown(void **state)
{
        memory_table_done(*state);
        free(*state);
        close(file);
        return 0;
}

/* One region to run into: guest [16 MiB, 17 MiB), user USER + the same. */
static void add_base(struct memory_table *table)
{
        struct vhost_user_memory_region region = {16 * MIB, MIB, USER + 16 * MIB, 0};

        assert_int_equal(memory_table_add(table, &region, file), 0);
}

static const struct region_case cases[] = {
    {"a fine one", {0, MIB, USER, 0}, 0},
    {"one page", {0, 4096, USER, 0}, 0},
    {"one byte", {0, 1, USER, 0}, 0},
    {"to the end of the file", {0, MIB, USER, 3 * MIB}, 0},
    {"one byte behind the end of the file", {0, MIB + 1, USER, 3 * MIB}, -EFBIG},
    {"offset at the end of the file", {0, 1, USER, 4 * MIB}, -EFBIG},
    {"offset behind the file", {0, 1, USER, UINT64_C(1) << 40}, -EFBIG},
    {"empty", {0, 0, USER, 0}, -EINVAL},
    {"all of the address space", {0, UINT64_MAX, USER, 0}, -EINVAL},
    {"guest address wraps", {TOP, 8192, USER, 0}, -EINVAL},
    {"guest address ends at 2^64", {TOP, 4096, USER, 0}, -EINVAL},
    {"guest address ends one below", {TOP, 4095, USER, 0}, 0},
    {"user address wraps", {0, 8192, TOP, 0}, -EINVAL},
    {"offset wraps", {0, 8192, USER, TOP}, -EINVAL},
    {"offset and size make 2^64 - 1", {0, 4095, USER, TOP}, -EFBIG},
    {"unaligned alike", {0x123, 4096, USER + 0x123, 0x123}, 0},
    {"straddles a page", {0xfff, 2, USER + 0xfff, 0xfff}, 0},
    {"guest address aligned otherwise", {1, 4096, USER, 0}, -EINVAL},
    {"user address aligned otherwise", {0, 4096, USER + 1, 0}, -EINVAL},
    {"offset aligned otherwise", {0, 4096, USER, 2048}, -EINVAL},
    {"the same guest address", {16 * MIB, MIB, USER, 0}, -EEXIST},
    {"guest: last byte overlaps", {15 * MIB, MIB + 1, USER, 0}, -EEXIST},
    {"guest: ends where it starts", {15 * MIB, MIB, USER, 0}, 0},
    {"guest: first byte overlaps", {17 * MIB - 4096, 8192, USER, 0}, -EEXIST},
    {"guest: starts where it ends", {17 * MIB, MIB, USER, 0}, 0},
    {"guest: inside", {16 * MIB + 4096, 4096, USER, 0}, -EEXIST},
    {"guest: around", {15 * MIB, 3 * MIB, USER, 0}, -EEXIST},
    {"user: the same", {0, MIB, USER + 16 * MIB, 0}, -EEXIST},
    {"user: last byte overlaps", {0, MIB + 1, USER + 15 * MIB, 0}, -EEXIST},
    {"user: ends where it starts", {0, MIB, USER + 15 * MIB, 0}, 0},
    {"user: starts where it ends", {0, MIB, USER + 17 * MIB, 0}, 0},
    {"user: inside", {0, 4096, USER + 16 * MIB + 4096, 0}, -EEXIST},
};

static void every_region_is_judged_before_it_is_mapped(void **state)
{
        struct memory_table *table = *state;

        add_base(table);
        for (size_t i = 0; i < array_size(cases); i++) {
                struct guest_memory *before = table->memory;
                unsigned maps = count_maps(), fds = count_fds();
                int r = memory_table_add(table, &cases[i].region, file);

                if (r != cases[i].result)
                        print_error("%s: %d\n", cases[i].name, r);
                assert_int_equal(r, cases[i].result);
                if (r == 0)
                        assert_int_equal(memory_table_remove(table, &cases[i].region), 0);
                else
                        assert_ptr_equal(table->memory, before);
                assert_int_equal(table->n, 1);
                assert_int_equal(guest_memory_bytes(table->memory), MIB);
                assert_int_equal(count_maps(), maps);
                assert_int_equal(count_fds(), fds);
        }
}

static void table_is_replaced_whole_or_not_at_all(void **state)
{
        struct memory_table *table = *state;
        struct vhost_user_memory_region regions[3] = {
            {0, MIB, USER, 0}, {2 * MIB, MIB, USER + 2 * MIB, MIB}, {MIB / 2, MIB, USER + 8 * MIB, 0}};
        int fds[3] = {file, file, file};

        add_base(table);
        assert_int_equal(memory_table_replace(table, regions, 3, fds), -EEXIST);
        assert_int_equal(table->n, 1);
        assert_int_equal(guest_memory_bytes(table->memory), MIB);
        assert_int_equal(memory_table_replace(table, regions, 2, fds), 0);
        assert_int_equal(table->n, 2);
        assert_int_equal(guest_memory_bytes(table->memory), 2 * MIB);
        assert_int_equal(memory_table_replace(table, regions, 0, fds), 0);
        assert_int_equal(table->n, 0);
        assert_null(table->memory);
}

static void number_of_regions_is_limited(void **state)
{
        struct memory_table *table = *state;
        struct vhost_user_memory_region region = {0, 4096, USER, 0};

        for (unsigned i = 0; i < LIMIT_REGIONS; i++) {
                region.guest_address = i * 8192u;
                region.user_address = USER + i * 8192u;
                assert_int_equal(memory_table_add(table, &region, file), 0);
        }
        region.guest_address = region.user_address = USER * 2;
        assert_int_equal(memory_table_add(table, &region, file), -E2BIG);
        assert_int_equal(table->n, LIMIT_REGIONS);
        region.guest_address = 0;
        region.user_address = USER;
        assert_int_equal(memory_table_remove(table, &region), 0);
        assert_int_equal(memory_table_add(table, &region, file), 0);
}

static void region_is_removed_only_by_its_three_numbers(void **state)
{
        struct memory_table *table = *state;
        struct vhost_user_memory_region exact = {16 * MIB, MIB, USER + 16 * MIB, 0}, other;

        add_base(table);
        other = exact, other.guest_address += 4096;
        assert_int_equal(memory_table_remove(table, &other), -ENOENT);
        other = exact, other.size -= 4096;
        assert_int_equal(memory_table_remove(table, &other), -ENOENT);
        other = exact, other.user_address += 4096;
        assert_int_equal(memory_table_remove(table, &other), -ENOENT);
        other = exact, other.mmap_offset = 4096; /* front ends send anything here */
        assert_int_equal(memory_table_remove(table, &other), 0);
        assert_int_equal(memory_table_remove(table, &exact), -ENOENT);
}

/* A front end may have a device for each pair of queues, each with the same memory. */
static void a_region_that_is_there_is_no_other(void **state)
{
        struct memory_table *table = *state;
        struct vhost_user_memory_region exact = {16 * MIB, MIB, USER + 16 * MIB, 0}, other;
        struct guest_memory *before;
        int copy = memfd_create("other", MFD_CLOEXEC);

        add_base(table);
        before = table->memory;
        assert_true(copy >= 0 && ftruncate(copy, 4 * MIB) == 0);
        assert_int_equal(memory_table_add(table, &exact, file), -EALREADY);
        assert_int_equal(memory_table_add(table, &exact, copy), -EEXIST);
        other = exact, other.mmap_offset = 4096;
        assert_int_equal(memory_table_add(table, &other, file), -EEXIST);
        assert_ptr_equal(table->memory, before);
        close(copy);
}

static enum memory_kind kind_of_all;

static enum memory_kind judge_kind(void *context, uint64_t dev, uint64_t ino)
{
        struct stat st;

        (void)context;
        assert_int_equal(fstat(file, &st), 0);
        assert_int_equal(dev, st.st_dev);
        assert_int_equal(ino, st.st_ino);
        return kind_of_all;
}

/* Of each kind what is added goes again, whatever it would be by then, and nothing of it is left. */
static void what_lies_in_a_shared_memory_region_has_holes(void **state)
{
        const struct memory_judge judge = {.kind = judge_kind};
        struct memory_table *table = *state;
        struct vhost_user_memory_region at = {32 * MIB, MIB, USER + 32 * MIB, 0};
        unsigned maps;
        uint8_t byte;

        memory_table_init(table, &judge);
        kind_of_all = MEMORY_PLAIN;
        add_base(table);
        maps = count_maps();
        for (enum memory_kind kind = MEMORY_PLAIN; kind <= MEMORY_REFUSED; kind++) {
                kind_of_all = kind;
                assert_int_equal(memory_table_add(table, &at, file), 0);
                assert_int_equal(memory_table_add(table, &at, file), -EALREADY);
                assert_int_equal(guest_memory_has_shmem(table->memory, GPA(32 * MIB), MIB),
                                 kind != MEMORY_PLAIN);
                assert_int_equal(guest_memory_read(table->memory, GPA(33 * MIB - 1), &byte, 1),
                                 kind == MEMORY_REFUSED ? -EFAULT : 0);
                assert_true(guest_memory_covers(table->memory, GPA(32 * MIB), MIB, true));
                kind_of_all = MEMORY_PLAIN;
                assert_int_equal(memory_table_remove(table, &at), 0);
                assert_false(guest_memory_covers(table->memory, GPA(32 * MIB), 1, false));
                assert_int_equal(guest_memory_bytes(table->memory), MIB);
                assert_int_equal(count_maps(), maps);
                kind_of_all = kind;
                assert_int_equal(memory_table_replace(table, &at, 1, &file), 0);
                assert_int_equal(table->slots[0].kind, kind);
                kind_of_all = MEMORY_PLAIN;
                assert_int_equal(memory_table_replace(table, NULL, 0, NULL), 0);
                add_base(table);
        }
}

static void addresses_translate_inside_one_region_only(void **state)
{
        struct memory_table *table = *state;
        struct vhost_user_memory_region next = {32 * MIB, MIB, USER + 17 * MIB,
                                                MIB}; /* adjacent for the user only */
        gpa_t at = GPA(1);

        assert_int_equal(memory_table_translate(table, USER, 1, &at), -EFAULT);
        add_base(table);
        assert_int_equal(memory_table_add(table, &next, file), 0);
        assert_int_equal(memory_table_translate(table, USER + 16 * MIB, MIB, &at), 0);
        assert_int_equal(at.v, 16 * MIB);
        assert_int_equal(memory_table_translate(table, USER + 17 * MIB - 1, 1, &at), 0);
        assert_int_equal(at.v, 17 * MIB - 1);
        assert_int_equal(memory_table_translate(table, USER + 17 * MIB, 1, &at), 0);
        assert_int_equal(at.v, 32 * MIB);
        at = GPA(1);
        assert_int_equal(memory_table_translate(table, USER + 17 * MIB - 1, 2, &at), -EFAULT);
        assert_int_equal(memory_table_translate(table, USER + 16 * MIB - 1, 1, &at), -EFAULT);
        assert_int_equal(memory_table_translate(table, USER + 16 * MIB, UINT64_MAX, &at), -EFAULT);
        assert_int_equal(memory_table_translate(table, UINT64_MAX, 1, &at), -EFAULT);
        assert_int_equal(at.v, 1);
}

static void mapping_shows_the_files_bytes_at_their_offset(void **state)
{
        struct memory_table *table = *state;
        struct vhost_user_memory_region region = {0x1800, 0x2000, USER + 0x1800, 0x5800};
        uint32_t there = 0xfeedbeef, seen = 0;

        assert_int_equal(pwrite(file, &there, 4, 0x5800), 4);
        assert_int_equal(memory_table_add(table, &region, file), 0);
        assert_int_equal(guest_memory_read(table->memory, GPA(0x1800), &seen, 4), 0);
        assert_int_equal(seen, there);
        there = 0x12345678;
        assert_int_equal(guest_memory_write(table->memory, GPA(0x37fc), &there, 4), 0);
        assert_int_equal(pread(file, &seen, 4, 0x77fc), 4);
        assert_int_equal(seen, there);
        assert_int_equal(guest_memory_write(table->memory, GPA(0x37fd), &there, 4), -EFAULT);
        assert_int_equal(guest_memory_read(table->memory, GPA(0x17ff), &seen, 4), -EFAULT);
}

static void read_only_descriptor_makes_read_only_memory(void **state)
{
        struct memory_table *table = *state;
        struct vhost_user_memory_region region = {0, 4096, USER, 0};
        char path[64];
        uint32_t word = 0;
        int fd;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(memory_table_add(table, &region, fd), 0);
        close(fd);
        assert_int_equal(guest_memory_read(table->memory, GPA(0), &word, 4), 0);
        assert_int_equal(guest_memory_write(table->memory, GPA(0), &word, 4), -EFAULT);
}

static void huge_pages_are_mapped_whole(void **state)
{
        struct memory_table *table = *state;
        struct vhost_user_memory_region region = {0, MIB, USER, MIB}; /* the second half of a 2 MiB page */
        int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
        void *probe = MAP_FAILED;
        unsigned maps;

        if (fd >= 0 && ftruncate(fd, 2 * (off_t)MIB) == 0)
                probe = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (probe == MAP_FAILED) {
                if (fd >= 0)
                        close(fd);
                skip(); /* needs vm.nr_hugepages >= 1 */
        }
        munmap(probe, 2 * MIB);
        maps = count_maps();
        assert_int_equal(memory_table_add(table, &region, fd), 0);
        assert_int_equal(memory_table_remove(table, &region), 0);
        assert_int_equal(count_maps(), maps); /* munmap took the whole page */
        close(fd);
}

/* Every kind of descriptor that is no memory. */
static void other_descriptors_are_refused(void **state)
{
        struct memory_table *table = *state;
        struct vhost_user_memory_region region = {0, 4096, USER, 0};
        int pipes[2], sockets[2];
        char path[64];

        snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
        {
                int fds[] = {pipes[0],
                             pipes[1],
                             sockets[0],
                             sockets[1],
                             open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                             open("/dev/null", O_RDWR | O_CLOEXEC),
                             open("/dev/zero", O_RDWR | O_CLOEXEC),
                             open(path, O_PATH | O_CLOEXEC),
                             open(path, O_WRONLY | O_CLOEXEC),
                             eventfd(0, EFD_CLOEXEC),
                             epoll_create1(EPOLL_CLOEXEC)};

                for (size_t i = 0; i < array_size(fds); i++) {
                        assert_true(fds[i] >= 0);
                        assert_int_equal(memory_table_add(table, &region, fds[i]), -EBADF);
                        close(fds[i]);
                }
        }
        assert_int_equal(memory_table_add(table, &region, -1), -EBADF);
        assert_int_equal(memory_table_add(table, &region, 1000000), -EBADF);
        assert_int_equal(table->n, 0);
        assert_null(table->memory);
}

/* Random additions and removals against a bitmap of pages: the table and the model agree at each step. */
#define MODEL_PAGES 64u

static bool model_free(const bool *pages, unsigned start, unsigned n)
{
        for (unsigned i = start; i < start + n; i++)
                if (pages[i])
                        return false;
        return true;
}

static void random_changes_agree_with_a_bitmap(void **state)
{
        struct memory_table *table = *state;
        bool guest[MODEL_PAGES] = {0}, user[MODEL_PAGES] = {0};
        unsigned seed = 1;

        for (int step = 0; step < 20000; step++) {
                if (table->n > 0 && rand_r(&seed) % 3 == 0) {
                        const struct memory_slot slot = table->slots[(unsigned)rand_r(&seed) % table->n];
                        struct vhost_user_memory_region region = {slot.guest_address, slot.len,
                                                                  slot.user_address, 0};

                        memset(guest + slot.guest_address / 4096, 0, slot.len / 4096);
                        memset(user + (slot.user_address - USER) / 4096, 0, slot.len / 4096);
                        assert_int_equal(memory_table_remove(table, &region), 0);
                } else {
                        unsigned n = 1 + (unsigned)rand_r(&seed) % 8;
                        unsigned g = (unsigned)rand_r(&seed) % (MODEL_PAGES - n);
                        unsigned u = (unsigned)rand_r(&seed) % (MODEL_PAGES - n);
                        struct vhost_user_memory_region region = {g * 4096u, n * 4096u, USER + u * 4096u, 0};
                        bool fits = model_free(guest, g, n) && model_free(user, u, n);

                        int r = memory_table_add(table, &region, file);

                        assert_int_equal(r == -EALREADY ? -EEXIST : r, fits ? 0 : -EEXIST);
                        if (fits) {
                                memset(guest + g, 1, n);
                                memset(user + u, 1, n);
                        }
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TABLE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
            TABLE_TEST(every_region_is_judged_before_it_is_mapped),
            TABLE_TEST(table_is_replaced_whole_or_not_at_all),
            TABLE_TEST(number_of_regions_is_limited),
            TABLE_TEST(a_region_that_is_there_is_no_other),
            TABLE_TEST(what_lies_in_a_shared_memory_region_has_holes),
            TABLE_TEST(region_is_removed_only_by_its_three_numbers),
            TABLE_TEST(addresses_translate_inside_one_region_only),
            TABLE_TEST(mapping_shows_the_files_bytes_at_their_offset),
            TABLE_TEST(read_only_descriptor_makes_read_only_memory),
            TABLE_TEST(huge_pages_are_mapped_whole),
            TABLE_TEST(other_descriptors_are_refused),
            TABLE_TEST(random_changes_agree_with_a_bitmap),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
