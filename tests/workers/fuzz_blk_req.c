/* libFuzzer target: any bytes as a block request. The input is u32 readable, u32 writable, u8 read-only,
 * request bytes. What is accepted must be sound.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "workers/blk/blk_req.h"

#define FUZZ_PREFIX 9u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool sound)
{
        if (!sound)
                abort();
}

static void require_inside(const struct blk_disk *disk, const struct blk_range *range)
{
        require(range_inside(range->offset, range->len, disk->capacity * BLK_SECTOR));
        require(range->offset % BLK_SECTOR == 0 && range->len % BLK_SECTOR == 0);
}

static void require_sound(const struct blk_disk *disk, uint32_t readable, uint32_t writable,
                          const struct blk_req *req)
{
        require(req->op < BLK_OP_COUNT_);
        if (req->op == BLK_OP_READ || req->op == BLK_OP_WRITE) {
                require_inside(disk, &req->range);
                require(req->op == BLK_OP_READ ? req->range.len + 1 == writable
                                               : req->range.len + BLK_HEADER_BYTES == readable);
        }
        if (req->op == BLK_OP_GET_ID)
                require(req->id_len <= BLK_SERIAL_BYTES && req->id_len < writable);
        if (req->op == BLK_OP_DISCARD || req->op == BLK_OP_WRITE_ZEROES) {
                require(req->n_ranges >= 1 && req->n_ranges <= LIMIT_BLK_RANGES);
                for (uint32_t i = 0; i < req->n_ranges; i++)
                        require_inside(disk, &req->ranges[i]);
        }
        if (disk->read_only)
                require(req->op == BLK_OP_READ || req->op == BLK_OP_FLUSH || req->op == BLK_OP_GET_ID);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct blk_disk disk = {.capacity = 1u << 22};
        uint32_t readable, writable;
        struct blk_req req;
        uint8_t *bytes;
        size_t len;

        if (size < FUZZ_PREFIX)
                return 0;
        memcpy(&readable, data, 4);
        memcpy(&writable, data + 4, 4);
        disk.read_only = data[8] & 1;
        len = MIN(size - FUZZ_PREFIX, (size_t)BLK_JUDGED_BYTES);
        bytes = malloc(len + 1); /* its own block, so that one byte too far is seen */
        if (!bytes)
                return 0;
        memcpy(bytes, data + FUZZ_PREFIX, len);
        if (len >= BLK_HEADER_BYTES)
                require(blk_req_judged_len(bytes, readable) <= MIN(readable, BLK_JUDGED_BYTES));
        if (blk_req_check(&disk, readable, writable, bytes, len, &req) == 0)
                require_sound(&disk, readable, writable, &req);
        free(bytes);
        return 0;
}
