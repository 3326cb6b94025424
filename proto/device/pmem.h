/* The options of a persistent memory device (virtio 1.3, 5.19).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "proto/device_option.h"
#include "proto/device_region.h"

#define PMEM_SHMID 0u
#define PMEM_UNIT  (2u << 20) /* the region is whole ones: Linux maps no less of such memory */

enum pmem_option {
        PMEM_OPTION_PATH = 0,
        PMEM_OPTION_SIZE,
        PMEM_OPTION_COUNT_,
};

extern const struct option_row pmem_option_rows[PMEM_OPTION_COUNT_];

struct pmem_options {
        const char *path; /* "" to a worker */
        uint64_t size;    /* bytes that the guest is shown, from the file's beginning */
};

struct pmem_options pmem_options_read(const struct option_set *set);
int pmem_options_judge(const struct option_set *set, char *why, size_t why_size);
unsigned pmem_regions(const struct option_set *set,
                      struct device_region ret_regions[static LIMIT_SHMEM_REGIONS]);
