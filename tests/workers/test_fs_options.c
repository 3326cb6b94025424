/* workers/fs: what the operator may ask for: a share that is read-only, extended attributes, locks, and what the guest may remember.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/workers/fs_guest.h"

static struct guest guest;
static uint64_t id, handle, other;
static struct fuse_entry_out entry;
static struct fuse_attr attr;

static void begin(const struct fs_options *options)
{
        guest_init(&guest, true);
        guest.options = *options;
        guest.options.tag = "t";
        guest_begin(&guest);
}

/* ---- read-only ---- */

static void nothing_of_a_read_only_share_is_changed(void **state)
{
        const struct fuse_setattr_in what = {.valid = FATTR_MODE, .mode = 0};
        const struct fuse_syncfs_in all = {0};
        char text[8] = "";

        (void)state;
        guest_init(&guest, true);
        guest.options.read_only = true;
        host_write(&guest, "f", "1");
        guest_begin(&guest);
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        assert_int_equal(guest_open(&guest, entry.nodeid, O_RDONLY, &handle), 0);
        assert_int_equal(guest_read(&guest, entry.nodeid, handle, 0, text, sizeof(text)), 1);
        assert_int_equal(guest_open(&guest, entry.nodeid, O_WRONLY, &other), -EROFS);
        assert_int_equal(guest_open(&guest, entry.nodeid, O_RDONLY | O_TRUNC, &other), -EROFS);
        assert_int_equal(guest_write(&guest, entry.nodeid, handle, 0, "2", 1), -EROFS);
        assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "d", &id), -EROFS);
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "g", O_RDWR, 0600, &id, &other), -EROFS);
        assert_int_equal(guest_symlink(&guest, FUSE_ROOT_ID, "s", "f", &id), -EROFS);
        assert_int_equal(guest_link(&guest, entry.nodeid, FUSE_ROOT_ID, "l"), -EROFS);
        assert_int_equal(guest_rename(&guest, FUSE_ROOT_ID, "f", FUSE_ROOT_ID, "g", 0), -EROFS);
        assert_int_equal(guest_named(&guest, FUSE_UNLINK, FUSE_ROOT_ID, "f"), -EROFS);
        assert_int_equal(guest_named(&guest, FUSE_RMDIR, FUSE_ROOT_ID, "f"), -EROFS);
        assert_int_equal(guest_setattr(&guest, entry.nodeid, &what, &attr), -EROFS);
        assert_int_equal(guest_ask(&guest, FUSE_SYNCFS, FUSE_ROOT_ID, &all, sizeof(all), NULL, 0, NULL), 0);
        host_expect(&guest, "f", "1");
        guest_done(&guest);
}

/* ---- a range of owners ---- */

#define OWNERS 1000u

/* In the jail the range is the host's from somewhere on; here, without a namespace, it is from 0 on. */
static bool begin_owners(void)
{
        if (geteuid() != 0)
                return false;
        guest_init(&guest, true);
        assert_int_equal(chmod(guest.path, 0777), 0);
        guest.options.first_owner = 100000;
        guest.options.n_owners = OWNERS;
        guest_begin(&guest);
        return true;
}

static void expect_owner(const char *name, uid_t uid, gid_t gid)
{
        struct stat st;

        assert_int_equal(lstat(host_path(&guest, name), &st), 0);
        assert_int_equal(st.st_uid, uid);
        assert_int_equal(st.st_gid, gid);
}

static void what_is_made_belongs_to_who_makes_it(void **state)
{
        const struct {
                struct fuse_mknod_in in;
                char name[6];
        } __attribute__((packed)) pipe = {{.mode = S_IFIFO | 0600}, "fifo"};

        (void)state;
        if (!begin_owners())
                skip();
        guest.uid = 5;
        guest.gid = 6;
        assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "dir", &id), 0);
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "file", O_RDWR, 0600, &id, &handle), 0);
        assert_int_equal(guest_symlink(&guest, FUSE_ROOT_ID, "link", "x", &other), 0);
        assert_int_equal(guest_ask(&guest, FUSE_MKNOD, FUSE_ROOT_ID, &pipe, sizeof(pipe.in) + 5, &entry,
                                   sizeof(entry), NULL),
                         0);
        expect_owner("dir", 5, 6);
        expect_owner("file", 5, 6);
        expect_owner("link", 5, 6);
        expect_owner("fifo", 5, 6);
        assert_int_equal(guest_getattr(&guest, id, &attr), 0);
        assert_int_equal(attr.uid, 5);
        assert_int_equal(attr.gid, 6);
        guest.uid = guest.gid = OWNERS - 1;
        assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "last", &id), 0);
        expect_owner("last", OWNERS - 1, OWNERS - 1);
        guest.uid = guest.gid = 0;
        assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "roots", &id), 0);
        expect_owner("roots", 0, 0);
        guest_done(&guest);
}

