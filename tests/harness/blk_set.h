/* Options of a disk, for a test's configuration. Texts are borrowed.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/device/blk.h"

/* As a constant: no path, no serial number, blocks of 512 bytes. */
#define BLK_PLAIN                                                                                            \
        {                                                                                                    \
                .value = { [BLK_OPTION_PATH] = {.text = ""}, [BLK_OPTION_SERIAL] = {.text = ""} }            \
        }

static inline struct option_set blk_set(const struct blk_options *options)
{
        return (struct option_set){
            .value = {
                [BLK_OPTION_PATH] = {.text = options->path ? options->path : ""},
                [BLK_OPTION_READ_ONLY] = {.number = options->read_only, .text = ""},
                [BLK_OPTION_DIRECT] = {.number = options->direct, .text = ""},
                [BLK_OPTION_SERIAL] = {.text = options->serial ? options->serial : ""},
                [BLK_OPTION_BLOCK_SIZE] = {.number = options->block_size == 4096, .text = ""},
            }};
}

/* BLK_SET(.path = "/image", .direct = true) */
#define BLK_SET(...) blk_set(&(const struct blk_options){__VA_ARGS__})
