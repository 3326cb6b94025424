/* The requests that a worker holds on one lane.
 * Owns its lists; the memory is the lane's. Called by worker_lane.c and request.c.
 * TRUST: batches come judged (lane_check_to_worker); here they are held against the credits.
 *
 * How the bytes are kept: appended in order of arrival. When the space behind is too small, what is still
 * held moves down to the front; it fits then, because the credits are the size. With a device that answers in
 * order nothing is held when a batch comes, and nothing moves. What lies in the area lies where the broker has put it, and
 * counts for nothing here.
 *
 * How the area rests: a worker that has nothing to do asks, and gives its pages back when the answer has come. It cannot
 * come earlier: the broker may be slow, and may not have fetched yet what lies there for the guest. The answer says that it
 * has fetched all up to the question; what has been placed since then it may not have, so the area waits for the next rest.
 * The broker may also just then be putting bytes there for a request that it has not sent yet. So after a rest no place
 * is believed until an answer has come to a question that was asked after it: the broker puts bytes there right before
 * it sends their request, and what it sends after that answer it has put there after the rest. Until then the bytes are
 * asked for.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/inbox.h"

#include <errno.h>
#include <string.h>

#include "proto/base/limits.h"
#include "workers/runtime/supply.h"
#include "workers/runtime/trap.h"
#include "workers/runtime/worker_memory.h"

void inbox_init(struct inbox *inbox, struct worker_lane *lane, struct request *requests, uint32_t n_requests,
                uint8_t *bytes, uint32_t size, const struct inbox_area *area)
{
        *inbox = (struct inbox){.requests = requests, .n_requests = n_requests, .bytes = bytes, .size = size};
        if (area)
                inbox->area = *area;
        for (uint32_t i = n_requests; i-- > 0;) {
                requests[i] = (struct request){.lane = lane, .newer = inbox->free};
                inbox->free = &requests[i];
        }
}

static void inbox_compact(struct inbox *inbox)
{
        uint32_t at = 0;

        for (struct request *r = inbox->oldest; r; r = r->newer) {
                if (r->in)
                        continue;
                memmove(inbox->bytes + at, inbox->bytes + r->inline_at, r->inlined);
                r->inline_at = at;
                at += r->inlined;
        }
        inbox->end = at;
}

/* `at`: a place's number and one. Where in the area a readable part begins that lies there, and a writable one. */
static uint64_t area_in(const struct inbox_area *area, uint32_t at)
{
        return (uint64_t)(at - 1) * area->step + area->shift;
}

static uint64_t area_out(uint32_t at)
{
        return (uint64_t)(at - 1) * LIMIT_AREA_PAGE;
}

static bool area_holds(const struct inbox_area *area, uint64_t start, uint32_t len)
{
        return start <= area->len && len <= area->len - start;
}

static bool inbox_places_ok(const struct inbox *inbox, const struct lane_requests *batch)
{
        const struct inbox_area *area = &inbox->area;

        for (size_t i = 0; i < batch->n; i++) {
                if (batch->in_at && batch->in_at[i] > 0 &&
                    !area_holds(area, area_in(area, batch->in_at[i]), batch->inlined[i]))
                        return false;
                if (batch->out_at && batch->out_at[i] > 0 &&
                    !area_holds(area, area_out(batch->out_at[i]), batch->writable[i]))
                        return false;
        }
        return true;
}

static void inbox_append(struct inbox *inbox, const struct lane_requests *batch, size_t i)
{
        const struct inbox_area *area = &inbox->area;
        bool placed = batch->in_at && batch->in_at[i] > 0, doubt = placed && inbox->area_doubt;
        bool lent = batch->out_at && batch->out_at[i] > 0;
        struct request *r = inbox->free;

        inbox->free = r->newer;
        *r = (struct request){.id = batch->id[i],
                              .queue = batch->queue[i],
                              .readable = batch->readable[i],
                              .writable = batch->writable[i],
                              .inlined = doubt ? 0 : batch->inlined[i],
                              .inline_at = inbox->end,
                              .in = placed && !doubt ? area->bytes + area_in(area, batch->in_at[i]) : NULL,
                              .out = lent ? area->bytes + area_out(batch->out_at[i]) : NULL,
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
        inbox->end += r->in ? 0 : r->inlined;
        inbox->area_used |= placed || lent;
}

int inbox_add(struct inbox *inbox, const struct lane_requests *batch, uint32_t payload_len,
              uint8_t **ret_bytes)
{
        if (batch->n > inbox->n_requests - inbox->n_held || payload_len > inbox->size - inbox->held)
                return -EPROTO;
        if (!inbox_places_ok(inbox, batch))
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

const uint8_t *inbox_inlined(const struct inbox *inbox, const struct request *request)
{
        return request->in ? request->in : inbox->bytes + request->inline_at;
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
        supply_remove(request);
        if (request->older)
                request->older->newer = request->newer;
        else
                inbox->oldest = request->newer;
        if (request->newer)
                request->newer->older = request->older;
        else
                inbox->newest = request->older;
        inbox->held -= request->in ? 0 : request->inlined;
        inbox->n_held--;
        if (inbox->held == 0)
                inbox->end = 0;
        *request = (struct request){.lane = request->lane, .newer = inbox->free};
        inbox->free = request;
}

bool inbox_wants_rest(const struct inbox *inbox)
{
        return inbox->area_used && inbox->n_held == 0 && !inbox->rest_asked;
}

void inbox_ask_rest(struct inbox *inbox)
{
        inbox->rest_asked = true;
        inbox->area_used = false;
}

void inbox_may_rest(struct inbox *inbox)
{
        if (!inbox->rest_asked)
                worker_trap();
        inbox->rest_asked = false;
        if (inbox->area_used)
                return;
        worker_memory_rest(inbox->area.bytes, inbox->area.len);
        inbox->area_doubt = true;
}

void inbox_trust(struct inbox *inbox)
{
        inbox->area_doubt = false;
}
