/* Buffers that were lent, on their way back.
 * Owns nothing; called by lane.c and lane_rx.c. TRUST: chains are judged by the walk; which ones come back, and when, is the
 * worker's doing, judged by lane_supply_may_return.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_supply.h"

#include <assert.h>

#include "broker/core/lane.h"

/* All or none of them: the last that is released reports the queue as drained, so the guest is told before. What is spent
 * comes back used: found again at the next start, nobody would know any more that it must not be sent twice. */
static void supply_give_back(struct lane *lane, struct lane_queue *queue)
{
        for (struct request *request = lane->requests.newest; request; request = request->older)
                if (request->queue == queue->index &&
                    (lane_is_spent(queue, request) || !queue_unpop(&queue->ring, &request->chain)))
                        queue_push(&queue->ring, request->chain.head, 0);
        lane_publish(lane);
        for (struct request *request = lane->requests.newest; request;) {
                struct request *older = request->older;

                if (request->queue == queue->index) {
                        lane_tx_let_go(lane, request); /* an answer to a question about it may be under way */
                        lane_release(lane, queue, request);
                }
                request = older;
        }
        queue->n_returned = 0;
        queue->recall = RECALL_NONE;
}

void lane_supply_recall(struct lane *lane, struct lane_queue *queue)
{
        assert(queue->supply && queue->draining);
        queue->recall = RECALL_NONE;
        for (struct request *request = lane->requests.oldest; request; request = request->newer) {
                if (request->queue != queue->index)
                        continue;
                if (request->state == REQUEST_SENT)
                        queue->recall = RECALL_WANTED;
                if (request->state != REQUEST_QUEUED)
                        continue;
                lane_withdraw(lane, request);
                queue->n_returned++;
        }
        if (queue->recall == RECALL_WANTED)
                lane_turn(lane);
        else if (queue->n_returned > 0)
                supply_give_back(lane, queue);
}

bool lane_supply_may_return(struct lane *lane, const struct request *request)
{
        const struct lane_queue *queue = lane_queue_find(lane, request->queue);

        return queue->supply && queue->recall == RECALL_SENT;
}

void lane_supply_returned(struct lane *lane, struct lane_queue *queue, struct request *request)
{
        lane_withdraw(lane, request);
        queue->n_returned++;
        lane_supply_step(lane, queue);
}

void lane_supply_step(struct lane *lane, struct lane_queue *queue)
{
        if (queue->draining && queue->n_returned > 0 && queue->n_returned == queue->outstanding)
                supply_give_back(lane, queue);
}
