/* Cases: which times change with what. A clock's tick is coarse: what shall change is made old first.
 * Called by: files_run.c. TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"
#include <sys/mman.h>

static void set_times(const char *path, time_t atime, long a_ns, time_t mtime, long m_ns)
{
        struct timespec times[2] = {{atime, a_ns}, {mtime, m_ns}};

        must(utimensat(AT_FDCWD, path, times, 0));
}

/* Does mtime move on when `act` does its part? The ctime must then do so too. */
static void mtime_moves(const char *path, void (*act)(void))
{
        struct stat st;

        make_old(path);
        act();
        st = stat_of(path);
        holds(!mtime_is_old(&st));
        holds(nanoseconds(st.st_ctim) >= nanoseconds(st.st_mtim));
}

static void mtime_stays(const char *path, void (*act)(void))
{
        struct stat st;

        make_old(path);
        act();
        st = stat_of(path);
        holds(mtime_is_old(&st));
}

/* Until ctime is seen to move on by what is done: no clock ticks faster than the loop of a second. */
static void ctime_moves(const char *path, void (*act)(void))
{
        int64_t before = nanoseconds(stat_of(path).st_ctim);

        for (int i = 0; i < 1000000; i++) {
                act();
                if (nanoseconds(stat_of(path).st_ctim) > before)
                        return;
        }
        case_fail("ctime of %s stands still", path);
}

static void times_are_set_to_the_nanosecond(void)
{
        struct stat st;

        file_put("file", "text");
        set_times("file", 1234567890, 123456789, 987654321, 987654321);
        st = stat_of("file");
        equal(nanoseconds(st.st_atim), 1234567890123456789);
        equal(nanoseconds(st.st_mtim), 987654321987654321);
}

static void times_of_folders_are_set(void)
{
        must(mkdir("folder", 0755));
        set_times("folder", 5, 6, 7, 8);
        equal(nanoseconds(stat_of("folder").st_mtim), 7000000008);
}

static void times_are_set_by_descriptor(void)
{
        struct timespec times[2] = {{11, 0}, {22, 0}};

        file_put("file", "text");
        must(futimens(must(open("file", O_RDONLY)), times));
        equal(stat_of("file").st_mtim.tv_sec, 22);
        equal(stat_of("file").st_atim.tv_sec, 11);
}

static void omitted_time_stays(void)
{
        struct timespec only_mtime[2] = {{0, UTIME_OMIT}, {33, 0}},
                        only_atime[2] = {{44, 0}, {0, UTIME_OMIT}};
        struct stat st;

        file_put("file", "text");
        set_times("file", 11, 0, 22, 0);
        must(utimensat(AT_FDCWD, "file", only_mtime, 0));
        must(utimensat(AT_FDCWD, "file", only_atime, 0));
        st = stat_of("file");
        equal(st.st_atim.tv_sec, 44);
        equal(st.st_mtim.tv_sec, 33);
}

static void both_times_omitted_changes_nothing(void)
{
        struct timespec omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
        struct stat before, after;

        file_put("file", "text");
        before = stat_of("file");
        must(utimensat(AT_FDCWD, "file", omit, 0));
        after = stat_of("file");
        equal(nanoseconds(after.st_ctim), nanoseconds(before.st_ctim));
        equal(nanoseconds(after.st_mtim), nanoseconds(before.st_mtim));
}

static void now_is_now(void)
{
        struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
        struct stat st;

        file_put("file", "text");
        set_times("file", 1, 0, 2, 0);
        must(utimensat(AT_FDCWD, "file", now, 0));
        file_put("reference", "text");
        st = stat_of("file");
        /* The clock of who sets "now" may not be that of who serves the file: an hour apart is still now. */
        holds(llabs((long long)(st.st_mtim.tv_sec - stat_of("reference").st_mtim.tv_sec)) < 3600);
        holds(llabs((long long)(st.st_atim.tv_sec - st.st_mtim.tv_sec)) < 3600);
}

static void times_reach_far(void)
{
        file_put("file", "text");
        set_times("file", 4102444800, 0, 4102444800, 1); /* 2100 */
        equal(nanoseconds(stat_of("file").st_mtim), 4102444800000000001);
        set_times("file", -86400, 0, -86400, 500); /* 1969 */
        equal(stat_of("file").st_mtim.tv_sec, -86400);
        equal(stat_of("file").st_mtim.tv_nsec, 500);
}

static void senseless_time_is_refused(void)
{
        struct timespec times[2] = {{0, 1000000000}, {0, 0}};

        file_put("file", "text");
        fails(utimensat(AT_FDCWD, "file", times, 0), EINVAL);
        fails(utimensat(AT_FDCWD, "nothing", NULL, 0), ENOENT);
}

static void act_write(void)
{
        int fd = must(open("file", O_WRONLY));

        equal(pwrite(fd, "x", 1, 0), 1);
        must(close(fd));
}

static void act_truncate(void)
{
        must(truncate("file", 1));
        must(truncate("file", 100));
}

static void act_empty(void)
{
        must(close(must(open("file", O_WRONLY | O_TRUNC))));
}

static void act_allocate(void)
{
        int fd = must(open("file", O_WRONLY));

        must(fallocate(fd, 0, 0, 50000));
        must(close(fd));
}

