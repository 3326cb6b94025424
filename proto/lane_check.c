/* Lane messages, wire -> judged. Runs once a batch, on both sides: no malloc, one pass over the columns.
 * Owns nothing: judged columns are protobuf-c's arrays in the caller's arena.
 * Called by the broker's lanes and the workers' link.
 * TRUST: bytes of a worker (to_broker) or of the broker (to_worker). What only the receiver can know,
 * whether an id is outstanding and an offset lies inside it, is judged by its table.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/lane.h"

#include <errno.h>
#include <stdbool.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/base/status.h"
#include "proto/wire.h"
#include "schema/lane.pb-c.h"

_Static_assert(LIMIT_MEM_SEGMENTS <= LIMIT_WIRE_COLUMN, "zeros are as many as any column has");

/* A column is whole, or zeros that were not sent. */
static bool lane_check_column(const uint32_t *column, size_t n_column, size_t n, const uint32_t **ret_column)
{
        static const uint32_t zeros[LIMIT_WIRE_COLUMN];

        *ret_column = n_column > 0 ? column : zeros;
        return n_column == 0 || n_column == n;
}

/* n segments: each ends at `end` or before, and none is empty unless `may_be_empty`. A
 * column has at most LIMIT_WIRE_COLUMN elements of 32 bits, so the sum cannot wrap. */
static int lane_check_segments(size_t n, const uint32_t *offset, const uint32_t *len, uint64_t end,
                               bool may_be_empty, uint64_t *ret_total)
{
        uint64_t total = 0;

        for (size_t i = 0; i < n; i++) {
                if (!range_inside(offset[i], len[i], end))
                        return -EPROTO;
                if (len[i] == 0 && !may_be_empty)
                        return -EPROTO;
                total += len[i];
        }
        if (total > LIMIT_FRAME_PAYLOAD)
                return -EPROTO;
        *ret_total = total;
        return 0;
}

/* Addresses stand where ids do, and have no offset. */
static int lane_check_raw(const uint64_t *at, size_t n, const uint32_t *offset, const uint32_t *len,
                          struct lane_raw *ret)
{
        uint64_t total = 0;

        for (size_t i = 0; i < n; i++) {
                if (offset[i] != 0 || len[i] == 0 || len[i] - 1 > UINT64_MAX - at[i])
                        return -EPROTO;
                total += len[i];
        }
        if (total > LIMIT_FRAME_PAYLOAD)
                return -EPROTO;
        *ret = (struct lane_raw){.n = n, .at = at, .len = len, .total = (uint32_t)total};
        return 0;
}

static int lane_check_raw_read(const Bulkhead__Lane__MemRead *wire, const uint32_t *offset,
                               struct lane_to_broker *ret)
{
        int r = lane_check_raw(wire->id, wire->n_id, offset, wire->len, &ret->raw);

        ret->kind = LANE_RAW_READ;
        ret->raw.seq = wire->seq;
        return r;
}

static int lane_check_raw_write(const Bulkhead__Lane__MemWrite *wire, const uint32_t *offset,
                                uint32_t payload_len, struct lane_to_broker *ret)
{
        int r = lane_check_raw(wire->id, wire->n_id, offset, wire->len, &ret->raw);

        ret->kind = LANE_RAW_WRITE;
        return r == 0 && ret->raw.total != payload_len ? -EPROTO : r;
}

static int lane_check_mem_read(const Bulkhead__Lane__MemRead *wire, uint32_t payload_len,
                               struct lane_to_broker *ret)
{
        const uint32_t *offset;
        size_t n = wire->n_id;
        uint64_t total;
        int r;

        if (n < 1 || n > LIMIT_MEM_SEGMENTS || wire->n_len != n ||
            !lane_check_column(wire->offset, wire->n_offset, n, &offset))
                return -EPROTO;
        if (payload_len != 0)
                return -EPROTO;
        if (wire->space != BULKHEAD__LANE__SPACE__SPACE_CHAIN)
                return wire->space == BULKHEAD__LANE__SPACE__SPACE_RAW
                           ? lane_check_raw_read(wire, offset, ret)
                           : -EPROTO;
        r = lane_check_segments(n, offset, wire->len, LIMIT_CHAIN_BYTES, false, &total);
        if (r < 0)
                return r;
        ret->kind = LANE_MEM_READ;
        ret->mem_read = (struct lane_mem_read){.seq = wire->seq,
                                               .n = n,
                                               .id = wire->id,
                                               .offset = offset,
                                               .len = wire->len,
                                               .total = (uint32_t)total};
        return 0;
}

static int lane_check_space(Bulkhead__Lane__Space wire, enum lane_space *ret_space)
{
        switch (wire) {
        case BULKHEAD__LANE__SPACE__SPACE_CHAIN:
                *ret_space = LANE_SPACE_CHAIN;
                return 0;
        case BULKHEAD__LANE__SPACE__SPACE_BOOT:
                *ret_space = LANE_SPACE_BOOT;
                return 0;
        default:
                return -EPROTO;
        }
}

