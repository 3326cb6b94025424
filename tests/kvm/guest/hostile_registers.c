/* Every register of a disk, in every state of it, by accesses that a driver may not make: wrong widths, wrong places, wrong
 * values, wrong times. Each must read as zeros or be ignored: what the registers say stays as it was.
 *
 * What is permitted is written down here from virtio 1.3, 4.2.2 and 4.2.2.2.
 * Owns its ring; called by body.c, in ring 3. TRUST: it is the guest, and means harm.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/guest/hostile.h"

#define PAGE      0x1000u
#define REGISTERS 0x100u
#define LOOK_EVERY                                                                                           \
        0x20u      /* bytes of registers between two looks at all of them: each look is two dozen exits */
#define ABSENT 77u /* no such queue */

/* ---- the states ---- */

enum stage {
        NEW,
        ACKNOWLEDGED,
        NEGOTIATING,
        SET_UP,
        LATCHED,
        RUNNING,
        BROKEN,
        GIVEN_UP,
        NO_SUCH_QUEUE,
        STAGES
};

#define AT(stage) (1u << (stage))
#define ALWAYS    (AT(STAGES) - 1)

static const char *const stage_names[STAGES] = {
    [NEW] = "new",       [ACKNOWLEDGED] = "acknowledged", [NEGOTIATING] = "negotiating",
    [SET_UP] = "set up", [LATCHED] = "latched",           [RUNNING] = "running",
    [BROKEN] = "broken", [GIVEN_UP] = "given up",         [NO_SUCH_QUEUE] = "no such queue",
};

static const struct hostile_ring ring = {.desc = SCRATCH,
                                         .driver = SCRATCH + __builtin_offsetof(struct virtio_ring, avail),
                                         .device = SCRATCH + __builtin_offsetof(struct virtio_ring, used),
                                         .size = RING_SIZE};

static void begin_ring(void)
{
        struct virtio_ring *at = (struct virtio_ring *)SCRATCH;

        at->avail.flags = at->avail.idx = 0;
        at->used.idx = 0;
        at->avail.ring[0] = 0xffff; /* a head that no ring has: looked at when `idx` is 1 */
}

