/* Chains of the driver's.
 * Owns nothing; called by driver.c. TRUST: it is the guest.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/chain.h"

#include <endian.h>
#include <string.h>

#include "proto/base/checked.h"
#include "tests/sim/bytes.h"
#include "tests/sim/chance.h"
#include "tests/sim/model.h"
#include "tests/sim/trace.h"

#define FLAG_NEXT     1u
#define FLAG_WRITE    2u
#define FLAG_INDIRECT 4u

struct wire_descriptor {
        uint64_t addr;
        uint32_t len;
        uint16_t flags, next;
};

/* What can be wrong with a chain. */
enum badness {
        BAD_ADDRESS = 0, /* behind all memory */
        BAD_LENGTH,      /* zero */
        BAD_NEXT,        /* outside the table */
        BAD_LOOP,
        BAD_ORDER, /* readable behind writable */
        BAD_HEAD,
        BAD_KINDS,
};

static struct wire_descriptor describe(uint64_t at, uint32_t len, unsigned flags, unsigned next)
{
        return (struct wire_descriptor){.addr = htole64(at),
                                        .len = htole32(len),
                                        .flags = htole16((uint16_t)flags),
                                        .next = htole16((uint16_t)next)};
}

/* ---- buffers ---- */

static enum cell_class choose_class(const struct odds *odds)
{
        if (chance_one_in(odds->large))
                return CELL_LARGE;
        return chance_one_in(odds->medium) ? CELL_MEDIUM : CELL_SMALL;
}

/* Places `len` bytes in a cell of this class. False: there is none. */
static bool place(struct sim_device *dev, struct posting *posting, enum cell_class class, uint32_t len,
                  bool write)
{
        struct sim_segment *segment = &posting->segments[posting->n_segments];
        uint32_t room;

        if (!ram_take_cell(&dev->ram, class, &segment->cell))
                return false;
        sim_check(ram_is_canary(&dev->ram, cell_start(segment->cell), cell_bytes(class)),
                  "%s: a buffer that nobody has posted was written", dev->name);
        room = cell_bytes(class) - 2 * CELL_GUARD - len;
        segment->at = cell_start(segment->cell) + CELL_GUARD + chance_below(room + 1);
        segment->len = len;
        segment->write = write;
        segment->table = false;
        posting->n_segments++;
        return true;
}

static bool place_buffer(struct sim_device *dev, struct posting *posting, bool write)
{
        enum cell_class class = choose_class(dev->odds);
        uint32_t most = cell_bytes(class) - 2 * CELL_GUARD;
        uint32_t len = chance_one_in(4) ? chance_between(1, 16) : chance_between(1, most);

        if (!place(dev, posting, class, len, write))
                return false;
        if (write) {
                posting->writable += len;
        } else {
                static uint8_t bytes[1 << 16];

                bytes_fill(key_of_guest(posting), posting->readable, bytes, len);
                ram_write(&dev->ram, posting->segments[posting->n_segments - 1].at, bytes, len);
                posting->readable += len;
        }
        return true;
}

/* Buffers of a chain: readable ones, then writable ones, at least one. */
static bool place_buffers(struct sim_device *dev, struct posting *posting, unsigned most)
{
        unsigned n_readable = chance_below(4), n_writable = chance_below(4);

        if (n_readable + n_writable == 0)
                n_readable = 1;
        n_readable = MIN(n_readable, most);
        n_writable = MIN(n_writable, most - n_readable);
        for (unsigned i = 0; i < n_readable; i++)
                if (!place_buffer(dev, posting, false))
                        break;
        for (unsigned i = 0; i < n_writable; i++)
                if (!place_buffer(dev, posting, true))
                        break;
        return posting->n_segments > 0;
}

/* ---- descriptors ---- */

/* Takes one off the free list. */
static uint16_t take_descriptor(struct sim_queue *queue)
{
        uint16_t taken = queue->free_head;

        queue->free_head = queue->next[taken];
        queue->n_free--;
        return taken;
}

static void write_direct(struct sim_device *dev, struct posting *posting)
{
        struct sim_queue *queue = &dev->queues[posting->queue];
        uint16_t at = take_descriptor(queue);

        posting->head = at;
        queue->n_descriptors[at] = (uint16_t)posting->n_segments;
        for (unsigned i = 0; i < posting->n_segments; i++) {
                const struct sim_segment *segment = &posting->segments[i];
                bool more = i + 1 < posting->n_segments;
                uint16_t next = more ? take_descriptor(queue) : 0;
                struct wire_descriptor wire =
                    describe(segment->at, segment->len,
                             (more ? FLAG_NEXT : 0) | (segment->write ? FLAG_WRITE : 0), next);

                if (more)
                        queue->next[at] = next;
                driver_put_descriptor(dev, posting->queue, at, &wire);
                at = next;
        }
}

