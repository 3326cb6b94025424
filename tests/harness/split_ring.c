/* The driver's side of a split virtqueue. Owns no memory but its own lists. TRUST: the device's side is under
 * test, so its ids and indices are judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/split_ring.h"

#include <errno.h>
#include <string.h>
#include <sys/param.h>

#define DESC_NEXT      1u
#define DESC_WRITE     2u
#define DESC_INDIRECT  4u
#define USED_NO_NOTIFY 1u

struct desc {
        uint64_t at;
        uint32_t len;
        uint16_t flags, next;
};

struct used_elem {
        uint32_t id, len;
};

static struct desc *descs(const struct split_ring *ring)
{
        return (struct desc *)(ring->ram->base + ring->desc);
}

static uint16_t *avail(const struct split_ring *ring)
{
        return (uint16_t *)(ring->ram->base + ring->avail);
}

static uint16_t *used(const struct split_ring *ring)
{
        return (uint16_t *)(ring->ram->base + ring->used);
}

void split_ring_reset(struct split_ring *ring)
{
        memset(ring->ram->base + ring->desc, 0, 16u * ring->size);
        memset(ring->ram->base + ring->avail, 0, 6u + 2u * ring->size);
        memset(ring->ram->base + ring->used, 0, 6u + 8u * ring->size);
        ring->free_head = 0;
        ring->n_free = ring->size;
        ring->avail_next = ring->avail_kicked = ring->used_seen = 0;
        for (uint16_t i = 0; i < ring->size; i++) {
                ring->next[i] = (uint16_t)(i + 1);
                ring->length[i] = 0;
                ring->cookies[i] = NULL;
        }
}

void split_ring_init(struct split_ring *ring, struct guest_ram *ram, uint16_t size, bool indirect,
                     bool event_idx)
{
        split_ring_init_tables(ring, ram, size, indirect ? SPLIT_RING_TABLE : 0, event_idx);
}

void split_ring_init_tables(struct split_ring *ring, struct guest_ram *ram, uint16_t size,
                            unsigned n_segments, bool event_idx)
{
        ring->ram = ram;
        ring->size = size;
        ring->indirect = n_segments > 0;
        ring->table_segments = n_segments;
        ring->event_idx = event_idx;
        ring->desc = guest_ram_alloc(ram, 16u * size, 16);
        ring->avail = guest_ram_alloc(ram, 6u + 2u * size, 2);
        ring->used = guest_ram_alloc(ram, 6u + 8u * size, 4);
        ring->tables = ring->indirect ? guest_ram_alloc(ram, 16u * n_segments * size, 64) : 0;
        split_ring_reset(ring);
}

/* Fills `n` descriptors; slots[i] is where the i-th goes, i itself without slots. */
static void fill(const struct split_ring *ring, struct desc *table, const uint16_t *slots,
                 const struct split_segment *segments, unsigned n_out, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                table[slots ? slots[i] : i] = (struct desc){
                    .at = ring->ram->iova + segments[i].at,
                    .len = segments[i].len,
                    .flags = (uint16_t)((i + 1 < n ? DESC_NEXT : 0) | (i >= n_out ? DESC_WRITE : 0)),
                    .next = (uint16_t)(i + 1 == n ? 0
                                       : slots    ? slots[i + 1]
                                                  : i + 1)};
}

static uint16_t take_free(struct split_ring *ring)
{
        uint16_t slot = ring->free_head;

        ring->free_head = ring->next[slot];
        ring->n_free--;
        return slot;
}

static uint16_t add_indirect(struct split_ring *ring, const struct split_segment *segments, unsigned n_out,
                             unsigned n)
{
        uint16_t head = take_free(ring);
        uint64_t table = ring->tables + 16u * ring->table_segments * head;

        fill(ring, (struct desc *)(ring->ram->base + table), NULL, segments, n_out, n);
        descs(ring)[head] =
            (struct desc){.at = ring->ram->iova + table, .len = 16u * n, .flags = DESC_INDIRECT};
        ring->length[head] = 1;
        return head;
}

