/* When features are committed: every order of Status writes, feature writes and resets up to a length, and random walks, against a model
 * that knows virtio 1.3, 2.1, 2.2 and 3.1.1 and nothing of the device.
 * TRUST: it plays every driver, also those that there cannot be.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/kvm/mmio_bus.h"
#include "tests/wire/fake_device.h"

#define BIT(n)   (UINT64_C(1) << (n))
#define PLATFORM BIT(33)
/* The fake is a disk: its own bits, the broker's, and one that the VM adds. */
#define OFFERED     (BIT(32) | BIT(29) | BIT(28) | BIT(9) | PLATFORM)
#define LENGTH      6u
#define WALK        1000000u
#define STATUS_ALL  (STATUS_LIVE | VIRTIO_CONFIG_S_FAILED)
#define HIGHEST_SEL 3u

static struct device device;
static struct mmio_bus bus;

/* ---- the model ---- */

static struct model {
        uint32_t status, sel;
        uint64_t chosen[2]; /* 128 bits */
        uint64_t committed;
        unsigned commits, resets;
} model;

static void model_write_features(uint32_t value)
{
        uint64_t *words = &model.chosen[model.sel / 2];
        unsigned shift = 32 * (model.sel % 2);
        bool negotiating = (model.status & STATUS_DRIVER) == STATUS_DRIVER &&
                           !(model.status & (VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_FAILED));

        if (negotiating)
                *words = (*words & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)value << shift;
}

static bool model_accepts(void)
{
        return !(model.chosen[0] & ~OFFERED) && model.chosen[1] == 0 && (model.chosen[0] & BIT(32));
}

static bool model_has(uint32_t bits)
{
        return (model.status & bits) == bits;
}

static void model_write_status(uint32_t value)
{
        bool given_up;

        if (value == 0) {
                model = (struct model){.commits = model.commits, .resets = model.resets + 1};
                return;
        }
        if ((value & ~(uint32_t)STATUS_ALL) || (~value & model.status & STATUS_ALL))
                return;
        given_up = model.status & VIRTIO_CONFIG_S_FAILED;
        if (value & VIRTIO_CONFIG_S_ACKNOWLEDGE)
                model.status |= VIRTIO_CONFIG_S_ACKNOWLEDGE;
        if ((value & VIRTIO_CONFIG_S_DRIVER) && model_has(VIRTIO_CONFIG_S_ACKNOWLEDGE))
                model.status |= VIRTIO_CONFIG_S_DRIVER;
        if ((value & VIRTIO_CONFIG_S_FEATURES_OK) && model_has(STATUS_DRIVER) &&
            !model_has(VIRTIO_CONFIG_S_FEATURES_OK) && !given_up && model_accepts()) {
                model.status |= VIRTIO_CONFIG_S_FEATURES_OK;
                model.committed = model.chosen[0] & ~PLATFORM; /* the transport's own */
                model.commits++;
        }
        if ((value & VIRTIO_CONFIG_S_DRIVER_OK) && model_has(STATUS_FEATURES_OK) && !given_up)
                model.status |= VIRTIO_CONFIG_S_DRIVER_OK;
        model.status |= value & VIRTIO_CONFIG_S_FAILED;
}

/* ---- both at once ---- */

static void write_status(uint32_t value)
{
        bus_write(&bus, VIRTIO_MMIO_STATUS, value);
        model_write_status(value);
}

static void write_features(uint32_t sel, uint32_t value)
{
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES_SEL, sel);
        model.sel = sel;
        bus_write(&bus, VIRTIO_MMIO_DRIVER_FEATURES, value);
        model_write_features(value);
}

static bool agree(void)
{
        return bus_read(&bus, VIRTIO_MMIO_STATUS) == model.status && device.committed == model.committed &&
               device.commits == model.commits && device.resets == model.resets;
}

static void begin(void)
{
        struct guest_memory *memory = guest_memory_new();

        fake_device_init(&device);
        bus_open_adding(&bus, &device, memory,
                        PLATFORM | BIT(30) | BIT(40)); /* of which one is a transport's */
        guest_memory_unref(memory);
        memset(&model, 0, sizeof(model));
}

static void end(void)
{
        bus_close(&bus);
        fake_device_done(&device);
}

/* ---- every order ---- */

static const struct step {
        const char *name;
        bool status;
        uint32_t sel, value;
} steps[] = {
    {"reset", true, 0, 0},
    {"ACKNOWLEDGE", true, 0, VIRTIO_CONFIG_S_ACKNOWLEDGE},
    {"DRIVER", true, 0, STATUS_DRIVER},
    {"FEATURES_OK", true, 0, STATUS_FEATURES_OK},
    {"DRIVER_OK", true, 0, STATUS_LIVE},
    {"some bits", false, 0, 1u << 29 | 1u << 9},
    {"other bits", false, 0, 1u << 28},
    {"a bit that was not offered", false, 0, 1},
    {"VERSION_1", false, 1, 1},
    {"VERSION_1 and ACCESS_PLATFORM", false, 1, 3},
};
#define STEPS array_size(steps)

