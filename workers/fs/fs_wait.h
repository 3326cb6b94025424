/* Locks that are waited for: requests that have no answer yet. Each is tried again when a lock of this guest's is let go, and from
 * time to time, as nobody tells of a lock of the host's.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/limits.h"

struct fs;
struct fs_req;
struct request;

struct fs_waiter {
        struct request *request;
        uint64_t unique, node, handle, owner; /* ids of the guest's */
        struct flock lock;
        bool whole; /* of the whole file, as flock(2) has it: of the lock its type alone counts */
};

struct fs_waits {
        unsigned n;
        struct fs_waiter waiters[LIMIT_FS_WAITS]; /* in order of coming */
};

/* Carries out FUSE_SETLKW, `body` behind its header, judged: answers, or the request waits. */
void fs_wait_lock(struct fs *fs, const struct fs_req *req, const void *body);

/* Some lock may have been let go. */
void fs_waits_retry(struct fs *fs);

/* Who waits with this request is to wait no longer: EINTR. Nothing happens if nobody does. */
void fs_wait_interrupt(struct fs *fs, uint64_t unique);

/* All of this queue that wait are answered with this error. */
void fs_waits_end(struct fs *fs, uint32_t queue, int error);

#define FS_ALL_QUEUES UINT32_MAX