/* Offsets of a request end with the longest chain there may be; how long a range of RAM is, its receiver knows. */
static uint64_t lane_space_end(enum lane_space space)
{
        return space == LANE_SPACE_CHAIN ? LIMIT_CHAIN_BYTES : UINT64_C(1) << 32;
}

static int lane_check_mem_write(const Bulkhead__Lane__MemWrite *wire, uint32_t payload_len,
                                struct lane_to_broker *ret)
{
        const uint32_t *offset;
        size_t n = wire->n_id;
        enum lane_space space;
        uint64_t total;
        int r;

        if (n < 1 || n > LIMIT_MEM_SEGMENTS || wire->n_len != n ||
            !lane_check_column(wire->offset, wire->n_offset, n, &offset))
                return -EPROTO;
        if (lane_check_space(wire->space, &space) < 0)
                return wire->space == BULKHEAD__LANE__SPACE__SPACE_RAW
                           ? lane_check_raw_write(wire, offset, payload_len, ret)
                           : -EPROTO;
        r = lane_check_segments(n, offset, wire->len, lane_space_end(space), false, &total);
        if (r < 0)
                return r;
        if (total != payload_len)
                return -EPROTO;
        ret->kind = LANE_MEM_WRITE;
        ret->mem_write = (struct lane_mem_write){
            .n = n, .id = wire->id, .offset = offset, .len = wire->len, .space = space};
        return 0;
}

/* No place is longer than what is lent. */
static bool lane_check_placed(const Bulkhead__Lane__Complete *wire)
{
        if (wire->n_placed != 0 && wire->n_placed != wire->n_id)
                return false;
        for (size_t i = 0; i < wire->n_placed; i++)
                if (wire->placed[i] > LIMIT_DIRECT_LEND)
                        return false;
        return true;
}

/* What was not used, or not done yet, was not written either. */
static bool lane_check_end(const struct lane_complete *complete, size_t i)
{
        uint32_t status = complete->status[i];

        if (status == WIRE_STATUS_CANCELED || status == WIRE_STATUS_WAITING)
                return complete->len[i] == 0 && (!complete->placed || complete->placed[i] == 0);
        return status == WIRE_STATUS_OK || status == WIRE_STATUS_PROTOCOL;
}

static int lane_check_complete(const Bulkhead__Lane__Complete *wire, uint32_t payload_len,
                               struct lane_complete *ret)
{
        size_t n = wire->n_id;
        uint64_t total;
        int r;

        if (n < 1 || n > LIMIT_WIRE_COLUMN ||
            !lane_check_column(wire->status, wire->n_status, n, &ret->status) ||
            !lane_check_column(wire->offset, wire->n_offset, n, &ret->offset) ||
            !lane_check_column(wire->len, wire->n_len, n, &ret->len) || !lane_check_placed(wire))
                return -EPROTO;
        ret->n = n;
        ret->id = wire->id;
        ret->placed = wire->n_placed > 0 ? wire->placed : NULL;
        for (size_t i = 0; i < n; i++)
                if (!lane_check_end(ret, i))
                        return -EPROTO;
        r = lane_check_segments(n, ret->offset, ret->len, LIMIT_CHAIN_BYTES, true, &total);
        if (r < 0)
                return r;
        return total == payload_len ? 0 : -EPROTO;
}

/* One request of a batch; adds what the payload has of it to *total. */
static int lane_check_request(const struct lane_requests *requests, size_t i, uint64_t *total)
{
        if (requests->queue[i] >= LIMIT_QUEUES || requests->must_fail[i] > 1)
                return -EPROTO;
        if (!range_inside(requests->readable[i], requests->writable[i],
                          LIMIT_CHAIN_BYTES)) /* the writable part comes last */
                return -EPROTO;
        if (requests->inlined[i] > requests->readable[i])
                return -EPROTO;
        if (!requests->in_at || requests->in_at[i] == 0)
                *total += requests->inlined[i];
        return 0;
}

static bool lane_check_request_columns(const Bulkhead__Lane__Requests *wire, struct lane_requests *ret)
{
        size_t n = wire->n_id;

        return lane_check_column(wire->queue, wire->n_queue, n, &ret->queue) &&
               lane_check_column(wire->readable, wire->n_readable, n, &ret->readable) &&
               lane_check_column(wire->writable, wire->n_writable, n, &ret->writable) &&
               lane_check_column(wire->inlined, wire->n_inlined, n, &ret->inlined) &&
               lane_check_column(wire->attempt, wire->n_attempt, n, &ret->attempt) &&
               lane_check_column(wire->must_fail, wire->n_must_fail, n, &ret->must_fail) &&
               (wire->n_in_at == 0 || wire->n_in_at == n) && (wire->n_out_at == 0 || wire->n_out_at == n);
}

static int lane_check_requests(const Bulkhead__Lane__Requests *wire, uint32_t payload_len,
                               struct lane_requests *ret)
{
        size_t n = wire->n_id;
        uint64_t total = 0;

