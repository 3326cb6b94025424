/* A guest for tests. Owns its file and mappings. TRUST: none needed; it is the attacker.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit_core/guest.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/fault_safe.h"
#include "broker/core/iotlb.h"

#define LARGE_BYTES UINT64_C(0x4000000)
#define FILE_BYTES  (UINT64_C(0x100000) + LARGE_BYTES)
#define FILE_NAME   "bulkhead-test-guest"

/* The order in the file is not the order in the guest. */
const struct guest_place guest_places[GUEST_PLACES] = {
    {.start = RINGS, .len = 0x10000, .offset = 0x40000, .writable = true},
    {.start = BUFFERS, .len = 0x10000, .offset = 0x10000, .writable = true},
    {.start = READ_ONLY, .len = 0x1000, .offset = 0x80000, .writable = false},
    {.start = LARGE, .len = LARGE_BYTES, .offset = 0x100000, .writable = true},
    {.start = TOP, .len = 0x1000, .offset = 0x90000, .writable = true},
};

struct guest_memory *guest_snapshot(const struct guest *guest, unsigned places)
{
        struct guest_memory *memory = guest_memory_new();

        assert_non_null(memory);
        for (unsigned i = 0; i < GUEST_PLACES; i++) {
                const struct guest_place *place = &guest_places[i];
                struct guest_mapping *mapping;
                struct guest_memory *with;

                if ((places >> i & 1) == 0)
                        continue;
                assert_int_equal(
                    guest_mapping_new(guest->fd, place->offset, place->len, place->writable, &mapping), 0);
                assert_int_equal(guest_memory_with(memory,
                                                   &(struct guest_region){.start = GPA(place->start),
                                                                          .len = place->len,
                                                                          .mapping = mapping,
                                                                          .writable = place->writable},
                                                   &with),
                                 0);
                (void)guest_mapping_unref(mapping);
                (void)guest_memory_unref(memory);
                memory = with;
        }
        return memory;
}

struct guest *guest_new(void)
{
        struct guest *guest = calloc(1, sizeof(*guest));

        assert_non_null(guest);
        assert_int_equal(fault_safe_install(), 0);
        guest->mappings_before = guest_count_mappings();
        guest->fd = memfd_create(FILE_NAME, MFD_CLOEXEC);
        assert_true(guest->fd >= 0);
        assert_int_equal(ftruncate(guest->fd, (off_t)FILE_BYTES), 0);
        guest->bytes = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, guest->fd, 0);
        assert_true(guest->bytes != MAP_FAILED);
        guest->memory = guest_snapshot(guest, ~0u);
        guest->features =
            (struct queue_features){.indirect = true, .event_idx = true, .big_endian = GUEST_BIG_ENDIAN};
        queue_init(&guest->queue);
        return guest;
}

void guest_free(struct guest *guest)
{
        queue_done(&guest->queue);
        guest->memory = guest_memory_unref(guest->memory);
        munmap(guest->bytes, FILE_BYTES);
        close(guest->fd);
        assert_int_equal(guest_count_mappings(), guest->mappings_before);
        free(guest);
}

static void translate(struct iotlb *table, uint64_t iova, uint64_t len, uint64_t gpa)
{
        const struct iotlb_entry entry = {
            .iova = iova, .len = len, .gpa = gpa, .rights = IOTLB_READ | IOTLB_WRITE};

        assert_int_equal(iotlb_update(table, &entry), 0);
}

struct guest_memory *guest_scattered(struct guest_memory *below, const uint8_t order[RING_PAGES])
{
        struct guest_memory *memory;
        struct iotlb table;

