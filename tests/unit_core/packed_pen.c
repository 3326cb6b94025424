/* A pen to write packed rings with. Owns nothing. TRUST: none needed; it is the attacker.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit_core/packed_pen.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void packed_layout(struct guest *guest, uint16_t size)
{
        guest->features.packed = true;
        guest->layout = (struct queue_layout){
            .size = size, .desc = GPA(PACKED_DESC), .avail = GPA(PACKED_DRIVER), .used = GPA(PACKED_DEVICE)};
        if (guest->scattered && size <= 64) /* a longer one has more than a page anyway */
                guest->layout.desc.v += 0xff0;
}

void packed_start(struct guest *guest, uint16_t size, uint32_t base)
{
        packed_layout(guest, size);
        memset(guest_at(guest, guest->layout.desc.v), 0, 16u * size);
        guest->avail_index = base & 0x7fff;
        guest->avail_wrap = base & 0x8000;
        /* What a driver finds there: descriptors of the turn before. */
        for (uint16_t i = 0; i < size; i++)
                packed_describe(guest, guest->layout.desc.v, i, 0, 0, 0,
                                (i < guest->avail_index) == guest->avail_wrap ? DESC_AVAIL | DESC_USED : 0);
        packed_put_event(guest, PACKED_DRIVER, 0, EVENT_ENABLE);
        assert_int_equal(queue_start(&guest->queue, guest->memory, &guest->layout, &guest->features, base),
                         0);
}

void packed_start_fresh(struct guest *guest, uint16_t size)
{
        packed_start(guest, size, QUEUE_PACKED_BASE);
}

void packed_describe(const struct guest *guest, uint64_t table, uint32_t i, uint64_t addr, uint32_t len,
                     uint16_t id, unsigned flags)
{
        guest_describe_in(guest, table, i, addr, len, id, (uint16_t)flags);
}

void packed_add(struct guest *guest, uint64_t addr, uint32_t len, unsigned flags, uint16_t id)
{
        packed_describe(guest, guest->layout.desc.v, guest->avail_index, addr, len, id,
                        flags | (guest->avail_wrap ? DESC_AVAIL : DESC_USED));
        if (++guest->avail_index == guest->layout.size) {
                guest->avail_index = 0;
                guest->avail_wrap = !guest->avail_wrap;
        }
}

void packed_take(struct guest *guest, uint16_t id)
{
        packed_add(guest, BUFFERS, 1, 0, id);
        assert_int_equal(guest_pop(guest, LIMIT_RING_SIZE), 1);
        assert_int_equal(guest->chain.head, id);
}

struct packed_used packed_used_at(const struct guest *guest, uint16_t place)
{
        uint64_t at = guest->layout.desc.v + 16u * place;
        uint32_t len;

        guest_get(guest, at + 8, &len, sizeof(len));
        return (struct packed_used){
            .id = guest_get16(guest, at + 12), .flags = guest_get16(guest, at + 14), .len = le32toh(len)};
}

bool packed_is_used(const struct guest *guest, uint16_t place, bool wrap)
{
        uint16_t flags = packed_used_at(guest, place).flags;

        return ((flags & DESC_AVAIL) != 0) == wrap && ((flags & DESC_USED) != 0) == wrap;
}

void packed_put_event(const struct guest *guest, uint64_t at, uint16_t place, uint16_t flags)
{
        uint32_t event = htole32(place | (uint32_t)flags << 16);

        guest_put(guest, at, &event, sizeof(event));
}

uint32_t packed_event(const struct guest *guest, uint64_t at)
{
        uint32_t event;

        guest_get(guest, at, &event, sizeof(event));
        return le32toh(event);
}
