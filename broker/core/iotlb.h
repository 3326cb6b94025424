/* The translations of one device: I/O virtual to guest-physical, as whoever keeps them (a VMM with an IOMMU, or our own) has
 * told them. virtio 1.3, 6.1 (VIRTIO_F_ACCESS_PLATFORM); vhost-user, "IOMMU support".
 *
 * How it is used: the device asks for what it misses, and is told; what is taken back is gone when that call returns. The
 * data path never sees this table but a snapshot of memory in which it has been worked in (guest_memory_translate),
 * which lanes change over to as to any other. So a copy costs what it costs without, an invalidation ends when every lane has
 * left the old snapshot, and no lock is taken. Main thread only.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct interval_map;

#define IOTLB_READ  1u /* the device may read, ... */
#define IOTLB_WRITE 2u /* ... may write: as in a message of vhost-user */

struct iotlb_entry {
        uint64_t iova, len; /* whole LIMIT_IOTLB_PAGE, len > 0; may end at 2^64 */
        uint64_t gpa;       /* whole LIMIT_IOTLB_PAGE; gpa + len does not wrap */
        unsigned rights;    /* some of IOTLB_READ, IOTLB_WRITE */
};

struct iotlb {
        /* What guest_memory_translate takes; never NULL. */
        struct interval_map *entries;
        struct interval_map *none; /* it when all is forgotten, which must not need memory */
        uint64_t n_changes; /* of entries, since it began: as many as before says that nothing has changed */
        uint64_t n_updates, n_invalidations, n_refused; /* since it began; shown to the operator */
};

int iotlb_init(struct iotlb *iotlb); /* 0 or -ENOMEM */
void iotlb_done(struct iotlb *iotlb);

/* The newest wins: what was known of the range before is replaced. Adjacent entries that go on in guest memory with the same rights
 * are one. -EINVAL: not as struct iotlb_entry says; -ENOSPC: more than
 * LIMIT_IOTLB_ENTRIES would be known; -ENOMEM. Then nothing has changed. */
int iotlb_update(struct iotlb *iotlb, const struct iotlb_entry *entry);

/* Forgets every byte of the range, splitting what reaches over its ends. Whole LIMIT_IOTLB_PAGE; may end at 2^64; len 0: all there
 * is. -EINVAL; -ENOMEM or -ENOSPC (a split needs one more): then ALL is forgotten, which is always right, and 0 is returned. */
int iotlb_invalidate(struct iotlb *iotlb, uint64_t iova, uint64_t len);

/* Forgets every entry but those whose bit is set (i of marks[i / 64]: entry i of `entries`), to make room: the keeper is asked again
 * when one is missed. Without memory for that, all. */
void iotlb_keep(struct iotlb *iotlb, const uint64_t *marks);

void iotlb_clear(struct iotlb *iotlb);
size_t iotlb_n(const struct iotlb *iotlb);
bool iotlb_is_full(const struct iotlb *iotlb); /* an update may be refused */
