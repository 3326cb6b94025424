/* Cases: ranges copied by the kernel.
 * Called by: files_run.c. TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"

#define LEN 300000

static int source(void)
{
        int fd = must(open("source", O_RDWR | O_CREAT, 0644));

        fd_fill(fd, 0, LEN, 1);
        return fd;
}

static int target(void)
{
        return must(open("target", O_RDWR | O_CREAT, 0644));
}

/* The kernel may copy less than it is asked for. */
static void copy_all(int from, off_t from_offset, int to, off_t to_offset, size_t len)
{
        while (len > 0) {
                ssize_t n = must(copy_file_range(from, &from_offset, to, &to_offset, len, 0));

                holds(n > 0);
                len -= (size_t)n;
        }
}

static void copied_file_is_the_same(void)
{
        int from = source(), to = target();

        copy_all(from, 0, to, 0, LEN);
        equal(stat_of("target").st_size, LEN);
        fd_filled(to, 0, LEN, 1);
        fd_filled(must(open("target", O_RDONLY)), 0, LEN, 1);
        fd_filled(from, 0, LEN, 1);
}

static void copied_range_leaves_its_neighbours(void)
{
        int from = source(), to = target();

        fd_fill(to, 0, LEN, 2);
        copy_all(from, 80000, to, 80000, 40000);
        fd_filled(to, 0, 80000, 2);
        fd_filled(to, 80000, 40000, 1);
        fd_filled(to, 120000, LEN - 120000, 2);
        equal(stat_of("target").st_size, LEN);
}

static void copy_behind_the_end_leaves_zeros(void)
{
        int from = source(), to = target();

        copy_all(from, 100000, to, 100000, 5000);
        equal(stat_fd(to).st_size, 105000);
        fd_zeros(to, 0, 100000);
        fd_filled(to, 100000, 5000, 1);
}

static void copy_moves_the_offsets_that_it_used(void)
{
        int from = source(), to = target();
        off_t offset = 1000;
        ssize_t n;

        must(lseek(from, 7, SEEK_SET));
        n = must(copy_file_range(from, &offset, to, NULL, 500, 0));
        equal(offset, 1000 + n);
        equal(lseek(from, 0, SEEK_CUR), 7);
        equal(lseek(to, 0, SEEK_CUR), n);
}

static void copy_ends_where_the_source_ends(void)
{
        int from = source(), to = target();
        off_t offset = LEN - 10;

        equal(copy_file_range(from, &offset, to, NULL, 1000, 0), 10);
        equal(copy_file_range(from, &offset, to, NULL, 1000, 0), 0);
        equal(stat_fd(to).st_size, 10);
}

static void copy_within_a_file_moves_bytes(void)
{
        int fd = source();

        copy_all(fd, 0, fd, 2 * (off_t)LEN, LEN);
        fd_filled(fd, 0, LEN, 1);
        fd_zeros(fd, LEN, LEN);
        equal(stat_fd(fd).st_size, 3 * LEN);
}

static void copy_onto_itself_is_refused(void)
{
        int fd = source();
        off_t from = 0, to = 1000;

        fails(copy_file_range(fd, &from, fd, &to, 5000, 0), EINVAL);
        fd_filled(fd, 0, LEN, 1);
}

static void copy_needs_the_right_descriptors(void)
{
        int from = source(), to;

        target();
        to = must(open("target", O_RDONLY));
        fails(copy_file_range(from, NULL, to, NULL, 100, 0), EBADF);
        to = must(open("target", O_WRONLY));
        fails(copy_file_range(to, NULL, from, NULL, 100, 0), EBADF);
        to = must(open("target", O_WRONLY | O_APPEND));
        fails(copy_file_range(from, NULL, to, NULL, 100, 0), EBADF);
        fails(copy_file_range(must(open(".", O_RDONLY)), NULL, from, NULL, 100, 0), EISDIR);
        fails(copy_file_range(from, NULL, to, NULL, 100, 1), EINVAL);
}

static void copy_sees_what_was_just_written(void)
{
        int from = source(), to = target();

        fd_filled(to, 0, 0, 1);
        fd_fill(from, 1000, 1000, 9);
        copy_all(from, 0, to, 0, 3000);
        fd_filled(to, 0, 1000, 1);
        fd_filled(to, 1000, 1000, 9);
        fd_filled(to, 2000, 1000, 1);
}

static void copy_replaces_what_was_cached(void)
{
        int from = source(), to = target();

        fd_fill(to, 0, 20000, 2);
        fd_filled(to, 0, 20000, 2);
        copy_all(from, 0, to, 0, 10000);
        fd_filled(to, 0, 10000, 1);
        fd_filled(to, 10000, 10000, 2);
}

static void copy_reads_and_fills_removed_files(void)
{
        int from = source(), to = target();

        must(unlink("source"));
        must(unlink("target"));
        copy_all(from, 0, to, 0, LEN);
        fd_filled(to, 0, LEN, 1);
}

static void copy_of_a_hole_is_zeros(void)
{
        int from = source(), to = target();

        must(ftruncate(from, 2 * (off_t)LEN));
        fd_fill(to, 0, 2 * LEN, 2);
        copy_all(from, 0, to, 0, 2 * LEN);
        fd_filled(to, 0, LEN, 1);
        fd_zeros(to, LEN, LEN);
}

const struct file_case cases_copy[] = {
    CASE(copied_file_is_the_same),
    CASE(copied_range_leaves_its_neighbours),
    CASE(copy_behind_the_end_leaves_zeros),
    CASE(copy_moves_the_offsets_that_it_used),
    CASE(copy_ends_where_the_source_ends),
    CASE(copy_within_a_file_moves_bytes),
    CASE(copy_onto_itself_is_refused),
    CASE(copy_needs_the_right_descriptors),
    CASE(copy_sees_what_was_just_written),
    CASE(copy_replaces_what_was_cached),
    CASE(copy_reads_and_fills_removed_files),
    CASE(copy_of_a_hole_is_zeros),
    {NULL, NULL},
};
