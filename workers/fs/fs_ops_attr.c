/* Attributes.
 * Owns nothing; called by libfuse. TRUST: ids and values are the guest's; the host's kernel judges values as those of a process
 * without any capability.
 *
 * Owners: all files are one owner's, whom the guest sees as its root. So nobody else can be made the owner; that somebody is made
 * who is it already does what chown does beside, that is it takes the set-user-id bits away. Or they are of a range: then each of it
 * can be made the owner.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "workers/fs/fs_host.h"
#include "workers/fs/fs_ops.h"

static void fs_reply_attr(fuse_req_t req, int r, const struct stat *stat)
{
        if (r < 0)
                fs_reply(req, r);
        else
                fuse_reply_attr(req, stat, fs_timeout(fs_of(req)));
}

static int fs_stat_open(struct fs *fs, fuse_ino_t id, uint64_t handle, struct stat *ret_stat)
{
        int slot = fs_handle_find(&fs->handles, handle, id, false);
        int r = slot < 0 ? slot : fs_host_stat(fs_handle_fd(&fs->handles, slot), "", ret_stat);

        if (r == 0)
                fs_show(fs, ret_stat);
        return r;
}

void fs_op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
        struct fs *fs = fs_of(req);
        struct stat st;
        int r = file ? fs_stat_open(fs, id, file->fh, &st) : -EBADF;

        if (r < 0) /* of a directory it is another kind of handle */
                r = fs_stat(fs, fs_node_find(&fs->nodes, id), &st);
        fs_reply_attr(req, r, &st);
}

/* ---- setting ---- */

/* An inode whose attributes are set. */
struct fs_target {
        struct fs *fs;
        uint32_t slot;
        struct fs_ref ref; /* of the inode, by which it is changed */
        int file;          /* an open file of the guest's; -1: it names none */
};

static int fs_set_owner(const struct fs_target *target, const struct stat *stat, int valid)
{
        const struct fs *fs = target->fs;
        uid_t uid = (uid_t)-1;
        gid_t gid = (gid_t)-1;
        int r = 0;

        if (valid & FUSE_SET_ATTR_UID)
                r = fs_owner_id(fs, stat->st_uid, fs->uid, &uid);
        if (r == 0 && valid & FUSE_SET_ATTR_GID)
                r = fs_owner_id(fs, stat->st_gid, fs->gid, &gid);
        if (r == 0 && fchownat(target->ref.fd, "", uid, gid, AT_EMPTY_PATH) < 0)
                r = -errno;
        return r;
}

/* By the descriptor of an open file, if it can be opened. */
static int fs_set_mode_of_open(const struct fs_target *target, mode_t mode)
{
        _cleanup_close_ int fd = -1;
        struct stat st;
        int r = fs_host_stat(target->ref.fd, "", &st);

        if (r < 0)
                return r;
        fd = fs_handle_open(&target->fs->handles, target->slot, O_RDONLY, S_ISDIR(st.st_mode));
        if (fd == -EACCES && S_ISREG(st.st_mode))
                fd = fs_handle_open(&target->fs->handles, target->slot, O_WRONLY, false);
        if (fd < 0)
                return fd;
        return fchmod(fd, mode) < 0 ? -errno : 0;
}

/* What cannot be opened. Between our look at it and the change somebody else on the host may put a link there, which leads to another
 * file of the share: so not where files have several owners. */
static int fs_set_mode_by_name(const struct fs_target *target, mode_t mode)
{
        const struct fs_node_record *record = fs_node_record(&target->fs->nodes, target->slot);
        _cleanup_ref_ struct fs_ref parent = FS_REF_NONE;
        int r = target->fs->n_owners > 0 ? -EOPNOTSUPP
                                         : fs_path_get_parent(&target->fs->paths, target->slot, &parent);

        if (r < 0)
                return r;
        return fchmodat(parent.fd, record->name, mode, 0) < 0 ? -errno : 0;
}

