/* One split virtqueue: start and stop, the available and the used ring, signals (virtio 1.3, 2.7.6
 * to 2.7.14). Owns a reference on the memory snapshot while it is started; everything else belongs to the
 * lane that calls it. TRUST: ring memory is the guest's: it may change or vanish between any two loads.
 *
 * Who writes what: the guest the descriptors and the available ring, we the used ring. The order that matters
 * is said at each barrier. An index that is masked by size - 1 needs no judging: it is inside the ring by
 * construction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/core/fault_safe.h"
#include "broker/core/queue_walk.h"
#include "proto/base/checked.h"

/* Bytes of a ring (virtio 1.3, 2.7): the two indices, the elements, and the event index behind them. */
#define DESC_BYTES(size)  (16u * (uint64_t)(size))
#define AVAIL_BYTES(size) (6u + 2u * (uint64_t)(size))
#define USED_BYTES(size)  (6u + 8u * (uint64_t)(size))

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

/* Orders our store before our load, which nothing weaker does. Not a C11 fence: gcc's thread sanitizer
 * refuses those. */
static inline void full_barrier(void)
{
        __sync_synchronize();
}

/* ---- loads and stores: a fault breaks the queue ---- */

static int load_le16(struct queue *queue, const uint8_t *at, uint16_t *ret_value)
{
        uint16_t value;

        if (fault_safe_load16(at, &value) < 0)
                return queue_break(queue, QUEUE_FAULT_MEMORY);
        *ret_value = le16toh(value);
        return 0;
}