static void nobody_beyond_the_range_makes_or_is_given_anything(void **state)
{
        const struct fuse_setattr_in to_last = {.valid = FATTR_UID | FATTR_GID, .uid = OWNERS - 1, .gid = 3};
        const struct fuse_setattr_in bad[] = {{.valid = FATTR_UID, .uid = OWNERS},
                                              {.valid = FATTR_GID, .gid = OWNERS},
                                              {.valid = FATTR_UID | FATTR_GID, .uid = 1, .gid = UINT32_MAX},
                                              {.valid = FATTR_UID, .uid = 100000}};
        static const uint32_t ids[][2] = {{OWNERS, 0}, {0, OWNERS}, {UINT32_MAX, UINT32_MAX}};

        (void)state;
        if (!begin_owners())
                skip();
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
        assert_int_equal(guest_setattr(&guest, id, &to_last, &attr), 0);
        assert_int_equal(attr.uid, OWNERS - 1);
        expect_owner("f", OWNERS - 1, 3);
        for (size_t i = 0; i < array_size(bad); i++)
                assert_int_equal(guest_setattr(&guest, id, &bad[i], &attr), -EINVAL);
        expect_owner("f", OWNERS - 1, 3);
        for (size_t i = 0; i < array_size(ids); i++) {
                guest.uid = ids[i][0];
                guest.gid = ids[i][1];
                assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "d", &other), -EOVERFLOW);
                assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "g", O_RDWR, 0600, &other, &handle),
                                 -EOVERFLOW);
                assert_int_equal(guest_symlink(&guest, FUSE_ROOT_ID, "s", "x", &other), -EOVERFLOW);
        }
        guest.uid = guest.gid = 0;
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "g", &entry), -ENOENT);
        assert_int_equal(chown(host_path(&guest, "f"), OWNERS, 70000), 0);
        assert_int_equal(guest_getattr(&guest, id, &attr), 0);
        assert_int_equal(attr.uid, 65534);
        assert_int_equal(attr.gid, 65534);
        guest_done(&guest);
}

/* ---- a host that fails ---- */

static void a_directory_that_the_host_removes_is_gone_for_the_guest(void **state)
{
        char text[8] = "";

        (void)state;
        begin(&(struct fs_options){0});
        host_write(&guest, "f", "1");
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        assert_int_equal(guest_open(&guest, entry.nodeid, O_RDONLY, &handle), 0);
        assert_int_equal(unlink(host_path(&guest, "f")), 0);
        assert_int_equal(rmdir(guest.path), 0);
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), -ENOENT);
        assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "d", &id), -ENOENT);
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "g", O_RDWR, 0600, &id, &other), -ENOENT);
        assert_int_equal(guest_getattr(&guest, FUSE_ROOT_ID, &attr), 0);
        assert_int_equal(attr.nlink, 0);
        assert_int_equal(guest_read(&guest, entry.nodeid, handle, 0, text, sizeof(text)), 1);
        assert_int_equal(mkdir(guest.path, 0700), 0); /* for guest_done */
        guest_done(&guest);
}

/* A file system of 64 KiB: in a mount namespace of our own, so it needs root. */
static void a_full_disk_is_an_error_and_no_more(void **state)
{
        static uint8_t bytes[256 << 10];
        int n;

        (void)state;
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                skip();
        guest_init(&guest, true);
        assert_int_equal(mount("share", guest.path, "tmpfs", 0, "size=64k,nr_inodes=8"), 0);
        close(guest.root);
        guest.root = open(guest.path, O_PATH | O_DIRECTORY);
        guest_begin(&guest);
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
        n = guest_write(&guest, id, handle, 0, bytes, sizeof(bytes));
        assert_in_range(n, 1, 64 << 10); /* what there was room for */
        assert_int_equal(guest_write(&guest, id, handle, (uint64_t)n, bytes, 4096), -ENOSPC);
        for (n = 0; n < 8; n++) { /* inodes */
                char name[2] = {(char)('0' + n), '\0'};

                if (guest_create(&guest, FUSE_ROOT_ID, name, O_RDWR, 0600, &other, &handle) < 0)
                        break;
        }
        assert_in_range(n, 1, 7);
        assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "d", &other), -ENOSPC);
        assert_int_equal(guest_named(&guest, FUSE_UNLINK, FUSE_ROOT_ID, "f"), 0);
        assert_int_equal(umount2(guest.path, MNT_DETACH), 0);
        guest_done(&guest);
}