static void take(const struct step *step)
{
        if (step->status)
                write_status(step->value);
        else
                write_features(step->sel, step->value);
}

static void say_order(const size_t *order, size_t n)
{
        print_error("after:");
        for (size_t i = 0; i < n; i++)
                print_error(" [%s]", steps[order[i]].name);
        print_error(" status=0x%x, not 0x%x; committed=0x%llx, not 0x%llx\n",
                    bus_read(&bus, VIRTIO_MMIO_STATUS), model.status, (unsigned long long)device.committed,
                    (unsigned long long)model.committed);
}

static void run_order(const size_t *order)
{
        write_status(0);
        for (size_t i = 0; i < LENGTH; i++) {
                take(&steps[order[i]]);
                if (agree())
                        continue;
                say_order(order, i + 1);
                fail();
        }
}

/* All that are shorter are the beginnings of these. */
static void every_order_of_six_steps_does_what_the_standard_says(void **state)
{
        size_t order[LENGTH] = {0}, at = 0, n = 0;

        (void)state;
        begin();
        do {
                run_order(order);
                n++;
                for (at = 0; at < LENGTH && ++order[at] == STEPS; at++)
                        order[at] = 0;
        } while (at < LENGTH);
        assert_int_equal(n, STEPS * STEPS * STEPS * STEPS * STEPS * STEPS);
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
static uint32_t random_word(uint32_t sel)
{
        uint64_t some = (uint64_t)below(UINT32_MAX) << 32 | below(UINT32_MAX);

        if (sel > 1)
                return below(8) == 0;
        if (below(4) > 0)
                some &= OFFERED;
        if (below(4) > 0)
                some |= BIT(32);
        return (uint32_t)(some >> (32 * sel));
}

static void random_status(void)
{
        static const uint32_t values[] = {STATUS_DRIVER, STATUS_FEATURES_OK, STATUS_FEATURES_OK, STATUS_LIVE,
                                          VIRTIO_CONFIG_S_ACKNOWLEDGE};

        if (below(12) == 0)
                write_status(0);
        else if (below(10) == 0)
                write_status(below(256));
        else
                write_status(values[below(array_size(values))]);
}

static void a_million_random_steps_agree_with_the_model(void **state)
{
        unsigned commits = 0;

        (void)state;
        begin();
        for (unsigned i = 0; i < WALK; i++) {
                uint32_t sel = below(10) == 0 ? below(HIGHEST_SEL + 1) : below(2);

                if (below(2))
                        random_status();
                else
                        write_features(sel, random_word(sel));
                if (!agree())
                        fail_msg("step %u", i);
                commits = model.commits;
        }
        assert_true(commits > WALK / 100); /* they came so far */
        end();
}

/* ---- what the sets are ---- */

static void the_guest_s_bit_33_is_the_transport_s_alone(void **state)
{
        (void)state;
        begin();
        assert_int_equal(bus_offered(&bus), OFFERED);
        bus_negotiate(&bus, OFFERED);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_STATUS), STATUS_FEATURES_OK);
        assert_int_equal(device.committed, OFFERED & ~PLATFORM);
        end();
}

/* The fake says that it is a network, whose bits need each other. */
static void a_bit_without_what_it_needs_gets_no_features_ok(void **state)
{
        const uint64_t plain = BIT(32) | BIT(5), control = BIT(17), pairs = BIT(22);
        struct guest_memory *memory = guest_memory_new();

        (void)state;
        fake_device_init(&device);
        device.virtio_id = 1;
        device.features = plain | pairs;
        bus_open(&bus, &device, memory, NULL, 0);
        guest_memory_unref(memory);
        assert_int_equal(bus_offered(&bus), plain); /* it has no control queue */
        device.features = plain | control | pairs;
        assert_int_equal(bus_offered(&bus), plain | control | pairs);
        bus_negotiate(&bus, plain | pairs);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_STATUS), STATUS_DRIVER);
        bus_negotiate(&bus, plain | pairs | control);
        assert_int_equal(bus_read(&bus, VIRTIO_MMIO_STATUS), STATUS_FEATURES_OK);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_order_of_six_steps_does_what_the_standard_says),
            cmocka_unit_test(a_million_random_steps_agree_with_the_model),
            cmocka_unit_test(the_guest_s_bit_33_is_the_transport_s_alone),
            cmocka_unit_test(a_bit_without_what_it_needs_gets_no_features_ok),
        };

        return cmocka_run_group_tests_name("virtio_mmio_commit", tests, NULL, NULL);
}
