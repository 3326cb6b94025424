/* When the legacy interface commits features: every order of Status writes, feature writes, kicks and resets up to a length, and random
 * walks, against a model that knows virtio 1.3, 2.1 and 3.1.2 and nothing of the device. The modern interface: test_virtio_mmio_commit.c.
 * TRUST: it plays every driver, also those that there cannot be.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/kvm/mmio_bus.h"
#include "tests/wire/fake_device.h"

#define BIT(n)      (UINT64_C(1) << (n))
#define OFFERED     (BIT(29) | BIT(28) | BIT(9))
#define LEGACY_LIVE (STATUS_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK)
#define STATUS_ALL  (LEGACY_LIVE | VIRTIO_CONFIG_S_FAILED)
#define LENGTH      6u
#define WALK        1000000u
#define HIGHEST_SEL 2u

static struct device device;
static struct mmio_bus bus;

/* ---- the model, of a device with one queue ---- */

static struct model {
        uint32_t status;
        uint64_t chosen[2]; /* 128 bits */
        uint64_t committed;
        bool used, placed, runs;
        unsigned commits, resets;
} model;

static bool model_has(uint32_t bits)
{
        return (model.status & bits) == bits;
}

static bool model_ended(void)
{
        return model.status & (VIRTIO_CONFIG_S_FAILED | NEEDS_RESET);
}

/* The first use: what was chosen is final, or the device is broken. */
static void model_use(void)
{
        if (model.used)
                return;
        if ((model.chosen[0] & ~OFFERED) || model.chosen[1]) {
                model.status |= NEEDS_RESET;
                return;
        }
        model.used = true;
        model.committed = model.chosen[0];
        model.commits++;
}

static void model_write_features(uint32_t sel, uint32_t value)
{
        uint64_t *words = &model.chosen[sel / 2];
        unsigned shift = 32 * (sel % 2);

        if (model_has(STATUS_DRIVER) && !model_has(LEGACY_LIVE) && !model.used && !model_ended())
                *words = (*words & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)value << shift;
}

static void model_write_pfn(bool there)
{
        if (!there) {
                model.placed = model.runs = false;
        } else if (!model.placed && model_has(STATUS_DRIVER) && !model_ended()) {
                model.placed = true;
                model.runs = model_has(LEGACY_LIVE);
        }
}

static void model_kick(void)
{
        if (!model.placed || !model_has(STATUS_DRIVER) || model_ended())
                return;
        model_use();
        model.runs |= !model_ended();
}

static void model_write_status(uint32_t value)
{
        bool ended = model_ended();

        if (value == 0) {
                model = (struct model){.commits = model.commits, .resets = model.resets + 1};
                return;
        }
        if ((value & ~(STATUS_ALL | model.status)) || (~value & model.status & STATUS_ALL))
                return;
        if (value & VIRTIO_CONFIG_S_ACKNOWLEDGE)
                model.status |= VIRTIO_CONFIG_S_ACKNOWLEDGE;
        if ((value & VIRTIO_CONFIG_S_DRIVER) && model_has(VIRTIO_CONFIG_S_ACKNOWLEDGE))
                model.status |= VIRTIO_CONFIG_S_DRIVER;
        if ((value & VIRTIO_CONFIG_S_DRIVER_OK) && model_has(STATUS_DRIVER) && !model_has(LEGACY_LIVE) &&
            !ended) {
                model.status |= VIRTIO_CONFIG_S_DRIVER_OK;
                model_use();
                model.runs |= model.placed && !model_ended();
        }
        model.status |= value & VIRTIO_CONFIG_S_FAILED;
}

/* ---- both at once ---- */

enum action {
        WRITE_STATUS = 0,
        WRITE_FEATURES,
        WRITE_PFN,
        KICK,
};

struct step {
        const char *name;
        enum action action;
        uint32_t sel, value;
};

static void take(const struct step *step)
{
        switch (step->action) {
        case WRITE_STATUS:
                bus_write(&bus, VIRTIO_MMIO_STATUS, step->value);
                model_write_status(step->value);
                break;
        case WRITE_FEATURES:
                bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES_SEL, step->sel);
                bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES, step->value);
                model_write_features(step->sel, step->value);
                break;
        case WRITE_PFN:
                bus_write(&bus, VIRTIO_MMIO_QUEUE_NUM, 8);
                bus_write(&bus, VIRTIO_MMIO_QUEUE_ALIGN, 4096);
                bus_write(&bus, VIRTIO_MMIO_QUEUE_PFN, step->value);
                fake_device_turn(&device); /* what stops has stopped */
                model_write_pfn(step->value > 0);
                break;
        case KICK:
                bus_write(&bus, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
                model_kick();
                break;
        }
}