/* ---- extended attributes ---- */

static int set_value(const char *name, const char *value, uint32_t flags)
{
        uint8_t body[512] = {0};
        const uint32_t head[2] = {(uint32_t)strlen(value), flags};
        size_t len = sizeof(head);

        memcpy(body, head, sizeof(head));
        strcpy((char *)body + len, name);
        len += strlen(name) + 1;
        memcpy(body + len, value, strlen(value));
        len += strlen(value);
        return guest_ask(&guest, FUSE_SETXATTR, id, body, (uint32_t)len, NULL, 0, NULL);
}

static int get_value(const char *name, void *out, uint32_t size, uint32_t *ret_len)
{
        uint8_t body[512] = {0};
        const struct fuse_getxattr_in in = {.size = size};

        memcpy(body, &in, sizeof(in));
        strcpy((char *)body + sizeof(in), name);
        return guest_ask(&guest, FUSE_GETXATTR, id, body, (uint32_t)(sizeof(in) + strlen(name) + 1), out,
                         size == 0 ? sizeof(struct fuse_getxattr_out) : size, ret_len);
}

static void attributes_of_users_are_passed_on_and_no_others(void **state)
{
        static const char *const others[] = {
            "trusted.x", "security.selinux", "security.capability", "system.posix_acl_access",
            "user",      "xuser.a"};
        const struct fuse_getxattr_in list = {.size = 64};
        struct fuse_getxattr_out size;
        char out[64] = "";
        uint32_t len;

        (void)state;
        begin(&(struct fs_options){.xattr = true});
        host_write(&guest, "f", "");
        assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
        id = entry.nodeid;
        if (set_value("user.a", "value", 0) == -EOPNOTSUPP) {
                guest_done(&guest);
                skip();
        }
        assert_int_equal(getxattr(host_path(&guest, "f"), "user.a", out, sizeof(out)), 5);
        assert_string_equal(out, "value");
        assert_int_equal(set_value("user.a", "again", XATTR_CREATE), -EEXIST);
        assert_int_equal(get_value("user.a", &size, 0, &len), 0);
        assert_int_equal(size.size, 5);
        assert_int_equal(get_value("user.a", out, 4, NULL), -ERANGE);
        memset(out, 0, sizeof(out));
        assert_int_equal(get_value("user.a", out, sizeof(out), &len), 0);
        assert_string_equal(out, "value");
        for (size_t i = 0; i < array_size(others); i++) {
                assert_int_equal(set_value(others[i], "x", 0), -EOPNOTSUPP);
                assert_int_equal(get_value(others[i], out, sizeof(out), NULL), -EOPNOTSUPP);
                assert_int_equal(guest_named(&guest, FUSE_REMOVEXATTR, id, others[i]), -EOPNOTSUPP);
        }
        (void)setxattr(host_path(&guest, "f"), "trusted.of_the_host", "x", 1, 0);
        assert_int_equal(guest_ask(&guest, FUSE_LISTXATTR, id, &list, sizeof(list), out, 64, &len), 0);
        assert_int_equal(len, sizeof("user.a"));
        assert_string_equal(out, "user.a");
        assert_int_equal(guest_named(&guest, FUSE_REMOVEXATTR, id, "user.a"), 0);
        assert_int_equal(get_value("user.a", out, sizeof(out), NULL), -ENODATA);
        guest_done(&guest);
}

static void without_the_option_there_are_no_attributes(void **state)
{
        char out[8];

        (void)state;
        begin(&(struct fs_options){.xattr = false});
        id = FUSE_ROOT_ID;
        assert_int_equal(set_value("user.a", "value", 0), -ENOSYS);
        assert_int_equal(get_value("user.a", out, sizeof(out), NULL), -ENOSYS);
        guest_done(&guest);
}

/* ---- locks ---- */

static int lock_as(uint64_t owner, uint32_t type, uint64_t start, uint64_t last, bool wait)
{
        const struct fuse_lk_in in = {
            .fh = handle, .owner = owner, .lk = {.start = start, .end = last, .type = type, .pid = 1}};

        return guest_ask(&guest, wait ? FUSE_SETLKW : FUSE_SETLK, id, &in, sizeof(in), NULL, 0, NULL);
}