static bool write_indirect(struct sim_device *dev, struct posting *posting)
{
        struct sim_queue *queue = &dev->queues[posting->queue];
        struct wire_descriptor wire, table[SIM_SEGMENTS];
        unsigned n = posting->n_segments;

        for (unsigned i = 0; i < n; i++)
                table[i] =
                    describe(posting->segments[i].at, posting->segments[i].len,
                             (i + 1 < n ? FLAG_NEXT : 0) | (posting->segments[i].write ? FLAG_WRITE : 0),
                             i + 1 < n ? i + 1 : 0);
        if (!place(dev, posting, CELL_SMALL, 16 * n, false))
                return false;
        posting->segments[n].table = true;
        ram_write(&dev->ram, posting->segments[n].at, (const uint8_t *)table, 16ul * n);
        wire = describe(posting->segments[n].at, 16 * n, FLAG_INDIRECT, 0);
        posting->head = take_descriptor(queue);
        queue->n_descriptors[posting->head] = 1;
        driver_put_descriptor(dev, posting->queue, posting->head, &wire);
        return true;
}

void chain_give_back(struct sim_queue *queue, uint16_t head)
{
        uint16_t last = head;

        for (uint16_t i = 1; i < queue->n_descriptors[head]; i++)
                last = queue->next[last];
        queue->next[last] = queue->free_head;
        queue->free_head = head;
        queue->n_free = (uint16_t)(queue->n_free + queue->n_descriptors[head]);
        queue->n_descriptors[head] = 0;
}

/* ---- mistakes ---- */

static void spoil(struct sim_device *dev, struct posting *posting)
{
        struct sim_queue *queue = &dev->queues[posting->queue];
        struct wire_descriptor wire;

        posting->bad = true;
        queue->must_break = queue->may_break = true;
        switch ((enum badness)chance_below(BAD_KINDS)) {
        case BAD_ADDRESS:
                wire = describe(RAM_END - 1, 2, 0, 0);
                break;
        case BAD_LENGTH:
                wire = describe(RAM_START, 0, 0, 0);
                break;
        case BAD_NEXT:
                wire = describe(posting->segments[0].at, 1, FLAG_NEXT, queue->size);
                break;
        case BAD_LOOP:
                wire = describe(posting->segments[0].at, 1, FLAG_NEXT, posting->head);
                break;
        case BAD_ORDER:
                wire = describe(posting->segments[0].at, 0, FLAG_WRITE, 0);
                if (queue->n_descriptors[posting->head] < 2)
                        break;
                wire =
                    describe(posting->segments[0].at, 1, FLAG_NEXT | FLAG_WRITE, queue->next[posting->head]);
                driver_put_descriptor(
                    dev, posting->queue, queue->next[posting->head],
                    &(struct wire_descriptor){.addr = htole64(posting->segments[0].at), .len = htole32(1)});
                break;
        case BAD_HEAD:
        default:
                posting->segments[0].len = 0; /* chain_published_head asks */
                return;
        }
        driver_put_descriptor(dev, posting->queue, posting->head, &wire);
}

uint16_t chain_published_head(struct sim_device *dev, struct posting *posting)
{
        const struct sim_queue *queue = &dev->queues[posting->queue];

        if (posting->bad && posting->segments[0].len == 0)
                return (uint16_t)(queue->size + chance_below(1000));
        return posting->head;
}

struct posting *chain_make(struct sim_device *dev, unsigned index)
{
        struct sim_queue *queue = &dev->queues[index];
        bool indirect = queue->indirect && chance_one_in(dev->odds->indirect);
        unsigned most = MIN(SIM_SEGMENTS, dev->hello.max_segments);
        struct posting *posting;

        most = MIN(most,
                   indirect ? (unsigned)queue->size : queue->n_free); /* a table is no longer than the ring */
        if (queue->n_free == 0 || most == 0)
                return NULL;
        posting = posting_new(dev);
        if (!posting)
                return NULL;
        posting->queue = index;
        posting->poison = chance_one_in(dev->odds->poison);
        if (!place_buffers(dev, posting, most) ||
            (indirect ? !write_indirect(dev, posting) : posting->n_segments > queue->n_free)) {
                posting_unmake(dev, posting);
                return NULL;
        }
        if (!indirect)
                write_direct(dev, posting);
        if (chance_one_in(dev->odds->bad_chain))
                spoil(dev, posting);
        return posting;
}
