/* A broker that is stopped while its disk's worker has answered, and goes on when the worker has long had nothing to do: what
 * the answers say is in the worker's memory is there still.
 *
 * TRUST: statuses and data are the broker's, and are what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/limits.h"
#include "tests/faults/load.h"
#include "tests/faults/stack.h"

#define BLOCKS     512u
#define DEPTH      32u
#define STOPS      2u
#define DEADLINE_S 20

static const char *bin;
static struct stack stack;
static struct load load;

static void require(int r, const char *what)
{
        if (r >= 0)
                return;
        stack_show_log(&stack);
        fail_msg("%s: %s; %s", what, strerror(-r), load.why);
}

static int teardown(void **state)
{
        (void)state;
        load_close(&load);
        stack_done(&stack);
        return 0;
}

/* Does the worker sleep, and not until its area may rest? Then it has asked whether it may, and waits for the answer. */
static bool sleeps_long(pid_t worker, unsigned long timeout)
{
        struct timespec time;
        struct iovec to = {.iov_base = &time, .iov_len = sizeof(time)};
        struct iovec from = {.iov_base = (void *)timeout, .iov_len = sizeof(time)};

        return timeout == 0 || (process_vm_readv(worker, &to, 1, &from, 1, 0) == sizeof(time) &&
                                time.tv_sec >= (time_t)LIMIT_DEVICE_REST_S);
}

static bool has_asked(pid_t worker)
{
        unsigned long fds, n, timeout;
        char path[64];
        FILE *file;
        int nr = 0, found;

        snprintf(path, sizeof(path), "/proc/%d/syscall", (int)worker);
        file = fopen(path, "re");
        assert_non_null(file);
        found = fscanf(file, "%d %lx %lx %lx", &nr, &fds, &n, &timeout);
        fclose(file);
        return found == 4 && nr == SYS_ppoll && sleeps_long(worker, timeout);
}

static void await_question(pid_t worker)
{
        const time_t deadline = time(NULL) + DEADLINE_S;

        while (!has_asked(worker)) {
                assert_true(time(NULL) < deadline);
                usleep(1000); /* nothing tells us: what another process does is looked at */
        }
}

static void what_a_stopped_broker_has_not_fetched_is_there_when_it_goes_on(void **state)
{
        pid_t worker;

        (void)state;
        require(stack_make(&stack, bin, NULL, BLOCKS * LOAD_BLOCK), "a stack");
        require(stack_start(&stack), "the broker");
        memset(&load, 0, sizeof(load));
        load.seed = 11;
        require(load_open(&load, stack.socket, FRONT_END_QEMU_7_2, DEPTH, BLOCKS), "a session");
        require(load_clear(&load), "the first writes");
        worker = stack_worker(&stack, "blk");
        for (unsigned i = 0; i < STOPS; i++) {
                require(load_run(&load, 2000 + i), "before the stop");
                assert_int_equal(kill(stack.broker, SIGSTOP), 0);
                await_question(worker);
                assert_int_equal(kill(stack.broker, SIGCONT), 0);
                require(load_run(&load, 2000), "after the stop");
        }
        require(load_drain(&load), "the end");
        require(load_check(&load), "what was answered before a stop and told of after it");
        assert_int_equal(stack_worker(&stack, "blk"), worker);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_teardown(what_a_stopped_broker_has_not_fetched_is_there_when_it_goes_on,
                                      teardown),
        };

        if (argc != 2)
                return 2;
        bin = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}
