/* The packed layout of a virtqueue (virtio 1.3, 2.8). Called by queue.c alone: whether the queue is started,
 * sound and has the buffer in question has been judged there; contracts are those of queue.h. What the walker
 * must know of the layout stands here too.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/core/queue.h"

/* A descriptor: addr, len, buffer id, flags. */
#define PACKED_DESC_BYTES 16u
#define PACKED_DESC_ADDR  0u
#define PACKED_DESC_LEN   8u
#define PACKED_DESC_ID    12u
#define PACKED_DESC_FLAGS 14u

#define PACKED_AVAIL (1u << 7)  /* VIRTQ_DESC_F_AVAIL */
#define PACKED_USED  (1u << 15) /* VIRTQ_DESC_F_USED */

/* Available for the side whose wrap counter this is? (2.8.1: AVAIL is the counter, USED its opposite.) */
static inline bool packed_is_available(uint16_t flags, bool wrap)
{
        return ((flags & PACKED_AVAIL) != 0) == wrap && ((flags & PACKED_USED) != 0) != wrap;
}

bool queue_packed_is_sane(const struct queue_layout *layout);

/* Where do we go on? `size` is the ring's. -EINVAL: a place outside the ring, or the two do not go with each other or with the
 * buffers that are outstanding; the queue is as it was. And, once the ring is found: can it be read? -EFAULT. */
int queue_packed_begin(struct queue *queue, uint16_t size, uint32_t base);
int queue_packed_enter(struct queue *queue);
uint32_t queue_packed_end(struct queue *queue);

int queue_packed_pop(struct queue *queue, struct chain *chain);
/* Where the next chain is taken, with its wrap counter; and goes back there. */
uint16_t queue_packed_place(const struct queue *queue);
void queue_packed_go_back(struct queue *queue, uint16_t place);
bool queue_packed_has_chain(const struct queue *queue);
int queue_packed_push(struct queue *queue, uint16_t id, uint32_t len);
int queue_packed_publish(struct queue *queue);
int queue_packed_want_kicks(struct queue *queue);
int queue_packed_no_kicks(struct queue *queue);
