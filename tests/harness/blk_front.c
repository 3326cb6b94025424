/* A block driver over front_end. Owns no memory but its lists; ring and buffers lie in the ram. TRUST: used
 * lengths and statuses are the device under test's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/blk_front.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "proto/base/checked.h"

#define RING_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
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
        split_ring_init(&blk->ring, ram, ring_size, front->offered & UINT64_C(1) << 28,
                        front->offered & UINT64_C(1) << 29);
        for (unsigned i = 0; i < blk->depth; i++) {
                blk->slots[i].header = guest_ram_alloc(ram, sizeof(struct blk_header), 16);
                blk->slots[i].status = guest_ram_alloc(ram, 1, 1);
                blk->slots[i].data = guest_ram_alloc(ram, slot_bytes, 4096);
        }
}

int blk_front_start(struct blk_front *blk, uint16_t base)
{
        int r = front_end_start(blk->front, RING_FEATURES | BLK_FEATURES, blk->ram);

        return r == 0 ? front_end_start_ring(blk->front, blk->queue, &blk->ring, base) : r;
}

int blk_front_stop(struct blk_front *blk, uint16_t *ret_base)
{
        return front_end_stop_ring(blk->front, blk->queue, ret_base);
}

void blk_front_forget(struct blk_front *blk)
{
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
        r = device_writes ? split_ring_add(&blk->ring, segments, 1, n, slot)
                          : split_ring_add(&blk->ring, segments, n, 1, slot);
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
        return split_ring_publish(&blk->ring) ? front_end_kick(blk->front, blk->queue) : 0;
}

static int take(struct blk_front *blk, struct blk_done *ret_done)
{
        struct blk_slot *slot;
        void *cookie;
        uint32_t len;
        int r = split_ring_take(&blk->ring, &cookie, &len);

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
                if (split_ring_want_call(&blk->ring))
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
