/* Packed rings over vhost-user: where they go on, where their parts are, and a queue that is set up anew.
 * TRUST: the front end is this test; the device behind the session is a fake.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/vhost_user/message.h"
#include "proto/base/log.h"
#include "tests/wire/fixture.h"

#define SPLIT_FEATURES  (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
#define PACKED_FEATURES (SPLIT_FEATURES | FAKE_PACKED)
#define RING_SIZE       48u /* no power of two */
#define RAM_AT          UINT64_C(0x40000000)
#define RAM_BYTES       (UINT64_C(1) << 20)

struct scene {
        struct fixture *fixture;
        struct fake_queue *queues;
        struct front_end front;
        struct guest_ram ram;
        struct packed_ring rings[2];
};

static void scene_open(struct scene *scene, void **state, enum front_end_dialect dialect)
{
        *scene = (struct scene){.fixture = *state};
        scene->queues = scene->fixture->device.queues;
        scene->fixture->device.features |= FAKE_PACKED;
        fixture_negotiate(scene->fixture, &scene->front, dialect);
        assert_int_equal(guest_ram_init(&scene->ram, RAM_BYTES, RAM_AT), 0);
        for (unsigned i = 0; i < 2; i++)
                packed_ring_init(&scene->rings[i], &scene->ram, RING_SIZE, false, false);
}

static void scene_close(struct scene *scene)
{
        front_end_close(&scene->front);
        guest_ram_done(&scene->ram);
        fixture_settle(scene->fixture);
        assert_false(fake_device_any_running(&scene->fixture->device));
}

/* What was sent before has been served, and the session lives. */
static void scene_barrier(struct scene *scene)
{
        uint64_t features;

        assert_int_equal(front_end_get_u64(&scene->front, VHOST_USER_GET_FEATURES, &features), 0);
}

static void scene_start(struct scene *scene, unsigned ring, uint32_t base)
{
        assert_int_equal(front_end_start(&scene->front, PACKED_FEATURES, &scene->ram), 0);
        assert_int_equal(front_end_start_packed_ring(&scene->front, ring, &scene->rings[ring], base), 0);
        scene_barrier(scene);
}

static int set_state(struct scene *scene, uint32_t request, uint32_t index, uint32_t num)
{
        struct vhost_user_vring_state vring = {.index = index, .num = num};

        return front_end_set(&scene->front, request, &vring, sizeof(vring), NULL, 0, true);
}

static int set_addr(struct scene *scene, uint64_t desc, uint64_t driver, uint64_t device)
{
        struct vhost_user_vring_addr addr = {.descriptor = scene->ram.user_address + desc,
                                             .available = scene->ram.user_address + driver,
                                             .used = scene->ram.user_address + device};

        return front_end_set(&scene->front, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0, true);
}

