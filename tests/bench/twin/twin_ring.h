/* One virtqueue of the twin: the product's walker, the disk, and the guest's interrupt.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/core/queue.h"
#include "tests/bench/twin/twin_disk.h"

struct twin_ring {
        struct queue queue;
        struct request request; /* the one under way: only its chain is used */
        int kick, call;         /* ours; -1: none */
        bool told_broken;
};

int twin_ring_init(struct twin_ring *ring, uint16_t max_segments); /* 0 or -ENOMEM */
void twin_ring_done(struct twin_ring *ring);

/* Takes both descriptors when it returns 0; else what queue_start says. */
int twin_ring_start(struct twin_ring *ring, struct guest_memory *memory, const struct queue_layout *layout,
                    const struct queue_features *features, uint32_t base, int kick, int call);
uint32_t twin_ring_stop(struct twin_ring *ring);

/* A batch ends with so many chains, or with the first that brings it to so many bytes. */
struct twin_batch {
        unsigned chains;
        uint64_t bytes;
};

/* Serves a batch, or less when there is no more, and shows it with one index and at most one signal. Returns
 * how many chains, or -EPROTO: the ring is broken. */
int twin_ring_serve(struct twin_ring *ring, struct twin_disk *disk, const struct twin_batch *most);
