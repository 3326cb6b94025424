/* The inodes that the guest knows: its names for them, ours, and how often it has looked them up.
 *
 * An inode has one name here, the one that it was last seen by. It stays as long as the guest has not forgotten it, has it open,
 * or knows something in it. When there is no room the one that was used least recently goes, of those that are not open and have
 * nothing below: the guest is told that it is stale, and looks it up again.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "workers/fs/fs_memory.h"

#define FS_SLOT_BITS  16u
#define FS_SERIAL_MAX (UINT64_C(1) << 46) /* never reached: and one beyond it was written by somebody else */

/* What only this incarnation knows of an inode. */
struct fs_node_own {
        uint32_t next; /* of the same hash, or the next free slot */
        uint32_t children;
        uint16_t n_handles;
        uint16_t n_maps; /* granules of it that the guest has mapped: fs_dax.c */
        uint16_t handle; /* the first of them, counted from 1: fs_handle.c */
        uint16_t folder; /* its descriptor, counted from 1: fs_path.c */
        bool lately;
};

struct fs_nodes {
        struct fs_memory *memory;
        struct fs_node_own *own; /* LIMIT_FS_NODES */
        uint32_t *buckets;       /* likewise */
        uint32_t free, hand;
        void (*gone)(void *state, uint32_t slot); /* its descriptor is to be closed */
        void *state;
};

/* Before the jail closes. 0 or -ENOMEM. */
int fs_nodes_init(struct fs_nodes *nodes, struct fs_memory *memory);

/* Knows the root, and nothing else. */
void fs_nodes_start(struct fs_nodes *nodes, const struct fs_identity *is);

/* Knows what the memory says, as far as it makes sense. */
void fs_nodes_adopt(struct fs_nodes *nodes, const struct fs_identity *is);

/* By the guest's name for it. FS_NO_SLOT: there is none such. */
uint32_t fs_node_find(struct fs_nodes *nodes, uint64_t id);

/* By what the host says of it. Likewise. */
uint32_t fs_node_known(const struct fs_nodes *nodes, const struct fs_identity *is);

/* That one, or a new one. FS_NO_SLOT: there is no room, and all are in use. */
uint32_t fs_node_take(struct fs_nodes *nodes, const struct fs_identity *is);

/* It was seen by this name. NULL: by none any more. */
void fs_node_place(struct fs_nodes *nodes, uint32_t slot, uint32_t parent, const char *name);

/* Has it this name? */
bool fs_node_is_at(const struct fs_nodes *nodes, uint32_t slot, uint32_t parent, const char *name);

void fs_node_looked_up(struct fs_nodes *nodes, uint32_t slot);
void fs_node_forget(struct fs_nodes *nodes, uint32_t slot, uint64_t n);

/* It goes if nothing holds it. To be called after n_handles or n_maps has become less. */
void fs_node_settle(struct fs_nodes *nodes, uint32_t slot);

static inline struct fs_node_record *fs_node_record(const struct fs_nodes *nodes, uint32_t slot)
{
        return &nodes->memory->nodes[slot];
}

static inline uint64_t fs_node_id(const struct fs_nodes *nodes, uint32_t slot)
{
        return nodes->memory->nodes[slot].id;
}
