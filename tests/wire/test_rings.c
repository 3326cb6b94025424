/* Rings as a front end sets them up, starts, swaps, stops and resets them. TRUST: sees bytes of the session
 * under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/vhost_user/message.h"
#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "tests/wire/fixture.h"

#define DRIVER_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
#define RING_SIZE       64u
#define RAM_AT          UINT64_C(0x40000000)

/* A negotiated front end with memory and one ring laid out. */
struct scene {
        struct fixture *fixture;
        struct fake_queue *queue; /* 0 */
        struct front_end front;
        struct guest_ram ram;
        struct split_ring ring;
};

static void scene_open(struct scene *scene, void **state, enum front_end_dialect dialect)
{
        *scene = (struct scene){.fixture = *state};
        scene->queue = &scene->fixture->device.queues[0];
        fixture_negotiate(scene->fixture, &scene->front, dialect);
        assert_int_equal(guest_ram_init(&scene->ram, 1 << 20, RAM_AT), 0);
        split_ring_init(&scene->ring, &scene->ram, RING_SIZE, false, false);
}

static void scene_close(struct scene *scene)
{
        front_end_close(&scene->front);
        guest_ram_done(&scene->ram);
        fixture_settle(scene->fixture);
        assert_false(fake_device_any_running(&scene->fixture->device));
        assert_null(scene->fixture->device.memory);
}

/* What was sent before has been served, and the session lives. */
static void scene_barrier(struct scene *scene)
{
        uint64_t features;

        assert_int_equal(front_end_get_u64(&scene->front, VHOST_USER_GET_FEATURES, &features), 0);
}

static void scene_start(struct scene *scene, uint16_t base)
{
        assert_int_equal(front_end_start(&scene->front, DRIVER_FEATURES, &scene->ram), 0);
        assert_int_equal(front_end_start_ring(&scene->front, 0, &scene->ring, base), 0);
        scene_barrier(scene);
}

static int set_state(struct scene *scene, uint32_t request, uint32_t index, uint32_t num)
{
        struct vhost_user_vring_state vring = {.index = index, .num = num};

        return front_end_set(&scene->front, request, &vring, sizeof(vring), NULL, 0, true);
}

static int set_fd(struct scene *scene, uint32_t request, uint64_t value, int fd)
{
        return front_end_set(&scene->front, request, &value, sizeof(value), &fd, fd >= 0, true);
}

static int set_addr(struct scene *scene, uint64_t desc, uint64_t avail, uint64_t used, uint32_t flags)
{
        struct vhost_user_vring_addr addr = {.descriptor = scene->ram.user_address + desc,
                                             .available = scene->ram.user_address + avail,
                                             .used = scene->ram.user_address + used,
                                             .flags = flags};

        return front_end_set(&scene->front, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0, true);
}

/* Everything but KICK and ENABLE. */
static void set_up(struct scene *scene, uint32_t num, uint16_t base)
{
        assert_int_equal(set_state(scene, VHOST_USER_SET_VRING_NUM, 0, num), 0);
        assert_int_equal(set_state(scene, VHOST_USER_SET_VRING_BASE, 0, base), 0);
        assert_int_equal(set_addr(scene, scene->ring.desc, scene->ring.avail, scene->ring.used, 0), 0);
}

static void expect_dropped(struct scene *scene)
{
        assert_int_equal(wire_wait_closed(&scene->front.wire, FIXTURE_DROP_MS), 0);
}

static bool event_was_set(int fd)
{
        uint64_t count;

        return read(fd, &count, sizeof(count)) == sizeof(count);
}

/* Lines written to stderr while `capture` lasts. */
static char captured[4096];
static int capture_file, capture_saved;

static void capture_begin(void)
{
        capture_file = memfd_create("stderr", 0);
        fflush(stderr);
        capture_saved = dup(STDERR_FILENO);
        dup2(capture_file, STDERR_FILENO);
        log_init("wire", LOG_LEVEL_WARNING);
}