static uint32_t test_as(uint64_t owner, uint32_t type)
{
        const struct fuse_lk_in in = {.fh = handle, .owner = owner, .lk = {.end = INT64_MAX, .type = type}};
        struct fuse_lk_out out;

        assert_int_equal(guest_ask(&guest, FUSE_GETLK, id, &in, sizeof(in), &out, sizeof(out), NULL), 0);
        return out.lk.type;
}

static int host_lock(int fd, short type)
{
        struct flock range = {.l_type = type};

        return fcntl(fd, F_OFD_SETLK, &range) < 0 ? -errno : 0;
}

static void locks_are_between_owners_and_with_the_host(void **state)
{
        struct fuse_flush_in flush;
        int fd;

        (void)state;
        begin(&(struct fs_options){.locks = true});
        assert_int_not_equal(guest.init.flags & FUSE_POSIX_LOCKS, 0);
        assert_int_not_equal(guest.init.flags & FUSE_FLOCK_LOCKS, 0);
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
        fd = open(host_path(&guest, "f"), O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(lock_as(1, F_WRLCK, 0, 99, false), 0);
        assert_int_equal(lock_as(1, F_RDLCK, 50, 99, false), 0); /* its own is no hindrance */
        assert_int_equal(lock_as(2, F_WRLCK, 90, 200, false), -EAGAIN);
        assert_int_equal(lock_as(2, F_WRLCK, 100, INT64_MAX, true), 0);
        assert_int_equal(test_as(3, F_WRLCK), F_WRLCK);
        assert_int_equal(host_lock(fd, F_RDLCK), -EAGAIN);
        flush = (struct fuse_flush_in){.fh = handle, .lock_owner = 2};
        assert_int_equal(guest_ask(&guest, FUSE_FLUSH, id, &flush, sizeof(flush), NULL, 0, NULL), 0);
        assert_int_equal(lock_as(1, F_UNLCK, 0, INT64_MAX, false), 0);
        assert_int_equal(host_lock(fd, F_WRLCK), 0);
        assert_int_equal(lock_as(1, F_RDLCK, 0, 0, false), -EAGAIN);
        close(fd);
        guest_done(&guest);
}

static void locks_of_whole_files_are_the_hosts(void **state)
{
        struct fuse_lk_in in = {.lk_flags = FUSE_LK_FLOCK, .lk = {.type = F_WRLCK}};
        int fd;

        (void)state;
        begin(&(struct fs_options){.locks = true});
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
        fd = open(host_path(&guest, "f"), O_RDWR);
        in.fh = handle;
        assert_int_equal(guest_ask(&guest, FUSE_SETLK, id, &in, sizeof(in), NULL, 0, NULL), 0);
        assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), -1);
        in.lk.type = F_UNLCK;
        assert_int_equal(guest_ask(&guest, FUSE_SETLK, id, &in, sizeof(in), NULL, 0, NULL), 0);
        assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
        in.lk.type = F_RDLCK;
        assert_int_equal(guest_ask(&guest, FUSE_SETLK, id, &in, sizeof(in), NULL, 0, NULL), -EAGAIN);
        close(fd);
        guest_done(&guest);
}

/* A guest may ask for what was not agreed on. */
static void without_the_option_no_lock_is_the_hosts(void **state)
{
        struct fuse_lk_in in = {.owner = 1, .lk = {.end = INT64_MAX, .type = F_WRLCK}};
        struct fuse_lk_out out;
        int fd;

        (void)state;
        begin(&(struct fs_options){0});
        assert_int_equal(guest.init.flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS), 0);
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
        fd = open(host_path(&guest, "f"), O_RDWR);
        in.fh = handle;
        assert_int_equal(lock_as(1, F_WRLCK, 0, 99, false), -ENOSYS);
        assert_int_equal(lock_as(1, F_WRLCK, 0, 99, true), -ENOSYS);
        assert_int_equal(guest_ask(&guest, FUSE_GETLK, id, &in, sizeof(in), &out, sizeof(out), NULL),
                         -ENOSYS);
        assert_int_equal(host_lock(fd, F_WRLCK), 0);
        in.lk_flags = FUSE_LK_FLOCK;
        assert_int_equal(guest_ask(&guest, FUSE_SETLK, id, &in, sizeof(in), NULL, 0, NULL), -ENOSYS);
        assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
        close(fd);
        guest_done(&guest);
}

