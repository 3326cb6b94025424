/* Requests of work queues that their worker cannot finish by itself: a lock that another has, for instance. It says so
 * (WIRE_STATUS_WAITING), and from then on the request does not age; it is completed like any other, sometime.
 *
 * A queue that is to stop does not wait for them: the worker is sent Recall, and finishes what waits at once. One that dies leaves
 * ordinary requests, which its successor is sent again.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct lane;
struct lane_queue;
struct request;

/* May its worker, who holds it, say that it waits? Once, and not of what it is only to fail. */
bool lane_may_wait(const struct request *request);

/* It has. */
void lane_wait_begin(struct lane *lane, struct request *request);

/* It is done, or its worker is dead. Nothing happens if it did not wait. */
void lane_wait_end(struct lane *lane, struct request *request);

/* The queue drains. */
void lane_wait_recall(struct lane *lane, struct lane_queue *queue);

/* Requests with the worker on which it works: all but those that wait. */
uint32_t lane_n_busy(const struct lane *lane);