static void capture_end(void)
{
        ssize_t n;

        log_init("wire", LOG_LEVEL_ERROR);
        dup2(capture_saved, STDERR_FILENO);
        close(capture_saved);
        n = pread(capture_file, captured, sizeof(captured) - 1, 0);
        captured[MAX(n, 0)] = '\0';
        close(capture_file);
}

static unsigned captured_count(const char *what)
{
        unsigned n = 0;

        for (const char *at = strstr(captured, what); at; at = strstr(at + 1, what))
                n++;
        return n;
}

/* ---- start ---- */

static void ring_starts_in_every_dialect(void **state)
{
        for (int dialect = 0; dialect < FRONT_END_DIALECT_COUNT_; dialect++) {
                struct scene scene;

                scene_open(&scene, state, (enum front_end_dialect)dialect);
                scene_start(&scene, 7);
                assert_true(scene.queue->running);
                assert_int_equal(scene.queue->base, 7);
                assert_int_equal(scene.queue->layout.size, RING_SIZE);
                assert_int_equal(scene.queue->layout.desc.v, RAM_AT + scene.ring.desc);
                assert_int_equal(scene.queue->layout.avail.v, RAM_AT + scene.ring.avail);
                assert_int_equal(scene.queue->layout.used.v, RAM_AT + scene.ring.used);
                assert_int_equal(scene.fixture->device.committed, DRIVER_FEATURES);
                assert_int_equal(guest_memory_bytes(scene.fixture->device.memory), 1 << 20);
                assert_true(scene.queue->call >= 0);
                scene_close(&scene);
        }
}

