/* A split virtqueue by messages.
 * Owns its two eventfds; called by the walker. TRUST: what messages bring from the ring is judged here, addresses by whoever answers
 * them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/twin/walker_ring.h"

#include <endian.h>
#include <errno.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

#define FLAG_NEXT          1u /* VIRTQ_DESC_F_NEXT */
#define FLAG_WRITE         2u /* VIRTQ_DESC_F_WRITE */
#define FLAG_INDIRECT      4u /* VIRTQ_DESC_F_INDIRECT */
#define AVAIL_NO_INTERRUPT 1u
#define RING_INDEX         2u /* behind the flags; the items follow */
#define RING_ITEMS         4u
#define TABLE_PAYS         3u /* so many chains: all descriptors at once are cheaper than one message each */
#define TABLE_MAX          512u /* descriptors of an indirect table: more than a chain has segments */

struct wire_used {
        uint32_t id, len;
};

int walker_ring_init(struct walker_ring *ring, uint16_t max_segments)
{
        *ring = (struct walker_ring){.kick = -1, .call = -1};
        return twin_request_init(&ring->request, max_segments);
}

void walker_ring_done(struct walker_ring *ring)
{
        (void)walker_ring_stop(ring);
        twin_request_done(&ring->request);
}

/* ---- words of the ring ---- */

static gpa_t at(gpa_t ring, uint64_t offset)
{
        return GPA(ring.v + offset);
}

static int load16(int dma, gpa_t where, uint16_t *ret_value)
{
        uint16_t value;
        int r = dma_read(dma, where, &value, sizeof(value));

        *ret_value = r < 0 ? 0 : le16toh(value);
        return r;
}

static int store16(int dma, gpa_t where, uint16_t value)
{
        uint16_t wire = htole16(value);

        return dma_write(dma, where, &wire, sizeof(wire));
}

int walker_ring_start(struct walker_ring *ring, int dma, const struct queue_layout *layout,
                      const struct queue_features *features, uint16_t base, int kick, int call)
{
        uint16_t used;
        int r = load16(dma, at(layout->used, RING_INDEX), &used);

        if (r < 0)
                return r;
        ring->layout = *layout;
        ring->features = *features;
        ring->last_avail = base;
        ring->used = ring->signaled = used;
        ring->kick = kick;
        ring->call = call;
        ring->running = true;
        return 0;
}

uint16_t walker_ring_stop(struct walker_ring *ring)
{
        ring->running = false;
        cleanup_close(&ring->kick);
        cleanup_close(&ring->call);
        ring->kick = ring->call = -1;
        return ring->last_avail;
}

/* ---- a chain ---- */

static int add_segment(struct chain *chain, const struct walker_descriptor *descriptor)
{
        uint32_t len = le32toh(descriptor->len);
        bool write = le16toh(descriptor->flags) & FLAG_WRITE;
        unsigned n = chain->n_readable + chain->n_writable;
        gpa_t start = GPA(le64toh(descriptor->addr)), end;

        if (len == 0 || !gpa_add(start, len, &end) ||
            len > LIMIT_CHAIN_BYTES - chain->readable - chain->writable || n == chain->max_segments ||
            (!write && chain->n_writable > 0))
                return -EPROTO;
        chain->segments[n] = (struct segment){start, len};
        if (write) {
                chain->n_writable++;
                chain->writable += len;
        } else {
                chain->n_readable++;
                chain->readable += len;
        }
        return 0;
}

/* All of the table comes at once. */
static int walk_table(struct chain *chain, int dma, const struct walker_descriptor *one)
{
        struct walker_descriptor table[TABLE_MAX];
        uint32_t len = le32toh(one->len), n = len / sizeof(table[0]), i = 0;
        int r;

        if (len % sizeof(table[0]) != 0 || n == 0 || n > TABLE_MAX)
                return -EPROTO;
        r = dma_read(dma, GPA(le64toh(one->addr)), table, len);
        for (uint32_t seen = 0; r == 0; seen++) {
                if (i >= n || seen >= n || le16toh(table[i].flags) & FLAG_INDIRECT)
                        return -EPROTO;
                r = add_segment(chain, &table[i]);
                if (!(le16toh(table[i].flags) & FLAG_NEXT))
                        break;
                i = le16toh(table[i].next);
        }
        return r;
}

static int fetch(const struct walker_ring *ring, int dma, uint16_t i,
                 struct walker_descriptor *ret_descriptor)
{
        if (!ring->table_held)
                return dma_read(dma, at(ring->layout.desc, sizeof(ring->table[0]) * (uint64_t)i),
                                ret_descriptor, sizeof(*ret_descriptor));
        *ret_descriptor = ring->table[i];
        return 0;
}

static int walk(struct walker_ring *ring, int dma, uint16_t head)
{
        struct chain *chain = &ring->request.chain;
        struct walker_descriptor descriptor;
        uint16_t i = head;

        chain->head = head;
        chain->n_readable = chain->n_writable = 0;
        chain->readable = chain->writable = 0;
        for (unsigned seen = 0; seen < ring->layout.size && i < ring->layout.size; seen++) {
                int r = fetch(ring, dma, i, &descriptor);
                uint16_t flags = r < 0 ? 0 : le16toh(descriptor.flags);

                if (r < 0)
                        return r;
                if (flags & FLAG_INDIRECT)
                        return ring->features.indirect && seen == 0 && !(flags & FLAG_NEXT)
                                   ? walk_table(chain, dma, &descriptor)
                                   : -EPROTO;
                r = add_segment(chain, &descriptor);
                if (r < 0 || !(flags & FLAG_NEXT))
                        return r;
                i = le16toh(descriptor.next);
        }
        return -EPROTO;
}

