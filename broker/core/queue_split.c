/* The split layout of a virtqueue (virtio 1.3, 2.7): the available and the used ring, and signals.
 * Owns nothing; called by queue.c alone, for a queue that is started and not broken. TRUST: ring memory is the
 * guest's: it may change or vanish between any two loads.
 *
 * Who writes what: the guest the descriptors and the available ring, we the used ring. The order that matters
 * is said at each barrier. Of each function there is one text, which is compiled once for each order of bytes (the table at the end
 * of queue_split.h): a modern ring is not asked for its order. An index that is masked by size - 1 needs no judging: it is inside the ring by
 * construction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue_split.h"

#include <byteswap.h>
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

/* One text for both orders of bytes. */
#define SPLIT(type) static inline __attribute__((always_inline)) type

struct wire_used {
        uint32_t id;
        uint32_t len;
};
_Static_assert(sizeof(struct wire_used) == 8, "virtio 1.3, 2.7.8");

/* Ours to the ring's order and back. */
SPLIT(uint16_t) order16(uint16_t value, bool big)
{
        return big ? bswap_16(value) : value;
}

SPLIT(uint32_t) order32(uint32_t value, bool big)
{
        return big ? bswap_32(value) : value;
}

SPLIT(int) load16(struct queue *queue, const uint8_t *at, bool big, uint16_t *ret_value)
{
        uint16_t value;

        if (queue_load16(queue, at, &value) < 0)
                return -EPROTO;
        *ret_value = order16(value, big);
        return 0;
}

SPLIT(int) store16(struct queue *queue, uint8_t *at, bool big, uint16_t value)
{
        return queue_store16(queue, at, order16(value, big));
}

static uint8_t *used_event_at(const struct queue *queue) /* written by the guest */
{
        return queue->avail + RING_ITEMS + 2u * (size_t)queue->layout.size;
}

static uint8_t *avail_event_at(const struct queue *queue) /* written by us */
{
        return queue->used + RING_ITEMS + 8u * (size_t)queue->layout.size;
}

