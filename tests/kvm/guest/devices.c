/* What the test guest does with its devices.
 * Owns the rings and buffers; called by body.c, in ring 3. TRUST: it is the guest; a device that is wrong is told.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/guest/virtio.h"

#define SECTOR      512u
#define BLOCK       BLK_BLOCK
#define SECTORS     (BLOCK / SECTOR)
#define BLK_READ    0u
#define BLK_WRITE   1u
#define BLK_FLUSH   4u
#define BLK_F_FLUSH (1ull << 9)
#define BLK_OK      0u
#define BLK_IOERR   1u

#define N_RINGS 8u

/* One a device that may run: a lane may look at its ring at any time. By its place on the bus. */
static struct virtio_ring rings[N_RINGS] __attribute__((aligned(4096)));
static uint64_t block[BLOCK / 8] __attribute__((aligned(4096)));
static struct {
        uint32_t type, reserved;
        uint64_t sector;
} head;
static volatile uint8_t status;

/* One request with a block at `at`; its status, or 255 (said in words). */
static uint32_t blk_at(struct virtio *device, uint32_t type, uint64_t sector, const volatile void *at)
{
        struct virtio_part parts[3] = {{&head, sizeof(head), false}};
        uint32_t n = 1, written;

        head.type = type;
        head.sector = sector;
        status = 0xee;
        if (type != BLK_FLUSH)
                parts[n++] = (struct virtio_part){at, BLOCK, type == BLK_READ};
        parts[n++] = (struct virtio_part){&status, 1, true};
        written = virtio_do(device, "blk", parts, n);
        if (written == UINT32_MAX)
                return 255;
        if (status == BLK_OK && written != 1 + (type == BLK_READ ? BLOCK : 0)) {
                fail("blk", "bytes written", written);
                return 255;
        }
        return status;
}

static uint32_t blk(struct virtio *device, uint32_t type, uint64_t sector)
{
        return blk_at(device, type, sector, block);
}

uint32_t blk_move(struct virtio *device, bool write, uint64_t number, uint64_t at)
{
        return blk_at(device, write ? BLK_WRITE : BLK_READ, number * SECTORS, (const volatile void *)at);
}

static struct virtio_ring *ring_of(const struct virtio *device)
{
        return &rings[(device->vector - VECTOR_DEVICES) % N_RINGS];
}

static uint64_t stamp(uint32_t round, uint32_t at, uint32_t word)
{
        return (uint64_t)round << 48 | (uint64_t)at << 16 | word | 0xb10cull << 32;
}

bool blk_round(struct virtio *device, uint32_t round, uint32_t n_blocks)
{
        for (uint32_t i = 0; i < n_blocks; i++) {
                for (uint32_t word = 0; word < BLOCK / 8; word++)
                        block[word] = stamp(round, i, word);
                if (blk(device, BLK_WRITE, (uint64_t)i * SECTORS) != BLK_OK) {
                        fail("blk", "write: status", status);
                        return false;
                }
        }
        if (device->features & BLK_F_FLUSH && blk(device, BLK_FLUSH, 0) != BLK_OK) {
                fail("blk", "flush: status", status);
                return false;
        }
        for (uint32_t i = 0; i < n_blocks; i++) {
                if (blk(device, BLK_READ, (uint64_t)i * SECTORS) != BLK_OK) {
                        fail("blk", "read: status", status);
                        return false;
                }
                for (uint32_t word = 0; word < BLOCK / 8; word++) {
                        if (block[word] != stamp(round, i, word)) {
                                fail("blk", "read: another word", block[word]);
                                return false;
                        }
                }
        }
        return true;
}

/* A read behind the end is the device's error, not the queue's. */
static bool blk_beyond(struct virtio *device)
{
        uint64_t capacity =
            mmio_read(device->at + VIRTIO_CONFIG) | (uint64_t)mmio_read(device->at + VIRTIO_CONFIG + 4) << 32;

        if (blk(device, BLK_READ, capacity) != BLK_IOERR) {
                fail("blk", "read behind the end: status", status);
                return false;
        }
        return true;
}

bool blk_begin(struct virtio *device)
{
        return virtio_begin(device, "blk", BLK_F_FLUSH, ring_of(device));
}

bool blk_works(struct virtio *device, uint32_t round)
{
        return blk_begin(device) && blk_round(device, round, 1);
}

/* blk=N: the N-th disk (from 1); rounds=: so often from a reset on; blocks=: so many a round. */
void test_blk(void)
{
        uint32_t rounds = (uint32_t)option("rounds", 20), n_blocks = (uint32_t)option("blocks", 16);
        struct virtio device;

        if (!virtio_find(VIRTIO_TYPE_BLK, (uint32_t)option("blk", 1) - 1, &device)) {
                fail("blk", "no such disk", option("blk", 1));
                return;
        }
        for (uint32_t round = 0; round < rounds; round++) {
                if (!virtio_begin(&device, "blk", BLK_F_FLUSH, ring_of(&device)) ||
                    !blk_round(&device, round, n_blocks) || !blk_beyond(&device))
                        return;
        }
        if (virtio_reset(&device, "blk"))
                pass("blk", (uint64_t)rounds * n_blocks);
}

/* Sixteen digits from 0 to f. */
static uint64_t get_hex(void)
{
        uint64_t value = 0;

        for (uint32_t i = 0; i < 16; i++) {
                char c = get_char();

                value = value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        return value;
}

/* say: a number is typed, and stands in a block that is written between zeros. */
void test_say(void)
{
        struct virtio device;

        if (!virtio_find(VIRTIO_TYPE_BLK, 0, &device) || !blk_begin(&device)) {
                fail("say", "no disk", 0);
                return;
        }
        put_text("say\n");
        for (uint32_t word = 0; word < BLOCK / 8; word++)
                block[word] = 0;
        block[BLOCK / 16] = get_hex();
        out8(0x3f9, 0);
        if (blk(&device, BLK_WRITE, 0) != BLK_OK)
                fail("say", "write: status", status);
        else if (virtio_reset(&device, "say"))
                pass("say", 0);
}

/* rng=N: reads so often, each answer is not the one before. */
void test_rng(void)
{
        uint32_t n = (uint32_t)option("rng", 1);
        struct virtio_part part = {block, 64, true};
        struct virtio device;
        uint64_t last = 0;

        if (!virtio_find(VIRTIO_TYPE_RNG, 0, &device)) {
                fail("rng", "no entropy device", 0);
                return;
        }
        if (!virtio_begin(&device, "rng", 0, ring_of(&device)))
                return;
        for (uint32_t i = 0; i < n; i++) {
                uint32_t written = virtio_do(&device, "rng", &part, 1);

                if (written < 8 || written > 64 || block[0] == last) {
                        fail("rng", "bytes written", written);
                        return;
                }
                last = block[0];
        }
        if (virtio_reset(&device, "rng"))
                pass("rng", n);
}
