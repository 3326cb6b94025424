/* A block driver over front_end: requests at any queue depth, in batches, on one queue. For end-to-end tests
 * and benchmarks.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/harness/front_end.h"

#define BLK_FRONT_SLOTS 256u

/* virtio 1.3, 5.2 */
#define BLK_IN             0u
#define BLK_OUT            1u
#define BLK_FLUSH          4u
#define BLK_GET_ID         8u
#define BLK_DISCARD        11u
#define BLK_WRITE_ZEROES   13u
#define BLK_F_RO           5u
#define BLK_F_FLUSH        9u
#define BLK_F_DISCARD      13u
#define BLK_F_WRITE_ZEROES 14u
#define BLK_S_OK           0u
#define BLK_S_IOERR        1u
#define BLK_S_UNSUP        2u

struct blk_slot {
        uint64_t header, data, status; /* offsets in the ram */
        uint32_t type, len;
        uint64_t sector;
        void *cookie;
        bool busy;
};

struct blk_front {
        struct front_end *front;
        struct guest_ram *ram;
        bool packed; /* which of the two is the ring */
        struct split_ring ring;
        struct packed_ring packed_ring;
        unsigned queue, depth, n_busy;
        uint32_t slot_bytes; /* data bytes of one request */
        uint32_t piece;      /* bytes of one descriptor: the data is split in pieces of it */
        struct blk_slot slots[BLK_FRONT_SLOTS];
};

struct blk_done {
        unsigned slot;
        uint8_t status;
        uint32_t used_len;
};

/* Lays out ring and buffers in the ram; a packed ring if the front end wants one and it is offered. depth 1 .. BLK_FRONT_SLOTS; slot_bytes / piece at most 62. */
void blk_front_init(struct blk_front *blk, struct front_end *front, struct guest_ram *ram, unsigned queue,
                    uint16_t ring_size, unsigned depth, uint32_t slot_bytes, uint32_t piece);

/* Where a fresh ring begins: 0 for a split one. */
uint32_t blk_front_base(const struct blk_front *blk);

/* Features, memory and the ring. `base`: blk_front_base for a fresh device, or what blk_front_stop gave. */
int blk_front_start(struct blk_front *blk, uint32_t base);
int blk_front_stop(struct blk_front *blk, uint32_t *ret_base);

/* Another ring for the same buffers, after a stop: what a driver does that resets one queue. */
void blk_front_renew_ring(struct blk_front *blk, uint16_t ring_size);

/* A fresh driver after a device reset or on a new connection: what was outstanding is forgotten. */
void blk_front_forget(struct blk_front *blk);

/* Posts a request; its data is in blk_front_data of the slot. Returns the slot; -EAGAIN when all are busy.
 * For DISCARD and WRITE_ZEROES len is the range, for GET_ID 20, for FLUSH 0. */
int blk_front_post(struct blk_front *blk, uint32_t type, uint64_t sector, uint32_t len, void *cookie);
/* The slot that the next post will take, so that its data can be filled first; -EAGAIN. */
int blk_front_next(const struct blk_front *blk);
uint8_t *blk_front_data(struct blk_front *blk, unsigned slot);

/* Shows what was posted and kicks where the device wants it. */
int blk_front_submit(struct blk_front *blk);

/* Asks for an interrupt. True: something has come meanwhile. */
bool blk_front_want_call(struct blk_front *blk);

/* Waits for one completion: 0, -ETIMEDOUT, or -EPROTO for a used ring that makes no sense. */
int blk_front_wait(struct blk_front *blk, int timeout_ms, struct blk_done *ret_done);

/* One request from post to completion; its status or negative errno. */
int blk_front_do(struct blk_front *blk, uint32_t type, uint64_t sector, uint32_t len, int timeout_ms);
