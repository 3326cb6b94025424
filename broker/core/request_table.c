/* The table of outstanding requests of one lane.
 * Owns all its memory from init to done. Called by the lane and its memory service, on the lane's thread.
 * TRUST: the ids that are looked up are the worker's invention until they are found here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/request_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "proto/base/limits.h"

#define SLOT_BITS      16u
#define SLOT_MASK      UINT64_C(0xffff)
#define GENERATION_MAX ((UINT64_C(1) << 48) - 1)

_Static_assert(LIMIT_CREDITS <= SLOT_MASK + 1, "a slot fits in its part of the id");

/* The next id of the slot that had this one. Generation 0 is no generation, so id 0 is never valid. */
static uint64_t next_id(uint64_t id)
{
        uint64_t generation = id >> SLOT_BITS;

        generation = generation == GENERATION_MAX ? 1 : generation + 1;
        return generation << SLOT_BITS | (id & SLOT_MASK);
}

/* Every field as it is while the slot is free; the id stays, to be the last one's successor. */
static void slot_clear(struct request *request)
{
        *request = (struct request){
            .id = request->id,
            .state = REQUEST_FREE,
            .chain = {.max_segments = request->chain.max_segments, .segments = request->chain.segments},
        };
}

int request_table_init(struct request_table *table, uint32_t capacity, uint32_t max_segments)
{
        struct request_table made = {.capacity = capacity};

        if (capacity == 0 || capacity > LIMIT_CREDITS || max_segments == 0 ||
            max_segments > LIMIT_CHAIN_SEGMENTS)
                return -EINVAL;
        made.slots = calloc(capacity, sizeof(made.slots[0]));
        made.segments = calloc((size_t)capacity * max_segments, sizeof(made.segments[0]));
        made.free_slots = calloc(capacity, sizeof(made.free_slots[0]));
        if (!made.slots || !made.segments || !made.free_slots) {
                request_table_done(&made);
                return -ENOMEM;
        }
        for (uint32_t i = 0; i < capacity; i++) {
                made.slots[i].id = i;
                made.slots[i].chain.segments = made.segments + (size_t)i * max_segments;
                made.slots[i].chain.max_segments = (uint16_t)max_segments;
                made.free_slots[i] = (uint16_t)(capacity - 1 - i); /* a stack: slot 0 goes first */
        }
        *table = made;
        return 0;
}

void request_table_done(struct request_table *table)
{
        free(table->slots);
        free(table->segments);
        free(table->free_slots);
        *table = (struct request_table){0};
}

struct request *request_table_peek(struct request_table *table)
{
        uint32_t n_free = table->capacity - table->outstanding;

        return n_free == 0 ? NULL : &table->slots[table->free_slots[n_free - 1]];
}

void request_table_add(struct request_table *table, struct request *request, uint16_t queue, uint64_t now_ms)
{
        assert(request && request == request_table_peek(table));
        table->outstanding++;
        request->id = next_id(request->id);
        request->state = REQUEST_QUEUED;
        request->queue = queue;
        request->born_ms = now_ms;
        request->older = table->newest;
        request->newer = NULL;
        if (table->newest)
                table->newest->newer = request;
        else
                table->oldest = request;
        table->newest = request;
}

struct request *request_table_find(const struct request_table *table, uint64_t id)
{
        uint64_t slot = id & SLOT_MASK;

        if (slot >= table->capacity || table->slots[slot].state == REQUEST_FREE ||
            table->slots[slot].id != id)
                return NULL;
        return &table->slots[slot];
}

void request_table_release(struct request_table *table, struct request *request)
{
        assert(request->state != REQUEST_FREE && table->outstanding > 0);
        if (request->older)
                request->older->newer = request->newer;
        else
                table->oldest = request->newer;
        if (request->newer)
                request->newer->older = request->older;
        else
                table->newest = request->older;
        slot_clear(request);
        table->free_slots[table->capacity - table->outstanding] = (uint16_t)(request->id & SLOT_MASK);
        table->outstanding--;
}
