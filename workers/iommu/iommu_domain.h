/* What an IOMMU's driver has attached and mapped (virtio 1.3, 5.13.6), in memory that outlives the worker (iommu_memory_open): a
 * successor goes on with it. Each change is one store that counts, so that a sudden end leaves the state before or the state after.
 *
 * A domain is there while an endpoint is attached to it. What must be so in the broker before a change counts here, iommu.c sees to.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/limits.h"
#include "workers/iommu/iommu_req.h"

#define IOMMU_NO_SLOT UINT32_MAX

struct iommu_mapping {
        uint64_t start, end, phys; /* as of iommu_req */
        uint32_t domain;
        uint32_t flags; /* 0: the slot is free */
};

struct iommu_memory {
        uint64_t
            epoch; /* of the driver's time with the device; a state that names another one is of another time */
        struct {
                uint32_t attached; /* 0 or 1 */
                uint32_t domain;
        } endpoints[LIMIT_DEVICES];
        uint32_t used; /* slots below, free or not */
        uint32_t reserved;
        struct iommu_mapping mappings[LIMIT_IOMMU_MAPPINGS];
};

_Static_assert(sizeof(struct iommu_memory) <= LIMIT_IOMMU_MEMORY, "the spawner makes so much");

/* The spawner's memory, which begins as zeros. 0 or negative errno: -EINVAL: it is too small, or can become so. */
int iommu_memory_open(int fd, struct iommu_memory **ret_memory);

/* Nothing is attached or mapped: a new epoch. */
void iommu_domain_clear(struct iommu_memory *memory);

/* A predecessor's word: what is out of shape in it is not there. */
void iommu_domain_adopt(struct iommu_memory *memory);

bool iommu_domain_exists(const struct iommu_memory *memory, uint32_t domain);
bool iommu_domain_has(const struct iommu_memory *memory, uint32_t domain, uint32_t endpoint);

/* It is not in its domain any more, if it was in one; the last that leaves takes the mappings with it. And: it is in this one, and
 * in no other. */
void iommu_domain_leave(struct iommu_memory *memory, uint32_t endpoint);
void iommu_domain_enter(struct iommu_memory *memory, uint32_t domain, uint32_t endpoint);

/* The slot of the next mapping of the domain, from this one on. IOMMU_NO_SLOT: there is none. */
uint32_t iommu_domain_next(const struct iommu_memory *memory, uint32_t domain, uint32_t slot);

/* May this be mapped? IOMMU_OK, IOMMU_NOENT, IOMMU_INVAL: some of it is already; IOMMU_NOMEM. And: just this is there. */
enum iommu_status iommu_domain_may_map(const struct iommu_memory *memory, const struct iommu_req *req);
bool iommu_domain_is_mapped(const struct iommu_memory *memory, const struct iommu_req *req);
void iommu_domain_map(struct iommu_memory *memory, const struct iommu_req *req); /* when it may */

/* May this be unmapped? IOMMU_OK, also where nothing is mapped; IOMMU_NOENT; IOMMU_RANGE: some mapping is only in part in it. */
enum iommu_status iommu_domain_may_unmap(const struct iommu_memory *memory, const struct iommu_req *req);
void iommu_domain_unmap(struct iommu_memory *memory, const struct iommu_req *req); /* when it may */
