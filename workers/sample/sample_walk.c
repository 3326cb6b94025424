/* The sample's ring, walked by itself.
 * Owns its copies of the ring; called by sample.c. TRUST: every byte of the ring and of what its chains point to is a guest's; it is
 * copied once, and the copy is judged.
 *
 * How it works: a kick asks for index, available ring and descriptor table by one question: the index comes first, so what it tells of
 * is in the copies. Then chains are collected as long as their readable bytes fit together, read by a second question, and served;
 * answers and used elements are gathered and leave with the used index, which is the last to be written. It costs two round trips for
 * as many chains as fit, where a request of the broker's comes with its bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/sample/sample_walk.h"

#include <errno.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/checked.h"
#include "workers/runtime/worker_memory.h"

#define DESC_BYTES    16u
#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u
#define INDEX_AT      2u /* in both rings, behind the flags; and: */
#define RING_AT       4u
#define ELEMENT_BYTES 8u
#define TABLE_BYTES   ((2u + DESC_BYTES) * LIMIT_RING_SIZE)

int sample_walk_init(struct sample_walk *walk)
{
        walk->table = worker_memory(TABLE_BYTES);
        walk->bytes = worker_memory(WALK_BYTES);
        return walk->table && walk->bytes ? 0 : -ENOMEM;
}

int sample_walk_start(struct sample_walk *walk, const struct control_start_queue *ring)
{
        if (!walk_reaches(ring->desc, DESC_BYTES * ring->size) ||
            !walk_reaches(ring->avail, RING_AT + 2 * ring->size) ||
            !walk_reaches(ring->used, RING_AT + ELEMENT_BYTES * ring->size))
                return -EINVAL;
        walk->ring = *ring;
        walk->entered = false;
        return 0;
}

/* ---- copies ---- */

/* Chains are used in their order, so the used index says how many were. A predecessor that died may have used more than it told. */
static int walk_enter(struct sample_walk *walk, struct request *kick)
{
        const struct walk_range range = {walk->ring.used + INDEX_AT, 2};
        uint8_t bytes[2];
        uint16_t used;
        int r;

        if (walk->entered)
                return 0;
        r = walk_read(kick, &range, 1, bytes);
        if (r < 0)
                return r;
        used = bytes_load16(bytes);
        walk->next = (uint16_t)walk->ring.next;
        if ((uint16_t)(used - walk->next) <= walk->ring.size)
                walk->next = used;
        walk->used = used;
        walk->entered = true;
        return 0;
}

/* Index, ring and table, in this order. */
static int walk_copy(struct sample_walk *walk, struct request *kick, uint16_t *ret_index)
{
        const struct control_start_queue *ring = &walk->ring;
        const struct walk_range index = {ring->avail + INDEX_AT, 2};
        const struct walk_range both[] = {{ring->avail + RING_AT, 2 * ring->size},
                                          {ring->desc, DESC_BYTES * ring->size}};
        const struct walk_range all[] = {index, both[0], both[1]};
        uint8_t *room = walk->bytes; /* not in use yet, and larger */
        int r = walk_read(kick, all, array_size(all), room);

        _Static_assert(2 + TABLE_BYTES <= WALK_BYTES, "the room is larger");
        if (r < 0)
                return r;
        *ret_index = bytes_load16(room);
        memcpy(walk->table, room + 2, both[0].len + both[1].len);
        return 0;
}

/* ---- chains ---- */

static bool chain_add(struct sample_walk *walk, struct walk_chain *chain, const uint8_t *desc)
{
        const struct walk_range range = {bytes_load64(desc), bytes_load32(desc + 8)};
        const uint16_t flags = bytes_load16(desc + 12);
        uint32_t *sum = flags & DESC_WRITE ? &chain->writable : &chain->readable;
        uint32_t at = (uint32_t)chain->first + chain->n_readable + chain->n_writable;

        if ((flags & DESC_INDIRECT) || range.len == 0 || !walk_reaches(range.at, range.len) ||
            range.len > LIMIT_CHAIN_BYTES - *sum || at >= array_size(walk->ranges) ||
            (!(flags & DESC_WRITE) && chain->n_writable > 0))
                return false;
        walk->ranges[at] = range;
        *sum += range.len;
        if (flags & DESC_WRITE)
                chain->n_writable++;
        else
                chain->n_readable++;
        return true;
}

