/* Requests that wait for somebody.
 * Owns nothing; called by lane.c, lane_rx.c and lane_isolate.c. TRUST: that a request waits is its worker's word. The worst that it
 * can do by it is not to answer its own guest, without being found out; credits bound how many there are.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_wait.h"

#include "broker/core/lane.h"

bool lane_may_wait(const struct request *request)
{
        return request->is_work && !request->waits && !request->must_fail;
}

/* Whoever waits has killed nobody: it is no suspect any more. */
void lane_wait_begin(struct lane *lane, struct request *request)
{
        struct lane_queue *queue = lane_queue_find(lane, request->queue);

        request->completing = false;
        request->waits = true;
        request->attempt = 0;
        lane->n_aging--;
        lane->n_waits++;
        if (queue->draining)
                queue->recall = RECALL_WANTED; /* it was told before this one was there */
}

void lane_wait_end(struct lane *lane, struct request *request)
{
        lane->n_waits -= request->waits;
        lane->n_aging += request->waits;
        request->waits = false;
}

void lane_wait_recall(struct lane *lane, struct lane_queue *queue)
{
        for (const struct request *request = lane->requests.oldest; request; request = request->newer)
                if (request->queue == queue->index && request->waits)
                        queue->recall = RECALL_WANTED;
        if (queue->recall == RECALL_WANTED)
                lane_turn(lane);
}

uint32_t lane_n_busy(const struct lane *lane)
{
        return lane->used_requests - lane->n_waits;
}
