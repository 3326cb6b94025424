/* A broker that is stopped while its disk's worker has answered, and goes on when the worker has long had nothing to do: what
 * the answers say is in the worker's memory is there still. One with two lanes asks meanwhile whether its memory may go back to the host;
 * one with one lane waits for more of what it was promised there (broker/core/lane_stay.h), and asks when its broker goes on.
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

/* The call that it sleeps in; -1: it does not. */
static int call_of(pid_t worker, unsigned long *ret_timeout)
{
        unsigned long first, second;
        char path[64];
        FILE *file;
        int nr = -1, found;

        snprintf(path, sizeof(path), "/proc/%d/syscall", (int)worker);
        file = fopen(path, "re");
        assert_non_null(file);
        found = fscanf(file, "%d %lx %lx %lx", &nr, &first, &second, ret_timeout);
        fclose(file);
        return found == 4 ? nr : -1;
}

static bool has_asked(pid_t worker)
{
        unsigned long timeout;

        return call_of(worker, &timeout) == SYS_ppoll && sleeps_long(worker, timeout);
}

static bool reads(pid_t worker)
{
        unsigned long ignored;

        return call_of(worker, &ignored) == SYS_read;
}

static void await_question(pid_t worker)
{
        const time_t deadline = time(NULL) + DEADLINE_S;

        while (!has_asked(worker)) {
                assert_true(time(NULL) < deadline);
                usleep(1000); /* nothing tells us: what another process does is looked at */
        }
}

static pid_t begin(const char *keys)
{
        require(stack_make(&stack, bin, NULL, BLOCKS * LOAD_BLOCK), "a stack");
        require(stack_configure(&stack, stack.image, keys), "its configuration");
        require(stack_start(&stack), "the broker");
        memset(&load, 0, sizeof(load));
        load.seed = 11;
        require(load_open(&load, stack.socket, FRONT_END_QEMU_7_2, DEPTH, BLOCKS), "a session");
        require(load_clear(&load), "the first writes");
        return stack_worker(&stack, "blk");
}

static void stop_under_load(unsigned n)
{
        require(load_run(&load, n), "before the stop");
        assert_int_equal(kill(stack.broker, SIGSTOP), 0);
}

static void go_on(void)
{
        assert_int_equal(kill(stack.broker, SIGCONT), 0);
        require(load_run(&load, 2000), "after the stop");
}

static void end(pid_t worker)
{
        require(load_drain(&load), "the end");
        await_question(worker);
        require(load_check(&load), "what was answered before a stop and told of after it");
        assert_int_equal(stack_worker(&stack, "blk"), worker);
}

static void what_a_stopped_broker_has_not_fetched_is_there_when_it_goes_on(void **state)
{
        pid_t worker = begin(", queues: 2, lanes: 2");

        (void)state;
        for (unsigned i = 0; i < STOPS; i++) {
                stop_under_load(2000 + i);
                await_question(worker);
                go_on();
        }
        end(worker);
}

/* On a busy machine the last requests before a stop may have come too slowly for a promise: then the next stop counts. */
static void who_waits_for_the_lane_of_a_stopped_broker_goes_on_with_it(void **state)
{
        const time_t deadline = time(NULL) + 3 * DEADLINE_S;
        pid_t worker = begin("");

        (void)state;
        for (unsigned seen = 0; seen < STOPS;) {
                assert_true(time(NULL) < deadline);
                stop_under_load(2000 + seen);
                usleep(LIMIT_AREA_REST_S * 1500000);
                seen += reads(worker);
                go_on();
        }
        end(worker);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_teardown(what_a_stopped_broker_has_not_fetched_is_there_when_it_goes_on,
                                      teardown),
            cmocka_unit_test_teardown(who_waits_for_the_lane_of_a_stopped_broker_goes_on_with_it, teardown),
        };

        if (argc != 2)
                return 2;
        bin = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}
