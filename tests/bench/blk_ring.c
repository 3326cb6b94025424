/* The ring under a queue of the bench. Owns no memory but its lists. Called by the loads. TRUST: the device's side
 * is judged by the ring itself.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/blk_ring.h"

#include <errno.h>

#include "proto/base/checked.h"

#define F_VERSION_1 (UINT64_C(1) << 32)
#define F_PACKED    (UINT64_C(1) << 34)

#define SIZE_MIN 256u /* what a VMM gives a disk's queue */

static unsigned size_for(unsigned descriptors)
{
        unsigned size = SIZE_MIN;

        while (size < descriptors)
                size *= 2;
        return size;
}

uint64_t blk_ring_features(bool packed)
{
        return F_VERSION_1 | BLK_RING_F_INDIRECT | BLK_RING_F_EVENT_IDX | (packed ? F_PACKED : 0);
}

int blk_ring_init(struct blk_ring *ring, struct guest_ram *ram, uint64_t features, bool packed,
                  unsigned depth, unsigned n_segments)
{
        bool indirect = features & BLK_RING_F_INDIRECT, event_idx = features & BLK_RING_F_EVENT_IDX;
        unsigned size = size_for(indirect ? depth : depth * n_segments);
        unsigned table = indirect ? (n_segments + 3) / 4 * 4 : 0; /* whole cache lines */

        if (packed && !(features & F_PACKED))
                return -EOPNOTSUPP;
        if (size > SPLIT_RING_MAX || n_segments > SPLIT_RING_SEGMENTS)
                return -E2BIG;
        ring->is_packed = packed;
        if (packed)
                packed_ring_init_tables(&ring->packed, ram, (uint16_t)size, table, event_idx);
        else
                split_ring_init_tables(&ring->split, ram, (uint16_t)size, table, event_idx);
        return 0;
}

int blk_ring_start(struct blk_ring *ring, struct front_end *front, unsigned queue)
{
        return ring->is_packed ? front_end_start_packed_ring(front, queue, &ring->packed, PACKED_RING_BASE)
                               : front_end_start_ring(front, queue, &ring->split, 0);
}

int blk_ring_stop(struct front_end *front, unsigned queue)
{
        uint32_t ignored;

        return front_end_stop_packed_ring(front, queue, &ignored); /* the wider base: it fits both */
}

int blk_ring_add(struct blk_ring *ring, const struct split_segment *segments, unsigned n_out, unsigned n_in,
                 void *cookie)
{
        return ring->is_packed ? packed_ring_add(&ring->packed, segments, n_out, n_in, cookie)
                               : split_ring_add(&ring->split, segments, n_out, n_in, cookie);
}

bool blk_ring_publish(struct blk_ring *ring)
{
        return ring->is_packed ? packed_ring_publish(&ring->packed) : split_ring_publish(&ring->split);
}

int blk_ring_take(struct blk_ring *ring, void **ret_cookie, uint32_t *ret_len)
{
        return ring->is_packed ? packed_ring_take(&ring->packed, ret_cookie, ret_len)
                               : split_ring_take(&ring->split, ret_cookie, ret_len);
}

bool blk_ring_want_call(struct blk_ring *ring)
{
        return ring->is_packed ? packed_ring_want_call(&ring->packed) : split_ring_want_call(&ring->split);
}
