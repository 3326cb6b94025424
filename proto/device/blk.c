/* The options of a block device: the one place that knows them all.
 * Owns nothing; called by what judges and carries configurations, by the spawner's resources and by the worker.
 * TRUST: a set has been judged by these rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device/blk.h"

static const uint32_t block_sizes[] = {512, 4096};
static const char *const block_size_names[] = {"512", "4096", NULL};

struct blk_options blk_options_read(const struct option_set *set)
{
        const struct option_value *value = set->value;

        return (struct blk_options){.path = value[BLK_OPTION_PATH].text,
                                    .read_only = value[BLK_OPTION_READ_ONLY].number,
                                    .direct = value[BLK_OPTION_DIRECT].number,
                                    .serial = value[BLK_OPTION_SERIAL].text,
                                    .block_size = block_sizes[value[BLK_OPTION_BLOCK_SIZE].number]};
}

const struct option_row blk_option_rows[BLK_OPTION_COUNT_] = {
    [BLK_OPTION_PATH] = {.key = "path", .kind = OPTION_PATH, .required = true},
    [BLK_OPTION_READ_ONLY] = {.key = "read_only", .kind = OPTION_FLAG},
    [BLK_OPTION_DIRECT] = {.key = "direct", .kind = OPTION_FLAG},
    [BLK_OPTION_SERIAL] = {.key = "serial",
                           .kind = OPTION_TEXT,
                           .max = BLK_SERIAL_BYTES,
                           .preset_name = true,
                           .form = "at most 20 printable ASCII characters"},
    [BLK_OPTION_BLOCK_SIZE] = {.key = "block_size", .kind = OPTION_CHOICE, .choices = block_size_names},
};
