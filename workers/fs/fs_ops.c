/* The table of operations, and what guest and device agree on.
 * Owns nothing; read by libfuse. TRUST: what the guest's kernel can do it says itself; nothing is wanted that it has not offered.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_ops.h"

#include "proto/base/checked.h"
#include "proto/base/limits.h"

#define FS_BACKGROUND 64u /* requests that the guest may have under way by itself, as for reading ahead */

/* Not wanted: POSIX_ACL, as owners are squashed; WRITEBACK_CACHE, as others change files too; DONT_MASK, as the guest's own
 * umask is the only one there is; EXPORT_SUPPORT, which needs "..". */
#define FS_WANTED                                                                                            \
        ((unsigned)(FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA |               \
                    FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ASYNC_DIO |                  \
                    FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_HANDLE_KILLPRIV))

static void fs_op_init(void *state, struct fuse_conn_info *conn)
{
        const struct fs *fs = state;
        unsigned wanted = FS_WANTED;

        if (fs->locks_shared)
                wanted |= FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS;
        if (fs->cache == FS_CACHE_ALWAYS)
                wanted |= FUSE_CAP_CACHE_SYMLINKS;
        conn->want = conn->capable & wanted;
        conn->max_write = MIN(conn->max_write, LIMIT_FS_TRANSFER);
        conn->max_background = FS_BACKGROUND;
}

const struct fuse_lowlevel_ops fs_ops = {
    .init = fs_op_init,
    .lookup = fs_op_lookup,
    .forget = fs_op_forget,
    .forget_multi = fs_op_forget_multi,
    .getattr = fs_op_getattr,
    .setattr = fs_op_setattr,
    .readlink = fs_op_readlink,
    .mknod = fs_op_mknod,
    .mkdir = fs_op_mkdir,
    .unlink = fs_op_unlink,
    .rmdir = fs_op_rmdir,
    .symlink = fs_op_symlink,
    .rename = fs_op_rename,
    .link = fs_op_link,
    .open = fs_op_open,
    .create = fs_op_create,
    .read = fs_op_read,
    .write = fs_op_write,
    .flush = fs_op_flush,
    .release = fs_op_release,
    .fsync = fs_op_fsync,
    .opendir = fs_op_opendir,
    .readdir = fs_op_readdir,
    .readdirplus = fs_op_readdirplus,
    .releasedir = fs_op_releasedir,
    .fsyncdir = fs_op_fsyncdir,
    .statfs = fs_op_statfs,
    .getxattr = fs_op_getxattr,
    .listxattr = fs_op_listxattr,
    .removexattr = fs_op_removexattr,
    .getlk = fs_op_getlk,
    .setlk = fs_op_setlk,
    .flock = fs_op_flock,
    .fallocate = fs_op_fallocate,
    .lseek = fs_op_lseek,
    .copy_file_range = fs_op_copy_file_range,
};
