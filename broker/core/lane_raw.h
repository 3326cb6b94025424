/* Rings that a worker walks itself (`memory: {raw: ...}`): the broker touches none of them.
 *
 * A kick becomes a request without bytes, at most one a queue; a kick that comes meanwhile becomes the next one. Its completion is the
 * guest's interrupt. So what holds for requests holds for kicks: they have an age, are sent to a successor, and a queue that stops
 * waits for its last one. In between the worker reads and writes guest memory by address, inside of its window, and only while it holds
 * a kick: a device whose queues have stopped reaches nothing. Where it goes on in a ring it says itself (Taken).
 *
 * Such a queue is a started ring without rings: nothing is ever taken off it (`parked`), and nothing pushed.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/queue.h"
#include "broker/core/request_table.h"

struct lane;
struct lane_mem_read_pending;
struct lane_queue;
struct lane_raw;

struct lane_raw_state {
        uint64_t start, size; /* the window; size 0: this lane's rings are the broker's to walk */
        struct request
            owner; /* of guest bytes on their way to the worker: `faulted` if they were not there */
};

/* Before any queue starts, once. */
void lane_set_raw(struct lane *lane, uint64_t start, uint64_t size);

/* As queue_start. A ring that is not in the window, and in memory there, is -EFAULT. */
int lane_raw_start(struct lane *lane, struct lane_queue *queue, const struct queue_layout *layout,
                   const struct queue_features *features, uint32_t base);
/* It is about to stop; nothing for a queue of another lane. */
void lane_raw_stop(struct lane *lane, struct lane_queue *queue);
/* Memory is another: a ring that is not there any more breaks. */
void lane_raw_rebind(struct lane *lane, struct lane_queue *queue);

/* A worker is attached. Nothing for a queue of another lane, as the next two. */
void lane_raw_attach(struct lane *lane, struct lane_queue *queue);
/* It has been kicked, or will be when it may. */
void lane_raw_kick(struct lane *lane, struct lane_queue *queue);
/* What kept a kick back may be over. */
void lane_raw_step(struct lane *lane, struct lane_queue *queue);

/* A kick has been answered, well. False: it is not one, or must end as any request does. */
bool lane_raw_complete(struct lane *lane, struct lane_queue *queue, struct request *request);

/* ---- what the worker says (lane_rx.c) ---- */

/* -EPROTO: some byte is outside of the window, it has none, or it holds no kick. Whether there is memory is not looked at. */
int lane_raw_judge(const struct lane *lane, const struct lane_raw *message);
/* -EPROTO: it walks no such ring, or holds no kick of it. */
int lane_raw_taken(struct lane *lane, uint32_t queue, uint32_t next);
/* Lets bytes of a judged write land. False: the buffer is empty and more must come. A byte of the window that is not to be written,
 * since nothing is there or it is read-only, breaks the device: its guest has posted that. */
bool lane_raw_land(struct lane *lane);

/* ---- what it is answered (lane_tx.c) ---- */

/* Appends segment i as spans. Returns a wire status; anything but OK has appended zeros. `copy`: room for it. */
uint32_t lane_raw_add_segment(struct lane *lane, const struct lane_mem_read_pending *pending, uint32_t i,
                              uint8_t *copy);