static void owners_of_locks_are_bounded(void **state)
{
        (void)state;
        begin(&(struct fs_options){.locks = true});
        assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
        for (unsigned i = 0; i < LIMIT_FS_LOCKS; i++)
                assert_int_equal(lock_as(i + 1, F_WRLCK, i, i, false), 0);
        assert_int_equal(lock_as(LIMIT_FS_LOCKS + 1, F_WRLCK, 5000, 5000, false), -ENOLCK);
        guest_done(&guest);
}

/* ---- the guest's memory ---- */

static void the_guest_remembers_what_it_was_told_it_may(void **state)
{
        static const struct {
                enum fs_cache cache;
                uint64_t seconds;
                uint32_t flags;
        } rows[] = {
            {FS_CACHE_NONE, 0, FOPEN_DIRECT_IO},
            {FS_CACHE_AUTO, 1, 0},
            {FS_CACHE_ALWAYS, 86400, FOPEN_KEEP_CACHE},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                struct fuse_open_in in = {.flags = O_RDONLY};
                struct fuse_open_out out;

                begin(&(struct fs_options){.cache = rows[i].cache});
                host_write(&guest, "f", "");
                assert_int_equal(guest_lookup(&guest, FUSE_ROOT_ID, "f", &entry), 0);
                assert_int_equal(entry.entry_valid, rows[i].seconds);
                assert_int_equal(entry.attr_valid, rows[i].seconds);
                assert_int_equal(
                    guest_ask(&guest, FUSE_OPEN, entry.nodeid, &in, sizeof(in), &out, sizeof(out), NULL), 0);
                assert_int_equal(out.open_flags, rows[i].flags);
                guest_done(&guest);
        }
}

/* As before Linux 6.6. For good, in this process and all that it starts. */
static void take_fchmodat2_away(void)
{
        struct sock_filter filter[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 452, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        const struct sock_fprog program = {.len = array_size(filter), .filter = filter};

        assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static int set_mode(uint64_t of, uint32_t mode)
{
        const struct fuse_setattr_in what = {.valid = FATTR_MODE, .mode = mode};
        int r = guest_setattr(&guest, of, &what, &attr);

        if (r == 0)
                assert_int_equal(attr.mode & 07777, mode);
        return r;
}

static void modes_are_set_where_the_kernel_is_older_too(void **state)
{
        const struct {
                struct fuse_mknod_in in;
                char name[6];
        } __attribute__((packed)) pipe = {{.mode = S_IFIFO | 0600}, "fifo"};

        (void)state;
        take_fchmodat2_away();
        for (unsigned owners = 0; owners < 2; owners++) {
                if (owners == 0)
                        begin(&(struct fs_options){0});
                else if (!begin_owners())
                        skip();
                assert_int_equal(guest_create(&guest, FUSE_ROOT_ID, "f", O_RDWR, 0600, &id, &handle), 0);
                assert_int_equal(set_mode(id, 0), 0);
                assert_int_equal(set_mode(id, 0751), 0); /* which could not be opened meanwhile */
                assert_int_equal(set_mode(FUSE_ROOT_ID, 0755), 0);
                assert_int_equal(guest_mkdir(&guest, FUSE_ROOT_ID, "d", &id), 0);
                assert_int_equal(set_mode(id, 0700), 0);
                assert_int_equal(guest_ask(&guest, FUSE_MKNOD, FUSE_ROOT_ID, &pipe, sizeof(pipe.in) + 5,
                                           &entry, sizeof(entry), NULL),
                                 0);
                assert_int_equal(set_mode(entry.nodeid, 0640), owners == 0 ? 0 : -EOPNOTSUPP);
                guest_done(&guest);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(nothing_of_a_read_only_share_is_changed),
            cmocka_unit_test(what_is_made_belongs_to_who_makes_it),
            cmocka_unit_test(nobody_beyond_the_range_makes_or_is_given_anything),
            cmocka_unit_test(a_directory_that_the_host_removes_is_gone_for_the_guest),
            cmocka_unit_test(a_full_disk_is_an_error_and_no_more),
            cmocka_unit_test(attributes_of_users_are_passed_on_and_no_others),
            cmocka_unit_test(without_the_option_there_are_no_attributes),
            cmocka_unit_test(locks_are_between_owners_and_with_the_host),
            cmocka_unit_test(locks_of_whole_files_are_the_hosts),
            cmocka_unit_test(without_the_option_no_lock_is_the_hosts),
            cmocka_unit_test(owners_of_locks_are_bounded),
            cmocka_unit_test(the_guest_remembers_what_it_was_told_it_may),
            cmocka_unit_test(
                modes_are_set_where_the_kernel_is_older_too), /* the last: what it takes away stays so */
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
