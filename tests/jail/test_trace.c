/* Workers in real jails, traced: what they die of, by gate, and how long a kill takes.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "sandbox/policy_explain.h"
#include "tests/jail/jail_fixture.h"

#define WAIT_MS 10000
#define KILLS   101 /* whose time is taken: odd, so that there is a middle */

static int child_signals; /* readable when a child has stopped or ended */

static void traced_start(struct probe *probe, const char *type, bool trace)
{
        struct jail_spec spec;
        struct probe_theirs theirs;

        fixture_spec(&spec, policy_find(type), probe, &theirs);
        spec.trace = trace;
        probe_start_spec(probe, &spec, &theirs);
        assert_int_equal(probe->child.trace_error, 0);
        assert_int_equal(probe->child.trace.pid, trace ? probe->child.pid : 0);
}

/* Serves the child until it has ended, as the spawner does. */
static void await_end(struct probe *probe, siginfo_t *ret_info)
{
        struct pollfd pfd = {.fd = child_signals, .events = POLLIN};
        struct signalfd_siginfo drop;

        while (trace_look(&probe->child.trace, probe->child.pidfd, ret_info) == 0) {
                assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
                assert_true(read(child_signals, &drop, sizeof(drop)) > 0);
        }
}

/* Asks without waiting for the answer: it dies of it, and somebody must see to that. */
static void command(const struct probe *probe, enum probe_attack attack, uint64_t a0, uint64_t a1)
{
        struct probe_command command = {.attack = attack, .args = {a0, a1}};

        assert_int_equal(write(probe->control, &command, sizeof(command)), sizeof(command));
}

static void die(struct probe *probe, enum probe_attack attack, uint64_t a0, uint64_t a1)
{
        siginfo_t info;

        command(probe, attack, a0, a1);
        await_end(probe, &info);
        assert_int_equal(info.si_status, SIGSYS);
        policy_explain(policy_find("rng"), &probe->child.trace.cause);
}

