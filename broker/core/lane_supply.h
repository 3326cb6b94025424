/* Supply queues: buffers that the guest has lent for input, and that go back unused when their queue is to stop (virtio 1.3,
 * 2.4: a device that stops must not hold on to them; vhost-user, GET_VRING_BASE).
 *
 * How it works: a queue is drained.
 *     queued    what no worker holds is RETURNED at once
 *     recall    a worker that holds some is sent Recall, and completes them with CANCELED; or it completes them as usual,
 *               where bytes came just before. One that dies holds nothing any more
 *     give back when all are RETURNED, from the youngest on: the ring goes back to where each was taken, so that whoever
 *               goes on finds them again. One that is older than a used one cannot be undone: it is used with length 0.
 *               All together, not one by one, because only then it is known which ones are the youngest
 *
 * What is lent is neither lost nor given out twice: until then each stays in the table of outstanding requests. A new
 * worker is lent it again, whatever its queue's replay class: no byte in it has been seen by the guest.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

struct lane;
struct lane_queue;
struct request;

/* The queue drains, and some are outstanding: asks for them. May come again. */
void lane_supply_recall(struct lane *lane, struct lane_queue *queue);

/* May its worker give this request, which it holds, back unused? */
bool lane_supply_may_return(struct lane *lane, const struct request *request);

/* It has. */
void lane_supply_returned(struct lane *lane, struct lane_queue *queue, struct request *request);

/* It has used one: was it the last that it held? Of a work queue: are those that are left such that have been answered without a ring
 * to tell it (lane_miss_keeps)? Then they go back, to be done once more. */
void lane_supply_step(struct lane *lane, struct lane_queue *queue);