/* Up to what a status word says and, of the queue, `ready`. */
static void begin(const struct virtio *disk, uint32_t status, uint32_t ready)
{
        begin_ring();
        hostile_status(disk, 0);
        if (status & VIRTIO_ACKNOWLEDGE)
                hostile_status(disk, VIRTIO_ACKNOWLEDGE);
        if (status & VIRTIO_DRIVER)
                hostile_status(disk, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
        mmio_write(disk->at + VIRTIO_DRIVER_FEATURES_SEL, 1);
        if (status & VIRTIO_DRIVER)
                mmio_write(disk->at + VIRTIO_DRIVER_FEATURES, VIRTIO_F_VERSION_1 >> 32);
        if (!(status & VIRTIO_FEATURES_OK))
                return;
        hostile_status(disk, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
        mmio_write(disk->at + VIRTIO_QUEUE_SIZE, RING_SIZE);
        mmio_write(disk->at + VIRTIO_QUEUE_DESC, (uint32_t)ring.desc);
        mmio_write(disk->at + VIRTIO_QUEUE_DRIVER, (uint32_t)ring.driver);
        mmio_write(disk->at + VIRTIO_QUEUE_DEVICE, (uint32_t)ring.device);
        if (ready)
                mmio_write(disk->at + VIRTIO_QUEUE_READY, 1);
        hostile_status(disk, status);
}

static void break_it(const struct virtio *disk)
{
        volatile uint32_t *came = &interrupts[disk->vector];
        uint32_t seen = *came;

        ((struct virtio_ring *)SCRATCH)->avail.idx = 1;
        mmio_write(disk->at + VIRTIO_QUEUE_NOTIFY, 0);
        while (!(mmio_read(disk->at + VIRTIO_STATUS) & VIRTIO_NEEDS_RESET)) {
                wait_while(came, seen);
                seen = *came;
        }
}

#define UP_TO_DRIVER   (VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER)
#define UP_TO_FEATURES (UP_TO_DRIVER | VIRTIO_FEATURES_OK)

static void enter(const struct virtio *disk, enum stage stage)
{
        static const uint32_t status[STAGES] = {[NEW] = 0,
                                                [ACKNOWLEDGED] = VIRTIO_ACKNOWLEDGE,
                                                [NEGOTIATING] = UP_TO_DRIVER,
                                                [SET_UP] = UP_TO_FEATURES,
                                                [LATCHED] = UP_TO_FEATURES,
                                                [RUNNING] = STATUS_ALL,
                                                [BROKEN] = STATUS_ALL,
                                                [GIVEN_UP] = STATUS_ALL,
                                                [NO_SUCH_QUEUE] = STATUS_ALL};

        begin(disk, status[stage], stage >= LATCHED);
        if (stage == BROKEN)
                break_it(disk);
        if (stage == GIVEN_UP)
                hostile_status(disk, STATUS_ALL | VIRTIO_FAILED);
        if (stage == NO_SUCH_QUEUE)
                mmio_write(disk->at + VIRTIO_QUEUE_SEL, ABSENT);
}

/* ---- what is permitted, of accesses of 32 bits ---- */

#define QUEUE_STAGES AT(SET_UP)
#define KICKED       (AT(RUNNING) | AT(BROKEN) | AT(GIVEN_UP) | AT(NO_SUCH_QUEUE)) /* an eventfd takes it, unseen */

static const struct {
        uint16_t offset;
        uint16_t read, written; /* stages */
} permitted[] = {
    {0x000, ALWAYS, 0},       {0x004, ALWAYS, 0},       {0x008, ALWAYS, 0},          {0x00c, ALWAYS, 0},
    {0x010, ALWAYS, 0},       {0x014, 0, ALWAYS},       {0x020, 0, AT(NEGOTIATING)}, {0x024, 0, ALWAYS},
    {0x030, 0, ALWAYS},       {0x034, ALWAYS, 0},       {0x038, 0, QUEUE_STAGES},    {0x044, ALWAYS, ALWAYS},
    {0x050, 0, KICKED},       {0x060, ALWAYS, 0},       {0x064, 0, ALWAYS},          {0x070, ALWAYS, ALWAYS},
    {0x080, 0, QUEUE_STAGES}, {0x084, 0, QUEUE_STAGES}, {0x090, 0, QUEUE_STAGES},    {0x094, 0, QUEUE_STAGES},
    {0x0a0, 0, QUEUE_STAGES}, {0x0a4, 0, QUEUE_STAGES}, {0x0ac, 0, ALWAYS},          {0x0b0, ALWAYS, 0},
    {0x0b4, ALWAYS, 0},       {0x0b8, ALWAYS, 0},       {0x0bc, ALWAYS, 0},          {0x0fc, ALWAYS, 0},
};

static uint32_t may(enum stage stage, uint32_t offset, bool write)
{
        for (uint32_t i = 0; i < sizeof(permitted) / sizeof(permitted[0]); i++)
                if (permitted[i].offset == offset)
                        return (write ? permitted[i].written : permitted[i].read) & AT(stage);
        return 0;
}

/* Values that a register never takes, where others are. */
static const struct {
        uint16_t offset;
        uint16_t stages;
        uint32_t value;
} never[] = {
    {VIRTIO_QUEUE_SIZE, AT(SET_UP), 0},
    {VIRTIO_QUEUE_SIZE, AT(SET_UP), 3},
    {VIRTIO_QUEUE_SIZE, AT(SET_UP), 257},
    {VIRTIO_QUEUE_SIZE, AT(SET_UP), 0x10000},
    {VIRTIO_QUEUE_SIZE, AT(SET_UP), 0x10010},
    {VIRTIO_QUEUE_SIZE, AT(SET_UP), 0xffffffff},
    {VIRTIO_QUEUE_READY, ALWAYS, 2},
    {VIRTIO_QUEUE_READY, ALWAYS, 0x100},
    {VIRTIO_QUEUE_READY, ALWAYS, 0xffffffff},
    {VIRTIO_QUEUE_READY, ALWAYS & ~AT(SET_UP), 1},
    {VIRTIO_QUEUE_READY, AT(NO_SUCH_QUEUE), 0},
    {VIRTIO_QUEUE_NOTIFY, KICKED, ABSENT},
    {VIRTIO_QUEUE_NOTIFY, KICKED, 0x10000},
    {VIRTIO_QUEUE_NOTIFY, KICKED, 0xffffffff},
    {VIRTIO_STATUS, ALWAYS, 0x10},
    {VIRTIO_STATUS, ALWAYS, 0x20},
    {VIRTIO_STATUS, ALWAYS, 0x100},
    {VIRTIO_STATUS, ALWAYS, 0xffffff00},
    {VIRTIO_STATUS, ALWAYS, 0xffffffff},
    {VIRTIO_STATUS, ALWAYS & ~AT(BROKEN), VIRTIO_NEEDS_RESET},
    {VIRTIO_STATUS, ALWAYS, VIRTIO_DRIVER},
    {VIRTIO_STATUS, AT(NEW), VIRTIO_DRIVER_OK},
    {VIRTIO_STATUS, AT(RUNNING) | AT(BROKEN) | AT(GIVEN_UP), VIRTIO_ACKNOWLEDGE},
};

/* ---- one state ---- */

struct sweep {
        const struct virtio *disk;
        enum stage stage;
        uint64_t picture, n; /* of accesses that were refused */
        bool failed;
};

static void mix(struct sweep *sweep, uint64_t *picture, uint32_t offset)
{
        *picture = (*picture ^ mmio_read(sweep->disk->at + offset)) * 0x100000001b3ull;
}

/* All that the registers and the first fields of the configuration say. */
static uint64_t take_picture(struct sweep *sweep)
{
        uint64_t picture = 0xcbf29ce484222325ull;

        for (uint32_t i = 0; i < sizeof(permitted) / sizeof(permitted[0]); i++)
                if (permitted[i].read)
                        mix(sweep, &picture, permitted[i].offset);
        for (uint32_t i = 0; i < 36; i += 4)
                mix(sweep, &picture, VIRTIO_CONFIG + i);
        return picture;
}

static void wrong(struct sweep *sweep, const char *what, uint32_t offset)
{
        put_text(stage_names[sweep->stage]);
        put_text(": ");
        fail("registers", what, offset);
        sweep->failed = true;
}

static void no_read(struct sweep *sweep, uint32_t offset, uint32_t width)
{
        sweep->n++;
        if (bus_read(sweep->disk->at + offset, width) != 0)
                wrong(sweep, "a read of no register is not 0 at", offset);
}

static void no_write(struct sweep *sweep, uint32_t offset, uint32_t width, uint64_t value)
{
        bus_write(sweep->disk->at + offset, width, value);
        sweep->n++;
}

static void look(struct sweep *sweep, uint32_t offset)
{
        if (take_picture(sweep) != sweep->picture)
                wrong(sweep, "a register has changed by accesses up to", offset);
}

static void wrong_widths(struct sweep *sweep, uint32_t offset)
{
        static const uint8_t widths[] = {1, 2, 8};
        uint64_t value = offset == VIRTIO_STATUS ? 0 : 1;

        for (uint32_t i = 0; i < sizeof(widths); i++) {
                no_read(sweep, offset, widths[i]);
                no_write(sweep, offset, widths[i], value);
        }
        for (uint32_t i = 1; i < 4; i++) {
                no_read(sweep, offset + i, 4);
                no_write(sweep, offset + i, 4, 0);
        }
}

static void wrong_times(struct sweep *sweep, uint32_t offset)
{
        static const uint32_t values[] = {0, 1, 0xffffffff};

        if (!may(sweep->stage, offset, false))
                no_read(sweep, offset, 4);
        if (may(sweep->stage, offset, true))
                return;
        for (uint32_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
                no_write(sweep, offset, 4, values[i]);
}

static void wrong_values(struct sweep *sweep, uint32_t offset)
{
        for (uint32_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
                if (never[i].offset == offset && never[i].stages & AT(sweep->stage))
                        no_write(sweep, offset, 4, never[i].value);
}

/* The configuration space: natural widths only, inside of it; and none of these fields is the driver's. */
static void wrong_config(struct sweep *sweep)
{
        static const struct {
                uint16_t offset;
                uint8_t width;
                bool read; /* it may not be read either */
        } accesses[] = {
            {0x101, 2, true},  {0x101, 4, true},  {0x102, 4, true},  {0x104, 8, true},
            {0x103, 8, true},  {0x1fb, 4, true},  {0x100, 1, false}, {0x100, 2, false},
            {0x100, 4, false}, {0x100, 8, false}, {0x10c, 4, false}, {0x11f, 1, false},
            {0x11f, 2, true},  {0x1fc, 4, false}, {0x1f8, 8, false}, {0x1ff, 1, false},
        };

        for (uint32_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
                if (accesses[i].read)
                        no_read(sweep, accesses[i].offset, accesses[i].width);
                no_write(sweep, accesses[i].offset, accesses[i].width, 0x5555555555555555);
        }
        look(sweep, VIRTIO_CONFIG);
}

/* Behind the register file and over its end is nobody, who says ones. Over its beginning comes in two parts, of which the
 * disk refuses one. */
static void wrong_places(struct sweep *sweep)
{
        static const struct {
                uint16_t offset;
                uint8_t width;
        } nobody[] = {{0x1ff, 2}, {0x1fe, 4}, {0x1fc, 8}, {0x200, 1}, {0x200, 2}, {0x200, 4},
                      {0x200, 8}, {0x27f, 2}, {0x801, 4}, {0xffc, 4}, {0xff8, 8}, {0xfff, 1}};
        uint64_t at = sweep->disk->at;

        for (uint32_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++) {
                uint64_t ones = nobody[i].width < 8 ? (1ull << 8 * nobody[i].width) - 1 : UINT64_MAX;

                bus_write(at + nobody[i].offset, nobody[i].width, 0);
                if (bus_read(at + nobody[i].offset, nobody[i].width) != ones)
                        wrong(sweep, "a read of nobody's is not ones at", nobody[i].offset);
        }
        bus_write(at - 1, 2, 0);
        bus_write(at - 2, 4, 0);
        bus_write(at - 4, 8, 0);
        bus_write(at - 1, 8, 0);
        sweep->n += 4;
        (void)bus_read(at + 0xffe, 4);
        (void)bus_read(at + 0xff9, 8);
        look(sweep, REGISTERS);
}

/* What is selected and is not there. */
static void wrong_selections(struct sweep *sweep)
{
        static const uint32_t none[] = {2, 0xff, 0x100, 0xffffffff};
        uint64_t at = sweep->disk->at;

        for (uint32_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
                mmio_write(at + VIRTIO_DEVICE_FEATURES_SEL, none[i]);
                if (mmio_read(at + VIRTIO_DEVICE_FEATURES) != 0)
                        wrong(sweep, "features beyond 63, of", none[i]);
                mmio_write(at + VIRTIO_SHM_SEL, none[i]);
                for (uint32_t word = 0; word < 16; word += 4)
                        if (mmio_read(at + VIRTIO_SHM_WORDS + word) != 0xffffffff)
                                wrong(sweep, "a region that is not there", none[i]);
        }
        mmio_write(at + VIRTIO_DEVICE_FEATURES_SEL, 0);
        look(sweep, VIRTIO_SHM_SEL);
}

/* The queue that was there before is there still. */
static bool still_serves(const struct virtio *disk)
{
        struct virtio running = {
            .at = disk->at, .vector = disk->vector, .ring = (struct virtio_ring *)SCRATCH};

        return blk_round(&running, 0xc, 1);
}

static bool sweep_stage(const struct virtio *disk, enum stage stage, uint64_t *n)
{
        struct sweep sweep = {.disk = disk, .stage = stage};

        enter(disk, stage);
        sweep.picture = take_picture(&sweep);
        for (uint32_t offset = 0; offset < REGISTERS && !sweep.failed; offset += 4) {
                wrong_widths(&sweep, offset);
                wrong_times(&sweep, offset);
                wrong_values(&sweep, offset);
                if (offset % LOOK_EVERY == LOOK_EVERY - 4)
                        look(&sweep, offset);
        }
        wrong_config(&sweep);
        wrong_places(&sweep);
        wrong_selections(&sweep);
        *n += sweep.n;
        if (!sweep.failed && (stage == RUNNING || stage == NO_SUCH_QUEUE))
                return still_serves(disk);
        return !sweep.failed;
}

static bool attack(struct virtio *disk, uint32_t n_disks, uint64_t *ret_n)
{
        (void)n_disks;
        for (enum stage stage = 0; stage < STAGES; stage++)
                if (!sweep_stage(disk, stage, ret_n))
                        return false;
        return true;
}

/* registers: "ok registers N": N accesses that the disk must have counted as refused. */
void test_registers(void)
{
        hostile_test("registers", attack);
}
