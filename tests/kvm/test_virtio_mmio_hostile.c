/* The hostile matrix: every register, in every state of a device, in every width, with values that it may not have. Each
 * access must be refused, counted once, read as zeros, and leave no bit of the transport or of the device as another one.
 *
 * What is permitted is written down here once more, from virtio 1.3, 4.2.2 and 4.2.2.2, not taken from the code.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "broker/kvm/virtio_mmio_state.h"
#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "tests/kvm/mmio_bus.h"
#include "tests/wire/fake_device.h"

#define VERSION_1   (UINT64_C(1) << 32)
#define CASES_LEAST 168u

static struct device device;
static struct mmio_bus bus;
static unsigned n_cases;

/* ---- the states ---- */

static const struct queue_layout layout = {
    .size = 64, .desc = GPA(0x10000), .avail = GPA(0x20000), .used = GPA(0x30000)};

static void new_device(void)
{
        (void)bus_read(&bus, VIRTIO_MMIO_STATUS);
}

static void acknowledged(void)
{
        bus_write(&bus, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
}

static void negotiating(void)
{
        bus_write(&bus, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES, 1);
}

/* Queue 0 is ready, queue 1 is half set up and selected. */
static void set_up(void)
{
        bus_negotiate(&bus, VERSION_1);
        bus_set_up(&bus, 0, &layout);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_SEL, 1);
        bus_write(&bus, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x40000);
}

static void latched(void)
{
        set_up();
        bus_write(&bus, VIRTIO_MMIO_QUEUE_SEL, 0);
}

static void live(void)
{
        set_up();
        bus_live(&bus);
}

static void running(void)
{
        latched();
        bus_live(&bus);
}

static void draining(void)
{
        running();
        device.hold = true;
        bus_write(&bus, VIRTIO_MMIO_QUEUE_READY, 0);
        bus_access(&bus, VIRTIO_MMIO_CONFIG + 4, 4, true, 1);
        bus_access(&bus, VIRTIO_MMIO_CONFIG + 8, 4, true, 2);
}

static void broken(void)
{
        running();
        device.front.broken(device.front.context, 0, QUEUE_FAULT_HEAD);
        atomic_fetch_or(device.front.interrupt_status, 1);
}

static void given_up(void)
{
        running();
        bus_write(&bus, VIRTIO_MMIO_STATUS, STATUS_LIVE | VIRTIO_CONFIG_S_FAILED);
}

static void absent_queue(void)
{
        running();
        bus_write(&bus, VIRTIO_MMIO_QUEUE_SEL, FAKE_QUEUES);
}

enum stage {
        NEW = 0,
        ACKNOWLEDGED,
        NEGOTIATING,
        SET_UP,
        LATCHED,
        LIVE,
        RUNNING,
        DRAINING,
        BROKEN,
        GIVEN_UP,
        ABSENT_QUEUE,
        STAGES,
};

static void (*const stages[STAGES])(void) = {
    [NEW] = new_device,    [ACKNOWLEDGED] = acknowledged, [NEGOTIATING] = negotiating,
    [SET_UP] = set_up,     [LATCHED] = latched,           [LIVE] = live,
    [RUNNING] = running,   [DRAINING] = draining,         [BROKEN] = broken,
    [GIVEN_UP] = given_up, [ABSENT_QUEUE] = absent_queue,
};

#define AT(stage) (1u << (stage))
#define NOWHERE   0u
#define ANYWHERE  ((1u << STAGES) - 1)

static void begin(unsigned stage)
{
        struct guest_memory *memory = guest_memory_new();

        log_init("hostile", LOG_LEVEL_ERROR); /* of each refusal there is a line */
        fake_device_init(&device);
        bus_open(&bus, &device, memory, NULL, 0);
        guest_memory_unref(memory);
        stages[stage]();
        (void)bus_interrupts(&bus);
}

/* And the next driver finds a device that works. */
static void end(void)
{
        device.hold = false;
        bus_write(&bus, VIRTIO_MMIO_STATUS, 0);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_STATUS), 0);
        bus_negotiate(&bus, VERSION_1);
        bus_set_up(&bus, 0, &layout);
        bus_live(&bus);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_STATUS), STATUS_LIVE);
        assert_true(device.queues[0].running);
        assert_int_equal(device.queues[0].layout.desc.v, layout.desc.v);
        bus_close(&bus);
        fake_device_done(&device);
}

/* ---- one case ---- */

/* All that there is, but the two counters. */
static void take_picture(struct virtio_mmio *ret_mmio)
{
        memcpy(ret_mmio, bus.mmio, sizeof(*ret_mmio));
        memset(&ret_mmio->accesses, 0, sizeof(ret_mmio->accesses));
        memset(&ret_mmio->refused, 0, sizeof(ret_mmio->refused));
}

