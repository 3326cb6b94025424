/* The driver's side of a packed virtqueue. Owns no memory but its own lists. TRUST: the device's side is
 * under test, so its ids are judged.
 *
 * The first descriptor of what was added since the last publish keeps its old flags until then: the device
 * stops at it, so everything behind may already look available.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/packed_ring.h"

#include <errno.h>
#include <string.h>

#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u
#define DESC_AVAIL    (1u << 7)
#define DESC_USED     (1u << 15)

#define EVENT_ENABLE  0u
#define EVENT_DISABLE 1u
#define EVENT_DESC    2u
#define EVENT_WRAP    (1u << 15)

struct packed_desc {
        uint64_t at;
        uint32_t len;
        uint16_t id, flags;
};

struct packed_event {
        uint16_t at, flags;
};

static struct packed_desc *descs(const struct packed_ring *ring)
{
        return (struct packed_desc *)(ring->ram->base + ring->desc);
}

static struct packed_event *event_area(const struct packed_ring *ring, uint64_t at)
{
        return (struct packed_event *)(ring->ram->base + at);
}

void packed_ring_reset(struct packed_ring *ring)
{
        memset(ring->ram->base + ring->desc, 0, 16u * ring->size);
        memset(ring->ram->base + ring->driver, 0, sizeof(struct packed_event));
        memset(ring->ram->base + ring->device, 0, sizeof(struct packed_event));
        ring->n_free = ring->size;
        ring->free_id = 0;
        ring->avail_next = ring->used_next = ring->n_added = 0;
        ring->avail_wrap = ring->used_wrap = true;
        for (uint16_t i = 0; i < ring->size; i++) {
                ring->next[i] = (uint16_t)(i + 1);
                ring->length[i] = 0;
                ring->cookies[i] = NULL;
        }
}

void packed_ring_init(struct packed_ring *ring, struct guest_ram *ram, uint16_t size, bool indirect,
                      bool event_idx)
{
        packed_ring_init_tables(ring, ram, size, indirect ? SPLIT_RING_TABLE : 0, event_idx);
}

void packed_ring_init_tables(struct packed_ring *ring, struct guest_ram *ram, uint16_t size,
                             unsigned n_segments, bool event_idx)
{
        ring->ram = ram;
        ring->size = size;
        ring->indirect = n_segments > 0;
        ring->table_segments = n_segments;
        ring->event_idx = event_idx;
        ring->desc = guest_ram_alloc(ram, 16u * size, 16);
        ring->driver = guest_ram_alloc(ram, sizeof(struct packed_event), 4);
        ring->device = guest_ram_alloc(ram, sizeof(struct packed_event), 4);
        ring->tables = ring->indirect ? guest_ram_alloc(ram, 16u * n_segments * size, 64) : 0;
        packed_ring_reset(ring);
}

/* ---- adding ---- */

static uint16_t flags_of(unsigned i, unsigned n_out, unsigned n)
{
        return (uint16_t)((i + 1 < n ? DESC_NEXT : 0) | (i >= n_out ? DESC_WRITE : 0));
}

/* Makes the next descriptor of the ring; the first one since a publish stays hidden. */
static void put(struct packed_ring *ring, uint64_t at, uint32_t len, uint16_t id, uint16_t flags)
{
        struct packed_desc *desc = &descs(ring)[ring->avail_next];

        flags |= (uint16_t)(ring->avail_wrap ? DESC_AVAIL : DESC_USED);
        desc->at = at;
        desc->len = len;
        desc->id = id;
        if (ring->n_added++ == 0) {
                ring->shown_at = ring->avail_next;
                ring->shown = flags;
        } else {
                desc->flags = flags;
        }
        ring->n_free--;
        if (++ring->avail_next == ring->size) {
                ring->avail_next = 0;
                ring->avail_wrap = !ring->avail_wrap;
        }
}

/* Of the descriptors of a table only addr, len and WRITE mean anything (2.8.7). */
static void add_indirect(struct packed_ring *ring, const struct split_segment *segments, unsigned n_out,
                         unsigned n, uint16_t id)
{
        uint64_t at = ring->tables + 16u * ring->table_segments * id;
        struct packed_desc *table = (struct packed_desc *)(ring->ram->base + at);

        for (unsigned i = 0; i < n; i++)
                table[i] = (struct packed_desc){.at = ring->ram->iova + segments[i].at,
                                                .len = segments[i].len,
                                                .flags = i >= n_out ? DESC_WRITE : 0};
        put(ring, ring->ram->iova + at, 16u * n, id, DESC_INDIRECT);
}

