/* A block driver over front_end. Owns no memory but its lists; ring and buffers lie in the ram. TRUST: used
 * lengths and statuses are the device under test's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/blk_front.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "proto/base/checked.h"

#define RING_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
#define RING_PACKED   (UINT64_C(1) << 34)
#define BLK_FEATURES                                                                                         \
        (1u << BLK_F_FLUSH | 1u << BLK_F_DISCARD | 1u << BLK_F_WRITE_ZEROES | 1u << BLK_F_RO | 1u << 6)

struct blk_header {
        uint32_t type, reserved;
        uint64_t sector;
};

struct blk_range {
        uint64_t sector;
        uint32_t n_sectors, flags;
};

/* ---- either ring ---- */

static int ring_add(struct blk_front *blk, const struct split_segment *segments, unsigned n_out,
                    unsigned n_in, void *cookie)
{
        return blk->packed ? packed_ring_add(&blk->packed_ring, segments, n_out, n_in, cookie)
                           : split_ring_add(&blk->ring, segments, n_out, n_in, cookie);
}

static int ring_take(struct blk_front *blk, void **ret_cookie, uint32_t *ret_len)
{
        return blk->packed ? packed_ring_take(&blk->packed_ring, ret_cookie, ret_len)
                           : split_ring_take(&blk->ring, ret_cookie, ret_len);
}

bool blk_front_want_call(struct blk_front *blk)
{
        return blk->packed ? packed_ring_want_call(&blk->packed_ring) : split_ring_want_call(&blk->ring);
}

void blk_front_renew_ring(struct blk_front *blk, uint16_t ring_size)
{
        bool indirect = blk->front->offered & UINT64_C(1) << 28, event_idx = blk->front->offered & UINT64_C(1)
                                                                                                       << 29;

        if (blk->packed)
                packed_ring_init(&blk->packed_ring, blk->ram, ring_size, indirect, event_idx);
        else
                split_ring_init(&blk->ring, blk->ram, ring_size, indirect, event_idx);
}

uint32_t blk_front_base(const struct blk_front *blk)
{
        return blk->packed ? PACKED_RING_BASE : 0;
}

/* ---- the driver ---- */

void blk_front_init(struct blk_front *blk, struct front_end *front, struct guest_ram *ram, unsigned queue,
                    uint16_t ring_size, unsigned depth, uint32_t slot_bytes, uint32_t piece)
{
        memset(blk, 0, sizeof(*blk));
        blk->front = front;
        blk->ram = ram;
        blk->queue = queue;
        blk->depth = MIN(depth, BLK_FRONT_SLOTS);
        blk->slot_bytes = slot_bytes;
        blk->piece = piece;
        blk->packed = front->wants_packed && (front->offered & RING_PACKED);
        blk_front_renew_ring(blk, ring_size);
        for (unsigned i = 0; i < blk->depth; i++) {
                blk->slots[i].header = guest_ram_alloc(ram, sizeof(struct blk_header), 16);
                blk->slots[i].status = guest_ram_alloc(ram, 1, 1);
                blk->slots[i].data = guest_ram_alloc(ram, slot_bytes, 4096);
        }
}

int blk_front_start(struct blk_front *blk, uint32_t base)
{
        uint64_t features = RING_FEATURES | BLK_FEATURES | (blk->packed ? RING_PACKED : 0);
        int r = front_end_start(blk->front, features, blk->ram);

        if (r < 0)
                return r;
        return blk->packed ? front_end_start_packed_ring(blk->front, blk->queue, &blk->packed_ring, base)
                           : front_end_start_ring(blk->front, blk->queue, &blk->ring, (uint16_t)base);
}

int blk_front_stop(struct blk_front *blk, uint32_t *ret_base)
{
        uint16_t index;
        int r;

        if (blk->packed)
                return front_end_stop_packed_ring(blk->front, blk->queue, ret_base);
        r = front_end_stop_ring(blk->front, blk->queue, &index);
        if (r == 0)
                *ret_base = index;
        return r;
}

void blk_front_forget(struct blk_front *blk)
{
        if (blk->packed)
                packed_ring_reset(&blk->packed_ring);
        else
                split_ring_reset(&blk->ring);
        for (unsigned i = 0; i < blk->depth; i++)
                blk->slots[i].busy = false;
        blk->n_busy = 0;
}