/* More steps than descriptors would be a loop; no chain has more ranges than one question. */
static bool chain_walk(struct sample_walk *walk, uint16_t first, uint16_t index, struct walk_chain *ret)
{
        const uint8_t *descs = walk->table + 2 * walk->ring.size;
        uint32_t at = bytes_load16(walk->table + 2 * (index % walk->ring.size));

        *ret = (struct walk_chain){.head = (uint16_t)at, .first = first};
        for (uint32_t steps = 0; steps < walk->ring.size && steps < LIMIT_MEM_SEGMENTS; steps++) {
                const uint8_t *desc;

                if (at >= walk->ring.size)
                        return false;
                desc = descs + DESC_BYTES * at;
                if (!chain_add(walk, ret, desc))
                        return false;
                if (!(bytes_load16(desc + 12) & DESC_NEXT))
                        return ret->writable >= WALK_ANSWER;
                at = bytes_load16(desc + 14);
        }
        return false;
}

/* As many chains as can be read together, at least one. False: the last that was looked at is none. */
static bool walk_collect(struct sample_walk *walk, uint16_t index, uint32_t *ret_n)
{
        uint32_t n = 0, ranges = 0, readable = 0, asked = 0;

        for (; (uint16_t)(walk->next + n) != index && n < array_size(walk->chains); n++) {
                struct walk_chain *chain = &walk->chains[n];

                if (n > 0 && ranges + LIMIT_MEM_SEGMENTS > array_size(walk->ranges))
                        break;
                if (!chain_walk(walk, (uint16_t)ranges, (uint16_t)(walk->next + n), chain))
                        return false;
                if (n > 0 && (chain->readable > WALK_BYTES - MIN(readable, WALK_BYTES) ||
                              chain->n_readable > LIMIT_MEM_SEGMENTS - asked))
                        break;
                readable += chain->readable;
                asked += chain->n_readable;
                ranges += (uint32_t)chain->n_readable + chain->n_writable;
        }
        *ret_n = n;
        return true;
}

/* One behind the other. What does not fit stands alone, and is not read. */
static int walk_fetch(struct sample_walk *walk, struct request *kick, uint32_t n)
{
        struct walk_range ranges[LIMIT_MEM_SEGMENTS];
        uint32_t k = 0;

        for (uint32_t i = 0; i < n && walk->chains[i].readable <= WALK_BYTES; i++)
                for (uint32_t j = 0; j < walk->chains[i].n_readable; j++)
                        ranges[k++] = walk->ranges[walk->chains[i].first + j];
        return k > 0 ? walk_read(kick, ranges, k, walk->bytes) : 0;
}

/* ---- answers ---- */

static void walk_scatter(struct sample_walk *walk, struct request *kick, const struct walk_chain *chain,
                         const uint8_t *answer)
{
        const struct walk_range *range = &walk->ranges[chain->first + chain->n_readable];

        for (uint32_t done = 0; done < WALK_ANSWER; range++) {
                uint32_t len = MIN(range->len, WALK_ANSWER - done);

                walk_write(kick, range->at, answer + done, len);
                done += len;
        }
}

static void walk_use(struct sample_walk *walk, struct request *kick, const struct walk_chain *chain)
{
        uint8_t element[ELEMENT_BYTES];

        bytes_store32(element, chain->head);
        bytes_store32(element + 4, WALK_ANSWER);
        walk_write(kick, walk->ring.used + RING_AT + ELEMENT_BYTES * (walk->used % walk->ring.size), element,
                   sizeof(element));
        walk->used++;
        walk->next++;
}

static void walk_serve(struct sample_walk *walk, struct request *kick, uint32_t n, sample_walk_serve serve,
                       void *context)
{
        const uint8_t *bytes = walk->bytes;
        uint8_t answer[WALK_ANSWER], index[2];

        for (uint32_t i = 0; i < n; i++) {
                const struct walk_chain *chain = &walk->chains[i];
                bool read = chain->readable <= WALK_BYTES;

                serve(context, read ? bytes : NULL, chain->readable, answer);
                bytes += read ? chain->readable : 0;
                walk_scatter(walk, kick, chain, answer);
                walk_use(walk, kick, chain);
        }
        bytes_store16(index, walk->used);
        walk_write(kick, walk->ring.used + INDEX_AT, index, sizeof(index));
}

bool sample_walk_kick(struct sample_walk *walk, struct request *kick, sample_walk_serve serve, void *context)
{
        uint16_t index;
        uint32_t n;

        if (walk_enter(walk, kick) < 0 || walk_copy(walk, kick, &index) < 0 ||
            (uint16_t)(index - walk->next) > walk->ring.size)
                return false;
        while (walk->next != index) {
                if (!walk_collect(walk, index, &n) || walk_fetch(walk, kick, n) < 0)
                        return false;
                walk_serve(walk, kick, n, serve, context);
        }
        walk_taken(kick, walk->next);
        return true;
}
