/* The judge of descriptor chains (virtio 1.3, 2.7.4 to 2.7.5.3 and 2.8.5 to 2.8.8).
 * Owns nothing; called by queue_pop's two layouts alone. TRUST: every byte it reads is the guest's, and the guest may
 * change it at any moment.
 *
 * How it works: each step copies one descriptor into a local and judges only that. A step is a buffer, and a
 * chain has at most as many as the ring has descriptors, whichever tables they come from: so every loop ends.
 * An indirect descriptor is no step; it moves the walk into its table, once, and is the last of the ring's
 * own descriptors (2.7.5.3.1 allows direct ones before it). Indirect descriptors are copied a window at a
 * time, because drivers lay them out in order; a descriptor outside the window is a new window.
 *
 * The layouts differ in where a descriptor comes from (fetch_*) and which one is next (next_*), and in nothing
 * else: take_buffer and enter_table judge both.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue_walk.h"

#include <endian.h>

#include "broker/core/fault_safe.h"
#include "broker/core/iotlb.h"
#include "broker/core/queue_packed.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

#define DESCRIPTOR_BYTES 16u
#define WINDOW           16u /* descriptors copied at once: four cache lines */

/* What is walked is compiled once for each form of a ring: a walk asks for nothing that it knows. */
#define WALK_OF(type) static inline __attribute__((always_inline)) type
#define WALK          WALK_OF(enum queue_fault)

#define FLAG_NEXT     1u /* VIRTQ_DESC_F_NEXT */
#define FLAG_WRITE    2u /* VIRTQ_DESC_F_WRITE */
#define FLAG_INDIRECT 4u /* VIRTQ_DESC_F_INDIRECT */

/* As the guest writes it: little endian, or, in the legacy form of it, big. */
struct wire_descriptor {
        uint64_t addr;
        uint32_t len;
        uint16_t third;  /* split: flags; packed: buffer id */
        uint16_t fourth; /* split: next; packed: flags */
};
_Static_assert(sizeof(struct wire_descriptor) == DESCRIPTOR_BYTES, "virtio 1.3, 2.7.5");

/* As it was at the moment of the copy. */
struct descriptor {
        gpa_t addr;
        uint32_t len;
        uint16_t flags;
        uint16_t next; /* split only */
};

struct walk {
        struct queue *queue;
        struct chain *chain;
        bool wrap;           /* packed: what makes a descriptor of the ring available here ... */
        uint16_t flags;      /* ... the flags of the first, which have been loaded already ... */
        uint16_t id;         /* ... the buffer id of the last that was read: the last one counts ... */
        uint32_t n_ring;     /* ... how many were read ... */
        uint32_t room;       /* ... and how many can be the driver's to give */
        uint32_t n_table;    /* descriptors of the table that the walk is in */
        bool indirect;       /* that table is an indirect one ... */
        gpa_t table;         /* ... which lies here, wholly in guest memory */
        uint32_t held_first; /* the window: descriptors [held_first, held_first + n_held) of the table */
        uint32_t n_held;
        struct wire_descriptor window[WINDOW];
};

WALK_OF(struct descriptor) descriptor_from_wire(const struct wire_descriptor *wire, enum queue_form form)
{
        bool big = form == QUEUE_SPLIT_BIG;
        uint16_t flags = form == QUEUE_PACKED ? wire->fourth : wire->third;

        return (struct descriptor){
            .addr = GPA(big ? be64toh(wire->addr) : le64toh(wire->addr)),
            .len = big ? be32toh(wire->len) : le32toh(wire->len),
            .flags = big ? be16toh(flags) : le16toh(flags),
            .next = big ? be16toh(wire->fourth) : le16toh(wire->fourth),
        };
}

WALK fetch_split(const struct walk *walk, enum queue_form form, uint32_t i, struct descriptor *ret_descriptor)
{
        struct wire_descriptor wire;

        if (fault_safe_copy(&wire, walk->queue->desc + (size_t)i * DESCRIPTOR_BYTES, sizeof(wire)) != 0)
                return QUEUE_FAULT_MEMORY;
        *ret_descriptor = descriptor_from_wire(&wire, form);
        return QUEUE_FAULT_NONE;
}

/* The flags come first, with acquire: only then is the rest what the driver wrote before them. A driver marks
 * every descriptor of a chain (2.8.21.1); one that is not marked is not ours to read. */
static enum queue_fault packed_may_read(struct walk *walk, const uint8_t *at, uint16_t *ret_flags)
{
        uint16_t flags;