static bool agree(void)
{
        return bus_read(&bus, VIRTIO_MMIO_STATUS) == model.status && device.committed == model.committed &&
               device.commits == model.commits && device.resets == model.resets &&
               (bus_read(&bus, VIRTIO_MMIO_QUEUE_PFN) > 0) == model.placed &&
               device.queues[0].running == model.runs;
}

static void begin(void)
{
        struct guest_memory *memory = guest_memory_new();

        fake_device_init(&device);
        bus_open_legacy(&bus, &device, memory, GUEST_LEGACY_BIG);
        guest_memory_unref(memory);
        bus_write(&bus, VIRTIO_MMIO_GUEST_PAGE_SIZE, 4096);
        memset(&model, 0, sizeof(model));
}

static void end(void)
{
        bus_close(&bus);
        fake_device_done(&device);
}

/* ---- every order ---- */

static const struct step steps[] = {
    {"reset", WRITE_STATUS, 0, 0},
    {"ACKNOWLEDGE", WRITE_STATUS, 0, VIRTIO_CONFIG_S_ACKNOWLEDGE},
    {"DRIVER", WRITE_STATUS, 0, STATUS_DRIVER},
    {"FEATURES_OK", WRITE_STATUS, 0, STATUS_FEATURES_OK},
    {"DRIVER_OK", WRITE_STATUS, 0, LEGACY_LIVE},
    {"some bits", WRITE_FEATURES, 0, 1u << 29 | 1u << 9},
    {"a bit that was not offered", WRITE_FEATURES, 0, 1},
    {"VERSION_1", WRITE_FEATURES, 1, 1},
    {"a queue", WRITE_PFN, 0, 7},
    {"no queue", WRITE_PFN, 0, 0},
    {"a kick", KICK, 0, 0},
};
#define STEPS array_size(steps)

static void run_order(const size_t *order)
{
        static const struct step reset = {"reset", WRITE_STATUS, 0, 0};

        take(&reset);
        for (size_t i = 0; i < LENGTH; i++) {
                take(&steps[order[i]]);
                if (agree())
                        continue;
                print_error("after:");
                for (size_t k = 0; k <= i; k++)
                        print_error(" [%s]", steps[order[k]].name);
                fail_msg(" status=0x%x, not 0x%x; committed=0x%llx, not 0x%llx",
                         bus_read(&bus, VIRTIO_MMIO_STATUS), model.status,
                         (unsigned long long)device.committed, (unsigned long long)model.committed);
        }
}

/* All that are shorter are the beginnings of these. */
static void every_order_of_six_steps_does_what_the_standard_says(void **state)
{
        size_t order[LENGTH] = {0}, at = 0;

        (void)state;
        begin();
        do {
                run_order(order);
                for (at = 0; at < LENGTH && ++order[at] == STEPS; at++)
                        order[at] = 0;
        } while (at < LENGTH);
        end();
}

/* ---- random walks ---- */

static uint64_t seed = 20;

static uint32_t below(uint32_t n)
{
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t)(seed >> 33) % n;
}

/* Mostly what can be had: else no walk would come far. */
static struct step random_step(void)
{
        static const uint32_t values[] = {VIRTIO_CONFIG_S_ACKNOWLEDGE, STATUS_DRIVER, STATUS_DRIVER,
                                          LEGACY_LIVE};

        switch (below(8)) {
        case 0:
                return (struct step){"", WRITE_STATUS, 0, below(3) ? values[below(array_size(values))] : 0};
        case 1:
        case 2:
                return (struct step){"", WRITE_STATUS, 0,
                                     below(10) ? values[below(array_size(values))] : below(256)};
        case 3:
                return (struct step){"", WRITE_FEATURES, below(8) ? 0 : below(HIGHEST_SEL + 1),
                                     below(8) ? (uint32_t)OFFERED & below(UINT32_MAX) : below(4)};
        case 4:
                return (struct step){"", WRITE_PFN, 0, 1 + below(1000)};
        case 5:
                return (struct step){"", WRITE_PFN, 0, 0};
        default:
                return (struct step){"", KICK, 0, 0};
        }
}

static void a_million_random_steps_agree_with_the_model(void **state)
{
        unsigned early = 0;

        (void)state;
        begin();
        for (unsigned i = 0; i < WALK; i++) {
                const struct step step = random_step();

                take(&step);
                if (!agree())
                        fail_msg("step %u", i);
                early += model.runs && !model_has(LEGACY_LIVE);
        }
        assert_true(model.commits > WALK / 100); /* they came so far */
        assert_true(early > WALK / 100);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_order_of_six_steps_does_what_the_standard_says),
            cmocka_unit_test(a_million_random_steps_agree_with_the_model),
        };

        return cmocka_run_group_tests_name("virtio_mmio_legacy_commit", tests, NULL, NULL);
}
