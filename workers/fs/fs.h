/* A shared directory, all of it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/device/fs.h"
#include "workers/fs/fs_answer.h"
#include "workers/fs/fs_dax.h"
#include "workers/fs/fs_handle.h"
#include "workers/fs/fs_lock.h"
#include "workers/fs/fs_memory.h"
#include "workers/fs/fs_mount.h"
#include "workers/fs/fs_node.h"
#include "workers/fs/fs_path.h"
#include "workers/fs/fs_wait.h"

struct fs {
        bool read_only, xattr, locks_shared;
        enum fs_cache cache;
        int root; /* the share, O_PATH: the resource */
        struct fs_identity is;
        uid_t
            uid; /* whose files we can use: the guest sees them as its root's. With n_owners our own, whose none is */
        gid_t gid;
        uint32_t n_owners; /* ids that the guest has here, from 0 on; 0: all files are one owner's */
        struct fs_memory *memory;
        struct fs_nodes nodes;
        struct fs_paths paths;
        struct fs_handles handles;
        struct fs_locks locks;
        struct fs_waits waits;
        struct fs_answer answer;
        uint32_t opcode; /* of the request that it is for */
        struct fs_mount mount;
        struct fs_dax dax;
        uint8_t *entries; /* LIMIT_FS_FOLDER bytes: directory entries as the host says them */
        uint8_t *bytes;   /* likewise, and a little more: a small answer while it is made */
};
