/* The inodes that the guest knows.
 * Owns what this incarnation knows of them; the records are the memory's (fs_memory.c). Called by fs_share.c, fs_path.c and
 * fs_handle.c. TRUST: ids are the guest's, and found or not; records of a predecessor are judged in fs_nodes_adopt.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_node.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>

#include "proto/base/checked.h"
#include "workers/runtime/worker_memory.h"

#define SLOT_MASK ((1u << FS_SLOT_BITS) - 1)

_Static_assert(LIMIT_FS_NODES <= SLOT_MASK + 1, "a slot fits its bits");

int fs_nodes_init(struct fs_nodes *nodes, struct fs_memory *memory)
{
        nodes->memory = memory;
        nodes->own = worker_memory(LIMIT_FS_NODES * sizeof(*nodes->own));
        nodes->buckets = worker_memory(LIMIT_FS_NODES * sizeof(*nodes->buckets));
        return nodes->own && nodes->buckets ? 0 : -ENOMEM;
}

/* ---- by identity ---- */

static uint32_t *fs_bucket(const struct fs_nodes *nodes, const struct fs_identity *is)
{
        uint64_t hash = (is->inode ^ is->device << 32 ^ is->born) * UINT64_C(0x9e3779b97f4a7c15);

        return &nodes->buckets[hash >> 32 & (LIMIT_FS_NODES - 1)];
}

/* Heads and links are slots counted from 1. */
uint32_t fs_node_known(const struct fs_nodes *nodes, const struct fs_identity *is)
{
        uint32_t link = *fs_bucket(nodes, is);

        for (uint32_t n = 0; link != 0 && n < LIMIT_FS_NODES; n++) {
                if (fs_identity_equal(&fs_node_record(nodes, link - 1)->is, is))
                        return link - 1;
                link = nodes->own[link - 1].next;
        }
        return FS_NO_SLOT;
}

static void fs_hash_add(struct fs_nodes *nodes, uint32_t slot)
{
        const struct fs_node_record *record = fs_node_record(nodes, slot);
        uint32_t *bucket = fs_bucket(nodes, &record->is);

        nodes->own[slot].next = *bucket;
        *bucket = slot + 1;
}

static void fs_hash_remove(struct fs_nodes *nodes, uint32_t slot)
{
        const struct fs_node_record *record = fs_node_record(nodes, slot);
        uint32_t *link = fs_bucket(nodes, &record->is);

        for (uint32_t n = 0; *link != 0 && n < LIMIT_FS_NODES; n++) {
                if (*link == slot + 1) {
                        *link = nodes->own[slot].next;
                        return;
                }
                link = &nodes->own[*link - 1].next;
        }
}

/* ---- names ---- */

/* Who has a name holds the directory that it is in. */
static void fs_node_unplace(struct fs_nodes *nodes, uint32_t slot)
{
        struct fs_node_record *record = fs_node_record(nodes, slot);
        uint32_t parent = record->parent;

        if (record->name_len == 0)
                return;
        record->name_len = 0;
        fs_memory_order();
        nodes->own[parent].children--;
        if (parent != slot)
                fs_node_settle(nodes, parent);
}

bool fs_node_is_at(const struct fs_nodes *nodes, uint32_t slot, uint32_t parent, const char *name)
{
        const struct fs_node_record *record = fs_node_record(nodes, slot);

        return record->name_len != 0 && record->parent == parent && strcmp(record->name, name) == 0;
}

void fs_node_place(struct fs_nodes *nodes, uint32_t slot, uint32_t parent, const char *name)
{
        struct fs_node_record *record = fs_node_record(nodes, slot);

        if (slot == FS_ROOT || (name && fs_node_is_at(nodes, slot, parent, name)))
                return;
        if (name)
                nodes->own[parent].children++; /* before the old one is let go: it may be the same */
        fs_node_unplace(nodes, slot);
        if (!name)
                return;
        record->parent = parent;
        strncpy(record->name, name, LIMIT_FS_NAME);
        record->name[LIMIT_FS_NAME] = '\0';
        fs_memory_order();
        record->name_len = (uint16_t)strlen(record->name);
}

/* ---- coming and going ---- */

static void fs_node_free(struct fs_nodes *nodes, uint32_t slot)
{
        fs_hash_remove(nodes, slot);
        nodes->gone(nodes->state, slot);
        fs_node_record(nodes, slot)->id = 0;
        fs_memory_order();
        nodes->own[slot] = (struct fs_node_own){.next = nodes->free};
        nodes->free = slot + 1;
}

static bool fs_node_is_held(const struct fs_nodes *nodes, uint32_t slot)
{
        const struct fs_node_own *own = &nodes->own[slot];

        return slot == FS_ROOT || own->children > 0 || own->n_handles > 0 || own->n_maps > 0;
}

/* One that goes may take along what it was in: as many steps as the path is long. */
void fs_node_settle(struct fs_nodes *nodes, uint32_t slot)
{
        for (uint32_t n = 0; n < LIMIT_FS_NODES; n++) {
                struct fs_node_record *record = fs_node_record(nodes, slot);
                bool has_name = record->name_len != 0;
                uint32_t parent = record->parent;

                if (record->id == 0 || record->lookups > 0 || fs_node_is_held(nodes, slot))
                        return;
                record->name_len = 0;
                fs_node_free(nodes, slot);
                if (!has_name)
                        return;
                nodes->own[parent].children--;
                slot = parent;
        }
}

