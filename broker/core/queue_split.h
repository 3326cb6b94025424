/* The split layout of a virtqueue (virtio 1.3, 2.7). Called by queue.c alone: whether the queue is started,
 * sound and has the buffer in question has been judged there; contracts are those of queue.h.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/core/queue.h"

bool queue_split_is_sane(const struct queue_layout *layout);

/* Where do we go on? `base` is the next available index, and once the rings are found, the used index is the ring's. 0; -EINVAL:
 * the queue is as it was; -EFAULT. */
int queue_split_begin(struct queue *queue, uint32_t base);
int queue_split_enter(struct queue *queue);
uint32_t queue_split_end(struct queue *queue);

int queue_split_pop(struct queue *queue, struct chain *chain);
bool queue_split_has_chain(const struct queue *queue);
int queue_split_push(struct queue *queue, uint16_t head, uint32_t len);
int queue_split_publish(struct queue *queue);
int queue_split_want_kicks(struct queue *queue);
int queue_split_no_kicks(struct queue *queue);
