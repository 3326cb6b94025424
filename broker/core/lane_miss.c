/* Missing translations, as a lane sees them.
 * Owns nothing; called by the lane's files and, by calls into its thread, by device_iotlb.c. TRUST: segments are the guest's, judged by
 * the walk; ids of a frame are the worker's and not judged yet: one that names nothing holds nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_miss.h"

#include "broker/core/interval_map.h"
#include "broker/core/iotlb.h"
#include "broker/core/lane.h"
#include "broker/core/lane_age.h"
#include "broker/core/lane_supply.h"
#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "proto/lane.h"

/* One direction of a request's chain. */
struct part {
        const struct segment *segments;
        uint32_t n;
        unsigned right;
};

static struct part part_of(const struct request *request, unsigned right)
{
        const struct chain *chain = &request->chain;

        if (right == IOTLB_READ)
                return (struct part){chain->segments, chain->n_readable, right};
        return (struct part){chain->segments + chain->n_readable, chain->n_writable, right};
}

static bool part_misses(const struct lane *lane, struct part part)
{
        for (uint32_t i = 0; lane->memory && i < part.n; i++)
                if (!guest_memory_covers(lane->memory, part.segments[i].at, part.segments[i].len,
                                         part.right == IOTLB_WRITE))
                        return true;
        return false;
}

/* Which bytes are a request's next step going to need? What its worker has been sent is read again only if that asks for it: then it
 * waits for them, and so they must be wanted. */
static unsigned rights_needed(const struct request *request)
{
        uint32_t sent = request->in.n > 0 ? request->chain.readable : request->inlined;

        if (request->state == REQUEST_SENT && sent >= request->chain.readable && !request->reread)
                return IOTLB_WRITE;
        return IOTLB_READ | IOTLB_WRITE;
}

/* May it be waited for at all? What has failed already needs nothing, and what cannot be told needs no bytes. */
static bool may_wait(struct lane *lane, const struct request *request)
{
        return !request->faulted && request->state != REQUEST_RETURNED &&
               lane_queue_find(lane, request->queue)->ring.fault == QUEUE_FAULT_NONE;
}

/* Without its rings a queue can be told of no answer. */
static bool holds(struct lane *lane, const struct request *request, unsigned rights, bool rings)
{
        const struct queue *ring = &lane_queue_find(lane, request->queue)->ring;

        if (!may_wait(lane, request))
                return false;
        if ((!rings || ring->used) &&
            !((rights & IOTLB_READ) && part_misses(lane, part_of(request, IOTLB_READ))) &&
            !((rights & IOTLB_WRITE) && part_misses(lane, part_of(request, IOTLB_WRITE))))
                return false;
        lane_miss_tell(lane);
        return true;
}

static bool holds_any(struct lane *lane, const uint64_t *id, size_t n, unsigned rights, bool rings)
{
        for (size_t i = 0; i < n; i++) {
                struct request *request = request_table_find(&lane->requests, id[i]);

                if (!request || request->state != REQUEST_SENT)
                        continue;
                request->reread |= (rights & IOTLB_READ) != 0;
                if (holds(lane, request, rights, rings))
                        return true;
        }
        return false;
}

bool lane_miss_holds_frame(struct lane *lane, const struct lane_to_broker *message)
{
        switch (message->kind) {
        case LANE_MEM_READ:
                return holds_any(lane, message->mem_read.id, message->mem_read.n, IOTLB_READ, false);
        case LANE_MEM_WRITE:
                return holds_any(lane, message->mem_write.id, message->mem_write.n, IOTLB_WRITE, false);
        case LANE_COMPLETE:
                return holds_any(lane, message->complete.id, message->complete.n, IOTLB_WRITE, true);
        default:
                return false;
        }
}

bool lane_miss_holds_reply(struct lane *lane, const struct lane_mem_read_pending *pending)
{
        return holds_any(lane, pending->id, pending->n, IOTLB_READ, false);
}

bool lane_miss_holds_request(struct lane *lane, const struct request *request)
{
        return !request->must_fail && holds(lane, request, IOTLB_READ, false);
}

bool lane_miss_holds_failure(struct lane *lane, const struct request *request)
{
        return holds(lane, request, IOTLB_WRITE, true);
}

