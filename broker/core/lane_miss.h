/* What a lane does while bytes that it needs are not translated (iotlb.h).
 *
 * How it works: the lane's memory is one snapshot; nothing in it comes or goes. So what is missing is found where a step begins, or
 * when the snapshot changes, and each step that lacks something is not begun:
 *     a chain is taken    the queue is parked (queue.h); others are served
 *     a request is sent   again, after its worker has died: what waits to be sent waits on, in its order
 *     an answer is judged or its payload goes on landing: nothing more is received from the worker. Its pipe is not looked at, and
 *                         the worker is not blamed for the time
 *     a MemRead is answered  not yet
 * All of them are tried again when a snapshot comes. Nothing waits that somebody else waits for: while a queue of the device is to stop
 * (lane_miss_hurry) missing bytes are a fault of their request at once, as they are when nobody translates them (lane_miss_refuse).
 * A request that is answered then, without rings to tell it by, is kept until they are there. If its queue stops before, it goes
 * back as if it had not been taken, and is done once more after the stop: where that is as good as once. Else the queue is broken.
 * The device asks the lane what it wants (lane_miss_collect) after each snapshot and when it is told that something is new.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/miss_list.h"

struct interval_map;
struct lane;
struct lane_mem_read_pending;
struct lane_to_broker;
struct request;

struct lane_miss {
        bool
            waits; /* memory is translated, and what is missing may be waited for: else nothing here is asked */
        bool hurried; /* it may not be */
        bool told;    /* the device knows that there is something to collect */
        bool starved; /* the device has no room for more: it wants to know of each request that ends */
};

/* To be asked only while lane->miss.waits. True: the step must not be begun; whoever keeps the translations is asked. */
bool lane_miss_holds_frame(struct lane *lane, const struct lane_to_broker *message); /* not judged yet */
bool lane_miss_holds_reply(struct lane *lane, const struct lane_mem_read_pending *pending);
bool lane_miss_holds_request(struct lane *lane, const struct request *request); /* to be sent again */
bool lane_miss_holds_failure(struct lane *lane, const struct request *request); /* to be answered by us */

/* Answered while its queue's rings are missing: true: it is kept, and told of later. */
bool lane_miss_keeps(struct lane *lane, struct request *request);

/* There is something to collect. */
void lane_miss_tell(struct lane *lane);

/* Another snapshot is in use, and its rings have been found. */
void lane_miss_renew(struct lane *lane);

/* Nothing is waited for any more, or again. */
void lane_miss_hurry(struct lane *lane, bool hurried);

/* Adds what the lane waits for, and what its requests under way are going to need: rings first, chains that have not been taken
 * last, as far as there is room. */
void lane_miss_collect(struct lane *lane, struct miss_list *list);

/* Nobody gives these rights on this page. Whoever waits for them has an error: the queue is broken, the request is faulted. */
void lane_miss_refuse(struct lane *lane, uint64_t iova, unsigned rights);

/* Marks each entry of the map that rings, requests under way and parked chains need a byte of: bit i of `marks` is entry i. */
void lane_miss_mark(struct lane *lane, const struct interval_map *entries, uint64_t *marks);