        if (walk->n_ring == 0) {
                *ret_flags = walk->flags;
                return walk->room > 0 ? QUEUE_FAULT_NONE : QUEUE_FAULT_AVAIL;
        }
        if (walk->n_ring >= walk->room)
                return QUEUE_FAULT_LOOP;
        if (fault_safe_load16(at + PACKED_DESC_FLAGS, &flags) < 0)
                return QUEUE_FAULT_MEMORY;
        *ret_flags = le16toh(flags);
        return packed_is_available(*ret_flags, walk->wrap) ? QUEUE_FAULT_NONE : QUEUE_FAULT_NEXT;
}

static enum queue_fault fetch_packed(struct walk *walk, uint32_t i, struct descriptor *ret_descriptor)
{
        const uint8_t *at = walk->queue->desc + (size_t)i * PACKED_DESC_BYTES;
        uint16_t flags, id;
        uint32_t len;
        uint64_t addr;
        enum queue_fault fault = packed_may_read(walk, at, &flags);

        if (fault != QUEUE_FAULT_NONE)
                return fault;
        if (fault_safe_load64(at + PACKED_DESC_ADDR, &addr) < 0 ||
            fault_safe_load32(at + PACKED_DESC_LEN, &len) < 0 ||
            fault_safe_load16(at + PACKED_DESC_ID, &id) < 0)
                return QUEUE_FAULT_MEMORY;
        walk->n_ring++;
        walk->id = le16toh(id);
        *ret_descriptor =
            (struct descriptor){.addr = GPA(le64toh(addr)), .len = le32toh(len), .flags = flags};
        return QUEUE_FAULT_NONE;
}

WALK fetch_indirect(struct walk *walk, enum queue_form form, uint32_t i, struct descriptor *ret_descriptor)
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
        *ret_descriptor = descriptor_from_wire(&walk->window[i - walk->held_first], form);
        return QUEUE_FAULT_NONE;
}

/* A range is not all there. In translated memory that is nobody's mistake: what is missing is noted, and the walk goes on, so
 * that all of a chain is asked for together. */
static __attribute__((noinline)) enum queue_fault walk_missed(struct walk *walk, gpa_t at, uint32_t len,
                                                              bool write)
{
        struct queue *queue = walk->queue;

        if (guest_memory_is_outside(queue->memory, at, len)) {
                queue->outside = (struct segment){.at = at, .len = len};
                return QUEUE_FAULT_WINDOW;
        }
        if (!guest_memory_is_translated(queue->memory) || len - 1u > UINT64_MAX - at.v ||
            !miss_list_range(&queue->miss, queue->memory, at, len, write ? IOTLB_WRITE : IOTLB_READ))
                return QUEUE_FAULT_ADDRESS;
        return QUEUE_FAULT_NONE;
}

/* Moves into the table of an indirect descriptor; its WRITE flag has no meaning (2.7.5.3.2). A packed chain is
 * either a table or descriptors of the ring (2.8.8). */
WALK enter_table(struct walk *walk, enum queue_form form, const struct descriptor *descriptor)
{
        uint32_t n = descriptor->len / DESCRIPTOR_BYTES;

        if (!walk->queue->features.indirect || walk->indirect || (descriptor->flags & FLAG_NEXT) != 0)
                return QUEUE_FAULT_INDIRECT;
        if (form == QUEUE_PACKED && walk->n_ring > 1)
                return QUEUE_FAULT_INDIRECT;
        if (descriptor->len % DESCRIPTOR_BYTES != 0 || n == 0 || n > walk->queue->layout.size)
                return QUEUE_FAULT_INDIRECT;
        walk->indirect = true;
        walk->table = descriptor->addr;
        walk->n_table = n;
        /* A table is as much part of a ring as the ring's own descriptors: nothing that may have holes. */
        if (!guest_memory_covers_whole(walk->queue->memory, descriptor->addr, descriptor->len, false)) {
                enum queue_fault fault = walk_missed(walk, descriptor->addr, descriptor->len, false);

                return fault == QUEUE_FAULT_NONE ? QUEUE_WALK_MISSING : fault;
        }
        walk->held_first = walk->n_held = 0;
        return QUEUE_FAULT_NONE;
}

/* Judges one buffer and files it. */
WALK take_buffer(struct walk *walk, const struct descriptor *descriptor)
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
        if (!guest_memory_covers(walk->queue->memory, descriptor->addr, descriptor->len, write)) {
                enum queue_fault fault = walk_missed(walk, descriptor->addr, descriptor->len, write);

                if (fault != QUEUE_FAULT_NONE)
                        return fault;
        }
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