void lane_miss_tell(struct lane *lane)
{
        if (lane->miss.told || !lane->events.missing)
                return;
        lane->miss.told = true;
        lane->events.missing(lane->events.context);
}

/* ---- answers without a ring ---- */

bool lane_miss_keeps(struct lane *lane, struct request *request)
{
        struct lane_queue *queue = lane_queue_find(lane, request->queue);

        if (!queue->ring.started || queue->ring.fault != QUEUE_FAULT_NONE || queue->supply ||
            queue->replay != REPLAY_IDEMPOTENT)
                return false;
        lane_withdraw(lane, request);
        queue->n_returned++;
        lane_supply_step(lane, queue);
        return true;
}

/* The rings are there again. */
static void miss_tell_kept(struct lane *lane, struct lane_queue *queue)
{
        struct request *request = lane->requests.oldest;

        while (request && queue->n_returned > 0) {
                struct request *newer = request->newer;

                if (request->queue == queue->index && request->state == REQUEST_RETURNED) {
                        queue->n_returned--;
                        lane_finish(lane, request, WIRE_STATUS_OK);
                }
                request = newer;
        }
        lane_publish(lane);
}

/* ---- going on ---- */

/* What came meanwhile is taken as if it came now: so long nobody has listened, and no request is older than that. */
static void miss_resume(struct lane *lane)
{
        uint64_t now_ms;

        if (!lane->rx.parked)
                return;
        lane_rx_unpark(&lane->rx);
        now_ms = lane_clock_ms();
        for (struct request *request = lane->requests.oldest; request; request = request->newer)
                if (request->state == REQUEST_SENT)
                        request->sent_ms = now_ms;
        lane_readable(lane);
}

static void miss_judge(struct lane *lane)
{
        lane->miss.waits = lane->memory && guest_memory_is_translated(lane->memory) && !lane->miss.hurried;
}

void lane_miss_renew(struct lane *lane)
{
        struct lane_rx *rx = &lane->rx;

        miss_judge(lane);
        for (unsigned i = 0; i < lane->n_queues; i++)
                if (lane->queues[i].n_returned > 0 && !lane->queues[i].supply && lane->queues[i].ring.used)
                        miss_tell_kept(lane, &lane->queues[i]);
        /* Between two parts of a payload. Its frame has been judged: the requests are those that it names. */
        if (lane->miss.waits && rx->state == LANE_RX_PAYLOAD && lane_miss_holds_frame(lane, &rx->message))
                rx->parked = true;
        else
                miss_resume(lane);
}

void lane_miss_hurry(struct lane *lane, bool hurried)
{
        lane->miss.hurried = hurried;
        miss_judge(lane);
        if (hurried)
                miss_resume(lane);
        lane_turn(lane);
}

/* ---- what is wanted ---- */

static void offer_all(struct miss_list *list, const struct miss_list *from, bool posted)
{
        for (unsigned i = 0; i < from->n; i++) {
                struct miss_page page = from->pages[i];

                page.posted = posted;
                if (!miss_list_offer(list, &page))
                        return;
        }
}

static bool ring_waits(const struct lane_queue *queue, bool for_chain)
{
        const struct queue *ring = &queue->ring;

        return ring->parked && ring->fault == QUEUE_FAULT_NONE && (ring->desc != NULL) == for_chain;
}

static void collect_request(struct lane *lane, struct request *request, struct miss_list *list)
{
        const unsigned rights = rights_needed(request);
        struct miss_list mine = {.n = 0};

        for (unsigned right = IOTLB_READ; right <= IOTLB_WRITE; right <<= 1) {
                struct part part = part_of(request, right);

                for (uint32_t i = 0; (rights & right) != 0 && i < part.n; i++)
                        (void)miss_list_range(&mine, lane->memory, part.segments[i].at, part.segments[i].len,
                                              right);
        }
        offer_all(list, &mine, false);
}

void lane_miss_collect(struct lane *lane, struct miss_list *list)
{
        lane->miss.told = false;
        if (!lane->memory || !guest_memory_is_translated(lane->memory))
                return;
        for (unsigned i = 0; i < lane->n_queues; i++)
                if (ring_waits(&lane->queues[i], false))
                        offer_all(list, &lane->queues[i].ring.miss, false);
        for (struct request *request = lane->requests.oldest; request && list->n < LIMIT_IOTLB_MISSES;
             request = request->newer)
                if (may_wait(lane, request))
                        collect_request(lane, request, list);
        for (unsigned i = 0; i < lane->n_queues; i++)
                if (ring_waits(&lane->queues[i], true) && !lane->queues[i].draining)
                        offer_all(list, &lane->queues[i].ring.miss, true);
}

