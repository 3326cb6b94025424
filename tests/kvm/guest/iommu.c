/* What the test guest does with an IOMMU and a disk behind it (virtio 1.3, 5.13).
 * Owns rings, requests and the pages that it maps; called by body.c, in ring 3. TRUST: it is the guest; a device that is wrong is
 * told.
 *
 * Its own image is mapped where it is, so that the disk finds rings and headers; what is read and written lies elsewhere for the
 * disk, at WINDOW.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/guest/virtio.h"

#define NAME              "iommu"
#define F_ACCESS_PLATFORM (1ull << 33)
#define F_MAP_UNMAP       (1ull << 2)
#define F_PROBE           (1ull << 4)
#define SPIN_MAX          1000000u /* looks at a register: an exit each */
#define DESC_WRITE        2u
#define PAGE              4096ull

#define IMAGE   0x100000ull /* where the guest lies, ... */
#define IMAGE_N 0x700000ull /* ... with all that it has */
#define WINDOW  0x7000000000ull
#define DOMAIN  7u

enum { ATTACH = 1, DETACH, MAP, UNMAP, PROBE };
enum { OK = 0, INVAL = 4, RANGE = 5, NOENT = 6, NONE = 255 };

static struct virtio_ring requests __attribute__((aligned(4096)));
static struct virtio_ring events __attribute__((aligned(4096)));
static struct virtio_ring disk_ring __attribute__((aligned(4096)));
static uint64_t data[2 * PAGE / 8] __attribute__((aligned(4096)));
static struct {
        uint8_t reason, reserved[3];
        uint32_t flags, endpoint, reserved1;
        uint64_t address;
} faults[4];
static uint16_t faults_seen;

static uint32_t endpoint;
static struct virtio iommu, disk;

static struct {
        uint8_t type, head[3];
        uint32_t words[17];
} request;
static volatile uint8_t answer[68];

/* ---- requests ---- */

/* The status, or NONE (said in words). */
static uint32_t ask(uint8_t type, uint32_t readable)
{
        const uint32_t writable = type == PROBE ? 68 : 4;
        const struct virtio_part parts[2] = {{&request, readable, false}, {answer, writable, true}};

        request.type = type;
        answer[writable - 4] = NONE;
        return virtio_do(&iommu, NAME, parts, 2) == UINT32_MAX ? NONE : answer[writable - 4];
}

static void clear_request(void)
{
        for (uint32_t i = 0; i < 17; i++)
                request.words[i] = 0;
}

static uint32_t attach(uint8_t type, uint32_t domain, uint32_t which)
{
        clear_request();
        request.words[0] = domain;
        request.words[1] = which;
        return ask(type, 20);
}

static void put64(uint32_t word, uint64_t value)
{
        request.words[word] = (uint32_t)value;
        request.words[word + 1] = (uint32_t)(value >> 32);
}

static uint32_t map(uint64_t start, uint64_t len, uint64_t to, uint32_t flags)
{
        clear_request();
        request.words[0] = DOMAIN;
        put64(1, start);
        put64(3, start + len - 1);
        put64(5, to);
        request.words[7] = flags;
        return ask(MAP, 36);
}

static uint32_t unmap(uint64_t start, uint64_t len)
{
        clear_request();
        request.words[0] = DOMAIN;
        put64(1, start);
        put64(3, start + len - 1);
        return ask(UNMAP, 28);
}

static uint32_t probe(uint32_t which)
{
        clear_request();
        request.words[0] = which;
        return ask(PROBE, 72);
}

static bool expect(const char *what, uint32_t got, uint32_t wanted)
{
        if (got != wanted)
                fail(NAME, what, got);
        return got == wanted;
}

/* ---- both devices ---- */