static void is_refused(unsigned stage, uint64_t offset, unsigned len, bool write, uint64_t value)
{
        static struct virtio_mmio before, after;
        static struct device device_before;
        uint64_t refused = bus_refused(&bus), shown;
        unsigned tied = bus_n_tied(&bus);

        take_picture(&before);
        memcpy(&device_before, &device, sizeof(device));
        shown = bus_access(&bus, offset, len, write, value);
        take_picture(&after);
        n_cases++;
        if (bus_refused(&bus) == refused + 1 && (write || shown == 0) && bus_n_tied(&bus) == tied &&
            bus_interrupts(&bus) == 0 && memcmp(&before, &after, sizeof(before)) == 0 &&
            memcmp(&device, &device_before, sizeof(device)) == 0)
                return;
        fail_msg("stage %u: %s of %u bytes at 0x%llx, value 0x%llx: refused %llu, shown 0x%llx", stage,
                 write ? "write" : "read", len, (unsigned long long)offset, (unsigned long long)value,
                 (unsigned long long)(bus_refused(&bus) - refused), (unsigned long long)shown);
}

/* ---- what is permitted ---- */

#define FEATURE_STAGES AT(NEGOTIATING)
#define QUEUE_STAGES   (AT(SET_UP) | AT(LIVE)) /* with a selected queue that is there and idle */

static const struct {
        uint32_t offset;
        bool readable;
        unsigned writable; /* stages */
} registers[] = {
    {0x000, true, NOWHERE},
    {0x004, true, NOWHERE},
    {0x008, true, NOWHERE},
    {0x00c, true, NOWHERE},
    {0x010, true, NOWHERE},
    {0x014, false, ANYWHERE},
    {0x020, false, FEATURE_STAGES},
    {0x024, false, ANYWHERE},
    {0x030, false, ANYWHERE},
    {0x034, true, NOWHERE},
    {0x038, false, QUEUE_STAGES},
    {0x044, true, ANYWHERE & ~AT(ABSENT_QUEUE)}, /* 0, at least */
    {0x050, false, AT(RUNNING) | AT(LIVE) | AT(ABSENT_QUEUE)},
    {0x060, true, NOWHERE},
    {0x064, false, ANYWHERE},
    {0x070, true, ANYWHERE},
    {0x080, false, QUEUE_STAGES},
    {0x084, false, QUEUE_STAGES},
    {0x090, false, QUEUE_STAGES},
    {0x094, false, QUEUE_STAGES},
    {0x0a0, false, QUEUE_STAGES},
    {0x0a4, false, QUEUE_STAGES},
    {0x0ac, false, ANYWHERE},
    {0x0b0, true, NOWHERE},
    {0x0b4, true, NOWHERE},
    {0x0b8, true, NOWHERE},
    {0x0bc, true, NOWHERE},
    {0x0fc, true, NOWHERE},
};

static bool readable(uint32_t offset)
{
        for (unsigned i = 0; i < array_size(registers); i++)
                if (registers[i].offset == offset)
                        return registers[i].readable;
        return false;
}

static bool writable(uint32_t offset, unsigned stage)
{
        for (unsigned i = 0; i < array_size(registers); i++)
                if (registers[i].offset == offset)
                        return registers[i].writable & AT(stage);
        return false;
}

static const uint64_t values[] = {0,
                                  1,
                                  2,
                                  3,
                                  4,
                                  8,
                                  11,
                                  15,
                                  64,
                                  128,
                                  255,
                                  256,
                                  0x1000,
                                  0xffff,
                                  0x10000,
                                  0x7fffffff,
                                  0x80000000,
                                  0xffffffff,
                                  UINT64_C(0xffffffff00000000),
                                  UINT64_MAX};

/* ---- the matrix ---- */

static void no_register_is_reached_by_another_width_or_at_another_place(void **state)
{
        (void)state;
        for (unsigned stage = 0; stage < STAGES; stage++) {
                begin(stage);
                for (uint32_t offset = 0; offset < 0x100; offset++)
                        for (unsigned len = 0; len <= 8; len++) {
                                if (len == 4 && offset % 4 == 0)
                                        continue;
                                is_refused(stage, offset, len, false, 0);
                                is_refused(stage, offset, len, true, 0);
                                is_refused(stage, offset, len, true, 1);
                                is_refused(stage, offset, len, true, UINT64_MAX);
                        }
                end();
        }
}

static void no_register_is_read_that_is_to_be_written(void **state)
{
        (void)state;
        for (unsigned stage = 0; stage < STAGES; stage++) {
                begin(stage);
                for (uint32_t offset = 0; offset < 0x100; offset += 4)
                        if (!readable(offset))
                                is_refused(stage, offset, 4, false, 0);
                end();
        }
}

