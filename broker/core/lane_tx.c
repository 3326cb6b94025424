/* The sending half of a lane.
 * Owns the frame under way and the unanswered MemReads; called by lane.c and lane_rx.c. TRUST: chains are
 * judged; MemRead columns are judged against the table when they come and looked up again when they are
 * answered, since the worker may have completed the request in between.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_tx.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "broker/core/fault_safe.h"
#include "broker/core/lane.h"
#include "broker/core/lane_age.h"
#include "broker/core/memory_service.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/status.h"
#include "proto/lane.h"

#define LANE_TX_ROOM  (FRAME_HEAD_BYTES + LANE_TX_HEADER) /* before the payload */
#define LANE_TX_FRAME (LANE_TX_ROOM + LIMIT_FRAME_PAYLOAD)

int lane_tx_init(struct lane_tx *tx)
{
        tx->spill = malloc(LANE_TX_FRAME); /* touched only when it is needed */
        tx->reads = calloc(LIMIT_MEM_READS, sizeof(tx->reads[0]));
        return tx->spill && tx->reads ? 0 : -ENOMEM;
}

void lane_tx_done(struct lane_tx *tx)
{
        free(tx->spill);
        free(tx->reads);
        tx->spill = NULL;
        tx->reads = NULL;
}

void lane_tx_reset(struct lane_tx *tx)
{
        tx->n_iov = tx->next = 0;
        tx->n_reads = tx->read_first = 0;
        tx->rest_asked = false;
}

static void tx_advance(struct lane_tx *tx, size_t sent)
{
        while (sent > 0) {
                struct iovec *iov = &tx->iov[tx->next];

                if (sent < iov->iov_len) {
                        iov->iov_base = (uint8_t *)iov->iov_base + sent;
                        iov->iov_len -= sent;
                        return;
                }
                sent -= iov->iov_len;
                tx->next++;
        }
}

int lane_tx_flush(struct lane *lane)
{
        struct lane_tx *tx = &lane->tx;

        while (lane_tx_busy(tx)) {
                struct msghdr msg = {.msg_iov = &tx->iov[tx->next],
                                     .msg_iovlen = MIN(tx->n_iov - tx->next, (size_t)IOV_MAX)};
                ssize_t n = sendmsg(lane->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n >= 0)
                        tx_advance(tx, (size_t)n);
                else if (errno == EAGAIN)
                        return 0;
                else if (errno == EFAULT)
                        lane_tx_spill(lane);
                else if (errno != EINTR)
                        return -errno;
        }
        return 1;
}

/* Moves one span. Returns how many bytes of the guest's are missing. */
static size_t tx_move(uint8_t *to, const struct iovec *from, const struct request *owner)
{
        if (owner)
                return fault_safe_copy(to, from->iov_base, from->iov_len);
        memmove(to, from->iov_base, from->iov_len); /* ours, and perhaps a copy that lies further back */
        return 0;
}

/* Copies that tx_add_segment has made are in the same room, at their places in a frame whose header has the
 * greatest length: so what is moved before them ends before them. */
void lane_tx_spill(struct lane *lane)
{
        struct lane_tx *tx = &lane->tx;
        size_t used = 0;

        if (!lane_tx_busy(tx) || tx->spilled)
                return;
        for (size_t i = tx->next; i < tx->n_iov; i++) {
                size_t missing = tx_move(tx->spill + used, &tx->iov[i], tx->owner[i]);

                used += tx->iov[i].iov_len;
                if (missing > 0) {
                        memset(tx->spill + used - missing, 0, missing);
                        if (tx->owner[i])
                                tx->owner[i]->faulted = true;
                }
        }
        tx->next = 0;
        tx->n_iov = 1;
        tx->iov[0] = (struct iovec){.iov_base = tx->spill, .iov_len = used};
        tx->owner[0] = NULL;
        tx->spilled = true;
}

void lane_tx_let_go(struct lane *lane, const struct request *request)
{
        const struct lane_tx *tx = &lane->tx;

        for (size_t i = tx->next; i < tx->n_iov; i++) {
                if (tx->owner[i] == request) {
                        lane_tx_spill(lane);
                        return;
                }
        }
}

