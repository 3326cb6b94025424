/* What a worker writes down of its guest's inodes and open files, so that a successor can go on with them. It lies in memory
 * that outlives the worker where the spawner has given some (fs_memory.c); a successor takes it for a stranger's word.
 *
 * No descriptors, no pointers: an inode is a name in a parent, and what to know it by again.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/limits.h"

#define FS_NO_SLOT UINT32_MAX
#define FS_ROOT    0u /* slot of the share's own directory */

/* By what the host knows an inode. Numbers are given out again: the next file that has this one was born later. */
struct fs_identity {
        uint64_t device, inode;
        uint64_t born; /* in nanoseconds; 0: the file system does not say */
};

static inline bool fs_identity_equal(const struct fs_identity *a, const struct fs_identity *b)
{
        return a->device == b->device && a->inode == b->inode && a->born == b->born;
}

/* An inode that the guest knows. */
struct fs_node_record {
        uint64_t id; /* what the guest calls it: a serial number, and the slot below; 0: the slot is free */
        uint64_t lookups; /* that it has not yet forgotten */
        struct fs_identity is;
        uint32_t parent;   /* slot of the directory that it was last seen in; the root's own is the root */
        uint16_t name_len; /* 0: it has no name any more, or it is the root */
        char name[LIMIT_FS_NAME + 1];
};

/* A file or directory that it has open. */
struct fs_handle_record {
        uint64_t id;        /* likewise; 0: free */
        uint64_t node;      /* its id */
        uint32_t flags;     /* as open takes them: what of them a second open needs */
        uint32_t is_folder; /* 0 or 1 */
        uint32_t
            has_locked; /* likewise: a lock does not outlive its worker, and the successor must not pretend */
};

/* A granule of a file in the window. */
struct fs_map_record {
        uint64_t node; /* its id; 0: nothing is there */
        uint64_t offset;
        uint32_t writable; /* 0 or 1 */
        uint32_t reserved;
};

struct fs_memory {
        uint64_t epoch;  /* of the guest's mount; a state that names another one is of another time */
        uint64_t serial; /* the last that was given out */
        uint32_t nodes_used, handles_used; /* slots below, free or not */
        uint32_t begun_at;
        uint64_t
            begun[LIMIT_FS_BEGUN]; /* requests that are not to be done twice, the last so many: 0 is none */
        struct fs_map_record maps[LIMIT_FS_MAPS]; /* by granule of the window */
        struct fs_node_record nodes[LIMIT_FS_NODES];
        struct fs_handle_record handles[LIMIT_FS_FILES];
};

_Static_assert(sizeof(struct fs_memory) <= LIMIT_FS_MEMORY, "the spawner makes so much");

/* The spawner's memory, which begins as zeros, or NULL for private memory. `fd` -1: there is none. 0 or negative errno: -EINVAL:
 * it is too small, or can become so. */
int fs_memory_open(int fd, struct fs_memory **ret_memory);

/* A new mount: nothing is known but the root. Serial numbers go on. */
void fs_memory_clear(struct fs_memory *memory);

/* The order in which what follows is written matters to who comes after a sudden end. */
static inline void fs_memory_order(void)
{
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* To be called before a request is carried out that must not be twice. */
void fs_memory_begin(struct fs_memory *memory, uint64_t unique);

/* Has this one, or somebody before it, begun it? */
bool fs_memory_has_begun(const struct fs_memory *memory, uint64_t unique);
