/* Shared memory regions of a device (virtio 1.3, 2.10), as its configuration leads to them: the one truth for the front ends
 * that lay them out, the broker that keeps them and the worker that fills them. A device has them only if its configuration
 * says `shmem: map`.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/limits.h"

enum region_source {
        REGION_MEMORY =
            1, /* memory of the broker's: all of it is mapped, by guest and worker alike, while a worker lives */
        REGION_FILES, /* files that the worker hands over, a range each (ShmemMap); holes between them */
        REGION_SOURCE_END_,
};

struct device_region {
        uint8_t shmid;
        uint64_t len; /* whole LIMIT_SHMEM_PAGE; sums of all regions of a VM do not wrap */
        enum region_source source;
        /* Of REGION_FILES: ranges are mapped so many bytes each, and a file may end inside of one, or before it, and grow and shrink
         * afterwards, which is its guest's business: behind its end is nothing that can be touched. 0: any, and files are as long
         * as what is mapped. */
        uint64_t granule;
};

/* May a buffer that was posted to another device of the VM lie in them? */
enum foreign_dma {
        FOREIGN_DMA_ALLOW = 0,
        FOREIGN_DMA_REFUSE,
        FOREIGN_DMA_COUNT_,
};

/* What the operator allows a device. All zeros: it has no regions. */
struct device_shmem {
        bool map;
        enum foreign_dma foreign_dma;
        struct shmem_limits {
                uint64_t
                    mappings; /* at a time, of all its regions: 1 .. LIMIT_SHMEM_MAPPINGS; 0: SHMEM_MAPPINGS */
                uint64_t bytes; /* ... and their sum; 0: all that the regions hold */
        } limits;
};

#define SHMEM_MAPPINGS 64u /* when nobody says how many */

struct device_config;

/* The regions of a device, in ascending order of shmid. Returns how many there are: 0 .. LIMIT_SHMEM_REGIONS. */
unsigned device_regions(const struct device_config *device,
                        struct device_region ret_regions[static LIMIT_SHMEM_REGIONS]);

/* Bytes of them all. */
uint64_t device_regions_bytes(const struct device_config *device);

/* How many mappings they take if every granule of theirs is mapped; 0: that is for the device to know. */
uint64_t device_regions_granules(const struct device_config *device);

/* Of REGION_MEMORY alone: how many, and how many bytes, which its worker maps. */
unsigned device_regions_memory(const struct device_config *device, uint64_t *ret_bytes);
