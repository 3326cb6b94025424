/* Batches: which requests go into the next frame, and what goes with each.
 *
 * How it works: what waits to be sent goes first, then chains are taken off the rings, while the worker has credit and the
 * frame has room (batch_add). Readable bytes that have their place in the worker's area are there, all by one call, before
 * the frame begins; if that fails, nothing of the batch has been said, and it is chosen anew (batch_drop).
 *
 * Owns nothing; called by lane.c and lane_fail.c. TRUST: chains are judged (queue_pop).
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_batch.h"

#include <errno.h>

#include "broker/core/lane.h"
#include "broker/core/lane_age.h"
#include "broker/core/lane_head.h"
#include "broker/core/memory_service.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/lane.h"

struct batch {
        size_t n;
        uint64_t now_ms;
        uint64_t now_ns; /* of a lane with a rate */
        uint32_t payload;
        uint32_t pushed; /* bytes that go into the worker's area */
        bool any_in, any_out;
        struct request *request[LIMIT_POP_BATCH];
        uint64_t id[LIMIT_POP_BATCH];
        uint32_t queue[LIMIT_POP_BATCH], readable[LIMIT_POP_BATCH], writable[LIMIT_POP_BATCH];
        uint32_t inlined[LIMIT_POP_BATCH], attempt[LIMIT_POP_BATCH], must_fail[LIMIT_POP_BATCH];
        uint32_t in_at[LIMIT_POP_BATCH], out_at[LIMIT_POP_BATCH];
};

/* Puts the readable bytes into the frame, as many as may go with the request. False: it must wait for credit or for the
 * next frame. */
static bool batch_inline(struct lane *lane, const struct batch *batch, struct request *request)
{
        struct lane_tx *tx = &lane->tx;
        uint32_t len = request->must_fail ? 0 : MIN(request->chain.readable, lane->max_inline);
        size_t first = tx->n_iov;
        int64_t r;

        if (len > lane->credit_bytes - lane->used_bytes || len > LIMIT_FRAME_PAYLOAD - batch->payload)
                return false;
        if (batch->n > 0 && tx->n_iov + request->chain.n_readable > LANE_TX_IOVEC)
                return false;
        r = memory_service_iovec_readable(lane->memory, request, 0, len, tx->iov, LANE_TX_IOVEC, &tx->n_iov);
        if (r < 0) { /* its memory is gone since the walk: the device's own error is the answer */
                tx->n_iov = first;
                request->must_fail = true;
                r = 0;
        }
        lane_tx_own(tx, first, request);
        request->inlined = (uint32_t)r;
        return true;
}

/* Where the last request was the only one under way, so is this, if nothing else is. */
static bool batch_is_single(const struct lane *lane)
{
        return lane->single && lane->used_requests == 0;
}

/* Takes pages in the worker's area for the readable bytes. 1: it has them; 0: the bytes go with the message, if they go at
 * all; -EAGAIN: it must wait for the next frame. */
static int batch_take_pages(struct lane *lane, struct batch *batch, struct request *request)
{
        uint32_t len = request->chain.readable;

        if (request->must_fail || !direct_takes(&lane->direct, len, batch_is_single(lane)))
                return 0;
        if (batch->n > 0 && len > LIMIT_DIRECT_PUSH - MIN(batch->pushed, LIMIT_DIRECT_PUSH))
                return -EAGAIN;
        if (!direct_take(&lane->direct, request))
                return 0;
        batch->pushed += len;
        return 1;
}

/* Puts a request into the batch. False: no room; it stays where it is. */
static bool batch_add(struct lane *lane, struct batch *batch, struct request *request)
{
        int placed;

        if (lane->used_requests >= lane->credit_requests || batch->n == LIMIT_POP_BATCH)
                return false;
        placed = batch_take_pages(lane, batch, request);
        if (placed < 0)
                return false;
        request->inlined = 0;
        if (placed == 0 && !batch_inline(lane, batch, request))
                return false;
        if (request->is_work && !request->must_fail)
                direct_lend(&lane->direct, request, batch_is_single(lane));
        batch->request[batch->n++] = request;
        batch->payload += request->inlined;
        lane->used_requests++;
        lane->used_bytes += request->inlined;
        request->state = REQUEST_SENT;
        request->sent_ms = batch->now_ms;
        lane->n_aging += request->is_work;
        lane->n_unsent--;
        return true;
}

