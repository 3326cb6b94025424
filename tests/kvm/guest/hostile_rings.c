/* Malformed rings: descriptors, indices and places that no driver writes. A row says what must become of its ring: the device
 * is broken (DEVICE_NEEDS_RESET and an interrupt), or it answers. After each the device is reset and must serve.
 *
 * Owns nothing that outlives a row; called by body.c, in ring 3. TRUST: it is the guest, and means harm.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/guest/hostile.h"

#define TABLE  (SCRATCH + 0x8000)
#define HEADER (SCRATCH + 0x10000)
#define STATUS (SCRATCH + 0x11000)
#define DATA   (SCRATCH + 0x20000)
#define TOP    0x4000000ull /* where a RAM of 64 MiB ends */

#define N 1u /* flags of a descriptor: next, written by the device, a table */
#define W 2u
#define I 4u

#define AVAIL 0x80u   /* of a packed one: available in the first turn, ... */
#define USED  0x8000u /* ... and used in it, with AVAIL; alone: of the turn before */

#define ROW_DESCS 4u

enum expect { BREAKS = 1, SERVES = 2, EITHER = 3 };

struct row {
        const char *name;
        enum expect expect;
        struct virtio_desc desc[ROW_DESCS], table[ROW_DESCS];
        uint16_t heads[2];  /* the available ring's first elements */
        uint16_t available; /* its index; 0: 1 */
        uint64_t features;
        struct hostile_ring at; /* where it is not 0: instead of where it should be */
        void (*fill)(void);     /* instead of `desc` */
};

#define GOOD_READ                                                                                            \
        {                                                                                                    \
                {HEADER, 16, N, 1}, {DATA, 512, N | W, 2},                                                   \
                {                                                                                            \
                        STATUS, 1, W, 0                                                                      \
                }                                                                                            \
        }

/* ---- rings that a row cannot hold ---- */

static struct virtio_ring *ring(void)
{
        return (struct virtio_ring *)SCRATCH;
}

/* All of the ring in one loop, with lengths that add up to nothing. */
static void fill_round(void)
{
        for (uint16_t i = 0; i < RING_SIZE; i++)
                ring()->desc[i] = (struct virtio_desc){DATA, 0, N | W, (uint16_t)((i + 1) % RING_SIZE)};
}

/* More bytes than a chain may have, a piece at a time. */
static void fill_huge(void)
{
        for (uint16_t i = 0; i < RING_SIZE; i++)
                ring()->desc[i] =
                    (struct virtio_desc){SCRATCH + 0x100000, 0xf00000,
                                         (uint16_t)(i < RING_SIZE - 1 ? N | W : W), (uint16_t)(i + 1)};
}

/* A table of one entry more than the ring is long. */
static void fill_long_table(void)
{
        struct virtio_desc *table = (struct virtio_desc *)TABLE;

        for (uint16_t i = 0; i <= RING_SIZE; i++)
                table[i] =
                    (struct virtio_desc){DATA, 1, (uint16_t)(i < RING_SIZE ? N | W : W), (uint16_t)(i + 1)};
        ring()->desc[0] = (struct virtio_desc){TABLE, 16 * (RING_SIZE + 1), I, 0};
}

/* Of the packed ring: each is available and goes on. `next` is where its buffer's id is. */
static void fill_packed_round(void)
{
        for (uint16_t i = 0; i < RING_SIZE; i++)
                ring()->desc[i] = (struct virtio_desc){DATA, 0, 0, N | W | AVAIL};
}

/* The same buffer twice, both out at once. */
static void fill_packed_twice(void)
{
        for (uint16_t i = 0; i < 6; i++)
                ring()->desc[i] =
                    (struct virtio_desc){i % 3 == 0   ? HEADER
                                         : i % 3 == 1 ? DATA
                                                      : STATUS,
                                         i % 3 == 0   ? 16
                                         : i % 3 == 1 ? 512
                                                      : 1,
                                         3, (uint16_t)(AVAIL | (i % 3 ? W : 0) | (i % 3 < 2 ? N : 0))};
}

/* ---- the rows ---- */