static void kick_and_enable(struct scene *scene)
{
        uint64_t ring = 0;

        assert_int_equal(front_end_set(&scene->front, VHOST_USER_SET_VRING_KICK, &ring, sizeof(ring),
                                       &scene->front.rings[0].kick, 1, true),
                         0);
        assert_int_equal(set_state(scene, VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
        scene_barrier(scene);
}

/* ---- where it goes on, and where its parts are ---- */

static void packed_ring_starts_and_stops_in_every_dialect(void **state)
{
        for (int dialect = 0; dialect < FRONT_END_DIALECT_COUNT_; dialect++) {
                const uint32_t bases[] = {PACKED_RING_BASE, 0x00058007, 0x80050003};
                struct scene scene;
                struct packed_ring *ring = &scene.rings[0];

                scene_open(&scene, state, (enum front_end_dialect)dialect);
                for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
                        uint32_t base = 0;

                        scene_start(&scene, 0, bases[i]);
                        assert_true(scene.queues[0].running);
                        assert_int_equal(scene.queues[0].base, bases[i]);
                        assert_int_equal(scene.queues[0].layout.size, RING_SIZE);
                        assert_int_equal(scene.queues[0].layout.desc.v, RAM_AT + ring->desc);
                        assert_int_equal(scene.queues[0].layout.avail.v, RAM_AT + ring->driver);
                        assert_int_equal(scene.queues[0].layout.used.v, RAM_AT + ring->device);
                        assert_int_equal(front_end_stop_packed_ring(&scene.front, 0, &base), 0);
                        assert_int_equal(base, bases[i] + FAKE_BASE_STEP);
                }
                scene_close(&scene);
        }
}

static void ring_without_a_base_begins_afresh(void **state)
{
        struct scene scene;
        uint32_t base = 0;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        assert_int_equal(front_end_start(&scene.front, PACKED_FEATURES, &scene.ram), 0);
        assert_int_equal(front_end_stop_packed_ring(&scene.front, 0, &base), 0);
        assert_int_equal(base, PACKED_RING_BASE);
        assert_int_equal(set_state(&scene, VHOST_USER_SET_VRING_NUM, 0, RING_SIZE), 0);
        assert_int_equal(set_addr(&scene, scene.rings[0].desc, scene.rings[0].driver, scene.rings[0].device),
                         0);
        kick_and_enable(&scene);
        assert_true(scene.queues[0].running);
        assert_int_equal(scene.queues[0].base, PACKED_RING_BASE);
        scene_close(&scene);
}

/* Four bytes at the end of memory: a split ring's parts would not fit there. */
static void event_areas_are_four_bytes(void **state)
{
        struct scene scene;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        assert_int_equal(front_end_start(&scene.front, PACKED_FEATURES, &scene.ram), 0);
        assert_int_equal(set_state(&scene, VHOST_USER_SET_VRING_NUM, 0, RING_SIZE), 0);
        assert_int_equal(set_addr(&scene, scene.rings[0].desc, RAM_BYTES - 8, RAM_BYTES - 4), 0);
        kick_and_enable(&scene);
        assert_true(scene.queues[0].running);
        scene_close(&scene);
}

static void parts_over_the_end_of_memory_start_nothing(void **state)
{
        const uint64_t at[][3] = {{RAM_BYTES - 16u * RING_SIZE + 16, 0x10000, 0x10010},
                                  {0, RAM_BYTES, 0x10010},
                                  {0, 0x10000, RAM_BYTES - 2}};

        for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
                struct scene scene;
                uint64_t kick = 0, told = 0;

                scene_open(&scene, state, FRONT_END_QEMU_7_2);
                assert_int_equal(front_end_start(&scene.front, PACKED_FEATURES, &scene.ram), 0);
                assert_int_equal(set_state(&scene, VHOST_USER_SET_VRING_NUM, 0, RING_SIZE), 0);
                assert_int_equal(set_addr(&scene, at[i][0], at[i][1], at[i][2]), 0);
                assert_int_equal(set_state(&scene, VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
                assert_int_equal(front_end_set(&scene.front, VHOST_USER_SET_VRING_KICK, &kick, sizeof(kick),
                                               &scene.front.rings[0].kick, 1, true),
                                 -EIO);
                assert_false(scene.queues[0].running);
                assert_int_equal(read(scene.front.rings[0].err, &told, sizeof(told)), sizeof(told));
                scene_barrier(&scene);
                scene_close(&scene);
        }
}

/* ---- only what was agreed ---- */

static void base_of_a_packed_ring_needs_the_feature(void **state)
{
        const uint32_t bases[] = {PACKED_RING_BASE, 0x10000, UINT32_MAX};

        for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
                struct scene scene;

                scene_open(&scene, state, FRONT_END_QEMU_7_2);
                assert_int_equal(front_end_start(&scene.front, SPLIT_FEATURES, &scene.ram), 0);
                assert_true(set_state(&scene, VHOST_USER_SET_VRING_BASE, 0, bases[i]) < 0);
                assert_int_equal(wire_wait_closed(&scene.front.wire, FIXTURE_DROP_MS), 0);
                scene_close(&scene);
        }
}

static void layout_is_forgotten_with_the_features(void **state)
{
        struct scene scene;
        uint32_t base = 0;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        scene_start(&scene, 0, PACKED_RING_BASE);
        assert_int_equal(front_end_reset_device(&scene.front), 0);
        assert_int_equal(front_end_start(&scene.front, SPLIT_FEATURES, &scene.ram), 0);
        assert_int_equal(front_end_stop_packed_ring(&scene.front, 0, &base), 0);
        assert_int_equal(base, 0);
        assert_true(set_state(&scene, VHOST_USER_SET_VRING_BASE, 0, PACKED_RING_BASE) < 0);
        assert_int_equal(wire_wait_closed(&scene.front.wire, FIXTURE_DROP_MS), 0);
        scene_close(&scene);
}

/* ---- a queue reset: stop, and set up anew ---- */

static void stopped_ring_is_set_up_anew_while_another_runs(void **state)
{
        for (int dialect = 0; dialect < FRONT_END_DIALECT_COUNT_; dialect++) {
                struct scene scene;
                struct packed_ring other;
                uint32_t base;

                scene_open(&scene, state, (enum front_end_dialect)dialect);
                scene_start(&scene, 1, PACKED_RING_BASE);
                scene_start(&scene, 0, PACKED_RING_BASE);
                assert_int_equal(front_end_stop_packed_ring(&scene.front, 0, &base), 0);
                assert_int_equal(base, PACKED_RING_BASE + FAKE_BASE_STEP);
                packed_ring_init(&other, &scene.ram, 7, false, false);
                assert_int_equal(front_end_start_packed_ring(&scene.front, 0, &other, PACKED_RING_BASE), 0);
                scene_barrier(&scene);
                assert_true(scene.queues[0].running);
                assert_int_equal(scene.queues[0].layout.size, 7);
                assert_int_equal(scene.queues[0].layout.desc.v, RAM_AT + other.desc);
                assert_int_equal(scene.queues[0].base, PACKED_RING_BASE);
                assert_true(scene.queues[1].running);
                assert_int_equal(scene.queues[1].stops, 0);
                assert_int_equal(scene.fixture->device.resets, (unsigned)dialect); /* of sessions before */
                scene_close(&scene);
                scene.queues[1].stops = 0;
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define WIRE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
            WIRE_TEST(packed_ring_starts_and_stops_in_every_dialect),
            WIRE_TEST(ring_without_a_base_begins_afresh),
            WIRE_TEST(event_areas_are_four_bytes),
            WIRE_TEST(parts_over_the_end_of_memory_start_nothing),
            WIRE_TEST(base_of_a_packed_ring_needs_the_feature),
            WIRE_TEST(layout_is_forgotten_with_the_features),
            WIRE_TEST(stopped_ring_is_set_up_anew_while_another_runs),
        };

        log_init("wire", LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