/* Nothing of it is sent: its requests wait as they did before. */
static void batch_drop(struct lane *lane, struct batch *batch)
{
        for (size_t i = 0; i < batch->n; i++) {
                struct request *request = batch->request[i];

                direct_release(&lane->direct, request);
                lane->used_requests--;
                lane->used_bytes -= request->inlined;
                request->state = REQUEST_QUEUED;
                lane->n_aging -= request->is_work;
                lane->n_unsent++;
        }
        batch->n = 0;
        lane->tx.n_iov = lane->tx.next;
}

/* What a dead worker held, or found no room in the last frame. A queue's requests go in their order: behind one that may not be sent
 * yet, even what must fail waits. */
static void batch_add_unsent(struct lane *lane, struct batch *batch)
{
        struct request *request = lane->requests.oldest;
        uint64_t waiting = 0; /* queues */

        for (; request && lane->n_unsent > 0; request = request->newer) {
                uint64_t queue = UINT64_C(1) << request->queue;

                if (request->state != REQUEST_QUEUED || (waiting & queue))
                        continue;
                if (!lane_may_send(lane, request))
                        waiting |= queue;
                else if ((lane->miss.waits && lane_miss_holds_request(lane, request)) ||
                         !batch_add(lane, batch, request))
                        return;
        }
}

int lane_batch_take(struct lane *lane, struct lane_queue *queue, struct request **ret_request)
{
        struct request *request = request_table_peek(&lane->requests);
        int r;

        if (!request)
                return 0;
        r = queue_pop(&queue->ring, &request->chain);
        if (r <= 0) {
                if (queue->ring.parked)
                        lane_miss_tell(lane);
                return r;
        }
        request_table_add(&lane->requests, request, (uint16_t)queue->index, lane_clock_ms());
        request->is_work = !queue->supply;
        if (__builtin_expect(queue->ring.form == QUEUE_SPLIT_BIG, 0))
                lane_head_take(lane, request);
        queue->outstanding++;
        lane->n_lent += queue->supply;
        atomic_store_explicit(&lane->stats.lent, lane->n_lent, memory_order_relaxed);
        fair_took(&lane->fair, (unsigned)(queue - lane->queues), request->chain.readable,
                  request->chain.writable);
        lane->n_unsent++;
        atomic_fetch_add_explicit(&lane->stats.requests, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&lane->stats.bytes_from_guest, request->chain.readable,
                                  memory_order_relaxed);
        atomic_store_explicit(&lane->stats.outstanding, lane->requests.outstanding, memory_order_relaxed);
        *ret_request = request;
        return 1;
}

/* Takes a chain off the ring of the queue whose turn it is. 1, or 0: it has none. */
static int batch_take(struct lane *lane, unsigned index, struct request **ret_request)
{
        struct lane_queue *queue = &lane->queues[index];
        int r = lane_takes_from(lane, queue) ? lane_batch_take(lane, queue, ret_request) : 0;

        if (r < 0)
                lane_publish(lane); /* tells that the ring is broken */
        if (r <= 0)
                fair_none(&lane->fair, index);
        return MAX(r, 0);
}

/* May a chain be taken off this queue's ring? */
static bool batch_may_take(struct lane *lane, const struct batch *batch, unsigned index)
{
        uint64_t wait_ms =
            rate_limit_wait_ms(lane->rate, lane->queues[0].index, lane->queues[index].supply, batch->now_ns);

        if (wait_ms == 0)
                return true;
        fair_wait(&lane->fair, index);
        lane->wait_ms = lane->wait_ms ? MIN(lane->wait_ms, wait_ms) : wait_ms;
        return false;
}

/* Room that is only lent is paid for when something comes in it. */
static void batch_pay(struct lane *lane, const struct batch *batch, const struct request *request)
{
        uint64_t room = request->is_work ? request->chain.writable : 0;

        if (request->is_work || request->chain.readable > 0)
                rate_limit_pay(lane->rate, lane->queues[0].index, request->is_work,
                               request->chain.readable + room, batch->now_ns);
}

