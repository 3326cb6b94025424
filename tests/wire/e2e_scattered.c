/* End to end: a disk behind an IOMMU whose driver has found its ring of 1024 in pages here and there, last page first. The driver sees them
 * side by side, as a kernel's does, by a mapping of its own.
 *
 * BULKHEAD_BLK_SOCKET: the socket of a device with memory: {iotlb: true}; without it everything is skipped.
 * BULKHEAD_BROKER_PID: a shell command that prints the broker's pid. BULKHEAD_PACKED: the ring is packed.
 * TRUST: data and statuses are the broker's, and are what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "broker/core/iotlb.h"
#include "broker/vhost_user/message.h"
#include "tests/harness/blk_front.h"

#define PAGE        4096u
#define PAGES       2048u
#define IOVA        UINT64_C(0xfff000000000) /* of the driver's first byte */
#define RING        1024u
#define DEPTH       56u
#define PIECE       1024u
#define SLOT        (16u * PIECE) /* a request has 18 descriptors, and all of them nearly as many as the ring */
#define DEADLINE_MS 10000
#define FEATURES    (UINT64_C(1) << 32 | 1u << 29 | FRONT_END_ACCESS_PLATFORM)
#define PACKED      (UINT64_C(1) << 34)

struct scene {
        struct front_end front;
        struct guest_ram ram;
        struct blk_front blk;
        unsigned page[PAGES]; /* of the memory: where the driver's page i lies */
};

static struct scene scene = {.front = {.wire = {.sock = -1}, .backend = -1}};

/* ---- pages ---- */

static void say(uint64_t page, uint8_t type)
{
        const struct vhost_user_iotlb message = {.iova = IOVA + page * PAGE,
                                                 .size = PAGE,
                                                 .user_address = scene.ram.user_address +
                                                                 (uint64_t)scene.page[page] * PAGE,
                                                 .rights = IOTLB_READ | IOTLB_WRITE,
                                                 .type = type};

        assert_int_equal(
            front_end_set(&scene.front, VHOST_USER_IOTLB_MSG, &message, sizeof(message), NULL, 0, true), 0);
}

static void put_page(unsigned page, unsigned at)
{
        scene.page[page] = at;
        assert_true(mmap(scene.ram.base + (size_t)page * PAGE, PAGE, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_FIXED, scene.ram.fd, (off_t)at * PAGE) != MAP_FAILED);
}

/* Its bytes, and whoever uses it, go to another page. */
static void move_page(unsigned page, unsigned to)
{
        const unsigned from = scene.page[page];
        uint8_t bytes[PAGE];

        say(page, VHOST_USER_IOTLB_INVALIDATE);
        assert_int_equal(pread(scene.ram.fd, bytes, PAGE, (off_t)from * PAGE), PAGE);
        assert_int_equal(pwrite(scene.ram.fd, bytes, PAGE, (off_t)to * PAGE), PAGE);
        memset(bytes, 0xee, PAGE);
        assert_int_equal(pwrite(scene.ram.fd, bytes, PAGE, (off_t)from * PAGE), PAGE);
        put_page(page, to);
        say(page, VHOST_USER_IOTLB_UPDATE);
}

static void assert_untouched(unsigned page)
{
        uint8_t bytes[PAGE];

        assert_int_equal(pread(scene.ram.fd, bytes, PAGE, (off_t)page * PAGE), PAGE);
        for (unsigned i = 0; i < PAGE; i++)
                assert_int_equal(bytes[i], 0xee);
}

/* Mappings of the guest's memory in the broker; negative: it could not be asked. */
static int mappings(void)
{
        const char *command = getenv("BULKHEAD_BROKER_PID");
        FILE *out = command ? popen(command, "re") : NULL;
        char line[512];
        int pid = 0, n = 0;

        if (!out)
                return -1;
        if (fscanf(out, "%d", &pid) != 1)
                pid = -1;
        (void)pclose(out);
        (void)snprintf(line, sizeof(line), "/proc/%d/maps", pid);
        out = fopen(line, "re");
        if (!out)
                return -1;
        while (fgets(line, sizeof(line), out))
                n += strstr(line, "guest-ram") != NULL;
        (void)fclose(out);
        return n;
}

/* ---- the device ---- */

static void open_scene(void)
{
        scene.front = (struct front_end){.wire = {.sock = -1}, .backend = -1};
        scene.front.wire = (struct wire){.sock = -1, .deadline_ms = DEADLINE_MS};
        assert_int_equal(wire_connect(&scene.front.wire, getenv("BULKHEAD_BLK_SOCKET")), 0);
        assert_int_equal(front_end_negotiate(&scene.front, FRONT_END_QEMU_11_1, true), 0);
        assert_true(scene.front.offered & FRONT_END_ACCESS_PLATFORM);
        scene.front.wants_packed = getenv("BULKHEAD_PACKED") != NULL;
        assert_int_equal(guest_ram_init(&scene.ram, (uint64_t)PAGES * PAGE, 0), 0);
        scene.ram.iova = IOVA;
        for (unsigned i = 0; i < PAGES; i++)
                put_page(i, PAGES - 1 - i);
        blk_front_init(&scene.blk, &scene.front, &scene.ram, 0, RING, DEPTH, SLOT, PIECE);
        /* Each request takes its descriptors from the ring itself. */
        if (scene.blk.packed)
                packed_ring_init(&scene.blk.packed_ring, &scene.ram, RING, false, true);
        else
                split_ring_init_tables(&scene.blk.ring, &scene.ram, RING, 0, true);
}

