/* What the author of a device works with: requests.
 * Owns nothing: a request lives in its lane's inbox. Called by the devices.
 * TRUST: guest bytes pass through and are not looked at; ranges come from the device, which has judged them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/request.h"

#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/base/status.h"
#include "workers/runtime/inbox.h"
#include "workers/runtime/trap.h"
#include "workers/runtime/worker_lane.h"

#define REQUEST_ALIGN                                                                                        \
        4096u /* pieces of a run start at multiples of it: a host file is written in whole pages */

_Static_assert(REQUEST_AHEAD <= LIMIT_MEM_READS, "the broker refuses more");
_Static_assert(REQUEST_PIECE % REQUEST_ALIGN == 0, "pieces keep the alignment");

uint32_t request_queue(const struct request *request)
{
        return request->queue;
}

uint32_t request_readable(const struct request *request)
{
        return request->readable;
}

uint32_t request_writable(const struct request *request)
{
        return request->writable;
}

uint32_t request_attempt(const struct request *request)
{
        return request->attempt;
}

bool request_must_fail(const struct request *request)
{
        return request->must_fail;
}

const uint8_t *request_inlined(const struct request *request, uint32_t *ret_len)
{
        *ret_len = request->inlined;
        return inbox_inlined(&request->lane->inbox, request);
}

int request_read(struct request *request, uint32_t offset, void *buf, uint32_t len)
{
        struct request_reader reader;
        const uint8_t *bytes;
        uint32_t done = 0;
        ssize_t n;

        request_reader_start(&reader, request, offset, len);
        while ((n = request_reader_next(&reader, &bytes)) > 0) {
                memcpy((uint8_t *)buf + done, bytes, (size_t)n);
                done += (uint32_t)n;
        }
        request_reader_stop(&reader);
        return (int)n;
}

/* How far from `offset` on the inlined bytes are used: to their end when that is the run's end, else in whole
 * pages, so that what follows is aligned. */
static uint32_t request_inlined_end(const struct request *request, uint32_t offset, uint32_t end)
{
        uint32_t have;

        if (request->inlined >= end)
                return end;
        have = request->inlined > offset ? request->inlined - offset : 0;
        return offset + have / REQUEST_ALIGN * REQUEST_ALIGN;
}

void request_reader_start(struct request_reader *reader, struct request *request, uint32_t offset,
                          uint32_t len)
{
        uint32_t inlined;

        if (!range_inside(offset, len, request->readable))
                worker_trap();
        inlined = request_inlined_end(request, offset, offset + len);
        *reader = (struct request_reader){
            .request = request, .at = offset, .inlined = inlined, .asked = inlined, .end = offset + len};
}

static void request_reader_ask(struct request_reader *reader)
{
        while (reader->asked < reader->end && reader->open < REQUEST_AHEAD) {
                uint32_t len = MIN(reader->end - reader->asked, REQUEST_PIECE);

                worker_lane_ask(reader->request->lane, reader->request->id, reader->asked, len);
                reader->asked += len;
                reader->open++;
        }
}

static int request_reader_await(struct request_reader *reader, uint32_t *ret_len)
{
        struct worker_lane *lane = reader->request->lane;
        uint32_t len = MIN(reader->end - reader->at, REQUEST_PIECE);
        int r = worker_lane_await(lane, lane->shared->piece, len);

        reader->at += len;
        reader->open--;
        *ret_len = len;
        return r;
}

ssize_t request_reader_next(struct request_reader *reader, const uint8_t **ret_bytes)
{
        const struct request *request = reader->request;
        uint32_t len = reader->inlined > reader->at ? reader->inlined - reader->at : 0;
        int r;

        request_reader_ask(reader);
        if (len > 0) {
                *ret_bytes = inbox_inlined(&request->lane->inbox, request) + reader->at;
                len = MIN(len, REQUEST_PIECE);
                reader->at += len;
                return len;
        }
        if (reader->at == reader->end)
                return 0;
        r = request_reader_await(reader, &len);
        if (r < 0)
                return r;
        *ret_bytes = request->lane->shared->piece;
        return len;
}

void request_reader_stop(struct request_reader *reader)
{
        uint32_t len;

        reader->at = MAX(reader->at, reader->inlined);
        while (reader->open > 0)
                request_reader_await(reader, &len);
}

uint8_t *request_reserve(struct request *request, uint32_t len)
{
        return outbox_reserve(&request->lane->outbox, len);
}

void request_write(struct request *request, uint32_t offset, uint32_t len)
{
        if (!range_inside(offset, len, request->writable))
                worker_trap();
        outbox_write(&request->lane->outbox, request->id, offset, len);
}

static void request_finish(struct request *request, uint32_t status, uint32_t offset, uint32_t len)
{
        struct worker_lane *lane = request->lane;
        uint64_t id = request->id;

        if (!range_inside(offset, len, request->writable))
                worker_trap();
        outbox_moved(&lane->outbox, (uint64_t)request->readable + offset + len);
        inbox_remove(&lane->inbox, request);
        outbox_complete(&lane->outbox, id, status, offset, len);
}

void request_complete(struct request *request, uint32_t offset, uint32_t len)
{
        request_finish(request, WIRE_STATUS_OK, offset, len);
}

void request_together(struct request *request, uint32_t n)
{
        outbox_together(&request->lane->outbox, n);
}

uint8_t *request_place(const struct request *request)
{
        return request->out;
}

void request_complete_placed(struct request *request, uint32_t placed, uint32_t len)
{
        struct worker_lane *lane = request->lane;
        uint64_t id = request->id;

        if (!request->out || !range_inside(placed, len, request->writable))
                worker_trap();
        outbox_moved(&lane->outbox, (uint64_t)request->readable + placed + len);
        inbox_remove(&lane->inbox, request);
        outbox_complete_placed(&lane->outbox, id, placed, len);
}

void request_wait(struct request *request)
{
        if (request->lent || request->must_fail || request->waits)
                worker_trap();
        request->waits = true;
        outbox_complete(&request->lane->outbox, request->id, WIRE_STATUS_WAITING, 0, 0);
        outbox_flush(&request->lane->outbox); /* no frame names a request twice, and it may be done at once */
}

void request_refuse(struct request *request)
{
        request_finish(request, WIRE_STATUS_PROTOCOL, 0, 0);
}

void request_push(struct request *request)
{
        outbox_flush(&request->lane->outbox);
}
