/* Cases: what is told of a file and of its file system.
 * Called by: files_run.c. TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"
#include <sys/statvfs.h>
#include <sys/vfs.h>

static void inode_stays_the_same(void)
{
        ino_t inode;

        file_put("file", "text");
        inode = stat_of("file").st_ino;
        file_put("file", "other text");
        must(chmod("file", 0600));
        must(mkdir("folder", 0755));
        must(rename("file", "folder/x"));
        equal(stat_of("folder/x").st_ino, inode);
        must(rename("folder", "other"));
        equal(stat_of("other/x").st_ino, inode);
        equal(stat_fd(must(open("other/x", O_RDONLY))).st_ino, inode);
}

static void inodes_tell_files_apart(void)
{
        ino_t inodes[50];
        char name[8];

        for (int i = 0; i < 50; i++) {
                snprintf(name, sizeof(name), "f%d", i);
                file_put(name, "text");
                inodes[i] = stat_of(name).st_ino;
                for (int k = 0; k < i; k++)
                        holds(inodes[k] != inodes[i]);
        }
}

static void all_is_on_one_device(void)
{
        must(mkdir("folder", 0755));
        file_put("folder/file", "text");
        must(symlink("x", "link"));
        equal(stat_of("folder/file").st_dev, stat_of(".").st_dev);
        equal(stat_of("link").st_dev, stat_of(".").st_dev);
}

static void path_and_descriptor_tell_the_same(void)
{
        struct stat a, b;

        file_put("file", "text");
        a = stat_of("file");
        b = stat_fd(must(open("file", O_RDONLY)));
        equal(a.st_ino, b.st_ino);
        equal(a.st_size, b.st_size);
        equal(a.st_mode, b.st_mode);
        equal(a.st_blocks, b.st_blocks);
        equal(nanoseconds(a.st_mtim), nanoseconds(b.st_mtim));
        equal(nanoseconds(a.st_ctim), nanoseconds(b.st_ctim));
}

static void types_are_told(void)
{
        file_put("file", "text");
        must(mkdir("folder", 0755));
        must(symlink("file", "link"));
        must(mkfifo("pipe", 0644));
        equal(stat_of("file").st_mode & S_IFMT, S_IFREG);
        equal(stat_of("folder").st_mode & S_IFMT, S_IFDIR);
        equal(stat_of("link").st_mode & S_IFMT, S_IFLNK);
        equal(stat_of("pipe").st_mode & S_IFMT, S_IFIFO);
}

static void stat_follows_and_lstat_does_not(void)
{
        struct stat st;

        file_put("file", "text");
        must(symlink("file", "link"));
        must(stat("link", &st));
        equal(st.st_ino, stat_of("file").st_ino);
        holds(stat_of("link").st_ino != st.st_ino);
        fails(stat("file/", &st), ENOTDIR);
        fails(stat("", &st), ENOENT);
        must(fstatat(must(open("file", O_PATH)), "", &st, AT_EMPTY_PATH));
        equal(st.st_size, 4);
}

static void blocks_are_counted(void)
{
        int fd = must(open("file", O_RDWR | O_CREAT, 0644));

        fd_fill(fd, 0, 1 << 20, 1);
        must(fsync(fd));
        holds(stat_of("file").st_blocks >= (1 << 20) / 512);
        holds(stat_of("file").st_blocks < 2 * (1 << 20) / 512);
        holds(stat_of("file").st_blksize >= 512);
        must(ftruncate(fd, 0));
        must(fsync(fd));
        holds(stat_of("file").st_blocks < 32);
}

static void extended_stat_tells_the_same(void)
{
        struct statx more;
        struct stat st;

        file_put("file", "text");
        st = stat_of("file");
        must(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS, &more));
        equal(more.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
        equal(more.stx_ino, st.st_ino);
        equal(more.stx_size, 4);
        equal(more.stx_mode, st.st_mode);
        equal(more.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
        must(statx(AT_FDCWD, "file", AT_STATX_FORCE_SYNC, STATX_SIZE, &more));
        must(statx(AT_FDCWD, "file", AT_STATX_DONT_SYNC, STATX_SIZE, &more));
        equal(more.stx_size, 4);
}

static void size_is_told_at_once(void)
{
        int fd = must(open("file", O_RDWR | O_CREAT, 0644));

        for (int i = 1; i <= 20; i++) {
                equal(write(fd, "0123456789", 10), 10);
                equal(stat_of("file").st_size, 10 * i);
        }
}

static void file_system_tells_its_room(void)
{
        struct statvfs st;

        must(statvfs(".", &st));
        holds(st.f_bsize >= 512 && st.f_frsize >= 512);
        holds(st.f_blocks >= st.f_bfree);
        holds(st.f_bfree >= st.f_bavail);
        holds(st.f_files >= st.f_ffree);
        equal(st.f_namemax, 255);
        equal(st.f_flag & ST_RDONLY, 0);
}

static void file_system_tells_the_same_by_descriptor(void)
{
        struct statfs a, b;

        file_put("file", "text");
        must(statfs(".", &a));
        must(fstatfs(must(open("file", O_RDONLY)), &b));
        equal(a.f_type, b.f_type);
        equal(a.f_bsize, b.f_bsize);
        equal(a.f_blocks, b.f_blocks);
        fails(statfs("nothing", &a), ENOENT);
}

static void room_shrinks_by_what_is_written(void)
{
        struct statvfs before, after;
        int fd = must(open("file", O_RDWR | O_CREAT, 0644));

        must(statvfs(".", &before));
        must(fallocate(fd, 0, 0, 256 << 20));
        must(statvfs(".", &after));
        /* Others may free some meanwhile. */
        holds(after.f_bfree * after.f_frsize < before.f_bfree * before.f_frsize);
        must(ftruncate(fd, 0));
}

static void missing_things_say_so(void)
{
        struct stat st;

        fails(lstat("nothing", &st), ENOENT);
        file_put("file", "text");
        fails(lstat("file/x", &st), ENOTDIR);
        fails(chmod("nothing", 0644), ENOENT);
        fails(chown("nothing", 0, 0), ENOENT);
        fails(chdir("nothing"), ENOENT);
        fails(chdir("file"), ENOTDIR);
}

const struct file_case cases_stat[] = {
    CASE(inode_stays_the_same),
    CASE(inodes_tell_files_apart),
    CASE(all_is_on_one_device),
    CASE(path_and_descriptor_tell_the_same),
    CASE(types_are_told),
    CASE(stat_follows_and_lstat_does_not),
    CASE(blocks_are_counted),
    CASE(extended_stat_tells_the_same),
    CASE(size_is_told_at_once),
    CASE(file_system_tells_its_room),
    CASE(file_system_tells_the_same_by_descriptor),
    CASE(room_shrinks_by_what_is_written),
    CASE(missing_things_say_so),
    {NULL, NULL},
};