/* Its event queue has room for as many faults as there are places. */
static void begin_events(void)
{
        const uint32_t n = sizeof(faults) / sizeof(faults[0]);

        for (uint32_t i = 0; i < sizeof(events); i++)
                ((uint8_t *)&events)[i] = 0;
        for (uint32_t i = 0; i < n; i++) {
                events.desc[i] = (struct virtio_desc){
                    .addr = (uint64_t)&faults[i], .len = sizeof(faults[i]), .flags = DESC_WRITE};
                events.avail.ring[i] = (uint16_t)i;
        }
        events.avail.idx = (uint16_t)n;
        faults_seen = 0;
        mmio_write(iommu.at + VIRTIO_QUEUE_SEL, 1);
        mmio_write(iommu.at + VIRTIO_QUEUE_SIZE, RING_SIZE);
        mmio_write(iommu.at + VIRTIO_QUEUE_DESC, (uint32_t)(uint64_t)events.desc);
        mmio_write(iommu.at + VIRTIO_QUEUE_DRIVER, (uint32_t)(uint64_t)&events.avail);
        mmio_write(iommu.at + VIRTIO_QUEUE_DEVICE, (uint32_t)(uint64_t)&events.used);
        mmio_write(iommu.at + VIRTIO_QUEUE_READY, 1);
        mmio_write(iommu.at + VIRTIO_QUEUE_NOTIFY, 1);
}

static bool begin_iommu(void)
{
        if (!virtio_begin(&iommu, NAME, F_MAP_UNMAP | F_PROBE, &requests))
                return false;
        begin_events();
        return expect("features", (uint32_t)iommu.features, (uint32_t)(F_MAP_UNMAP | F_PROBE));
}

static bool begin_disk(void)
{
        return virtio_begin(&disk, NAME, F_ACCESS_PLATFORM, &disk_ring);
}

static bool await_broken(const char *what)
{
        for (uint32_t spin = 0; spin < SPIN_MAX; spin++)
                if (mmio_read(disk.at + VIRTIO_STATUS) & VIRTIO_NEEDS_RESET)
                        return true;
        fail(NAME, what, mmio_read(disk.at + VIRTIO_STATUS));
        return false;
}

/* The disk is to write a page at `at`, and must not. */
static bool breaks_at(uint64_t at)
{
        disk_ring.desc[0] = (struct virtio_desc){.addr = at, .len = 4096, .flags = DESC_WRITE};
        disk_ring.avail.ring[disk_ring.avail.idx % RING_SIZE] = 0;
        __atomic_store_n(&disk_ring.avail.idx, (uint16_t)(disk_ring.avail.idx + 1), __ATOMIC_SEQ_CST);
        mmio_write(disk.at + VIRTIO_QUEUE_NOTIFY, 0);
        return await_broken("the disk reached what is not mapped");
}

static bool expect_fault(uint8_t reason, uint32_t flags, uint64_t address)
{
        for (uint32_t spin = 0; events.used.idx == faults_seen; spin++) {
                if (spin == SPIN_MAX) {
                        fail(NAME, "no fault is told", address);
                        return false;
                }
                (void)mmio_read(iommu.at + VIRTIO_STATUS);
        }
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        for (uint32_t i = faults_seen % RING_SIZE; faults_seen != events.used.idx; faults_seen++) {
                i = events.used.ring[faults_seen % RING_SIZE].id;
                if (faults[i].reason == reason && faults[i].flags == (flags | 0x100) &&
                    faults[i].endpoint == endpoint && faults[i].address == address)
                        continue;
                fail(NAME, "another fault", faults[i].address);
                return false;
        }
        return true;
}

/* A block goes out of one page of ours and comes back into the other, by addresses of the disk's alone. */
static bool window_works(uint64_t seed)
{
        for (uint32_t i = 0; i < PAGE / 8; i++) {
                data[i] = seed + i;
                data[PAGE / 8 + i] = 0;
        }
        if (!expect("write by the window", blk_move(&disk, true, 30, WINDOW), OK) ||
            !expect("read by the window", blk_move(&disk, false, 30, WINDOW + PAGE), OK))
                return false;
        for (uint32_t i = 0; i < PAGE / 8; i++) {
                if (data[PAGE / 8 + i] != seed + i) {
                        fail(NAME, "another word by the window", data[PAGE / 8 + i]);
                        return false;
                }
        }
        return true;
}

/* ---- steps ---- */

static bool find_both(void)
{
        endpoint = (uint32_t)option("endpoint", 0);
        if (!virtio_find(23, 0, &iommu) || !virtio_find(VIRTIO_TYPE_BLK, 0, &disk)) {
                fail(NAME, "no IOMMU, or no disk", 0);
                return false;
        }
        return true;
}

