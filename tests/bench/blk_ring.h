/* The ring under a queue of the bench, whatever its layout: the place where a layout is joined.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/harness/front_end.h"

#define BLK_RING_F_INDIRECT  (UINT64_C(1) << 28)
#define BLK_RING_F_EVENT_IDX (UINT64_C(1) << 29)

struct blk_ring {
        bool is_packed;
        union {
                struct split_ring split;
                struct packed_ring packed;
        };
};

/* Lays the ring out in the ram, for requests of n_segments each, with what the back-end offers (indirect
 * descriptors, event index). 0; -EOPNOTSUPP: not offered; -E2BIG: `depth` such requests do not fit. */
int blk_ring_init(struct blk_ring *ring, struct guest_ram *ram, uint64_t features, bool packed,
                  unsigned depth, unsigned n_segments);
/* The feature bits that a driver of this layout accepts. */
uint64_t blk_ring_features(bool packed);
int blk_ring_start(struct blk_ring *ring, struct front_end *front, unsigned queue);
int blk_ring_stop(struct front_end *front, unsigned queue);

/* As the verbs of split_ring. */
int blk_ring_add(struct blk_ring *ring, const struct split_segment *segments, unsigned n_out, unsigned n_in,
                 void *cookie);
bool blk_ring_publish(struct blk_ring *ring);
int blk_ring_take(struct blk_ring *ring, void **ret_cookie, uint32_t *ret_len);
bool blk_ring_want_call(struct blk_ring *ring);
