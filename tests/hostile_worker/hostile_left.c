/* What might be left in a shared folder for others: nodes, rights, owners; and changes where nothing may be changed.
 * Owns nothing; read by hostile_ops.c. TRUST: paths are the runner's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "proto/base/checked.h"
#include "tests/hostile_worker/hostile.h"
#include "tests/hostile_worker/hostile_folder.h"

/* The classic: a second root below, and out of the first. */
static int64_t chroot_below(struct hostile *hostile)
{
        int64_t r = CALL(SYS_mkdirat, AT_FDCWD, FOLDER_NAME ".below", 0777);

        (void)hostile;
        if (r == 0)
                r = CALL(SYS_chroot, FOLDER_NAME ".below");
        if (r == 0)
                r = CALL(SYS_chdir, "../../../../..");
        syscall(SYS_unlinkat, AT_FDCWD, FOLDER_NAME ".below", AT_REMOVEDIR);
        return r;
}

/* ---- left for others ---- */

static int64_t node_block(struct hostile *hostile)
{
        (void)hostile;
        return unmake(CALL(SYS_mknodat, AT_FDCWD, FOLDER_NAME, S_IFBLK | 0666, makedev(8, 0)));
}

static int64_t node_character(struct hostile *hostile)
{
        (void)hostile;
        return unmake(CALL(SYS_mknodat, AT_FDCWD, FOLDER_NAME, S_IFCHR | 0666, makedev(1, 1)));
}

static int64_t node_whiteout(struct hostile *hostile)
{
        (void)hostile;
        return unmake(CALL(SYS_mknodat, AT_FDCWD, FOLDER_NAME, S_IFCHR | 0666, 0));
}

static int64_t rename_whiteout(struct hostile *hostile)
{
        int64_t fd = make(), r;

        (void)hostile;
        if (fd < 0)
                return fd;
        r = CALL(SYS_renameat2, AT_FDCWD, FOLDER_NAME, AT_FDCWD, FOLDER_NAME ".moved", RENAME_WHITEOUT);
        syscall(SYS_unlinkat, AT_FDCWD, FOLDER_NAME ".moved", 0);
        return unmake(r);
}

static int64_t open_node(struct hostile *hostile)
{
        (void)hostile;
        return open_free("node", O_RDWR);
}

static int64_t open_fifo(struct hostile *hostile)
{
        (void)hostile;
        return open_free("fifo", O_RDWR | O_NONBLOCK);
}

static int64_t open_roots(struct hostile *hostile)
{
        (void)hostile;
        return open_free("roots", O_RDWR);
}

static int64_t open_beyond(struct hostile *hostile)
{
        (void)hostile;
        return open_free("beyond", O_RDWR);
}

static int64_t chmod_roots(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_fchmodat, AT_FDCWD, "roots", 0666);
}

static int64_t set_user_id(struct hostile *hostile)
{
        int64_t fd = make();

        (void)hostile;
        return fd < 0 ? fd : unmake(CALL(SYS_fchmodat, AT_FDCWD, FOLDER_NAME, 06777));
}

static int64_t give_to_root(struct hostile *hostile)
{
        int64_t fd = make();

        (void)hostile;
        return fd < 0 ? fd : unmake(CALL(SYS_fchownat, (int)fd, "", 0, 0, AT_EMPTY_PATH));
}

static int64_t give_group(struct hostile *hostile)
{
        int64_t fd = make();

        (void)hostile;
        return fd < 0 ? fd : unmake(CALL(SYS_fchownat, (int)fd, "", -1, 5 /* tty */, AT_EMPTY_PATH));
}

static int64_t take_roots(struct hostile *hostile)
{
        int64_t fd = open_free("roots", O_PATH);
        uint64_t uid = hostile->command.broker_uid;

        return fd < 0 ? fd : CALL(SYS_fchownat, (int)fd, "", uid, uid, AT_EMPTY_PATH);
}

static int64_t attribute(const char *name, const void *bytes, size_t len)
{
        int64_t fd = make();

        return fd < 0 ? fd : unmake(CALL(SYS_fsetxattr, (int)fd, name, bytes, len, 0));
}

/* As a program would be given CAP_CHOWN. */
static int64_t attribute_of_capability(void)
{
        const struct vfs_cap_data data = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
                                          .data = {{.permitted = 1}}};

        return attribute("security.capability", &data, sizeof(data));
}

static int64_t attribute_trusted(struct hostile *hostile)
{
        (void)hostile;
        return attribute("trusted.overlay.opaque", "y", 1);
}

static int64_t attribute_capability(struct hostile *hostile)
{
        (void)hostile;
        return attribute_of_capability();
}

static int64_t file_flags(struct hostile *hostile)
{
        int64_t fd = open_free("file", O_RDONLY);
        unsigned flags = FS_IMMUTABLE_FL;

        (void)hostile;
        return fd < 0 ? fd : CALL(SYS_ioctl, (int)fd, FS_IOC_SETFLAGS, &flags);
}

static int64_t of_file(unsigned command, unsigned long value)
{
        int64_t fd = open_free("file", O_RDONLY);

        return fd < 0 ? fd : CALL(SYS_fcntl, (int)fd, command, value);
}

static int64_t file_lease(struct hostile *hostile)
{
        (void)hostile;
        return of_file(F_SETLEASE, F_RDLCK);
}