static void add_direct(struct packed_ring *ring, const struct split_segment *segments, unsigned n_out,
                       unsigned n, uint16_t id)
{
        for (unsigned i = 0; i < n; i++)
                put(ring, ring->ram->iova + segments[i].at, segments[i].len, id, flags_of(i, n_out, n));
}

int packed_ring_add(struct packed_ring *ring, const struct split_segment *segments, unsigned n_out,
                    unsigned n_in, void *cookie)
{
        unsigned n = n_out + n_in;
        uint16_t id = ring->free_id;

        if (n == 0 || n > (ring->indirect ? ring->table_segments : SPLIT_RING_SEGMENTS) ||
            ring->n_free < (ring->indirect ? 1 : n))
                return -ENOSPC;
        ring->free_id = ring->next[id];
        ring->length[id] = ring->indirect ? 1 : (uint16_t)n;
        ring->cookies[id] = cookie;
        if (ring->indirect)
                add_indirect(ring, segments, n_out, n, id);
        else
                add_direct(ring, segments, n_out, n, id);
        return 0;
}

/* Does the place that the device waits for lie among the last n_added ones? (2.7.10, with wraps: 2.8.10) */
static bool event_passed(const struct packed_ring *ring, uint16_t event, uint16_t n_added)
{
        uint16_t at = event & (EVENT_WRAP - 1u);

        if ((event & EVENT_WRAP) != (ring->avail_wrap ? EVENT_WRAP : 0))
                at = (uint16_t)(at - ring->size);
        return (uint16_t)(ring->avail_next - at - 1) < n_added;
}

bool packed_ring_publish(struct packed_ring *ring)
{
        struct packed_event *device = event_area(ring, ring->device);
        uint16_t n_added = ring->n_added, flags;

        if (n_added == 0)
                return false;
        __atomic_store_n(&descs(ring)[ring->shown_at].flags, ring->shown, __ATOMIC_RELEASE);
        ring->n_added = 0;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        flags = __atomic_load_n(&device->flags, __ATOMIC_ACQUIRE);
        if (flags == EVENT_DESC && ring->event_idx)
                return event_passed(ring, __atomic_load_n(&device->at, __ATOMIC_ACQUIRE), n_added);
        return flags != EVENT_DISABLE;
}

/* ---- taking ---- */

static bool is_used(const struct packed_ring *ring)
{
        uint16_t flags = __atomic_load_n(&descs(ring)[ring->used_next].flags, __ATOMIC_ACQUIRE);
        bool avail = flags & DESC_AVAIL, used = flags & DESC_USED;

        return avail == ring->used_wrap && used == ring->used_wrap;
}

int packed_ring_take(struct packed_ring *ring, void **ret_cookie, uint32_t *ret_len)
{
        const struct packed_desc *desc = &descs(ring)[ring->used_next];
        uint16_t id, n;

        if (ring->n_free == ring->size || !is_used(ring))
                return 0;
        id = desc->id;
        if (id >= ring->size || ring->length[id] == 0)
                return -EPROTO;
        n = ring->length[id];
        *ret_cookie = ring->cookies[id];
        *ret_len = desc->len;
        ring->length[id] = 0;
        ring->next[id] = ring->free_id;
        ring->free_id = id;
        ring->n_free = (uint16_t)(ring->n_free + n);
        ring->used_next = (uint16_t)(ring->used_next + n);
        if (ring->used_next >= ring->size) {
                ring->used_next = (uint16_t)(ring->used_next - ring->size);
                ring->used_wrap = !ring->used_wrap;
        }
        return 1;
}

bool packed_ring_want_call(struct packed_ring *ring)
{
        struct packed_event *driver = event_area(ring, ring->driver);

        if (ring->event_idx) {
                __atomic_store_n(&driver->at, ring->used_next | (ring->used_wrap ? EVENT_WRAP : 0),
                                 __ATOMIC_RELAXED);
                __atomic_store_n(&driver->flags, EVENT_DESC, __ATOMIC_RELEASE);
        } else {
                __atomic_store_n(&driver->flags, EVENT_ENABLE, __ATOMIC_RELEASE);
        }
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return ring->n_free < ring->size && is_used(ring);
}
