/* What the test guest does by the legacy interface (virtio 1.3, 4.2.4), in little or big endian; and, by the modern one, when drivers
 * read the configuration space: before they have features.
 * Owns a ring and buffers; called by body.c, in ring 3. TRUST: it is the guest; a device that is wrong is told.
 *
 * The processor is little endian; a driver for another turns every number before it goes to memory, and that is all that a device sees.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/guest/virtio.h"

#define PAGE       4096u
#define BLOCK      BLK_BLOCK
#define SECTORS    (BLOCK / 512u)
#define DESC_NEXT  1u
#define DESC_WRITE 2u
#define BLK_READ   0u
#define BLK_WRITE  1u
#define BLK_FLUSH  4u
#define BLK_OK     0u
#define BLK_IOERR  1u

#define BLK_F_BLK_SIZE (1u << 6)
#define BLK_F_FLUSH    (1u << 9)
#define F_ANY_LAYOUT   (1u << 27)

#define BLK_SIZE_AT 20u /* in the configuration space (virtio 1.3, 5.2.4) */

enum { LEGACY_PAGE_SIZE = 0x028, LEGACY_QUEUE_ALIGN = 0x03c, LEGACY_QUEUE_PFN = 0x040 };

/* A ring of the legacy interface: the used ring begins a page (2.7.2). */
static struct {
        struct virtio_desc desc[RING_SIZE];
        uint16_t avail[2 + RING_SIZE + 1];
        struct {
                uint16_t flags;
                volatile uint16_t idx;
                struct {
                        uint32_t id, len;
                } ring[RING_SIZE];
                uint16_t avail_event;
        } used __attribute__((aligned(PAGE)));
} ring __attribute__((aligned(PAGE)));

static struct virtio_ring modern_ring __attribute__((aligned(PAGE)));
static uint64_t block[BLOCK / 8] __attribute__((aligned(PAGE)));
static struct {
        uint32_t type, reserved;
        uint64_t sector;
} head;
static volatile uint8_t status;

static struct virtio device;
static const char *name;
static bool big;

static uint16_t turn16(uint16_t value)
{
        return big ? __builtin_bswap16(value) : value;
}

static uint32_t turn32(uint32_t value)
{
        return big ? __builtin_bswap32(value) : value;
}

static uint64_t turn64(uint64_t value)
{
        return big ? __builtin_bswap64(value) : value;
}

static uint32_t get(uint32_t reg)
{
        return mmio_read(device.at + reg);
}

static void set(uint32_t reg, uint32_t value)
{
        mmio_write(device.at + reg, value);
}

/* ---- the configuration space ---- */

/* Byte by byte, as Linux reads it by this interface. */
static uint64_t config_bytes(uint32_t at, uint32_t len)
{
        uint64_t value = 0;

        for (uint32_t i = 0; i < len; i++) {
                uint64_t byte = *(volatile uint8_t *)(device.at + VIRTIO_CONFIG + at + i);

                value |= byte << (8 * (big ? len - 1 - i : i));
        }
        return value;
}

/* At once, as older ones do. */
static uint64_t config_whole(uint32_t at, uint32_t len)
{
        if (len == 8)
                return turn64(*(volatile uint64_t *)(device.at + VIRTIO_CONFIG + at));
        return turn32(mmio_read(device.at + VIRTIO_CONFIG + at));
}

/* Both ways, against what the command line says. */
static bool config_is_right(const char *when)
{
        uint64_t capacity = option("capacity", 0), blk_size = option("blk_size", 512);

        if (config_bytes(0, 8) == capacity && config_whole(0, 8) == capacity &&
            config_bytes(BLK_SIZE_AT, 4) == blk_size && config_whole(BLK_SIZE_AT, 4) == blk_size)
                return true;
        put_text(when);
        put_char('\n');
        fail(name, "configuration: capacity", config_whole(0, 8));
        fail(name, "configuration: block size", config_whole(BLK_SIZE_AT, 4));
        return false;
}

/* ---- requests ---- */

static void describe(uint16_t i, const volatile void *at, uint32_t len, uint16_t flags)
{
        ring.desc[i] = (struct virtio_desc){.addr = turn64((uint64_t)at),
                                            .len = turn32(len),
                                            .flags = turn16(flags),
                                            .next = turn16((uint16_t)(i + 1))};
}