/* ---- what nobody gives ---- */

/* Does a range need a byte of this page that is not there with this right? */
static bool range_misses_page(const struct lane *lane, const struct segment *segment, uint64_t iova,
                              unsigned right)
{
        uint64_t first = MAX(segment->at.v, iova);
        uint64_t last = MIN(segment->at.v + (segment->len - 1u), iova + (LIMIT_IOTLB_PAGE - 1u));

        return first <= last &&
               !guest_memory_covers(lane->memory, GPA(first), last - first + 1, right == IOTLB_WRITE);
}

static bool request_misses_page(const struct lane *lane, const struct request *request, uint64_t iova,
                                unsigned rights)
{
        rights &= rights_needed(request);
        for (unsigned right = IOTLB_READ; right <= IOTLB_WRITE; right <<= 1) {
                struct part part = part_of(request, right);

                for (uint32_t i = 0; (rights & right) != 0 && i < part.n; i++)
                        if (range_misses_page(lane, &part.segments[i], iova, right))
                                return true;
        }
        return false;
}

void lane_miss_refuse(struct lane *lane, uint64_t iova, unsigned rights)
{
        if (!lane->memory)
                return;
        for (unsigned i = 0; i < lane->n_queues; i++) {
                struct lane_queue *queue = &lane->queues[i];

                if (queue->ring.parked && miss_list_has(&queue->ring.miss, iova, rights))
                        lane_queue_break(lane, queue,
                                         queue->ring.desc ? QUEUE_FAULT_ADDRESS : QUEUE_FAULT_MEMORY);
        }
        for (struct request *request = lane->requests.oldest; request; request = request->newer) {
                if (!may_wait(lane, request) || !request_misses_page(lane, request, iova, rights))
                        continue;
                request->faulted = true;
                request->must_fail |= request->state == REQUEST_QUEUED;
        }
        miss_resume(lane);
        lane_turn(lane);
}

/* ---- what is needed ---- */

static void mark_range(const struct interval_map *entries, uint64_t *marks, gpa_t at, uint64_t len)
{
        const struct interval *item = len > 0 ? interval_map_find(entries, at.v) : NULL;
        size_t i = item ? (size_t)(item - interval_map_at(entries, 0)) : interval_map_behind(entries, at.v);

        for (; i < interval_map_n(entries); i++) {
                uint64_t start = interval_map_at(entries, i)->start;

                if (start > at.v && start - at.v >= len)
                        return;
                marks[i / 64] |= UINT64_C(1) << (i % 64);
        }
}

static void mark_chain(const struct interval_map *entries, uint64_t *marks, const struct chain *chain)
{
        for (uint32_t i = 0; i < (uint32_t)chain->n_readable + chain->n_writable; i++)
                mark_range(entries, marks, chain->segments[i].at, chain->segments[i].len);
}

static void mark_queue(struct lane *lane, struct queue *ring, const struct interval_map *entries,
                       uint64_t *marks)
{
        struct queue_bytes bytes = queue_bytes(ring->layout.size, ring->features.packed);
        struct request *request = request_table_peek(&lane->requests);

        mark_range(entries, marks, ring->layout.desc, bytes.desc);
        mark_range(entries, marks, ring->layout.avail, bytes.avail);
        mark_range(entries, marks, ring->layout.used, bytes.used);
        if (!request || !queue_see_parked(ring, &request->chain))
                return;
        mark_range(entries, marks, ring->miss_table.at, ring->miss_table.len);
        mark_chain(entries, marks, &request->chain);
}

void lane_miss_mark(struct lane *lane, const struct interval_map *entries, uint64_t *marks)
{
        for (unsigned i = 0; i < lane->n_queues; i++)
                if (lane->queues[i].ring.started && lane->queues[i].ring.fault == QUEUE_FAULT_NONE)
                        mark_queue(lane, &lane->queues[i].ring, entries, marks);
        for (const struct request *request = lane->requests.oldest; request; request = request->newer)
                mark_chain(entries, marks, &request->chain);
}