/* Split: a descriptor names the next one, in the ring and in a table. */
WALK next_split(const struct walk *walk, const struct descriptor *descriptor, uint32_t *i, bool *ret_more)
{
        *ret_more = (descriptor->flags & FLAG_NEXT) != 0;
        if (*ret_more && descriptor->next >= walk->n_table)
                return QUEUE_FAULT_NEXT;
        *i = descriptor->next;
        return QUEUE_FAULT_NONE;
}

/* Packed: the one behind it. A table is taken whole; in it NEXT has no meaning (2.8.7). */
WALK next_packed(struct walk *walk, const struct descriptor *descriptor, uint32_t *i, bool *ret_more)
{
        if (walk->indirect) {
                *ret_more = ++*i < walk->n_table;
                return QUEUE_FAULT_NONE;
        }
        *ret_more = (descriptor->flags & FLAG_NEXT) != 0;
        if (++*i == walk->n_table) {
                *i = 0;
                walk->wrap = !walk->wrap;
        }
        return QUEUE_FAULT_NONE;
}

WALK fetch(struct walk *walk, enum queue_form form, uint32_t i, struct descriptor *ret_descriptor)
{
        if (walk->indirect)
                return fetch_indirect(walk, form, i, ret_descriptor);
        return form == QUEUE_PACKED ? fetch_packed(walk, i, ret_descriptor)
                                    : fetch_split(walk, form, i, ret_descriptor);
}

/* One descriptor; *i becomes the next one, *ret_more says whether there is one. */
WALK step(struct walk *walk, enum queue_form form, uint32_t *i, bool *ret_more)
{
        struct descriptor descriptor;
        enum queue_fault fault = fetch(walk, form, *i, &descriptor);

        if (fault != QUEUE_FAULT_NONE)
                return fault;
        if ((descriptor.flags & FLAG_INDIRECT) != 0) {
                *i = 0;
                *ret_more = true;
                return enter_table(walk, form, &descriptor);
        }
        fault = take_buffer(walk, &descriptor);
        if (fault != QUEUE_FAULT_NONE)
                return fault;
        return form == QUEUE_PACKED ? next_packed(walk, &descriptor, i, ret_more)
                                    : next_split(walk, &descriptor, i, ret_more);
}

/* Field by field: the window needs no clearing. */
static void walk_begin(struct walk *walk, struct queue *queue, struct chain *chain)
{
        walk->queue = queue;
        walk->chain = chain;
        walk->n_table = queue->layout.size;
        walk->indirect = false;
        chain->n_readable = chain->n_writable = 0;
        chain->readable = chain->writable = 0;
}

/* Something was missing. A mistake is one all the same. */
static __attribute__((noinline)) enum queue_fault walk_is_parked(const struct walk *walk,
                                                                 enum queue_fault fault)
{
        if (fault != QUEUE_FAULT_NONE && fault != QUEUE_WALK_MISSING)
                return fault;
        walk->queue->miss_table =
            walk->indirect ? (struct segment){.at = walk->table, .len = walk->n_table * DESCRIPTOR_BYTES}
                           : (struct segment){0};
        return QUEUE_WALK_MISSING;
}

WALK walk_from(struct walk *walk, enum queue_form form, uint32_t i)
{
        enum queue_fault fault;
        bool more;

        do
                fault = step(walk, form, &i, &more);
        while (fault == QUEUE_FAULT_NONE && more);
        if (__builtin_expect(walk->queue->miss.n > 0, 0))
                return walk_is_parked(walk, fault);
        return fault;
}

enum queue_fault queue_walk(struct queue *queue, uint16_t head, struct chain *chain)
{
        struct walk walk _uninitialized_;

        walk_begin(&walk, queue, chain);
        chain->head = head;
        return walk_from(&walk, QUEUE_SPLIT, head);
}

enum queue_fault queue_walk_big(struct queue *queue, uint16_t head, struct chain *chain)
{
        struct walk walk _uninitialized_;

        walk_begin(&walk, queue, chain);
        chain->head = head;
        return walk_from(&walk, QUEUE_SPLIT_BIG, head);
}

enum queue_fault queue_walk_packed(struct queue *queue, uint16_t flags, uint32_t room, struct chain *chain,
                                   uint16_t *ret_taken)
{
        struct walk walk _uninitialized_;
        enum queue_fault fault;

        walk_begin(&walk, queue, chain);
        walk.wrap = queue->avail_wrap;
        walk.flags = flags;
        walk.n_ring = 0;
        walk.room = room;
        fault = walk_from(&walk, QUEUE_PACKED, queue->last_avail);
        if (fault != QUEUE_FAULT_NONE)
                return fault;
        chain->head = walk.id;
        *ret_taken = (uint16_t)walk.n_ring;
        return QUEUE_FAULT_NONE;
}
