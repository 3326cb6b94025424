/* Cases: sizes, holes and allocation.
 * Called by: files_run.c. TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"
#include <linux/falloc.h>

#define MIB (1 << 20)

static int new_file(size_t len)
{
        int fd = must(open("file", O_RDWR | O_CREAT, 0644));

        fd_fill(fd, 0, len, 1);
        return fd;
}

static void truncate_shortens(void)
{
        int fd = new_file(100000);

        must(truncate("file", 5000));
        equal(stat_fd(fd).st_size, 5000);
        equal(stat_of("file").st_size, 5000);
        fd_filled(fd, 0, 5000, 1);
        must(ftruncate(fd, 0));
        equal(stat_of("file").st_size, 0);
}

static void truncate_lengthens_with_zeros(void)
{
        int fd = new_file(1000);

        must(truncate("file", 100000));
        equal(stat_fd(fd).st_size, 100000);
        fd_filled(fd, 0, 1000, 1);
        fd_zeros(fd, 1000, 99000);
}

static void what_was_cut_off_does_not_come_back(void)
{
        int fd = new_file(100000);

        must(ftruncate(fd, 777));
        must(ftruncate(fd, 50000));
        fd_filled(fd, 0, 777, 1);
        fd_zeros(fd, 777, 50000 - 777);
        fd_fill(fd, 60000, 10, 1);
        fd_zeros(fd, 50000, 10000);
}

static void truncate_refuses_what_is_no_file(void)
{
        must(mkdir("folder", 0755));
        fails(truncate("folder", 0), EISDIR);
        fails(truncate("nothing", 0), ENOENT);
        new_file(10);
        fails(truncate("file", -1), EINVAL);
        fails(truncate("file/x", 0), ENOTDIR);
        equal(stat_of("file").st_size, 10);
}

static void truncate_needs_a_writing_descriptor(void)
{
        new_file(10);
        fails_so(ftruncate(must(open("file", O_RDONLY)), 0), EINVAL, EBADF);
        fails_so(ftruncate(must(open(".", O_RDONLY)), 0), EINVAL, EBADF);
        equal(stat_of("file").st_size, 10);
}

static void truncate_follows_links(void)
{
        new_file(10);
        must(symlink("file", "link"));
        must(truncate("link", 3));
        equal(stat_of("file").st_size, 3);
}

static void truncate_reaches_a_removed_file(void)
{
        int fd = new_file(10000);

        must(unlink("file"));
        must(ftruncate(fd, 300));
        equal(stat_fd(fd).st_size, 300);
        must(ftruncate(fd, 20000));
        fd_filled(fd, 0, 300, 1);
        fd_zeros(fd, 300, 19700);
}

static void sparse_file_takes_little_room(void)
{
        int fd = new_file(10);

        must(ftruncate(fd, (off_t)1 << 38));
        equal(stat_of("file").st_size, (off_t)1 << 38);
        holds(stat_fd(fd).st_blocks < 1000);
        fd_zeros(fd, ((off_t)1 << 38) - 100, 100);
}

static void size_beyond_all_limits_is_refused(void)
{
        int fd = new_file(10);

        fails_so(ftruncate(fd, INT64_MAX), EFBIG, EINVAL);
        equal(stat_fd(fd).st_size, 10);
}

static int file_with_a_hole(void)
{
        int fd = must(open("file", O_RDWR | O_CREAT, 0644));

        must(ftruncate(fd, 4 * MIB));
        fd_fill(fd, MIB, 65536, 1);
        must(fsync(fd));
        return fd;
}

static void data_is_found_behind_a_hole(void)
{
        int fd = file_with_a_hole();

        equal(lseek(fd, 0, SEEK_DATA), MIB);
        equal(lseek(fd, MIB + 5, SEEK_DATA), MIB + 5);
        fails(lseek(fd, 2 * MIB, SEEK_DATA), ENXIO);
}

static void holes_are_found(void)
{
        int fd = file_with_a_hole();

        equal(lseek(fd, 5, SEEK_HOLE), 5);
        equal(lseek(fd, MIB, SEEK_HOLE), MIB + 65536);
        fails(lseek(fd, 4 * MIB, SEEK_HOLE), ENXIO);
        fails(lseek(fd, 5 * MIB, SEEK_DATA), ENXIO);
}

static void file_without_holes_has_one_at_its_end(void)
{
        int fd = new_file(10000);

        must(fsync(fd));
        equal(lseek(fd, 0, SEEK_HOLE), 10000);
        equal(lseek(fd, 9999, SEEK_DATA), 9999);
}

static void allocation_lengthens(void)
{
        int fd = new_file(1000);

        must(fallocate(fd, 0, 500, 10000));
        equal(stat_fd(fd).st_size, 10500);
        equal(stat_of("file").st_size, 10500);
        fd_filled(fd, 0, 1000, 1);
        fd_zeros(fd, 1000, 9500);
        holds(stat_fd(fd).st_blocks * 512 >= 8192);
}

static void allocation_can_keep_the_size(void)
{
        int fd = new_file(1000);

        must(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, MIB));
        equal(stat_fd(fd).st_size, 1000);
        holds(stat_of("file").st_blocks * 512 >= MIB);
        fd_filled(fd, 0, 1000, 1);
}

static void allocation_inside_changes_no_byte(void)
{
        int fd = new_file(100000);

        must(fallocate(fd, 0, 1000, 5000));
        equal(posix_fallocate(fd, 0, 200000), 0);
        equal(stat_fd(fd).st_size, 200000);
        fd_filled(fd, 0, 100000, 1);
        fd_zeros(fd, 100000, 100000);
}

static void punched_hole_reads_as_zeros(void)
{
        int fd = new_file(100000);

        must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5001, 70001));
        equal(stat_fd(fd).st_size, 100000);
        fd_filled(fd, 0, 5001, 1);
        fd_zeros(fd, 5001, 70001);
        fd_filled(fd, 75002, 100000 - 75002, 1);
}

static void punched_hole_gives_room_back(void)
{
        int fd = new_file(4 * MIB);
        blkcnt_t before;

        must(fsync(fd));
        before = stat_fd(fd).st_blocks;
        must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB, 2 * MIB));
        must(fsync(fd));
        holds(stat_fd(fd).st_blocks < before - MIB / 512);
        equal(lseek(fd, 0, SEEK_HOLE), MIB);
        equal(lseek(fd, MIB, SEEK_DATA), 3 * MIB);
}

static void hole_behind_the_end_changes_nothing(void)
{
        int fd = new_file(1000);

        must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 5000));
        equal(stat_fd(fd).st_size, 1000);
        must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 900, 5000));
        equal(stat_fd(fd).st_size, 1000);
        fd_filled(fd, 0, 900, 1);
        fd_zeros(fd, 900, 100);
}

static void punching_keeps_to_the_size(void)
{
        fails(fallocate(new_file(1000), FALLOC_FL_PUNCH_HOLE, 0, 100), EOPNOTSUPP);
}

static void zeroed_range_reads_as_zeros(void)
{
        int fd = new_file(100000);

        must(fallocate(fd, FALLOC_FL_ZERO_RANGE, 50000, 100000));
        equal(stat_fd(fd).st_size, 150000);
        fd_filled(fd, 0, 50000, 1);
        fd_zeros(fd, 50000, 100000);
}

static void zeroed_range_can_keep_the_size(void)
{
        int fd = new_file(10000);

        must(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 5000, 100000));
        equal(stat_fd(fd).st_size, 10000);
        fd_filled(fd, 0, 5000, 1);
        fd_zeros(fd, 5000, 5000);
}

static void allocation_refuses_what_makes_no_sense(void)
{
        int fd = new_file(1000);

        fails(fallocate(fd, 0, -1, 100), EINVAL);
        fails(fallocate(fd, 0, 0, 0), EINVAL);
        fails(fallocate(must(open("file", O_RDONLY)), 0, 0, 5000), EBADF);
        fails_so(fallocate(fd, 0, 0, INT64_MAX), EFBIG, ENOSPC);
        equal(stat_fd(fd).st_size, 1000);
}

static void sizes_are_seen_by_all_descriptors(void)
{
        int a = new_file(10), b = must(open("file", O_RDONLY)), c = must(open("file", O_RDWR));

        fd_fill(c, 10, 5000, 1);
        equal(stat_fd(b).st_size, 5010);
        must(ftruncate(a, 100));
        equal(stat_fd(b).st_size, 100);
        equal(lseek(c, 0, SEEK_END), 100);
}

const struct file_case cases_size[] = {
    CASE(truncate_shortens),
    CASE(truncate_lengthens_with_zeros),
    CASE(what_was_cut_off_does_not_come_back),
    CASE(truncate_refuses_what_is_no_file),
    CASE(truncate_needs_a_writing_descriptor),
    CASE(truncate_follows_links),
    CASE(truncate_reaches_a_removed_file),
    CASE(sparse_file_takes_little_room),
    CASE(size_beyond_all_limits_is_refused),
    CASE(data_is_found_behind_a_hole),
    CASE(holes_are_found),
    CASE(file_without_holes_has_one_at_its_end),
    CASE(allocation_lengthens),
    CASE(allocation_can_keep_the_size),
    CASE(allocation_inside_changes_no_byte),
    CASE(punched_hole_reads_as_zeros),
    CASE(punched_hole_gives_room_back),
    CASE(hole_behind_the_end_changes_nothing),
    CASE(punching_keeps_to_the_size),
    CASE(zeroed_range_reads_as_zeros),
    CASE(zeroed_range_can_keep_the_size),
    CASE(allocation_refuses_what_makes_no_sense),
    CASE(sizes_are_seen_by_all_descriptors),
    {NULL, NULL},
};
