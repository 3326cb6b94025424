/* The packed layout of a virtqueue (virtio 1.3, 2.8): one ring that both sides write, and two event areas.
 * Owns nothing; called by queue.c alone, for a queue that is started and not broken. TRUST: ring memory is the
 * guest's: it may change or vanish between any two loads.
 *
 * How it works: the driver makes descriptors available in ring order; we write one used descriptor for each
 * chain, in ring order too, and skip as many as the chain had, whatever buffer it was. Two places go round the
 * ring, each with a wrap counter: the next one to take (last_avail) and the next one to write (used_next).
 * What lies between them is ours, and so is what was written and not shown yet. Together it is never more than the
 * ring: that is what keeps a driver that makes descriptors available over those that it has not got back from being
 * followed round and round.
 *
 * Used descriptors that are shown together: each is one store of eight bytes (len, id, flags), and the first of
 * them is kept back and stored last, in queue_packed_publish, as a release. The driver stops at the first that
 * is not used, so it sees all or none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue_packed.h"

#include <errno.h>

#include "broker/core/queue_ring.h"
#include "broker/core/queue_walk.h"

#define PACKED_WRITE (1u << 1) /* VIRTQ_DESC_F_WRITE: in a used descriptor, bytes have been written */

/* Event areas (2.8.10): a place with its wrap counter, and what is wanted. */
#define EVENT_WRAP    (1u << 15)
#define EVENT_PLACE   (EVENT_WRAP - 1u)
#define EVENT_ENABLE  0u /* RING_EVENT_FLAGS_ENABLE */
#define EVENT_DISABLE 1u /* RING_EVENT_FLAGS_DISABLE */
#define EVENT_DESC    2u /* RING_EVENT_FLAGS_DESC */
#define EVENT_FLAGS   3u

static uint8_t *place_at(const struct queue *queue, uint16_t place)
{
        return queue->desc + (size_t)place * PACKED_DESC_BYTES;
}

static uint16_t with_wrap(uint16_t place, bool wrap)
{
        return (uint16_t)(place | (wrap ? EVENT_WRAP : 0));
}

/* Goes n places on, n at most the ring. */
static void advance(const struct queue *queue, uint16_t n, uint16_t *place, bool *wrap)
{
        uint32_t next = (uint32_t)*place + n;

        if (next >= queue->layout.size) {
                next -= queue->layout.size;
                *wrap = !*wrap;
        }
        *place = (uint16_t)next;
}

/* Descriptors that the driver has not got back: those between the place to write and the place to take, and those
 * that were written and not shown. 0 to size. */
static uint32_t held(const struct queue *queue)
{
        uint32_t turn = queue->avail_wrap == queue->used_wrap ? 0 : queue->layout.size;

        return turn + queue->last_avail - queue->used_next + queue->n_pushed;
}

/* ---- start and stop ---- */

bool queue_packed_is_sane(const struct queue_layout *layout)
{
        return layout->avail.v % 4 == 0 && layout->used.v % 4 == 0;
}

/* Descriptors of the buffers that were kept over a suspend. */
static uint32_t count_kept(const struct queue *queue)
{
        uint32_t n = 0;

        for (uint16_t id = 0; queue->outstanding > 0 && id < LIMIT_RING_SIZE; id++)
                n += head_is_outstanding(queue, id) ? queue->taken[id] : 0;
        return n;
}

int queue_packed_begin(struct queue *queue, uint16_t size, uint32_t base)
{
        uint16_t avail = base & EVENT_PLACE, used = base >> 16 & EVENT_PLACE;
        bool avail_wrap = base & EVENT_WRAP, used_wrap = base >> 16 & EVENT_WRAP;
        uint32_t between = (avail_wrap == used_wrap ? 0 : size) + (uint32_t)avail - used;

        /* A difference below zero is far above the ring. */
        if (avail >= size || used >= size || between > size || between < count_kept(queue))
                return -EINVAL;
        queue->last_avail = avail;
        queue->avail_wrap = avail_wrap;
        queue->used_next = used;
        queue->used_wrap = used_wrap;
        queue->n_pushed = 0;
        queue->signaled_valid = false;
        return 0;
}

int queue_packed_enter(struct queue *queue)
{
        uint16_t flags;

        return fault_safe_load16(place_at(queue, queue->last_avail) + PACKED_DESC_FLAGS, &flags) < 0 ? -EFAULT
                                                                                                     : 0;
}

/* Shows what was kept back. */
static int show_first(struct queue *queue)
{
        return queue_store64(queue, place_at(queue, queue->first_at) + PACKED_DESC_LEN, queue->first);
}

uint32_t queue_packed_end(struct queue *queue)
{
        if (queue->desc && queue->fault == QUEUE_FAULT_NONE && queue->n_pushed > 0)
                (void)show_first(queue);
        return with_wrap(queue->last_avail, queue->avail_wrap) |
               (uint32_t)with_wrap(queue->used_next, queue->used_wrap) << 16;
}

/* ---- chains ---- */

/* Does a chain wait? 1, 0, or -EPROTO. The load is an acquire: what stands in front of the flags, and the
 * descriptors behind this one, are as the driver wrote them before. */
