/* Kernel behaviour relied on: a tracer sees the call for which seccomp has killed, and costs nothing else.
 * No root, no jail: a child of ours with a filter of four instructions.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/fd.h"
#include "proto/base/limits.h"
#include "sandbox/trace.h"

#define WAIT_MS 10000

struct child {
        pid_t pid;
        int pidfd;
        int go; /* one byte, and it does what it is for */
        struct trace trace;
};

/* getppid kills, whatever the architecture says; the rest is allowed. */
static void load_filter(void)
{
        struct sock_filter filter[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 2, 0),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid | 0x40000000, 1, 0),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 64 /* getppid of i386 */, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {array_size(filter), filter};

        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

/* death: the signal that it gets when its parent ends, so that a test that fails leaves nobody who spins. */
static void child_start_with(struct child *child, void (*act)(void), int death)
{
        char ready;
        int go[2];

        assert_int_equal(fd_stream_pair(go), 0);
        child->pid = fork();
        assert_true(child->pid >= 0);
        if (child->pid == 0) {
                char byte = 0;

                close(go[1]);
                prctl(PR_SET_PDEATHSIG, death);
                for (int i = 1; i < 32; i++) /* the test framework catches some */
                        signal(i, SIG_DFL);
                if (write(go[0], &byte, 1) == 1 && read(go[0], &byte, 1) == 1)
                        act();
                _exit(9);
        }
        close(go[0]);
        child->go = go[1];
        assert_int_equal(read(go[1], &ready, 1), 1);
        child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
        assert_true(child->pidfd >= 0);
        assert_int_equal(trace_seize(&child->trace, child->pid), 0);
}

static void child_start(struct child *child, void (*act)(void))
{
        child_start_with(child, act, SIGKILL);
}

static void child_go(const struct child *child)
{
        assert_int_equal(write(child->go, "", 1), 1);
}

/* Serves it until it has ended; nothing here is woken by a stop, so it looks often. */
static void child_await(struct child *child, siginfo_t *ret_info)
{
        struct pollfd pfd = {.fd = child->pidfd, .events = POLLIN};

        for (int i = 0; i < WAIT_MS; i++) {
                int r = trace_look(&child->trace, child->pidfd, ret_info);

                assert_true(r >= 0);
                if (r == 1)
                        return;
                poll(&pfd, 1, 1);
        }
        fail_msg("it does not end");
}

static void child_done(struct child *child)
{
        trace_reap(child->pid);
        close(child->pidfd);
        close(child->go);
}

/* ---- what is seen ---- */

static void act_native(void)
{
        load_filter();
        syscall(SYS_getppid, 0x1111111111111111, 2, -3L, 0x4444, 5, 0x666666666);
}

static void call_that_seccomp_kills_is_seen_with_all_arguments(void **state)
{
        static const uint64_t args[] = {0x1111111111111111, 2, (uint64_t)-3, 0x4444, 5, 0x666666666};
        struct child child;
        siginfo_t info;

        (void)state;
        child_start(&child, act_native);
        child_go(&child);
        child_await(&child, &info);
        assert_int_equal(info.si_status, SIGSYS);
        assert_true(child.trace.cause.have_call);
        assert_int_equal(child.trace.cause.nr, SYS_getppid);
        assert_memory_equal(child.trace.cause.args, args, sizeof(args));
        assert_true(child.trace.cause.ip != 0);
        assert_int_equal(child.trace.cause.gate, SPAWN_GATE_START); /* one filter */
#if defined(__x86_64__)
        assert_int_equal(child.trace.cause.arch, AUDIT_ARCH_X86_64);
#else
        assert_int_equal(child.trace.cause.arch, AUDIT_ARCH_AARCH64);
#endif
        child_done(&child);
}

static void act_twice(void)
{
        load_filter();
        act_native();
}

static void second_filter_is_counted(void **state)
{
        struct child child;
        siginfo_t info;

        (void)state;
        child_start(&child, act_twice);
        child_go(&child);
        child_await(&child, &info);
        assert_int_equal(child.trace.cause.gate, SPAWN_GATE_RUN);
        child_done(&child);
}

