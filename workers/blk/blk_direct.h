/* Reads and writes past the page cache, many under way at once (`direct: true`).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "workers/blk/aio_calls.h"
#include "workers/blk/blk_file.h"
#include "workers/blk/blk_req.h"
#include "workers/blk/blk_staging.h"
#include "workers/runtime/request.h"

#define BLK_DIRECT_DEPTH  256u /* pieces under way: one lane's credits */
#define BLK_DIRECT_SUBMIT 32u  /* pieces begun by one call: the disk does not wait for a whole batch */

_Static_assert(REQUEST_PIECE % BLK_STAGING_PAGE == 0, "pieces of a request begin aligned");

struct blk_transfer;

/* At most REQUEST_PIECE bytes of a request, or all of a read that has a place. */
struct blk_piece {
        struct iocb iocb;
        struct blk_transfer *transfer;
        struct blk_piece *next; /* of its transfer, or free */
        uint8_t *bytes;         /* staged, or the request's place */
        uint32_t at, len;       /* in the request's data */
        int error;
        bool staged;
        bool landed; /* the host is done with it */
};

/* A request under way. */
struct blk_transfer {
        struct request *request; /* NULL: answered */
        struct blk_range range;
        bool is_write;
        bool issued; /* no piece is to follow */
        int error;   /* the first */
        struct blk_piece *first, *last;
        struct blk_transfer *previous, *next; /* under way; `next` also links the free and the written ones */
};

struct blk_direct {
        struct blk_file *file;
        int event_fd; /* counts ends of pieces */
        aio_context_t context;
        struct blk_staging staging;
        unsigned n_queued, n_flying; /* pieces */
        struct iocb *queued[BLK_DIRECT_SUBMIT];
        struct blk_piece *free_pieces, pieces[BLK_DIRECT_DEPTH];
        struct blk_transfer *free_transfers, transfers[BLK_DIRECT_DEPTH];
        struct blk_transfer *under_way;
        struct blk_transfer *written; /* whole, and to be made stable before they are answered */
        int (*settle)(void *state);   /* makes stable what has to be: 0 or negative errno */
        void *state;
};

/* Before lock-down. `file` outlives it. 0 or negative errno. */
int blk_direct_init(struct blk_direct *direct, struct blk_file *file, int event_fd,
                    int (*settle)(void *state), void *state);

/* Begin to carry out a judged request of at least one byte, and answer it when it is done. What overlaps one that
 * is under way, one of them a write, waits for it, here. */
void blk_direct_read(struct blk_direct *direct, struct request *request, const struct blk_range *range);
void blk_direct_write(struct blk_direct *direct, struct request *request, const struct blk_range *range);

/* What has been begun so far reaches the host. */
void blk_direct_submit(struct blk_direct *direct);

/* The eventfd can be read: answers what is done. */
void blk_direct_reap(struct blk_direct *direct);

/* Waits until nothing is under way. */
void blk_direct_drain(struct blk_direct *direct);
