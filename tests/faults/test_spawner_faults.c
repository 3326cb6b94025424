/* Every system call that starting a worker takes, failing: in the spawner and in its child that becomes the
 * worker, at a restart and at the first start.
 *
 * After each failure the same broker and spawner must be there, the device must serve again, and whatever was
 * outstanding must be right. TRUST: what the load reads is the broker's, and is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "tests/faults/load.h"
#include "tests/faults/process.h"
#include "tests/faults/stack.h"
#include "tests/faults/tracer.h"

#define BLOCKS   256u
#define DEPTH    8u
#define FIRED_MS 10000

static struct stack stack;
static struct load load;
static struct tracer tracer;
static const char *bin;

static int setup(void **state)
{
        (void)state;
        if (stack_make(&stack, bin, NULL, (uint64_t)BLOCKS * LOAD_BLOCK) < 0 || stack_start(&stack) < 0)
                return -1;
        memset(&load, 0, sizeof(load));
        load.seed = 7;
        if (load_open(&load, stack.socket, FRONT_END_QEMU_7_2, DEPTH, BLOCKS) < 0)
                return -1;
        return load_clear(&load);
}

static int teardown(void **state)
{
        (void)state;
        tracer_stop(&tracer);
        load_close(&load);
        stack_done(&stack);
        return 0;
}

static void require(int r, const char *what)
{
        if (r >= 0)
                return;
        stack_show_log(&stack);
        fail_msg("%s: %s; %s", what, strerror(-r), load.why);
}

static void fail_with_log(const char *what, const char *why)
{
        stack_show_log(&stack);
        fail_msg("%s: %s", what, why);
}

/* The broker and the spawner are those of the beginning. */
static void require_alive(const char *what)
{
        if (process_child(stack.spawner, "bulkhead-broker") == stack.broker && stack.broker > 0)
                return;
        stack_show_log(&stack);
        fail_msg("%s: the broker is gone", what);
}

/* A session of its own: a quarantined device gets a new chance with it. */
static void attach_again(const char *what)
{
        load_close(&load);
        memset(load.busy, 0, sizeof(load.busy));
        load.why[0] = '\0';
        require(load_open(&load, stack.socket, FRONT_END_QEMU_11_1, DEPTH, BLOCKS), what);
        require(load_clear(&load), what);
}

struct fault {
        const char *call, *inject;
        unsigned last; /* the last call of its kind that fails; 0: the third */
};

/* ---- the spawner, at a restart ---- */

/* Each first, second and third call of its kind, and each pipe; of those by which it acts as the worker's owner only the
 * first: one that cannot go back to itself ends, as it must. What is transient must be survived under load: nothing that
 * is outstanding may be lost. */
static const struct fault spawner_faults[] = {
    {"openat", "error=EMFILE"},     {"openat", "error=ENOMEM"},       {"openat", "error=EINTR"},
    {"newfstatat", "error=EIO"},    {"fcntl", "error=EAGAIN"},        {"fcntl", "error=EIO"},
    {"socketpair", "error=EMFILE"}, {"socketpair", "error=ENFILE"},   {"memfd_create", "error=ENOMEM"},
    {"pipe2", "error=EMFILE", 5},   {"pipe2", "error=ENFILE", 5},     {"clone3", "error=EAGAIN"},
    {"clone3", "error=ENOMEM"},     {"clone3", "error=ENOSPC"},       {"write", "error=ENOSPC"},
    {"write", "error=EINTR"},       {"read", "error=EINTR"},          {"lseek", "error=EIO"},
    {"poll", "error=EINTR"},        {"sendmsg", "error=EINTR"},       {"recvfrom", "error=EINTR"},
    {"mkdir", "error=ENOSPC"},      {"setresuid", "error=EAGAIN", 1}, {"setresgid", "error=EPERM", 1},
};

static void fail_spawner_once(const struct fault *fault, unsigned when)
{
        pid_t before;
        char inject[64], what[128];
        unsigned fired;

        snprintf(inject, sizeof(inject), "%s:when=%u", fault->inject, when);
        snprintf(what, sizeof(what), "%s %s", fault->call, inject);
        require(load_run(&load, 32), what);
        require(tracer_start(&tracer, stack.dir, stack.spawner, false, fault->call, inject), what);
        before = stack_kill_worker(&stack, "blk");
        require(load_run(&load, 32), what);
        require(load_drain(&load), what);
        fired = tracer_stop(&tracer);
        require_alive(what);
        assert_int_not_equal(stack_worker_after(&stack, "blk", before), 0);
        if (when == 1 && fired == 0)
                fail_msg("%s: the call was not made", what);
}