static int store_le16(struct queue *queue, uint8_t *at, uint16_t value)
{
        if (fault_safe_store16(at, htole16(value)) < 0)
                return queue_break(queue, QUEUE_FAULT_MEMORY);
        return 0;
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
static int count_available(struct queue *queue)
{
        uint16_t index, n;

        if (load_le16(queue, queue->avail + RING_INDEX, &index) < 0)
                return -EPROTO;
        n = (uint16_t)(index - queue->last_avail);
        if (n > queue->layout.size)
                return queue_break(queue, QUEUE_FAULT_AVAIL);
        return n;
}

/* ---- outstanding heads ---- */

static bool head_is_outstanding(const struct queue *queue, uint16_t head)
{
        return (queue->heads[head / 64] >> (head % 64) & 1) != 0;
}

static void head_set(struct queue *queue, uint16_t head)
{
        queue->heads[head / 64] |= UINT64_C(1) << (head % 64);
        queue->outstanding++;
}

static void head_clear(struct queue *queue, uint16_t head)
{
        queue->heads[head / 64] &= ~(UINT64_C(1) << (head % 64));
        queue->outstanding--;
}

/* Heads that were kept over a suspend must exist in the ring that goes on. */
static bool heads_fit(const struct queue *queue, uint16_t size)
{
        for (uint32_t head = size; queue->outstanding > 0 && head < LIMIT_RING_SIZE; head++) {
                if (head_is_outstanding(queue, (uint16_t)head))
                        return false;
        }
        return true;
}

/* ---- start and stop ---- */

static bool layout_is_sane(const struct queue_layout *layout)
{
        return is_power_of_2(layout->size) && layout->size <= LIMIT_RING_SIZE && layout->desc.v % 16 == 0 &&
               layout->avail.v % 2 == 0 && layout->used.v % 4 == 0;
}

/* Finds the rings in the snapshot; all or none. */
static int rings_resolve(struct queue *queue, const struct guest_memory *memory,
                         const struct queue_layout *layout)
{
        uint16_t size = layout->size;
        uint8_t *desc = guest_memory_ring(memory, layout->desc, DESC_BYTES(size), 16, false);
        uint8_t *avail = guest_memory_ring(memory, layout->avail, AVAIL_BYTES(size), 2, false);
        uint8_t *used = guest_memory_ring(memory, layout->used, USED_BYTES(size), 4, true);

        if (!desc || !avail || !used)
                return -EFAULT;
        queue->desc = desc;
        queue->avail = avail;
        queue->used = used;
        return 0;
}

static void rings_forget(struct queue *queue)
{
        queue->desc = queue->avail = queue->used = NULL;
        queue->memory = guest_memory_unref(queue->memory);
}

void queue_init(struct queue *queue)
{
        *queue = (struct queue){0};
}

void queue_done(struct queue *queue)
{
        rings_forget(queue);
        *queue = (struct queue){0};
}

int queue_start(struct queue *queue, struct guest_memory *memory, const struct queue_layout *layout,
                const struct queue_features *features, uint16_t base)
{
        uint16_t index;
        int r;

        if (!layout_is_sane(layout) || !heads_fit(queue, layout->size))
                return -EINVAL;
        if (!memory)
                return -EFAULT;
        r = rings_resolve(queue, memory, layout);
        if (r < 0)
                return r;
        if (fault_safe_load16(queue->used + RING_INDEX, &index) < 0) {
                queue->desc = queue->avail = queue->used = NULL;
                return -EFAULT;
        }
        queue->memory = guest_memory_ref(memory);
        queue->layout = *layout;
        queue->features = *features;
        queue->fault = QUEUE_FAULT_NONE;
        queue->last_avail = base;
        queue->used_next = queue->used_published = queue->used_signaled = le16toh(index);
        queue->signaled_valid = false;
        queue->started = true;
        return 0;
}

uint16_t queue_stop(struct queue *queue)
{
        /* What was pushed and never shown would be lost: the next start takes the used index from the ring.
         */
        if (queue->started && queue->fault == QUEUE_FAULT_NONE && queue->used_published != queue->used_next)
                (void)store_le16(queue, queue->used + RING_INDEX, queue->used_next);
        rings_forget(queue);
        queue->started = false;
        return queue->last_avail;
}

void queue_forget(struct queue *queue)
{
        memset(queue->heads, 0, sizeof(queue->heads));
        queue->outstanding = 0;
}

int queue_rebind(struct queue *queue, struct guest_memory *memory)
{
        struct guest_memory *old = queue->memory;
        int r;

        if (!queue->started)
                return 0;
        queue->memory = memory ? guest_memory_ref(memory) : NULL;
        queue->desc = queue->avail = queue->used =
            NULL; /* whatever comes: nothing of the old snapshot stays */
        r = memory ? rings_resolve(queue, memory, &queue->layout) : -EFAULT;
        (void)guest_memory_unref(old);
        if (r < 0)
                return queue_break(queue, QUEUE_FAULT_MEMORY);
        return queue->fault == QUEUE_FAULT_NONE ? 0 : -EPROTO;
}

/* ---- chains ---- */

int queue_pop(struct queue *queue, struct chain *chain)
{
        enum queue_fault fault;
        uint16_t head;
        int n;

        if (queue->fault != QUEUE_FAULT_NONE)
                return -EPROTO;
        if (!queue->started)
                return 0;
        n = count_available(queue);
        if (n <= 0)
                return n;
        /* The load of the index was an acquire: the element and the descriptors are as the guest published
         * them. */
        if (load_le16(queue,
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
                return queue_break(queue, fault);
        head_set(queue, head);
        queue->last_avail++;
        return 1;
}

int queue_push(struct queue *queue, uint16_t head, uint32_t len)
{
        struct wire_used element = {.id = htole32(head), .len = htole32(len)};
        bool outstanding = head < LIMIT_RING_SIZE && head_is_outstanding(queue, head);
        uint8_t *at;

        /* A broken queue tells its guest nothing, but the head is back all the same. */
        if (outstanding)
                head_clear(queue, head);
        if (queue->fault != QUEUE_FAULT_NONE)
                return -EPROTO;
        if (!outstanding || !queue->started)
                return -EINVAL;
        at = queue->used + RING_ITEMS + 8u * (size_t)(queue->used_next & (queue->layout.size - 1u));
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
                if (load_le16(queue, queue->avail + RING_FLAGS, &value) < 0)
                        return -EPROTO;
                return (value & AVAIL_NO_INTERRUPT) == 0;
        }
        if (load_le16(queue, used_event_at(queue), &value) < 0)
                return -EPROTO;
        /* The comparison starts where this one ends whatever its outcome: a driver that never asks for a
         * signal would else let the distance wrap. */
        queue->used_signaled = queue->used_published;
        queue->signaled_valid = true;
        return !valid || event_passed(value, queue->used_published, before);
}

int queue_publish(struct queue *queue)
{
        if (queue->fault != QUEUE_FAULT_NONE)
                return -EPROTO;
        if (!queue->started || queue->used_published == queue->used_next)
                return 0;
        /* A release: who sees the index sees the elements and the bytes of the buffers. */
        if (store_le16(queue, queue->used + RING_INDEX, queue->used_next) < 0)
                return -EPROTO;
        queue->used_published = queue->used_next;
        /* Index before the look at the guest's wish: a guest that asks for a signal looks at the index after
         * asking, so one of the two sees the other. */
        full_barrier();
        return wants_signal(queue);
}

int queue_want_kicks(struct queue *queue)
{
        int r;

        if (queue->fault != QUEUE_FAULT_NONE)
                return -EPROTO;
        if (!queue->started)
                return 0;
        if (queue->features.event_idx)
                r = store_le16(queue, avail_event_at(queue), queue->last_avail);
        else
                r = store_le16(queue, queue->used + RING_FLAGS, 0);
        if (r < 0)
                return r;
        /* Our wish before the second look: a guest that adds a chain looks at our wish after adding. */
        full_barrier();
        r = count_available(queue);
        return r < 0 ? r : r > 0;
}

int queue_no_kicks(struct queue *queue)
{
        if (queue->fault != QUEUE_FAULT_NONE)
                return -EPROTO;
        /* With the event index there is nothing to say: the index that we asked for lies behind. */
        if (!queue->started || queue->features.event_idx)
                return 0;
        return store_le16(queue, queue->used + RING_FLAGS, USED_NO_NOTIFY);
}

bool queue_avail_is_zero(const struct queue *queue)
{
        uint8_t bytes[AVAIL_BYTES(LIMIT_RING_SIZE)];
        size_t len = AVAIL_BYTES(queue->layout.size);

        if (!queue->started || !queue->avail || fault_safe_copy(bytes, queue->avail, len) != 0)
                return false;
        for (size_t i = 0; i < len; i++) {
                if (bytes[i] != 0)
                        return false;
        }
        return true;
}

/* ---- faults ---- */

static const char *const fault_names[QUEUE_FAULT_COUNT_] = {
    [QUEUE_FAULT_NONE] = "none",
    [QUEUE_FAULT_MEMORY] = "ring not in guest memory",
    [QUEUE_FAULT_AVAIL] = "available index beyond the ring",
    [QUEUE_FAULT_HEAD] = "head outside the ring",
    [QUEUE_FAULT_DUPLICATE] = "head already outstanding",
    [QUEUE_FAULT_NEXT] = "next outside the table",
    [QUEUE_FAULT_LOOP] = "chain longer than the ring",
    [QUEUE_FAULT_ORDER] = "readable descriptor behind a writable one",
    [QUEUE_FAULT_INDIRECT] = "bad indirect descriptor",
    [QUEUE_FAULT_LENGTH] = "bad length",
    [QUEUE_FAULT_SEGMENTS] = "too many segments",
    [QUEUE_FAULT_ADDRESS] = "buffer outside guest memory",
    [QUEUE_FAULT_DEVICE] = "device protocol broken",
    [QUEUE_FAULT_CALL] = "interrupt that makes us wait",
};

const char *queue_fault_name(enum queue_fault fault)
{
        return fault < QUEUE_FAULT_COUNT_ ? fault_names[fault] : "unknown";
}

int queue_break(struct queue *queue, enum queue_fault fault)
{
        if (queue->fault == QUEUE_FAULT_NONE)
                queue->fault = fault;
        return -EPROTO;
}
