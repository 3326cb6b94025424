/* A pen to write packed rings with, over the guest of tests: the driver's place goes round the ring by itself.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/unit_core/guest.h"

#define DESC_AVAIL (1u << 7)
#define DESC_USED  (1u << 15)

#define PACKED_DESC   RINGS
#define PACKED_DRIVER (RINGS + 0x4000)
#define PACKED_DEVICE (RINGS + 0x4100)

#define EVENT_ENABLE  0u
#define EVENT_DISABLE 1u
#define EVENT_DESC    2u
#define EVENT_WRAP    0x8000u

/* The base of a queue whose sides are at these places with these wrap counters. */
static inline uint32_t packed_base(uint16_t avail, bool avail_wrap, uint16_t used, bool used_wrap)
{
        return avail | (avail_wrap ? 0x8000u : 0) | ((uint32_t)used | (used_wrap ? 0x8000u : 0)) << 16;
}

/* The layout, and the queue started; the pen is where the base says. */
void packed_layout(struct guest *guest, uint16_t size);
void packed_start(struct guest *guest, uint16_t size, uint32_t base);
void packed_start_fresh(struct guest *guest, uint16_t size);

/* Descriptor i of a table or of the ring, as it is. */
void packed_describe(const struct guest *guest, uint64_t table, uint32_t i, uint64_t addr, uint32_t len,
                     uint16_t id, unsigned flags);

/* One more descriptor of the ring, available. */
void packed_add(struct guest *guest, uint64_t addr, uint32_t len, unsigned flags, uint16_t id);

/* Adds a buffer of one readable byte, and the queue takes it. */
void packed_take(struct guest *guest, uint16_t id);

struct packed_used {
        uint16_t id, flags;
        uint32_t len;
};
struct packed_used packed_used_at(const struct guest *guest, uint16_t place);
bool packed_is_used(const struct guest *guest, uint16_t place, bool wrap);

/* An event area, in one piece. */
void packed_put_event(const struct guest *guest, uint64_t at, uint16_t place, uint16_t flags);
uint32_t packed_event(const struct guest *guest, uint64_t at);
