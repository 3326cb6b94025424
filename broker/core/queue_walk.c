/* The judge of descriptor chains (virtio 1.3, 2.7.4 to 2.7.5.3).
 * Owns nothing; called by queue_pop alone. TRUST: every byte it reads is the guest's, and the guest may
 * change it at any moment.
 *
 * How it works: each step copies one descriptor into a local and judges only that. A step is a buffer, and a
 * chain has at most as many as the ring has descriptors, whichever tables they come from: so every loop ends.
 * An indirect descriptor is no step; it moves the walk into its table, once, and is the last of the ring's
 * own descriptors (2.7.5.3.1 allows direct ones before it). Indirect descriptors are copied a window at a
 * time, because drivers lay them out in order; a descriptor outside the window is a new window.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue_walk.h"

#include <endian.h>

#include "broker/core/fault_safe.h"
#include "proto/base/checked.h"

#define DESCRIPTOR_BYTES 16u
#define WINDOW           16u /* descriptors copied at once: four cache lines */

#define FLAG_NEXT     1u /* VIRTQ_DESC_F_NEXT */
#define FLAG_WRITE    2u /* VIRTQ_DESC_F_WRITE */
#define FLAG_INDIRECT 4u /* VIRTQ_DESC_F_INDIRECT */

/* As the guest writes it: little endian. */
struct wire_descriptor {
        uint64_t addr;
        uint32_t len;
        uint16_t flags;
        uint16_t next;
};
_Static_assert(sizeof(struct wire_descriptor) == DESCRIPTOR_BYTES, "virtio 1.3, 2.7.5");

/* As it was at the moment of the copy. */
struct descriptor {
        gpa_t addr;
        uint32_t len;
        uint16_t flags;
        uint16_t next;
};

struct walk {
        const struct queue *queue;
        struct chain *chain;
        uint32_t n_table;    /* descriptors of the table that the walk is in */
        bool indirect;       /* that table is an indirect one ... */
        gpa_t table;         /* ... which lies here, wholly in guest memory */
        uint32_t held_first; /* the window: descriptors [held_first, held_first + n_held) of the table */
        uint32_t n_held;
        struct wire_descriptor window[WINDOW];
};

static struct descriptor descriptor_from_wire(const struct wire_descriptor *wire)
{
        return (struct descriptor){
            .addr = GPA(le64toh(wire->addr)),
            .len = le32toh(wire->len),
            .flags = le16toh(wire->flags),
            .next = le16toh(wire->next),
        };
}

static enum queue_fault fetch_direct(const struct walk *walk, uint32_t i, struct descriptor *ret_descriptor)
{
        struct wire_descriptor wire;

        if (fault_safe_copy(&wire, walk->queue->desc + (size_t)i * DESCRIPTOR_BYTES, sizeof(wire)) != 0)
                return QUEUE_FAULT_MEMORY;
        *ret_descriptor = descriptor_from_wire(&wire);
        return QUEUE_FAULT_NONE;
}

static enum queue_fault fetch_indirect(struct walk *walk, uint32_t i, struct descriptor *ret_descriptor)
{
        if (i - walk->held_first >= walk->n_held) { /* below the window wraps to far above it */
                uint32_t n = MIN(walk->n_table - i, WINDOW);
                gpa_t at;

                if (!gpa_add(walk->table, (uint64_t)i * DESCRIPTOR_BYTES, &at) ||
                    guest_memory_read(walk->queue->memory, at, walk->window, (uint64_t)n * DESCRIPTOR_BYTES) <
                        0)
                        return QUEUE_FAULT_ADDRESS;
                walk->held_first = i;
                walk->n_held = n;
        }
        *ret_descriptor = descriptor_from_wire(&walk->window[i - walk->held_first]);
        return QUEUE_FAULT_NONE;
}

