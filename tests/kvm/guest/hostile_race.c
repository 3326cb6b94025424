/* Two processors against one disk: one works, or tries to, while the other one writes its registers or its rings.
 * Owns nothing that outlives a test; called by body.c, in ring 3. TRUST: it is the guest, and means harm.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/guest/hostile.h"

#define HEADER     (SCRATCH + 0x10000) /* of requests that may be spoilt */
#define STATUS     (SCRATCH + 0x11000)
#define DATA       (SCRATCH + 0x20000)
#define DATA_BYTES 4096u
#define NEXT       1u
#define WRITE      2u
#define POLLS      200u /* reads of Status that a spoilt request is given */

static const struct hostile_ring place = {.desc = SCRATCH,
                                          .driver = SCRATCH + __builtin_offsetof(struct virtio_ring, avail),
                                          .device = SCRATCH + __builtin_offsetof(struct virtio_ring, used),
                                          .size = RING_SIZE};

static struct virtio target;        /* of the second processor */
static uint64_t job_n;              /* how often it shall write, ... */
static volatile uint32_t job_stops; /* ... or until then */
static volatile uint64_t job_written;

/* ---- the second processor ---- */

struct rewrite {
        uint16_t offset;
        uint32_t value;
};

/* What a queue that runs is not changed by. */
static const struct rewrite harmless[] = {
    {VIRTIO_QUEUE_SEL, 0},
    {VIRTIO_QUEUE_SIZE, 0},
    {VIRTIO_QUEUE_SIZE, 256},
    {VIRTIO_QUEUE_DESC, 0},
    {VIRTIO_QUEUE_DESC, 0xfffffff0},
    {VIRTIO_QUEUE_DESC + 4, 0xffffffff},
    {VIRTIO_QUEUE_DRIVER, (uint32_t)NO_MEMORY},
    {VIRTIO_QUEUE_DRIVER + 4, 1},
    {VIRTIO_QUEUE_DEVICE, 0x100000},
    {VIRTIO_QUEUE_DEVICE + 4, 0x80000000},
    {VIRTIO_QUEUE_READY, 1},
    {VIRTIO_QUEUE_READY, 2},
    {VIRTIO_QUEUE_SEL, 1},
    {VIRTIO_QUEUE_DESC, (uint32_t)SCRATCH},
    {VIRTIO_QUEUE_SEL, 64},
    {VIRTIO_QUEUE_READY, 0},
    {VIRTIO_QUEUE_SEL, 0xffffffff},
    {VIRTIO_QUEUE_READY, 0},
    {VIRTIO_QUEUE_NOTIFY, 64},
    {VIRTIO_DRIVER_FEATURES_SEL, 0},
    {VIRTIO_DRIVER_FEATURES, 0xffffffff},
    {VIRTIO_DEVICE_FEATURES_SEL, 7},
    {VIRTIO_STATUS, STATUS_ALL},
    {VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE},
    {VIRTIO_CONFIG, 0},
};

static void rewrite_harmless(void)
{
        for (uint64_t i = 0; i < job_n; i++) {
                const struct rewrite *r = &harmless[i % (sizeof(harmless) / sizeof(harmless[0]))];

                mmio_write(target.at + r->offset, r->value);
                job_written = i + 1;
        }
        hostile_job_done();
}

/* What ends a queue, starts it elsewhere, or the device. */
static const struct rewrite harmful[] = {
    {VIRTIO_QUEUE_SEL, 0},
    {VIRTIO_QUEUE_READY, 0},
    {VIRTIO_QUEUE_SIZE, 2},
    {VIRTIO_QUEUE_READY, 1},
    {VIRTIO_QUEUE_NOTIFY, 0},
    {VIRTIO_QUEUE_READY, 0},
    {VIRTIO_QUEUE_SIZE, RING_SIZE},
    {VIRTIO_QUEUE_DESC, (uint32_t)SCRATCH},
    {VIRTIO_QUEUE_DESC + 4, 0},
    {VIRTIO_QUEUE_DRIVER, (uint32_t)(SCRATCH + __builtin_offsetof(struct virtio_ring, avail))},
    {VIRTIO_QUEUE_DRIVER + 4, 0},
    {VIRTIO_QUEUE_DEVICE, (uint32_t)(SCRATCH + __builtin_offsetof(struct virtio_ring, used))},
    {VIRTIO_QUEUE_DEVICE + 4, 0},
    {VIRTIO_QUEUE_READY, 1},
    {VIRTIO_QUEUE_NOTIFY, 0},
    {VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER},
    {VIRTIO_DRIVER_FEATURES_SEL, 1},
    {VIRTIO_DRIVER_FEATURES, 1},
    {VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK},
    {VIRTIO_STATUS, STATUS_ALL},
    {VIRTIO_QUEUE_DESC, (uint32_t)NO_MEMORY},
    {VIRTIO_INTERRUPT_ACK, 0xffffffff},
    {VIRTIO_CONFIG + 0x20, 0},
};

