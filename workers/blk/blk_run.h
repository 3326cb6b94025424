/* A run: requests of one batch that lie side by side on the disk, all reads or all writes, and are carried out
 * by one host call.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "workers/blk/blk_req.h"
#include "workers/runtime/request.h"

#define BLK_RUN_REQUESTS                                                                                     \
        16u /* what leaves in one frame: the guest does not wait longer for its first answer */
#define BLK_RUN_BYTES 65536u /* likewise; a larger request gains nothing by company */

/* Zero is empty. The requests are held, and not yet carried out. */
struct blk_run {
        enum blk_op op; /* read or write */
        uint32_t n;
        uint64_t offset; /* of the first byte, */
        uint32_t len;    /* of all */
        struct request *requests[BLK_RUN_REQUESTS];
        uint32_t lens[BLK_RUN_REQUESTS];
};

/* Is this judged request one to wait for others? A small read, or a small write all of whose bytes are inlined. */
bool blk_run_can_hold(const struct request *request, const struct blk_req *req);

/* All readable bytes of a judged request, as request_inlined; NULL: not all of them are with it. */
const uint8_t *blk_run_bytes(const struct request *request);

/* Puts such a one behind those that are there. False, and nothing is changed: it does not continue the run where it
 * ends, or the run is full. An empty run takes any. */
bool blk_run_add(struct blk_run *run, struct request *request, const struct blk_req *req);

/* The place of request i. */
struct blk_range blk_run_range(const struct blk_run *run, uint32_t i);

/* Where the bytes of the writes are: one entry a request. Valid until the next call that takes a request. */
void blk_run_gather(const struct blk_run *run, struct iovec *ret_iov);

/* Where the bytes of the reads go: one entry a request, its place if it has one. The others, and a status behind each of all,
 * have their room in `room`, of blk_run_room bytes, in order. */
uint32_t blk_run_room(const struct blk_run *run);
void blk_run_scatter(const struct blk_run *run, uint8_t *room, struct iovec *ret_iov);