static bool wait_used(uint16_t used)
{
        volatile uint32_t *came = &interrupts[device.vector];

        while (turn16(ring.used.idx) != used) {
                uint32_t seen = *came;

                if (turn16(ring.used.idx) == used)
                        break;
                wait_while(came, seen);
                set(VIRTIO_INTERRUPT_ACK, get(VIRTIO_INTERRUPT_STATUS));
                if (get(VIRTIO_STATUS) & VIRTIO_NEEDS_RESET) {
                        fail(name, "the device needs a reset", get(VIRTIO_STATUS));
                        return false;
                }
        }
        return true;
}

/* Its status, or 255 (said in words). */
static uint32_t blk(uint32_t type, uint64_t sector)
{
        uint16_t index = turn16(ring.avail[1]), n = 0;
        uint32_t len;

        head.type = turn32(type);
        head.sector = turn64(sector);
        status = 0xee;
        describe(n++, &head, sizeof(head), DESC_NEXT);
        if (type != BLK_FLUSH)
                describe(n++, block, BLOCK, (uint16_t)(DESC_NEXT | (type == BLK_READ ? DESC_WRITE : 0)));
        describe(n++, &status, 1, DESC_WRITE);
        ring.avail[2 + index % RING_SIZE] = 0;
        __atomic_store_n(&ring.avail[1], turn16((uint16_t)(index + 1)), __ATOMIC_SEQ_CST);
        set(VIRTIO_QUEUE_NOTIFY, 0);
        if (!wait_used((uint16_t)(index + 1)))
                return 255;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        len = turn32(ring.used.ring[index % RING_SIZE].len);
        if (ring.used.ring[index % RING_SIZE].id == 0 &&
            (status != BLK_OK || len == 1 + (type == BLK_READ ? BLOCK : 0)))
                return status;
        fail(name, "a used entry of length", len);
        return 255;
}

static uint64_t stamp(uint32_t at, uint32_t word)
{
        return 0x1e6ac40000000000ull | (uint64_t)at << 16 | word;
}

static bool write_block(uint32_t at)
{
        for (uint32_t word = 0; word < BLOCK / 8; word++)
                block[word] = stamp(at, word);
        if (blk(BLK_WRITE, (uint64_t)at * SECTORS) == BLK_OK)
                return true;
        fail(name, "write: status", status);
        return false;
}

static bool read_block(uint32_t at)
{
        for (uint32_t word = 0; word < BLOCK / 8; word++)
                block[word] = 0;
        if (blk(BLK_READ, (uint64_t)at * SECTORS) != BLK_OK) {
                fail(name, "read: status", status);
                return false;
        }
        for (uint32_t word = 0; word < BLOCK / 8; word++) {
                if (block[word] != stamp(at, word)) {
                        fail(name, "read: another word", block[word]);
                        return false;
                }
        }
        return true;
}

/* ---- the legacy interface ---- */

