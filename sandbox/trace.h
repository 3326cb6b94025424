/* Being the tracer of a worker, for one purpose: to see how it ends.
 *
 * The kernel tells a parent that seccomp has killed its child, but not for which call. A tracer with no other
 * option than PTRACE_O_TRACEEXIT is shown the child once more at its end, with its registers: nothing else is
 * stopped, no system call costs more. What else a tracer is asked is answered so that nobody notices it:
 * signals are delivered, stopped processes stay stopped until they are continued.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/spawn.h"

struct trace {
        pid_t pid;                /* 0: not traced */
        uint32_t stops;           /* signals that have been delivered through us */
        int signal;               /* the last one; 0: none */
        struct spawn_cause cause; /* of its end, without name and breach; filled once */
};

/* Becomes the tracer of a child that neither traces nor is traced. The caller must have authority over it: the
 * owner of its user namespace does, while it is dumpable. 0, or negative errno (-EPERM: somebody else is its
 * tracer, or this host lets nobody trace): then it is not traced, and everything else works. */
int trace_seize(struct trace *trace, pid_t pid);

/* Lets the child go on if it stands before us. Call for every SIGCHLD, of each child. 1: it has ended, the
 * zombie is kept and *ret_info is that of waitid; 0: it has not; negative errno: it is no child of ours. */
int trace_look(struct trace *trace, int pidfd, siginfo_t *ret_info);

/* Kills and reaps the child, traced or not. */
void trace_reap(pid_t pid);

/* Fills *cause from the registers of a stopped tracee that seccomp has killed: everything but name and breach.
 * Other architectures' calls too. */
void trace_read_call(pid_t pid, struct spawn_cause *cause);

/* The instruction at which it stands, or 0. */
uint64_t trace_read_ip(pid_t pid, uint32_t *ret_arch);
