/* The guest of a throw-away VM, one device of it.
 * Owns the socket, the memory and the ring. TRUST: what comes back is the hostile worker's through the broker: it
 * is compared, and followed nowhere.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_worker/guest.h"

#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"
#include "tests/harness/blk_front.h"
#include "tests/harness/front_ring.h"

#define RAM_BYTES     (UINT64_C(4) << 20)
#define RING_SIZE     128u
#define RING_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
#define BLOCKS        64u /* of the disk that are used: its end is others' */
#define WRITEBACK     32u /* offset of that field (virtio 1.3, 5.2.4) */
#define F_CONFIG_WCE  11u
#define SECTORS       (GUEST_BLOCK / 512u)

struct blk_header {
        uint32_t type, reserved;
        uint64_t sector;
};

static uint8_t *at(const struct guest *guest, uint64_t offset)
{
        return guest->ram.base + offset;
}

static void fill_with(struct guest *guest, const char *secret)
{
        size_t len = strlen(secret);

        for (uint64_t i = guest->ram.next; len > 0 && i + len <= guest->ram.size; i += len)
                memcpy(at(guest, i), secret, len);
}

static void lay_out(struct guest *guest)
{
        split_ring_init(&guest->ring, &guest->ram, RING_SIZE, guest->front.offered & UINT64_C(1) << 28,
                        guest->front.offered & UINT64_C(1) << 29);
        for (unsigned i = 0; i < GUEST_SLOTS; i++) {
                guest->slots[i].command = guest_ram_alloc(&guest->ram, sizeof(struct hostile_command), 64);
                guest->slots[i].report = guest_ram_alloc(&guest->ram, REPORT_BYTES, 64);
                guest->slots[i].busy = false;
        }
        guest->header = guest_ram_alloc(&guest->ram, sizeof(struct blk_header), 16);
        guest->data = guest_ram_alloc(&guest->ram, GUEST_BLOCK, 4096);
        guest->status = guest_ram_alloc(&guest->ram, 1, 1);
}

int guest_open(struct guest *guest, const char *socket, const struct kind *kind, const char *secret)
{
        uint64_t features =
            RING_FEATURES | (kind->is_disk ? 1u << BLK_F_FLUSH | 1u << BLK_F_RO | 1u << F_CONFIG_WCE : 0);
        int r;

        *guest = (struct guest){.device = kind->device,
                                .is_disk = kind->is_disk,
                                .queue = kind->queue,
                                .front = {.wire = {.sock = -1, .deadline_ms = GUEST_WAIT_MS}, .backend = -1},
                                .ram = {.fd = -1}};
        r = wire_connect(&guest->front.wire, socket);
        if (r == 0)
                r = front_end_negotiate(&guest->front, FRONT_END_QEMU_7_2, kind->is_disk);
        if (r == 0)
                r = guest_ram_init(&guest->ram, RAM_BYTES, 0);
        if (r < 0)
                return r;
        lay_out(guest);
        fill_with(guest, secret);
        r = front_end_start(&guest->front, features, &guest->ram);
        return r == 0 ? front_end_start_ring(&guest->front, guest->queue, &guest->ring, 0) : r;
}

void guest_close(struct guest *guest)
{
        front_end_close(&guest->front);
        if (guest->ram.base)
                guest_ram_done(&guest->ram);
}

int guest_stop(struct guest *guest)
{
        uint16_t base;

        return front_end_stop_ring(&guest->front, guest->queue, &base);
}

int guest_write_config(struct guest *guest, uint8_t value)
{
        return front_end_set_config(&guest->front, WRITEBACK, sizeof(value), &value);
}

/* ---- the ring ---- */