static void forbidden_call_is_named_with_its_arguments_and_its_gate(void **state)
{
        (void)state;
        for (int locked = 0; locked < 2; locked++) {
                struct spawn_cause *cause;
                struct probe probe;

                traced_start(&probe, "rng", true);
                cause = &probe.child.trace.cause;
                if (locked)
                        assert_int_equal(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
                die(&probe, PROBE_OPEN_BELOW, 7, 0);
                assert_true(cause->have_call);
                assert_string_equal(cause->call, "openat");
                assert_int_equal(cause->nr, SYS_openat);
                assert_int_equal(cause->args[0], 7);
                assert_int_equal(cause->args[2], O_RDONLY);
                assert_int_equal(cause->breach, SPAWN_BREACH_CALL);
                assert_int_equal(cause->gate, locked ? SPAWN_GATE_RUN : SPAWN_GATE_START);
                probe_stop(&probe);
        }
}

static void wrong_arguments_and_foreign_calls_are_told_apart(void **state)
{
        static const struct {
                enum probe_attack attack;
                enum spawn_breach breach;
                const char *call;
        } deaths[] = {
                {PROBE_WRITE_FD, SPAWN_BREACH_ARGUMENTS, "write"},
#if defined(__x86_64__)
                {PROBE_X32, SPAWN_BREACH_ARCH, "getpid"},
                {PROBE_INT80, SPAWN_BREACH_ARCH, "getpid"},
#endif
        };

        (void)state;
        for (size_t i = 0; i < array_size(deaths); i++) {
                struct probe probe;

                traced_start(&probe, "rng", true);
                assert_int_equal(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
                die(&probe, deaths[i].attack, 999, 0);
                assert_int_equal(probe.child.trace.cause.breach, deaths[i].breach);
                assert_string_equal(probe.child.trace.cause.call, deaths[i].call);
                probe_stop(&probe);
        }
}

/* It is the first process of its pid namespace, which the kernel spares as long as somebody traces it. */
static void fault_is_deadly_and_shows_where(void **state)
{
        struct probe probe;
        siginfo_t info;

        (void)state;
        traced_start(&probe, "rng", true);
        assert_int_equal(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
        kill(probe.child.pid, SIGSEGV); /* a person's is ignored there, and changes nothing */
        command(&probe, PROBE_ABORT, 0, 0);
        await_end(&probe, &info);
        assert_true(info.si_status == SIGILL || info.si_status == SIGTRAP);
        assert_true(probe.child.trace.cause.ip != 0);
        assert_true(probe.child.trace.stops <= 1);
        probe_stop(&probe);
}

/* Until the tracer has nothing more to say to a stop: an answer before SIGCONT would show that it runs. */
static void stopped_worker_stops_goes_on_and_can_be_killed(void **state)
{
        struct signalfd_siginfo drop;
        struct probe_answer answer;
        struct pollfd pfds[2];
        struct probe probe;
        siginfo_t info;

        (void)state;
        traced_start(&probe, "rng", true);
        assert_int_equal(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
        pfds[0] = (struct pollfd){.fd = child_signals, .events = POLLIN};
        pfds[1] = (struct pollfd){.fd = probe.control, .events = POLLIN};
        for (int round = 0; round < 2; round++) {
                kill(probe.child.pid, SIGSTOP);
                for (int stops = 0; stops < 2; stops++) { /* delivery, then the stop itself */
                        assert_int_equal(poll(pfds, 1, WAIT_MS), 1);
                        assert_true(read(child_signals, &drop, sizeof(drop)) > 0);
                        assert_int_equal(trace_look(&probe.child.trace, probe.child.pidfd, &info), 0);
                }
                command(&probe, PROBE_PING, 0, 0);
                assert_int_equal(poll(&pfds[1], 1, 50), 0);
                kill(probe.child.pid, round == 0 ? SIGCONT : SIGKILL);
                while (round == 0 && !(pfds[1].revents & POLLIN)) {
                        assert_true(poll(pfds, 2, WAIT_MS) > 0);
                        if (pfds[0].revents)
                                assert_true(read(child_signals, &drop, sizeof(drop)) > 0);
                        assert_int_equal(trace_look(&probe.child.trace, probe.child.pidfd, &info), 0);
                }
                if (round == 0)
                        assert_int_equal(read(probe.control, &answer, sizeof(answer)), sizeof(answer));
        }
        await_end(&probe, &info);
        assert_int_equal(info.si_status, SIGKILL);
        probe_stop(&probe);
}

static unsigned n_woken;

static void serve_other(void *context)
{
        struct probe *other = context;
        struct signalfd_siginfo drop;
        siginfo_t info;

        assert_true(read(child_signals, &drop, sizeof(drop)) > 0);
        (void)trace_look(&other->child.trace, other->child.pidfd, &info);
        n_woken++;
}

/* Its stop at its end is there before the other's start begins, and nobody looks but that start. */
static void worker_dies_while_another_one_starts(void **state)
{
        struct probe dying, starting;
        struct pollfd pfds[2];
        struct jail_spec spec;
        struct probe_theirs theirs;

        (void)state;
        traced_start(&dying, "rng", true);
        kill(dying.child.pid, SIGKILL);
        pfds[0] = (struct pollfd){.fd = child_signals, .events = POLLIN};
        pfds[1] = (struct pollfd){.fd = dying.child.pidfd, .events = POLLIN};
        assert_int_equal(poll(pfds, 1, WAIT_MS), 1);
        assert_int_equal(poll(&pfds[1], 1, 20), 0); /* it waits for its tracer */
        fixture_spec(&spec, policy_find("rng"), &starting, &theirs);
        spec.trace = true;
        spec.wake_fd = child_signals;
        spec.wake = serve_other;
        spec.wake_context = &dying;
        n_woken = 0;
        probe_start_spec(&starting, &spec, &theirs);
        assert_true(n_woken > 0);
        assert_int_equal(poll(&pfds[1], 1, WAIT_MS), 1);
        probe_stop(&starting);
        probe_stop(&dying);
}

static void number_without_a_name_has_none(void **state)
{
        struct spawn_cause cause = {.have_call = true, .nr = 1023, .arch = AUDIT_ARCH_X86_64};

        (void)state;
        policy_explain(policy_find("rng"), &cause);
        assert_string_equal(cause.call, "");
        cause = (struct spawn_cause){.have_call = true, .nr = 1, .arch = 12345};
        policy_explain(policy_find("rng"), &cause);
        assert_string_equal(cause.call, "");
        assert_int_equal(cause.breach, SPAWN_BREACH_ARCH);
        cause = (struct spawn_cause){0};
        policy_explain(policy_find("rng"), &cause);
        assert_int_equal(cause.breach, SPAWN_BREACH_UNKNOWN);
}

static void worker_has_its_spawner_for_a_tracer_or_none(void **state)
{
        char text[64], wanted[64];

        (void)state;
        for (int trace = 0; trace < 2; trace++) {
                struct probe probe;

                traced_start(&probe, "rng", trace);
                snprintf(wanted, sizeof(wanted), "%d", trace ? (int)getpid() : 0);
                assert_string_equal(proc_status(probe.child.pid, "TracerPid", text, sizeof(text)), wanted);
                assert_int_equal(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
                assert_int_equal(probe_ask(&probe, PROBE_PING, 0, 0, 0, 0), 42);
                probe_stop(&probe);
        }
}

/* It is asked for as late as possible: whatever fails before is not traced, and what fails after is reaped. */
static void failure_behind_the_tracer_leaves_no_child(void **state)
{
        struct jail_failure failure;
        struct jail_child child;
        struct jail_spec spec;
        struct probe probe;
        struct probe_theirs theirs;

        (void)state;
        fixture_spec(&spec, policy_find("rng"), &probe, &theirs);
        spec.trace = true;
        spec.fail_stage = "exec";
        assert_int_equal(jail_spawn(&spec, &child, &failure), -EIO);
        assert_string_equal(failure.stage, "exec");
        spec.fail_stage = NULL;
        close(spec.binary_fd);
        spec.binary_fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
        assert_int_equal(jail_spawn(&spec, &child, &failure), -EACCES);
        assert_string_equal(failure.stage, "exec");
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
        fixture_close(&spec, &theirs);
        fixture_close_ours(&probe);
}

static int compare_times(const void *a, const void *b)
{
        const double *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static double now_us(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* From SIGKILL to the readable pidfd, which is what a broker waits for. */
static double kill_us(bool trace, double *ret_start_us)
{
        struct probe probe;
        struct pollfd pfds[2];
        siginfo_t info;
        double start = now_us();

        traced_start(&probe, "rng", trace);
        *ret_start_us = now_us() - start;
        assert_int_equal(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
        pfds[0] = (struct pollfd){.fd = probe.child.pidfd, .events = POLLIN};
        pfds[1] = (struct pollfd){.fd = trace ? child_signals : -1, .events = POLLIN};
        start = now_us();
        syscall(SYS_pidfd_send_signal, probe.child.pidfd, SIGKILL, NULL, 0);
        do {
                struct signalfd_siginfo drop;

                assert_true(poll(pfds, 2, WAIT_MS) > 0);
                if (pfds[1].revents)
                        assert_true(read(child_signals, &drop, sizeof(drop)) > 0);
                (void)trace_look(&probe.child.trace, probe.child.pidfd, &info);
        } while (!(pfds[0].revents & POLLIN));
        start = now_us() - start;
        probe_stop(&probe);
        return start;
}

/* Printed, and held only against being held up: the machine may be busy. */
static void kill_of_a_traced_worker_is_not_held_up(void **state)
{
        (void)state;
        for (int trace = 0; trace < 2; trace++) {
                double times[KILLS], starts[KILLS];

                for (size_t i = 0; i < KILLS; i++)
                        times[i] = kill_us(trace, &starts[i]);
                qsort(times, KILLS, sizeof(times[0]), compare_times);
                qsort(starts, KILLS, sizeof(starts[0]), compare_times);
                printf("start of a worker, %s: p50 %.0f us\n", trace ? "traced" : "not traced",
                       starts[KILLS / 2]);
                printf("SIGKILL to pidfd, %s: p50 %.0f us, p99 %.0f us\n", trace ? "traced" : "not traced",
                       times[KILLS / 2], times[KILLS * 99 / 100]);
                assert_true(times[KILLS / 2] < 1e6);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(forbidden_call_is_named_with_its_arguments_and_its_gate),
            cmocka_unit_test(wrong_arguments_and_foreign_calls_are_told_apart),
            cmocka_unit_test(fault_is_deadly_and_shows_where),
            cmocka_unit_test(stopped_worker_stops_goes_on_and_can_be_killed),
            cmocka_unit_test(worker_dies_while_another_one_starts),
            cmocka_unit_test(number_without_a_name_has_none),
            cmocka_unit_test(worker_has_its_spawner_for_a_tracer_or_none),
            cmocka_unit_test(failure_behind_the_tracer_leaves_no_child),
            cmocka_unit_test(kill_of_a_traced_worker_is_not_held_up),
        };
        sigset_t set;

        if (!fixture_needs_root())
                return 77;
        fixture_keep_rights();
        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        sigprocmask(SIG_BLOCK, &set, NULL);
        child_signals = signalfd(-1, &set, SFD_CLOEXEC);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
