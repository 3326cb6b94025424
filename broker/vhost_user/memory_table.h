/* The guest memory that a front end has shared: its regions as it names them (guest and user addresses), and
 * the snapshot that the device works with.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/core/guest_memory.h"
#include "broker/vhost_user/message.h"

/* What a file is to the device. */
enum memory_kind {
        MEMORY_PLAIN = 0,
        MEMORY_SHMEM,   /* it lies in a shared memory region: buffers may be there, rings may not */
        MEMORY_REFUSED, /* likewise, and nobody's buffers are served there but its own device's */
};

struct memory_judge {
        enum memory_kind (*kind)(void *context, uint64_t dev, uint64_t ino);
        void *context;
};

struct memory_slot {
        uint64_t guest_address, len, user_address, mmap_offset;
        dev_t device; /* the file: */
        ino_t inode;
        enum memory_kind kind; /* when it was added */
};

struct memory_table {
        size_t n;
        struct memory_slot slots[LIMIT_REGIONS];
        struct guest_memory *memory; /* NULL: no region */
        struct memory_judge judge;
};

/* judge: asked when a region is added; copied. NULL: all is plain. */
void memory_table_init(struct memory_table *table, const struct memory_judge *judge);
void memory_table_done(struct memory_table *table);

/* A whole new table (SET_MEM_TABLE) of n <= LIMIT_REGIONS regions, fds[i] belonging to regions[i]; the
 * descriptors stay the caller's. On failure the old table stands. Errors as memory_table_add. */
int memory_table_replace(struct memory_table *table, const struct vhost_user_memory_region *regions, size_t n,
                         const int *fds);

/* One region more (ADD_MEM_REG). Untouched on failure: -EINVAL: empty, wraps, or addresses that differ within
 * a page; -EALREADY: it is there, of the same file; -EEXIST: overlaps another in guest or user addresses; -EBADF: not a regular file or memfd, or not
 * readable; -EFBIG: the file ends before the region does; -E2BIG: LIMIT_REGIONS; or what mmap said. */
int memory_table_add(struct memory_table *table, const struct vhost_user_memory_region *region, int fd);

/* One region less (REM_MEM_REG), found by guest address, user address and size. -ENOENT. */
int memory_table_remove(struct memory_table *table, const struct vhost_user_memory_region *region);

/* Does a region show the guest something of [offset, + len) of this file? */
bool memory_table_has_file(const struct memory_table *table, uint64_t dev, uint64_t ino, uint64_t offset,
                           uint64_t len);

/* The guest address of [user_address, + len), which must lie in one region. -EFAULT. */
int memory_table_translate(const struct memory_table *table, uint64_t user_address, uint64_t len,
                           gpa_t *ret_guest_address);

/* The first piece of [user_address, + len) that is in one region, len > 0: its guest address and length. -EFAULT: its first byte is in
 * none. */
int memory_table_piece(const struct memory_table *table, uint64_t user_address, uint64_t len,
                       uint64_t *ret_guest_address, uint64_t *ret_len);
