/* Requests of a lane on their way into a frame.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

struct lane;
struct lane_queue;
struct request;

/* Takes one chain off a ring and files it. 1, 0: none, or -EPROTO: the ring is broken. */
int lane_batch_take(struct lane *lane, struct lane_queue *queue, struct request **ret_request);

/* Begins a frame with a batch of requests (those to be repeated first, then new chains). False: nothing to send, or the
 * worker is finished. */
bool lane_batch_begin(struct lane *lane);
