/* A device's shared memory regions (virtio 1.3, 2.10), where its configuration has them: memory that it shares with its guest, and
 * files that it lays before the guest. There are none unless the operator has said `shmem: map`: a device works by messages,
 * and faster with them.
 *
 * What lies in a region is the guest's as much as ours: it changes while it is read. Load once, judge the copy.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/control.h"
#include "workers/runtime/link.h"

/* The region's memory, from init on and for good; its bytes are what a predecessor and the guest have left there, or zeros.
 * NULL: there is no such region, or it is one of files. */
void *worker_region(uint8_t shmid, uint64_t *ret_len);

/* Is there such a region of files, and how long is it? 0: there is none. */
uint64_t worker_region_files(uint8_t shmid);

/* Asks for a range of a file in a region of files; the answer comes to device_ops.mapped, with the same id. `fd` stays ours: it
 * must be open for reading, and for writing if `writable` and only then: a VMM may be handed it (a memfd for reading alone
 * is one with F_SEAL_FUTURE_WRITE); of a regular file of a local file system, or a memfd that cannot shrink. The
 * range may reach to the end of the page in which the file ends. Not before Hello. LIMIT_SHMEM_PENDING may be unanswered. */
struct worker_map {
        uint8_t shmid;
        bool writable;
        uint64_t offset, len, fd_offset; /* whole LIMIT_SHMEM_PAGE */
};
void worker_shmem_map(uint32_t id, const struct worker_map *map, int fd);

/* Takes away what one worker_shmem_map has asked for and got. Likewise. */
void worker_shmem_unmap(uint32_t id, const struct worker_map *map);

/* ---- for worker.c ---- */

/* Waits for the first bytes of Configure and what comes beside them; and maps that when Configure is judged: each region of memory
 * has one. 0, or negative errno after a worker_log. The start policy of a type with regions has rows for it. */
void worker_shmem_receive(struct link *control);
int worker_shmem_init(struct link *control, const struct control_configure *configure);
