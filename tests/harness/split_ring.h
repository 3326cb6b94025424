/* The driver's side of a split virtqueue (virtio 1.3, 2.7), over guest_ram. One thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/harness/guest_ram.h"

#define SPLIT_RING_MAX      1024u
#define SPLIT_RING_SEGMENTS 128u /* of one chain through an indirect table: the most */
#define SPLIT_RING_TABLE    64u  /* what split_ring_init gives an indirect table */

struct split_segment {
        uint64_t at; /* offset in the ram */
        uint32_t len;
};

struct split_ring {
        struct guest_ram *ram;
        uint16_t size;
        bool indirect, event_idx;
        unsigned table_segments;            /* descriptors of one indirect table */
        uint64_t desc, avail, used, tables; /* offsets in the ram */
        uint16_t free_head, n_free;
        uint16_t avail_next;   /* next available index to write */
        uint16_t avail_kicked; /* avail_next at the last kick decision */
        uint16_t used_seen;
        uint16_t next[SPLIT_RING_MAX]; /* our own copy of the free list and of chains */
        uint16_t length[SPLIT_RING_MAX];
        void *cookies[SPLIT_RING_MAX];
};

/* Allocates the ring in the ram. */
void split_ring_init(struct split_ring *ring, struct guest_ram *ram, uint16_t size, bool indirect,
                     bool event_idx);
/* The same with indirect tables of n_segments (1 .. SPLIT_RING_SEGMENTS) each, close together as a driver's are:
 * tables a KiB apart would share few sets of a cache. 0: no indirect descriptors. */
void split_ring_init_tables(struct split_ring *ring, struct guest_ram *ram, uint16_t size,
                            unsigned n_segments, bool event_idx);

/* Forgets everything, as a driver after a device reset; memory stays where it is. */
void split_ring_reset(struct split_ring *ring);

/* [at, at + len) in at most n pieces, the first of `first` bytes if that is not 0, which lie in memory the last one first. Returns
 * how many there are: none is empty. */
unsigned split_ring_cut(struct split_segment *segments, uint64_t at, uint32_t len, unsigned n,
                        uint32_t first);

/* Fills the n pieces with `bytes`, and reads back the first `len` of what they have, in their order. */
void split_ring_write(const struct split_ring *ring, const struct split_segment *segments, unsigned n,
                      const void *bytes);
void split_ring_read(const struct split_ring *ring, const struct split_segment *segments, unsigned n,
                     void *ret_bytes, uint32_t len);

/* Adds one chain: n_out readable then n_in writable segments. Not shown before split_ring_publish. -ENOSPC.
 */
int split_ring_add(struct split_ring *ring, const struct split_segment *segments, unsigned n_out,
                   unsigned n_in, void *cookie);

/* Shows what was added. Does the device want a kick for it? */
bool split_ring_publish(struct split_ring *ring);

/* Takes one used element: 1; 0: none; -EPROTO: the device gave an id that it does not hold. */
int split_ring_take(struct split_ring *ring, void **ret_cookie, uint32_t *ret_len);

/* Asks for an interrupt at the next used element. True: something has come meanwhile, take first. */
bool split_ring_want_call(struct split_ring *ring);
