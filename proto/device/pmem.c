/* The options of a persistent memory device: their rows, and what they mean.
 * Owns nothing; the rows are read by whatever carries options. TRUST: values are the operator's, judged by their rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device/pmem.h"

#include <inttypes.h>

#include "proto/refuse.h"

const struct option_row pmem_option_rows[PMEM_OPTION_COUNT_] = {
    [PMEM_OPTION_PATH] = {.key = "path", .kind = OPTION_PATH, .required = true},
    [PMEM_OPTION_SIZE] =
        {.key = "size", .kind = OPTION_SIZE, .required = true, .min = PMEM_UNIT, .max = LIMIT_SHMEM_LEN},
};

struct pmem_options pmem_options_read(const struct option_set *set)
{
        return (struct pmem_options){.path = set->value[PMEM_OPTION_PATH].text,
                                     .size = set->value[PMEM_OPTION_SIZE].number};
}

int pmem_options_judge(const struct option_set *set, char *why, size_t why_size)
{
        const uint64_t size = pmem_options_read(set).size;

        if (size % PMEM_UNIT != 0)
                return refuse(why, why_size, "size is %" PRIu64 ": use whole 2M, as in 64M", size);
        return 0;
}

unsigned pmem_regions(const struct option_set *set,
                      struct device_region ret_regions[static LIMIT_SHMEM_REGIONS])
{
        ret_regions[0] = (struct device_region){
            .shmid = PMEM_SHMID, .len = pmem_options_read(set).size, .source = REGION_FILES};
        return 1;
}
