/* The options of a block device.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/device_option.h"

enum blk_option {
        BLK_OPTION_PATH = 0,
        BLK_OPTION_READ_ONLY,
        BLK_OPTION_DIRECT,
        BLK_OPTION_SERIAL,
        BLK_OPTION_BLOCK_SIZE,
        BLK_OPTION_COUNT_,
};

extern const struct option_row blk_option_rows[BLK_OPTION_COUNT_];

/* The same as what they mean. Texts are the set's. */
struct blk_options {
        const char *path; /* "" to a worker */
        bool read_only;
        bool direct;         /* past the host's page cache (O_DIRECT); the second resource is an eventfd */
        const char *serial;  /* at most BLK_SERIAL_BYTES */
        uint32_t block_size; /* 512 or 4096 */
};

#define BLK_SERIAL_BYTES 20u /* virtio 1.3, 5.2.6.1, VIRTIO_BLK_T_GET_ID */

struct blk_options blk_options_read(const struct option_set *set);
