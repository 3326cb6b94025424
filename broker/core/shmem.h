/* The shared memory regions of one device (virtio 1.3, 2.10): which files lie where in them, and that nothing else ever does.
 *
 * Each region is a window of the broker's own address space, reserved without rights for as long as the device lives. A
 * mapping is put over a part of it and taken away again, and what was there before is there afterwards: so no other mapping of
 * the process can come to lie in a hole. Mappings never overlap; one is unmapped as it was mapped or not at all; nothing is
 * ever executable. What is behind a mapping can go away at any moment (a file is cut short): bytes are read and written by
 * fault_safe.h alone.
 *
 * Used by the main thread alone. Offsets are from the beginning of their region; the addresses here go nowhere but to the
 * kernel.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/core/guest_memory.h"
#include "proto/device_region.h"

struct shmem;

/* A part of a region that a file lies in. Valid until it is unmapped. */
struct shmem_mapping {
        uint8_t shmid;
        bool writable;
        bool may_end;         /* the file need not be as long: its region has granules */
        uint64_t offset, len; /* in the region */
        int fd;               /* of the file, read-only where the mapping is; the mapping's own */
        uint64_t fd_offset;
        uint64_t dev, ino; /* of the file */
        struct guest_mapping
            *window; /* its region, of which a snapshot of guest memory may take a reference */
        void *host;  /* of the first byte */
        void *front; /* the front end's own; NULL at first */
        bool shown;  /* the front end has been told of it */
        bool orphan; /* its worker is dead, and no successor has asked for it yet */
        bool
            lasting; /* the device's own: its worker maps it before it serves, as each does; its owner's to set */
};

/* What a worker asks for; nothing of it is judged. */
struct shmem_request {
        uint8_t shmid;
        bool writable;
        uint64_t offset, len, fd_offset;
};

/* Reserves the windows; regions of REGION_MEMORY have none of their memory yet. `regions` and `limits` (without zeros) are copied. 0 regions
 * are fine. 0, -ENOMEM, or what mmap said. */
int shmem_new(const struct device_region *regions, unsigned n_regions, const struct shmem_limits *limits,
              struct shmem **ret_shmem);

/* Unmaps everything; windows that others have references of stay, empty. Accepts NULL, returns NULL. */
struct shmem *shmem_free(struct shmem *shmem);

unsigned shmem_n_regions(const struct shmem *shmem);
const struct device_region *shmem_region(const struct shmem *shmem, unsigned i);

/* The window of region i. Borrowed. */
struct guest_mapping *shmem_window(const struct shmem *shmem, unsigned i);

/* Puts a file into a region of REGION_FILES. `fd` stays the caller's. An orphan of the same place, rights, file and offset
 * is what the caller gets: it keeps what it has, and is none any more. 0; or, and nothing has changed:
 *   -EINVAL      no such region, or not of files; empty; not whole pages; no granule of a region that has them; outside of the region; or the file's offset wraps
 *   -EEXIST      overlaps a mapping
 *   -E2BIG       one more than the limit, or more bytes; the broker's own memory does not count
 *   -EMEDIUMTYPE no regular file on a file system that cannot hang us, or memory that can be cut short (shmem_file.h)
 *   -EACCES      the descriptor does not have the rights, or more than are asked for (shmem_file.h)
 *   -ENXIO       the file ends before, and the region has no granules
 *   -ENOMEM, or what fcntl or mmap said. */
int shmem_map(struct shmem *shmem, const struct shmem_request *request, int fd,
              struct shmem_mapping **ret_mapping);

/* Gives each region of REGION_MEMORY fresh memory: zeros, sealed. What had it before is to be unmapped first. 0 or negative
 * errno; then none has any. */
int shmem_make_memory(struct shmem *shmem);

/* The memory of region i, for the worker to map: borrowed. -1: it has none. */
int shmem_memory_fd(const struct shmem *shmem, unsigned i);

/* The mapping that is exactly there; NULL: none is. */
struct shmem_mapping *shmem_find(const struct shmem *shmem, uint8_t shmid, uint64_t offset, uint64_t len);

/* Does it lie in a region of REGION_FILES? */
bool shmem_of_files(const struct shmem *shmem, const struct shmem_mapping *mapping);

/* Takes it away: reserved and without rights again. Nobody else may be using its bytes but by fault_safe. */
void shmem_unmap(struct shmem *shmem, struct shmem_mapping *mapping);

/* The worker is dead: all mappings of files become orphans. */
void shmem_orphan(struct shmem *shmem);

/* In no order that means anything. i < shmem_n_mappings. */
size_t shmem_n_mappings(const struct shmem *shmem);
struct shmem_mapping *shmem_mapping_at(const struct shmem *shmem, size_t i);
uint64_t shmem_bytes(const struct shmem *shmem); /* that are mapped */
