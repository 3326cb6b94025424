/* Descriptors of inodes (O_PATH), made when they are needed: by parent and name, from the nearest one that is at hand, each
 * judged by device, inode number and birth. Those of directories are kept, LIMIT_FS_FOLDERS of them; and those of what is removed while
 * the guest knows it, LIMIT_FS_REMOVED, because no name leads there any more: if the guest has it open, one by which it can be
 * opened again.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "proto/base/limits.h"
#include "workers/fs/fs_node.h"

struct fs_folder {
        int fd;        /* -1: the place is free */
        uint32_t slot; /* whose it is */
        uint32_t users;
        bool removed;
        int access; /* O_RDWR or O_RDONLY, of a file that was open when its name went; O_PATH of all others */
        uint64_t used_at;
};

struct fs_paths {
        struct fs_nodes *nodes;
        int root; /* borrowed */
        uint64_t clock;
        unsigned n_removed;
        struct fs_folder folders[LIMIT_FS_FOLDERS];
};

/* A descriptor while it is needed. Empty: {.fd = -1}. */
struct fs_ref {
        int fd;
        bool own;                 /* closed when it is put back */
        struct fs_folder *folder; /* in use until then; NULL: none */
};

#define FS_REF_NONE                                                                                          \
        (struct fs_ref)                                                                                      \
        {                                                                                                    \
                .fd = -1                                                                                     \
        }
#define _cleanup_ref_ _cleanup_(fs_ref_put)

void fs_paths_init(struct fs_paths *paths, struct fs_nodes *nodes, int root);

/* Everything is closed. */
void fs_paths_clear(struct fs_paths *paths);

/* Of the inode itself. 0; -ESTALE: it is not there any more, where it was last seen; or negative errno. */
int fs_path_get(struct fs_paths *paths, uint32_t slot, struct fs_ref *ret_ref);

/* Of the directory that it was last seen in. -ESTALE: it has no name. */
int fs_path_get_parent(struct fs_paths *paths, uint32_t slot, struct fs_ref *ret_ref);

/* What is at this name is about to be removed: if the guest knows it, its descriptor is at hand from now on. FS_NO_SLOT: it does
 * not. */
uint32_t fs_path_keep(struct fs_paths *paths, int folder, const char *name);

/* The descriptor of a file that was open when its name went, as long as the guest knows it. Borrowed. -1: it has none that
 * covers `access`. */
int fs_path_opened(struct fs_paths *paths, uint32_t slot, int access);

/* Can what was opened with `has` be used as if it had been with `wants`? */
static inline bool fs_access_covers(int has, int wants)
{
        return (wants & O_PATH) || (has & O_ACCMODE) == O_RDWR || (has & O_ACCMODE) == (wants & O_ACCMODE);
}

/* It is gone, with that name. */
void fs_path_removed(struct fs_paths *paths, uint32_t slot, uint32_t parent, const char *name);

void fs_ref_put(struct fs_ref *ref);