/* A wait that goes on is counted once. */
static void batch_note_wait(struct lane *lane)
{
        if (lane->wait_ms > 0 && !lane->throttled)
                atomic_fetch_add_explicit(&lane->stats.throttled, 1, memory_order_relaxed);
        lane->throttled = lane->wait_ms > 0;
}

static void batch_add_new(struct lane *lane, struct batch *batch)
{
        struct request *request;
        int next;

        lane->wait_ms = 0;
        fair_begin(&lane->fair, batch->now_ms);
        for (unsigned i = 0; i < lane->n_queues; i++)
                if (lane_takes_from(lane, &lane->queues[i]) && queue_no_kicks(&lane->queues[i].ring) < 0)
                        lane_publish(lane); /* tells that the ring is broken */
        while (lane->n_unsent == 0 && batch->n < LIMIT_POP_BATCH &&
               lane->used_requests < lane->credit_requests && (next = fair_next(&lane->fair)) >= 0) {
                if (lane->rate && !batch_may_take(lane, batch, (unsigned)next))
                        continue;
                if (!batch_take(lane, (unsigned)next, &request))
                        continue;
                if (lane->rate)
                        batch_pay(lane, batch, request);
                batch_add(lane, batch, request);
        }
        if (lane->rate)
                batch_note_wait(lane);
}

/* Chooses what goes into the next frame, and puts into the worker's area what has its place there. 0; -ESRCH, -EIO: as
 * direct_push, and nothing is chosen. */
static int batch_gather(struct lane *lane, struct batch *batch)
{
        int r;

        batch->n = 0;
        batch->payload = batch->pushed = 0;
        batch->now_ms = lane_clock_ms();
        batch->now_ns = lane->rate ? lane_clock_ns() : 0;
        lane->tx.n_iov = 1;
        lane->tx.next = 1;
        batch_add_unsent(lane, batch);
        batch_add_new(lane, batch);
        r = direct_push(&lane->direct, lane->memory, batch->request, batch->n);
        if (r < 0)
                batch_drop(lane, batch);
        return r;
}

static void batch_fill(struct lane *lane, struct batch *batch, size_t i)
{
        const struct request *request = batch->request[i];

        batch->id[i] = request->id;
        batch->queue[i] = request->queue;
        batch->readable[i] = request->chain.readable;
        batch->writable[i] = request->chain.writable;
        batch->inlined[i] = request->in.n > 0 ? request->chain.readable : request->inlined;
        batch->attempt[i] = request->attempt;
        batch->must_fail[i] = request->must_fail;
        batch->in_at[i] = direct_place_in(request);
        batch->out_at[i] = direct_place_out(&lane->direct, request);
        batch->any_in |= batch->in_at[i] > 0;
        batch->any_out |= batch->out_at[i] > 0;
        quota_lane_earn(&lane->quota, request->chain.readable, request->chain.writable);
}

bool lane_batch_begin(struct lane *lane)
{
        struct batch batch _uninitialized_; /* the first n elements of each column count */
        struct lane_to_worker message = {.kind = LANE_REQUESTS};
        int r = batch_gather(lane, &batch);

        /* There are no more pages: all goes through the pipe, and that says whether the worker is gone. */
        if (r == -ESRCH)
                r = batch_gather(lane, &batch);
        if (r < 0)
                lane_worker_fault(lane, "has no memory where it said");
        if (batch.n == 0)
                return false;
        lane->single = lane->used_requests == 1;
        batch.any_in = batch.any_out = false;
        for (size_t i = 0; i < batch.n; i++)
                batch_fill(lane, &batch, i);
        message.requests = (struct lane_requests){.n = batch.n,
                                                  .id = batch.id,
                                                  .queue = batch.queue,
                                                  .readable = batch.readable,
                                                  .writable = batch.writable,
                                                  .inlined = batch.inlined,
                                                  .attempt = batch.attempt,
                                                  .must_fail = batch.must_fail,
                                                  .in_at = batch.any_in ? batch.in_at : NULL,
                                                  .out_at = batch.any_out ? batch.out_at : NULL,
                                                  .longer = lane_place_is_shared(lane),
                                                  .stay = lane_stay_promise(&lane->stay, batch.now_ms),
                                                  .look = lane_stay_look(lane),
                                                  .spin_us = lane_place_spin_us(lane)};
        lane_place_sent(lane);
        lane_tx_begin(lane, &message, batch.payload);
        return true;
}
