/* The table of outstanding requests of one lane. It outlives the worker: what a dead worker held is sent to
 * its successor, in the order in which the guest posted it.
 *
 * An id is (generation << 16 | slot): a slot's generation grows at each use, so a stale or invented id finds
 * nothing. All memory is allocated once. One thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/area.h"
#include "broker/core/chain.h"
#include "proto/device_type.h"

enum request_state {
        REQUEST_FREE = 0,
        REQUEST_QUEUED, /* taken off the ring, not (or no longer) with a worker */
        REQUEST_SENT,   /* with the worker */
        /* Lent, and not used: goes back to the ring together with the others of its queue. Or answered while its queue's rings are
         * not translated: is told of when they are (lane_miss.h). */
        REQUEST_RETURNED,
};

struct request {
        uint64_t id;
        enum request_state state;
        uint16_t queue;
        uint16_t attempt; /* incarnations that were sent it before */
        bool must_fail;
        bool faulted;             /* guest memory under it went away */
        bool completing;          /* named by a Complete that is being received */
        uint32_t inlined;         /* bytes that were or will be sent with it, through the pipe */
        uint32_t written;         /* high-water mark of the writable bytes: the used length */
        struct area_span in, out; /* its pages in the worker that holds it, one part's each (direct_copy.h) */
        uint64_t born_ms;
        uint64_t sent_ms; /* to the worker that holds it */
        bool is_work;     /* of a work queue: it may not take for ever */
        bool waits;  /* but its worker has said that it waits for somebody, and so it may (lane_wait.h) */
        bool reread; /* its worker asks for bytes that it may have been sent before */
        uint8_t failures; /* incarnations that died with it alone though it was only to be failed */
        uint8_t
            head_len; /* so many of the first readable bytes are these, and not the guest's (lane_head.h); mostly 0 */
        uint8_t head[DEVICE_LEGACY_HEAD];
        struct chain chain;
        struct request *older, *newer; /* order of the guest, over all queues of the lane */
};

struct request_table {
        uint32_t capacity;
        uint32_t outstanding;
        struct request *slots;
        struct segment *segments;
        uint16_t *free_slots;
        struct request *oldest, *newest;
};

/* capacity 1 .. LIMIT_CREDITS; max_segments 1 .. LIMIT_CHAIN_SEGMENTS, else -EINVAL. 0 or -ENOMEM. */
int request_table_init(struct request_table *table, uint32_t capacity, uint32_t max_segments);
void request_table_done(struct request_table *table);

/* The next free request, REQUEST_FREE still and in no order: fill its chain, then request_table_add it (or
 * just leave it). NULL: the table is full. */
struct request *request_table_peek(struct request_table *table);
void request_table_add(struct request_table *table, struct request *request, uint16_t queue, uint64_t now_ms);

/* NULL: never was, or is no more. */
struct request *request_table_find(const struct request_table *table, uint64_t id);

void request_table_release(struct request_table *table, struct request *request);
