/* The guest memory that a front end has shared.
 * Owns the slots and one reference to the current snapshot; called by the session's handlers.
 * TRUST: addresses, sizes, offsets and descriptors are the front end's. All of them are judged before
 * anything is mapped. A file may still be truncated later: every access to guest memory is fault-safe for
 * that reason.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/memory_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

#define PAGE 4096u

DEFINE_CLEANUP(struct guest_mapping, mapping, guest_mapping_unref)

/* What is mapped of the file so that [offset, offset + size) is in it, in whole pages. */
struct window {
        uint64_t start, len;
        bool writable;
};

void memory_table_init(struct memory_table *table, const struct memory_judge *judge)
{
        table->n = 0;
        table->memory = NULL;
        table->judge = judge ? *judge : (struct memory_judge){0};
}

void memory_table_done(struct memory_table *table)
{
        table->n = 0;
        table->memory = guest_memory_unref(table->memory);
}

static bool ranges_overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
        return a < b ? b - a < a_len : a - b < b_len;
}

static struct memory_slot *slot_find(struct memory_table *table,
                                     const struct vhost_user_memory_region *region)
{
        for (size_t i = 0; i < table->n; i++) {
                struct memory_slot *slot = &table->slots[i];

                if (slot->guest_address == region->guest_address && slot->len == region->size &&
                    slot->user_address == region->user_address)
                        return slot;
        }
        return NULL;
}

/* Front ends with a device a queue pair (QEMU's of a network) say each region for each of them. */
static bool region_is_there(struct memory_table *table, const struct vhost_user_memory_region *region, int fd)
{
        const struct memory_slot *slot = slot_find(table, region);
        struct stat st;

        return slot && slot->mmap_offset == region->mmap_offset && fstat(fd, &st) == 0 &&
               st.st_dev == slot->device && st.st_ino == slot->inode;
}

static int region_check(const struct memory_table *table, const struct vhost_user_memory_region *region)
{
        uint64_t end;

        if (region->size == 0 || !checked_add_u64(region->guest_address, region->size, &end) ||
            !checked_add_u64(region->user_address, region->size, &end) ||
            !checked_add_u64(region->mmap_offset, region->size, &end))
                return -EINVAL;
        /* Alignment in guest addresses must mean alignment in ours: rings are accessed in their natural
         * width. */
        if (((region->guest_address ^ region->mmap_offset) | (region->guest_address ^ region->user_address)) %
            PAGE)
                return -EINVAL;
        if (table->n == LIMIT_REGIONS)
                return -E2BIG;
        for (size_t i = 0; i < table->n; i++) {
                const struct memory_slot *slot = &table->slots[i];

                if (ranges_overlap(slot->guest_address, slot->len, region->guest_address, region->size) ||
                    ranges_overlap(slot->user_address, slot->len, region->user_address, region->size))
                        return -EEXIST;
        }
        return 0;
}

static int file_check(int fd, bool *ret_writable, uint64_t *ret_size)
{
        int flags = fcntl(fd, F_GETFL);
        struct stat st;

        if (flags < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || (flags & O_PATH) || (flags & O_ACCMODE) == O_WRONLY || st.st_size < 0)
                return -EBADF;
        *ret_writable = (flags & O_ACCMODE) == O_RDWR;
        *ret_size = (uint64_t)st.st_size;
        return 0;
}

/* The whole pages around [mmap_offset, + size); huge pages are guest_mapping_new's to know. No sum wraps: a
 * file ends below 2^63. */
static int window_check(const struct vhost_user_memory_region *region, int fd, struct window *ret_window)
{
        struct window window = {.start = region->mmap_offset & ~(uint64_t)(PAGE - 1)};
        uint64_t size;
        int r = file_check(fd, &window.writable, &size);

        if (r < 0)
                return r;
        if (!range_inside(region->mmap_offset, region->size, size))
                return -EFBIG;
        window.len = ((region->mmap_offset + region->size + PAGE - 1) & ~(uint64_t)(PAGE - 1)) - window.start;
        *ret_window = window;
        return 0;
}

/* A snapshot with this region added to `from`. In a shared memory region a byte may be missing at any moment, and one that is
 * refused is all holes. */
static int snapshot_add(const struct guest_memory *from, const struct guest_region *region,
                        enum memory_kind kind, struct guest_memory **ret_memory)
{
        struct guest_memory *holes;
        int r;

        if (kind == MEMORY_PLAIN)
                return guest_memory_with(from, region, ret_memory);
        r = guest_memory_with_shmem(from, region->start, region->len, &holes);
        if (r < 0)
                return r;
        if (kind == MEMORY_REFUSED) {
                *ret_memory = holes;
                return 0;
        }
        r = guest_memory_with(holes, region, ret_memory);
        guest_memory_unref(holes);
        return r;
}

/* ... or to none. */
static int snapshot_with(const struct guest_memory *from, const struct guest_region *region,
                         enum memory_kind kind, struct guest_memory **ret_memory)
{
        struct guest_memory *empty = NULL;
        int r;

        if (!from) {
                empty = guest_memory_new();
                if (!empty)
                        return -ENOMEM;
                from = empty;
        }
        r = snapshot_add(from, region, kind, ret_memory);
        guest_memory_unref(empty);
        return r;
}