        assert_int_equal(iotlb_init(&table), 0);
        for (unsigned i = 1; i < GUEST_PLACES; i++)
                translate(&table, guest_places[i].start, guest_places[i].len, guest_places[i].start);
        for (uint64_t i = 0; i < RING_PAGES; i++)
                if (order[i] < RING_PAGES)
                        translate(&table, RINGS + i * LIMIT_IOTLB_PAGE, LIMIT_IOTLB_PAGE,
                                  RINGS + (uint64_t)order[i] * LIMIT_IOTLB_PAGE);
        assert_int_equal(guest_memory_translate(below, table.entries, &memory), 0);
        iotlb_done(&table);
        return memory;
}

/* The pen's mapping is put together as a kernel does it for its drivers. */
void guest_scatter(struct guest *guest, const uint8_t order[RING_PAGES])
{
        struct guest_memory *memory = guest_scattered(guest->memory, order);

        for (uint64_t i = 0; i < RING_PAGES; i++)
                assert_true(mmap(guest->bytes + guest_places[0].offset + i * LIMIT_IOTLB_PAGE,
                                 LIMIT_IOTLB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, guest->fd,
                                 (off_t)(guest_places[0].offset + (uint64_t)order[i] * LIMIT_IOTLB_PAGE)) !=
                            MAP_FAILED);
        (void)guest_memory_unref(guest->memory);
        guest->memory = memory;
        guest->scattered = true;
}

void guest_scatter_backwards(struct guest *guest)
{
        uint8_t order[RING_PAGES];

        for (unsigned i = 0; i < RING_PAGES; i++)
                order[i] = (uint8_t)(RING_PAGES - 1 - i);
        guest_scatter(guest, order);
}

uint8_t *guest_at(const struct guest *guest, uint64_t at)
{
        for (unsigned i = 0; i < GUEST_PLACES; i++) {
                if (at - guest_places[i].start < guest_places[i].len)
                        return guest->bytes + guest_places[i].offset + (at - guest_places[i].start);
        }
        fail_msg("the test's guest has nothing at %#llx", (unsigned long long)at);
        return NULL;
}

void guest_put(const struct guest *guest, uint64_t at, const void *bytes, uint64_t len)
{
        for (uint64_t i = 0; i < len; i++)
                *guest_at(guest, at + i) = ((const uint8_t *)bytes)[i];
}

void guest_get(const struct guest *guest, uint64_t at, void *bytes, uint64_t len)
{
        for (uint64_t i = 0; i < len; i++)
                ((uint8_t *)bytes)[i] = *guest_at(guest, at + i);
}

void guest_put16(const struct guest *guest, uint64_t at, uint16_t value)
{
        value = GUEST_BIG_ENDIAN ? htobe16(value) : htole16(value);
        guest_put(guest, at, &value, sizeof(value));
}

uint16_t guest_get16(const struct guest *guest, uint64_t at)
{
        uint16_t value;

        guest_get(guest, at, &value, sizeof(value));
        return GUEST_BIG_ENDIAN ? be16toh(value) : le16toh(value);
}

void guest_layout(struct guest *guest, uint16_t size)
{
        guest->layout = (struct queue_layout){
            .size = size, .desc = GPA(RING_DESC), .avail = GPA(RING_AVAIL), .used = GPA(RING_USED)};
        if (guest
                ->scattered) { /* as close together as the longest ring's can be; a used element lies over the end, too */
                guest->layout.desc.v += 0xff0;
                guest->layout.avail.v += 0xffa;
                guest->layout.used.v += 0xff0;
        }
}

void guest_start(struct guest *guest, uint16_t size, uint16_t base)
{
        guest_layout(guest, size);
        guest_put16(guest, guest->layout.avail.v + 2, base);
        guest_put16(guest, guest->layout.used.v + 2, base);
        guest->avail_index = base;
        assert_int_equal(queue_start(&guest->queue, guest->memory, &guest->layout, &guest->features, base),
                         0);
}

