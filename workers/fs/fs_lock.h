/* Byte-range locks, one open file description an owner and inode, so that the host keeps owners apart as it does processes (OFD
 * locks): others on the host, and other guests, are excluded too.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>

#include "workers/fs/fs_handle.h"

struct fs_lock {
        uint64_t node; /* its id; 0: free */
        uint64_t owner;
        int fd;
};

struct fs_locks {
        struct fs_handles *handles;
        struct fs_lock locks[LIMIT_FS_LOCKS];
};

void fs_locks_init(struct fs_locks *locks, struct fs_handles *handles);
void fs_locks_clear(struct fs_locks *locks);

/* Who has what is asked for? *lock says so, or F_UNLCK. 0 or negative errno. */
int fs_lock_test(struct fs_locks *locks, uint32_t node, uint64_t owner, struct flock *lock);

/* Takes or lets go, without waiting: -EAGAIN. -ENOLCK: there are too many owners, or the file has no name any more. */
int fs_lock_set(struct fs_locks *locks, uint32_t node, uint64_t owner, const struct flock *lock);

/* All of this owner's on the inode. */
void fs_lock_drop(struct fs_locks *locks, uint64_t node_id, uint64_t owner);