/* Without its DMA API a driver cannot have it; and with it, it reaches not even its ring. */
static bool blocked_at_first(void)
{
        if (!virtio_reset(&disk, NAME))
                return false;
        mmio_write(disk.at + VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE);
        mmio_write(disk.at + VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
        mmio_write(disk.at + VIRTIO_DRIVER_FEATURES_SEL, 1);
        mmio_write(disk.at + VIRTIO_DRIVER_FEATURES, 1); /* VERSION_1 alone */
        mmio_write(disk.at + VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
        if (mmio_read(disk.at + VIRTIO_STATUS) & VIRTIO_FEATURES_OK) {
                fail(NAME, "the disk takes a driver without its DMA API", 0);
                return false;
        }
        return begin_disk() && await_broken("the disk has found its ring");
}

static bool attach_and_map(void)
{
        return expect("probe", probe(endpoint), OK) && expect("probe of nobody", probe(60), NOENT) &&
               expect("attach nobody", attach(ATTACH, DOMAIN, 60), NOENT) &&
               expect("attach", attach(ATTACH, DOMAIN, endpoint), OK) &&
               expect("map the image", map(IMAGE, IMAGE_N, IMAGE, 3), OK) &&
               expect("map the window", map(WINDOW, 2 * PAGE, (uint64_t)data, 3), OK);
}

static bool poison_is_refused(void)
{
        return expect("map twice", map(WINDOW, 2 * PAGE, (uint64_t)data, 3), INVAL) &&
               expect("map over", map(WINDOW - PAGE, 2 * PAGE, (uint64_t)data, 3), INVAL) &&
               expect("map no memory", map(WINDOW + 16 * PAGE, PAGE, 1ull << 40, 3), RANGE) &&
               expect("map registers", map(WINDOW + 16 * PAGE, PAGE, disk.at, 3), RANGE) &&
               expect("map half a page", map(WINDOW + 16 * PAGE, PAGE / 2, (uint64_t)data, 3), RANGE) &&
               expect("map all", map(0, 0, 0, 3), RANGE) &&
               expect("map round the end", map(0ull - PAGE, 2 * PAGE, (uint64_t)data, 3), RANGE) &&
               expect("map to the end", map(WINDOW + 16 * PAGE, PAGE, 0ull - PAGE, 3), RANGE) &&
               expect("map without rights", map(WINDOW + 16 * PAGE, PAGE, (uint64_t)data, 0), INVAL) &&
               expect("map devices", map(WINDOW + 16 * PAGE, PAGE, (uint64_t)data, 7), INVAL) &&
               expect("unmap a part", unmap(WINDOW, PAGE), RANGE) &&
               expect("unmap nothing", unmap(WINDOW + 16 * PAGE, PAGE), OK);
}

/* The disk's own reset takes nothing: it is not mapped again. */
static bool mappings_persist(void)
{
        return virtio_reset(&disk, NAME) && begin_disk() && window_works(2);
}

static bool unmapped_is_gone(void)
{
        return expect("unmap", unmap(WINDOW, 2 * PAGE), OK) && breaks_at(WINDOW + PAGE) &&
               expect_fault(2, 2, WINDOW + PAGE) && begin_disk() && blk_round(&disk, 3, 2);
}

static bool read_only_is_not_written(void)
{
        return expect("map to be read", map(WINDOW, PAGE, (uint64_t)data, 1), OK) &&
               expect("write to the disk", blk_move(&disk, true, 31, WINDOW), OK) && breaks_at(WINDOW) &&
               expect_fault(2, 2, WINDOW) && begin_disk();
}

static bool reset_takes_all(void)
{
        if (!virtio_reset(&iommu, NAME) || !breaks_at((uint64_t)data) || !begin_iommu() || !begin_disk() ||
            !await_broken("the disk has found its ring after a reset of the IOMMU"))
                return false;
        return expect("unmap of nobody", unmap(WINDOW, PAGE), NOENT) && attach_and_map() && begin_disk() &&
               blk_round(&disk, 4, 2) && window_works(5);
}

/* iommu: all of it. iommu=2: in the middle it says "now", and waits for a byte: its worker may be another one then. */
void test_iommu(void)
{
        if (!find_both() || !blocked_at_first() || !begin_iommu() || !attach_and_map() ||
            !poison_is_refused() || !begin_disk() || !blk_round(&disk, 1, 4) || !window_works(1))
                return;
        if (option("iommu", 1) == 2) {
                put_text("now\n");
                (void)get_char();
                out8(0x3f9, 0);
        }
        if (window_works(9) && mappings_persist() && unmapped_is_gone() && read_only_is_not_written() &&
            reset_takes_all())
                pass(NAME, 0);
}
