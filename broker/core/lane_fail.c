/* A lane that fails everything, and a request whose memory has holes.
 * Owns nothing; called by lane.c and device_calls.c. TRUST: chains are judged by the walk; their writable
 * bytes are the guest's and may be gone.
 *
 * A ring that its guest has broken stays silent: it has nothing to be told by.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_fail.h"

#include <assert.h>

#include "broker/core/lane.h"
#include "broker/core/lane_batch.h"
#include "broker/core/memory_service.h"
#include "proto/base/status.h"

void lane_fail_begin(struct lane *lane)
{
        assert(!lane_is_attached(lane));
        lane->isolation = LANE_OPEN;
        lane->fails = true;
        for (unsigned i = 0; i < lane->n_queues; i++)
                lane->queues[i].held = false; /* nobody is left to be told of it */
        lane_fail_turn(lane);
}

void lane_fail_end(struct lane *lane)
{
        lane->fails = false;
        lane->again = false;
}

bool lane_fail_answers(const struct lane *lane, const struct lane_queue *queue)
{
        return !lane->failure.quiet || !queue->supply;
}

static void fail_one(struct lane *lane, struct request *request)
{
        const struct lane_failure *failure = &lane->failure;
        uint32_t writable = request->chain.writable, offset = failure->first ? 0 : writable - failure->len;

        if (failure->quiet && writable == 0) { /* it wants no answer */
                lane_complete(lane, request, WIRE_STATUS_OK);
                return;
        }
        if (failure->len == 0 ||
            writable < failure->len) { /* no place for any answer: what a worker would say */
                lane_complete(lane, request, WIRE_STATUS_PROTOCOL);
                return;
        }
        if (memory_service_close_gap(lane->memory, request, offset) < 0 ||
            memory_service_write(lane->memory, request, offset, failure->error, failure->len) < 0)
                request->faulted = true;
        memory_service_written(request, offset, failure->len);
        lane_complete(lane, request, WIRE_STATUS_OK);
}

bool lane_fail_faulted(struct lane *lane, const struct request *request, uint32_t *ret_written)
{
        const struct lane_failure *failure = &lane->failure;
        uint32_t writable = request->chain.writable, offset = failure->first ? 0 : writable - failure->len;

        if (!request->is_work || failure->len == 0 || writable < failure->len ||
            memory_service_write(lane->memory, request, offset, failure->error, failure->len) < 0)
                return false;
        *ret_written = offset == 0 ? failure->len : 0;
        return true;
}

/* For bytes that are not translated yet. */
static bool fail_waits(struct lane *lane, const struct request *request)
{
        return lane->miss.waits && lane_miss_holds_failure(lane, request);
}

static struct request *fail_outstanding(struct lane *lane)
{
        for (struct request *request = lane->requests.oldest; request; request = request->newer)
                if (lane_fail_answers(lane, lane_queue_find(lane, request->queue)) &&
                    request->state != REQUEST_RETURNED && !fail_waits(lane, request))
                        return request;
        return NULL;
}

/* The oldest outstanding request, else a new one. NULL: none. */
static struct request *fail_next(struct lane *lane)
{
        struct request *request = fail_outstanding(lane);

        for (unsigned i = 0; i < lane->n_queues && !request; i++) {
                struct lane_queue *queue = &lane->queues[lane->next_queue];

                lane->next_queue = (lane->next_queue + 1) % lane->n_queues;
                if (lane_takes_from(lane, queue) && lane_fail_answers(lane, queue))
                        (void)lane_batch_take(lane, queue, &request);
        }
        return request;
}

void lane_fail_turn(struct lane *lane)
{
        uint64_t bytes = 0;
        unsigned n;

        for (n = 0; n < LIMIT_POP_BATCH && bytes < LIMIT_FAIL_BYTES; n++) {
                struct request *request = fail_next(lane);

                if (!request)
                        break;
                bytes += request->chain.writable;
                fail_one(lane, request);
        }
        lane_publish(lane);
        lane->again = n == LIMIT_POP_BATCH || bytes >= LIMIT_FAIL_BYTES || lane_ask_for_kicks(lane);
}