static uint16_t add_direct(struct split_ring *ring, const struct split_segment *segments, unsigned n_out,
                           unsigned n)
{
        uint16_t slots[SPLIT_RING_SEGMENTS];

        for (unsigned i = 0; i < n; i++)
                slots[i] = take_free(ring);
        for (unsigned i = 0; i + 1 < n; i++)
                ring->next[slots[i]] = slots[i + 1];
        fill(ring, descs(ring), slots, segments, n_out, n);
        ring->length[slots[0]] = (uint16_t)n;
        return slots[0];
}

unsigned split_ring_cut(struct split_segment *segments, uint64_t at, uint32_t len, unsigned n, uint32_t first)
{
        unsigned made = 0;
        uint32_t done = 0;

        while (done < len) {
                uint32_t piece = made == 0 && first > 0 ? first : (len - done) / (n - made);

                piece = made + 1 == n ? len - done : MIN(MAX(piece, 1u), len - done);
                segments[made++] = (struct split_segment){at + len - done - piece, piece};
                done += piece;
        }
        return made;
}

void split_ring_write(const struct split_ring *ring, const struct split_segment *segments, unsigned n,
                      const void *bytes)
{
        const uint8_t *from = bytes;

        for (unsigned i = 0; i < n; i++) {
                memcpy(ring->ram->base + segments[i].at, from, segments[i].len);
                from += segments[i].len;
        }
}

void split_ring_read(const struct split_ring *ring, const struct split_segment *segments, unsigned n,
                     void *ret_bytes, uint32_t len)
{
        uint8_t *to = ret_bytes;

        for (unsigned i = 0; i < n && len > 0; i++) {
                uint32_t piece = MIN(len, segments[i].len);

                memcpy(to, ring->ram->base + segments[i].at, piece);
                to += piece;
                len -= piece;
        }
}

int split_ring_add(struct split_ring *ring, const struct split_segment *segments, unsigned n_out,
                   unsigned n_in, void *cookie)
{
        unsigned n = n_out + n_in;
        uint16_t head;

        if (n == 0 || n > (ring->indirect ? ring->table_segments : SPLIT_RING_SEGMENTS) ||
            ring->n_free < (ring->indirect ? 1 : n))
                return -ENOSPC;
        head = ring->indirect ? add_indirect(ring, segments, n_out, n) : add_direct(ring, segments, n_out, n);
        ring->cookies[head] = cookie;
        avail(ring)[2 + ring->avail_next % ring->size] = head;
        ring->avail_next++;
        return 0;
}

bool split_ring_publish(struct split_ring *ring)
{
        uint16_t old = ring->avail_kicked, event;

        __atomic_store_n(&avail(ring)[1], ring->avail_next, __ATOMIC_RELEASE);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        ring->avail_kicked = ring->avail_next;
        if (!ring->event_idx)
                return !(__atomic_load_n(&used(ring)[0], __ATOMIC_ACQUIRE) & USED_NO_NOTIFY);
        event = __atomic_load_n(&used(ring)[2 + 4 * ring->size], __ATOMIC_ACQUIRE);
        return (uint16_t)(ring->avail_next - event - 1) < (uint16_t)(ring->avail_next - old);
}

int split_ring_take(struct split_ring *ring, void **ret_cookie, uint32_t *ret_len)
{
        const struct used_elem *ring_elems = (const struct used_elem *)(ring->ram->base + ring->used + 4);
        struct used_elem elem;
        uint16_t last;

        if (__atomic_load_n(&used(ring)[1], __ATOMIC_ACQUIRE) == ring->used_seen)
                return 0;
        elem = ring_elems[ring->used_seen % ring->size];
        if (elem.id >= ring->size || ring->length[elem.id] == 0)
                return -EPROTO;
        last = (uint16_t)elem.id;
        for (uint16_t i = 1; i < ring->length[elem.id]; i++)
                last = ring->next[last];
        ring->next[last] = ring->free_head;
        ring->free_head = (uint16_t)elem.id;
        ring->n_free = (uint16_t)(ring->n_free + ring->length[elem.id]);
        ring->length[elem.id] = 0;
        ring->used_seen++;
        *ret_cookie = ring->cookies[elem.id];
        *ret_len = elem.len;
        return 1;
}

bool split_ring_want_call(struct split_ring *ring)
{
        if (ring->event_idx)
                __atomic_store_n(&avail(ring)[2 + ring->size], ring->used_seen, __ATOMIC_RELEASE);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return __atomic_load_n(&used(ring)[1], __ATOMIC_ACQUIRE) != ring->used_seen;
}