void guest_describe_in(const struct guest *guest, uint64_t table, uint32_t i, uint64_t addr, uint32_t len,
                       unsigned flags, uint16_t next)
{
        uint8_t bytes[16];
        uint64_t wire_addr = GUEST_BIG_ENDIAN ? htobe64(addr) : htole64(addr);
        uint32_t wire_len = GUEST_BIG_ENDIAN ? htobe32(len) : htole32(len);
        uint16_t wire_flags = GUEST_BIG_ENDIAN ? htobe16((uint16_t)flags) : htole16((uint16_t)flags);
        uint16_t wire_next = GUEST_BIG_ENDIAN ? htobe16(next) : htole16(next);

        memcpy(bytes, &wire_addr, 8);
        memcpy(bytes + 8, &wire_len, 4);
        memcpy(bytes + 12, &wire_flags, 2);
        memcpy(bytes + 14, &wire_next, 2);
        guest_put(guest, table + 16 * (uint64_t)i, bytes, sizeof(bytes));
}

void guest_describe(const struct guest *guest, uint16_t i, uint64_t addr, uint32_t len, unsigned flags,
                    uint16_t next)
{
        guest_describe_in(guest, guest->layout.desc.v, i, addr, len, flags, next);
}

void guest_post(struct guest *guest, uint16_t head)
{
        uint16_t mask = (uint16_t)(guest->layout.size - 1);

        guest_put16(guest, guest->layout.avail.v + 4 + 2 * (uint64_t)(guest->avail_index & mask), head);
        guest->avail_index++;
        guest_put16(guest, guest->layout.avail.v + 2, guest->avail_index);
}

int guest_pop(struct guest *guest, uint16_t max_segments)
{
        const struct segment canary = {.at = GPA(0xdeadbeef), .len = 0xabad1dea};
        int r;

        assert_true(max_segments <= LIMIT_RING_SIZE);
        guest->segments[max_segments] = canary;
        guest->chain = (struct chain){.segments = guest->segments, .max_segments = max_segments};
        r = queue_pop(&guest->queue, &guest->chain);
        assert_memory_equal(&guest->segments[max_segments], &canary, sizeof(canary));
        return r;
}

void guest_take(struct guest *guest, uint16_t head)
{
        guest_describe(guest, head, BUFFERS, 1, 0, 0);
        guest_post(guest, head);
        assert_int_equal(guest_pop(guest, LIMIT_RING_SIZE), 1);
        assert_int_equal(guest->chain.head, head);
}

void guest_run(void **state)
{
        void (*const *body)(void **state) = *state;
        void *guest = guest_new();

        (*body)(&guest);
        guest_free(guest);
}

uint64_t used_event_at(const struct guest *guest)
{
        return guest->layout.avail.v + 4 + 2 * (uint64_t)guest->layout.size;
}

uint64_t avail_event_at(const struct guest *guest)
{
        return guest->layout.used.v + 4 + 8 * (uint64_t)guest->layout.size;
}

uint16_t used_index(const struct guest *guest)
{
        return guest_get16(guest, guest->layout.used.v + 2);
}

void used_element(const struct guest *guest, uint16_t index, uint32_t *ret_id, uint32_t *ret_len)
{
        uint32_t words[2];

        guest_get(guest, guest->layout.used.v + 4 + 8 * (uint64_t)(index & (guest->layout.size - 1)), words,
                  8);
        *ret_id = GUEST_BIG_ENDIAN ? be32toh(words[0]) : le32toh(words[0]);
        *ret_len = GUEST_BIG_ENDIAN ? be32toh(words[1]) : le32toh(words[1]);
}

unsigned guest_count_mappings(void)
{
        FILE *maps = fopen("/proc/self/maps", "re");
        char line[512];
        unsigned n = 0;

        assert_non_null(maps);
        while (fgets(line, sizeof(line), maps))
                n += strstr(line, FILE_NAME) != NULL;
        fclose(maps);
        return n;
}

uint64_t random_next(uint64_t *state)
{
        uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

uint32_t random_below(uint64_t *state, uint32_t n)
{
        return (uint32_t)((random_next(state) >> 32) * n >> 32);
}