static int snapshot_without(const struct guest_memory *from, const struct memory_slot *slot,
                            struct guest_memory **ret_memory)
{
        gpa_t start = GPA(slot->guest_address);
        struct guest_memory *holes;
        int r;

        if (slot->kind == MEMORY_REFUSED)
                return guest_memory_without_shmem(from, start, slot->len, ret_memory);
        r = guest_memory_without(from, start, slot->len, &holes);
        if (r < 0 || slot->kind == MEMORY_PLAIN) {
                if (r == 0)
                        *ret_memory = holes;
                return r;
        }
        r = guest_memory_without_shmem(holes, start, slot->len, ret_memory);
        guest_memory_unref(holes);
        return r;
}

static enum memory_kind file_kind(const struct memory_table *table, const struct stat *st)
{
        return table->judge.kind ? table->judge.kind(table->judge.context, st->st_dev, st->st_ino)
                                 : MEMORY_PLAIN;
}

int memory_table_add(struct memory_table *table, const struct vhost_user_memory_region *region, int fd)
{
        _cleanup_(cleanup_mapping) struct guest_mapping *mapping = NULL;
        struct guest_memory *memory;
        struct guest_region add;
        struct window window = {0};
        enum memory_kind kind;
        struct stat st;
        int r;

        if (region_is_there(table, region, fd))
                return -EALREADY;
        r = region_check(table, region);
        if (r < 0)
                return r;
        r = window_check(region, fd, &window);
        if (r < 0)
                return r;
        if (fstat(fd, &st) < 0)
                return -errno;
        r = guest_mapping_new(fd, window.start, window.len, window.writable, &mapping);
        if (r < 0)
                return r;
        add = (struct guest_region){.start = GPA(region->guest_address),
                                    .len = region->size,
                                    .mapping = mapping,
                                    .offset = region->mmap_offset - window.start,
                                    .writable = window.writable};
        kind = file_kind(table, &st);
        r = snapshot_with(table->memory, &add, kind, &memory);
        if (r < 0)
                return r;
        guest_memory_unref(table->memory);
        table->memory = memory;
        table->slots[table->n++] = (struct memory_slot){.guest_address = region->guest_address,
                                                        .len = region->size,
                                                        .user_address = region->user_address,
                                                        .mmap_offset = region->mmap_offset,
                                                        .device = st.st_dev,
                                                        .inode = st.st_ino,
                                                        .kind = kind};
        return 0;
}

int memory_table_replace(struct memory_table *table, const struct vhost_user_memory_region *regions, size_t n,
                         const int *fds)
{
        _cleanup_free_ struct memory_table *next = malloc(sizeof(*next));

        if (!next)
                return -ENOMEM;
        memory_table_init(next, &table->judge);
        for (size_t i = 0; i < n; i++) {
                int r = memory_table_add(next, &regions[i], fds[i]);

                if (r < 0) {
                        memory_table_done(next);
                        return r == -EALREADY ? -EEXIST : r;
                }
        }
        memory_table_done(table);
        memcpy(table->slots, next->slots, next->n * sizeof(next->slots[0]));
        table->n = next->n;
        table->memory = next->memory;
        return 0;
}

int memory_table_remove(struct memory_table *table, const struct vhost_user_memory_region *region)
{
        struct memory_slot *slot = slot_find(table, region);
        struct guest_memory *memory;
        int r;

        if (!slot)
                return -ENOENT;
        r = snapshot_without(table->memory, slot, &memory);
        if (r < 0)
                return r;
        guest_memory_unref(table->memory);
        table->memory = memory;
        *slot = table->slots[--table->n];
        return 0;
}

bool memory_table_has_file(const struct memory_table *table, uint64_t dev, uint64_t ino, uint64_t offset,
                           uint64_t len)
{
        for (size_t i = 0; i < table->n; i++) {
                const struct memory_slot *slot = &table->slots[i];

                if (slot->device == dev && slot->inode == ino &&
                    ranges_overlap(slot->mmap_offset, slot->len, offset, len))
                        return true;
        }
        return false;
}

int memory_table_translate(const struct memory_table *table, uint64_t user_address, uint64_t len,
                           gpa_t *ret_guest_address)
{
        for (size_t i = 0; i < table->n; i++) {
                const struct memory_slot *slot = &table->slots[i];

                if (range_within(user_address, len, slot->user_address, slot->len)) {
                        *ret_guest_address = GPA(slot->guest_address + (user_address - slot->user_address));
                        return 0;
                }
        }
        return -EFAULT;
}

int memory_table_piece(const struct memory_table *table, uint64_t user_address, uint64_t len,
                       uint64_t *ret_guest_address, uint64_t *ret_len)
{
        for (size_t i = 0; i < table->n; i++) {
                const struct memory_slot *slot = &table->slots[i];
                uint64_t at = user_address - slot->user_address;

                if (user_address < slot->user_address || at >= slot->len)
                        continue;
                *ret_guest_address = slot->guest_address + at;
                *ret_len = MIN(len, slot->len - at);
                return 0;
        }
        return -EFAULT;
}