/* The clock goes round at most twice: the first time it may only have taken away second chances. */
static bool fs_node_evict(struct fs_nodes *nodes)
{
        for (uint32_t n = 0; n < 2 * LIMIT_FS_NODES; n++) {
                uint32_t slot = nodes->hand;
                struct fs_node_own *own = &nodes->own[slot];

                nodes->hand = (nodes->hand + 1) % LIMIT_FS_NODES;
                if (own->lately || own->folder != 0 || fs_node_is_held(nodes, slot)) {
                        own->lately = false;
                        continue;
                }
                fs_node_record(nodes, slot)->lookups = 0;
                fs_node_settle(nodes, slot);
                return true;
        }
        return false;
}

static uint32_t fs_node_slot(struct fs_nodes *nodes)
{
        uint32_t slot;

        if (nodes->free == 0 && nodes->memory->nodes_used < LIMIT_FS_NODES)
                return nodes->memory->nodes_used++;
        if (nodes->free == 0 && !fs_node_evict(nodes))
                return FS_NO_SLOT;
        slot = nodes->free - 1;
        nodes->free = nodes->own[slot].next;
        return slot;
}

uint32_t fs_node_take(struct fs_nodes *nodes, const struct fs_identity *is)
{
        uint32_t slot = fs_node_known(nodes, is);
        struct fs_node_record *record;

        if (slot != FS_NO_SLOT)
                return slot;
        slot = fs_node_slot(nodes);
        if (slot == FS_NO_SLOT)
                return slot;
        record = fs_node_record(nodes, slot);
        record->id = 0;
        fs_memory_order();
        record->lookups = 0;
        record->is = *is;
        record->parent = FS_ROOT;
        record->name_len = 0;
        fs_memory_order();
        record->id = ++nodes->memory->serial << FS_SLOT_BITS | slot;
        nodes->own[slot] = (struct fs_node_own){.lately = true};
        fs_hash_add(nodes, slot);
        return slot;
}

void fs_node_looked_up(struct fs_nodes *nodes, uint32_t slot)
{
        struct fs_node_record *record = fs_node_record(nodes, slot);

        if (record->lookups < UINT64_MAX)
                record->lookups++;
        nodes->own[slot].lately = true;
}

void fs_node_forget(struct fs_nodes *nodes, uint32_t slot, uint64_t n)
{
        struct fs_node_record *record = fs_node_record(nodes, slot);

        record->lookups -= MIN(record->lookups, n);
        fs_node_settle(nodes, slot);
}

uint32_t fs_node_find(struct fs_nodes *nodes, uint64_t id)
{
        uint32_t slot = id == FUSE_ROOT_ID ? FS_ROOT : (uint32_t)id & SLOT_MASK;

        if (slot >= nodes->memory->nodes_used || fs_node_record(nodes, slot)->id != id || id == 0)
                return FS_NO_SLOT;
        nodes->own[slot].lately = true;
        return slot;
}

/* ---- the beginning ---- */

static void fs_nodes_root(struct fs_nodes *nodes, const struct fs_identity *is)
{
        struct fs_node_record *root = fs_node_record(nodes, FS_ROOT);

        memset(nodes->own, 0, MAX(nodes->memory->nodes_used, 1u) * sizeof(*nodes->own));
        memset(nodes->buckets, 0, LIMIT_FS_NODES * sizeof(*nodes->buckets));
        nodes->free = nodes->hand = 0;
        nodes->memory->nodes_used = MAX(nodes->memory->nodes_used, 1u);
        *root = (struct fs_node_record){.is = *is, .lookups = 1};
        root->id = FUSE_ROOT_ID;
        fs_hash_add(nodes, FS_ROOT);
}

void fs_nodes_start(struct fs_nodes *nodes, const struct fs_identity *is)
{
        nodes->memory->nodes_used = MIN(nodes->memory->nodes_used, LIMIT_FS_NODES);
        fs_nodes_root(nodes, is);
        nodes->memory->nodes_used = 1;
}

static bool fs_record_has_name(const struct fs_node_record *record)
{
        const char *name = record->name;

        return record->name_len > 0 && record->name_len <= LIMIT_FS_NAME &&
               strnlen(name, sizeof(record->name)) == record->name_len && !strchr(name, '/') &&
               strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool fs_record_makes_sense(const struct fs_nodes *nodes, uint32_t slot)
{
        const struct fs_node_record *record = fs_node_record(nodes, slot);

        return record->id != 0 && (record->id & SLOT_MASK) == slot &&
               record->id >> FS_SLOT_BITS <= nodes->memory->serial && record->lookups > 0 &&
               fs_node_known(nodes, &record->is) == FS_NO_SLOT;
}

/* After all are judged: a parent may have a higher slot than what is in it. */
static void fs_nodes_adopt_names(struct fs_nodes *nodes)
{
        for (uint32_t slot = 1; slot < nodes->memory->nodes_used; slot++) {
                struct fs_node_record *record = fs_node_record(nodes, slot);

                if (record->id == 0)
                        continue;
                if (fs_record_has_name(record) && record->parent < nodes->memory->nodes_used &&
                    fs_node_id(nodes, record->parent) != 0)
                        nodes->own[record->parent].children++;
                else
                        record->name_len = 0;
        }
}

void fs_nodes_adopt(struct fs_nodes *nodes, const struct fs_identity *is)
{
        nodes->memory->nodes_used = MIN(nodes->memory->nodes_used, LIMIT_FS_NODES);
        fs_nodes_root(nodes, is);
        for (uint32_t slot = 1; slot < nodes->memory->nodes_used; slot++) {
                if (fs_record_makes_sense(nodes, slot)) {
                        fs_hash_add(nodes, slot);
                        continue;
                }
                fs_node_record(nodes, slot)->id = 0;
                nodes->own[slot].next = nodes->free;
                nodes->free = slot + 1;
        }
        fs_nodes_adopt_names(nodes);
}
