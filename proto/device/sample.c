/* The options of the sample device: their rows, and what they mean.
 * Owns nothing; the rows are read by whatever carries options. TRUST: values are the operator's, judged by their rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device/sample.h"

#define SIZE_PRESET (1u << 20)

const struct option_row sample_option_rows[SAMPLE_OPTION_COUNT_] = {
    [SAMPLE_OPTION_SIZE] = {.key = "size",
                            .kind = OPTION_SIZE,
                            .min = 2 * SAMPLE_RING_AT,
                            .max = 1u << 30,
                            .preset = SIZE_PRESET},
};

struct sample_options sample_options_read(const struct option_set *set)
{
        return (struct sample_options){.size = set->value[SAMPLE_OPTION_SIZE].number};
}

unsigned sample_regions(const struct option_set *set,
                        struct device_region ret_regions[static LIMIT_SHMEM_REGIONS])
{
        ret_regions[0] = (struct device_region){
            .shmid = SAMPLE_SHMID, .len = sample_options_read(set).size, .source = REGION_MEMORY};
        return 1;
}
