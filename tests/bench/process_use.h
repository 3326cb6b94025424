/* What processes have used: CPU time and context switches, from outside. A process counts with all its threads and
 * all its descendants, also those that have ended or come meanwhile.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#define PROCESS_USE_PIDS  64u
#define PROCESS_USE_TASKS 512u

struct process_use {
        unsigned n_pids, n_tasks;
        struct {
                pid_t pid;
                uint64_t cpu_ns; /* of threads that have ended too */
        } pids[PROCESS_USE_PIDS];
        struct {
                pid_t tid;
                uint64_t voluntary, involuntary;
        } tasks[PROCESS_USE_TASKS];
};

struct process_work {
        uint64_t cpu_ns, voluntary, involuntary;
};

/* Looks at the processes of `roots` and at all their descendants. Kernel threads that work for them are not seen.
 * -ESRCH: one of the roots has gone. */
int process_use_read(const pid_t *roots, unsigned n_roots, struct process_use *ret_use);

/* From one look to a later one. A thread that has ended in between counts with its CPU time alone. */
struct process_work process_use_between(const struct process_use *from, const struct process_use *to);
