/* Names and directories.
 * Owns nothing; called by libfuse. TRUST: ids and names are the guest's: ids are found or not, names judged to be one component;
 * what is at a name may change between two calls, by whoever else has the share.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "workers/fs/fs_host.h"
#include "workers/fs/fs_ops.h"
#include "workers/fs/fs_req.h"

/* ---- looking up, and forgetting ---- */

static void fs_reply_entry(fuse_req_t req, int r, const struct fuse_entry_param *entry)
{
        if (r < 0)
                fs_reply(req, r);
        else
                fuse_reply_entry(req, entry);
}

void fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        _cleanup_ref_ struct fs_ref folder = FS_REF_NONE;
        struct fuse_entry_param entry = {0};
        struct fs *fs = fs_of(req);
        uint32_t slot;
        int r = fs_folder(fs, parent, &slot, &folder);

        if (r == 0)
                r = fs_look_up(fs, slot, folder.fd, name, &entry);
        fs_reply_entry(req, r, &entry);
}

static void fs_forget(struct fs *fs, uint64_t id, uint64_t n)
{
        uint32_t slot = fs_node_find(&fs->nodes, id);

        if (slot != FS_NO_SLOT && slot != FS_ROOT)
                fs_node_forget(&fs->nodes, slot, n);
}

void fs_op_forget(fuse_req_t req, fuse_ino_t id, uint64_t n)
{
        fs_forget(fs_of(req), id, n);
        fuse_reply_none(req);
}

void fs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
        for (size_t i = 0; i < count; i++)
                fs_forget(fs_of(req), forgets[i].ino, forgets[i].nlookup);
        fuse_reply_none(req);
}

void fs_op_readlink(fuse_req_t req, fuse_ino_t id)
{
        struct fs *fs = fs_of(req);
        _cleanup_ref_ struct fs_ref ref = FS_REF_NONE;
        char target[LIMIT_FS_LINK + 2]; /* the row of the policy has this size */
        ssize_t n;
        int r = fs_any(fs, fs_node_find(&fs->nodes, id), &ref);

        if (r < 0) {
                fs_reply(req, r);
                return;
        }
        n = readlinkat(ref.fd, "", target, sizeof(target));
        if (n < 0 || n >= (ssize_t)sizeof(target) ||
            n > (ssize_t)request_writable(fs->answer.request) - (ssize_t)FS_ANSWER_BYTES) {
                fs_reply(req, n < 0 ? -errno : -ENAMETOOLONG);
                return;
        }
        target[n] = '\0';
        fuse_reply_readlink(req, target);
}

/* ---- making ---- */

/* What is to be made, and where. */
struct fs_new {
        fuse_ino_t parent;
        const char *name;
        mode_t mode;        /* with what it is */
        const char *target; /* of a symbolic link */
};

/* 0 or negative errno. */
static int fs_make_here(const struct fs_new *new, int folder)
{
        int r;

        if (S_ISDIR(new->mode))
                r = mkdirat(folder, new->name, new->mode & 07777);
        else if (S_ISLNK(new->mode))
                r = symlinkat(new->target, folder, new->name);
        else
                r = mknodat(folder, new->name, new->mode, 0);
        return r < 0 ? -errno : 0;
}

/* By whom it was asked for. */
static int fs_make_as(fuse_req_t req, const struct fs_new *new, int folder)
{
        _cleanup_owner_ struct fs_owner as = FS_OWNER_NONE;
        int r = fs_act_as_caller(req, &as);

        return r < 0 ? r : fs_make_here(new, folder);
}

/* And the guest knows it from now on. */
static void fs_make(fuse_req_t req, const struct fs_new *new)
{
        _cleanup_ref_ struct fs_ref folder = FS_REF_NONE;
        struct fuse_entry_param entry = {0};
        uint32_t slot;
        int r = fs_folder(fs_of(req), new->parent, &slot, &folder);

        if (r == 0)
                r = fs_make_as(req, new, folder.fd);
        if (r == 0)
                r = fs_look_up(fs_of(req), slot, folder.fd, new->name, &entry);
        fs_reply_entry(req, r, &entry);
}

/* Devices are never made: what is a number to the guest would be one to the host. */
void fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
        const struct fs_new new = {.parent = parent, .name = name, .mode = mode};

        (void)device;
        if (S_ISREG(mode) || S_ISFIFO(mode) || S_ISSOCK(mode))
                fs_make(req, &new);
        else
                fs_reply(req, -EPERM);
}

void fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
        fs_make(req,
                &(const struct fs_new){.parent = parent, .name = name, .mode = S_IFDIR | (mode & 07777)});
}

void fs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
        fs_make(req,
                &(const struct fs_new){.parent = parent, .name = name, .mode = S_IFLNK, .target = target});
}

/* By name, as a descriptor would need a right that we have not. What was linked is looked at afterwards: if somebody has put
 * something else in the place of the file meanwhile, the link is taken back. */
