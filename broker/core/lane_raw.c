/* Rings that a worker walks itself.
 * Owns nothing; called by the lane's files, in its thread. TRUST: addresses, lengths and bytes are the worker's, which may have any
 * reason; the layout is the guest's. Both are judged here against the window, and resolved in the lane's snapshot, which is memory as
 * it is inside of that window and nothing else (device_windows.h): twice the same, by two ways.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_raw.h"

#include <errno.h>
#include <string.h>

#include "broker/core/fault_safe.h"
#include "broker/core/lane.h"
#include "broker/core/lane_age.h"
#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "proto/lane.h"

/* ---- queues ---- */

void lane_set_raw(struct lane *lane, uint64_t start, uint64_t size)
{
        lane->raw.start = start;
        lane->raw.size = size;
}

/* What a ring full of chains can need, of which the broker sees none. */
static uint32_t raw_worth(const struct lane_queue *queue)
{
        return queue->ring.layout.size * LIMIT_RAW_CHAIN;
}

static bool raw_rings_are_there(const struct lane *lane, const struct queue_layout *layout)
{
        const struct queue_bytes bytes = queue_bytes(layout->size, false);

        return lane->memory && guest_memory_covers_whole(lane->memory, layout->desc, bytes.desc, false) &&
               guest_memory_covers_whole(lane->memory, layout->avail, bytes.avail, false) &&
               guest_memory_covers_whole(lane->memory, layout->used, bytes.used, true);
}

int lane_raw_start(struct lane *lane, struct lane_queue *queue, const struct queue_layout *layout,
                   const struct queue_features *features, uint32_t base)
{
        if (features->packed || !queue_layout_ok(layout, false) || base > UINT16_MAX)
                return -EINVAL;
        if (!raw_rings_are_there(lane, layout))
                return -EFAULT;
        queue->ring.layout = *layout;
        queue->ring.last_avail = (uint16_t)base;
        queue->ring.fault = QUEUE_FAULT_NONE;
        queue->ring.started = true;
        queue->ring.parked = true;
        queue->raw = true;
        queue->raw_again = true; /* what is there already is looked at, kick or not */
        if (lane_is_attached(lane))
                quota_lane_earn(&lane->quota, raw_worth(queue), 0);
        return 0;
}

void lane_raw_stop(struct lane *lane, struct lane_queue *queue)
{
        if (queue->raw && lane_is_attached(lane))
                quota_lane_settle(&lane->quota, raw_worth(queue), 0);
        queue->raw = queue->raw_again = false;
}

void lane_raw_rebind(struct lane *lane, struct lane_queue *queue)
{
        if (!raw_rings_are_there(lane, &queue->ring.layout))
                queue_break(&queue->ring, QUEUE_FAULT_MEMORY);
}

void lane_raw_attach(struct lane *lane, struct lane_queue *queue)
{
        if (!queue->raw)
                return;
        lane->raw.owner.faulted = false;
        quota_lane_earn(&lane->quota, raw_worth(queue), 0);
        lane_raw_step(lane, queue);
}

/* ---- kicks ---- */

void lane_raw_kick(struct lane *lane, struct lane_queue *queue)
{
        queue->kicks = 0; /* each is the first: it is not looked for in rings whether there is something */
        queue->raw_again = true;
        lane_raw_step(lane, queue);
}

void lane_raw_step(struct lane *lane, struct lane_queue *queue)
{
        struct request *request = request_table_peek(&lane->requests);

        if (!queue->raw_again || queue->held || queue->draining || queue->outstanding > 0 ||
            queue->ring.fault != QUEUE_FAULT_NONE || !request)
                return;
        queue->raw_again = false;
        request_table_add(&lane->requests, request, (uint16_t)queue->index, lane_clock_ms());
        request->is_work = true;
        queue->outstanding++;
        lane->n_unsent++;
        fair_took(&lane->fair, (unsigned)(queue - lane->queues), 0, 0);
        quota_lane_refill(&lane->quota);
        atomic_fetch_add_explicit(&lane->stats.requests, 1, memory_order_relaxed);
        atomic_store_explicit(&lane->stats.outstanding, lane->requests.outstanding, memory_order_relaxed);
}

/* What had to fail, but for a stop, has killed workers: nobody serves this ring any more. */
bool lane_raw_complete(struct lane *lane, struct lane_queue *queue, struct request *request)
{
        if (!queue->raw || queue->ring.fault != QUEUE_FAULT_NONE)
                return false;
        if (lane->raw.owner.faulted)
                queue_break(&queue->ring, QUEUE_FAULT_MEMORY);
        else if (request->must_fail && !queue->draining)
                queue_break(&queue->ring, QUEUE_FAULT_DEVICE);
        if (queue->ring.fault != QUEUE_FAULT_NONE)
                return false;
        lane->completed++;
        lane_signal(queue);
        lane_release(lane, queue, request);
        for (unsigned i = 0; i < lane->n_queues; i++)
                lane_raw_step(lane, &lane->queues[i]);
        return true;
}

/* ---- judging ---- */

int lane_raw_judge(const struct lane *lane, const struct lane_raw *message)
{
        if (lane->used_requests == 0)
                return -EPROTO;
        for (size_t i = 0; i < message->n; i++)
                if (!range_inside(message->at[i] - lane->raw.start, message->len[i], lane->raw.size))
                        return -EPROTO; /* an address before the window is one far behind it */
        return 0;
}

