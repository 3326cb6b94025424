/* Memory runs out in the broker: each allocation of a scenario fails once, one a run, until a run is not
 * touched. Session, device, lanes, channels, supervisor, protobuf-c and libuv are in this process, between a
 * front end and a worker of tests.
 *
 * After each failure nothing has crashed and no descriptor, handle or block is lost; and once there is memory
 * again a front end that comes back is served as ever. TRUST: this test plays all peers.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/core/supervisor.h"
#include "broker/vhost_user/listener.h"
#include "proto/base/fd.h"
#include "tests/core/world.h"
#include "tests/faults/failing_memory.h"
#include "tests/harness/blk_front.h"
#include "tests/harness/blk_set.h"

#define STEP_MS   700  /* of a front end, for an answer: the device under test has short deadlines */
#define TRIES     20   /* of a front end that comes back, until it must have been served */
#define ALLOCS    2000 /* more than the scenario makes */
#define RAM_BYTES (UINT64_C(4) << 20)

static struct world world;
static struct vhost_user_listener *listener;
static struct front_end front;
static struct guest_ram ram, more;
static struct blk_front blk;
static char path[64];

static void pump(void *context)
{
        (void)context;
        world_step(&world);
}

/* ---- the scenario ---- */

static int listen_fd(void)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        snprintf(path, sizeof(path), "/tmp/bulkhead-alloc-%d.sock", getpid());
        memcpy(address.sun_path, path, strlen(path) + 1);
        unlink(path);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 8), 0);
        return fd;
}

/* Answers come from a puppet that says IOERR to everything: that it says so is all that matters. */
static int ask(void)
{
        int status = blk_front_do(&blk, BLK_OUT, 0, 512, STEP_MS);

        return status < 0 ? status : 0;
}

static int attach(void)
{
        int r;

        front.wire = (struct wire){.sock = -1, .deadline_ms = STEP_MS, .pump = pump};
        r = wire_connect(&front.wire, path);
        if (r == 0)
                r = front_end_negotiate(&front, FRONT_END_QEMU_11_1, true);
        if (r < 0)
                return r;
        guest_ram_clear(&ram);
        blk_front_init(&blk, &front, &ram, 0, 64, 4, 4096, 4096);
        r = blk_front_start(&blk, 0);
        return r == 0 ? ask() : r;
}

static int lose_worker(void)
{
        if (world.have_puppet)
                world_kill_worker(&world);
        return ask();
}

static int change_memory(void)
{
        int r = front_end_add_region(&front, &more);

        if (r == 0)
                r = ask();
        return r == 0 ? front_end_remove_region(&front, &more) : r;
}

static int change_config(void)
{
        uint8_t value = 0;

        return front_end_set_config(&front, 32, 1, &value);
}

static int stop_and_reset(void)
{
        uint32_t base;
        int r = blk_front_stop(&blk, &base);

        if (r == 0)
                r = blk_front_start(&blk, base);
        if (r == 0)
                r = ask();
        if (r == 0)
                r = blk_front_stop(&blk, &base);
        if (r == 0)
                r = front_end_reset_device(&front);
        blk_front_forget(&blk);
        if (r == 0)
                r = blk_front_start(&blk, 0);
        return r == 0 ? ask() : r;
}

static int scenario(void)
{
        static int (*const steps[])(void) = {attach, lose_worker, change_memory, change_config,
                                             stop_and_reset};
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof(steps) / sizeof(steps[0]); i++)
                r = steps[i]();
        front_end_close(&front);
        return r;
}

/* ---- around it ---- */

static void open_world(void)
{
        world_init(&world, 2);
        assert_int_equal(guest_ram_init(&ram, RAM_BYTES, UINT64_C(0x80000000)), 0);
        assert_int_equal(guest_ram_init(&more, RAM_BYTES, UINT64_C(0x90000000)), 0);
        assert_int_equal(vhost_user_listener_new(&world.loop, world.device, listen_fd(), &listener), 0);
}

static void close_world(void)
{
        vhost_user_listener_close(listener, NULL, NULL);
        guest_ram_done(&ram);
        guest_ram_done(&more);
        unlink(path);
        world_done(&world);
}

