/* The requests that a worker holds on one lane.
 * Owns its lists; the memory is the lane's. Called by worker_lane.c and request.c.
 * TRUST: batches come judged (lane_check_to_worker); here they are held against the credits.
 *
 * How the bytes are kept: appended in order of arrival. When the space behind is too small, what is still
 * held moves down to the front; it fits then, because the credits are the size. With a device that answers in
 * order nothing is held when a batch comes, and nothing moves.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/inbox.h"

#include <errno.h>
#include <string.h>

#include "workers/runtime/trap.h"

void inbox_init(struct inbox *inbox, struct worker_lane *lane, struct request *requests, uint32_t n_requests,
                uint8_t *bytes, uint32_t size)
{
        *inbox = (struct inbox){.requests = requests, .n_requests = n_requests, .bytes = bytes, .size = size};
        for (uint32_t i = n_requests; i-- > 0;) {
                requests[i] = (struct request){.lane = lane, .newer = inbox->free};
                inbox->free = &requests[i];
        }
}

static void inbox_compact(struct inbox *inbox)
{
        uint32_t at = 0;

        for (struct request *r = inbox->oldest; r; r = r->newer) {
                memmove(inbox->bytes + at, inbox->bytes + r->inline_at, r->inlined);
                r->inline_at = at;
                at += r->inlined;
        }
        inbox->end = at;
}

static void inbox_append(struct inbox *inbox, const struct lane_requests *batch, size_t i)
{
        struct request *r = inbox->free;

        inbox->free = r->newer;
        *r = (struct request){.id = batch->id[i],
                              .queue = batch->queue[i],
                              .readable = batch->readable[i],
                              .writable = batch->writable[i],
                              .inlined = batch->inlined[i],
                              .inline_at = inbox->end,
                              .attempt = batch->attempt[i],
                              .must_fail = batch->must_fail[i] != 0,
                              .lane = r->lane,
                              .older = inbox->newest};
        if (inbox->newest)
                inbox->newest->newer = r;
        else
                inbox->oldest = r;
        inbox->newest = r;
        if (!inbox->waiting)
                inbox->waiting = r;
        inbox->end += r->inlined;
}

int inbox_add(struct inbox *inbox, const struct lane_requests *batch, uint32_t payload_len,
              uint8_t **ret_bytes)
{
        if (batch->n > inbox->n_requests - inbox->n_held || payload_len > inbox->size - inbox->held)
                return -EPROTO;
        if (payload_len > inbox->size - inbox->end)
                inbox_compact(inbox);
        *ret_bytes = inbox->bytes + inbox->end;
        for (size_t i = 0; i < batch->n; i++)
                inbox_append(inbox, batch, i);
        inbox->held += payload_len;
        inbox->n_held += (uint32_t)batch->n;
        inbox->n_waiting += (uint32_t)batch->n;
        return 0;
}

struct request *inbox_next(struct inbox *inbox)
{
        struct request *r = inbox->waiting;

        if (!r)
                return NULL;
        inbox->waiting = r->newer;
        inbox->n_waiting--;
        return r;
}

void inbox_remove(struct inbox *inbox, struct request *request)
{
        if (inbox->n_held == 0 || request == inbox->waiting)
                worker_trap();
        if (request->older)
                request->older->newer = request->newer;
        else
                inbox->oldest = request->newer;
        if (request->newer)
                request->newer->older = request->older;
        else
                inbox->newest = request->older;
        inbox->held -= request->inlined;
        inbox->n_held--;
        if (inbox->held == 0)
                inbox->end = 0;
        *request = (struct request){.lane = request->lane, .newer = inbox->free};
        inbox->free = request;
}