/* In the order of Linux: the page size, a reset, and the configuration space before a feature has been written. */
static bool begin(void)
{
        uint32_t offered;

        if (!virtio_find(VIRTIO_TYPE_BLK, (uint32_t)option("disk", 0), &device)) {
                fail(name, "no disk", 0);
                return false;
        }
        if (get(VIRTIO_VERSION) != 1) {
                fail(name, "version", get(VIRTIO_VERSION));
                return false;
        }
        set(LEGACY_PAGE_SIZE, PAGE);
        if (!virtio_reset(&device, name))
                return false;
        set(VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE);
        set(VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
        if (!config_is_right("before features"))
                return false;
        set(VIRTIO_DEVICE_FEATURES_SEL, 1);
        offered = get(VIRTIO_DEVICE_FEATURES);
        if (offered != 0) {
                fail(name, "bits of the modern interface are offered", offered);
                return false;
        }
        set(VIRTIO_DEVICE_FEATURES_SEL, 0);
        offered = get(VIRTIO_DEVICE_FEATURES);
        if (!(offered & F_ANY_LAYOUT)) {
                fail(name, "offered", offered);
                return false;
        }
        set(VIRTIO_DRIVER_FEATURES_SEL, 0);
        set(VIRTIO_DRIVER_FEATURES, offered & (BLK_F_BLK_SIZE | BLK_F_FLUSH));
        return true;
}

static bool make_queue(void)
{
        uint8_t *bytes = (uint8_t *)&ring;

        for (uint32_t i = 0; i < sizeof(ring); i++)
                bytes[i] = 0;
        set(VIRTIO_QUEUE_SEL, 0);
        if (get(VIRTIO_QUEUE_SIZE_MAX) < RING_SIZE || get(LEGACY_QUEUE_PFN) != 0) {
                fail(name, "queue 0: its largest size", get(VIRTIO_QUEUE_SIZE_MAX));
                return false;
        }
        set(VIRTIO_QUEUE_SIZE, RING_SIZE);
        set(LEGACY_QUEUE_ALIGN, PAGE);
        set(LEGACY_QUEUE_PFN, (uint32_t)((uint64_t)&ring / PAGE));
        if (get(LEGACY_QUEUE_PFN) == (uint32_t)((uint64_t)&ring / PAGE))
                return true;
        fail(name, "queue 0 is not there", get(LEGACY_QUEUE_PFN));
        return false;
}

static bool rounds(uint32_t n)
{
        uint64_t capacity = option("capacity", 0);

        for (uint32_t i = 1; i < n; i++)
                if (!write_block(i))
                        return false;
        if (blk(BLK_FLUSH, 0) != BLK_OK) {
                fail(name, "flush: status", status);
                return false;
        }
        for (uint32_t i = 0; i < n; i++)
                if (!read_block(i))
                        return false;
        /* Behind the end: the device's error, not the queue's. A sector in another order would be one, too. */
        if (blk(BLK_READ, capacity) == BLK_IOERR)
                return true;
        fail(name, "read behind the end: status", status);
        return false;
}

/* The first block is written before DRIVER_OK, as old drivers do. */
static void legacy(void)
{
        uint32_t n = (uint32_t)option("blocks", 16);

        if (!begin() || !make_queue() || !write_block(0))
                return;
        set(VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK);
        if (!config_is_right("after DRIVER_OK") || !rounds(n))
                return;
        set(LEGACY_QUEUE_PFN, 0);
        for (uint32_t spin = 0; get(LEGACY_QUEUE_PFN) != 0; spin++) {
                if (spin == 1000000u) {
                        fail(name, "queue 0 does not end", get(LEGACY_QUEUE_PFN));
                        return;
                }
        }
        if (virtio_reset(&device, name))
                pass(name, n);
}

void test_legacy(void)
{
        name = "legacy";
        big = false;
        legacy();
}

void test_legacy_big(void)
{
        name = "legacy_big";
        big = true;
        legacy();
}

/* ---- the modern interface: features and configuration ---- */

static void choose(uint64_t features)
{
        set(VIRTIO_DRIVER_FEATURES_SEL, 0);
        set(VIRTIO_DRIVER_FEATURES, (uint32_t)features);
        set(VIRTIO_DRIVER_FEATURES_SEL, 1);
        set(VIRTIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
}

static bool negotiate_old(struct virtio *found, const char *test, uint64_t offered)
{
        (void)test;
        device = *found;
        choose(VIRTIO_F_VERSION_1);
        if (!config_is_right("with VERSION_1 alone"))
                return false;
        found->features = offered & (VIRTIO_F_VERSION_1 | BLK_F_BLK_SIZE | BLK_F_FLUSH);
        choose(found->features);
        return true;
}

static bool negotiate_new(struct virtio *found, const char *test, uint64_t offered)
{
        (void)test;
        device = *found;
        if (!config_is_right("before features"))
                return false;
        choose(offered);
        if (!config_is_right("with all features"))
                return false;
        found->features = offered & (VIRTIO_F_VERSION_1 | BLK_F_BLK_SIZE | BLK_F_FLUSH);
        choose(found->features);
        return config_is_right("with some features");
}

static void modern(virtio_negotiate negotiate)
{
        struct virtio disk;

        big = false;
        if (!virtio_find(VIRTIO_TYPE_BLK, (uint32_t)option("disk", 0), &disk))
                fail(name, "no disk", 0);
        else if (virtio_begin_by(&disk, name, negotiate, &modern_ring) &&
                 config_is_right("after DRIVER_OK") && blk_round(&disk, 7, 16))
                pass(name, 16);
}

/* VERSION_1 first, so that the device knows what is meant; then the configuration; then features. */
void test_config_old(void)
{
        name = "config_old";
        modern(negotiate_old);
}

/* All features, then the configuration, then fewer features. */
void test_config_new(void)
{
        name = "config_new";
        modern(negotiate_new);
}
