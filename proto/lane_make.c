/* Lane messages, struct -> wire. Runs once a batch, on both sides: protobuf-c packs from the caller's
 * columns straight into the caller's buffer, nothing is allocated.
 * Owns nothing; called by the broker's lanes and the workers' link.
 * TRUST: everything here is our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/lane.h"

#include <errno.h>

#include "proto/base/limits.h"
#include "proto/wire.h"
#include "schema/lane.pb-c.h"

/* protobuf-c has no const in its structs; packing only reads. */
#define COLUMN64(member, n, column) .n_##member = (n), .member = (uint64_t *)(column)
#define COLUMN32(member, n, column) .n_##member = (n), .member = (uint32_t *)(column)

/* A column of zeros is not sent: most are. NULL is one. */
static size_t lane_column_len(const uint32_t *column, size_t n)
{
        for (size_t i = 0; column && i < n; i++)
                if (column[i] != 0)
                        return n;
        return 0;
}
#define SPARSE32(member, n, column) COLUMN32(member, lane_column_len(column, n), column)

static ssize_t lane_make_mem_read(const struct lane_mem_read *message, uint8_t *buf, size_t size)
{
        Bulkhead__Lane__MemRead body = {
            .base = PROTOBUF_C_MESSAGE_INIT(&bulkhead__lane__mem_read__descriptor),
            .seq = message->seq,
            .space = BULKHEAD__LANE__SPACE__SPACE_CHAIN,
            COLUMN64(id, message->n, message->id),
            SPARSE32(offset, message->n, message->offset),
            COLUMN32(len, message->n, message->len),
        };
        Bulkhead__Lane__ToBroker wire = BULKHEAD__LANE__TO_BROKER__INIT;

        if (message->n > LIMIT_MEM_SEGMENTS)
                return -E2BIG;
        wire.kind_case = BULKHEAD__LANE__TO_BROKER__KIND_MEM_READ;
        wire.mem_read = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t lane_make_mem_write(const struct lane_mem_write *message, uint8_t *buf, size_t size)
{
        Bulkhead__Lane__MemWrite body = {
            .base = PROTOBUF_C_MESSAGE_INIT(&bulkhead__lane__mem_write__descriptor),
            .space = message->space == LANE_SPACE_BOOT ? BULKHEAD__LANE__SPACE__SPACE_BOOT
                                                       : BULKHEAD__LANE__SPACE__SPACE_CHAIN,
            COLUMN64(id, message->n, message->id),
            SPARSE32(offset, message->n, message->offset),
            COLUMN32(len, message->n, message->len),
        };
        Bulkhead__Lane__ToBroker wire = BULKHEAD__LANE__TO_BROKER__INIT;

        if (message->n > LIMIT_MEM_SEGMENTS)
                return -E2BIG;
        wire.kind_case = BULKHEAD__LANE__TO_BROKER__KIND_MEM_WRITE;
        wire.mem_write = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t lane_make_raw_read(const struct lane_raw *message, uint8_t *buf, size_t size)
{
        Bulkhead__Lane__MemRead body = {
            .base = PROTOBUF_C_MESSAGE_INIT(&bulkhead__lane__mem_read__descriptor),
            .seq = message->seq,
            .space = BULKHEAD__LANE__SPACE__SPACE_RAW,
            COLUMN64(id, message->n, message->at),
            COLUMN32(len, message->n, message->len),
        };
        Bulkhead__Lane__ToBroker wire = BULKHEAD__LANE__TO_BROKER__INIT;

        if (message->n > LIMIT_MEM_SEGMENTS)
                return -E2BIG;
        wire.kind_case = BULKHEAD__LANE__TO_BROKER__KIND_MEM_READ;
        wire.mem_read = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t lane_make_raw_write(const struct lane_raw *message, uint8_t *buf, size_t size)
{
        Bulkhead__Lane__MemWrite body = {
            .base = PROTOBUF_C_MESSAGE_INIT(&bulkhead__lane__mem_write__descriptor),
            .space = BULKHEAD__LANE__SPACE__SPACE_RAW,
            COLUMN64(id, message->n, message->at),
            COLUMN32(len, message->n, message->len),
        };
        Bulkhead__Lane__ToBroker wire = BULKHEAD__LANE__TO_BROKER__INIT;

        if (message->n > LIMIT_MEM_SEGMENTS)
                return -E2BIG;
        wire.kind_case = BULKHEAD__LANE__TO_BROKER__KIND_MEM_WRITE;
        wire.mem_write = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t lane_make_taken(uint32_t queue, uint32_t next, uint8_t *buf, size_t size)
{
        Bulkhead__Lane__Taken body = BULKHEAD__LANE__TAKEN__INIT;
        Bulkhead__Lane__ToBroker wire = BULKHEAD__LANE__TO_BROKER__INIT;

        body.queue = queue;
        body.next = next;
        wire.kind_case = BULKHEAD__LANE__TO_BROKER__KIND_TAKEN;
        wire.taken = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t lane_make_complete(const struct lane_complete *message, uint8_t *buf, size_t size)
{
        Bulkhead__Lane__Complete body = {
            .base = PROTOBUF_C_MESSAGE_INIT(&bulkhead__lane__complete__descriptor),
            COLUMN64(id, message->n, message->id),
            SPARSE32(status, message->n, message->status),
            SPARSE32(offset, message->n, message->offset),
            SPARSE32(len, message->n, message->len),
            SPARSE32(placed, message->n, message->placed),
        };
        Bulkhead__Lane__ToBroker wire = BULKHEAD__LANE__TO_BROKER__INIT;

        if (message->n > LIMIT_WIRE_COLUMN)
                return -E2BIG;
        wire.kind_case = BULKHEAD__LANE__TO_BROKER__KIND_COMPLETE;
        wire.complete = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t lane_make_requests(const struct lane_requests *message, uint8_t *buf, size_t size)
{
        Bulkhead__Lane__Requests body = {
            .base = PROTOBUF_C_MESSAGE_INIT(&bulkhead__lane__requests__descriptor),
            COLUMN64(id, message->n, message->id),
            SPARSE32(queue, message->n, message->queue),
            SPARSE32(readable, message->n, message->readable),
            SPARSE32(writable, message->n, message->writable),
            SPARSE32(inlined, message->n, message->inlined),
            SPARSE32(attempt, message->n, message->attempt),
            SPARSE32(must_fail, message->n, message->must_fail),
            SPARSE32(in_at, message->n, message->in_at),
            SPARSE32(out_at, message->n, message->out_at),
            .longer = message->longer,
            .stay = message->stay,
            .look = message->look,
            .spin_us = message->spin_us,
        };
        Bulkhead__Lane__ToWorker wire = BULKHEAD__LANE__TO_WORKER__INIT;

        if (message->n > LIMIT_WIRE_COLUMN)
                return -E2BIG;
        wire.kind_case = BULKHEAD__LANE__TO_WORKER__KIND_REQUESTS;
        wire.requests = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t lane_make_mem_read_reply(const struct lane_mem_read_reply *message, uint8_t *buf, size_t size)
{
        Bulkhead__Lane__MemReadReply body = {
            .base = PROTOBUF_C_MESSAGE_INIT(&bulkhead__lane__mem_read_reply__descriptor),
            .seq = message->seq,
            COLUMN32(status, message->n, message->status),
        };
        Bulkhead__Lane__ToWorker wire = BULKHEAD__LANE__TO_WORKER__INIT;

        if (message->n > LIMIT_MEM_SEGMENTS)
                return -E2BIG;
        wire.kind_case = BULKHEAD__LANE__TO_WORKER__KIND_MEM_READ_REPLY;
        wire.mem_read_reply = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t lane_make_ask_rest(uint8_t *buf, size_t size)
{
        Bulkhead__Lane__Rest body = BULKHEAD__LANE__REST__INIT;
        Bulkhead__Lane__ToBroker wire = BULKHEAD__LANE__TO_BROKER__INIT;

        wire.kind_case = BULKHEAD__LANE__TO_BROKER__KIND_REST;
        wire.rest = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t lane_make_may_rest(uint8_t *buf, size_t size)
{
        Bulkhead__Lane__Rest body = BULKHEAD__LANE__REST__INIT;
        Bulkhead__Lane__ToWorker wire = BULKHEAD__LANE__TO_WORKER__INIT;

        wire.kind_case = BULKHEAD__LANE__TO_WORKER__KIND_REST;
        wire.rest = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t lane_make_recall(uint32_t queue, uint8_t *buf, size_t size)
{
        Bulkhead__Lane__Recall body = BULKHEAD__LANE__RECALL__INIT;
        Bulkhead__Lane__ToWorker wire = BULKHEAD__LANE__TO_WORKER__INIT;

        body.queue = queue;
        wire.kind_case = BULKHEAD__LANE__TO_WORKER__KIND_RECALL;
        wire.recall = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t lane_make_wake(uint8_t *buf, size_t size)
{
        Bulkhead__Lane__Wake body = BULKHEAD__LANE__WAKE__INIT;
        Bulkhead__Lane__ToWorker wire = BULKHEAD__LANE__TO_WORKER__INIT;

        wire.kind_case = BULKHEAD__LANE__TO_WORKER__KIND_WAKE;
        wire.wake = &body;
        return wire_pack(&wire.base, buf, size);
}

ssize_t lane_make_to_broker(const struct lane_to_broker *message, uint8_t *buf, size_t size)
{
        switch (message->kind) {
        case LANE_MEM_READ:
                return lane_make_mem_read(&message->mem_read, buf, size);
        case LANE_MEM_WRITE:
                return lane_make_mem_write(&message->mem_write, buf, size);
        case LANE_COMPLETE:
                return lane_make_complete(&message->complete, buf, size);
        case LANE_ASK_REST:
                return lane_make_ask_rest(buf, size);
        case LANE_RAW_READ:
                return lane_make_raw_read(&message->raw, buf, size);
        case LANE_RAW_WRITE:
                return lane_make_raw_write(&message->raw, buf, size);
        case LANE_TAKEN:
                return lane_make_taken(message->taken.queue, message->taken.next, buf, size);
        }
        return -EINVAL;
}

ssize_t lane_make_to_worker(const struct lane_to_worker *message, uint8_t *buf, size_t size)
{
        switch (message->kind) {
        case LANE_REQUESTS:
                return lane_make_requests(&message->requests, buf, size);
        case LANE_MEM_READ_REPLY:
                return lane_make_mem_read_reply(&message->mem_read_reply, buf, size);
        case LANE_MAY_REST:
                return lane_make_may_rest(buf, size);
        case LANE_RECALL:
                return lane_make_recall(message->recall.queue, buf, size);
        case LANE_WAKE:
                return lane_make_wake(buf, size);
        }
        return -EINVAL;
}
