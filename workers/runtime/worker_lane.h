/* One lane as the worker has it: its pipes, what came in, what goes out, and the questions still open.
 * For the runtime; devices see request.h.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/arena.h"
#include "workers/runtime/inbox.h"
#include "workers/runtime/link.h"
#include "workers/runtime/outbox.h"

/* What all lanes of a worker share; outlives them. */
struct worker_shared {
        struct arena arena;      /* for one judged message at a time */
        uint8_t *piece;          /* OUTBOX_PIECE bytes: an answer to a MemRead */
        uint64_t queues_started; /* bit per queue */
        uint64_t queues_supply;  /* likewise: of Hello */
};

struct worker_lane {
        struct worker_shared *shared;
        struct link link;
        struct inbox inbox;
        struct outbox outbox;
        bool stays;          /* the broker sends something here again, soon */
        bool look;           /* ... and has said something on control before what is filed */
        uint32_t spin_us;    /* it may look for more for so long: it has a CPU to itself */
        uint64_t recalled;   /* bit per queue: some of what it has lent is to be given back */
        uint32_t seq_next;   /* of the next MemRead; answers come in order, */
        uint32_t seq_oldest; /* so this one is answered next */
};

/* Allocates everything the lane will ever use, but its area, which is the caller's. 0 or -ENOMEM. */
int worker_lane_init(struct worker_lane *lane, struct worker_shared *shared, struct fd_duplex ends,
                     uint32_t max_payload, uint32_t credit_requests, uint32_t credit_bytes,
                     const struct inbox_area *area);

/* Waits for one frame: files its requests, rests, if that is the answer to worker_lane_rest, or marks what is recalled. A frame
 * of any other kind is out of order here. */
void worker_lane_receive(struct worker_lane *lane);

/* Nothing has come for some time: asks whether what long transfers have touched may go back to the host, if there is any. */
void worker_lane_rest(struct worker_lane *lane);

/* Gives back what is recalled and has been handed over; the rest is when it has been. */
void worker_lane_give_back(struct worker_lane *lane);

/* Sends what is gathered and one MemRead. The caller keeps the number of open ones under LIMIT_MEM_READS. */
void worker_lane_ask(struct worker_lane *lane, uint64_t id, uint32_t offset, uint32_t len);

/* Waits for the answer to the oldest open MemRead, which asked for `len` bytes, and puts them into `buf`.
 * Requests that come before it are filed. 0, or negative errno: the guest's memory could not be read. */
int worker_lane_await(struct worker_lane *lane, uint8_t *buf, uint32_t len);

/* Likewise by address (walk.h), n segments of `len` bytes together: the first error, if any. */
void worker_lane_ask_raw(struct worker_lane *lane, const struct lane_raw *read);
int worker_lane_await_many(struct worker_lane *lane, uint8_t *buf, uint32_t len, uint32_t n);
