/* A block worker under test, its image, and a model of what the image should hold.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/workers/fake_broker.h"
#include "workers/blk/blk_config.h"

#define SECTORS 8192u /* 4 MiB */
#define SIZE    (SECTORS * BLK_SECTOR)

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };

extern struct fake_broker broker;
extern int image;
extern uint8_t disk[SIZE]; /* the model, page by page */

/* Shared with the worker's process (-Wl,--wrap): what fdatasync is to answer, and how often it was called. */
struct sync_control {
        int error;
        unsigned calls;
};
extern struct sync_control *sync_control;

/* Likewise: host calls that read and write. */
struct host_control {
        unsigned preads, preadvs, pwrites, pwritevs;
        unsigned written_at_sync; /* pwrites and pwritevs by the last fdatasync */
        uint64_t bad;             /* the byte at this offset can be neither read nor written; 0: all can */
        bool halves;              /* preadv, pwritev and asynchronous transfers do half */
        /* asynchronous transfers */
        unsigned flying, most_flying;  /* under way: now, at most */
        unsigned flying_at_sync;       /* at the last fdatasync */
        unsigned submits;              /* calls */
        int setup_error, submit_error; /* of the call; 0: none */
        bool one_by_one;               /* a call begins one */
        bool backwards;                /* the last one that has ended is told first */
};
extern struct host_control *host_control;

/* Group set-up: makes sync_control and host_control. */
int setup_group(void **state);

struct io {
        struct fake_request request;
        uint8_t *readable, *writable;
};

/* A request of header and n_data bytes; freed with io_done. */
void io_init(struct io *io, uint32_t type, uint64_t sector, const void *data, uint32_t n_data,
             uint32_t n_writable);
void io_done(struct io *io);
void io_run(struct io *io);

/* The status byte of an answered request. */
uint8_t io_status(const struct io *io);

/* One request from beginning to end; the status byte. */
uint8_t run(uint32_t type, uint64_t sector, const void *data, uint32_t n_data, void *ret_data,
            uint32_t n_ret);
uint8_t run_range(uint32_t type, uint64_t sector, uint32_t n, uint32_t flags);

struct control_configure options(bool read_only, uint32_t block_size, uint32_t n_queues);
void make_image(uint64_t size, bool read_only);

/* A worker on a new image; all features accepted, all queues started. */
void start_with(uint64_t size, bool read_only, uint32_t block_size, uint32_t n_queues);
void start(void);
void start_direct(uint32_t block_size);

/* The worker's clean end; the image must be what the model says, byte for byte. */
void finish(void);

/* As finish, for images that have no model. */
void finish_small(void);

uint64_t field(enum blk_field i);