int guest_post(struct guest *guest, const struct hostile_command *command)
{
        unsigned i = 0;
        int r;

        while (i < GUEST_SLOTS && guest->slots[i].busy)
                i++;
        if (i == GUEST_SLOTS)
                return -EBUSY;
        memcpy(at(guest, guest->slots[i].command), command, sizeof(*command));
        memset(at(guest, guest->slots[i].report), 0, sizeof(struct hostile_report));
        r = split_ring_add(&guest->ring,
                           (struct split_segment[]){{guest->slots[i].command, sizeof(*command)},
                                                    {guest->slots[i].report, REPORT_BYTES}},
                           1, 1, &guest->slots[i]);
        if (r < 0)
                return r;
        guest->slots[i].busy = true;
        guest->slots[i].done = false;
        r = front_ring_show(&guest->front, guest->queue, &guest->ring);
        return r < 0 ? r : (int)i;
}

/* 1: something came, 0: nothing. */
static int take_used(struct guest *guest)
{
        void *cookie;
        uint32_t len;
        int r = split_ring_take(&guest->ring, &cookie, &len), any = 0;

        for (; r == 1; r = split_ring_take(&guest->ring, &cookie, &len)) {
                if (cookie == &guest->disk_done)
                        guest->disk_done = true;
                else
                        ((struct guest_slot *)cookie)->done = true;
                any = 1;
        }
        return r < 0 ? r : any;
}

int guest_poll(struct guest *guest, unsigned slot)
{
        int r = take_used(guest);

        return r < 0 ? r : guest->slots[slot].done;
}

int guest_wait(struct guest *guest, int timeout_ms)
{
        uint64_t count;
        int r = take_used(guest);

        if (r != 0)
                return r < 0 ? r : 0;
        if (split_ring_want_call(&guest->ring))
                return 0;
        return wire_wait_event(&guest->front.wire, guest->front.rings[guest->queue].call, timeout_ms, &count);
}

void guest_take(struct guest *guest, unsigned slot, struct hostile_report *ret_report)
{
        memcpy(ret_report, at(guest, guest->slots[slot].report), sizeof(*ret_report));
        ret_report->text[sizeof(ret_report->text) - 1] = '\0';
        guest->slots[slot].busy = false;
}

/* ---- the disk ---- */

static int disk_request(struct guest *guest, uint32_t type, uint64_t sector)
{
        struct split_segment segments[] = {
            {guest->header, sizeof(struct blk_header)}, {guest->data, GUEST_BLOCK}, {guest->status, 1}};
        struct blk_header header = {.type = type, .sector = sector};
        unsigned n_out = type == BLK_OUT ? 2 : 1;
        int r;

        memcpy(at(guest, guest->header), &header, sizeof(header));
        *at(guest, guest->status) = 0xff;
        guest->disk_done = false;
        r = split_ring_add(&guest->ring, segments, n_out, array_size(segments) - n_out, &guest->disk_done);
        if (r == 0)
                r = front_ring_show(&guest->front, guest->queue, &guest->ring);
        while (r == 0 && !guest->disk_done)
                r = guest_wait(guest, GUEST_WAIT_MS);
        if (r < 0)
                return r;
        return *at(guest, guest->status) == BLK_S_OK ? 0 : -EIO;
}

static void fill_block(uint8_t *bytes, uint64_t word)
{
        for (unsigned i = 0; i < GUEST_BLOCK; i += sizeof(word)) {
                word = word * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                memcpy(bytes + i, &word, sizeof(word));
        }
}

int guest_disk_turn(struct guest *guest, bool read_only)
{
        uint64_t sector = guest->disk_version % BLOCKS * SECTORS;
        uint8_t expected[GUEST_BLOCK] = {0};
        int r = 0;

        guest->disk_version++;
        if (!read_only) {
                fill_block(expected, guest->disk_version);
                memcpy(at(guest, guest->data), expected, GUEST_BLOCK);
                r = disk_request(guest, BLK_OUT, sector);
        }
        if (r < 0)
                return r;
        memset(at(guest, guest->data), 0x55, GUEST_BLOCK);
        r = disk_request(guest, BLK_IN, sector);
        if (r < 0)
                return r;
        return memcmp(at(guest, guest->data), expected, GUEST_BLOCK) == 0 ? 0 : -EILSEQ;
}
