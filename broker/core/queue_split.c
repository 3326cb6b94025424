/* The split layout of a virtqueue (virtio 1.3, 2.7): the available and the used ring, and signals.
 * Owns nothing; called by queue.c alone, for a queue that is started and not broken. TRUST: ring memory is the
 * guest's: it may change or vanish between any two loads.
 *
 * Who writes what: the guest the descriptors and the available ring, we the used ring. The order that matters
 * is said at each barrier. An index that is masked by size - 1 needs no judging: it is inside the ring by
 * construction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue_split.h"

#include <endian.h>
#include <errno.h>

#include "broker/core/fault_safe.h"
#include "broker/core/queue_ring.h"
#include "broker/core/queue_walk.h"

/* Offsets in both rings. */
#define RING_FLAGS 0u
#define RING_INDEX 2u
#define RING_ITEMS 4u

#define AVAIL_NO_INTERRUPT 1u /* VIRTQ_AVAIL_F_NO_INTERRUPT */
#define USED_NO_NOTIFY     1u /* VIRTQ_USED_F_NO_NOTIFY */

struct wire_used {
        uint32_t id;
        uint32_t len;
};
_Static_assert(sizeof(struct wire_used) == 8, "virtio 1.3, 2.7.8");

static uint8_t *used_event_at(const struct queue *queue) /* written by the guest */
{
        return queue->avail + RING_ITEMS + 2u * (size_t)queue->layout.size;
}

static uint8_t *avail_event_at(const struct queue *queue) /* written by us */
{
        return queue->used + RING_ITEMS + 8u * (size_t)queue->layout.size;
}

/* How many chains wait; negative: broken. A driver may be ahead by the whole ring, never by more. */
static int count_available(struct queue *queue)
{
        uint16_t index, n;

        if (queue_load16(queue, queue->avail + RING_INDEX, &index) < 0)
                return -EPROTO;
        n = (uint16_t)(index - queue->last_avail);
        if (n > queue->layout.size)
                return queue_break(queue, QUEUE_FAULT_AVAIL);
        return n;
}

bool queue_split_is_sane(const struct queue_layout *layout)
{
        return is_power_of_2(layout->size) && layout->avail.v % 2 == 0 && layout->used.v % 4 == 0;
}

int queue_split_begin(struct queue *queue, uint32_t base)
{
        if (base > UINT16_MAX)
                return -EINVAL;
        queue->last_avail = (uint16_t)base;
        queue->used_next = queue->used_published = 0;
        queue->signaled_valid = false;
        return 0;
}

int queue_split_enter(struct queue *queue)
{
        uint16_t index;

        if (fault_safe_load16(queue->used + RING_INDEX, &index) < 0)
                return -EFAULT;
        queue->used_next = queue->used_published = queue->used_signaled = le16toh(index);
        return 0;
}

uint32_t queue_split_end(struct queue *queue)
{
        /* What was pushed and never shown would be lost: the next start takes the used index from the ring.
         */
        if (queue->used && queue->fault == QUEUE_FAULT_NONE && queue->used_published != queue->used_next)
                (void)queue_store16(queue, queue->used + RING_INDEX, queue->used_next);
        return queue->last_avail;
}

int queue_split_pop(struct queue *queue, struct chain *chain)
{
        enum queue_fault fault;
        uint16_t head;
        int n;

        n = count_available(queue);
        if (n <= 0)
                return n;
        /* The load of the index was an acquire: the element and the descriptors are as the guest published
         * them. */
        if (queue_load16(queue,
                         queue->avail + RING_ITEMS +
                             2u * (size_t)(queue->last_avail & (queue->layout.size - 1u)),
                         &head) < 0)
                return -EPROTO;
        if (head >= queue->layout.size)
                return queue_break(queue, QUEUE_FAULT_HEAD);
        if (head_is_outstanding(queue, head))
                return queue_break(queue, QUEUE_FAULT_DUPLICATE);
        fault = queue_walk(queue, head, chain);
        if (fault != QUEUE_FAULT_NONE)
                return queue_walk_ended(queue, fault);
        head_set(queue, head);
        queue->last_avail++;
        return 1;
}

bool queue_split_has_chain(const struct queue *queue)
{
        uint16_t index;

        return fault_safe_load16(queue->avail + RING_INDEX, &index) < 0 ||
               le16toh(index) != queue->last_avail;
}

int queue_split_push(struct queue *queue, uint16_t head, uint32_t len)
{
        struct wire_used element = {.id = htole32(head), .len = htole32(len)};
        uint8_t *at = queue->used + RING_ITEMS + 8u * (size_t)(queue->used_next & (queue->layout.size - 1u));

        if (fault_safe_copy(at, &element, sizeof(element)) != 0)
                return queue_break(queue, QUEUE_FAULT_MEMORY);
        queue->used_next++;
        return 0;
}

/* Has the index that the guest waits for just been passed? (virtio 1.3, 2.7.10: vring_need_event) */
static bool event_passed(uint16_t event, uint16_t index, uint16_t before)
{
        return (uint16_t)(index - event - 1u) < (uint16_t)(index - before);
}

static int wants_signal(struct queue *queue)
{
        uint16_t before = queue->used_signaled, value;
        bool valid = queue->signaled_valid;

        if (!queue->features.event_idx) {
                if (queue_load16(queue, queue->avail + RING_FLAGS, &value) < 0)
                        return -EPROTO;
                return (value & AVAIL_NO_INTERRUPT) == 0;
        }
        if (queue_load16(queue, used_event_at(queue), &value) < 0)
                return -EPROTO;
        /* The comparison starts where this one ends whatever its outcome: a driver that never asks for a
         * signal would else let the distance wrap. */
        queue->used_signaled = queue->used_published;
        queue->signaled_valid = true;
        return !valid || event_passed(value, queue->used_published, before);
}

int queue_split_publish(struct queue *queue)
{
        if (queue->used_published == queue->used_next)
                return 0;
        /* A release: who sees the index sees the elements and the bytes of the buffers. */
        if (queue_store16(queue, queue->used + RING_INDEX, queue->used_next) < 0)
                return -EPROTO;
        queue->used_published = queue->used_next;
        /* Index before the look at the guest's wish: a guest that asks for a signal looks at the index after
         * asking, so one of the two sees the other. */
        full_barrier();
        return wants_signal(queue);
}

int queue_split_want_kicks(struct queue *queue)
{
        int r;

        if (queue->features.event_idx)
                r = queue_store16(queue, avail_event_at(queue), queue->last_avail);
        else
                r = queue_store16(queue, queue->used + RING_FLAGS, 0);
        if (r < 0)
                return r;
        /* Our wish before the second look: a guest that adds a chain looks at our wish after adding. */
        full_barrier();
        r = count_available(queue);
        return r < 0 ? r : r > 0;
}

int queue_split_no_kicks(struct queue *queue)
{
        /* With the event index there is nothing to say: the index that we asked for lies behind. */
        if (queue->features.event_idx)
                return 0;
        return queue_store16(queue, queue->used + RING_FLAGS, USED_NO_NOTIFY);
}
