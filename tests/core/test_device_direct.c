/* A device whose worker's memory is copied to: which worker that is, for how long, and what a kernel that refuses costs. The worker is a process of its own with this one's mappings.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <cmocka.h>

#include "broker/core/device_state.h"
#include "tests/core/world.h"

#define LEN 65536u

static struct world world;
static uint8_t *area;
static unsigned probes, reaps;
static int probe_error;
static bool let_go; /* by every lane, whenever a worker was to be reaped */

/* ---- what stands between ---- */

int __real_direct_probe(uint32_t pid);
int __wrap_direct_probe(uint32_t pid);
int __wrap_direct_probe(uint32_t pid)
{
        probes++;
        return probe_error < 0 ? probe_error : __real_direct_probe(pid);
}

static void look_whether_let_go(struct lane *lane, void *argument)
{
        bool *let_go_here = argument;

        *let_go_here = !lane_is_attached(lane) && !lane->direct.open &&
                       lane->direct.ins.n_pages + lane->direct.outs.n_pages == 0;
}

void __real_spawner_client_reap(struct spawner_client *client, uint32_t device);
void __wrap_spawner_client_reap(struct spawner_client *client, uint32_t device);
void __wrap_spawner_client_reap(struct spawner_client *client, uint32_t device)
{
        reaps++;
        for (unsigned i = 0; i < world.device->n_lanes; i++) {
                bool here = false;

                lane_thread_call(world.device->lanes[i], look_whether_let_go, &here);
                let_go &= here;
        }
        __real_spawner_client_reap(client, device);
}

/* ---- the device ---- */

static void begin(unsigned n_lanes)
{
        probes = reaps = 0;
        let_go = true;
        probe_error = 0;
        area = mmap(NULL, LIMIT_LANES * (size_t)LIMIT_AREA, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        assert_ptr_not_equal(area, MAP_FAILED);
        world_init(&world, n_lanes);
        world.hello.area = (struct control_area){.at = (uintptr_t)area, .len = LIMIT_AREA};
}

static void serve(void)
{
        world_serve(&world);
        for (unsigned i = 0; i < world.device->n_queues; i++)
                world_start_queue(&world, i, 0);
}

static void end(void)
{
        world_done(&world);
        munmap(area, LIMIT_LANES * (size_t)LIMIT_AREA);
}

static bool status_is_direct(void)
{
        struct admin_device status = {0};

        device_status(world.device, &status);
        return status.direct;
}

/* One request on this queue; how it came. */
static const struct seen_request *ask(unsigned queue)
{
        unsigned n = world.n_seen;

        world_post(&world, queue, LEN);
        world_until(&world, world.n_seen == n + 1 && world_answered(&world, queue));
        return &world.seen[n];
}

static void long_requests_are_copied_into_the_worker_that_serves(void **state)
{
        uint8_t expected[LEN], got[LEN];

        (void)state;
        begin(2);
        serve();
        assert_true(status_is_direct());
        for (uint32_t i = 0; i < LEN; i++)
                *model_at(&world.guest, MODEL_BUFFERS + i) = (uint8_t)(1 + i % 251);
        for (unsigned queue = 0; queue < 2; queue++) { /* one a lane */
                const struct seen_request *request = ask(queue);
                struct iovec local = {got, LEN}, remote = {area + queue * (size_t)LIMIT_AREA, LEN};

                assert_int_equal(request->in_at, 1);
                model_get(&world.guest, MODEL_BUFFERS, expected, LEN);
                assert_int_equal(process_vm_readv((pid_t)world_pid(&world), &local, 1, &remote, 1, 0), LEN);
                assert_memory_equal(got, expected, LEN);
        }
        assert_int_equal(area[0], 0); /* ours is another process's */
        end();
}

static void a_successors_area_may_be_elsewhere(void **state)
{
        (void)state;
        begin(1);
        serve();
        assert_int_equal(ask(0)->in_at, 1);
        world.hello.area = (struct control_area){.at = (uintptr_t)area + LIMIT_AREA, .len = LIMIT_AREA / 2};
        world_kill_worker(&world);
        world_until(&world, world.n_spawns == 2 && world_state(&world) == WORKER_SERVING);
        assert_int_equal(ask(0)->in_at, 1);
        world.hello.area = (struct control_area){0};
        world_kill_worker(&world);
        world_until(&world, world.n_spawns == 3 && world_state(&world) == WORKER_SERVING);
        assert_int_equal(ask(0)->in_at, 0);
        assert_false(status_is_direct());
        assert_int_equal(world.n_failed + world.n_broken, 0);
        end();
}

static void more_area_than_was_configured_is_no_hello(void **state)
{
        (void)state;
        begin(1);
        device_supervisor(world.device)->configure.area_len = LIMIT_AREA / 2;
        world_until(&world, world.n_spawns == 3);
        assert_int_equal(world.n_ready, 0);
        end();
}

static void lanes_let_go_before_a_worker_is_reaped(void **state)
{
        (void)state;
        begin(2);
        serve();
        for (unsigned i = 1; i < 20; i++) {
                world_post(&world, i % 2, LEN);
                if (i % 3 == 0)
                        world_kill_worker(&world);
                else if (i % 3 == 1)
                        supervisor_fault(device_supervisor(world.device), "must go");
                else
                        supervisor_reset(device_supervisor(world.device));
                world_until(&world, reaps == i);
                world_until(&world, world_state(&world) == WORKER_SERVING);
                assert_true(let_go);
        }
        end();
}

static void a_kernel_that_refuses_costs_the_copies_alone(void **state)
{
        (void)state;
        begin(1);
        probe_error = -EPERM;
        serve();
        assert_int_equal(probes, 1);
        assert_false(status_is_direct());
        assert_true(world.device->direct_told);
        assert_int_equal(ask(0)->in_at, 0);
        assert_int_equal(world_status(&world), 1);
        world_kill_worker(&world);
        probe_error = 0;
        world_until(&world, world.n_spawns == 2 && world_state(&world) == WORKER_SERVING);
        assert_int_equal(probes, 2); /* each worker is asked for anew */
        assert_int_equal(ask(0)->in_at, 1);
        end();
}

/* Nobody keeps a dead worker's pid for us any more. */
static void after_the_spawners_death_nothing_is_handed_out(void **state)
{
        (void)state;
        begin(2);
        serve();
        assert_int_equal(ask(0)->in_at, 1);
        world_kill_spawner(&world);
        world_until(&world, !spawner_client_alive(world.client));
        assert_false(status_is_direct());
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(ask(i % 2)->in_at, 0);
        assert_int_equal(world.n_quarantined, 0);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(long_requests_are_copied_into_the_worker_that_serves),
            cmocka_unit_test(a_successors_area_may_be_elsewhere),
            cmocka_unit_test(more_area_than_was_configured_is_no_hello),
            cmocka_unit_test(lanes_let_go_before_a_worker_is_reaped),
            cmocka_unit_test(a_kernel_that_refuses_costs_the_copies_alone),
            cmocka_unit_test(after_the_spawners_death_nothing_is_handed_out),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
