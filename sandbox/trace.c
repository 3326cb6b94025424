/* The stops of a traced worker.
 * Owns the fact of being its tracer; called by jail.c, which seizes, and by the spawner's loop. TRUST: signals
 * are the worker's doing: their number is bounded, their meaning is not looked at.
 *
 * How it works: a seized process stops before us in three cases. A signal is about to be delivered: it is. A
 * stopping signal has stopped it: PTRACE_LISTEN leaves it stopped and continuable as if nobody traced it. It
 * ends: its registers are read if seccomp has killed it, and it goes on to its end.
 *
 * It is let go for good, and loses nothing but the explanation, in two cases. It makes us deliver signal after
 * signal. Or it has faulted: a worker is the first process of its pid namespace, and the kernel does not let
 * a traced one of those die of its faults; where it stood is noted before.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/trace.h"

#include <errno.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "proto/base/limits.h"

#define EVENT(status)  ((status) >> 8)
#define SIGNAL(status) ((status)&0xff)
#define TURN_STOPS     8 /* stops of one child in a row before others have their turn */

int trace_seize(struct trace *trace, pid_t pid)
{
        if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)(uintptr_t)PTRACE_O_TRACEEXIT) < 0)
                return -errno;
        *trace = (struct trace){.pid = pid};
        return 0;
}

/* The exit status that it is going to have. A SIGSYS that came to it as a signal comes by way of us, the one
 * of seccomp does not. */
static void trace_note_end(struct trace *trace)
{
        unsigned long status = 0;
        uint32_t arch;

        if (ptrace(PTRACE_GETEVENTMSG, trace->pid, NULL, &status) < 0)
                return;
        if ((status & 0x7f) == SIGSYS && trace->signal != SIGSYS)
                trace_read_call(trace->pid, &trace->cause);
        else if ((status & 0x7f) != 0 && (status & 0x7f) != SIGKILL)
                trace->cause.ip = trace_read_ip(trace->pid, &arch);
}

static bool stops_its_receiver(int signal)
{
        return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

/* Made by the kernel for what the process itself has done. */
static bool is_fault(pid_t pid, int signal)
{
        siginfo_t info = {.si_code = 0};

        if (signal != SIGSEGV && signal != SIGBUS && signal != SIGILL && signal != SIGFPE &&
            signal != SIGTRAP)
                return false;
        return ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) == 0 && info.si_code > 0;
}

/* No call here can fail but by the child's sudden death, which waitid tells next. */
static void trace_deliver(struct trace *trace, int signal)
{
        bool fault = is_fault(trace->pid, signal);
        uint32_t arch;

        trace->signal = signal;
        if (!fault && ++trace->stops <= LIMIT_TRACE_STOPS) {
                ptrace(PTRACE_CONT, trace->pid, NULL, (void *)(intptr_t)signal);
                return;
        }
        if (fault)
                trace->cause.ip = trace_read_ip(trace->pid, &arch);
        ptrace(PTRACE_DETACH, trace->pid, NULL, (void *)(intptr_t)signal);
        trace->pid = 0;
}

static void trace_serve(struct trace *trace, int status)
{
        switch (EVENT(status)) {
        case 0:
                trace_deliver(trace, SIGNAL(status));
                break;
        case PTRACE_EVENT_STOP:
                if (stops_its_receiver(SIGNAL(status)))
                        ptrace(PTRACE_LISTEN, trace->pid, NULL, NULL);
                else
                        ptrace(PTRACE_CONT, trace->pid, NULL, NULL);
                break;
        case PTRACE_EVENT_EXIT:
                trace_note_end(trace);
                ptrace(PTRACE_CONT, trace->pid, NULL, NULL);
                break;
        default:
                ptrace(PTRACE_CONT, trace->pid, NULL, NULL);
                break;
        }
}

int trace_look(struct trace *trace, int pidfd, siginfo_t *ret_info)
{
        for (int i = 0; i < TURN_STOPS; i++) {
                int options = WEXITED | WNOHANG | WNOWAIT | (trace->pid != 0 ? WSTOPPED : 0);

                ret_info->si_pid = 0;
                if (waitid(P_PIDFD, (id_t)pidfd, ret_info, options) < 0)
                        return -errno;
                if (ret_info->si_pid == 0)
                        return 0;
                if (ret_info->si_code != CLD_TRAPPED)
                        return 1;
                trace_serve(trace, ret_info->si_status);
        }
        return 0;
}

void trace_reap(pid_t pid)
{
        int status;
        pid_t r;

        kill(pid, SIGKILL); /* our child, not yet reaped: the pid is still its own */
        for (;;) {
                r = waitpid(pid, &status, 0);
                if (r == pid && WIFSTOPPED(status))
                        ptrace(PTRACE_CONT, pid, NULL, NULL); /* at its end, if we trace it */
                else if (r >= 0 || errno != EINTR)
                        return;
        }
}