int lane_raw_taken(struct lane *lane, uint32_t index, uint32_t next)
{
        struct lane_queue *queue = lane_queue_find(lane, index);

        if (!queue || !queue->raw || queue->outstanding == 0)
                return -EPROTO;
        queue->ring.last_avail = (uint16_t)next;
        return 0;
}

/* ---- copies ---- */

/* Indexes and flags are of such a size and place, and are loaded and stored as one; NULL: these bytes are not one word, or lie in
 * no one piece of memory, or not at all. */
static void *raw_word(const struct lane *lane, uint64_t at, uint32_t len, bool write)
{
        if ((len != 2 && len != 4 && len != 8) || at % len != 0)
                return NULL;
        return guest_memory_ring(lane->memory, GPA(at), len, len, write);
}

static int raw_load(const void *at, uint32_t len, uint8_t *to)
{
        uint64_t value64 = 0;
        uint32_t value32 = 0;
        uint16_t value16 = 0;
        int r = len == 8   ? fault_safe_load64(at, &value64)
                : len == 4 ? fault_safe_load32(at, &value32)
                           : fault_safe_load16(at, &value16);

        memcpy(to, len == 8 ? (void *)&value64 : len == 4 ? (void *)&value32 : (void *)&value16, len);
        return r;
}

static int raw_store(void *at, uint32_t len, const uint8_t *from)
{
        uint64_t value64;
        uint32_t value32;
        uint16_t value16;

        if (len == 8) {
                memcpy(&value64, from, len);
                return fault_safe_store64(at, value64);
        }
        if (len == 4) {
                memcpy(&value32, from, len);
                return fault_safe_store32(at, value32);
        }
        memcpy(&value16, from, len);
        return fault_safe_store16(at, value16);
}

static void raw_break(struct lane *lane)
{
        for (unsigned i = 0; i < lane->n_queues; i++)
                if (lane->queues[i].raw)
                        lane_queue_break(lane, &lane->queues[i], QUEUE_FAULT_ADDRESS);
}

/* Bytes of one segment, from `done` on. Returns how many it took; 0: more must come. */
static uint32_t raw_land_segment(struct lane *lane, uint64_t at, uint32_t len, uint32_t done)
{
        struct lane_rx *rx = &lane->rx;
        const uint8_t *from = rx->buf + rx->pos;
        uint32_t have = (uint32_t)MIN((size_t)(len - done), rx->have - rx->pos);
        void *word = done == 0 && lane->memory ? raw_word(lane, at, len, true) : NULL;
        int r;

        if (have == 0 || (word && have < len))
                return 0;
        if (word)
                r = raw_store(word, len, from);
        else
                r = lane->memory ? guest_memory_write(lane->memory, GPA(at + done), from, have) : -EFAULT;
        if (r < 0)
                raw_break(lane);
        return have;
}

bool lane_raw_land(struct lane *lane)
{
        struct lane_rx *rx = &lane->rx;
        const struct lane_raw *message = &rx->message.raw;

        for (; rx->segment < message->n; rx->segment++, rx->done = 0) {
                while (rx->done < message->len[rx->segment]) {
                        uint32_t n = raw_land_segment(lane, message->at[rx->segment],
                                                      message->len[rx->segment], rx->done);

                        if (n == 0)
                                return false;
                        rx->done += n;
                        rx->pos += n;
                }
        }
        atomic_fetch_add_explicit(&lane->stats.bytes_to_guest, message->total, memory_order_relaxed);
        return true;
}

/* Zeros, or what one access or copy of our own finds. */
static uint32_t raw_copy(struct lane *lane, uint64_t at, uint32_t len, uint8_t *copy)
{
        void *word = raw_word(lane, at, len, false);

        if ((word ? raw_load(word, len, copy) : guest_memory_read(lane->memory, GPA(at), copy, len)) == 0)
                return WIRE_STATUS_OK;
        memset(copy, 0, len);
        return WIRE_STATUS_FAULT;
}

/* Words and what has too many pieces are copied now; the rest goes straight from guest memory, when the frame does. */
uint32_t lane_raw_add_segment(struct lane *lane, const struct lane_mem_read_pending *pending, uint32_t i,
                              uint8_t *copy)
{
        struct lane_tx *tx = &lane->tx;
        uint64_t at = pending->raw_at[i];
        uint32_t len = pending->len[i], status = WIRE_STATUS_CANCELED;
        size_t first = tx->n_iov;

        if (lane->used_requests > 0 && lane->memory) {
                if (len > sizeof(uint64_t) &&
                    guest_memory_iovec(lane->memory, GPA(at), len, false, tx->iov,
                                       LANE_TX_IOVEC - LIMIT_MEM_SEGMENTS, &tx->n_iov) == (int64_t)len) {
                        lane_tx_own(tx, first, &lane->raw.owner);
                        status = WIRE_STATUS_OK;
                } else {
                        tx->n_iov = first;
                        status = raw_copy(lane, at, len, copy);
                }
        } else {
                memset(copy, 0, len);
        }
        if (tx->n_iov == first) {
                tx->owner[tx->n_iov] = NULL;
                tx->iov[tx->n_iov++] = (struct iovec){.iov_base = copy, .iov_len = len};
        }
        if (status == WIRE_STATUS_OK)
                atomic_fetch_add_explicit(&lane->stats.bytes_from_guest, len, memory_order_relaxed);
        return status;
}
