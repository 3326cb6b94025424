/* What an IOMMU's workers have: memory in which each writes down, for its successor, what its driver has attached and mapped.
 * Owns nothing; called by resource.c. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/limits.h"
#include "sandbox/resource.h"

int resources_hold_iommu(const struct resource_owner *owner, const struct device_config *device,
                         struct resources *held, char *why, size_t why_size)
{
        (void)owner;
        (void)device;
        return resources_add_memory(held, "iommu", LIMIT_IOMMU_MEMORY, why, why_size);
}

/* All of it is held; before the VM's start there is nothing to look at. */
int resources_open_iommu(const struct device_config *device, const struct resources *held,
                         struct resources *resources, char *why, size_t why_size)
{
        (void)device;
        (void)why;
        (void)why_size;
        return held ? resources_add_held(resources, held, 0) : 0;
}
