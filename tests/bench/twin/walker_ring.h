/* One split virtqueue (virtio 1.3, 2.7) that a process without guest memory walks by messages: an index, a run of ring entries, a
 * descriptor, an indirect table are a message each, so are the bytes of each segment, and what is given back. What can be had by one
 * message for all of a batch is: the heads, the descriptors of the ring, the used elements, the used index.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/queue.h"
#include "tests/bench/twin/twin_disk.h"
#include "tests/bench/twin/twin_ring.h"

/* As it is in the ring (2.7.5), little endian. */
struct walker_descriptor {
        uint64_t addr;
        uint32_t len;
        uint16_t flags, next;
};

struct walker_ring {
        bool running;
        struct queue_layout layout;
        struct queue_features features;
        uint16_t last_avail, used;       /* next to take, next to give back */
        uint16_t signaled;               /* `used` when a signal was last considered */
        int kick, call;                  /* ours; -1: none */
        struct request request;          /* the one under way: only its chain is used */
        uint16_t heads[LIMIT_RING_SIZE]; /* of a batch ... */
        bool table_held;                 /* ... for which there is this, the ring's */
        struct walker_descriptor table[LIMIT_RING_SIZE];
};

int walker_ring_init(struct walker_ring *ring, uint16_t max_segments); /* 0 or -ENOMEM */
void walker_ring_done(struct walker_ring *ring);

/* Takes both descriptors when it returns 0. Else what the other side said, -EFAULT. */
int walker_ring_start(struct walker_ring *ring, int dma, const struct queue_layout *layout,
                      const struct queue_features *features, uint16_t base, int kick, int call);
uint16_t walker_ring_stop(struct walker_ring *ring);

/* Serves a batch and shows it with one index and at most one signal. Returns how many chains; negative: the ring is broken or out of
 * reach. */
int walker_ring_serve(struct walker_ring *ring, struct twin_disk *disk, const struct twin_reach *reach,
                      const struct twin_batch *most);

/* Asks for a kick with the next chain. 1: one came meanwhile; 0; negative as above. */
int walker_ring_want_kicks(struct walker_ring *ring, int dma);