/* ---- a batch ---- */

/* Entries [from, from + n) of a ring whose entries have `each` bytes: one access, or two where it wraps. */
static int entries(int dma, gpa_t ring_at, uint16_t size, uint16_t from, unsigned n, unsigned each, void *to,
                   const void *bytes)
{
        unsigned slot = from % size, first = size - slot < n ? size - slot : n;

        for (unsigned done = 0, len = first; done < n; done += len, slot = 0, len = n - first) {
                gpa_t where = at(ring_at, RING_ITEMS + (uint64_t)each * slot);
                int r = to ? dma_read(dma, where, (uint8_t *)to + (size_t)done * each, len * each)
                           : dma_write(dma, where, (const uint8_t *)bytes + (size_t)done * each, len * each);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* Has the index that the guest waits for just been passed? (virtio 1.3, 2.7.10: vring_need_event) */
static int signal_wanted(struct walker_ring *ring, int dma)
{
        const struct queue_layout *layout = &ring->layout;
        uint16_t before = ring->signaled, value;
        int r;

        ring->signaled = ring->used;
        if (!ring->features.event_idx) {
                r = load16(dma, layout->avail, &value);
                return r < 0 ? r : !(value & AVAIL_NO_INTERRUPT);
        }
        r = load16(dma, at(layout->avail, RING_ITEMS + 2u * (uint64_t)layout->size), &value);
        return r < 0 ? r : (uint16_t)(ring->used - value - 1u) < (uint16_t)(ring->used - before);
}

static int give_back(struct walker_ring *ring, int dma, const struct wire_used *elements, unsigned n)
{
        uint64_t one = 1;
        int r = entries(dma, ring->layout.used, ring->layout.size, ring->used, n, sizeof(elements[0]), NULL,
                        elements);

        if (r < 0)
                return r;
        ring->used = (uint16_t)(ring->used + n);
        r = store16(dma, at(ring->layout.used, RING_INDEX), ring->used);
        if (r == 0)
                r = signal_wanted(ring, dma);
        if (r > 0 && ring->call >= 0)
                (void)!write(ring->call, &one, sizeof(one)); /* a full eventfd is a pending signal already */
        return r < 0 ? r : 0;
}

/* How many chains wait. */
static int available(struct walker_ring *ring, int dma)
{
        uint16_t index, n;
        int r = load16(dma, at(ring->layout.avail, RING_INDEX), &index);

        if (r < 0)
                return r;
        n = (uint16_t)(index - ring->last_avail);
        return n > ring->layout.size ? -EPROTO : n;
}

static int hold_table(struct walker_ring *ring, int dma, unsigned n)
{
        ring->table_held = n >= TABLE_PAYS;
        return ring->table_held ? dma_read(dma, ring->layout.desc, ring->table,
                                           (uint32_t)sizeof(ring->table[0]) * ring->layout.size)
                                : 0;
}

static int serve_chains(struct walker_ring *ring, struct twin_disk *disk, const struct twin_reach *reach,
                        const struct twin_batch *most, unsigned n)
{
        const struct chain *chain = &ring->request.chain;
        struct wire_used used[LIMIT_RING_SIZE];
        uint64_t bytes = 0;
        unsigned done = 0;
        int r = 0;

        while (done < n && bytes < most->bytes) {
                uint16_t head = le16toh(ring->heads[done]);

                r = walk(ring, reach->dma, head);
                if (r == 0)
                        r = twin_disk_serve(disk, reach, &ring->request);
                if (r < 0)
                        break;
                used[done++] = (struct wire_used){htole32(head), htole32(chain->writable)};
                bytes += (uint64_t)chain->readable + chain->writable;
        }
        ring->last_avail = (uint16_t)(ring->last_avail + done);
        if (r == 0)
                r = give_back(ring, reach->dma, used, done);
        return r < 0 ? r : (int)done;
}

int walker_ring_serve(struct walker_ring *ring, struct twin_disk *disk, const struct twin_reach *reach,
                      const struct twin_batch *most)
{
        int n = available(ring, reach->dma);
        int r;

        if (n <= 0)
                return n;
        if ((unsigned)n > most->chains)
                n = (int)most->chains;
        r = entries(reach->dma, ring->layout.avail, ring->layout.size, ring->last_avail, (unsigned)n,
                    sizeof(ring->heads[0]), ring->heads, NULL);
        if (r == 0)
                r = hold_table(ring, reach->dma, (unsigned)n);
        return r < 0 ? r : serve_chains(ring, disk, reach, most, (unsigned)n);
}

/* Without the event index it has always asked. */
int walker_ring_want_kicks(struct walker_ring *ring, int dma)
{
        const struct queue_layout *layout = &ring->layout;
        int r = 0;

        if (ring->features.event_idx)
                r = store16(dma, at(layout->used, RING_ITEMS + 8u * (uint64_t)layout->size),
                            ring->last_avail);
        if (r == 0)
                r = available(ring, dma);
        return r < 0 ? r : r > 0;
}
