/* Malformed rings, through the registers of a real device: each breaks this device, says so, and a reset heals it.
 * Rows of the second table are worse chains than any driver makes; the judge itself is tested by tests/unit_core.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "tests/kvm/mmio_world.h"

#define NEXT     1u
#define WRITE    2u
#define INDIRECT 4u
#define BUFFER   MODEL_BUFFERS
#define TABLE    (MODEL_BUFFERS + 0x20000)
#define TOP      UINT64_MAX

static struct mmio_world mmio;

static void begin(void)
{
        log_init("rings", LOG_LEVEL_ERROR);
        mmio_world_init(&mmio, 2);
}

/* ---- rings that are nowhere ---- */

static const struct {
        const char *name;
        enum { DESC, AVAIL, USED } part;
        uint64_t at;
} places[] = {
    {"descriptors not aligned to 16", DESC, MODEL_LOW + 8},
    {"available ring not aligned to 2", AVAIL, MODEL_LOW + 0x4001},
    {"used ring not aligned to 4", USED, MODEL_LOW + 0x8002},
    {"descriptors at 0", DESC, 0},
    {"descriptors behind the memory", DESC, MODEL_END},
    {"available ring over the end", AVAIL, MODEL_END - 2},
    {"used ring over the end", USED, MODEL_END - 4},
    {"descriptors over two regions", DESC, MODEL_HIGH - 16},
    {"descriptors over the end of all addresses", DESC, TOP - 15},
    {"available ring at the last address", AVAIL, TOP - 1},
    {"used ring far above", USED, UINT64_C(1) << 63},
};

static void a_ring_that_is_nowhere_breaks_its_device(void **state)
{
        (void)state;
        begin();
        for (unsigned i = 0; i < array_size(places); i++) {
                struct queue_layout layout = mmio.world.guest.queues[0].layout;
                gpa_t *const parts[] = {&layout.desc, &layout.avail, &layout.used};

                print_message("%s\n", places[i].name);
                mmio_world_negotiate(&mmio);
                *parts[places[i].part] = GPA(places[i].at);
                bus_set_up(&mmio.bus, 0, &layout);
                bus_set_up(&mmio.bus, 1, &mmio.world.guest.queues[1].layout);
                bus_live(&mmio.bus);
                assert_int_equal(bus_n_tied(&mmio.bus), 0);
                mmio_world_is_broken(&mmio);
                assert_int_equal(mmio.bus.n_failed, i + 1);
        }
        mmio_world_done(&mmio);
}

/* ---- chains that are none ---- */

struct descriptor {
        uint64_t at;
        uint32_t len;
        uint16_t flags, next;
};

