/* The guest's words to a block device, judged (virtio 1.3, 5.2.6). Pure: bytes and numbers in, a struct out.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/limits.h"
#include "proto/device/blk.h"

#define BLK_SECTOR       512u
#define BLK_HEADER_BYTES 16u /* type, reserved, sector */
#define BLK_RANGE_BYTES  16u /* sector, number of sectors, flags */
#define BLK_JUDGED_BYTES (BLK_HEADER_BYTES + LIMIT_BLK_RANGES * BLK_RANGE_BYTES)

/* Status bytes. */
enum blk_status {
        BLK_STATUS_OK = 0,
        BLK_STATUS_IOERR = 1,
        BLK_STATUS_UNSUPP = 2,
};

enum blk_op {
        BLK_OP_READ = 0,
        BLK_OP_WRITE,
        BLK_OP_FLUSH,
        BLK_OP_GET_ID,
        BLK_OP_DISCARD,
        BLK_OP_WRITE_ZEROES,
        BLK_OP_COUNT_,
};

/* What requests are held against. */
struct blk_disk {
        uint64_t capacity; /* sectors of 512 bytes; in bytes it fits an off_t */
        bool read_only;
        uint32_t block_mask; /* bits of a sector's number that are 0 where a block begins: what a direct image
                                cannot take is refused; 0: any sector will do */
};

/* Bytes [offset, offset + len) of the image: whole sectors, of a direct image blocks, inside the capacity. */
struct blk_range {
        uint64_t offset;
        uint64_t len;
        bool unmap; /* of write zeroes: the space may be given back */
};

/* Made by blk_req_check alone. */
struct blk_req {
        enum blk_op op;
        struct blk_range range; /* read, write: len also fits the request's data */
        uint32_t id_len;   /* get-id: bytes of the serial that there is room for, up to BLK_SERIAL_BYTES */
        uint32_t n_ranges; /* discard, write zeroes: at least 1 */
        struct blk_range ranges[LIMIT_BLK_RANGES]; /* the last member: n_ranges of them are there */
};

/* How many of the readable bytes blk_req_check has to see. `header` is their beginning. */
uint32_t blk_req_judged_len(const uint8_t header[static BLK_HEADER_BYTES], uint32_t readable);

/* `bytes` are the first `len` readable bytes: blk_req_judged_len of them, or all when there are fewer than a
 * header. 0            *ret_req may be carried out -EPROTO      no header, or no byte for the status: the
 * guest is out of order -EOPNOTSUPP  answer BLK_STATUS_UNSUPP -EIO         answer BLK_STATUS_IOERR The status
 * byte is the last writable byte; data to be read is before it. */
int blk_req_check(const struct blk_disk *disk, uint32_t readable, uint32_t writable, const uint8_t *bytes,
                  size_t len, struct blk_req *ret_req);
