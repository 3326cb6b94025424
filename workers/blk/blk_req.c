/* The guest's words to a block device, judged.
 * Owns nothing; called by blk.c. TRUST: every byte and both lengths are the guest's. The bytes are our copy:
 * they cannot change while they are looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/blk/blk_req.h"

#include <errno.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

/* virtio 1.3, 5.2.6: the types that are served. */
#define BLK_T_IN           0u
#define BLK_T_OUT          1u
#define BLK_T_FLUSH        4u
#define BLK_T_GET_ID       8u
#define BLK_T_DISCARD      11u
#define BLK_T_WRITE_ZEROES 13u

#define BLK_WRITE_ZEROES_UNMAP 1u

uint32_t blk_req_judged_len(const uint8_t header[static BLK_HEADER_BYTES], uint32_t readable)
{
        uint32_t type = bytes_load32(header);

        if (type == BLK_T_DISCARD || type == BLK_T_WRITE_ZEROES)
                return MIN(readable, BLK_JUDGED_BYTES);
        return MIN(readable, BLK_HEADER_BYTES);
}

/* Sectors -> bytes, inside the disk. An empty run is inside up to and including the end. */
static int blk_check_sectors(const struct blk_disk *disk, uint64_t sector, uint64_t n,
                             struct blk_range *ret_range)
{
        if (((sector | n) & disk->block_mask) != 0)
                return -EIO;
        if (!range_inside(sector, n, disk->capacity))
                return -EIO;
        *ret_range = (struct blk_range){.offset = sector * BLK_SECTOR, .len = n * BLK_SECTOR};
        return 0;
}

static int blk_check_data(const struct blk_disk *disk, uint64_t sector, uint32_t data_len,
                          struct blk_req *req)
{
        if (data_len % BLK_SECTOR != 0)
                return -EIO;
        return blk_check_sectors(disk, sector, data_len / BLK_SECTOR, &req->range);
}

static int blk_check_read(const struct blk_disk *disk, uint64_t sector, uint32_t readable, uint32_t writable,
                          struct blk_req *req)
{
        req->op = BLK_OP_READ;
        if (readable != BLK_HEADER_BYTES)
                return -EIO;
        return blk_check_data(disk, sector, writable - 1, req);
}

static int blk_check_write(const struct blk_disk *disk, uint64_t sector, uint32_t readable, uint32_t writable,
                           struct blk_req *req)
{
        req->op = BLK_OP_WRITE;
        if (disk->read_only || writable != 1)
                return -EIO;
        return blk_check_data(disk, sector, readable - BLK_HEADER_BYTES, req);
}

/* 5.2.6.2: unknown flags, and unmap on a discard, are answered with UNSUPP. */
static int blk_check_range(const struct blk_disk *disk, enum blk_op op, const uint8_t *bytes,
                           struct blk_range *ret_range)
{
        uint32_t limit = op == BLK_OP_DISCARD ? LIMIT_BLK_DISCARD : LIMIT_BLK_ZEROES;
        uint32_t known = op == BLK_OP_DISCARD ? 0 : BLK_WRITE_ZEROES_UNMAP;
        uint32_t n = bytes_load32(bytes + 8);
        uint32_t flags = bytes_load32(bytes + 12);
        int r;

        if (flags & ~known)
                return -EOPNOTSUPP;
        if (n > limit)
                return -EIO;
        r = blk_check_sectors(disk, bytes_load64(bytes), n, ret_range);
        if (r < 0)
                return r;
        ret_range->unmap = flags & BLK_WRITE_ZEROES_UNMAP;
        return 0;
}

/* All ranges are judged before the first is carried out. One range of write zeroes (max_write_zeroes_seg):
 * each may have to be written out. */
static int blk_check_ranges(const struct blk_disk *disk, enum blk_op op, uint32_t readable,
                            const uint8_t *bytes, size_t len, struct blk_req *req)
{
        uint32_t limit = op == BLK_OP_DISCARD ? LIMIT_BLK_RANGES : 1;
        uint32_t list_len = readable - BLK_HEADER_BYTES;

        req->op = op;
        if (disk->read_only || list_len == 0 || list_len % BLK_RANGE_BYTES != 0)
                return -EIO;
        if (list_len / BLK_RANGE_BYTES > limit || len < readable)
                return -EIO;
        req->n_ranges = list_len / BLK_RANGE_BYTES;
        for (uint32_t i = 0; i < req->n_ranges; i++) {
                const uint8_t *at = bytes + BLK_HEADER_BYTES + (size_t)i * BLK_RANGE_BYTES;
                int r = blk_check_range(disk, op, at, &req->ranges[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int blk_check_type(const struct blk_disk *disk, uint32_t readable, uint32_t writable,
                          const uint8_t *bytes, size_t len, struct blk_req *req)
{
        uint64_t sector = bytes_load64(bytes + 8);

        switch (bytes_load32(bytes)) {
        case BLK_T_IN:
                return blk_check_read(disk, sector, readable, writable, req);
        case BLK_T_OUT:
                return blk_check_write(disk, sector, readable, writable, req);
        case BLK_T_FLUSH:
                req->op = BLK_OP_FLUSH;
                return 0;
        case BLK_T_GET_ID:
                req->op = BLK_OP_GET_ID;
                req->id_len = MIN(writable - 1, BLK_SERIAL_BYTES);
                return 0;
        case BLK_T_DISCARD:
                return blk_check_ranges(disk, BLK_OP_DISCARD, readable, bytes, len, req);
        case BLK_T_WRITE_ZEROES:
                return blk_check_ranges(disk, BLK_OP_WRITE_ZEROES, readable, bytes, len, req);
        default:
                return -EOPNOTSUPP;
        }
}

int blk_req_check(const struct blk_disk *disk, uint32_t readable, uint32_t writable, const uint8_t *bytes,
                  size_t len, struct blk_req *ret_req)
{
        struct blk_req req _uninitialized_;
        int r;

        if (readable < BLK_HEADER_BYTES || len < BLK_HEADER_BYTES || len > readable || writable < 1)
                return -EPROTO;
        /* Field by field, as the copy below: the ranges are long, and nearly no request has any. */
        req.range = (struct blk_range){0};
        req.id_len = 0;
        req.n_ranges = 0;
        r = blk_check_type(disk, readable, writable, bytes, len, &req);
        if (r < 0)
                return r;
        memcpy(ret_req, &req, offsetof(struct blk_req, ranges) + req.n_ranges * sizeof(req.ranges[0]));
        return 0;
}