static const struct row rows[] = {
    {"a good one", SERVES, .desc = GOOD_READ},
    {"a good one behind a table", SERVES, .desc = {{TABLE, 48, I, 0}}, .table = GOOD_READ,
     .features = F_INDIRECT},
    /* loops */
    {"points at itself", BREAKS, .desc = {{HEADER, 16, N, 0}}},
    {"points at itself, of no length", BREAKS, .desc = {{DATA, 0, N | W, 0}}},
    {"two point at each other", BREAKS, .desc = {{HEADER, 16, N, 1}, {DATA, 64, N | W, 0}}},
    {"the whole ring is a loop", BREAKS, .fill = fill_round},
    {"a loop in a table", BREAKS, .desc = {{TABLE, 32, I, 0}},
     .table = {{DATA, 8, N | W, 1}, {DATA, 8, N | W, 0}}, .features = F_INDIRECT},
    /* next */
    {"next is the ring's size", BREAKS, .desc = {{HEADER, 16, N, RING_SIZE}}},
    {"next is 65535", BREAKS, .desc = {{HEADER, 16, N, 0xffff}}},
    {"next is beyond a table", BREAKS, .desc = {{TABLE, 16, I, 0}}, .table = {{DATA, 8, N | W, 1}},
     .features = F_INDIRECT},
    {"next and flags of ones", BREAKS, .desc = {{DATA, 64, 0xffff, 0xffff}}},
    /* addresses */
    {"a buffer in a hole", BREAKS,
     .desc = {{HEADER, 16, N, 1}, {NO_MEMORY, 512, N | W, 2}, {STATUS, 1, W, 0}}},
    {"a buffer that is a device's registers", BREAKS,
     .desc = {{HEADER, 16, N, 1}, {0xd0000000, 512, N | W, 2}, {STATUS, 1, W, 0}}},
    {"a buffer that is the local APIC", BREAKS,
     .desc = {{HEADER, 16, N, 1}, {0xfee00000, 512, N | W, 2}, {STATUS, 1, W, 0}}},
    {"a buffer behind RAM", BREAKS, .desc = {{HEADER, 16, N, 1}, {TOP, 512, N | W, 2}, {STATUS, 1, W, 0}}},
    {"a buffer over RAM's end", BREAKS,
     .desc = {{HEADER, 16, N, 1}, {TOP - 511, 512, N | W, 2}, {STATUS, 1, W, 0}}},
    {"a buffer over 2^64", BREAKS,
     .desc = {{HEADER, 16, N, 1}, {UINT64_MAX - 15, 512, N | W, 2}, {STATUS, 1, W, 0}}},
    {"a header in a hole", BREAKS, .desc = {{NO_MEMORY, 16, N, 1}, {DATA, 512, N | W, 2}, {STATUS, 1, W, 0}}},
    {"a status in a hole", BREAKS, .desc = {{HEADER, 16, N, 1}, {DATA, 512, N | W, 2}, {NO_MEMORY, 1, W, 0}}},
    {"a table in a hole", BREAKS, .desc = {{NO_MEMORY, 48, I, 0}}, .features = F_INDIRECT},
    {"a table over 2^64", BREAKS, .desc = {{UINT64_MAX - 15, 48, I, 0}}, .features = F_INDIRECT},
    /* lengths */
    {"a length of 2^32 - 1", BREAKS,
     .desc = {{HEADER, 16, N, 1}, {DATA, 0xffffffff, N | W, 2}, {STATUS, 1, W, 0}}},
    {"a header of 2^32 - 1", BREAKS, .desc = {{HEADER, 0xffffffff, N, 1}, {STATUS, 1, W, 0}}},
    {"240 MiB in sixteen pieces", BREAKS, .fill = fill_huge},
    {"no status byte", BREAKS, .desc = {{HEADER, 16, N, 1}, {DATA, 512, 0, 0}}},
    {"a status of no length", BREAKS, .desc = {{HEADER, 16, N, 1}, {STATUS, 0, W, 0}}},
    {"a header of no length", BREAKS, .desc = {{HEADER, 0, N, 1}, {STATUS, 1, W, 0}}},
    /* order and tables */
    {"readable behind writable", BREAKS, .desc = {{DATA, 64, N | W, 1}, {HEADER, 16, 0, 0}}},
    {"a table in a table", BREAKS, .desc = {{TABLE, 16, I, 0}}, .table = {{TABLE, 16, I, 0}},
     .features = F_INDIRECT},
    {"a table with a next", BREAKS, .desc = {{TABLE, 48, I | N, 1}, {STATUS, 1, W, 0}}, .table = GOOD_READ,
     .features = F_INDIRECT},
    {"a table of no length", BREAKS, .desc = {{TABLE, 0, I, 0}}, .table = GOOD_READ, .features = F_INDIRECT},
    {"a table of a length and a half", BREAKS, .desc = {{TABLE, 24, I, 0}}, .table = GOOD_READ,
     .features = F_INDIRECT},
    {"a table of 4 GiB", BREAKS, .desc = {{TABLE, 0xfffffff0, I, 0}}, .table = GOOD_READ,
     .features = F_INDIRECT},
    {"a table longer than the ring", BREAKS, .fill = fill_long_table, .features = F_INDIRECT},
    {"a table that was not agreed on", BREAKS, .desc = {{TABLE, 48, I, 0}}, .table = GOOD_READ},
    {"a table that is the ring", BREAKS, .desc = {{SCRATCH, 256, I, 0}}, .features = F_INDIRECT},
    /* the available ring */
    {"a head of the ring's size", BREAKS, .desc = GOOD_READ, .heads = {RING_SIZE}},
    {"a head of 65535", BREAKS, .desc = GOOD_READ, .heads = {0xffff}},
    {"one head twice", EITHER, .desc = GOOD_READ, .available = 2},
    {"an index one too far", BREAKS, .desc = GOOD_READ, .available = RING_SIZE + 1},
    {"an index that jumps by half", BREAKS, .desc = GOOD_READ, .available = 0x8000},
    {"an index that goes back", BREAKS, .desc = GOOD_READ, .available = 0xffff},
    /* places */
    {"descriptors are not aligned", BREAKS, .desc = GOOD_READ, .at.desc = SCRATCH + 8},
    {"the available ring is not aligned", BREAKS, .desc = GOOD_READ, .at.driver = SCRATCH + 0x1001},
    {"the used ring is not aligned", BREAKS, .desc = GOOD_READ, .at.device = SCRATCH + 0x1002},
    {"descriptors in a hole", BREAKS, .desc = GOOD_READ, .at.desc = NO_MEMORY},
    {"the available ring is a device's registers", BREAKS, .desc = GOOD_READ, .at.driver = 0xd0001000},
    {"the used ring is its own registers", BREAKS, .desc = GOOD_READ, .at.device = 0xd0001000},
    {"the used ring is the I/O APIC", BREAKS, .desc = GOOD_READ, .at.device = 0xfec00000},
    {"descriptors behind RAM", BREAKS, .desc = GOOD_READ, .at.desc = TOP},
    {"descriptors over RAM's end", BREAKS, .desc = GOOD_READ, .at.desc = TOP - 128},
    {"descriptors over 2^64", BREAKS, .desc = GOOD_READ, .at.desc = UINT64_MAX - 127},
    {"the available ring over 2^64", BREAKS, .desc = GOOD_READ, .at.driver = UINT64_MAX - 1},
    {"the used ring over RAM's end", BREAKS, .desc = GOOD_READ, .at.device = TOP - 8},
    {"the used ring is the descriptors", EITHER, .desc = GOOD_READ, .at.device = SCRATCH},
    {"the used ring is the available ring", EITHER, .desc = GOOD_READ,
     .at.device = SCRATCH + __builtin_offsetof(struct virtio_ring, avail)},
    {"a ring of one", BREAKS, .desc = GOOD_READ, .at.size = 1},
    /* the packed ring: the third word is the buffer's id, the fourth its flags */
    {"packed: a good one", SERVES,
     .desc = {{HEADER, 16, 0, N | AVAIL}, {DATA, 512, 0, N | W | AVAIL}, {STATUS, 1, 0, W | AVAIL}},
     .features = F_PACKED},
    {"packed: the whole ring goes on", BREAKS, .fill = fill_packed_round, .features = F_PACKED},
    {"packed: the next is not available", BREAKS, .desc = {{HEADER, 16, 0, N | AVAIL}}, .features = F_PACKED},
    {"packed: the next is of the turn before", BREAKS,
     .desc = {{HEADER, 16, 0, N | AVAIL}, {STATUS, 1, 0, W | USED}}, .features = F_PACKED},
    {"packed: the next is used", BREAKS,
     .desc = {{HEADER, 16, 0, N | AVAIL}, {STATUS, 1, 0, W | AVAIL | USED}}, .features = F_PACKED},
    {"packed: an id of the ring's size", BREAKS,
     .desc = {{HEADER, 16, 0, N | AVAIL}, {STATUS, 1, RING_SIZE, W | AVAIL}}, .features = F_PACKED},
    {"packed: an id of 65535", BREAKS, .desc = {{HEADER, 16, 0, N | AVAIL}, {STATUS, 1, 0xffff, W | AVAIL}},
     .features = F_PACKED},
    {"packed: one id twice", EITHER, .fill = fill_packed_twice, .features = F_PACKED},
    {"packed: readable behind writable", BREAKS,
     .desc = {{DATA, 64, 0, N | W | AVAIL}, {HEADER, 16, 0, AVAIL}}, .features = F_PACKED},
    {"packed: a table and more", BREAKS, .desc = {{TABLE, 48, 0, N | I | AVAIL}, {STATUS, 1, 0, W | AVAIL}},
     .features = F_PACKED | F_INDIRECT},
    {"packed: a table in a table", BREAKS, .desc = {{TABLE, 16, 0, I | AVAIL}}, .table = {{TABLE, 16, 0, I}},
     .features = F_PACKED | F_INDIRECT},
    {"packed: a buffer in a hole", BREAKS,
     .desc = {{HEADER, 16, 0, N | AVAIL}, {NO_MEMORY, 512, 0, N | W | AVAIL}, {STATUS, 1, 0, W | AVAIL}},
     .features = F_PACKED},
    {"packed: an event area in a hole", BREAKS, .desc = {{HEADER, 16, 0, AVAIL}}, .at.driver = NO_MEMORY,
     .features = F_PACKED},
    {"packed: an event area not aligned", BREAKS, .desc = {{HEADER, 16, 0, AVAIL}},
     .at.device = SCRATCH + 0x1002, .features = F_PACKED},
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

/* ---- one row ---- */

static void write_ring(const struct row *row)
{
        volatile uint8_t *bytes = (volatile uint8_t *)SCRATCH;
        struct virtio_desc *table = (struct virtio_desc *)TABLE;

        for (uint32_t i = 0; i < sizeof(struct virtio_ring); i++)
                bytes[i] = 0;
        for (uint32_t i = 0; i < ROW_DESCS; i++) {
                ring()->desc[i] = row->desc[i];
                table[i] = row->table[i];
        }
        if (row->fill)
                row->fill();
        for (uint32_t i = 0; i < 4; i++)
                ((volatile uint32_t *)HEADER)[i] = 0; /* a read of sector 0 */
        *(volatile uint8_t *)STATUS = 0xee;
        if (row->features & F_PACKED)
                return; /* there the two areas of events are, of zeros: all are wanted */
        ring()->avail.ring[0] = row->heads[0];
        ring()->avail.ring[1] = row->heads[1];
        __atomic_store_n(&ring()->avail.idx, row->available ? row->available : 1, __ATOMIC_SEQ_CST);
}

static void begin(const struct virtio *disk, const struct row *row)
{
        struct hostile_ring at = {.desc = SCRATCH,
                                  .driver = SCRATCH + __builtin_offsetof(struct virtio_ring, avail),
                                  .device = SCRATCH + __builtin_offsetof(struct virtio_ring, used),
                                  .size = RING_SIZE};

        at.desc = row->at.desc ? row->at.desc : at.desc;
        at.driver = row->at.driver ? row->at.driver : at.driver;
        at.device = row->at.device ? row->at.device : at.device;
        at.size = row->at.size ? row->at.size : at.size;
        hostile_begin(disk, row->features, &at);
}

/* The status byte, which a good request gets, is the sign that works for each layout. */
static enum expect outcome(const struct virtio *disk)
{
        if (mmio_read(disk->at + VIRTIO_STATUS) & VIRTIO_NEEDS_RESET)
                return BREAKS;
        return *(volatile uint8_t *)STATUS == 0 ? SERVES : 0;
}

/* Until one of both is told by an interrupt. */
static enum expect judge(const struct virtio *disk)
{
        volatile uint32_t *came = &interrupts[disk->vector];
        enum expect is;
        uint32_t seen;

        do {
                seen = *came;
                is = outcome(disk);
                if (is == 0)
                        wait_while(came, seen);
                mmio_write(disk->at + VIRTIO_INTERRUPT_ACK, mmio_read(disk->at + VIRTIO_INTERRUPT_STATUS));
        } while (is == 0);
        return is;
}

static bool try_row(struct virtio *disk, const struct row *row)
{
        enum expect is;

        write_ring(row);
        begin(disk, row);
        mmio_write(disk->at + VIRTIO_QUEUE_NOTIFY, 0);
        is = judge(disk);
        if (!(is & row->expect)) {
                put_text(row->name);
                put_text(": ");
                fail("rings", "another end than expected", is);
                return false;
        }
        return virtio_reset(disk, "rings");
}

/* A reset device waits for a new worker: several do at once. */
static bool attack(struct virtio *disks, uint32_t n_disks, uint64_t *ret_n)
{
        uint32_t i, k;

        for (i = 0; i < N_ROWS; i += k) {
                for (k = 0; k < n_disks && i + k < N_ROWS; k++)
                        if (!try_row(&disks[k], &rows[i + k]))
                                return false;
                for (k = 0; k < n_disks && i + k < N_ROWS; k++)
                        if (!blk_works(&disks[k], i + k))
                                return false;
        }
        *ret_n = N_ROWS;
        return true;
}

/* rings: "ok rings N": N rows, each followed by a request that is served. Any number of disks. */
void test_rings(void)
{
        hostile_test("rings", attack);
}
