/* What an IOMMU's driver has attached and mapped.
 * Owns the mapping of that memory, for good; called by iommu.c. TRUST: what is found there was written by a predecessor, which may have
 * been taken over; addresses are the guest's, judged by iommu_req.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/iommu/iommu_domain.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "proto/base/checked.h"

/* The order in which what follows is written matters to who comes after a sudden end. */
static void order(void)
{
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Who could make it shorter could end us by it. */
static int memory_judge(int fd)
{
        int seals = fcntl(fd, F_GET_SEALS);
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (seals < 0 || !(seals & F_SEAL_SHRINK) || (uint64_t)st.st_size < sizeof(struct iommu_memory))
                return -EINVAL;
        return 0;
}

int iommu_memory_open(int fd, struct iommu_memory **ret_memory)
{
        int r = memory_judge(fd);
        void *p;

        if (r < 0)
                return r;
        p = mmap(NULL, sizeof(struct iommu_memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return -errno;
        *ret_memory = p;
        return 0;
}

void iommu_domain_clear(struct iommu_memory *memory)
{
        memory->epoch++;
        memory->used = 0;
        memset(memory->endpoints, 0, sizeof(memory->endpoints));
}

static bool mapping_ok(const struct iommu_mapping *mapping)
{
        return (mapping->flags & ~(IOMMU_MAP_READ | IOMMU_MAP_WRITE)) == 0 &&
               mapping->start % IOMMU_PAGE == 0 && mapping->end % IOMMU_PAGE == IOMMU_PAGE - 1 &&
               mapping->start < mapping->end && mapping->phys % IOMMU_PAGE == 0 &&
               mapping->end - mapping->start < UINT64_MAX - mapping->phys;
}

void iommu_domain_adopt(struct iommu_memory *memory)
{
        memory->used = MIN(memory->used, LIMIT_IOMMU_MAPPINGS);
        for (uint32_t i = 0; i < memory->used; i++)
                if (!mapping_ok(&memory->mappings[i]))
                        memory->mappings[i].flags = 0;
        for (uint32_t i = 0; i < LIMIT_DEVICES; i++)
                memory->endpoints[i].attached = memory->endpoints[i].attached != 0;
}

/* ---- endpoints ---- */

bool iommu_domain_has(const struct iommu_memory *memory, uint32_t domain, uint32_t endpoint)
{
        return memory->endpoints[endpoint].attached && memory->endpoints[endpoint].domain == domain;
}

bool iommu_domain_exists(const struct iommu_memory *memory, uint32_t domain)
{
        for (uint32_t i = 0; i < LIMIT_DEVICES; i++)
                if (iommu_domain_has(memory, domain, i))
                        return true;
        return false;
}

void iommu_domain_leave(struct iommu_memory *memory, uint32_t endpoint)
{
        const uint32_t domain = memory->endpoints[endpoint].domain;
        uint32_t slot = 0;

        if (!memory->endpoints[endpoint].attached)
                return;
        memory->endpoints[endpoint].attached = 0;
        if (iommu_domain_exists(memory, domain))
                return;
        while ((slot = iommu_domain_next(memory, domain, slot)) != IOMMU_NO_SLOT)
                memory->mappings[slot].flags = 0;
}

void iommu_domain_enter(struct iommu_memory *memory, uint32_t domain, uint32_t endpoint)
{
        iommu_domain_leave(memory, endpoint);
        memory->endpoints[endpoint].domain = domain;
        order();
        memory->endpoints[endpoint].attached = 1;
}

/* ---- mappings ---- */

uint32_t iommu_domain_next(const struct iommu_memory *memory, uint32_t domain, uint32_t slot)
{
        for (; slot < memory->used; slot++)
                if (memory->mappings[slot].flags != 0 && memory->mappings[slot].domain == domain)
                        return slot;
        return IOMMU_NO_SLOT;
}

static bool overlaps(const struct iommu_mapping *mapping, const struct iommu_req *req)
{
        return mapping->start <= req->end && req->start <= mapping->end;
}

static uint32_t find_free(const struct iommu_memory *memory)
{
        for (uint32_t i = 0; i < memory->used; i++)
                if (memory->mappings[i].flags == 0)
                        return i;
        return memory->used;
}

enum iommu_status iommu_domain_may_map(const struct iommu_memory *memory, const struct iommu_req *req)
{
        uint32_t slot = 0, n = 0;

        if (!iommu_domain_exists(memory, req->domain))
                return IOMMU_NOENT;
        for (; (slot = iommu_domain_next(memory, req->domain, slot)) != IOMMU_NO_SLOT; slot++, n++)
                if (overlaps(&memory->mappings[slot], req))
                        return IOMMU_INVAL;
        return n < LIMIT_IOMMU_DOMAIN && find_free(memory) < LIMIT_IOMMU_MAPPINGS ? IOMMU_OK : IOMMU_NOMEM;
}

bool iommu_domain_is_mapped(const struct iommu_memory *memory, const struct iommu_req *req)
{
        uint32_t slot = 0;

        for (; (slot = iommu_domain_next(memory, req->domain, slot)) != IOMMU_NO_SLOT; slot++) {
                const struct iommu_mapping *mapping = &memory->mappings[slot];

                if (mapping->start == req->start && mapping->end == req->end && mapping->phys == req->phys &&
                    mapping->flags == req->flags)
                        return true;
        }
        return false;
}

void iommu_domain_map(struct iommu_memory *memory, const struct iommu_req *req)
{
        const uint32_t slot = find_free(memory);
        struct iommu_mapping *mapping = &memory->mappings[slot];

        *mapping = (struct iommu_mapping){
            .start = req->start, .end = req->end, .phys = req->phys, .domain = req->domain};
        order();
        if (slot == memory->used)
                memory->used++;
        order();
        mapping->flags = req->flags;
}

enum iommu_status iommu_domain_may_unmap(const struct iommu_memory *memory, const struct iommu_req *req)
{
        uint32_t slot = 0;

        if (!iommu_domain_exists(memory, req->domain))
                return IOMMU_NOENT;
        for (; (slot = iommu_domain_next(memory, req->domain, slot)) != IOMMU_NO_SLOT; slot++) {
                const struct iommu_mapping *mapping = &memory->mappings[slot];

                if (overlaps(mapping, req) && (mapping->start < req->start || mapping->end > req->end))
                        return IOMMU_RANGE;
        }
        return IOMMU_OK;
}

void iommu_domain_unmap(struct iommu_memory *memory, const struct iommu_req *req)
{
        uint32_t slot = 0;

        for (; (slot = iommu_domain_next(memory, req->domain, slot)) != IOMMU_NO_SLOT; slot++)
                if (overlaps(&memory->mappings[slot], req))
                        memory->mappings[slot].flags = 0;
}