static int fs_link(struct fs *fs, uint32_t slot, int folder, const char *name)
{
        const struct fs_node_record *record = fs_node_record(&fs->nodes, slot);
        _cleanup_ref_ struct fs_ref parent = FS_REF_NONE;
        struct fs_found found;
        struct stat st;
        int r;

        if (slot == FS_ROOT)
                return -EPERM;
        r = fs_stat(fs, slot, &st); /* is it still what it was? */
        if (r == 0 && record->name_len == 0)
                r = -ESTALE; /* it may have names that we have not seen: the guest looks one up, and asks again */
        if (r == 0)
                r = fs_path_get_parent(&fs->paths, slot, &parent);
        if (r < 0)
                return r;
        if (linkat(parent.fd, record->name, folder, name, 0) < 0)
                return -errno;
        if (fs_host_find(folder, name, &found) == 0 && !fs_identity_equal(&found.is, &record->is)) {
                (void)unlinkat(folder, name, 0);
                return -ESTALE;
        }
        return 0;
}

/* Ourselves may make no name in a share of many owners, not even of what is there. */
static int fs_link_as(fuse_req_t req, uint32_t slot, int folder, const char *name)
{
        _cleanup_owner_ struct fs_owner as = FS_OWNER_NONE;
        int r = fs_act_as_caller(req, &as);

        return r < 0 ? r : fs_link(fs_of(req), slot, folder, name);
}

void fs_op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char *name)
{
        struct fs *fs = fs_of(req);
        _cleanup_ref_ struct fs_ref folder = FS_REF_NONE;
        uint32_t slot = fs_node_find(&fs->nodes, id), parent_slot;
        struct fuse_entry_param entry = {0};
        int r = slot == FS_NO_SLOT ? -ESTALE : fs_folder(fs, parent, &parent_slot, &folder);

        if (r == 0)
                r = fs_link_as(req, slot, folder.fd, name);
        if (r == 0)
                r = fs_look_up(fs, parent_slot, folder.fd, name, &entry);
        fs_reply_entry(req, r, &entry);
}

/* ---- removing and renaming ---- */

static void fs_remove(fuse_req_t req, fuse_ino_t parent, const char *name, int flags)
{
        struct fs *fs = fs_of(req);
        _cleanup_ref_ struct fs_ref folder = FS_REF_NONE;
        uint32_t slot, victim;
        int r = fs_folder(fs, parent, &slot, &folder);

        if (r < 0) {
                fs_reply(req, r);
                return;
        }
        victim = fs_path_keep(&fs->paths, folder.fd, name);
        if (unlinkat(folder.fd, name, flags) < 0)
                r = -errno;
        if (r == 0 && victim != FS_NO_SLOT)
                fs_path_removed(&fs->paths, victim, slot, name);
        fs_reply(req, r);
}

void fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        fs_remove(req, parent, name, 0);
}

void fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        fs_remove(req, parent, name, AT_REMOVEDIR);
}

struct fs_move {
        uint32_t from, to; /* slots of directories */
        int from_fd, to_fd;
        const char *name, *to_name;
        unsigned flags;
};

static uint32_t fs_known_at(struct fs *fs, int folder, const char *name)
{
        struct fs_found found;

        return fs_host_find(folder, name, &found) < 0 ? FS_NO_SLOT : fs_node_known(&fs->nodes, &found.is);
}

static int fs_move(struct fs *fs, const struct fs_move *move)
{
        uint32_t moved = fs_known_at(fs, move->from_fd, move->name), other;
        int r;

        if (move->flags & RENAME_EXCHANGE)
                other = fs_known_at(fs, move->to_fd, move->to_name);
        else
                other = fs_path_keep(&fs->paths, move->to_fd, move->to_name);
        r = fs_host_rename(move->from_fd, move->name, move->to_fd, move->to_name, move->flags);
        if (r < 0)
                return r;
        if (other == moved)
                return 0; /* two names of one file: neither has changed */
        if (other != FS_NO_SLOT && move->flags & RENAME_EXCHANGE)
                fs_node_place(&fs->nodes, other, move->from, move->name);
        else if (other != FS_NO_SLOT)
                fs_path_removed(&fs->paths, other, move->to, move->to_name);
        if (moved != FS_NO_SLOT)
                fs_node_place(&fs->nodes, moved, move->to, move->to_name);
        return 0;
}

/* RENAME_WHITEOUT would make a device. */
void fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to, const char *to_name,
                  unsigned flags)
{
        struct fs *fs = fs_of(req);
        _cleanup_ref_ struct fs_ref from_ref = FS_REF_NONE, to_ref = FS_REF_NONE;
        _cleanup_owner_ struct fs_owner as = FS_OWNER_NONE;
        struct fs_move move = {.name = name, .to_name = to_name, .flags = flags};
        int r = flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE) ? -EINVAL : 0;

        if (r == 0)
                r = fs_folder(fs, parent, &move.from, &from_ref);
        if (r == 0)
                r = fs_folder(fs, to, &move.to, &to_ref);
        if (r == 0)
                r = fs_act_as_caller(req, &as);
        move.from_fd = from_ref.fd;
        move.to_fd = to_ref.fd;
        fs_reply(req, r < 0 ? r : fs_move(fs, &move));
}