static void kick_and_enable_come_in_any_order(void **state)
{
        struct scene scene;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        assert_int_equal(set_state(&scene, VHOST_USER_SET_VRING_ENABLE, 0, 1),
                         0); /* before anything is known */
        assert_int_equal(front_end_start(&scene.front, DRIVER_FEATURES, &scene.ram), 0);
        set_up(&scene, RING_SIZE, 0);
        assert_false(scene.queue->running);
        assert_int_equal(set_fd(&scene, VHOST_USER_SET_VRING_KICK, 0, scene.front.rings[0].kick), 0);
        assert_true(scene.queue->running);
        scene_close(&scene);

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        assert_int_equal(front_end_start(&scene.front, DRIVER_FEATURES, &scene.ram), 0);
        set_up(&scene, RING_SIZE, 0);
        assert_int_equal(set_fd(&scene, VHOST_USER_SET_VRING_KICK, 0, scene.front.rings[0].kick), 0);
        assert_false(scene.queue->running);
        assert_int_equal(set_state(&scene, VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
        assert_true(scene.queue->running);
        scene_close(&scene);
}

static void ring_needs_no_enable_without_protocol_features(void **state)
{
        struct scene scene;
        uint64_t features = DRIVER_FEATURES;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        assert_int_equal(front_end_start(&scene.front, DRIVER_FEATURES, &scene.ram), 0);
        assert_int_equal(front_end_set(&scene.front, VHOST_USER_SET_FEATURES, &features, 8, NULL, 0, true),
                         0);
        set_up(&scene, RING_SIZE, 0);
        assert_int_equal(set_fd(&scene, VHOST_USER_SET_VRING_KICK, 0, scene.front.rings[0].kick), 0);
        assert_true(scene.queue->running);
        assert_int_equal(set_state(&scene, VHOST_USER_SET_VRING_ENABLE, 0, 0), 0); /* has no meaning then */
        assert_true(scene.queue->running);
        scene_close(&scene);
}

static void memory_may_come_after_the_ring_addresses(void **state)
{
        struct scene scene;
        uint64_t features = DRIVER_FEATURES | VHOST_USER_F_PROTOCOL_FEATURES;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        assert_int_equal(front_end_set(&scene.front, VHOST_USER_SET_FEATURES, &features, 8, NULL, 0, true),
                         0);
        set_up(&scene, RING_SIZE, 0);
        assert_int_equal(front_end_add_region(&scene.front, &scene.ram), 0);
        assert_int_equal(set_fd(&scene, VHOST_USER_SET_VRING_KICK, 0, scene.front.rings[0].kick), 0);
        assert_int_equal(set_state(&scene, VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
        assert_true(scene.queue->running);
        scene_close(&scene);
}

static void ring_size_is_accepted_to_32768_and_judged_at_start(void **state)
{
        static const struct {
                uint32_t num;
                bool starts;
        } sizes[] = {{1, true},     {2, true},     {3, false},    {1024, true},
                     {1025, false}, {2048, false}, {32768, false}};

        for (size_t i = 0; i < array_size(sizes); i++) {
                struct scene scene;

                scene_open(&scene, state, FRONT_END_QEMU_7_2);
                assert_int_equal(front_end_start(&scene.front, DRIVER_FEATURES, &scene.ram), 0);
                set_up(&scene, sizes[i].num, 0);
                assert_int_equal(set_state(&scene, VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
                assert_int_equal(set_fd(&scene, VHOST_USER_SET_VRING_KICK, 0, scene.front.rings[0].kick),
                                 sizes[i].starts ? 0 : -EIO);
                assert_int_equal(scene.queue->running, sizes[i].starts);
                assert_int_equal(event_was_set(scene.front.rings[0].err), !sizes[i].starts);
                scene_barrier(&scene);
                scene_close(&scene);
        }
}

static void numbers_no_ring_can_have_end_the_session(void **state)
{
        static const struct {
                uint32_t request, index, num;
        } bad[] = {{VHOST_USER_SET_VRING_NUM, 0, 0},
                   {VHOST_USER_SET_VRING_NUM, 0, 32769},
                   {VHOST_USER_SET_VRING_NUM, FAKE_QUEUES, 64},
                   {VHOST_USER_SET_VRING_NUM, 0x10000, 64},
                   {VHOST_USER_SET_VRING_NUM, UINT32_MAX, 64},
                   {VHOST_USER_SET_VRING_BASE, 0, 0x10000},
                   {VHOST_USER_SET_VRING_BASE, FAKE_QUEUES, 0},
                   {VHOST_USER_SET_VRING_ENABLE, 0, 2},
                   {VHOST_USER_SET_VRING_ENABLE, FAKE_QUEUES, 1},
                   {VHOST_USER_GET_VRING_BASE, FAKE_QUEUES, 0},
                   {VHOST_USER_GET_VRING_BASE, 0x80000000, 0}};

        for (size_t i = 0; i < array_size(bad); i++) {
                struct scene scene;

                scene_open(&scene, state, FRONT_END_QEMU_7_2);
                assert_int_equal(front_end_start(&scene.front, DRIVER_FEATURES, &scene.ram), 0);
                assert_true(set_state(&scene, bad[i].request, bad[i].index, bad[i].num) < 0);
                expect_dropped(&scene);
                scene_close(&scene);
        }
}

static void ring_outside_memory_is_told_and_explained_once(void **state)
{
        static const int which[] = {0, 1, 2};

        for (size_t i = 0; i < array_size(which); i++) {
                struct scene scene;
                uint64_t at[3] = {0, 4096, 8192};

                scene_open(&scene, state, FRONT_END_QEMU_7_2);
                assert_int_equal(front_end_start(&scene.front, DRIVER_FEATURES, &scene.ram), 0);
                at[which[i]] = (1 << 20) - 4; /* straddles the end */
                set_up(&scene, RING_SIZE, 0);
                assert_int_equal(set_addr(&scene, at[0], at[1], at[2], 0), 0);
                assert_int_equal(set_state(&scene, VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
                capture_begin();
                assert_int_equal(set_fd(&scene, VHOST_USER_SET_VRING_KICK, 0, scene.front.rings[0].kick),
                                 -EIO);
                assert_int_equal(set_fd(&scene, VHOST_USER_SET_VRING_KICK, 0, scene.front.rings[0].kick),
                                 -EIO);
                capture_end();
                assert_int_equal(captured_count("memory-backend-memfd"), 1);
                assert_int_equal(captured_count("share=on"), 1);
                assert_true(event_was_set(scene.front.rings[0].err));
                assert_false(scene.queue->running);
                scene_barrier(&scene);
                scene_close(&scene);
        }
}

static void empty_memory_table_is_explained(void **state)
{
        struct scene scene;
        uint64_t empty = 0;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        capture_begin();
        assert_int_equal(front_end_set(&scene.front, VHOST_USER_SET_MEM_TABLE, &empty, 8, NULL, 0, true), 0);
        capture_end();
        assert_int_equal(captured_count("share=on"), 1);
        scene_close(&scene);
}

static void suspicious_ring_is_explained_once_a_session(void **state)
{
        struct scene scene;
        const struct device_front *front;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        scene_start(&scene, 0);
        front = &scene.fixture->device.front;
        capture_begin();
        front->suspicious(front->context, 0);
        front->suspicious(front->context, 0);
        capture_end();
        assert_int_equal(captured_count("share=on"), 1);
        scene_close(&scene);
}

static void driver_without_version_1_cannot_start_but_keeps_its_session(void **state)
{
        struct scene scene;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        assert_int_equal(front_end_start(&scene.front, 0, &scene.ram), 0);
        set_up(&scene, RING_SIZE, 0);
        assert_int_equal(set_state(&scene, VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
        capture_begin();
        assert_int_equal(set_fd(&scene, VHOST_USER_SET_VRING_KICK, 0, scene.front.rings[0].kick), -EIO);
        capture_end();
        assert_int_equal(captured_count("its driver has not accepted VERSION_1"), 1);
        assert_false(scene.queue->running);
        assert_true(event_was_set(scene.front.rings[0].err));
        assert_int_equal(front_end_start(&scene.front, DRIVER_FEATURES, &scene.ram), 0); /* the next driver */
        scene_barrier(&scene);
        assert_true(scene.queue->running);
        scene_close(&scene);
}

static void device_that_cannot_start_a_queue_for_its_own_reasons_ends_the_session(void **state)
{
        struct scene scene;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        scene.fixture->device.start_error = -EMFILE;
        assert_int_equal(front_end_start(&scene.front, DRIVER_FEATURES, &scene.ram), 0);
        (void)front_end_start_ring(&scene.front, 0, &scene.ring, 0);
        expect_dropped(&scene);
        scene_close(&scene);
}

/* ---- while it runs ---- */

static void running_ring_cannot_be_set_up_again(void **state)
{
        for (int i = 0; i < 4; i++) {
                struct scene scene;
                int r;

                scene_open(&scene, state, FRONT_END_QEMU_7_2);
                scene_start(&scene, 0);
                if (i == 0)
                        r = set_state(&scene, VHOST_USER_SET_VRING_NUM, 0, 32);
                else if (i == 1)
                        r = set_state(&scene, VHOST_USER_SET_VRING_BASE, 0, 1);
                else if (i == 2)
                        r = set_addr(&scene, 0, 4096, 8192, 0);
                else
                        r = set_fd(&scene, VHOST_USER_SET_VRING_KICK, 0, scene.front.rings[0].kick);
                assert_true(r < 0);
                expect_dropped(&scene);
                assert_int_equal(scene.fixture->device.resets, i + 1);
                scene_close(&scene);
        }
}

static void dirty_log_flag_ends_the_session(void **state)
{
        struct scene scene;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        assert_int_equal(front_end_start(&scene.front, DRIVER_FEATURES, &scene.ram), 0);
        assert_true(set_addr(&scene, 0, 4096, 8192, VHOST_USER_VRING_F_LOG) < 0);
        expect_dropped(&scene);
        scene_close(&scene);
}

static void features_may_be_said_again_but_not_changed(void **state)
{
        struct scene scene;
        uint64_t same = DRIVER_FEATURES | VHOST_USER_F_PROTOCOL_FEATURES, other = same & ~(UINT64_C(1) << 29);

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        scene_start(&scene, 0);
        assert_int_equal(front_end_set(&scene.front, VHOST_USER_SET_FEATURES, &same, 8, NULL, 0, true), 0);
        assert_true(front_end_set(&scene.front, VHOST_USER_SET_FEATURES, &other, 8, NULL, 0, true) < 0);
        expect_dropped(&scene);
        scene_close(&scene);
}

static void protocol_features_cannot_change_while_rings_run(void **state)
{
        struct scene scene;
        uint64_t none = 0;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        scene_start(&scene, 0);
        assert_true(front_end_set(&scene.front, VHOST_USER_SET_PROTOCOL_FEATURES, &none, 8, NULL, 0, true) <
                    0);
        expect_dropped(&scene);
        scene_close(&scene);
}

static bool same_file(int a, int b)
{
        uint64_t one = 1, count = 0;

        return write(a, &one, 8) == 8 && read(b, &count, 8) == 8 && count == 1;
}

static void call_is_swapped_before_the_acknowledgement(void **state)
{
        struct scene scene;
        int other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        scene_open(&scene, state, FRONT_END_QEMU_11_1);
        scene_start(&scene, 0);
        assert_true(same_file(scene.queue->call, scene.front.rings[0].call));
        assert_int_equal(set_fd(&scene, VHOST_USER_SET_VRING_CALL, 0, other), 0);
        assert_true(same_file(scene.queue->call, other));
        assert_int_equal(set_fd(&scene, VHOST_USER_SET_VRING_CALL, 0 | VHOST_USER_VRING_NOFD, -1), 0);
        assert_int_equal(scene.queue->call, -1);
        assert_int_equal(scene.queue->calls_set, 2);
        scene_close(&scene);
        close(other);
}

static void kick_is_the_front_ends(void **state)
{
        struct scene scene;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        scene_start(&scene, 0);
        assert_true(same_file(scene.front.rings[0].kick, scene.queue->kick));
        scene_close(&scene);
}

static void broken_ring_writes_err_and_new_features_heal(void **state)
{
        struct scene scene;
        const struct device_front *front;
        uint16_t base;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        scene_start(&scene, 0);
        front = &scene.fixture->device.front;
        front->broken(front->context, 0, QUEUE_FAULT_LOOP);
        assert_true(event_was_set(scene.front.rings[0].err));
        assert_false(event_was_set(scene.front.rings[1].err));
        scene_barrier(&scene);
        assert_int_equal(front_end_stop_ring(&scene.front, 0, &base), 0);
        assert_int_equal(scene.fixture->device.resets, 0);
        scene_start(&scene, 0);
        assert_int_equal(scene.fixture->device.resets, 1);
        assert_true(scene.queue->running);
        scene_close(&scene);
}

static void memory_changes_under_running_rings(void **state)
{
        struct scene scene;
        struct guest_ram more;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        scene_start(&scene, 0);
        assert_int_equal(guest_ram_init(&more, 1 << 20, RAM_AT * 2), 0);
        assert_int_equal(front_end_add_region(&scene.front, &more), 0);
        assert_int_equal(guest_memory_n_regions(scene.fixture->device.memory), 2);
        assert_int_equal(front_end_remove_region(&scene.front, &scene.ram), 0); /* under the ring: legal */
        assert_int_equal(guest_memory_n_regions(scene.fixture->device.memory), 1);
        assert_true(scene.queue->running);
        assert_int_equal(front_end_remove_region(&scene.front, &scene.ram), -EPIPE); /* it is gone already */
        scene_close(&scene);
        guest_ram_done(&more);
}

/* ---- stop ---- */

static void stop_answers_only_when_the_queue_is_drained(void **state)
{
        struct scene scene;
        struct vhost_user_vring_state vring = {.index = 0};
        struct wire_message answer;

        scene_open(&scene, state, FRONT_END_CROSVM);
        scene_start(&scene, 3);
        scene.fixture->device.hold = true;
        assert_int_equal(wire_send(&scene.front.wire, VHOST_USER_GET_VRING_BASE, 1, &vring, 8, NULL, 0), 0);
        assert_int_equal(wire_send(&scene.front.wire, VHOST_USER_GET_FEATURES, 1, NULL, 0, NULL, 0), 0);
        assert_true(wire_silent(&scene.front.wire, 30));
        assert_int_equal(scene.queue->stops, 1);
        scene.fixture->device.hold = false;
        assert_int_equal(wire_receive(&scene.front.wire, &answer), 0);
        assert_int_equal(answer.request, VHOST_USER_GET_VRING_BASE);
        memcpy(&vring, answer.payload, sizeof(vring));
        assert_int_equal(vring.num, 3 + FAKE_BASE_STEP);
        assert_int_equal(wire_receive(&scene.front.wire, &answer), 0);
        assert_int_equal(answer.request, VHOST_USER_GET_FEATURES);
        scene_close(&scene);
}

static void stop_is_not_reset(void **state)
{
        for (int dialect = 0; dialect < FRONT_END_DIALECT_COUNT_; dialect++) {
                struct scene scene;
                uint16_t base, again;

                scene_open(&scene, state, (enum front_end_dialect)dialect);
                scene_start(&scene, 0xfffe);
                assert_int_equal(front_end_stop_ring(&scene.front, 0, &base), 0);
                assert_int_equal(base, (uint16_t)(0xfffe + FAKE_BASE_STEP));
                assert_false(scene.queue->running);
                assert_non_null(scene.fixture->device.memory);
                assert_int_equal(front_end_stop_ring(&scene.front, 0, &again),
                                 0); /* asking again changes nothing */
                assert_int_equal(again, base);
                scene_start(&scene, base);
                assert_int_equal(scene.queue->base, base);
                assert_int_equal(scene.fixture->device.resets,
                                 (unsigned)dialect); /* of the sessions before */
                scene_close(&scene);
        }
}

static void stopped_ring_needs_a_new_kick_descriptor(void **state)
{
        struct scene scene;
        uint16_t base;

        scene_open(&scene, state, FRONT_END_CROSVM);
        scene_start(&scene, 0);
        assert_int_equal(front_end_stop_ring(&scene.front, 0, &base), 0);
        assert_int_equal(set_state(&scene, VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
        scene_barrier(&scene);
        assert_false(scene.queue->running);
        scene_close(&scene);
}

static void disabled_ring_goes_on_where_it_was(void **state)
{
        struct scene scene;

        scene_open(&scene, state, FRONT_END_QEMU_11_1);
        scene_start(&scene, 9);
        assert_int_equal(set_state(&scene, VHOST_USER_SET_VRING_ENABLE, 0, 0), 0);
        assert_false(scene.queue->running);
        assert_int_equal(set_state(&scene, VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
        assert_true(scene.queue->running);
        assert_int_equal(scene.queue->base, 9 + FAKE_BASE_STEP);
        assert_int_equal(scene.fixture->device.resets, 0);
        scene_close(&scene);
}

static void end_of_session_stops_without_waiting(void **state)
{
        for (int parked = 0; parked < 2; parked++) {
                struct scene scene;
                struct vhost_user_vring_state vring = {.index = 0};

                scene_open(&scene, state, FRONT_END_QEMU_7_2);
                scene_start(&scene, 0);
                scene.fixture->device.hold = true;
                if (parked)
                        assert_int_equal(
                            wire_send(&scene.front.wire, VHOST_USER_GET_VRING_BASE, 1, &vring, 8, NULL, 0),
                            0);
                fixture_turn(scene.fixture);
                scene_close(&scene);
                assert_int_equal(scene.fixture->device.resets, parked + 1);
                scene.fixture->device.hold = false;
        }
}

/* ---- reset ---- */

static void reset_keeps_memory_and_descriptors(void **state)
{
        struct scene scene;
        uint16_t base;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        scene_start(&scene, 0);
        assert_int_equal(front_end_stop_ring(&scene.front, 0, &base), 0);
        assert_int_equal(front_end_reset_device(&scene.front), 0);
        scene_barrier(&scene);
        assert_int_equal(scene.fixture->device.resets, 1);
        assert_non_null(scene.fixture->device.memory);
        scene_start(&scene, 0); /* no CALL, ERR or memory is sent again */
        assert_true(same_file(scene.queue->call, scene.front.rings[0].call));
        assert_int_equal(front_end_set(&scene.front, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0, true), 0);
        scene_close(&scene);
}

static void reset_under_a_running_ring_ends_it(void **state)
{
        struct scene scene;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        scene_start(&scene, 0);
        assert_int_equal(front_end_reset_device(&scene.front), 0);
        scene_barrier(&scene);
        assert_false(scene.queue->running);
        assert_int_equal(scene.fixture->device.resets, 1);
        scene_start(&scene, 0);
        assert_true(scene.queue->running);
        scene_close(&scene);
}

static void reset_of_an_untouched_device_costs_no_worker(void **state)
{
        struct scene scene;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        for (int i = 0; i < 100; i++)
                assert_int_equal(front_end_reset_device(&scene.front), 0);
        scene_barrier(&scene);
        assert_int_equal(scene.fixture->device.resets, 0);
        scene_close(&scene);
}

static void rings_wait_for_features_after_a_reset(void **state)
{
        struct scene scene;

        scene_open(&scene, state, FRONT_END_QEMU_7_2);
        scene_start(&scene, 0);
        assert_int_equal(front_end_reset_device(&scene.front), 0);
        assert_true(set_state(&scene, VHOST_USER_SET_VRING_NUM, 0, 64) < 0);
        expect_dropped(&scene);
        scene_close(&scene);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define WIRE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
            WIRE_TEST(ring_starts_in_every_dialect),
            WIRE_TEST(kick_and_enable_come_in_any_order),
            WIRE_TEST(ring_needs_no_enable_without_protocol_features),
            WIRE_TEST(memory_may_come_after_the_ring_addresses),
            WIRE_TEST(ring_size_is_accepted_to_32768_and_judged_at_start),
            WIRE_TEST(numbers_no_ring_can_have_end_the_session),
            WIRE_TEST(ring_outside_memory_is_told_and_explained_once),
            WIRE_TEST(empty_memory_table_is_explained),
            WIRE_TEST(suspicious_ring_is_explained_once_a_session),
            WIRE_TEST(driver_without_version_1_cannot_start_but_keeps_its_session),
            WIRE_TEST(device_that_cannot_start_a_queue_for_its_own_reasons_ends_the_session),
            WIRE_TEST(running_ring_cannot_be_set_up_again),
            WIRE_TEST(dirty_log_flag_ends_the_session),
            WIRE_TEST(features_may_be_said_again_but_not_changed),
            WIRE_TEST(protocol_features_cannot_change_while_rings_run),
            WIRE_TEST(call_is_swapped_before_the_acknowledgement),
            WIRE_TEST(kick_is_the_front_ends),
            WIRE_TEST(broken_ring_writes_err_and_new_features_heal),
            WIRE_TEST(memory_changes_under_running_rings),
            WIRE_TEST(stop_answers_only_when_the_queue_is_drained),
            WIRE_TEST(stop_is_not_reset),
            WIRE_TEST(stopped_ring_needs_a_new_kick_descriptor),
            WIRE_TEST(disabled_ring_goes_on_where_it_was),
            WIRE_TEST(end_of_session_stops_without_waiting),
            WIRE_TEST(reset_keeps_memory_and_descriptors),
            WIRE_TEST(reset_under_a_running_ring_ends_it),
            WIRE_TEST(reset_of_an_untouched_device_costs_no_worker),
            WIRE_TEST(rings_wait_for_features_after_a_reset),
        };

        log_init("wire", LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