#if defined(__x86_64__)
static void act_x32(void)
{
        load_filter();
        syscall(SYS_getppid | 0x40000000, 1, 2, 3, 4, 5, 6);
}

static void act_i386(void)
{
        long r;

        load_filter();
        __asm__ volatile("int $0x80"
                         : "=a"(r)
                         : "a"(64), "b"(0x11), "c"(0x22), "d"(0x33), "S"(0x44), "D"(0x55)
                         : "memory", "r8", "r9", "r10", "r11");
}

static void calls_of_other_architectures_are_seen_as_such(void **state)
{
        static const uint64_t i386[] = {0x11, 0x22, 0x33, 0x44, 0x55};
        struct child child;
        siginfo_t info;

        (void)state;
        child_start(&child, act_x32);
        child_go(&child);
        child_await(&child, &info);
        assert_int_equal(child.trace.cause.nr, SYS_getppid | 0x40000000);
        assert_int_equal(child.trace.cause.arch, AUDIT_ARCH_X86_64);
        child_done(&child);
        child_start(&child, act_i386);
        child_go(&child);
        child_await(&child, &info);
        assert_int_equal(child.trace.cause.nr, 64);
        assert_int_equal(child.trace.cause.arch, AUDIT_ARCH_I386);
        assert_memory_equal(child.trace.cause.args, i386, sizeof(i386));
        child_done(&child);
}
#endif

static volatile uintptr_t nowhere = 8;

static void act_fault(void)
{
        *(volatile int *)nowhere = 1;
}

static void other_deaths_show_where(void **state)
{
        struct child child;
        siginfo_t info;

        (void)state;
        child_start(&child, act_fault);
        child_go(&child);
        child_await(&child, &info);
        assert_int_equal(info.si_status, SIGSEGV);
        assert_false(child.trace.cause.have_call);
        assert_true(child.trace.cause.ip != 0);
        child_done(&child);
}

/* ---- what is not disturbed ---- */

static void act_sleep(void)
{
        for (;;)
                pause();
}

static void sigsys_of_a_person_is_no_call(void **state)
{
        struct child child;
        siginfo_t info;

        (void)state;
        child_start(&child, act_sleep);
        kill(child.pid, SIGSYS);
        child_await(&child, &info);
        assert_int_equal(info.si_status, SIGSYS);
        assert_false(child.trace.cause.have_call);
        assert_int_equal(child.trace.signal, SIGSYS);
        child_done(&child);
}

static const char *status_word(pid_t pid, const char *name)
{
        static char line[256];
        char path[64];
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file) && strncmp(line, name, strlen(name)) != 0)
                ;
        fclose(file);
        line[strcspn(line, "\n")] = '\0';
        return line + strlen(name) + 1;
}

static char process_state(pid_t pid)
{
        char path[64], line[256] = "";
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        file = fopen(path, "re");
        assert_non_null(file);
        assert_non_null(fgets(line, sizeof(line), file));
        fclose(file);
        return strrchr(line, ')')[2];
}

/* For a while in that state, its tracer having nothing more to say: one look may meet it on its way to another. */
static void await_calm(struct child *child, char wanted)
{
        siginfo_t info;
        int calm = 0;

        for (int i = 0; i < WAIT_MS; i++) {
                assert_int_equal(trace_look(&child->trace, child->pidfd, &info), 0);
                info.si_pid = 0;
                assert_int_equal(
                    waitid(P_PIDFD, (id_t)child->pidfd, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT), 0);
                calm = process_state(child->pid) == wanted && info.si_pid == 0 ? calm + 1 : 0;
                if (calm == 10)
                        return;
                poll(NULL, 0, 1);
        }
        fail_msg("it is in state %c, not %c", process_state(child->pid), wanted);
}

static void act_spin(void)
{
        for (;;)
                ;
}

