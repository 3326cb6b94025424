/* What the layouts of a virtqueue share: ring memory is loaded and stored fault-safely, and a fault breaks the
 * queue; buffers that the guest has lent are known by number (a split ring's heads, a packed ring's ids).
 * Included by queue.c and the files of the layouts alone.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <endian.h>

#include "broker/core/fault_safe.h"
#include "broker/core/queue.h"
#include "broker/core/queue_walk.h"

/* Orders our store before our load, which nothing weaker does. Not a C11 fence: gcc's thread sanitizer
 * refuses those. */
static inline void full_barrier(void)
{
        __sync_synchronize();
}

/* ---- loads (acquire) and stores (release) ---- */

static inline int queue_load16(struct queue *queue, const uint8_t *at, uint16_t *ret_value)
{
        uint16_t value;

        if (fault_safe_load16(at, &value) < 0)
                return queue_break(queue, QUEUE_FAULT_MEMORY);
        *ret_value = le16toh(value);
        return 0;
}

static inline int queue_load32(struct queue *queue, const uint8_t *at, uint32_t *ret_value)
{
        uint32_t value;

        if (fault_safe_load32(at, &value) < 0)
                return queue_break(queue, QUEUE_FAULT_MEMORY);
        *ret_value = le32toh(value);
        return 0;
}

static inline int queue_store16(struct queue *queue, uint8_t *at, uint16_t value)
{
        if (fault_safe_store16(at, htole16(value)) < 0)
                return queue_break(queue, QUEUE_FAULT_MEMORY);
        return 0;
}

static inline int queue_store32(struct queue *queue, uint8_t *at, uint32_t value)
{
        if (fault_safe_store32(at, htole32(value)) < 0)
                return queue_break(queue, QUEUE_FAULT_MEMORY);
        return 0;
}

static inline int queue_store64(struct queue *queue, uint8_t *at, uint64_t value)
{
        if (fault_safe_store64(at, htole64(value)) < 0)
                return queue_break(queue, QUEUE_FAULT_MEMORY);
        return 0;
}

/* A walk has ended, and not well: the queue is broken, or waits for pages. */
static inline int queue_walk_ended(struct queue *queue, enum queue_fault fault)
{
        if (fault != QUEUE_WALK_MISSING)
                return queue_break(queue, fault);
        queue->parked = true;
        return 0;
}

/* ---- buffers that are outstanding ---- */

static inline bool head_is_outstanding(const struct queue *queue, uint16_t head)
{
        return (queue->heads[head / 64] >> (head % 64) & 1) != 0;
}

static inline void head_set(struct queue *queue, uint16_t head)
{
        queue->heads[head / 64] |= UINT64_C(1) << (head % 64);
        queue->outstanding++;
}

static inline void head_clear(struct queue *queue, uint16_t head)
{
        queue->heads[head / 64] &= ~(UINT64_C(1) << (head % 64));
        queue->outstanding--;
}