/* A device that is quarantined for want of memory gets its chance with each new session. */
static void must_be_served_again(unsigned n)
{
        int r = -EAGAIN;

        for (int i = 0; r < 0 && i < TRIES; i++)
                r = scenario();
        if (r < 0)
                fail_msg("allocation %u failed, and no front end is served any more: %s", n, strerror(-r));
}

static bool run_with_failure(unsigned n)
{
        bool touched;

        open_world();
        failing_memory_order(n);
        (void)scenario();
        touched = failing_memory_failed();
        failing_memory_order(0);
        must_be_served_again(n);
        close_world();
        return touched;
}

static void an_allocation_that_fails_costs_a_session_at_most(void **state)
{
        unsigned n = 1;
        long held;

        (void)state;
        assert_false(run_with_failure(0));
        held = failing_memory_held();
        for (; n < ALLOCS && run_with_failure(n); n++)
                if (failing_memory_held() != held)
                        fail_msg("allocation %u failed, and %ld blocks are lost", n,
                                 failing_memory_held() - held);
        assert_true(n < ALLOCS);
        print_message("%u allocations, each failed once\n", n - 1);
        assert_true(n > 30); /* else nothing was tested */
}

/* ---- the start ---- */

static bool gone;

static void on_gone(void *context)
{
        (void)context;
        gone = true;
}

/* Channel to the spawner, device, listener: as far as it gets. */
static int start_all(uv_loop_t *loop, int spawner_fd, struct spawner_client **client, struct device **device,
                     struct vhost_user_listener **ret_listener)
{
        static const struct device_config config = {
            .name = "disk0", .type = DEVICE_TYPE_BLK, .n_queues = 2, .n_lanes = 1, .options = BLK_PLAIN};
        static const struct spawner_client_ops ops; /* nothing comes: the spawner does not answer */
        const unsigned n_lanes = 1;
        int r = spawner_client_new(loop, spawner_fd, &n_lanes, 1, &ops, NULL, client);

        if (r < 0) {
                close(spawner_fd);
                return r;
        }
        r = device_new(loop, &config, 0, 0, *client, &(struct device_owner){0}, device);
        return r == 0 ? vhost_user_listener_new(loop, *device, listen_fd(), ret_listener) : r;
}

static bool start_with_failure(unsigned n, bool *ret_ok)
{
        struct vhost_user_listener *made = NULL;
        struct spawner_client *client = NULL;
        struct device *device = NULL;
        uv_loop_t loop;
        int pair[2];
        bool touched;

        assert_int_equal(uv_loop_init(&loop), 0);
        assert_int_equal(fd_stream_pair(pair), 0);
        failing_memory_order(n);
        failing_memory_enter(true);
        *ret_ok = start_all(&loop, pair[0], &client, &device, &made) == 0;
        failing_memory_enter(false);
        touched = failing_memory_failed();
        failing_memory_order(0);
        if (made)
                vhost_user_listener_close(made, NULL, NULL);
        gone = !device;
        if (device)
                device_free(device, on_gone, NULL);
        spawner_client_free(client);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_true(gone);
        assert_int_equal(uv_loop_close(&loop), 0);
        close(pair[1]);
        unlink(path);
        return touched;
}

static void a_start_without_memory_fails_and_leaves_nothing(void **state)
{
        unsigned fds, n = 1;
        long held;
        bool ok;

        (void)state;
        assert_false(start_with_failure(0, &ok));
        assert_true(ok);
        fds = count_fds();
        held = failing_memory_held();
        for (; n < ALLOCS && start_with_failure(n, &ok); n++) {
                if (failing_memory_held() != held || count_fds() != fds)
                        fail_msg("allocation %u failed: %ld blocks and %d descriptors are lost", n,
                                 failing_memory_held() - held, (int)(count_fds() - fds));
        }
        assert_true(ok && n > 4);
        print_message("%u allocations of the start\n", n - 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_start_without_memory_fails_and_leaves_nothing),
            cmocka_unit_test(an_allocation_that_fails_costs_a_session_at_most),
        };

        failing_memory_init();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
