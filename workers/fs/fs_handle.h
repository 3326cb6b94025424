/* What the guest has open. A handle keeps its descriptor, whatever becomes of the file's name; a successor, which has none, opens
 * the file again when it is asked for it, by the inode's name: if it has none any more, or if a lock was held, the handle is stale.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "workers/fs/fs_node.h"
#include "workers/fs/fs_path.h"

#define FS_HANDLE_FLAGS                                                                                      \
        (O_ACCMODE | O_DSYNC | O_SYNC) /* of open: what stays. O_SYNC has the bit of O_DSYNC */

struct fs_handle_own {
        int fd;        /* -1: not opened by this incarnation */
        uint16_t next; /* of the same inode, or the next free one; counted from 1 */
};

struct fs_handles {
        struct fs_memory *memory;
        struct fs_nodes *nodes;
        struct fs_paths *paths;
        struct fs_handle_own *own; /* LIMIT_FS_FILES */
        uint16_t free;
};

/* Before the jail closes. 0 or -ENOMEM. */
int fs_handles_init(struct fs_handles *handles, struct fs_paths *paths);

/* None is open. */
void fs_handles_clear(struct fs_handles *handles);

/* Takes over what the memory says, after the inodes have been. */
void fs_handles_adopt(struct fs_handles *handles);

/* A descriptor of a regular file with these flags, or of a directory: by name, or else by another handle of the same inode.
 * Special files are never opened: -ENXIO. */
int fs_handle_open(struct fs_handles *handles, uint32_t node, int flags, bool is_folder);

/* The same, of a regular file, by name only: an open file description that nobody else has. */
int fs_handle_open_named(struct fs_handles *handles, uint32_t node, int flags);

/* Takes over the descriptor. 0, *ret_id is what the guest calls it; or -ENFILE, and the descriptor stays the caller's. */
int fs_handle_add(struct fs_handles *handles, uint32_t node, int fd, int flags, bool is_folder,
                  uint64_t *ret_id);

/* The slot of a handle of this inode and kind. Negative: -EBADF: there is none such; -ESTALE: it cannot be opened again. */
int fs_handle_find(struct fs_handles *handles, uint64_t id, uint64_t node_id, bool is_folder);

static inline int fs_handle_fd(const struct fs_handles *handles, int slot)
{
        return handles->own[slot].fd;
}

/* The descriptor of any handle of the inode that is open in this incarnation, with these rights at least (O_PATH: any); -1. */
int fs_handle_any(const struct fs_handles *handles, uint32_t node, int access);

/* Nothing happens if there is none such. */
void fs_handle_close(struct fs_handles *handles, uint64_t id, uint64_t node_id);
