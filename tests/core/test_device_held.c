/* A lane whose pipe does not take at once what is to go: it is full, or its worker holds it, and whoever calls the lane is held for
 * so long as it takes to kill that worker.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/device_state.h"
#include "tests/core/world.h"

#define PAGE        4096u
#define DEADLINE_MS 10000
#define PIPE_BYTES  65536u /* that it holds */

static struct world world;

/* A page whose first touch waits until `fill` is called. */
static struct trap {
        int uffd;
        uint8_t *page;
} trap;

static bool trap_set(void)
{
        struct uffdio_api api = {.api = UFFD_API};
        struct uffdio_register range = {.mode = UFFDIO_REGISTER_MODE_MISSING};

        trap.uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
        if (trap.uffd < 0)
                return false;
        trap.page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(trap.page != MAP_FAILED);
        range.range.start = (uintptr_t)trap.page;
        range.range.len = PAGE;
        assert_int_equal(ioctl(trap.uffd, UFFDIO_API, &api), 0);
        assert_int_equal(ioctl(trap.uffd, UFFDIO_REGISTER, &range), 0);
        return true;
}

static void trap_fill(void)
{
        struct uffdio_zeropage zero = {.range = {.start = (uintptr_t)trap.page, .len = PAGE}};

        (void)ioctl(trap.uffd, UFFDIO_ZEROPAGE, &zero);
}

static void trap_clear(void)
{
        munmap(trap.page, PAGE);
        close(trap.uffd);
}

static void await(int fd)
{
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

        assert_int_equal(poll(&poll_fd, 1, DEADLINE_MS), 1);
        assert_int_equal(poll_fd.revents, POLLIN);
}

/* The worker's call: the pipe's lock is taken, and what is to be written to is not there. */
static void *hold(void *argument)
{
        const int *pipe = argument;

        (void)!read(*pipe, trap.page, PAGE);
        return NULL;
}

/* A process that is killed takes no page fault to its end. */
static void *die(void *argument)
{
        const int *pidfd = argument;

        await(*pidfd);
        trap_fill();
        return NULL;
}

static void call_nothing(struct lane *lane, void *argument)
{
        (void)lane;
        (void)argument;
}

/* The longest call until one has been held. */
static uint64_t call_until_held(void)
{
        const uint64_t end = uv_hrtime() + DEADLINE_MS * UINT64_C(1000000);
        uint64_t took = 0;

        while (took < LIMIT_LANE_CALL_MS * UINT64_C(1000000) && uv_hrtime() < end) {
                uint64_t before = uv_hrtime();

                lane_thread_call(world.device->lanes[0], call_nothing, NULL);
                took = uv_hrtime() - before;
        }
        return took;
}

static void a_worker_that_holds_its_lane_is_killed_and_replaced(void **state)
{
        pthread_t holder, death;
        int pipe, pidfd;
        uint64_t took;

        (void)state;
        if (!trap_set())
                skip(); /* a host without userfaultfd */
        world_init(&world, 1);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        world_post(&world, 0, 5);
        world_until(&world, world_answered(&world, 0));
        pipe = world.puppet.lanes[0].ends.in;
        pidfd = (int)syscall(SYS_pidfd_open, world.puppet.pid, 0);
        assert_true(pidfd >= 0);

        world_post(&world, 0, 6);
        await(pipe);
        assert_int_equal(pthread_create(&holder, NULL, hold, &pipe), 0);
        assert_int_equal(pthread_create(&death, NULL, die, &pidfd), 0);
        await(trap.uffd);
        world_post(&world, 0, 7); /* the lane has something to write */
        took = call_until_held();
        assert_true(took >= (LIMIT_LANE_HELD_MS - LIMIT_LANE_CALL_MS) * UINT64_C(1000000));
        pthread_join(holder, NULL);
        pthread_join(death, NULL);
        close(pidfd);

        world_until(&world, world.n_reaps == 1);
        world_until(&world, world_answered(&world, 0));
        assert_int_equal(world.n_spawns, 2);
        world_done(&world);
        trap_clear();
}

/* Nothing can be answered before its end is there: that there is room again is all that goes on with it. */
static void a_frame_that_is_longer_than_the_pipe_goes_on(void **state)
{
        (void)state;
        world_init(&world, 1);
        world.hello.max_inline = 2 * PIPE_BYTES;
        world.hello.credit_bytes = 4 * PIPE_BYTES;
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        world_post(&world, 0, 2 * PIPE_BYTES);
        world_until(&world, world_answered(&world, 0));
        assert_int_equal(world.n_spawns, 1);
        world_done(&world);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_frame_that_is_longer_than_the_pipe_goes_on),
            cmocka_unit_test(a_worker_that_holds_its_lane_is_killed_and_replaced),
        };

        return cmocka_run_group_tests_name("device_held", tests, NULL, NULL);
}
