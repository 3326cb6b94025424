/* What a block device says of itself: features and configuration space (virtio 1.3, 5.2.3 and 5.2.4).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "proto/control.h"
#include "workers/blk/blk_req.h"

/* Feature bits that the device itself acts upon. */
#define BLK_F_FLUSH      (UINT64_C(1) << 9)
#define BLK_F_CONFIG_WCE (UINT64_C(1) << 11)

/* Indices into Hello's fields: struct virtio_blk_config up to write_zeroes_may_unmap and its padding. */
enum blk_field {
        BLK_FIELD_CAPACITY = 0,
        BLK_FIELD_SIZE_MAX,
        BLK_FIELD_SEG_MAX,
        BLK_FIELD_CYLINDERS,
        BLK_FIELD_HEADS,
        BLK_FIELD_SECTORS,
        BLK_FIELD_BLK_SIZE,
        BLK_FIELD_PHYSICAL_BLOCK_EXP,
        BLK_FIELD_ALIGNMENT_OFFSET,
        BLK_FIELD_MIN_IO_SIZE,
        BLK_FIELD_OPT_IO_SIZE,
        BLK_FIELD_WRITEBACK, /* the one that a driver may write */
        BLK_FIELD_UNUSED_0,
        BLK_FIELD_NUM_QUEUES,
        BLK_FIELD_MAX_DISCARD_SECTORS,
        BLK_FIELD_MAX_DISCARD_SEG,
        BLK_FIELD_DISCARD_SECTOR_ALIGNMENT,
        BLK_FIELD_MAX_WRITE_ZEROES_SECTORS,
        BLK_FIELD_MAX_WRITE_ZEROES_SEG,
        BLK_FIELD_WRITE_ZEROES_MAY_UNMAP,
        BLK_FIELD_UNUSED_1,
        BLK_FIELD_UNUSED_2,
        BLK_FIELD_UNUSED_3,
        BLK_FIELD_COUNT_,
};

/* Depends on the configuration and the size of the image alone, so every incarnation says the same. */
void blk_config_hello(const struct control_configure *configure, const struct blk_disk *disk,
                      struct control_hello *ret_hello);
