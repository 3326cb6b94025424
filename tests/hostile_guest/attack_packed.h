/* A packed ring under the verbs of attack.h: a case says what it would write into a split ring, descriptors, heads
 * and an available index, and that is laid into the packed ring when it is shown. So a case that is about chains is
 * written once. The head becomes the buffer id; a chain that has no end fills the ring; an index that runs ahead
 * becomes an id that no ring has.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/hostile_guest/guest_map.h"

#define PACKED_ROWS 1024u

#define PACKED_AVAIL (1u << 7)
#define PACKED_USED  (1u << 15)

struct desc_row;
struct ring_plan;

struct packed_view {
        uint16_t size;
        uint64_t desc; /* guest address of the ring */
        struct {
                uint64_t at;
                uint32_t len;
                uint16_t flags, next;
        } rows[PACKED_ROWS];         /* as if the ring were split */
        uint16_t heads[PACKED_ROWS]; /* offered, not shown */
        unsigned n_heads;
        uint16_t shown;                /* the available index, as if */
        uint16_t place, used;          /* the driver's and the device's place */
        bool wrap, used_wrap;          /* and their wrap counters */
        unsigned n_laid;               /* chains in the ring since the start ... */
        unsigned n_used;               /* ... and how many came back */
        uint32_t id, len;              /* of the newest of those */
        uint16_t lengths[PACKED_ROWS]; /* descriptors of the last chain of each id */
        bool has_base;                 /* stopped: the base is the one that the device gave */
        uint32_t base;
        uint16_t base_index; /* ... when the available index was this */
        bool raw_base;       /* the case's own base goes over the wire */
};

/* Nothing is written yet, the ring begins afresh. */
void packed_view_init(struct packed_view *view);

/* The ring is about to be started: marks its descriptors as of the turn before, and says the base. */
uint32_t packed_view_start(struct packed_view *view, const struct guest_map *map,
                           const struct ring_plan *plan);
void packed_view_stop(struct packed_view *view, uint32_t base, uint16_t index);

void packed_view_desc(struct packed_view *view, unsigned index, const struct desc_row *row);
void packed_view_offer(struct packed_view *view, uint16_t head);
void packed_view_show(struct packed_view *view, const struct guest_map *map, uint16_t index);

/* Takes what has been used meanwhile; how many since the start, and the newest. */
uint16_t packed_view_used(struct packed_view *view, const struct guest_map *map, uint32_t *ret_id,
                          uint32_t *ret_len);

/* A descriptor of a packed table. */
void packed_row_bytes(const struct desc_row *row, uint8_t *ret_bytes);
