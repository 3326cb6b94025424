/* Shared memory regions of a device, from its configuration.
 * Owns nothing; called by the judge of configurations, the front ends and the broker's devices. TRUST: the configuration is
 * judged, or is being judged: its options are good.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device_region.h"

#include "proto/vm_config.h"

unsigned device_regions(const struct device_config *device,
                        struct device_region ret_regions[static LIMIT_SHMEM_REGIONS])
{
        const struct device_type *type = &device_types[device->type];

        return device->shmem.map && type->regions ? type->regions(&device->options, ret_regions) : 0;
}

uint64_t device_regions_bytes(const struct device_config *device)
{
        struct device_region regions[LIMIT_SHMEM_REGIONS];
        unsigned n = device_regions(device, regions);
        uint64_t bytes = 0;

        for (unsigned i = 0; i < n; i++)
                bytes += regions[i].len;
        return bytes;
}

uint64_t device_regions_granules(const struct device_config *device)
{
        struct device_region regions[LIMIT_SHMEM_REGIONS];
        unsigned n = device_regions(device, regions);
        uint64_t granules = 0;

        for (unsigned i = 0; i < n; i++)
                if (regions[i].granule > 0)
                        granules += regions[i].len / regions[i].granule;
        return granules;
}

unsigned device_regions_memory(const struct device_config *device, uint64_t *ret_bytes)
{
        struct device_region regions[LIMIT_SHMEM_REGIONS];
        unsigned n = device_regions(device, regions), n_memory = 0;
        uint64_t bytes = 0;

        for (unsigned i = 0; i < n; i++) {
                if (regions[i].source != REGION_MEMORY)
                        continue;
                n_memory++;
                bytes += regions[i].len;
        }
        *ret_bytes = bytes;
        return n_memory;
}
