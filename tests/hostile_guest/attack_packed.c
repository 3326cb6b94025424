/* A packed ring under the verbs of a split one. Owns nothing; memory is the map's. TRUST: used descriptors are those
 * of the broker under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_guest/attack_packed.h"

#include <string.h>

#include "proto/base/checked.h"
#include "tests/hostile_guest/attack.h"

#define BASE_WRAP  (1u << 15)
#define FRESH_BASE UINT32_C(0x80008000)

struct packed_desc {
        uint64_t at;
        uint32_t len;
        uint16_t id, flags;
};

static struct packed_desc *desc_at(const struct packed_view *view, const struct guest_map *map,
                                   uint16_t place)
{
        return guest_map_at(map, view->desc + 16 * (uint64_t)place, 16);
}

static void advance(const struct packed_view *view, unsigned n, uint16_t *place, bool *wrap)
{
        unsigned next = *place + n;

        if (next >= view->size) {
                next -= view->size;
                *wrap = !*wrap;
        }
        *place = (uint16_t)next;
}

/* ---- start and stop ---- */

void packed_view_init(struct packed_view *view)
{
        memset(view, 0, sizeof(*view));
        view->size = 16;
        view->desc = RING(0);
        view->wrap = view->used_wrap = true;
}

/* An index that a split ring would begin at becomes a place, and a wrap counter. */
static uint32_t base_of(const struct packed_view *view, const struct ring_plan *plan)
{
        uint32_t size = MAX(plan->size, 1u), side;

        if (view->raw_base)
                return plan->base;
        if (view->has_base && plan->base == view->base_index && plan->base != 0)
                return view->base;
        side = plan->base % size % BASE_WRAP | (plan->base / size % 2 == 0 ? BASE_WRAP : 0);
        return side | side << 16;
}

uint32_t packed_view_start(struct packed_view *view, const struct guest_map *map,
                           const struct ring_plan *plan)
{
        uint32_t base = base_of(view, plan);

        view->size = (uint16_t)MIN(plan->size, PACKED_ROWS);
        view->desc = plan->desc;
        view->shown = (uint16_t)plan->base;
        view->n_heads = view->n_laid = view->n_used = 0;
        view->place = base & (BASE_WRAP - 1);
        view->wrap = base & BASE_WRAP;
        view->used = base >> 16 & (BASE_WRAP - 1);
        view->used_wrap = base >> 16 & BASE_WRAP;
        view->has_base = false;
        for (uint16_t i = 0; plan->desc % 16 == 0 && view->place < view->size && i < view->size; i++)
                if (guest_map_has(map, plan->desc + 16 * (uint64_t)i, 16)) /* it may lie where no ring may */
                        desc_at(view, map, i)->flags =
                            (i < view->place) == view->wrap ? PACKED_AVAIL | PACKED_USED : 0;
        return base;
}

void packed_view_stop(struct packed_view *view, uint32_t base, uint16_t index)
{
        view->has_base = true;
        view->base = base;
        view->base_index = index;
}

/* ---- what the guest writes ---- */

void packed_view_desc(struct packed_view *view, unsigned index, const struct desc_row *row)
{
        if (index >= PACKED_ROWS)
                return;
        view->rows[index].at = row->at;
        view->rows[index].len = row->len;
        view->rows[index].flags = row->flags;
        view->rows[index].next = row->next;
}

void packed_row_bytes(const struct desc_row *row, uint8_t *ret_bytes)
{
        const struct packed_desc desc = {.at = row->at, .len = row->len, .flags = row->flags};

        memcpy(ret_bytes, &desc, sizeof(desc));
}

void packed_view_offer(struct packed_view *view, uint16_t head)
{
        if (view->n_heads < PACKED_ROWS)
                view->heads[view->n_heads++] = head;
}

/* One descriptor of a chain at the driver's place; returns its flags, which are not written yet. */
static uint16_t lay_desc(struct packed_view *view, const struct guest_map *map, uint16_t row, uint16_t head)
{
        struct packed_desc *desc = desc_at(view, map, view->place);
        uint16_t flags = view->rows[row].flags & (uint16_t) ~(PACKED_AVAIL | PACKED_USED);

        desc->at = view->rows[row].at;
        desc->len = view->rows[row].len;
        desc->id = head;
        return (uint16_t)(flags | (view->wrap ? PACKED_AVAIL : PACKED_USED));
}

/* The chain of that head; its first flags last. */
static void lay_chain(struct packed_view *view, const struct guest_map *map, uint16_t head)
{
        uint16_t first = view->place, first_flags = 0, i = head % PACKED_ROWS, n = 0;

        /* Of an id that no ring has: a good buffer, if the case has planted none. */
        if (head >= view->size && view->rows[i].len == 0)
                packed_view_desc(view, i, &(struct desc_row){DATA, 64, DESC_WRITE, 0});
        for (bool more = true; more;) {
                uint16_t flags = lay_desc(view, map, i, head);

                if (n++ == 0)
                        first_flags = flags;
                else
                        desc_at(view, map, view->place)->flags = flags;
                more = (flags & DESC_NEXT) && n < view->size;
                i = view->rows[i].next % PACKED_ROWS;
                advance(view, 1, &view->place, &view->wrap);
        }
        view->lengths[head % PACKED_ROWS] = n;
        view->n_laid++;
        __atomic_store_n(&desc_at(view, map, first)->flags, first_flags, __ATOMIC_SEQ_CST);
}

void packed_view_show(struct packed_view *view, const struct guest_map *map, uint16_t index)
{
        uint16_t n = (uint16_t)(index - view->shown), laid = (uint16_t)MIN(n, view->n_heads);

        for (uint16_t i = 0; i < laid; i++)
                lay_chain(view, map, view->heads[i]);
        if (n > laid)
                lay_chain(view, map, UINT16_MAX);
        memmove(view->heads, view->heads + laid, (view->n_heads - laid) * sizeof(view->heads[0]));
        view->n_heads -= laid;
        view->shown = index;
}

/* ---- what became of it ---- */

uint16_t packed_view_used(struct packed_view *view, const struct guest_map *map, uint32_t *ret_id,
                          uint32_t *ret_len)
{
        while (view->n_used < view->n_laid) {
                const struct packed_desc *desc = desc_at(view, map, view->used);
                uint16_t flags = __atomic_load_n(&desc->flags, __ATOMIC_ACQUIRE);

                if (((flags & PACKED_AVAIL) != 0) != view->used_wrap ||
                    ((flags & PACKED_USED) != 0) != view->used_wrap)
                        break;
                view->id = desc->id;
                view->len = desc->len;
                view->n_used++;
                advance(view, MAX(view->lengths[desc->id % PACKED_ROWS], 1u), &view->used, &view->used_wrap);
        }
        *ret_id = view->id;
        *ret_len = view->len;
        return (uint16_t)view->n_used;
}