/* Fills in the frame's head once its header and payload are known: iov[0] was kept free for it. */
static void tx_begin(struct lane *lane, const struct lane_to_worker *message, uint32_t payload_len)
{
        struct lane_tx *tx = &lane->tx;
        ssize_t len = lane_make_to_worker(message, tx->head + FRAME_HEAD_BYTES, LANE_TX_HEADER);
        struct frame_head head = {.header_len = (uint32_t)len, .payload_len = payload_len};

        assert(len > 0); /* LANE_TX_HEADER holds the largest batch */
        frame_head_make(&head, tx->head);
        tx->iov[0] = (struct iovec){.iov_base = tx->head, .iov_len = FRAME_HEAD_BYTES + (size_t)len};
        tx->owner[0] = NULL;
        tx->next = 0;
        tx->spilled = false;
}

static void tx_own(struct lane_tx *tx, size_t from, struct request *request)
{
        for (size_t i = from; i < tx->n_iov; i++)
                tx->owner[i] = request;
}

/* ---- requests ---- */

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
        tx_own(tx, first, request);
        request->inlined = (uint32_t)r;
        return true;
}

/* Takes pages in the worker's area for the readable bytes. 1: it has them; 0: the bytes go through the socket, if they go at
 * all; -EAGAIN: it must wait for the next frame. */