static int64_t file_owner(struct hostile *hostile)
{
        return of_file(F_SETOWN, hostile->command.broker_pid);
}

static int64_t folder_notify(struct hostile *hostile)
{
        int64_t fd = open_free("/", O_RDONLY | O_DIRECTORY);

        (void)hostile;
        return fd < 0 ? fd : CALL(SYS_fcntl, (int)fd, F_NOTIFY, 1ul);
}

/* ---- a range of owners, whom it may act as ---- */

#define RANGE 1000 /* of the configuration */

/* What is made belongs to whom it acts as, and that may not be itself. Its own ids are these again afterwards. */
static int64_t give_to(unsigned id)
{
        long uid = syscall(SYS_setfsuid, 1), gid = syscall(SYS_setfsgid, 1);
        int64_t fd = make(), r = fd;

        if (fd >= 0)
                r = unmake(CALL(SYS_fchownat, (int)fd, "", id, id, AT_EMPTY_PATH));
        syscall(SYS_setfsgid, gid);
        syscall(SYS_setfsuid, uid);
        return r;
}

static int64_t give_within(struct hostile *hostile)
{
        (void)hostile;
        return give_to(RANGE - 1);
}

static int64_t give_beyond(struct hostile *hostile)
{
        (void)hostile;
        return give_to(RANGE);
}

static int64_t attribute_as_owner(struct hostile *hostile)
{
        (void)hostile;
        syscall(SYS_setfsuid, 1);
        syscall(SYS_setfsgid, 1);
        return attribute_of_capability();
}

static int64_t chroot_as_owner(struct hostile *hostile)
{
        syscall(SYS_setfsuid, 0);
        syscall(SYS_setfsgid, 0);
        return chroot_below(hostile);
}

static int64_t act_as(unsigned id)
{
        long own = syscall(SYS_setfsuid, id);
        int64_t r = open_free("roots", O_RDWR);

        syscall(SYS_setfsuid, own);
        return r;
}

static int64_t act_as_root(struct hostile *hostile)
{
        (void)hostile;
        return act_as(0);
}

static int64_t act_beyond(struct hostile *hostile)
{
        (void)hostile;
        return act_as(RANGE);
}

static int64_t become(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_setresuid, 1, 1, 1);
}

static int64_t become_beyond(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_setresuid, RANGE, RANGE, RANGE);
}

/* ---- read-only ---- */

static int64_t write_open(struct hostile *hostile)
{
        (void)hostile;
        return open_free("file", O_RDWR);
}

static int64_t write_truncate(struct hostile *hostile)
{
        (void)hostile;
        return open_free("file", O_RDONLY | O_TRUNC);
}

static int64_t write_create(struct hostile *hostile)
{
        (void)hostile;
        return make();
}

static int64_t write_temporary(struct hostile *hostile)
{
        (void)hostile;
        return open_free("/", O_RDWR | O_TMPFILE);
}

static int64_t write_unlink(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_unlinkat, AT_FDCWD, "file", 0);
}

static int64_t write_mode(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_fchmodat, AT_FDCWD, "file", 0666);
}

static int64_t write_times(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_utimensat, AT_FDCWD, "file", NULL, 0);
}

static int64_t write_link(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_linkat, AT_FDCWD, "file", AT_FDCWD, FOLDER_NAME, 0);
}

static int64_t write_folder(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_mkdirat, AT_FDCWD, FOLDER_NAME, 0777);
}

static const struct hostile_attack rows[] = {
    {"share-chroot-below", chroot_below, 0},
    {"share-node-block", node_block, 0},
    {"share-node-character", node_character, 0},
    {"share-node-whiteout", node_whiteout, 0},
    {"share-rename-whiteout", rename_whiteout, 0},
    {"share-open-node", open_node, 0},
    {"share-open-fifo", open_fifo, 0},
    {"share-open-roots", open_roots, 0},
    {"share-open-beyond", open_beyond, 0},
    {"share-chmod-roots", chmod_roots, 0},
    {"share-set-user-id", set_user_id, 0},
    {"share-give-to-root", give_to_root, 0},
    {"share-give-group", give_group, 0},
    {"share-take-roots", take_roots, 0},
    {"share-attribute-trusted", attribute_trusted, 0},
    {"share-attribute-capability", attribute_capability, 0},
    {"share-file-flags", file_flags, 0},
    {"share-file-lease", file_lease, 0},
    {"share-file-owner", file_owner, 0},
    {"share-folder-notify", folder_notify, 0},
    {"owners-give-within", give_within, 0},
    {"owners-attribute-capability", attribute_as_owner, 0},
    {"owners-chroot", chroot_as_owner, 0},
    {"owners-give-beyond", give_beyond, 0},
    {"owners-act-as-root", act_as_root, 0},
    {"owners-act-beyond", act_beyond, 0},
    {"owners-become", become, 0},
    {"owners-become-beyond", become_beyond, 0},
    {"share-write-open", write_open, 0},
    {"share-write-truncate", write_truncate, 0},
    {"share-write-create", write_create, 0},
    {"share-write-temporary", write_temporary, 0},
    {"share-write-unlink", write_unlink, 0},
    {"share-write-mode", write_mode, 0},
    {"share-write-times", write_times, 0},
    {"share-write-link", write_link, 0},
    {"share-write-folder", write_folder, 0},
};

const struct hostile_attacks hostile_left = {rows, array_size(rows)};