/* In an order of its own; a reset or the driver's giving up once in a while. */
static void rewrite_harmful(void)
{
        uint32_t state = 0x2545f491;

        for (uint64_t i = 0; i < job_n; i++) {
                uint32_t number = hostile_random(&state);
                const struct rewrite *r = &harmful[number % (sizeof(harmful) / sizeof(harmful[0]))];

                mmio_write(target.at + r->offset, r->value);
                if (number >> 24 == 0)
                        hostile_status(&target, number >> 16 & 1 ? 0 : STATUS_ALL | VIRTIO_FAILED);
                job_written = i + 1;
        }
        hostile_job_done();
}

/* One word of a ring, or of what it names, is another one from now on. */
static void spoil(uint32_t number)
{
        static const uint64_t addresses[] = {HEADER,    DATA,           STATUS,  SCRATCH,
                                             NO_MEMORY, UINT64_MAX - 8, DATA + 1};
        static const uint32_t lens[] = {0, 1, 15, 16, 512, DATA_BYTES, 0x10000, 0xffffffff};
        struct virtio_ring *ring = (struct virtio_ring *)SCRATCH;
        struct virtio_desc *desc = &ring->desc[number >> 8 & 3];
        uint32_t choice = number >> 16;

        switch (number & 7) {
        case 0:
                *(volatile uint64_t *)&desc->addr = addresses[choice % 7];
                break;
        case 1:
                *(volatile uint32_t *)&desc->len = lens[choice & 7];
                break;
        case 2:
                *(volatile uint16_t *)&desc->flags = (uint16_t)(choice & 7);
                break;
        case 3:
                *(volatile uint16_t *)&desc->next = (uint16_t)(choice & 31);
                break;
        case 4:
                *(volatile uint16_t *)&ring->avail.ring[choice & 15] = (uint16_t)(choice >> 4 & 31);
                break;
        case 5:
                *(volatile uint16_t *)&ring->avail.idx = (uint16_t)(ring->used.idx + (choice & 31));
                break;
        case 6:
                *(volatile uint16_t *)&ring->used.idx = (uint16_t)choice;
                break;
        default:
                *(volatile uint32_t *)HEADER = choice & 15;
                break;
        }
}

static void rewrite_rings(void)
{
        uint32_t state = 0x9e3779b9;
        uint64_t i = 0;

        while (!job_stops) {
                spoil(hostile_random(&state));
                job_written = ++i;
        }
        hostile_job_done();
}

/* ---- the first one ---- */

static void job_begin(const struct virtio *disk, uint64_t n, void (*job)(void))
{
        target = *disk;
        job_n = n;
        job_stops = 0;
        job_written = 0;
        hostile_job_start(job);
}

/* Works as if it were alone, on a queue that nobody may change. */
static bool race(struct virtio *disk, uint32_t n_disks, uint64_t *ret_n)
{
        uint32_t rounds = 0;

        (void)n_disks;
        job_begin(disk, option("race", 0), rewrite_harmless);
        do
                if (!blk_round(disk, rounds++, 4))
                        return false;
        while (!hostile_job_ended);
        *ret_n = job_written;
        put_text("rounds ");
        put_number(rounds);
        put_char('\n');
        return hostile_job_wait("race");
}

/* A request of four parts that would be good, on the ring as it is. */
static void post(const struct virtio *disk, uint32_t at)
{
        struct virtio_ring *ring = (struct virtio_ring *)SCRATCH;
        volatile uint32_t *header = (volatile uint32_t *)HEADER;

        header[0] = at & 1; /* a write every other time */
        header[2] = at % 64 * 8;
        header[3] = 0;
        ring->desc[0] = (struct virtio_desc){HEADER, 16, NEXT, 1};
        ring->desc[1] = (struct virtio_desc){DATA, DATA_BYTES, (uint16_t)(NEXT | (at & 1 ? 0 : WRITE)), 2};
        ring->desc[2] = (struct virtio_desc){STATUS, 1, WRITE, 3};
        ring->avail.ring[ring->avail.idx % RING_SIZE] = 0;
        __atomic_store_n(&ring->avail.idx, (uint16_t)(ring->avail.idx + 1), __ATOMIC_SEQ_CST);
        mmio_write(disk->at + VIRTIO_QUEUE_NOTIFY, 0);
}

static void clear_ring(void)
{
        volatile uint8_t *bytes = (volatile uint8_t *)SCRATCH;

        for (uint32_t i = 0; i < sizeof(struct virtio_ring); i++)
                bytes[i] = 0;
}

