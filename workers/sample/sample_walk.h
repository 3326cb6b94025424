/* The sample's ring, walked by itself (workers/runtime/walk.h): a split virtqueue (virtio 1.3, 2.7) without indirect tables and event
 * indexes, whose chains are served in their order.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/control.h"
#include "proto/device/sample.h"
#include "workers/runtime/walk.h"

#define WALK_BYTES  131072u /* readable bytes of a chain, and of those that are read together */
#define WALK_ANSWER ((uint32_t)sizeof(struct sample_answer))

/* One chain, as its descriptors were when they were copied. */
struct walk_chain {
        uint16_t head;
        uint16_t first, n_readable, n_writable; /* in ranges[], the readable ones first */
        uint32_t readable, writable;            /* bytes */
};

struct sample_walk {
        struct control_start_queue ring;
        uint16_t next,
            used;       /* indexes: of the chain that is taken, and of the element that is written, next */
        bool entered;   /* the ring has been asked where to begin */
        uint8_t *table; /* a copy: the available indexes, and behind them the descriptors */
        uint8_t *bytes; /* WALK_BYTES of readable parts */
        struct walk_chain chains[LIMIT_MEM_SEGMENTS];
        struct walk_range ranges[2 * LIMIT_MEM_SEGMENTS];
};

/* Gets its memory. 0 or -ENOMEM. */
int sample_walk_init(struct sample_walk *walk);

/* -EINVAL: it does not lie in the window. */
int sample_walk_start(struct sample_walk *walk, const struct control_start_queue *ring);

/* Serves what is there: `serve` is given each chain's readable bytes (NULL: too many) and makes its answer. It has told how far it is when
 * this returns. False: the guest has broken the rules of rings, or posts what is outside of the window. */
typedef void (*sample_walk_serve)(void *context, const uint8_t *bytes, uint32_t len,
                                  uint8_t ret_answer[static WALK_ANSWER]);
bool sample_walk_kick(struct sample_walk *walk, struct request *kick, sample_walk_serve serve, void *context);
