/* One disk.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "workers/blk/blk_direct.h"
#include "workers/blk/blk_file.h"
#include "workers/blk/blk_req.h"
#include "workers/blk/blk_run.h"
#include "workers/runtime/device_ops.h"

struct blk {
        struct blk_file file;
        struct blk_disk disk;
        uint64_t features;    /* that the driver has accepted */
        bool writeback_field; /* as the driver has last written it */
        bool is_direct;
        struct blk_direct direct;      /* reads and writes that are under way, if is_direct, */
        struct blk_run run;            /* else what waits for more of its kind; empty between two batches */
        char serial[BLK_SERIAL_BYTES]; /* padded with NUL, not ended by one */
};
