/* The sending half of a lane: one frame at a time, its payload straight out of guest memory.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proto/base/limits.h"
#include "proto/frame.h"

struct lane;
struct request;

#define LANE_TX_HEADER 4096u /* bytes of the largest header we make: a full Requests batch */
#define LANE_TX_IOVEC                                                                                        \
        (LIMIT_CHAIN_SEGMENTS + 64u) /* spans of one frame: the longest chain and some small ones */

/* A MemRead that has not been answered yet. */
struct lane_mem_read_pending {
        uint32_t seq, n, total;
        uint64_t id[LIMIT_MEM_SEGMENTS];
        uint32_t offset[LIMIT_MEM_SEGMENTS], len[LIMIT_MEM_SEGMENTS];
        bool raw; /* by address: no id (lane_raw.h) */
        uint64_t raw_at[LIMIT_MEM_SEGMENTS];
};

struct lane_tx {
        struct iovec iov[LANE_TX_IOVEC];
        struct request *owner[LANE_TX_IOVEC]; /* whose bytes; NULL: ours */
        size_t n_iov, next;                   /* iov[next ..] is still to be sent; equal: idle */
        uint8_t head[FRAME_HEAD_BYTES + LANE_TX_HEADER];
        uint8_t *spill;                      /* room for one whole frame: lane_tx_spill, tx_add_segment */
        bool spilled;                        /* the frame under way has been moved there */
        struct lane_mem_read_pending *reads; /* ring of LIMIT_MEM_READS */
        unsigned read_first, n_reads;
        bool rest_asked; /* the worker has asked whether it may give its area back, and has no answer yet */
};

int lane_tx_init(struct lane_tx *tx);
void lane_tx_done(struct lane_tx *tx);

/* Forgets the frame under way and all unanswered reads: the pipe is gone. */
void lane_tx_reset(struct lane_tx *tx);

static inline bool lane_tx_busy(const struct lane_tx *tx)
{
        return tx->next < tx->n_iov;
}

/* Sends on. 1: idle now; 0: the pipe is full; negative errno: the worker is gone. */
int lane_tx_flush(struct lane *lane);

/* Moves what is left of the frame under way out of guest memory into our own: before the memory table
 * changes, and after a fault in the middle of a frame (missing pages become zeros and their request is marked
 * faulted). */
void lane_tx_spill(struct lane *lane);

/* This request is about to go back to the guest: what the frame under way still needs of its bytes is copied
 * now, because afterwards they are the guest's again, and its place in the table is another's. */
void lane_tx_let_go(struct lane *lane, const struct request *request);

/* Spans from `from` on hold bytes of this request's. */
void lane_tx_own(struct lane_tx *tx, size_t from, struct request *request);

/* Fills in the frame's head once its header and payload are known: iov[0] was kept free for it. */
struct lane_to_worker;
void lane_tx_begin(struct lane *lane, const struct lane_to_worker *message, uint32_t payload_len);

/* Makes a frame that asks for what is lent of a queue, if one is to stop. Likewise. */
bool lane_tx_recall(struct lane *lane);

/* Files a judged MemRead. -EPROTO: too many are unanswered. */
struct lane_mem_read;
int lane_tx_mem_read(struct lane *lane, const struct lane_mem_read *read);

/* Likewise, by address. */
struct lane_raw;
int lane_tx_raw_read(struct lane *lane, const struct lane_raw *read);

/* Begins the answer to the oldest unanswered MemRead. False: none, or it waits (lane_miss.h). */
bool lane_tx_mem_read_reply(struct lane *lane);

/* Files the question whether the worker may give its area back: what it said before has been done. -EPROTO: it has asked
 * already. And: begins the answer. False: it has not asked. */
int lane_tx_ask_rest(struct lane *lane);
bool lane_tx_may_rest(struct lane *lane);