        if (n < 1 || n > LIMIT_WIRE_COLUMN || !lane_check_request_columns(wire, ret) || wire->longer > 1 ||
            wire->stay > 1 || wire->look > 1 || wire->spin_us > LIMIT_POLL_US)
                return -EPROTO;
        ret->n = n;
        ret->id = wire->id;
        ret->in_at = wire->n_in_at > 0 ? wire->in_at : NULL;
        ret->out_at = wire->n_out_at > 0 ? wire->out_at : NULL;
        ret->longer = wire->longer == 1;
        ret->stay = wire->stay == 1;
        ret->look = wire->look == 1;
        ret->spin_us = wire->spin_us;
        for (size_t i = 0; i < n; i++) {
                int r = lane_check_request(ret, i, &total);

                if (r < 0)
                        return r;
        }
        return total == payload_len ? 0 : -EPROTO;
}

/* The answer is as long as the question; the worker, who asked, compares. No segment of a question is
 * empty, so there is a byte a segment at least. */
static int lane_check_mem_read_reply(const Bulkhead__Lane__MemReadReply *wire, uint32_t payload_len,
                                     struct lane_mem_read_reply *ret)
{
        size_t n = wire->n_status;

        if (n < 1 || n > LIMIT_MEM_SEGMENTS || payload_len < n)
                return -EPROTO;
        for (size_t i = 0; i < n; i++)
                if (wire->status[i] >= WIRE_STATUS_COUNT_)
                        return -EPROTO;
        *ret = (struct lane_mem_read_reply){.seq = wire->seq, .n = n, .status = wire->status};
        return 0;
}

int lane_check_to_broker(struct arena *arena, const uint8_t *header, size_t len, uint32_t payload_len,
                         struct lane_to_broker *ret_message)
{
        struct lane_to_broker message = {0};
        const Bulkhead__Lane__ToBroker *wire;
        ProtobufCMessage *base;
        int r;

        r = wire_unpack(&bulkhead__lane__to_broker__descriptor, arena, header, len, &base);
        if (r < 0)
                return r;
        wire = (const Bulkhead__Lane__ToBroker *)base;
        switch (wire->kind_case) {
        case BULKHEAD__LANE__TO_BROKER__KIND_MEM_READ:
                r = lane_check_mem_read(wire->mem_read, payload_len, &message);
                break;
        case BULKHEAD__LANE__TO_BROKER__KIND_MEM_WRITE:
                r = lane_check_mem_write(wire->mem_write, payload_len, &message);
                break;
        case BULKHEAD__LANE__TO_BROKER__KIND_COMPLETE:
                message.kind = LANE_COMPLETE;
                r = lane_check_complete(wire->complete, payload_len, &message.complete);
                break;
        case BULKHEAD__LANE__TO_BROKER__KIND_REST:
                message.kind = LANE_ASK_REST;
                r = payload_len == 0 ? 0 : -EPROTO;
                break;
        case BULKHEAD__LANE__TO_BROKER__KIND_TAKEN:
                message.kind = LANE_TAKEN;
                message.taken.queue = wire->taken->queue;
                message.taken.next = wire->taken->next;
                r = payload_len == 0 && wire->taken->queue < LIMIT_QUEUES && wire->taken->next <= UINT16_MAX
                        ? 0
                        : -EPROTO;
                break;
        default:
                return -EPROTO;
        }
        if (r < 0)
                return r;
        *ret_message = message;
        return 0;
}

int lane_check_to_worker(struct arena *arena, const uint8_t *header, size_t len, uint32_t payload_len,
                         struct lane_to_worker *ret_message)
{
        struct lane_to_worker message = {0};
        const Bulkhead__Lane__ToWorker *wire;
        ProtobufCMessage *base;
        int r;

        r = wire_unpack(&bulkhead__lane__to_worker__descriptor, arena, header, len, &base);
        if (r < 0)
                return r;
        wire = (const Bulkhead__Lane__ToWorker *)base;
        switch (wire->kind_case) {
        case BULKHEAD__LANE__TO_WORKER__KIND_REQUESTS:
                message.kind = LANE_REQUESTS;
                r = lane_check_requests(wire->requests, payload_len, &message.requests);
                break;
        case BULKHEAD__LANE__TO_WORKER__KIND_MEM_READ_REPLY:
                message.kind = LANE_MEM_READ_REPLY;
                r = lane_check_mem_read_reply(wire->mem_read_reply, payload_len, &message.mem_read_reply);
                break;
        case BULKHEAD__LANE__TO_WORKER__KIND_REST:
                message.kind = LANE_MAY_REST;
                r = payload_len == 0 ? 0 : -EPROTO;
                break;
        case BULKHEAD__LANE__TO_WORKER__KIND_RECALL:
                message.kind = LANE_RECALL;
                message.recall.queue = wire->recall->queue;
                r = wire->recall->queue < LIMIT_QUEUES && payload_len == 0 ? 0 : -EPROTO;
                break;
        case BULKHEAD__LANE__TO_WORKER__KIND_WAKE:
                message.kind = LANE_WAKE;
                r = payload_len == 0 ? 0 : -EPROTO;
                break;
        default:
                return -EPROTO;
        }
        if (r < 0)
                return r;
        *ret_message = message;
        return 0;
}