/* How many chains wait; negative: broken. A driver may be ahead by the whole ring, never by more. */
SPLIT(int) count_available(struct queue *queue, bool big)
{
        uint16_t index, n;

        if (load16(queue, queue->avail + RING_INDEX, big, &index) < 0)
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

SPLIT(int) split_enter(struct queue *queue, bool big)
{
        uint16_t index;

        if (fault_safe_load16(queue->used + RING_INDEX, &index) < 0)
                return -EFAULT;
        queue->used_next = queue->used_published = queue->used_signaled = order16(le16toh(index), big);
        return 0;
}

SPLIT(uint32_t) split_end(struct queue *queue, bool big)
{
        /* What was pushed and never shown would be lost: the next start takes the used index from the ring.
         */
        if (queue->used && queue->fault == QUEUE_FAULT_NONE && queue->used_published != queue->used_next)
                (void)store16(queue, queue->used + RING_INDEX, big, queue->used_next);
        return queue->last_avail;
}

SPLIT(int) split_pop(struct queue *queue, bool big, struct chain *chain)
{
        enum queue_fault fault;
        uint16_t head;
        int n;

        n = count_available(queue, big);
        if (n <= 0)
                return n;
        /* The load of the index was an acquire: the element and the descriptors are as the guest published
         * them. */
        if (load16(queue,
                   queue->avail + RING_ITEMS + 2u * (size_t)(queue->last_avail & (queue->layout.size - 1u)),
                   big, &head) < 0)
                return -EPROTO;
        if (head >= queue->layout.size)
                return queue_break(queue, QUEUE_FAULT_HEAD);
        if (head_is_outstanding(queue, head))
                return queue_break(queue, QUEUE_FAULT_DUPLICATE);
        fault = big ? queue_walk_big(queue, head, chain) : queue_walk(queue, head, chain);
        if (fault != QUEUE_FAULT_NONE)
                return queue_walk_ended(queue, fault);
        head_set(queue, head);
        queue->last_avail++;
        return 1;
}

SPLIT(bool) split_has_chain(const struct queue *queue, bool big)
{
        uint16_t index;

        return fault_safe_load16(queue->avail + RING_INDEX, &index) < 0 ||
               order16(le16toh(index), big) != queue->last_avail;
}

SPLIT(int) split_push(struct queue *queue, bool big, uint16_t head, uint32_t len)
{
        struct wire_used element = {.id = htole32(order32(head, big)), .len = htole32(order32(len, big))};
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

SPLIT(int) wants_signal(struct queue *queue, bool big)
{
        uint16_t before = queue->used_signaled, value;
        bool valid = queue->signaled_valid;

        if (!queue->features.event_idx) {
                if (load16(queue, queue->avail + RING_FLAGS, big, &value) < 0)
                        return -EPROTO;
                return (value & AVAIL_NO_INTERRUPT) == 0;
        }
        if (load16(queue, used_event_at(queue), big, &value) < 0)
                return -EPROTO;
        /* The comparison starts where this one ends whatever its outcome: a driver that never asks for a
         * signal would else let the distance wrap. */
        queue->used_signaled = queue->used_published;
        queue->signaled_valid = true;
        return !valid || event_passed(value, queue->used_published, before);
}

SPLIT(int) split_publish(struct queue *queue, bool big)
{
        if (queue->used_published == queue->used_next)
                return 0;
        /* A release: who sees the index sees the elements and the bytes of the buffers. */
        if (store16(queue, queue->used + RING_INDEX, big, queue->used_next) < 0)
                return -EPROTO;
        queue->used_published = queue->used_next;
        /* Index before the look at the guest's wish: a guest that asks for a signal looks at the index after
         * asking, so one of the two sees the other. */
        full_barrier();
        return wants_signal(queue, big);
}

SPLIT(int) split_want_kicks(struct queue *queue, bool big)
{
        int r;

        if (queue->features.event_idx)
                r = store16(queue, avail_event_at(queue), big, queue->last_avail);
        else
                r = store16(queue, queue->used + RING_FLAGS, big, 0);
        if (r < 0)
                return r;
        /* Our wish before the second look: a guest that adds a chain looks at our wish after adding. */
        full_barrier();
        r = count_available(queue, big);
        return r < 0 ? r : r > 0;
}

SPLIT(int) split_no_kicks(struct queue *queue, bool big)
{
        /* With the event index there is nothing to say: the index that we asked for lies behind. */
        if (queue->features.event_idx)
                return 0;
        return store16(queue, queue->used + RING_FLAGS, big, USED_NO_NOTIFY);
}

/* ---- for each order ---- */

#define IN_ORDER(name, big)                                                                                  \
        int queue_##name##_enter(struct queue *queue)                                                        \
        {                                                                                                    \
                return split_enter(queue, big);                                                              \
        }                                                                                                    \
        uint32_t queue_##name##_end(struct queue *queue)                                                     \
        {                                                                                                    \
                return split_end(queue, big);                                                                \
        }                                                                                                    \
        int queue_##name##_pop(struct queue *queue, struct chain *chain)                                     \
        {                                                                                                    \
                return split_pop(queue, big, chain);                                                         \
        }                                                                                                    \
        bool queue_##name##_has_chain(const struct queue *queue)                                             \
        {                                                                                                    \
                return split_has_chain(queue, big);                                                          \
        }                                                                                                    \
        int queue_##name##_push(struct queue *queue, uint16_t head, uint32_t len)                            \
        {                                                                                                    \
                return split_push(queue, big, head, len);                                                    \
        }                                                                                                    \
        int queue_##name##_publish(struct queue *queue)                                                      \
        {                                                                                                    \
                return split_publish(queue, big);                                                            \
        }                                                                                                    \
        int queue_##name##_want_kicks(struct queue *queue)                                                   \
        {                                                                                                    \
                return split_want_kicks(queue, big);                                                         \
        }                                                                                                    \
        int queue_##name##_no_kicks(struct queue *queue)                                                     \
        {                                                                                                    \
                return split_no_kicks(queue, big);                                                           \
        }

IN_ORDER(split, false)
IN_ORDER(split_big, true)