static void start(void)
{
        const uint32_t base = blk_front_base(&scene.blk);

        assert_int_equal(
            front_end_start(&scene.front, FEATURES | (scene.blk.packed ? PACKED : 0), &scene.ram), 0);
        for (unsigned i = 0; i < PAGES - 1; i++)
                say(i, VHOST_USER_IOTLB_UPDATE);
        assert_int_equal(scene.blk.packed
                             ? front_end_start_packed_ring(&scene.front, 0, &scene.blk.packed_ring, base)
                             : front_end_start_ring(&scene.front, 0, &scene.blk.ring, (uint16_t)base),
                         0);
}

static void close_scene(void)
{
        front_end_close(&scene.front);
        guest_ram_done(&scene.ram);
}

static uint8_t pattern(unsigned request, unsigned version, unsigned i)
{
        return (uint8_t)(request * 31 + version * 7 + i / PIECE * 3 + i);
}

/* All at once: `DEPTH` requests, each to its own place of the disk. */
static void round_of(uint32_t type, unsigned version)
{
        unsigned slot_of[BLK_FRONT_SLOTS];
        struct blk_done done;

        for (unsigned k = 0; k < DEPTH; k++) {
                int slot = blk_front_next(&scene.blk);
                uint8_t *data = blk_front_data(&scene.blk, (unsigned)slot);

                assert_true(slot >= 0);
                slot_of[slot] = k;
                for (unsigned i = 0; i < SLOT; i++)
                        data[i] = type == BLK_OUT ? pattern(k, version, i) : 0x5a;
                assert_int_equal(blk_front_post(&scene.blk, type, (uint64_t)k * SLOT / 512, SLOT, NULL),
                                 slot);
        }
        assert_int_equal(blk_front_submit(&scene.blk), 0);
        for (unsigned k = 0; k < DEPTH; k++) {
                const uint8_t *data;

                assert_int_equal(blk_front_wait(&scene.blk, DEADLINE_MS, &done), 0);
                assert_int_equal(done.status, BLK_S_OK);
                assert_int_equal(done.used_len, type == BLK_OUT ? 1 : SLOT + 1);
                data = blk_front_data(&scene.blk, done.slot);
                for (unsigned i = 0; i < SLOT; i++)
                        if (data[i] != pattern(slot_of[done.slot], version, i))
                                fail_msg("byte %u of request %u", i, slot_of[done.slot]);
        }
}

/* More rounds than the ring has places for. */
static void write_and_read(unsigned version)
{
        for (unsigned i = 0; i < 10; i++) {
                round_of(BLK_OUT, version + i);
                round_of(BLK_IN, version + i);
        }
}

static void ring_in_scattered_pages_serves_a_disk(void **state)
{
        const struct timespec look = {.tv_nsec = 10000000};
        int before, now = -1;

        (void)state;
        open_scene();
        before = mappings();
        start();
        write_and_read(0);
        if (before >= 0)
                assert_true(mappings() > before + 1); /* not only the region that was shared */
        close_scene();
        for (unsigned i = 0; before >= 0 && i < 500 && (now = mappings()) != before; i++)
                (void)nanosleep(&look, NULL);
        assert_int_equal(now, before);
}

/* Behind the driver's back: each page of the ring, while nothing is posted. */
static void ring_follows_its_pages(void **state)
{
        unsigned to, first, last;

        (void)state;
        open_scene();
        start();
        to = 0; /* where the driver's last page lies, which is not told to the device */
        first = (unsigned)((scene.blk.packed ? scene.blk.packed_ring.desc : scene.blk.ring.desc) / PAGE);
        last = scene.blk.packed ? first + RING * 16 / PAGE - 1 : (unsigned)(scene.blk.ring.used / PAGE) + 2;
        for (unsigned page = first; page <= last; page++) {
                const unsigned from = scene.page[page];

                move_page(page, to);
                write_and_read(page);
                assert_untouched(from);
                to = from;
        }
        close_scene();
}

static int teardown(void **state)
{
        (void)state;
        close_scene();
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_teardown(ring_in_scattered_pages_serves_a_disk, teardown),
            cmocka_unit_test_teardown(ring_follows_its_pages, teardown),
        };

        if (!getenv("BULKHEAD_BLK_SOCKET")) {
                fprintf(stderr, "skipped: BULKHEAD_BLK_SOCKET is not set\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
