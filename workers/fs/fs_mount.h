/* The guest's mount: a session of libfuse, from FUSE_INIT to FUSE_DESTROY; and what a successor is told of it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fs;
struct fuse_session;

#define FS_INIT_MAX 64u /* bytes of a FUSE_INIT behind its header */

/* Agreed on with FUSE_INIT, which a successor repeats for itself. */
struct fs_mount_state {
        uint32_t version;
        uint32_t incarnation; /* of workers since the mount: serial numbers of each begin higher */
        uint64_t epoch;       /* of the memory; never 0 once there has been a mount */
        uint32_t len;
        uint8_t init[FS_INIT_MAX];
};

struct fs_mount {
        struct fuse_session *session; /* NULL: FUSE_INIT has not come yet */
        struct fs_mount_state state;
        unsigned n_saved;
};

/* Before the jail closes: libfuse gets the memory that it will ever need. 0 or negative errno. */
int fs_mount_prepare(struct fs *fs);

/* Carries out FUSE_INIT, `len` bytes of a judged request: a new mount, and the end of the one before. */
void fs_mount_init(struct fs *fs, void *bytes, uint32_t len);

/* The guest has unmounted, or will: everything that it had open is closed. */
void fs_mount_destroy(struct fs *fs, void *bytes, uint32_t len);

/* Carries out any other judged request. libfuse may write to it. */
void fs_mount_serve(struct fs *fs, void *bytes, uint32_t len);

/* What a predecessor has left. 0, or -EINVAL: it makes no sense, and nothing is known. */
int fs_mount_restore(struct fs *fs, const uint8_t *bytes, size_t len);
