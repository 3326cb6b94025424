/* The split layout of a virtqueue (virtio 1.3, 2.7). Called by queue.c alone: whether the queue is started,
 * sound and has the buffer in question has been judged there; contracts are those of queue.h.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/core/queue.h"

bool queue_split_is_sane(const struct queue_layout *layout);

/* Where do we go on? `base` is the next available index, and once the rings are found, the used index is the ring's. 0; -EINVAL:
 * the queue is as it was; -EFAULT. */
int queue_split_begin(struct queue *queue, uint32_t base);

/* The rest is there twice: for rings in little endian, and for those of the legacy interface in big endian (queue_split_big_). */
#define QUEUE_SPLIT_IN_ORDER(name)                                                                           \
        int queue_##name##_enter(struct queue *queue);                                                       \
        uint32_t queue_##name##_end(struct queue *queue);                                                    \
        int queue_##name##_pop(struct queue *queue, struct chain *chain);                                    \
        bool queue_##name##_has_chain(const struct queue *queue);                                            \
        int queue_##name##_push(struct queue *queue, uint16_t head, uint32_t len);                           \
        int queue_##name##_publish(struct queue *queue);                                                     \
        int queue_##name##_want_kicks(struct queue *queue);                                                  \
        int queue_##name##_no_kicks(struct queue *queue);

QUEUE_SPLIT_IN_ORDER(split)
QUEUE_SPLIT_IN_ORDER(split_big)
