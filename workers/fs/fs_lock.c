/* Byte-range locks.
 * Owns a descriptor an owner and inode. Called by the operations. TRUST: owners and ranges are the guest's, ranges judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_lock.h"

#include <errno.h>
#include <unistd.h>

void fs_locks_init(struct fs_locks *locks, struct fs_handles *handles)
{
        locks->handles = handles;
        for (unsigned i = 0; i < LIMIT_FS_LOCKS; i++)
                locks->locks[i] = (struct fs_lock){.fd = -1};
}

static void fs_lock_close(struct fs_lock *lock)
{
        close(lock->fd);
        *lock = (struct fs_lock){.fd = -1};
}

void fs_locks_clear(struct fs_locks *locks)
{
        for (unsigned i = 0; i < LIMIT_FS_LOCKS; i++)
                if (locks->locks[i].node != 0)
                        fs_lock_close(&locks->locks[i]);
}

/* With node 0: a free place. NULL: there is none. */
static struct fs_lock *fs_lock_find(struct fs_locks *locks, uint64_t node_id, uint64_t owner)
{
        for (unsigned i = 0; i < LIMIT_FS_LOCKS; i++)
                if (locks->locks[i].node == node_id && locks->locks[i].owner == owner)
                        return &locks->locks[i];
        return NULL;
}

/* For writing where that is allowed: a lock for writing needs it. */
static int fs_lock_open(struct fs_locks *locks, uint32_t node)
{
        int fd = fs_handle_open_named(locks->handles, node, O_RDWR);

        if (fd == -EACCES || fd == -EROFS)
                fd = fs_handle_open_named(locks->handles, node, O_RDONLY);
        if (fd == -EACCES)
                fd = fs_handle_open_named(locks->handles, node, O_WRONLY);
        return fd == -ESTALE ? -ENOLCK : fd;
}

static int fs_lock_get(struct fs_locks *locks, uint32_t node, uint64_t owner, struct fs_lock **ret_lock)
{
        uint64_t id = fs_node_id(locks->handles->nodes, node);
        struct fs_lock *lock = fs_lock_find(locks, id, owner);
        int fd;

        if (!lock) {
                lock = fs_lock_find(locks, 0, 0);
                if (!lock)
                        return -ENOLCK;
                fd = fs_lock_open(locks, node);
                if (fd < 0)
                        return fd;
                *lock = (struct fs_lock){.node = id, .owner = owner, .fd = fd};
        }
        *ret_lock = lock;
        return 0;
}

int fs_lock_test(struct fs_locks *locks, uint32_t node, uint64_t owner, struct flock *lock)
{
        struct fs_lock *own;
        int r = fs_lock_get(locks, node, owner, &own);

        if (r < 0)
                return r;
        lock->l_pid = 0;
        return fcntl(own->fd, F_OFD_GETLK, lock) < 0 ? -errno : 0;
}

int fs_lock_set(struct fs_locks *locks, uint32_t node, uint64_t owner, const struct flock *lock)
{
        struct flock range = *lock;
        struct fs_lock *own;
        int r = fs_lock_get(locks, node, owner, &own);

        if (r < 0)
                return r;
        range.l_pid = 0;
        return fcntl(own->fd, F_OFD_SETLK, &range) < 0 ? -errno : 0;
}

void fs_lock_drop(struct fs_locks *locks, uint64_t node_id, uint64_t owner)
{
        struct fs_lock *lock = node_id == 0 ? NULL : fs_lock_find(locks, node_id, owner);

        if (lock)
                fs_lock_close(lock);
}
