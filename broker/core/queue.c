/* A virtqueue: start and stop, what is outstanding, faults. The rings themselves are read and written by
 * queue_split.c and queue_packed.c. Owns a reference on the memory snapshot while it is started; everything
 * else belongs to the lane that calls it. TRUST: ring memory is the guest's: it may change or vanish between
 * any two loads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue.h"

#include <errno.h>
#include <string.h>

#include "broker/core/fault_safe.h"
#include "broker/core/iotlb.h"
#include "broker/core/queue_packed.h"
#include "broker/core/queue_ring.h"
#include "broker/core/queue_split.h"
#include "proto/base/checked.h"

/* One test for the form that all hot queues have. */
#define BY_FORM(queue, op, ...)                                                                              \
        (__builtin_expect((queue)->form == QUEUE_SPLIT, 1)                                                   \
             ? queue_split_##op(__VA_ARGS__)                                                                 \
             : ((queue)->form == QUEUE_PACKED ? queue_packed_##op(__VA_ARGS__)                               \
                                              : queue_split_big_##op(__VA_ARGS__)))

static enum queue_form form_of(const struct queue_features *features)
{
        if (features->packed)
                return QUEUE_PACKED;
        return features->big_endian ? QUEUE_SPLIT_BIG : QUEUE_SPLIT;
}

/* Heads that were kept over a suspend must exist in the ring that goes on. */
static bool heads_fit(const struct queue *queue, uint16_t size, bool packed)
{
        if (queue->outstanding > 0 && packed != queue->features.packed)
                return false;
        for (uint32_t head = size; queue->outstanding > 0 && head < LIMIT_RING_SIZE; head++) {
                if (head_is_outstanding(queue, (uint16_t)head))
                        return false;
        }
        return true;
}

/* ---- start and stop ---- */

bool queue_layout_ok(const struct queue_layout *layout, bool packed)
{
        return layout->size > 0 && layout->size <= LIMIT_RING_SIZE && layout->desc.v % 16 == 0 &&
               (packed ? queue_packed_is_sane(layout) : queue_split_is_sane(layout));
}

struct queue_bytes queue_bytes(uint16_t size, bool packed)
{
        uint64_t n = size;

        if (packed)
                return (struct queue_bytes){.desc = 16 * n, .avail = 4, .used = 4};
        return (struct queue_bytes){.desc = 16 * n, .avail = 6 + 2 * n, .used = 6 + 8 * n};
}

bool queue_legacy_layout(uint16_t size, gpa_t desc, uint32_t align, struct queue_layout *ret_layout)
{
        struct queue_bytes bytes = queue_bytes(size, false);
        struct queue_layout layout = {.size = size, .desc = desc};
        uint64_t mask = (uint64_t)align - 1;

        if (!gpa_add(desc, bytes.desc, &layout.avail) ||
            !gpa_add(layout.avail, bytes.avail + mask, &layout.used))
                return false;
        layout.used.v &= ~mask;
        *ret_layout = layout;
        return true;
}

/* All parts are read. */
struct part {
        gpa_t at;
        uint64_t len, align;
        bool written;
};

struct parts {
        struct part part[QUEUE_PARTS_];
};

static struct parts parts_of(const struct queue_layout *layout, bool packed)
{
        struct queue_bytes bytes = queue_bytes(layout->size, packed);

        return (struct parts){{
            [QUEUE_DESC] = {layout->desc, bytes.desc, 16, packed},
            [QUEUE_AVAIL] = {layout->avail, bytes.avail, packed ? 4 : 2, false},
            [QUEUE_USED] = {layout->used, bytes.used, 4, true},
        }};
}

static void rings_leave(struct queue *queue)
{
        queue->desc = queue->avail = queue->used = NULL;
        for (unsigned i = 0; i < QUEUE_PARTS_; i++)
                ring_view_leave(&queue->views[i]);
}

/* A translation may give the one right without the other. */
static bool is_there(const struct guest_memory *memory, const struct part *part)
{
        return guest_memory_covers_whole(memory, part->at, part->len, false) &&
               (!part->written || guest_memory_covers_whole(memory, part->at, part->len, true));
}

/* Finds the rings in the snapshot; all or none. Nothing is mapped before all is there. */
static int rings_resolve(struct queue *queue, const struct guest_memory *memory, const struct parts *parts)
{
        void *at[QUEUE_PARTS_];

        for (unsigned i = 0; i < QUEUE_PARTS_; i++)
                if (!is_there(memory, &parts->part[i]))
                        return -EFAULT;
        for (unsigned i = 0; i < QUEUE_PARTS_; i++) {
                const struct part *part = &parts->part[i];

                at[i] = ring_view_enter(&queue->views[i], memory, part->at, part->len, part->align,
                                        part->written);
                if (!at[i])
                        return -EFAULT;
        }
        queue->desc = at[QUEUE_DESC];
        queue->avail = at[QUEUE_AVAIL];
        queue->used = at[QUEUE_USED];
        return 0;
}

/* Notes what of the rings is not translated yet. False: nothing is missing. */
static bool rings_miss(struct queue *queue, const struct guest_memory *memory, const struct parts *parts)
{
        struct miss_list *miss = &queue->miss;
        bool any = false;

        for (unsigned i = QUEUE_PARTS_; i-- > 0;) {
                const struct part *part = &parts->part[i];

                if (part->written)
                        any |= miss_list_range(miss, memory, part->at, part->len, IOTLB_WRITE);
                any |= miss_list_range(miss, memory, part->at, part->len, IOTLB_READ);
        }
        return any;
}

static void queue_unpark(struct queue *queue)
{
        queue->parked = false;
        miss_list_clear(&queue->miss);
}

/* Goes on in a snapshot: with the rings, or parked. Whatever comes, nothing of the snapshot before stays. -EFAULT: they are not
 * there, and nobody is going to translate them; -EXDEV: they are translated, but to pages that cannot be put side by side. */
static int rings_enter(struct queue *queue, const struct guest_memory *memory,
                       const struct queue_layout *layout)
{
        bool packed = queue->form == QUEUE_PACKED;
        const struct parts parts = parts_of(layout, packed);
        int r;

        queue_unpark(queue);
        r = rings_resolve(queue, memory, &parts);
        if (r < 0)
                rings_leave(queue);
        if (r < 0 && guest_memory_is_translated(memory)) {
                queue->parked = rings_miss(queue, memory, &parts);
                return queue->parked ? 0 : -EXDEV;
        }
        if (r == 0 && !queue->entered)
                r = BY_FORM(queue, enter, queue);
        queue->entered |= r == 0;
        return r;
}

static void rings_forget(struct queue *queue)
{
        queue_unpark(queue);
        rings_leave(queue);
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
                const struct queue_features *features, uint32_t base)
{
        bool packed = features->packed;
        int r;

        if (!queue_layout_ok(layout, packed) || !heads_fit(queue, layout->size, packed) ||
            (packed && features->big_endian))
                return -EINVAL;
        if (!memory)
                return -EFAULT;
        r = packed ? queue_packed_begin(queue, layout->size, base) : queue_split_begin(queue, base);
        if (r < 0)
                return r;
        queue->entered = false;
        queue->form = form_of(features);
        r = rings_enter(queue, memory, layout);
        if (r < 0 && r != -EXDEV) {
                rings_leave(queue);
                return r;
        }
        queue->memory = guest_memory_ref(memory);
        queue->layout = *layout;
        queue->features = *features;
        queue->fault = r < 0 ? QUEUE_FAULT_SCATTERED : QUEUE_FAULT_NONE;
        queue->started = true;
        return 0;
}

uint32_t queue_stop(struct queue *queue)
{
        uint32_t base = BY_FORM(queue, end, queue);

        rings_forget(queue);
        queue->started = false;
        return base;
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
        if (memory) {
                r = rings_enter(queue, memory, &queue->layout);
        } else {
                rings_forget(queue);
                r = -EFAULT;
        }
        (void)guest_memory_unref(old);
        if (r < 0)
                return queue_break(queue, r == -EXDEV ? QUEUE_FAULT_SCATTERED : QUEUE_FAULT_MEMORY);
        return queue->fault == QUEUE_FAULT_NONE ? 0 : -EPROTO;
}

/* ---- chains ---- */

/* Where the next chain is taken. */
static uint16_t place_to_take(const struct queue *queue)
{
        return queue->features.packed ? queue_packed_place(queue) : queue->last_avail;
}

int queue_pop(struct queue *queue, struct chain *chain)
{
        int r;

        if (queue->fault != QUEUE_FAULT_NONE)
                return -EPROTO;
        if (!queue->started || queue->parked)
                return 0;
        chain->place = place_to_take(queue);
        chain->n_before = queue->n_taken;
        r = BY_FORM(queue, pop, queue, chain);
        queue->n_taken += r > 0;
        return r;
}

bool queue_unpop(struct queue *queue, const struct chain *chain)
{
        if (!queue->started || !head_is_outstanding(queue, chain->head) ||
            queue->n_taken != chain->n_before + 1)
                return false;
        queue->n_taken--;
        head_clear(queue, chain->head);
        if (queue->features.packed)
                queue_packed_go_back(queue, chain->place);
        else
                queue->last_avail = chain->place;
        return true;
}

/* It walks the chain once more, in the same snapshot. The guest may have made it another meanwhile, whose bytes are all there:
 * then that one is taken back, and its turn comes with the next snapshot. */
bool queue_see_parked(struct queue *queue, struct chain *chain)
{
        struct miss_list miss = queue->miss;

        if (!queue->parked || !queue->desc || queue->fault != QUEUE_FAULT_NONE)
                return false;
        queue->parked = false;
        miss_list_clear(&queue->miss);
        chain->n_readable = chain->n_writable = 0;
        if (queue_pop(queue, chain) > 0)
                (void)queue_unpop(queue, chain);
        queue->parked = true;
        queue->miss = miss;
        return true;
}

bool queue_has_chain(const struct queue *queue)
{
        if (queue->fault != QUEUE_FAULT_NONE || !queue->started || queue->parked)
                return false;
        return BY_FORM(queue, has_chain, queue);
}

int queue_push(struct queue *queue, uint16_t head, uint32_t len)
{
        bool outstanding = head < LIMIT_RING_SIZE && head_is_outstanding(queue, head);

        /* A broken queue tells its guest nothing, but the head is back all the same. */
        if (outstanding)
                head_clear(queue, head);
        if (queue->fault != QUEUE_FAULT_NONE)
                return -EPROTO;
        if (!outstanding || !queue->started)
                return -EINVAL;
        if (!queue->used) /* it cannot wait: who calls has made sure, or must not wait */
                return queue_break(queue, QUEUE_FAULT_MEMORY);
        return BY_FORM(queue, push, queue, head, len);
}

int queue_publish(struct queue *queue)
{
        if (queue->fault != QUEUE_FAULT_NONE)
                return -EPROTO;
        if (!queue->used)
                return 0;
        return BY_FORM(queue, publish, queue);
}

int queue_want_kicks(struct queue *queue)
{
        if (queue->fault != QUEUE_FAULT_NONE)
                return -EPROTO;
        if (!queue->started || queue->parked)
                return 0;
        return BY_FORM(queue, want_kicks, queue);
}

int queue_no_kicks(struct queue *queue)
{
        if (queue->fault != QUEUE_FAULT_NONE)
                return -EPROTO;
        if (!queue->started || queue->parked)
                return 0;
        return BY_FORM(queue, no_kicks, queue);
}

/* A few bytes at a time: this happens once in a queue's life. */
bool queue_avail_is_zero(const struct queue *queue)
{
        bool packed = queue->features.packed;
        const struct queue_bytes all = queue_bytes(queue->layout.size, packed);
        const uint8_t *from = packed ? queue->desc : queue->avail;
        uint64_t len = packed ? all.desc : all.avail;

        if (!queue->started || !from)
                return false;
        for (uint64_t done = 0; done < len;) {
                uint8_t bytes[64];
                size_t n = (size_t)MIN(len - done, sizeof(bytes));

                if (fault_safe_copy(bytes, from + done, n) != 0)
                        return false;
                for (size_t i = 0; i < n; i++)
                        if (bytes[i] != 0)
                                return false;
                done += n;
        }
        return true;
}

/* ---- faults ---- */

static const char *const fault_names[QUEUE_FAULT_COUNT_] = {
    [QUEUE_FAULT_NONE] = "none",
    [QUEUE_FAULT_MEMORY] = "ring not in guest memory",
    [QUEUE_FAULT_SCATTERED] = "ring in translated pages that cannot be put side by side",
    [QUEUE_FAULT_AVAIL] = "driver ahead by more than the ring",
    [QUEUE_FAULT_HEAD] = "head outside the ring",
    [QUEUE_FAULT_DUPLICATE] = "head already outstanding",
    [QUEUE_FAULT_NEXT] = "next outside the table",
    [QUEUE_FAULT_LOOP] = "chain longer than the ring",
    [QUEUE_FAULT_ORDER] = "readable descriptor behind a writable one",
    [QUEUE_FAULT_INDIRECT] = "bad indirect descriptor",
    [QUEUE_FAULT_LENGTH] = "bad length",
    [QUEUE_FAULT_SEGMENTS] = "too many segments",
    [QUEUE_FAULT_ADDRESS] = "buffer outside guest memory",
    [QUEUE_FAULT_WINDOW] = "buffer outside of the device's windows",
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