static void no_register_is_written_where_it_may_not_be(void **state)
{
        (void)state;
        for (unsigned stage = 0; stage < STAGES; stage++) {
                begin(stage);
                for (uint32_t offset = 0; offset < 0x100; offset += 4)
                        for (unsigned i = 0; i < array_size(values) && !writable(offset, stage); i++)
                                is_refused(stage, offset, 4, true, values[i]);
                end();
        }
}

static void nothing_is_behind_the_registers(void **state)
{
        static const uint64_t places[] = {0x200,
                                          0x204,
                                          0x3f0,
                                          0xffc,
                                          0x1000,
                                          0x10000,
                                          UINT64_C(1) << 32,
                                          (UINT64_C(1) << 32) + 0x70,
                                          UINT64_MAX - 7,
                                          UINT64_MAX};

        (void)state;
        for (unsigned stage = 0; stage < STAGES; stage++) {
                begin(stage);
                for (unsigned i = 0; i < array_size(places); i++)
                        for (unsigned len = 1; len <= 8; len++) {
                                is_refused(stage, places[i], len, false, 0);
                                is_refused(stage, places[i], len, true, UINT64_MAX);
                        }
                end();
        }
}

/* The stages in which a driver may write the configuration space, and no write of it is under way yet. */
#define CONFIG_STAGES (AT(SET_UP) | AT(LATCHED) | AT(LIVE) | AT(RUNNING) | AT(ABSENT_QUEUE) | AT(DRAINING))

static void the_configuration_space_is_not_written_too_early_or_late(void **state)
{
        (void)state;
        for (unsigned stage = 0; stage < STAGES; stage++) {
                begin(stage);
                for (uint32_t at = 0; at < 64 && !(CONFIG_STAGES & AT(stage)); at += 4) {
                        is_refused(stage, 0x100 + at, 1, true, 0xff);
                        is_refused(stage, 0x100 + at, 2, true, 0xffff);
                        is_refused(stage, 0x100 + at, 4, true, 0xffffffff);
                        is_refused(stage, 0x100 + at / 8 * 8, 8, true, UINT64_MAX);
                }
                end();
        }
}

static bool is_natural(uint32_t at, unsigned len)
{
        return (len == 1 || len == 2 || len == 4 || len == 8) && at % len == 0;
}

static void the_configuration_space_is_not_reached_by_odd_widths(void **state)
{
        (void)state;
        for (unsigned stage = 0; stage < STAGES; stage++) {
                begin(stage);
                for (uint32_t at = 0; at < 0x100; at++)
                        for (unsigned len = 0; len <= 8; len++) {
                                if (is_natural(at, len))
                                        continue;
                                is_refused(stage, 0x100 + at, len, false, 0);
                                is_refused(stage, 0x100 + at, len, true, UINT64_MAX);
                        }
                end();
        }
}

/* ---- wrong values of registers that may be written ---- */

#define HAS_FEATURES (ANYWHERE & ~(AT(NEW) | AT(ACKNOWLEDGED) | AT(NEGOTIATING)))
#define IS_LIVE      (AT(LIVE) | AT(RUNNING) | AT(DRAINING) | AT(ABSENT_QUEUE))

