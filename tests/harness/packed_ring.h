/* The driver's side of a packed virtqueue (virtio 1.3, 2.8), over guest_ram; the verbs of split_ring. One
 * thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/harness/guest_ram.h"
#include "tests/harness/split_ring.h"

/* Where a fresh ring begins, as SET_VRING_BASE says it: offset 0 and wrap counter 1, for both sides. */
#define PACKED_RING_BASE UINT32_C(0x80008000)

struct packed_ring {
        struct guest_ram *ram;
        uint16_t size; /* any, 1 .. SPLIT_RING_MAX: a packed ring need not be a power of two */
        bool indirect, event_idx;
        unsigned table_segments;               /* descriptors of one indirect table */
        uint64_t desc, driver, device, tables; /* offsets in the ram: the ring, both event areas, tables */
        uint16_t n_free;                       /* descriptors that the device does not hold */
        uint16_t free_id;                      /* first of the ids that are free */
        uint16_t avail_next, used_next;        /* places in the ring */
        bool avail_wrap, used_wrap;
        uint16_t n_added;         /* descriptors made since the last publish */
        uint16_t shown_at, shown; /* the first of those: where it is, and the flags that will show them */
        uint16_t next[SPLIT_RING_MAX]; /* the list of free ids */
        uint16_t
            length[SPLIT_RING_MAX]; /* descriptors of each buffer that the device holds; 0: it does not */
        void *cookies[SPLIT_RING_MAX];
};

/* Allocates the ring in the ram. */
void packed_ring_init(struct packed_ring *ring, struct guest_ram *ram, uint16_t size, bool indirect,
                      bool event_idx);
/* As split_ring_init_tables. */
void packed_ring_init_tables(struct packed_ring *ring, struct guest_ram *ram, uint16_t size,
                             unsigned n_segments, bool event_idx);

/* Forgets everything, as a driver after a device or queue reset; memory stays where it is. */
void packed_ring_reset(struct packed_ring *ring);

/* Adds one chain: n_out readable then n_in writable segments. Not shown before packed_ring_publish. -ENOSPC.
 */
int packed_ring_add(struct packed_ring *ring, const struct split_segment *segments, unsigned n_out,
                    unsigned n_in, void *cookie);

/* Shows what was added. Does the device want a kick for it? */
bool packed_ring_publish(struct packed_ring *ring);

/* Takes one used element: 1; 0: none; -EPROTO: the device gave an id that it does not hold. */
int packed_ring_take(struct packed_ring *ring, void **ret_cookie, uint32_t *ret_len);

/* Asks for an interrupt at the next used element. True: something has come meanwhile, take first. */
bool packed_ring_want_call(struct packed_ring *ring);