static const struct {
        const char *name;
        struct descriptor ring[3], table[3]; /* indirect, at TABLE */
        uint16_t heads[3], n_heads;          /* 0: one, 0 */
        uint16_t index;                      /* the available index; 0: as many as heads */
} chains[] = {
    {"a head outside the ring", .heads = {64}, .n_heads = 1},
    {"a head far outside", .heads = {0xffff}, .n_heads = 1},
    {"an index ahead of the ring", .ring = {{BUFFER, 8, 0, 0}}, .index = 65},
    {"an index that went back", .ring = {{BUFFER, 8, 0, 0}}, .index = 0xfff0},
    {"a next outside the table", .ring = {{BUFFER, 8, NEXT, 64}}},
    {"a loop", .ring = {{BUFFER, 8, NEXT, 1}, {BUFFER, 8, NEXT, 0}}},
    {"a loop of one", .ring = {{BUFFER, 8, NEXT, 0}}},
    {"readable behind writable", .ring = {{BUFFER, 8, NEXT | WRITE, 1}, {BUFFER, 8, 0, 0}}},
    {"no length", .ring = {{BUFFER, 0, 0, 0}}},
    {"a buffer that is nowhere", .ring = {{MODEL_END, 8, 0, 0}}},
    {"a buffer over the end", .ring = {{MODEL_END - 4, 8, WRITE, 0}}},
    {"a buffer over the end of all addresses", .ring = {{TOP - 3, 8, 0, 0}}},
    {"a buffer of 4 GiB", .ring = {{BUFFER, UINT32_MAX, 0, 0}}},
    {"a table in a table", .ring = {{TABLE, 32, INDIRECT, 0}}, .table = {{TABLE, 32, INDIRECT, 0}}},
    {"a table with a next", .ring = {{TABLE, 32, INDIRECT | NEXT, 1}, {BUFFER, 8, 0, 0}}},
    {"an empty table", .ring = {{TABLE, 0, INDIRECT, 0}}},
    {"half a descriptor in a table", .ring = {{TABLE, 24, INDIRECT, 0}}, .table = {{BUFFER, 8, 0, 0}}},
    {"a table that is nowhere", .ring = {{MODEL_END, 32, INDIRECT, 0}}},
    {"a table over the end", .ring = {{MODEL_END - 16, 32, INDIRECT, 0}}},
    {"a table of a million", .ring = {{TABLE, 1u << 24, INDIRECT, 0}}, .table = {{BUFFER, 8, 0, 0}}},
    {"a next outside an indirect table", .ring = {{TABLE, 32, INDIRECT, 0}}, .table = {{BUFFER, 8, NEXT, 2}}},
    {"a loop in a table", .ring = {{TABLE, 32, INDIRECT, 0}},
     .table = {{BUFFER, 8, NEXT, 1}, {BUFFER, 8, NEXT, 0}}},
    {"a head twice", .ring = {{BUFFER, 8, 0, 0}}, .heads = {0, 0}, .n_heads = 2},
};

static void put_descriptors(uint64_t at, const struct descriptor *from)
{
        for (unsigned i = 0; i < 3; i++) {
                struct descriptor wire = {htole64(from[i].at), htole32(from[i].len), htole16(from[i].flags),
                                          htole16(from[i].next)};

                _Static_assert(sizeof(wire) == 16, "as in memory");
                model_put(&mmio.world.guest, at + 16 * i, &wire, sizeof(wire));
        }
}

static void post_chain(unsigned row)
{
        const struct model_guest *guest = &mmio.world.guest;
        const struct queue_layout *layout = &guest->queues[0].layout;
        uint16_t n = chains[row].n_heads ? chains[row].n_heads : 1, index;

        put_descriptors(layout->desc.v, chains[row].ring);
        put_descriptors(TABLE, chains[row].table);
        for (unsigned i = 0; i < n; i++) {
                uint16_t head = htole16(chains[row].heads[i]);

                model_put(guest, layout->avail.v + 4 + 2 * i, &head, sizeof(head));
        }
        index = htole16(chains[row].index ? chains[row].index : n);
        __atomic_store_n((uint16_t *)(void *)model_at(guest, layout->avail.v + 2), index, __ATOMIC_RELEASE);
        assert_true(bus_kick(&mmio.bus, 0));
}

static void a_chain_that_is_none_breaks_its_device(void **state)
{
        unsigned pid;

        (void)state;
        begin();
        for (unsigned row = 0; row < array_size(chains); row++) {
                print_message("%s\n", chains[row].name);
                mmio_world_drive(&mmio);
                mmio_world_request(&mmio, 1);
                pid = world_pid(&mmio.world);
                mmio.world.idle = true; /* what is well formed before it stays with the worker */
                post_chain(row);
                world_until(&mmio.world, bus_read(&mmio.bus, VIRTIO_MMIO_STATUS) & NEEDS_RESET);
                assert_int_equal(world_pid(&mmio.world), pid); /* no worker died of it */
                mmio.world.idle = false;
                mmio_world_is_broken(&mmio);
        }
        assert_true(array_size(chains) >= 20);
        mmio_world_done(&mmio);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_ring_that_is_nowhere_breaks_its_device),
            cmocka_unit_test(a_chain_that_is_none_breaks_its_device),
        };

        return cmocka_run_group_tests_name("virtio_mmio_rings", tests, NULL, NULL);
}
