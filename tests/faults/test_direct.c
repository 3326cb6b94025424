/* A disk past the page cache whose host is slow: what is under way when its worker dies. And images that cannot be
 * used so.
 *
 * Mounts are made in a mount namespace of the test's own. TRUST: statuses and data are the broker's, and are what is
 * tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "tests/faults/load.h"
#include "tests/faults/slow_disk.h"
#include "tests/faults/stack.h"

#define BLOCKS  256u
#define DEPTH   16u
#define STAY_MS 300 /* a process that is not held up ends sooner */

static const char *bin;
static bool own_mounts;
static struct stack stack;
static struct load load;
static struct slow_disk disk;

static void require(int r, const char *what)
{
        if (r >= 0)
                return;
        stack_show_log(&stack);
        fail_msg("%s: %s; %s", what, strerror(-r), load.why);
}

/* Nothing may stay open on the slow disk when its server ends with us. */
static int teardown(void **state)
{
        (void)state;
        slow_disk_release(&disk);
        load_close(&load);
        stack_done(&stack);
        slow_disk_stop(&disk);
        return 0;
}

/* Several writes are under way in the host: the load need not wait any longer. */
static bool enough_is_held(void *context)
{
        (void)context;
        return slow_disk_held(&disk) >= DEPTH / 4;
}

/* Would the spawner's lock be granted? */
static bool is_locked(int fd)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

        assert_int_equal(fcntl(fd, F_OFD_GETLK, &lock), 0);
        return lock.l_type != F_UNLCK;
}

static bool has_ended(int pidfd, int wait_ms)
{
        struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};

        return poll(&poll_fd, 1, wait_ms) == 1;
}

static void what_is_under_way_when_a_worker_dies_holds_the_lock(void **state)
{
        pid_t worker, successor;
        int pidfd, file, r;

        (void)state;
        if (!own_mounts)
                skip();
        r = slow_disk_start(&disk, BLOCKS * LOAD_BLOCK);
        if (r < 0) {
                print_message("no FUSE here: %s\n", strerror(-r));
                skip();
        }
        require(stack_make(&stack, bin, NULL, LOAD_BLOCK), "a stack");
        require(stack_configure(&stack, disk.file, ", direct: true"), "a direct disk");
        require(stack_start(&stack), "the broker");
        memset(&load, 0, sizeof(load));
        load.seed = 5;
        require(load_open(&load, stack.socket, FRONT_END_QEMU_7_2, DEPTH, BLOCKS), "a session");
        require(load_clear(&load), "the first writes");
        worker = stack_worker(&stack, "blk");
        pidfd = (int)syscall(SYS_pidfd_open, worker, 0);
        file = open(disk.file, O_RDWR | O_CLOEXEC);
        assert_true(pidfd >= 0 && file >= 0);
        assert_true(is_locked(file));

        slow_disk_hold(&disk);
        load.tick = enough_is_held;
        load.tick_ms = 1;
        assert_int_equal(load_run(&load, 10000), -ECANCELED);
        assert_int_equal(kill(worker, SIGKILL), 0);
        assert_false(has_ended(pidfd, STAY_MS));
        assert_true(is_locked(file));
        successor = stack_worker(&stack, "blk");
        assert_true(successor == 0 || successor == worker); /* no other one is there */

        slow_disk_release(&disk);
        assert_true(has_ended(pidfd, LOAD_DEADLINE_MS));
        load.tick = NULL;
        require(load_drain(&load), "the successor");
        require(load_run(&load, 500), "the successor");
        require(load_check(&load), "what was under way, sent again");
        assert_int_not_equal(stack_worker_after(&stack, "blk", worker), 0);
        close(file);
        close(pidfd);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_teardown(what_is_under_way_when_a_worker_dies_holds_the_lock, teardown),
        };

        if (argc != 2)
                return 2;
        bin = argv[1];
        own_mounts = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