static const struct {
        const char *name;
        unsigned stages;
        uint32_t offset, value;
} wrong[] = {
    {"a driver before it has acknowledged", AT(NEW), 0x070, 2},
    {"features before a driver", AT(NEW), 0x070, 8},
    {"features before a driver", AT(ACKNOWLEDGED), 0x070, 9},
    {"running before anything", AT(NEW), 0x070, 4},
    {"running before a driver", AT(ACKNOWLEDGED), 0x070, 5},
    {"running before features", AT(NEGOTIATING), 0x070, 7},
    {"the device's own bit", AT(NEW), 0x070, 64},
    {"the device's own bit", AT(ACKNOWLEDGED), 0x070, 65},
    {"the device's own bit", AT(NEGOTIATING), 0x070, 67},
    {"the device's own bit", AT(SET_UP) | AT(LATCHED), 0x070, 75},
    {"the device's own bit", IS_LIVE, 0x070, 79},
    {"the device's own bit", AT(GIVEN_UP), 0x070, 143 | 64},
    {"a bit of no meaning", ANYWHERE, 0x070, 16},
    {"a bit of no meaning", ANYWHERE, 0x070, 32},
    {"a bit of no meaning", IS_LIVE, 0x070, 15 | 16},
    {"a bit of no meaning", IS_LIVE, 0x070, 15 | 32},
    {"no reset", ANYWHERE, 0x070, 0x100},
    {"no reset", ANYWHERE, 0x070, 0x10000},
    {"no reset", ANYWHERE, 0x070, 0x80000000},
    {"all bits", ANYWHERE, 0x070, 0xffffffff},
    {"all bits of a byte", ANYWHERE, 0x070, 0xff},
    {"taken back: DRIVER", HAS_FEATURES | AT(NEGOTIATING), 0x070, 1},
    {"taken back: ACKNOWLEDGE", HAS_FEATURES | AT(NEGOTIATING), 0x070, 2},
    {"taken back: FEATURES_OK", HAS_FEATURES, 0x070, 3},
    {"taken back: FEATURES_OK", IS_LIVE, 0x070, 7},
    {"taken back: DRIVER_OK", IS_LIVE, 0x070, 11},
    {"taken back: FAILED", AT(GIVEN_UP), 0x070, 15},
    {"taken back by a broken one", AT(BROKEN), 0x070, 11},
    {"taken back by a broken one", AT(BROKEN), 0x070, 64},
    {"no size", QUEUE_STAGES, 0x038, 0},
    {"no power of two", QUEUE_STAGES, 0x038, 3},
    {"no power of two", QUEUE_STAGES, 0x038, 255},
    {"over QueueNumMax", QUEUE_STAGES, 0x038, 257},
    {"over QueueNumMax", QUEUE_STAGES, 0x038, 512},
    {"over QueueNumMax", QUEUE_STAGES, 0x038, 32768},
    {"more than 16 bits", QUEUE_STAGES, 0x038, 0x10000},
    {"more than 16 bits", QUEUE_STAGES, 0x038, 0x10040},
    {"more than 16 bits", QUEUE_STAGES, 0x038, 0x80000000},
    {"ready without a size", QUEUE_STAGES | AT(NEW) | AT(ACKNOWLEDGED) | AT(NEGOTIATING), 0x044, 1},
    {"ready once more", AT(LATCHED) | AT(RUNNING) | AT(DRAINING) | AT(BROKEN) | AT(GIVEN_UP), 0x044, 1},
    {"neither 0 nor 1", ANYWHERE, 0x044, 2},
    {"neither 0 nor 1", ANYWHERE, 0x044, 3},
    {"neither 0 nor 1", ANYWHERE, 0x044, 0x100},
    {"neither 0 nor 1", ANYWHERE, 0x044, 0x80000001},
    {"neither 0 nor 1", ANYWHERE, 0x044, 0xffffffff},
    {"of an absent queue", AT(ABSENT_QUEUE), 0x044, 0},
    {"a kick of an idle queue", ANYWHERE, 0x050, 1},
    {"a kick of an idle queue", ANYWHERE, 0x050, FAKE_QUEUES - 1},
    {"a kick of a queue that does not run", ANYWHERE & ~(AT(LIVE) | AT(RUNNING) | AT(ABSENT_QUEUE)), 0x050,
     0},
    {"a kick of an absent queue", ANYWHERE, 0x050, FAKE_QUEUES},
    {"a kick of an absent queue", ANYWHERE, 0x050, LIMIT_QUEUES},
    {"a kick of an absent queue", ANYWHERE, 0x050, 0xffff},
    {"a kick with data", ANYWHERE, 0x050, 0x10000},
    {"a kick with data", ANYWHERE, 0x050, 0xffff0000},
    {"a kick of an absent queue", ANYWHERE, 0x050, 0xffffffff},
};

static void no_register_takes_a_wrong_value(void **state)
{
        (void)state;
        for (unsigned stage = 0; stage < STAGES; stage++) {
                begin(stage);
                for (unsigned i = 0; i < array_size(wrong); i++)
                        if (wrong[i].stages & AT(stage))
                                is_refused(stage, wrong[i].offset, 4, true, wrong[i].value);
                end();
        }
}

static void the_matrix_is_not_empty(void **state)
{
        (void)state;
        print_message("%u hostile accesses, all refused\n", n_cases);
        assert_true(n_cases >= CASES_LEAST);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(no_register_is_reached_by_another_width_or_at_another_place),
            cmocka_unit_test(no_register_is_read_that_is_to_be_written),
            cmocka_unit_test(no_register_is_written_where_it_may_not_be),
            cmocka_unit_test(nothing_is_behind_the_registers),
            cmocka_unit_test(the_configuration_space_is_not_written_too_early_or_late),
            cmocka_unit_test(the_configuration_space_is_not_reached_by_odd_widths),
            cmocka_unit_test(no_register_takes_a_wrong_value),
            cmocka_unit_test(the_matrix_is_not_empty),
        };

        return cmocka_run_group_tests_name("virtio_mmio_hostile", tests, NULL, NULL);
}
