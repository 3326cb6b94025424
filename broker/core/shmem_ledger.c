/* Who lies where in the regions of a device.
 * Owns nothing: the mappings are shmem.c's, which alone calls it. TRUST: places are a worker's, judged to be inside of their
 * region; all comparisons are by subtraction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/shmem_ledger.h"

#include <assert.h>
#include <string.h>

#include "proto/base/checked.h"

static bool is_before(const struct shmem_mapping *mapping, uint8_t shmid, uint64_t offset)
{
        return mapping->shmid != shmid ? mapping->shmid < shmid : mapping->offset < offset;
}

/* How many mappings begin before this place: the index of the first that does not. */
static size_t ledger_place(const struct shmem_ledger *ledger, uint8_t shmid, uint64_t offset)
{
        size_t low = 0, high = ledger->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (is_before(ledger->mappings[middle], shmid, offset))
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/* Mapping i, if it is one of this region. `i` may be past either end. */
static struct shmem_mapping *ledger_at(const struct shmem_ledger *ledger, size_t i, uint8_t shmid)
{
        return i < ledger->n && ledger->mappings[i]->shmid == shmid ? ledger->mappings[i] : NULL;
}

bool shmem_ledger_overlaps(const struct shmem_ledger *ledger, uint8_t shmid, uint64_t offset, uint64_t len)
{
        size_t at = ledger_place(ledger, shmid, offset);
        const struct shmem_mapping *before = ledger_at(ledger, at - 1, shmid);
        const struct shmem_mapping *behind = ledger_at(ledger, at, shmid);

        if (before && offset - before->offset < before->len)
                return true;
        return behind && behind->offset - offset < len;
}

struct shmem_mapping *shmem_ledger_find(const struct shmem_ledger *ledger, uint8_t shmid, uint64_t offset,
                                        uint64_t len)
{
        struct shmem_mapping *mapping = ledger_at(ledger, ledger_place(ledger, shmid, offset), shmid);

        return mapping && mapping->offset == offset && mapping->len == len ? mapping : NULL;
}

void shmem_ledger_add(struct shmem_ledger *ledger, struct shmem_mapping *mapping)
{
        size_t at = ledger_place(ledger, mapping->shmid, mapping->offset);

        assert(ledger->n < array_size(ledger->mappings));
        memmove(&ledger->mappings[at + 1], &ledger->mappings[at],
                (ledger->n - at) * sizeof(ledger->mappings[0]));
        ledger->mappings[at] = mapping;
        ledger->n++;
        ledger->bytes += mapping->len;
}

void shmem_ledger_remove(struct shmem_ledger *ledger, struct shmem_mapping *mapping)
{
        size_t at = ledger_place(ledger, mapping->shmid, mapping->offset);

        assert(at < ledger->n && ledger->mappings[at] == mapping);
        ledger->n--;
        memmove(&ledger->mappings[at], &ledger->mappings[at + 1],
                (ledger->n - at) * sizeof(ledger->mappings[0]));
        ledger->bytes -= mapping->len;
}