int blk_front_next(const struct blk_front *blk)
{
        for (unsigned i = 0; i < blk->depth; i++)
                if (!blk->slots[i].busy)
                        return (int)i;
        return -EAGAIN;
}

uint8_t *blk_front_data(struct blk_front *blk, unsigned slot)
{
        return blk->ram->base + blk->slots[slot].data;
}

/* DISCARD and WRITE_ZEROES carry their range as data. */
static uint32_t fill_data(struct blk_front *blk, unsigned slot, uint32_t type, uint64_t *sector, uint32_t len)
{
        struct blk_range range = {.sector = *sector, .n_sectors = len / 512};

        if (type != BLK_DISCARD && type != BLK_WRITE_ZEROES)
                return len;
        memcpy(blk_front_data(blk, slot), &range, sizeof(range));
        *sector = 0;
        return sizeof(range);
}

static unsigned add_data(const struct blk_front *blk, const struct blk_slot *slot, uint32_t len,
                         struct split_segment *segments)
{
        unsigned n = 0;

        for (uint32_t done = 0; done < len; n++) {
                uint32_t piece = MIN(blk->piece, len - done);

                segments[n] = (struct split_segment){slot->data + done, piece};
                done += piece;
        }
        return n;
}

int blk_front_post(struct blk_front *blk, uint32_t type, uint64_t sector, uint32_t len, void *cookie)
{
        int index = blk_front_next(blk), r;
        struct split_segment segments[SPLIT_RING_SEGMENTS];
        struct blk_slot *slot = &blk->slots[MAX(index, 0)];
        bool device_writes = type == BLK_IN || type == BLK_GET_ID;
        uint64_t header_sector = sector;
        unsigned n;

        if (index < 0)
                return index;
        n = fill_data(blk, (unsigned)index, type, &header_sector, len);
        memcpy(blk->ram->base + slot->header, &(struct blk_header){.type = type, .sector = header_sector},
               sizeof(struct blk_header));
        blk->ram->base[slot->status] = 0xff;
        segments[0] = (struct split_segment){slot->header, sizeof(struct blk_header)};
        n = 1 + add_data(blk, slot, n, segments + 1);
        segments[n] = (struct split_segment){slot->status, 1};
        r = device_writes ? ring_add(blk, segments, 1, n, slot) : ring_add(blk, segments, n, 1, slot);
        if (r < 0)
                return -EAGAIN;
        slot->type = type;
        slot->sector = sector;
        slot->len = len;
        slot->cookie = cookie;
        slot->busy = true;
        blk->n_busy++;
        return index;
}

int blk_front_submit(struct blk_front *blk)
{
        bool kick = blk->packed ? packed_ring_publish(&blk->packed_ring) : split_ring_publish(&blk->ring);

        return kick ? front_end_kick(blk->front, blk->queue) : 0;
}

static int take(struct blk_front *blk, struct blk_done *ret_done)
{
        struct blk_slot *slot;
        void *cookie;
        uint32_t len;
        int r = ring_take(blk, &cookie, &len);

        if (r <= 0)
                return r;
        slot = cookie;
        slot->busy = false;
        blk->n_busy--;
        *ret_done = (struct blk_done){
            .slot = (unsigned)(slot - blk->slots), .status = blk->ram->base[slot->status], .used_len = len};
        return 1;
}

int blk_front_wait(struct blk_front *blk, int timeout_ms, struct blk_done *ret_done)
{
        for (;;) {
                uint64_t count;
                int r = take(blk, ret_done);

                if (r != 0)
                        return r < 0 ? r : 0;
                if (blk_front_want_call(blk))
                        continue;
                r = wire_wait_event(&blk->front->wire, blk->front->rings[blk->queue].call, timeout_ms,
                                    &count);
                if (r < 0)
                        return r;
        }
}

int blk_front_do(struct blk_front *blk, uint32_t type, uint64_t sector, uint32_t len, int timeout_ms)
{
        struct blk_done done = {0};
        int slot = blk_front_post(blk, type, sector, len, NULL), r;

        if (slot < 0)
                return slot;
        r = blk_front_submit(blk);
        while (r == 0) {
                r = blk_front_wait(blk, timeout_ms, &done);
                if (r == 0 && done.slot == (unsigned)slot)
                        return done.status;
        }
        return r;
}
