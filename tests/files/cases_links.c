/* Cases: hard links, and files that are removed while in use.
 * Called by: files_run.c. TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"

static void hard_link_is_the_same_file(void)
{
        file_put("a", "text");
        must(link("a", "b"));
        equal(stat_of("a").st_ino, stat_of("b").st_ino);
        file_put("b", "more text");
        file_has("a", "more text");
        must(chmod("a", 0600));
        equal(stat_of("b").st_mode & 07777, 0600);
}

static void links_are_counted(void)
{
        file_put("a", "text");
        must(link("a", "b"));
        equal(stat_of("a").st_nlink, 2);
        must(link("b", "c"));
        equal(stat_of("a").st_nlink, 3);
        must(unlink("a"));
        equal(stat_of("c").st_nlink, 2);
        must(rename("b", "c2"));
        equal(stat_of("c").st_nlink, 2);
        must(unlink("c2"));
        equal(stat_of("c").st_nlink, 1);
}

static void fifty_links_are_one_file(void)
{
        char name[16];

        file_put("file", "text");
        for (int i = 0; i < 50; i++) {
                snprintf(name, sizeof(name), "l%d", i);
                must(link("file", name));
        }
        equal(stat_of("l49").st_nlink, 51);
        must(unlink("file"));
        for (int i = 1; i < 50; i++) {
                snprintf(name, sizeof(name), "l%d", i);
                must(unlink(name));
        }
        equal(stat_of("l0").st_nlink, 1);
        file_has("l0", "text");
}

static void link_refuses_to_replace(void)
{
        file_put("a", "a");
        file_put("b", "b");
        must(mkdir("folder", 0755));
        fails(link("a", "b"), EEXIST);
        fails(link("a", "folder"), EEXIST);
        fails(link("a", "a"), EEXIST);
        file_has("b", "b");
        equal(stat_of("a").st_nlink, 1);
}

static void folder_has_no_second_name(void)
{
        must(mkdir("folder", 0755));
        fails(link("folder", "other"), EPERM);
        fails(link(".", "other"), EPERM);
        holds(!is_there("other"));
}

static void link_needs_both_ends(void)
{
        file_put("a", "text");
        fails(link("nothing", "b"), ENOENT);
        fails(link("a", "no/thing"), ENOENT);
        fails(link("a", "a/b"), ENOTDIR);
        fails(link("a", "/dev/of-another-file-system"), EXDEV);
}

static void link_of_a_symlink_is_a_symlink(void)
{
        file_put("file", "text");
        must(symlink("file", "link"));
        must(link("link", "second"));
        holds(S_ISLNK(stat_of("second").st_mode));
        equal(stat_of("link").st_ino, stat_of("second").st_ino);
        equal(stat_of("link").st_nlink, 2);
        must(linkat(AT_FDCWD, "link", AT_FDCWD, "third", AT_SYMLINK_FOLLOW));
        equal(stat_of("third").st_ino, stat_of("file").st_ino);
}

static void link_reaches_another_folder(void)
{
        must(mkdir("one", 0755));
        must(mkdir("two", 0755));
        file_put("one/file", "text");
        must(link("one/file", "two/file"));
        must(unlink("one/file"));
        must(rmdir("one"));
        file_has("two/file", "text");
}

static void open_file_gets_a_name_by_its_descriptor(void)
{
        char path[64];
        int fd;

        file_put("file", "text");
        fd = must(open("file", O_RDONLY));
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        must(linkat(AT_FDCWD, path, AT_FDCWD, "other", AT_SYMLINK_FOLLOW));
        file_has("other", "text");
        equal(stat_fd(fd).st_nlink, 2);
}

static void link_is_seen_by_open_descriptors(void)
{
        int fd;

        file_put("a", "text");
        fd = must(open("a", O_RDONLY));
        must(link("a", "b"));
        equal(stat_fd(fd).st_nlink, 2);
        must(unlink("a"));
        equal(stat_fd(fd).st_nlink, 1);
        must(unlink("b"));
        equal(stat_fd(fd).st_nlink, 0);
}

static void removed_open_file_is_read(void)
{
        int fd;

        file_put("file", "text");
        fd = must(open("file", O_RDONLY));
        must(unlink("file"));
        holds(!is_there("file"));
        fd_has(fd, 0, "text");
        equal(stat_fd(fd).st_nlink, 0);
        equal(entries_of("."), 0);
}

static void removed_open_file_is_written(void)
{
        int fd = must(open("file", O_RDWR | O_CREAT, 0644));

        must(unlink("file"));
        fd_fill(fd, 0, 500000, 1);
        equal(stat_fd(fd).st_size, 500000);
        fd_filled(fd, 0, 500000, 1);
}

static void removed_open_file_takes_mode_and_times(void)
{
        struct timespec times[2] = {{1000000, 0}, {2000000, 0}};
        struct stat st;
        int fd;

        file_put("file", "text");
        fd = must(open("file", O_RDWR));
        must(unlink("file"));
        must(fchmod(fd, 0604));
        must(futimens(fd, times));
        st = stat_fd(fd);
        equal(st.st_mode & 07777, 0604);
        equal(st.st_mtim.tv_sec, 2000000);
}

static void name_of_a_removed_file_is_free(void)
{
        int fd;

        file_put("file", "old");
        fd = must(open("file", O_RDONLY));
        must(unlink("file"));
        file_put("file", "new");
        holds(stat_of("file").st_ino != stat_fd(fd).st_ino);
        fd_has(fd, 0, "old");
        file_has("file", "new");
}

static void other_name_of_a_removed_file_stays(void)
{
        int fd;

        file_put("a", "text");
        must(link("a", "b"));
        fd = must(open("a", O_RDWR));
        must(unlink("a"));
        equal(pwrite(fd, "next", 4, 0), 4);
        file_has("b", "next");
        fails(open("a", O_RDONLY), ENOENT);
}

static void many_files_live_on_without_names(void)
{
        int fds[100];

        for (int i = 0; i < 100; i++) {
                fds[i] = must(open("file", O_RDWR | O_CREAT | O_EXCL, 0644));
                must(unlink("file"));
                fd_fill(fds[i], 0, 100, (unsigned)i);
        }
        for (int i = 0; i < 100; i++)
                fd_filled(fds[i], 0, 100, (unsigned)i);
}

static void removed_file_is_shared_by_two_processes(void)
{
        int turn[2], fd = must(open("file", O_RDWR | O_CREAT, 0644));
        pid_t pid;

        turn_make(turn);
        must(unlink("file"));
        if (child_starts(&pid)) {
                turn_wait(turn);
                fd_has(fd, 0, "text");
                equal(pwrite(fd, "next", 4, 0), 4);
                _exit(0);
        }
        equal(write(fd, "text", 4), 4);
        turn_give(turn);
        child_ends_well(pid);
        fd_has(fd, 0, "next");
}

static void unlink_refuses_what_is_no_file(void)
{
        must(mkdir("folder", 0755));
        file_put("file", "text");
        fails_so(unlink("folder"), EISDIR, EPERM);
        fails(unlink("nothing"), ENOENT);
        fails(unlink("file/"), ENOTDIR);
        fails(unlink("file/x"), ENOTDIR);
        fails_so(unlink("."), EISDIR, EPERM);
        fails_so(unlink(".."), EISDIR, EPERM);
        equal(entries_of("."), 2);
}

static void unlink_takes_read_only_files(void)
{
        file_put("file", "text");
        must(chmod("file", 0));
        must(unlink("file"));
        holds(!is_there("file"));
}

const struct file_case cases_links[] = {
    CASE(hard_link_is_the_same_file),
    CASE(links_are_counted),
    CASE(fifty_links_are_one_file),
    CASE(link_refuses_to_replace),
    CASE(folder_has_no_second_name),
    CASE(link_needs_both_ends),
    CASE(link_of_a_symlink_is_a_symlink),
    CASE(link_reaches_another_folder),
    CASE(open_file_gets_a_name_by_its_descriptor),
    CASE(link_is_seen_by_open_descriptors),
    CASE(removed_open_file_is_read),
    CASE(removed_open_file_is_written),
    CASE(removed_open_file_takes_mode_and_times),
    CASE(name_of_a_removed_file_is_free),
    CASE(other_name_of_a_removed_file_stays),
    CASE(many_files_live_on_without_names),
    CASE(removed_file_is_shared_by_two_processes),
    CASE(unlink_refuses_what_is_no_file),
    CASE(unlink_takes_read_only_files),
    {NULL, NULL},
};
