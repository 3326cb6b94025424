/* Extended attributes and locks: what the operator has to ask for.
 * Owns nothing; called by libfuse. TRUST: ids, names, values and owners are the guest's: ids are found or not; of names those of
 * users alone are passed on, so that none has a meaning to the host.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "workers/fs/fs_host.h"
#include "workers/fs/fs_ops.h"

#define USER_PREFIX "user."

/* ---- extended attributes ---- */

static bool fs_is_users(const char *name)
{
        return strncmp(name, USER_PREFIX, strlen(USER_PREFIX)) == 0;
}

/* Such a descriptor must be opened for real; others than files and directories have no attributes of users. */
static int fs_open_either(struct fs *fs, uint64_t id)
{
        uint32_t node = fs_node_find(&fs->nodes, id);
        struct stat st;
        int r = fs_stat(fs, node, &st), fd;

        if (r < 0)
                return r;
        if (S_ISDIR(st.st_mode))
                return fs_handle_open(&fs->handles, node, O_RDONLY, true);
        if (!S_ISREG(st.st_mode))
                return -EPERM;
        fd = fs_handle_open(&fs->handles, node, O_RDONLY, false);
        return fd == -EACCES ? fs_handle_open(&fs->handles, node, O_WRONLY, false) : fd;
}

static int fs_open_xattr(struct fs *fs, uint64_t id, const char *name)
{
        if (!fs->xattr)
                return -ENOSYS;
        return fs_is_users(name) ? fs_open_either(fs, id) : -EOPNOTSUPP;
}

int fs_setxattr(struct fs *fs, uint64_t id, const char *name, const uint8_t *value, size_t len, int flags)
{
        _cleanup_close_ int fd = fs_open_xattr(fs, id, name);

        if (fd < 0)
                return fd;
        return fsetxattr(fd, name, value, len, flags) < 0 ? -errno : 0;
}

static void fs_reply_value(fuse_req_t req, ssize_t n, size_t size)
{
        if (n < 0)
                fs_reply(req, (int)n);
        else if (size == 0)
                fuse_reply_xattr(req, (size_t)n);
        else if ((size_t)n > size)
                fs_reply(req, -ERANGE);
        else
                fuse_reply_buf(req, (const char *)fs_of(req)->bytes, (size_t)n);
}

void fs_op_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size)
{
        struct fs *fs = fs_of(req);
        _cleanup_close_ int fd = fs_open_xattr(fs, id, name);
        ssize_t n = fd;

        if (fd >= 0) {
                n = fgetxattr(fd, name, fs->bytes, LIMIT_FS_XATTR);
                n = n < 0 ? -errno : n;
        }
        if (fd == -EPERM)
                n = -ENODATA; /* it can have none */
        fs_reply_value(req, n, size);
}

/* What is not a user's is taken out of the list, in place. */
static size_t fs_users_only(char *names, size_t len)
{
        size_t kept = 0;

        for (size_t at = 0, n; at < len; at += n) {
                n = strnlen(names + at, len - at) + 1;
                if (n > len - at)
                        break;
                if (!fs_is_users(names + at))
                        continue;
                memmove(names + kept, names + at, n);
                kept += n;
        }
        return kept;
}

void fs_op_listxattr(fuse_req_t req, fuse_ino_t id, size_t size)
{
        struct fs *fs = fs_of(req);
        _cleanup_close_ int fd = fs->xattr ? fs_open_either(fs, id) : -ENOSYS;
        ssize_t n = fd == -EPERM ? 0 : fd;

        if (fd >= 0) {
                n = flistxattr(fd, (char *)fs->bytes, LIMIT_FS_XATTR);
                n = n < 0 ? -errno : (ssize_t)fs_users_only((char *)fs->bytes, (size_t)n);
        }
        fs_reply_value(req, n, size);
}

void fs_op_removexattr(fuse_req_t req, fuse_ino_t id, const char *name)
{
        _cleanup_close_ int fd = fs_open_xattr(fs_of(req), id, name);
        int r = fd;

        if (fd >= 0)
                r = fremovexattr(fd, name) < 0 ? -errno : 0;
        fs_reply(req, r);
}

/* ---- locks ---- */

/* Of an open file. That nothing was agreed on keeps no guest from asking: -ENOSYS, if locks are not the host's. */
static int fs_lock_slot(struct fs *fs, fuse_ino_t id, const struct fuse_file_info *file)
{
        return fs->locks_shared ? fs_handle_find(&fs->handles, file->fh, id, false) : -ENOSYS;
}

static void fs_remember_lock(struct fs *fs, int slot)
{
        fs->memory->handles[slot].has_locked = 1;
}

void fs_op_getlk(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file, struct flock *lock)
{
        struct fs *fs = fs_of(req);
        uint32_t node = fs_node_find(&fs->nodes, id);
        int r = !fs->locks_shared ? -ENOSYS : node == FS_NO_SLOT ? -ESTALE : 0;

        if (r == 0)
                r = fs_lock_test(&fs->locks, node, file->lock_owner, lock);
        if (r < 0)
                fs_reply(req, r);
        else
                fuse_reply_lock(req, lock);
}

/* Never with `wait`: those are fs_wait.c's. */
void fs_op_setlk(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file, struct flock *lock, int wait)
{
        struct fs *fs = fs_of(req);
        int slot = fs_lock_slot(fs, id, file);
        int r = slot;

        if (slot >= 0)
                r = fs_lock_set(&fs->locks, fs_node_find(&fs->nodes, id), file->lock_owner, lock);
        if (r == 0 && lock->l_type != F_UNLCK)
                fs_remember_lock(fs, slot);
        (void)wait;
        fs_reply(req, r);
}

void fs_op_flock(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file, int op)
{
        struct fs *fs = fs_of(req);
        int slot = fs_lock_slot(fs, id, file);
        int r = slot;

        if (slot >= 0)
                r = flock(fs_handle_fd(&fs->handles, slot), op | LOCK_NB) < 0 ? -errno : 0;
        if (r == 0 && op != LOCK_UN)
                fs_remember_lock(fs, slot);
        fs_reply(req, r);
}
