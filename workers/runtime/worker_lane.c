/* One lane as the worker has it.
 * Owns the lane's memory, allocated once before the jail closes and never freed. Called by worker.c and
 * request.c. TRUST: bytes of the broker; guest bytes pass through and are not looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/worker_lane.h"

#include <errno.h>

#include "proto/base/status.h"
#include "proto/lane.h"
#include "workers/runtime/trap.h"
#include "workers/runtime/worker_memory.h"

int worker_lane_init(struct worker_lane *lane, struct worker_shared *shared, struct fd_duplex ends,
                     uint32_t max_payload, uint32_t credit_requests, uint32_t credit_bytes,
                     const struct inbox_area *area)
{
        struct request *requests = worker_memory((credit_requests + 1) * sizeof(*requests));
        uint8_t *bytes = worker_memory(credit_bytes + 1);
        uint8_t *stage = worker_memory(LINK_STAGE);
        uint8_t *payload = worker_memory_apart(OUTBOX_PAYLOAD);

        if (!requests || !bytes || !stage || !payload)
                return -ENOMEM;
        *lane = (struct worker_lane){.shared = shared};
        link_init(&lane->link, ends, stage, max_payload);
        inbox_init(&lane->inbox, lane, requests, credit_requests, bytes, credit_bytes, area);
        outbox_init(&lane->outbox, &lane->link, payload);
        return 0;
}

static void worker_lane_next(struct worker_lane *lane, struct frame_head *ret_head,
                             struct lane_to_worker *ret_message)
{
        struct frame_head head;
        const uint8_t *header;

        link_next(&lane->link, &head, &header);
        if (lane_check_to_worker(&lane->shared->arena, header, head.header_len, head.payload_len,
                                 ret_message) < 0)
                worker_trap();
        *ret_head = head;
}

static void worker_lane_file(struct worker_lane *lane, const struct lane_requests *batch,
                             uint32_t payload_len)
{
        uint8_t *bytes;

        for (size_t i = 0; i < batch->n; i++)
                if (!(lane->shared->queues_started >> batch->queue[i] & 1))
                        worker_trap();
        if (inbox_add(&lane->inbox, batch, payload_len, &bytes) < 0)
                worker_trap();
        outbox_set_longer(&lane->outbox, batch->longer);
        lane->stays = batch->stay;
        lane->look |= batch->look;
        lane->spin_us = batch->spin_us;
        link_payload(&lane->link, bytes, payload_len);
}

/* What comes behind it is of the queue's next start, and stays. */
static void worker_lane_mark(struct worker_lane *lane, uint32_t queue)
{
        bool supply = lane->shared->queues_supply >> queue & 1;

        if (!(lane->shared->queues_started >> queue & 1))
                worker_trap();
        for (struct request *r = lane->inbox.oldest; supply && r; r = r->newer)
                r->recalled |= r->queue == queue;
        lane->recalled |= UINT64_C(1) << queue;
}

void worker_lane_give_back(struct worker_lane *lane)
{
        struct request *next;

        lane->recalled = 0;
        for (struct request *r = lane->inbox.oldest; r != lane->inbox.waiting; r = next) {
                uint64_t id = r->id;

                next = r->newer;
                if (!r->recalled)
                        continue;
                inbox_remove(&lane->inbox, r);
                outbox_complete(&lane->outbox, id, WIRE_STATUS_CANCELED, 0, 0);
        }
        for (struct request *r = lane->inbox.waiting; r; r = r->newer)
                if (r->recalled)
                        lane->recalled |= UINT64_C(1) << r->queue;
}

/* What may come at any time. False: it is an answer to a question about bytes. */
static bool worker_lane_take(struct worker_lane *lane, const struct lane_to_worker *message,
                             uint32_t payload_len)
{
        switch (message->kind) {
        case LANE_REQUESTS:
                worker_lane_file(lane, &message->requests, payload_len);
                return true;
        case LANE_MAY_REST:
                inbox_may_rest(&lane->inbox);
                return true;
        case LANE_RECALL:
                worker_lane_mark(lane, message->recall.queue);
                return true;
        case LANE_WAKE:
                lane->stays = false;
                return true;
        case LANE_MEM_READ_REPLY:
                break;
        }
        return false;
}

void worker_lane_receive(struct worker_lane *lane)
{
        struct lane_to_worker message;
        struct frame_head head;

        worker_lane_next(lane, &head, &message);
        if (!worker_lane_take(lane, &message, head.payload_len))
                worker_trap();
}

void worker_lane_rest(struct worker_lane *lane)
{
        if (!inbox_wants_rest(&lane->inbox))
                return;
        inbox_ask_rest(&lane->inbox);
        outbox_ask_rest(&lane->outbox);
}

void worker_lane_ask(struct worker_lane *lane, uint64_t id, uint32_t offset, uint32_t len)
{
        outbox_ask(&lane->outbox, lane->seq_next++, id, offset, len);
}

void worker_lane_ask_raw(struct worker_lane *lane, const struct lane_raw *read)
{
        struct lane_raw numbered = *read;

        numbered.seq = lane->seq_next++;
        outbox_ask_raw(&lane->outbox, &numbered);
}

int worker_lane_await(struct worker_lane *lane, uint8_t *buf, uint32_t len)
{
        return worker_lane_await_many(lane, buf, len, 1);
}

int worker_lane_await_many(struct worker_lane *lane, uint8_t *buf, uint32_t len, uint32_t n)
{
        struct lane_to_worker message;
        struct frame_head head;
        int r = 0;

        do
                worker_lane_next(lane, &head, &message);
        while (worker_lane_take(lane, &message, head.payload_len));
        if (lane->seq_oldest == lane->seq_next || message.mem_read_reply.seq != lane->seq_oldest)
                worker_trap();
        if (message.mem_read_reply.n != n || head.payload_len != len)
                worker_trap();
        for (uint32_t i = 0; i < n && r == 0; i++)
                r = status_to_errno(message.mem_read_reply.status[i]);
        lane->seq_oldest++;
        link_payload(&lane->link, buf, len);
        inbox_trust(&lane->inbox); /* no question is open while the lane rests: this one was asked after it */
        return r;
}
