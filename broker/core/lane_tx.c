/* The sending half of a lane: the frame under way, and answers to what the worker has asked.
 * Owns that frame and the unanswered MemReads; called by lane.c, lane_batch.c and lane_rx.c. TRUST: MemRead columns
 * are judged against the table when they come and looked up again when they are answered, since the worker may have
 * completed the request in between.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_tx.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "broker/core/fault_safe.h"
#include "broker/core/lane.h"
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
                ssize_t n = writev(lane->ends.out, &tx->iov[tx->next],
                                   (int)MIN(tx->n_iov - tx->next, (size_t)IOV_MAX));

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

void lane_tx_begin(struct lane *lane, const struct lane_to_worker *message, uint32_t payload_len)
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

void lane_tx_own(struct lane_tx *tx, size_t from, struct request *request)
{
        for (size_t i = from; i < tx->n_iov; i++)
                tx->owner[i] = request;
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
                lane_tx_begin(lane, &message, 0);
                return true;
        }
        return false;
}

/* ---- MemRead ---- */

/* Room for one more question; NULL: there is none. */
static struct lane_mem_read_pending *tx_file_read(struct lane_tx *tx)
{
        if (tx->n_reads == LIMIT_MEM_READS)
                return NULL;
        return &tx->reads[(tx->read_first + tx->n_reads++) % LIMIT_MEM_READS];
}

int lane_tx_raw_read(struct lane *lane, const struct lane_raw *read)
{
        struct lane_mem_read_pending *pending = tx_file_read(&lane->tx);

        if (!pending)
                return -EPROTO;
        pending->seq = read->seq;
        pending->n = (uint32_t)read->n;
        pending->total = read->total;
        pending->raw = true;
        memset(pending->id, 0, sizeof(pending->id)); /* no request's */
        memcpy(pending->raw_at, read->at, read->n * sizeof(read->at[0]));
        memcpy(pending->len, read->len, read->n * sizeof(read->len[0]));
        return 0;
}

int lane_tx_mem_read(struct lane *lane, const struct lane_mem_read *read)
{
        struct lane_mem_read_pending *pending = tx_file_read(&lane->tx);

        if (!pending)
                return -EPROTO;
        pending->seq = read->seq;
        pending->n = (uint32_t)read->n;
        pending->total = read->total;
        pending->raw = false;
        memcpy(pending->id, read->id, read->n * sizeof(read->id[0]));
        memcpy(pending->offset, read->offset, read->n * sizeof(read->offset[0]));
        memcpy(pending->len, read->len, read->n * sizeof(read->len[0]));
        return 0;
}

static void tx_add_copy(struct lane_tx *tx, uint8_t *copy, uint32_t len)
{
        tx->iov[tx->n_iov] = (struct iovec){.iov_base = copy, .iov_len = len};
        tx->owner[tx->n_iov] = NULL;
        tx->n_iov++;
}

/* No request of this lane: its own has been completed, or it never had one. */
static uint32_t tx_add_other(struct lane *lane, const struct lane_mem_read_pending *pending, uint32_t i,
                             uint32_t at)
{
        uint8_t *copy = lane->tx.spill + LANE_TX_ROOM + at;

        if (pending->raw)
                return lane_raw_add_segment(lane, pending, i, copy);
        memset(copy, 0, pending->len[i]);
        tx_add_copy(&lane->tx, copy, pending->len[i]);
        return WIRE_STATUS_CANCELED;
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
        int64_t r;

        /* One slot a segment stays free for the copy. */
        r = memory_service_iovec_readable(lane->memory, request, offset, len, tx->iov,
                                          LANE_TX_IOVEC - LIMIT_MEM_SEGMENTS, &tx->n_iov);
        if (r == (int64_t)len) {
                lane_tx_own(tx, first, request);
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
        tx_add_copy(tx, copy, len);
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
        if (lane->miss.waits && lane_miss_holds_reply(lane, pending))
                return false;
        tx->n_iov = 1;
        tx->next = 1;
        for (uint32_t i = 0; i < pending->n; i++) {
                struct request *request = request_table_find(&lane->requests, pending->id[i]);

                status[i] = request ? tx_add_segment(lane, request, pending->offset[i], pending->len[i], at)
                                    : tx_add_other(lane, pending, i, at);
                at += pending->len[i];
        }
        message.mem_read_reply =
            (struct lane_mem_read_reply){.seq = pending->seq, .n = pending->n, .status = status};
        lane_tx_begin(lane, &message, pending->total);
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

        if (!tx->rest_asked || tx->n_reads > 0) /* what it has asked before is answered before */
                return false;
        tx->rest_asked = false;
        tx->n_iov = 1;
        lane_tx_begin(lane, &message, 0);
        return true;
}
