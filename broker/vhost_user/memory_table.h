/* The guest memory that a front end has shared: its regions as it names them (guest and user addresses), and
 * the snapshot that the device works with.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "broker/core/guest_memory.h"
#include "broker/vhost_user/message.h"

struct memory_slot {
        uint64_t guest_address, len, user_address;
};

struct memory_table {
        size_t n;
        struct memory_slot slots[LIMIT_REGIONS];
        struct guest_memory *memory; /* NULL: no region */
};

void memory_table_init(struct memory_table *table);
void memory_table_done(struct memory_table *table);

/* A whole new table (SET_MEM_TABLE) of n <= LIMIT_REGIONS regions, fds[i] belonging to regions[i]; the
 * descriptors stay the caller's. On failure the old table stands. Errors as memory_table_add. */
int memory_table_replace(struct memory_table *table, const struct vhost_user_memory_region *regions, size_t n,
                         const int *fds);

/* One region more (ADD_MEM_REG). Untouched on failure: -EINVAL: empty, wraps, or addresses that differ within
 * a page; -EEXIST: overlaps another in guest or user addresses; -EBADF: not a regular file or memfd, or not
 * readable; -EFBIG: the file ends before the region does; -E2BIG: LIMIT_REGIONS; or what mmap said. */
int memory_table_add(struct memory_table *table, const struct vhost_user_memory_region *region, int fd);

/* One region less (REM_MEM_REG), found by guest address, user address and size. -ENOENT. */
int memory_table_remove(struct memory_table *table, const struct vhost_user_memory_region *region);

/* The guest address of [user_address, + len), which must lie in one region. -EFAULT. */
int memory_table_translate(const struct memory_table *table, uint64_t user_address, uint64_t len,
                           gpa_t *ret_guest_address);
