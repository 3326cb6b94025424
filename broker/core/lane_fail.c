/* A lane that fails everything.
 * Owns nothing; called by lane.c and device_calls.c. TRUST: chains are judged by the walk; their writable
 * bytes are the guest's and may be gone.
 *
 * A ring that its guest has broken stays silent: it has nothing to be told by.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_fail.h"

#include <assert.h>

#include "broker/core/lane.h"
#include "broker/core/memory_service.h"
#include "proto/base/status.h"

void lane_fail_begin(struct lane *lane, const uint8_t *tail, uint32_t len)
{
        assert(lane->fd < 0 && len > 0);
        lane->isolation = LANE_OPEN;
        lane->fail_tail = tail;
        lane->fail_len = len;
        for (unsigned i = 0; i < lane->n_queues; i++)
                lane->queues[i].held = false; /* nobody is left to be told of it */
        lane_fail_turn(lane);
}

void lane_fail_end(struct lane *lane)
{
        lane->fail_tail = NULL;
        lane->fail_len = 0;
        lane->again = false;
}

static void fail_one(struct lane *lane, struct request *request)
{
        uint32_t offset = request->chain.writable - lane->fail_len;

        if (request->chain.writable < lane->fail_len) { /* no place for any answer: what a worker would say */
                lane_complete(lane, request, WIRE_STATUS_PROTOCOL);
                return;
        }
        if (memory_service_close_gap(lane->memory, request, offset) < 0 ||
            memory_service_write(lane->memory, request, offset, lane->fail_tail, lane->fail_len) < 0)
                request->faulted = true;
        memory_service_written(request, offset, lane->fail_len);
        lane_complete(lane, request, WIRE_STATUS_OK);
}

/* The oldest outstanding request, else a new one. NULL: none. */
static struct request *fail_next(struct lane *lane)
{
        struct request *request = lane->requests.oldest;

        for (unsigned i = 0; i < lane->n_queues && !request; i++) {
                struct lane_queue *queue = &lane->queues[lane->next_queue];

                lane->next_queue = (lane->next_queue + 1) % lane->n_queues;
                if (lane_takes_from(lane, queue))
                        (void)lane_tx_take(lane, queue, &request);
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