static int load_flags(struct queue *queue, uint16_t *ret_flags)
{
        uint16_t flags;

        if (queue_load16(queue, place_at(queue, queue->last_avail) + PACKED_DESC_FLAGS, &flags) < 0)
                return -EPROTO;
        *ret_flags = flags;
        return packed_is_available(flags, queue->avail_wrap);
}

int queue_packed_pop(struct queue *queue, struct chain *chain)
{
        enum queue_fault fault;
        uint16_t flags, n;
        int r = load_flags(queue, &flags);

        if (r <= 0)
                return r;
        fault = queue_walk_packed(queue, flags, queue->layout.size - held(queue), chain, &n);
        if (fault != QUEUE_FAULT_NONE)
                return queue_walk_ended(queue, fault);
        if (chain->head >= queue->layout.size)
                return queue_break(queue, QUEUE_FAULT_HEAD);
        if (head_is_outstanding(queue, chain->head))
                return queue_break(queue, QUEUE_FAULT_DUPLICATE);
        head_set(queue, chain->head);
        queue->taken[chain->head] = n;
        advance(queue, n, &queue->last_avail, &queue->avail_wrap);
        return 1;
}

uint16_t queue_packed_place(const struct queue *queue)
{
        return with_wrap(queue->last_avail, queue->avail_wrap);
}

void queue_packed_go_back(struct queue *queue, uint16_t place)
{
        queue->last_avail = place & EVENT_PLACE;
        queue->avail_wrap = place & EVENT_WRAP;
}

bool queue_packed_has_chain(const struct queue *queue)
{
        uint16_t flags;

        return fault_safe_load16(place_at(queue, queue->last_avail) + PACKED_DESC_FLAGS, &flags) < 0 ||
               packed_is_available(le16toh(flags), queue->avail_wrap);
}

int queue_packed_push(struct queue *queue, uint16_t id, uint32_t len)
{
        uint64_t flags = (queue->used_wrap ? PACKED_AVAIL | PACKED_USED : 0) | (len > 0 ? PACKED_WRITE : 0);
        uint64_t element = len | (uint64_t)id << 32 | flags << 48;
        uint16_t n = queue->taken[id];

        if (queue->n_pushed == 0) {
                queue->first = element;
                queue->first_at = queue->used_next;
        } else if (queue_store64(queue, place_at(queue, queue->used_next) + PACKED_DESC_LEN, element) < 0) {
                return -EPROTO;
        }
        queue->n_pushed = (uint16_t)(queue->n_pushed + n);
        advance(queue, n, &queue->used_next, &queue->used_wrap);
        return 0;
}

/* ---- signals and kicks ---- */

/* Is the place that the driver waits for among the last n that were written? */
static bool event_passed(const struct queue *queue, uint16_t event, uint16_t n)
{
        bool wrap = event & EVENT_WRAP;
        uint32_t turn = wrap == queue->used_wrap ? 0 : queue->layout.size;

        /* How far behind us it lies; a place that is still to come is far above the ring. */
        return turn + queue->used_next - (event & EVENT_PLACE) - 1u < n;
}

/* Both halves of an event area are one load: what is wanted goes with the place. */
static int wants_signal(struct queue *queue, uint16_t n)
{
        bool valid = queue->signaled_valid;
        uint32_t event;

        if (queue_load32(queue, queue->avail, &event) < 0)
                return -EPROTO;
        queue->signaled_valid = true;
        switch (event >> 16 & EVENT_FLAGS) {
        case EVENT_DISABLE:
                return 0;
        case EVENT_DESC:
                return !queue->features.event_idx || !valid || event_passed(queue, (uint16_t)event, n);
        default: /* ENABLE; the reserved value asks for nothing that we know, and a signal harms nobody */
                return 1;
        }
}

int queue_packed_publish(struct queue *queue)
{
        uint16_t n = queue->n_pushed;

        if (n == 0)
                return 0;
        queue->n_pushed = 0;
        /* A release: who sees the first sees the others and the bytes of the buffers. */
        if (show_first(queue) < 0)
                return -EPROTO;
        /* Flags before the look at the guest's wish: a guest that asks for a signal looks at the ring after
         * asking, so one of the two sees the other. */
        full_barrier();
        return wants_signal(queue, n);
}

int queue_packed_want_kicks(struct queue *queue)
{
        uint32_t event = EVENT_ENABLE << 16;
        uint16_t flags;

        if (queue->features.event_idx)
                event = EVENT_DESC << 16 | with_wrap(queue->last_avail, queue->avail_wrap);
        if (queue_store32(queue, queue->used, event) < 0)
                return -EPROTO;
        /* Our wish before the second look: a guest that adds a chain looks at our wish after adding. */
        full_barrier();
        return load_flags(queue, &flags);
}

int queue_packed_no_kicks(struct queue *queue)
{
        /* With event places there is nothing to say: the place that we asked for lies behind. */
        if (queue->features.event_idx)
                return 0;
        return queue_store32(queue, queue->used, EVENT_DISABLE << 16);
}