/* Until a request has been used, or never will be, as far as one can wait for that. True: the device is broken. */
static bool settle(const struct virtio *disk, uint16_t used)
{
        const struct virtio_ring *ring = (const struct virtio_ring *)SCRATCH;
        uint32_t status = 0;

        for (uint32_t i = 0; i < POLLS; i++) {
                status = mmio_read(disk->at + VIRTIO_STATUS);
                if (ring->used.idx != used || status & VIRTIO_NEEDS_RESET)
                        break;
        }
        return status & VIRTIO_NEEDS_RESET;
}

/* Requests on rings that move under the device: until it has broken so often. */
static bool scribble(struct virtio *disk, uint32_t n_disks, uint64_t *ret_n)
{
        uint64_t breaks = option("scribble", 0);
        uint32_t posted = 0;

        (void)n_disks;
        job_begin(disk, 0, rewrite_rings);
        while (breaks > 0) {
                clear_ring();
                hostile_begin(disk, F_INDIRECT, &place);
                for (bool broken = false; !broken;) {
                        uint16_t used = ((struct virtio_ring *)SCRATCH)->used.idx;

                        post(disk, posted++);
                        broken = settle(disk, used);
                }
                breaks--;
        }
        job_stops = 1;
        *ret_n = posted;
        put_text("spoilt ");
        put_number(job_written);
        put_char('\n');
        return hostile_job_wait("scribble");
}

/* All at once: the second processor ends, moves and resets what the first one sets up. */
static bool chaos(struct virtio *disk, uint32_t n_disks, uint64_t *ret_n)
{
        uint32_t state = 0x6a09e667, i = 0;

        (void)n_disks;
        job_begin(disk, option("chaos", 0), rewrite_harmful);
        while (!hostile_job_ended) {
                hostile_begin(disk, F_INDIRECT, &place);
                for (uint32_t k = 0; k < 8; k++) {
                        post(disk, i++);
                        spoil(hostile_random(&state));
                        mmio_write(disk->at + VIRTIO_QUEUE_NOTIFY, 0);
                }
        }
        *ret_n = job_written;
        return hostile_job_wait("chaos");
}

/* ---- writes that a worker answers ---- */

#define WRITEBACK 0x120u /* of the configuration space: the driver's own, a byte */

static void write_field(void)
{
        for (uint64_t i = 0; i < job_n; i++) {
                bus_write(target.at + WRITEBACK, 1, i & 1);
                job_written = i + 1;
        }
        hostile_job_done();
}

/* Both write a field faster than the worker takes it, which breaks the device; each time it is begun again. */
static bool storm(struct virtio *disk, uint32_t n_disks, uint64_t *ret_n)
{
        uint32_t broken = 0;

        (void)n_disks;
        job_begin(disk, option("storm", 0), write_field);
        while (!hostile_job_ended) {
                clear_ring();
                hostile_begin(disk, 0, &place);
                for (uint32_t i = 0; i < 200 && !hostile_job_ended; i++)
                        bus_write(disk->at + WRITEBACK, 1, i & 1);
                broken += (mmio_read(disk->at + VIRTIO_STATUS) & VIRTIO_NEEDS_RESET) != 0;
        }
        *ret_n = job_written;
        put_text("broken ");
        put_number(broken);
        put_char('\n');
        return hostile_job_wait("storm");
}

/* ---- all at once ---- */

static volatile uint32_t n_flooding;

static void set_up_for_ever(void)
{
        __atomic_fetch_add(&n_flooding, 1, __ATOMIC_SEQ_CST);
        for (;;)
                hostile_begin(&target, 0, &place);
}

/* flood=N: each of N processors resets the first disk and sets it up again, and does not end. */
void test_flood(void)
{
        if (!virtio_find(VIRTIO_TYPE_BLK, 0, &target))
                fail("flood", "no disk", 0);
        clear_ring();
        for (uint32_t i = 1; i < option("flood", 1); i++) {
                processor_run(i, set_up_for_ever);
                while (n_flooding < i)
                        __asm__ volatile("pause");
        }
        put_text("flooding\n");
        set_up_for_ever();
}

/* race=N: so many writes to registers of a queue that runs, which change nothing. */
void test_race(void)
{
        hostile_test("race", race);
}

/* scribble=N: until the device has broken so often. */
void test_scribble(void)
{
        hostile_test("scribble", scribble);
}

/* chaos=N: so many writes of the second processor. */
void test_chaos(void)
{
        hostile_test("chaos", chaos);
}

/* storm=N: so many writes of a field of the configuration space. */
void test_storm(void)
{
        hostile_test("storm", storm);
}