/* Kernels before 6.6 cannot change the mode of what is not open for real. */
static int fs_set_mode_as_we_are(const struct fs_target *target, mode_t mode)
{
        int r = fs_host_chmod(target->ref.fd, mode);

        if (r != -ENOSYS)
                return r;
        r = fs_set_mode_of_open(target, mode);
        return r == -EACCES || r == -ENXIO ? fs_set_mode_by_name(target, mode) : r;
}

/* The group's bit stays only if we are of that group: the guest has judged whether who asks is. */
static int fs_set_mode(const struct fs_target *target, mode_t mode)
{
        _cleanup_owner_ struct fs_owner as = FS_OWNER_NONE;
        struct stat st;
        int r = 0;

        if (mode & S_ISGID && target->fs->n_owners > 0) {
                r = fs_host_stat(target->ref.fd, "", &st);
                if (r == 0 && st.st_gid < target->fs->n_owners)
                        fs_owner_act_as_group(target->fs, st.st_gid, &as);
        }
        return r < 0 ? r : fs_set_mode_as_we_are(target, mode);
}

static int fs_set_size(const struct fs_target *target, off_t size)
{
        _cleanup_close_ int own = -1;
        int fd = target->file;

        if (fd < 0)
                fd = own = fs_handle_open(&target->fs->handles, target->slot, O_WRONLY, false);
        if (fd < 0)
                return fd;
        return ftruncate(fd, size) < 0 ? -errno : 0;
}

static struct timespec fs_time(int valid, int set, int now, struct timespec time)
{
        if (valid & now)
                return (struct timespec){.tv_nsec = UTIME_NOW};
        return valid & set ? time : (struct timespec){.tv_nsec = UTIME_OMIT};
}

static int fs_set_times(const struct fs_target *target, const struct stat *stat, int valid)
{
        const struct timespec times[2] = {
            fs_time(valid, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, stat->st_atim),
            fs_time(valid, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW, stat->st_mtim),
        };

        return utimensat(target->ref.fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* In the order in which one does not undo the other: chown takes bits of the mode away, truncation sets a time. */
static int fs_set(const struct fs_target *target, const struct stat *stat, int valid)
{
        int r = 0;

        if (valid & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
                r = fs_set_owner(target, stat, valid);
        if (r == 0 && valid & FUSE_SET_ATTR_SIZE)
                r = fs_set_size(target, stat->st_size);
        if (r == 0 && valid & FUSE_SET_ATTR_MODE)
                r = fs_set_mode(target, stat->st_mode & 07777);
        if (r == 0 && valid & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME))
                r = fs_set_times(target, stat, valid);
        return r;
}

void fs_op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *stat, int valid, struct fuse_file_info *file)
{
        struct fs *fs = fs_of(req);
        struct fs_target target = {
            .fs = fs, .slot = fs_node_find(&fs->nodes, id), .ref = FS_REF_NONE, .file = -1};
        int handle = file ? fs_handle_find(&fs->handles, file->fh, id, false) : -EBADF;
        struct stat st = {0};
        int r = fs_any(fs, target.slot, &target.ref);

        if (handle >= 0)
                target.file = fs_handle_fd(&fs->handles, handle);
        if (r == 0)
                r = fs_set(&target, stat, valid);
        if (r == 0)
                r = fs_host_stat(target.ref.fd, "", &st);
        fs_ref_put(&target.ref);
        fs_show(fs, &st);
        fs_reply_attr(req, r, &st);
}

void fs_op_statfs(fuse_req_t req, fuse_ino_t id)
{
        struct statvfs out = {0};
        struct statfs in;

        (void)id;
        if (fstatfs(fs_of(req)->root, &in) < 0) {
                fs_reply(req, -errno);
                return;
        }
        out.f_bsize = (unsigned long)in.f_bsize;
        out.f_frsize = (unsigned long)(in.f_frsize ? in.f_frsize : in.f_bsize);
        out.f_blocks = in.f_blocks;
        out.f_bfree = in.f_bfree;
        out.f_bavail = in.f_bavail;
        out.f_files = in.f_files;
        out.f_ffree = in.f_ffree;
        out.f_namemax = (unsigned long)in.f_namelen;
        fuse_reply_statfs(req, &out);
}