static void a_call_of_the_spawner_that_fails_at_a_restart_loses_nothing(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(spawner_faults); i++)
                for (unsigned when = 1; when <= (spawner_faults[i].last ? spawner_faults[i].last : 3); when++)
                        fail_spawner_once(&spawner_faults[i], when);
        require(load_check(&load), "at the end");
}

/* ---- the child that becomes the worker ---- */

/* Up to its filter: what strace makes fail is a call that no filter allows. */
static const struct fault jail_faults[] = {
    {"mount", "error=ENOMEM"},      {"pivot_root", "error=EBUSY"},  {"setgroups", "error=EPERM"},
    {"unshare", "error=ENOSPC"},    {"sethostname", "error=EPERM"}, {"capset", "error=EPERM"},
    {"close_range", "error=EBADF"},
};

/* As long as it fails there is no worker: said with its stage, and no other device is touched. */
static void fail_jail(const struct fault *fault)
{
        size_t mark = stack_log_mark(&stack);
        pid_t rng = stack_worker(&stack, "rng");
        unsigned fired;

        require(load_run(&load, 32), fault->call);
        require(tracer_start(&tracer, stack.dir, stack.spawner, true, fault->call, fault->inject),
                fault->call);
        assert_int_not_equal(stack_kill_worker(&stack, "blk"), 0);
        if (!stack_wait_log(&stack, mark, "worker cannot be started: jail stage ", FIRED_MS))
                fail_with_log(fault->call, "nothing was said");
        fired = tracer_stop(&tracer);
        require_alive(fault->call);
        assert_int_not_equal(fired, 0);
        assert_int_equal(stack_worker(&stack, "rng"), rng);
        attach_again(fault->call);
}

static void a_jail_that_cannot_be_made_is_said_and_made_later(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(jail_faults); i++)
                fail_jail(&jail_faults[i]);
}

/* ---- at the first start ---- */

static const struct fault start_faults[] = {
    {"clone3", "error=EAGAIN"},
    {"clone3", "error=ENOSPC"},
    {"socketpair", "error=EMFILE"},
    {"pipe2", "error=EMFILE"},
    {"memfd_create", "error=ENOMEM:when=2+"},
    {"mount", "error=EPERM"},
    {"pivot_root", "error=EINVAL"},
    {"bind", "error=EADDRINUSE"},
    {"listen", "error=ENOMEM"},
    {"listen", "error=ENOMEM:when=3"},
    {"epoll_create1", "error=EMFILE"},
};

static void start_with(const struct fault *fault)
{
        char trace[64], inject[96];
        const char *const words[] = {"strace", "-f",  "-qq", "-o",   "/dev/null",
                                     "-e",     trace, "-e",  inject, NULL};
        size_t mark = stack_log_mark(&stack);
        char admin[160];
        int r;

        snprintf(admin, sizeof(admin), "%s/run/%s/admin.sock", stack.dir, stack.vm);
        snprintf(trace, sizeof(trace), "trace=%s", fault->call);
        snprintf(inject, sizeof(inject), "inject=%s:%s", fault->call, fault->inject);
        stack.wrapper = words;
        r = stack_start(&stack);
        if (r != -ECHILD)
                fail_msg("%s %s: it started all the same: %d", fault->call, fault->inject, r);
        if (stack_stop(&stack) == 0)
                fail_with_log(fault->call, "it ended well");
        if (!stack_wait_log(&stack, mark, "error: ", 0))
                fail_with_log(fault->call, "nothing was said");
        if (access(stack.socket, F_OK) == 0 || access(admin, F_OK) == 0)
                fail_with_log(fault->call, "a socket is left behind");
        stack.wrapper = NULL;
}

static void a_call_that_fails_at_the_start_ends_it_with_a_reason(void **state)
{
        (void)state;
        load_close(&load);
        assert_int_equal(stack_stop(&stack), 0);
        for (size_t i = 0; i < array_size(start_faults); i++)
                start_with(&start_faults[i]);
        assert_int_equal(stack_start(&stack), 0);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
            FAULT_TEST(a_call_of_the_spawner_that_fails_at_a_restart_loses_nothing),
            FAULT_TEST(a_jail_that_cannot_be_made_is_said_and_made_later),
            FAULT_TEST(a_call_that_fails_at_the_start_ends_it_with_a_reason),
        };

        if (argc != 2)
                return 2;
        bin = argv[1];
        if (!tracer_available()) {
                fprintf(stderr, "skipped: strace is missing, or may not trace\n");
                return 77;
        }
        if (getenv("T"))
                cmocka_set_test_filter(getenv("T"));
        return cmocka_run_group_tests(tests, NULL, NULL);
}