static int batch_take_pages(struct lane *lane, struct batch *batch, struct request *request)
{
        uint32_t len = request->chain.readable;

        if (request->must_fail || !direct_takes(&lane->direct, len))
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
                direct_lend(&lane->direct, request);
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

/* What a dead worker held, or found no room in the last frame. */
static void batch_add_unsent(struct lane *lane, struct batch *batch)
{
        struct request *request = lane->requests.oldest;

        for (; request && lane->n_unsent > 0; request = request->newer)
                if (request->state == REQUEST_QUEUED && lane_may_send(lane, request) &&
                    !batch_add(lane, batch, request))
                        return;
}

int lane_tx_take(struct lane *lane, struct lane_queue *queue, struct request **ret_request)
{
        struct request *request = request_table_peek(&lane->requests);
        int r;

        if (!request)
                return 0;
        r = queue_pop(&queue->ring, &request->chain);
        if (r <= 0)
                return r;
        request_table_add(&lane->requests, request, (uint16_t)queue->index, lane_clock_ms());
        request->is_work = !queue->supply;
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
        int r = lane_takes_from(lane, queue) ? lane_tx_take(lane, queue, ret_request) : 0;

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

/* What is only lent is paid for when something comes in it. */
static void batch_pay(struct lane *lane, const struct batch *batch, const struct request *request)
{
        if (request->is_work)
                rate_limit_pay(lane->rate, lane->queues[0].index, 1,
                               (uint64_t)request->chain.readable + request->chain.writable, batch->now_ns);
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

/* A place, as a message says it. */
static uint32_t batch_place(const struct area_span *span, bool *any)
{
        *any |= span->n > 0;
        return span->n > 0 ? span->first + 1u : 0;
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
        batch->in_at[i] = batch_place(&request->in, &batch->any_in);
        batch->out_at[i] = batch_place(&request->out, &batch->any_out);
        quota_lane_earn(&lane->quota, request->chain.readable, request->chain.writable);
}

bool lane_tx_requests(struct lane *lane)
{
        struct batch batch _uninitialized_; /* the first n elements of each column count */
        struct lane_to_worker message = {.kind = LANE_REQUESTS};
        int r = batch_gather(lane, &batch);

        /* There are no more pages: all goes through the socket, and that says whether the worker is gone. */
        if (r == -ESRCH)
                r = batch_gather(lane, &batch);
        if (r < 0)
                lane_worker_fault(lane, "has no memory where it said");
        if (batch.n == 0)
                return false;
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
                                                  .out_at = batch.any_out ? batch.out_at : NULL};
        tx_begin(lane, &message, batch.payload);
        return true;
}

/* ---- Recall ---- */

bool lane_tx_recall(struct lane *lane)
{
        struct lane_to_worker message = {.kind = LANE_RECALL};

        for (unsigned i = 0; i < lane->n_queues; i++) {
                struct lane_queue *queue = &lane->queues[i];

                if (queue->recall != RECALL_WANTED)
                        continue;
                queue->recall = RECALL_SENT;
                message.recall.queue = queue->index;
                lane->tx.n_iov = 1;
                tx_begin(lane, &message, 0);
                return true;
        }
        return false;
}

/* ---- MemRead ---- */

int lane_tx_mem_read(struct lane *lane, const struct lane_mem_read *read)
{
        struct lane_tx *tx = &lane->tx;
        struct lane_mem_read_pending *pending;

        if (tx->n_reads == LIMIT_MEM_READS)
                return -EPROTO;
        pending = &tx->reads[(tx->read_first + tx->n_reads) % LIMIT_MEM_READS];
        pending->seq = read->seq;
        pending->n = (uint32_t)read->n;
        pending->total = read->total;
        memcpy(pending->id, read->id, read->n * sizeof(read->id[0]));
        memcpy(pending->offset, read->offset, read->n * sizeof(read->offset[0]));
        memcpy(pending->len, read->len, read->n * sizeof(read->len[0]));
        tx->n_reads++;
        return 0;
}

/* Appends the bytes of one segment as spans; what the iovec cannot hold is copied. Returns a wire status;
 * anything but OK has appended zeros. `at`: where it begins in the payload. */
static uint32_t tx_add_segment(struct lane *lane, struct request *request, uint32_t offset, uint32_t len,
                               uint32_t at)
{
        struct lane_tx *tx = &lane->tx;
        size_t first = tx->n_iov;
        uint32_t status = WIRE_STATUS_OK;
        uint8_t *copy = tx->spill + LANE_TX_ROOM + at;
        int64_t r = -ECANCELED;

        /* One slot a segment stays free for the copy. */
        if (request)
                r = memory_service_iovec_readable(lane->memory, request, offset, len, tx->iov,
                                                  LANE_TX_IOVEC - LIMIT_MEM_SEGMENTS, &tx->n_iov);
        if (r == (int64_t)len) {
                tx_own(tx, first, request);
                return WIRE_STATUS_OK;
        }
        tx->n_iov = first;
        memset(copy, 0, len);
        if (r < 0) {
                status = status_from_errno((int)r);
        } else if (memory_service_read(lane->memory, request, offset, copy, len) < 0) {
                memset(copy, 0, len);
                status = WIRE_STATUS_FAULT;
        }
        tx->iov[tx->n_iov] = (struct iovec){.iov_base = copy, .iov_len = len};
        tx->owner[tx->n_iov] = NULL;
        tx->n_iov++;
        return status;
}

bool lane_tx_mem_read_reply(struct lane *lane)
{
        struct lane_tx *tx = &lane->tx;
        struct lane_to_worker message = {.kind = LANE_MEM_READ_REPLY};
        const struct lane_mem_read_pending *pending;
        uint32_t status[LIMIT_MEM_SEGMENTS];
        uint32_t at = 0;

        if (tx->n_reads == 0)
                return false;
        pending = &tx->reads[tx->read_first];
        tx->n_iov = 1;
        tx->next = 1;
        for (uint32_t i = 0; i < pending->n; i++) {
                struct request *request = request_table_find(&lane->requests, pending->id[i]);

                status[i] = tx_add_segment(lane, request, pending->offset[i], pending->len[i], at);
                at += pending->len[i];
        }
        message.mem_read_reply =
            (struct lane_mem_read_reply){.seq = pending->seq, .n = pending->n, .status = status};
        tx_begin(lane, &message, pending->total);
        tx->read_first = (tx->read_first + 1) % LIMIT_MEM_READS;
        tx->n_reads--;
        return true;
}

/* ---- Rest ---- */

int lane_tx_ask_rest(struct lane *lane)
{
        if (lane->tx.rest_asked)
                return -EPROTO;
        lane->tx.rest_asked = true;
        return 0;
}

bool lane_tx_may_rest(struct lane *lane)
{
        const struct lane_to_worker message = {.kind = LANE_MAY_REST};
        struct lane_tx *tx = &lane->tx;

        if (!tx->rest_asked)
                return false;
        tx->rest_asked = false;
        tx->n_iov = 1;
        tx_begin(lane, &message, 0);
        return true;
}
