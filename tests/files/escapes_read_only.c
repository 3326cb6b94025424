/* Attempts to change what is shared for reading only. The guest has mounted it for writing: it is the server that
 * refuses. There is a file "file" with text and an attribute, a folder "folder" with a file, and a link "link".
 * Called by: files_run.c. TRUST: none of what is read back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/escapes.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/xattr.h>

static void read_only_share_is_read(void)
{
        file_has("file", "text");
        file_has("folder/file", "text");
        file_has("link", "text");
        equal(entries_of("folder"), 1);
}

static void read_only_file_is_not_opened_for_writing(void)
{
        refused(open("file", O_WRONLY));
        refused(open("file", O_RDWR));
        refused(open("file", O_WRONLY | O_APPEND));
        refused(open("link", O_RDWR));
}

static void read_only_file_is_not_emptied_by_opening(void)
{
        tried(open("file", O_RDONLY | O_TRUNC));
        refused(open("file", O_WRONLY | O_TRUNC));
        refused(open("file", O_RDWR | O_CREAT | O_TRUNC, 0644));
        file_has("file", "text");
}

static void read_only_file_is_not_truncated(void)
{
        refused(truncate("file", 0));
        refused(truncate("file", 1000));
        refused(truncate("link", 0));
        file_has("file", "text");
}

static void nothing_is_created_on_a_read_only_share(void)
{
        refused(open("new", O_RDWR | O_CREAT, 0644));
        refused(open("new", O_RDWR | O_CREAT | O_EXCL, 0644));
        refused(open("folder/new", O_WRONLY | O_CREAT, 0644));
        refused(open(".", O_RDWR | O_TMPFILE, 0644));
        refused(mknod("new", S_IFREG | 0644, 0));
        refused(mkfifo("new", 0644));
        equal(entries_of("folder"), 1);
}

static void no_folder_or_link_is_made_on_a_read_only_share(void)
{
        refused(mkdir("new", 0755));
        refused(symlink("x", "new"));
        refused(link("file", "new"));
        refused(link("file", "folder/new"));
        holds(!is_there("new"));
}

static void nothing_is_removed_from_a_read_only_share(void)
{
        refused(unlink("file"));
        refused(unlink("folder/file"));
        refused(unlink("link"));
        refused(rmdir("folder"));
        refused(rmdir("empty"));
        file_has("file", "text");
}

static void nothing_is_renamed_on_a_read_only_share(void)
{
        refused(rename("file", "new"));
        refused(rename("file", "folder/file"));
        refused(rename("empty", "folder/empty"));
        refused(renameat2(AT_FDCWD, "file", AT_FDCWD, "folder", RENAME_EXCHANGE));
        refused(renameat2(AT_FDCWD, "file", AT_FDCWD, "new", RENAME_NOREPLACE));
        file_has("file", "text");
}

static void read_only_mode_and_owner_stay(void)
{
        struct stat before = stat_of("file"), after;

        refused(chmod("file", 0777));
        refused(chmod("folder", 0700));
        refused(chown("file", 1, 1));
        refused(fchmod(must(open("file", O_RDONLY)), 0777));
        after = stat_of("file");
        equal(after.st_mode, before.st_mode);
        equal(after.st_uid, before.st_uid);
}

static void read_only_times_stay(void)
{
        struct timespec times[2] = {{1, 0}, {2, 0}};

        refused(utimensat(AT_FDCWD, "file", times, 0));
        refused(utimensat(AT_FDCWD, "file", NULL, 0));
        refused(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW));
        refused(futimens(must(open("folder", O_RDONLY)), times));
}

static void read_only_attributes_stay(void)
{
        refused(setxattr("file", "user.guest", "x", 1, 0));
        refused(setxattr("folder", "user.guest", "x", 1, 0));
        refused(removexattr("file", "user.kept"));
}

static void read_only_descriptor_changes_nothing(void)
{
        int fd = must(open("file", O_RDONLY)), flags = FS_IMMUTABLE_FL;

        refused(write(fd, "x", 1));
        refused(ftruncate(fd, 0));
        refused(fallocate(fd, 0, 0, 100000));
        refused(copy_file_range(fd, NULL, fd, NULL, 1, 0));
        refused(fsetxattr(fd, "user.guest", "x", 1, 0));
        refused(ioctl(fd, FS_IOC_SETFLAGS, &flags));
        holds(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
}

static void private_map_of_a_read_only_file_stays_private(void)
{
        char *bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, must(open("file", O_RDONLY)), 0);

        holds(bytes != MAP_FAILED);
        memcpy(bytes, "TEXT", 4);
        file_has("file", "text");
}

const struct file_case escapes_read_only[] = {
    CASE(read_only_share_is_read),
    CASE(read_only_file_is_not_opened_for_writing),
    CASE(read_only_file_is_not_emptied_by_opening),
    CASE(read_only_file_is_not_truncated),
    CASE(nothing_is_created_on_a_read_only_share),
    CASE(no_folder_or_link_is_made_on_a_read_only_share),
    CASE(nothing_is_removed_from_a_read_only_share),
    CASE(nothing_is_renamed_on_a_read_only_share),
    CASE(read_only_mode_and_owner_stay),
    CASE(read_only_times_stay),
    CASE(read_only_attributes_stay),
    CASE(read_only_descriptor_changes_nothing),
    CASE(private_map_of_a_read_only_file_stays_private),
    {NULL, NULL},
};
