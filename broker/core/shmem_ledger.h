/* Who lies where in the regions of a device: mappings in order of region and offset, no two of which overlap. An array, not an
 * interval_map: nobody but its owner looks at it, and to take a mapping away must not need memory.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/core/shmem.h"

struct shmem_ledger {
        size_t n;
        uint64_t bytes; /* of all mappings */
        /* What a worker may ask for, and the broker's own: one a region. */
        struct shmem_mapping *mappings[LIMIT_SHMEM_MAPPINGS + LIMIT_SHMEM_REGIONS];
};

/* Has a mapping a byte in [offset, offset + len) of this region? len > 0; the sum does not wrap. */
bool shmem_ledger_overlaps(const struct shmem_ledger *ledger, uint8_t shmid, uint64_t offset, uint64_t len);

/* The mapping that is exactly there; NULL: none is. */
struct shmem_mapping *shmem_ledger_find(const struct shmem_ledger *ledger, uint8_t shmid, uint64_t offset,
                                        uint64_t len);

/* The first: it overlaps none, and there is room: the caller has counted. The second: it is there. The mapping stays the
 * caller's. */
void shmem_ledger_add(struct shmem_ledger *ledger, struct shmem_mapping *mapping);
void shmem_ledger_remove(struct shmem_ledger *ledger, struct shmem_mapping *mapping);