/* Moves into the table of an indirect descriptor; its WRITE flag has no meaning (2.7.5.3.2). */
static enum queue_fault enter_table(struct walk *walk, const struct descriptor *descriptor)
{
        uint32_t n = descriptor->len / DESCRIPTOR_BYTES;

        if (!walk->queue->features.indirect || walk->indirect || (descriptor->flags & FLAG_NEXT) != 0)
                return QUEUE_FAULT_INDIRECT;
        if (descriptor->len % DESCRIPTOR_BYTES != 0 || n == 0 || n > walk->queue->layout.size)
                return QUEUE_FAULT_INDIRECT;
        if (!guest_memory_covers(walk->queue->memory, descriptor->addr, descriptor->len, false))
                return QUEUE_FAULT_ADDRESS;
        walk->indirect = true;
        walk->table = descriptor->addr;
        walk->n_table = n;
        walk->held_first = walk->n_held = 0;
        return QUEUE_FAULT_NONE;
}

/* Judges one buffer and files it. */
static enum queue_fault take_buffer(struct walk *walk, const struct descriptor *descriptor)
{
        struct chain *chain = walk->chain;
        uint32_t n = (uint32_t)chain->n_readable + chain->n_writable;
        bool write = (descriptor->flags & FLAG_WRITE) != 0;
        uint64_t sum = (uint64_t)chain->readable + chain->writable + descriptor->len;

        if (n >= walk->queue->layout.size)
                return QUEUE_FAULT_LOOP;
        /* Also keeps both sums of the chain in 32 bits. */
        if (descriptor->len == 0 || sum > LIMIT_CHAIN_BYTES)
                return QUEUE_FAULT_LENGTH;
        if (!write && chain->n_writable > 0)
                return QUEUE_FAULT_ORDER;
        if (n >= chain->max_segments)
                return QUEUE_FAULT_SEGMENTS;
        if (!guest_memory_covers(walk->queue->memory, descriptor->addr, descriptor->len, write))
                return QUEUE_FAULT_ADDRESS;
        chain->segments[n] = (struct segment){.at = descriptor->addr, .len = descriptor->len};
        if (write) {
                chain->n_writable++;
                chain->writable += descriptor->len;
        } else {
                chain->n_readable++;
                chain->readable += descriptor->len;
        }
        return QUEUE_FAULT_NONE;
}

/* One descriptor; *i becomes the next one, *ret_more says whether there is one. */
static enum queue_fault step(struct walk *walk, uint32_t *i, bool *ret_more)
{
        struct descriptor descriptor;
        enum queue_fault fault;

        fault = walk->indirect ? fetch_indirect(walk, *i, &descriptor) : fetch_direct(walk, *i, &descriptor);
        if (fault != QUEUE_FAULT_NONE)
                return fault;
        *ret_more = true;
        if ((descriptor.flags & FLAG_INDIRECT) != 0) {
                *i = 0;
                return enter_table(walk, &descriptor);
        }
        fault = take_buffer(walk, &descriptor);
        if (fault != QUEUE_FAULT_NONE)
                return fault;
        *ret_more = (descriptor.flags & FLAG_NEXT) != 0;
        if (*ret_more && descriptor.next >= walk->n_table)
                return QUEUE_FAULT_NEXT;
        *i = descriptor.next;
        return QUEUE_FAULT_NONE;
}

enum queue_fault queue_walk(const struct queue *queue, uint16_t head, struct chain *chain)
{
        struct walk walk;
        uint32_t i = head;
        enum queue_fault fault;
        bool more;

        /* Field by field: the window needs no clearing. */
        walk.queue = queue;
        walk.chain = chain;
        walk.n_table = queue->layout.size;
        walk.indirect = false;
        chain->head = head;
        chain->n_readable = chain->n_writable = 0;
        chain->readable = chain->writable = 0;
        do
                fault = step(&walk, &i, &more);
        while (fault == QUEUE_FAULT_NONE && more);
        return fault;
}