static void act_map(void)
{
        int fd = must(open("file", O_RDWR));
        char *bytes;

        must(ftruncate(fd, 4096));
        make_old("file");
        bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        holds(bytes != MAP_FAILED);
        bytes[0] = 'm';
        must(msync(bytes, 4096, MS_SYNC));
        must(munmap(bytes, 4096));
        must(close(fd));
}

static void act_read(void)
{
        file_has("file", "text");
}

static void act_chmod(void)
{
        must(chmod("file", 0600));
}

static void act_link(void)
{
        must(link("file", "other"));
        must(unlink("other"));
}

static void act_rename(void)
{
        must(rename("file", "x"));
        must(rename("x", "file"));
}

static void act_make_inside(void)
{
        file_put("folder/file", "text");
}

static void act_remove_inside(void)
{
        must(unlink("folder/file"));
}

static void act_move_inside(void)
{
        must(rename("folder/file", "folder/other"));
}

static void act_write_inside(void)
{
        int fd = must(open("folder/file", O_WRONLY));

        equal(write(fd, "x", 1), 1);
        must(close(fd));
}

static void act_link_inside(void)
{
        must(symlink("x", "folder/link"));
}

static void act_mkdir_inside(void)
{
        must(mkdir("folder/sub", 0755));
}

static void writing_moves_mtime(void)
{
        file_put("file", "text");
        mtime_moves("file", act_write);
}

static void truncating_moves_mtime(void)
{
        file_put("file", "text");
        mtime_moves("file", act_truncate);
        mtime_moves("file", act_empty);
}

static void allocating_moves_mtime(void)
{
        file_put("file", "text");
        mtime_moves("file", act_allocate);
}

static void writing_to_a_map_moves_mtime(void)
{
        file_put("file", "text");
        mtime_moves("file", act_map);
}

static void reading_leaves_mtime(void)
{
        file_put("file", "text");
        mtime_stays("file", act_read);
}

static void changing_the_mode_moves_ctime_alone(void)
{
        file_put("file", "text");
        ctime_moves("file", act_chmod);
        mtime_stays("file", act_chmod);
}

static void linking_moves_ctime_alone(void)
{
        file_put("file", "text");
        ctime_moves("file", act_link);
        mtime_stays("file", act_link);
}

static void renaming_leaves_mtime(void)
{
        file_put("file", "text");
        mtime_stays("file", act_rename);
}

static void entries_move_their_folders_mtime(void)
{
        must(mkdir("folder", 0755));
        mtime_moves("folder", act_make_inside);
        mtime_moves("folder", act_move_inside);
        mtime_moves("folder", act_link_inside);
        mtime_moves("folder", act_mkdir_inside);
        act_make_inside();
        mtime_moves("folder", act_remove_inside);
}

static void writing_leaves_the_folders_mtime(void)
{
        must(mkdir("folder", 0755));
        act_make_inside();
        mtime_stays("folder", act_write_inside);
}

static void new_file_is_not_older_than_what_was_before(void)
{
        file_put("a", "text");
        file_put("b", "text");
        holds(nanoseconds(stat_of("b").st_mtim) >= nanoseconds(stat_of("a").st_mtim));
        holds(nanoseconds(stat_of(".").st_mtim) >= nanoseconds(stat_of("a").st_mtim));
}

static void set_mtime_survives_a_close(void)
{
        struct timespec times[2] = {{77, 0}, {88, 0}};
        int fd = must(open("file", O_RDWR | O_CREAT, 0644));

        fd_fill(fd, 0, 20000, 1);
        must(futimens(fd, times));
        must(close(fd));
        equal(stat_of("file").st_mtim.tv_sec, 88);
        must(fsync(must(open("file", O_RDWR))));
        equal(stat_of("file").st_mtim.tv_sec, 88);
}

static void times_of_others_are_not_set(void)
{
        struct timespec times[2] = {{1, 0}, {2, 0}};

        file_put("file", "text");
        must(chmod("file", 0644));
        become_other();
        fails(utimensat(AT_FDCWD, "file", times, 0), EPERM);
        fails(utimensat(AT_FDCWD, "file", NULL, 0), EACCES);
}

const struct file_case cases_times[] = {
    CASE(times_are_set_to_the_nanosecond),
    CASE(times_of_folders_are_set),
    CASE(times_are_set_by_descriptor),
    CASE(omitted_time_stays),
    CASE(both_times_omitted_changes_nothing),
    CASE(now_is_now),
    CASE(times_reach_far),
    CASE(senseless_time_is_refused),
    CASE(writing_moves_mtime),
    CASE(truncating_moves_mtime),
    CASE(allocating_moves_mtime),
    CASE(writing_to_a_map_moves_mtime),
    CASE(reading_leaves_mtime),
    CASE(changing_the_mode_moves_ctime_alone),
    CASE(linking_moves_ctime_alone),
    CASE(renaming_leaves_mtime),
    CASE(entries_move_their_folders_mtime),
    CASE(writing_leaves_the_folders_mtime),
    CASE(new_file_is_not_older_than_what_was_before),
    CASE(set_mtime_survives_a_close),
    CASE(times_of_others_are_not_set),
    {NULL, NULL},
};