/* A stopped tracee is in state t; it must neither run on nor stay for ever. */
static void stopped_child_stays_stopped_until_it_is_continued(void **state)
{
        struct child child;
        siginfo_t info;

        (void)state;
        child_start(&child, act_spin);
        child_go(&child);
        await_calm(&child, 'R');
        for (int round = 0; round < 3; round++) {
                kill(child.pid, SIGSTOP);
                await_calm(&child, 't');
                for (int i = 0; i < 20; i++) {
                        assert_int_equal(trace_look(&child.trace, child.pidfd, &info), 0);
                        assert_int_equal(process_state(child.pid), 't');
                }
                kill(child.pid, SIGCONT);
                await_calm(&child, 'R');
        }
        kill(child.pid, SIGSTOP);
        await_calm(&child, 't');
        kill(child.pid, SIGKILL); /* also while it is stopped */
        child_await(&child, &info);
        assert_int_equal(info.si_status, SIGKILL);
        child_done(&child);
}

static void on_signal(int signal)
{
        (void)signal;
        _exit(3);
}

static void act_catch(void)
{
        signal(SIGUSR1, on_signal);
        act_spin();
}

static void signal_reaches_its_handler(void **state)
{
        struct child child;
        siginfo_t info;

        (void)state;
        child_start(&child, act_catch);
        child_go(&child);
        await_calm(&child, 'R');
        for (int i = 0; i < WAIT_MS && strcmp(status_word(child.pid, "SigCgt:"), "0000000000000200") != 0;
             i++)
                poll(NULL, 0, 1);
        kill(child.pid, SIGUSR1);
        child_await(&child, &info);
        assert_int_equal(info.si_code, CLD_EXITED);
        assert_int_equal(info.si_status, 3);
        child_done(&child);
}

static void act_pester(void)
{
        signal(SIGUSR1, SIG_IGN); /* and a tracer is asked all the same */
        for (;;)
                raise(SIGUSR1);
}

static void child_that_pesters_its_tracer_is_let_go(void **state)
{
        struct child child;
        siginfo_t info;

        (void)state;
        child_start(&child, act_pester);
        child_go(&child);
        for (int i = 0; i < WAIT_MS && child.trace.pid != 0; i++) {
                assert_int_equal(trace_look(&child.trace, child.pidfd, &info), 0);
                poll(NULL, 0, 1);
        }
        assert_int_equal(child.trace.pid, 0);
        assert_int_equal(child.trace.stops, LIMIT_TRACE_STOPS + 1);
        await_calm(&child, 'R');
        assert_string_equal(status_word(child.pid, "TracerPid:"), "0");
        child_done(&child);
}

#define ALONE_S 60

/* It outlives its parent; should the test fail, not for ever. */
static void act_spin_alone(void)
{
        alarm(ALONE_S);
        act_spin();
}

static void tracer_that_dies_leaves_the_child_as_it_was(void **state)
{
        struct child child;
        int report[2], status;
        pid_t middle;

        (void)state;
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
        assert_int_equal(pipe(report), 0);
        middle = fork();
        if (middle == 0) {
                child_start_with(&child, act_spin_alone, 0);
                child_go(&child);
                await_calm(&child, 'R');
                _exit(write(report[1], &child.pid, sizeof(child.pid)) == sizeof(child.pid) ? 0 : 1);
        }
        assert_int_equal(waitpid(middle, &status, 0), middle);
        assert_int_equal(status, 0);
        assert_int_equal(read(report[0], &child.pid, sizeof(child.pid)), sizeof(child.pid));
        assert_int_equal(process_state(child.pid), 'R');
        assert_string_equal(status_word(child.pid, "TracerPid:"), "0");
        kill(child.pid, SIGKILL);
        assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
        assert_int_equal(status, SIGKILL);
        close(report[0]);
        close(report[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(call_that_seccomp_kills_is_seen_with_all_arguments),
                cmocka_unit_test(second_filter_is_counted),
#if defined(__x86_64__)
                cmocka_unit_test(calls_of_other_architectures_are_seen_as_such),
#endif
                cmocka_unit_test(other_deaths_show_where),
                cmocka_unit_test(sigsys_of_a_person_is_no_call),
                cmocka_unit_test(stopped_child_stays_stopped_until_it_is_continued),
                cmocka_unit_test(signal_reaches_its_handler),
                cmocka_unit_test(child_that_pesters_its_tracer_is_let_go),
                cmocka_unit_test(tracer_that_dies_leaves_the_child_as_it_was),
        };

        return cmocka_run_group_tests_name("trace_kernel", tests, NULL, NULL);
}
