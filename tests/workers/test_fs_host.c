/* workers/fs/fs_host: no name leads out of a directory.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_host.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"

static char path[64];
static int folder;

static int begin(void **state)
{
        (void)state;
        strcpy(path, "/tmp/fs_host.XXXXXX");
        assert_non_null(mkdtemp(path));
        folder = open(path, O_PATH | O_DIRECTORY);
        assert_true(folder >= 0);
        assert_int_equal(mkdirat(folder, "d", 0700), 0);
        assert_int_equal(mkdirat(folder, "d/e", 0700), 0);
        assert_int_equal(symlinkat("/etc", folder, "absolute"), 0);
        assert_int_equal(symlinkat("..", folder, "upwards"), 0);
        assert_int_equal(symlinkat("d", folder, "inside"), 0);
        assert_int_equal(symlinkat("/proc/self/root", folder, "magic"), 0);
        return 0;
}

static int end(void **state)
{
        static const char *const names[] = {"absolute", "upwards", "inside", "magic", "made"};

        (void)state;
        for (size_t i = 0; i < array_size(names); i++)
                (void)unlinkat(folder, names[i], 0);
        assert_int_equal(unlinkat(folder, "d/e", AT_REMOVEDIR), 0);
        assert_int_equal(unlinkat(folder, "d", AT_REMOVEDIR), 0);
        close(folder);
        assert_int_equal(rmdir(path), 0);
        return 0;
}

/* As if the name had not been judged to be one component. */
static void no_name_leads_out_of_a_directory(void **state)
{
        static const struct {
                const char *name;
                int want;
        } rows[] = {
            {"..", -EXDEV},          {"d/../..", -EXDEV},         {"/", -EXDEV},
            {"/etc/passwd", -EXDEV}, {"absolute/passwd", -ELOOP}, {"upwards/etc", -ELOOP},
            {"inside/e", -ELOOP},    {"magic/etc", -ELOOP},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                assert_int_equal(fs_host_open(folder, rows[i].name, O_PATH, 0), rows[i].want);
                assert_int_equal(fs_host_open(folder, rows[i].name, O_RDONLY, 0), rows[i].want);
                assert_int_equal(fs_host_open(folder, rows[i].name, O_RDWR | O_CREAT, 0600), rows[i].want);
        }
}

static void a_link_is_itself_and_not_where_it_leads(void **state)
{
        struct stat st;
        int fd = fs_host_open(folder, "absolute", O_PATH, 0);

        (void)state;
        assert_true(fd >= 0);
        assert_int_equal(fs_host_stat(fd, "", &st), 0);
        assert_true(S_ISLNK(st.st_mode));
        close(fd);
        assert_int_equal(fs_host_open(folder, "absolute", O_RDONLY, 0), -ELOOP);
        assert_int_equal(fs_host_stat(folder, "absolute", &st), 0);
        assert_true(S_ISLNK(st.st_mode));
        fd = fs_host_open(folder, "made", O_WRONLY | O_CREAT | O_EXCL, 0600);
        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        close(fd);
        assert_int_equal(fs_host_open(folder, "upwards", O_WRONLY | O_CREAT | O_EXCL, 0600), -EEXIST);
}

static void what_is_found_is_what_stat_says_and_when_it_was_born(void **state)
{
        static const char *const names[] = {"d", "absolute", "file"};
        struct fs_found found = {0}, again = {0};
        struct stat st;
        int fd = fs_host_open(folder, "file", O_WRONLY | O_CREAT | O_EXCL, 0640);

        (void)state;
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "12345", 5), 5);
        for (size_t i = 0; i < array_size(names); i++) {
                assert_int_equal(fs_host_find(folder, names[i], &found), 0);
                assert_int_equal(fstatat(folder, names[i], &st, AT_SYMLINK_NOFOLLOW), 0);
                assert_true(found.stat.st_dev == st.st_dev && found.stat.st_ino == st.st_ino &&
                            found.stat.st_mode == st.st_mode && found.stat.st_nlink == st.st_nlink &&
                            found.stat.st_uid == st.st_uid && found.stat.st_gid == st.st_gid &&
                            found.stat.st_rdev == st.st_rdev && found.stat.st_size == st.st_size &&
                            found.stat.st_blocks == st.st_blocks && found.stat.st_blksize == st.st_blksize &&
                            found.stat.st_mtim.tv_sec == st.st_mtim.tv_sec &&
                            found.stat.st_mtim.tv_nsec == st.st_mtim.tv_nsec &&
                            found.stat.st_ctim.tv_nsec == st.st_ctim.tv_nsec &&
                            found.stat.st_atim.tv_nsec == st.st_atim.tv_nsec);
                assert_true(found.is.device == st.st_dev && found.is.inode == st.st_ino);
        }
        assert_int_equal(fs_host_find(fd, "", &again), 0);
        assert_true(fs_identity_equal(&again.is, &found.is));
        assert_int_equal(fchmod(fd, 0600), 0); /* what changes is not what it is known by */
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(fs_host_find(fd, "", &again), 0);
        assert_true(fs_identity_equal(&again.is, &found.is));
        assert_int_equal(fs_host_find(folder, "none", &again), -ENOENT);
        assert_int_equal(unlinkat(folder, "file", 0), 0);
        close(fd);
}

/* In a mount namespace of our own, so it needs root. */
static void what_is_mounted_in_a_directory_is_not_entered(void **state)
{
        char name[80];

        (void)state;
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                skip();
        close(folder); /* it is of the namespace that was left */
        folder = open(path, O_PATH | O_DIRECTORY);
        assert_true(folder >= 0);
        snprintf(name, sizeof(name), "%s/d", path);
        assert_int_equal(mount("/etc", name, NULL, MS_BIND, NULL), 0);
        assert_int_equal(fs_host_open(folder, "d", O_PATH, 0), -EXDEV);
        assert_int_equal(fs_host_open(folder, "d", O_RDONLY | O_DIRECTORY, 0), -EXDEV);
        assert_int_equal(umount2(name, MNT_DETACH), 0);
}

#define t(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
            t(no_name_leads_out_of_a_directory),
            t(a_link_is_itself_and_not_where_it_leads),
            t(what_is_found_is_what_stat_says_and_when_it_was_born),
            t(what_is_mounted_in_a_directory_is_not_entered),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
