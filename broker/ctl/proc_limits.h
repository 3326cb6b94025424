/* What a process may use, by its own limits and by its control groups, measured from outside.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#define PROC_NO_LIMIT UINT64_MAX

enum proc_io_limit {
        PROC_IO_READ_BPS,
        PROC_IO_WRITE_BPS,
        PROC_IO_READ_IOPS,
        PROC_IO_WRITE_IOPS,
        PROC_IO_COUNT_,
};

/* PROC_NO_LIMIT: none. */
struct proc_limits {
        uint64_t memory_cgroup, memory_rlimit, pids_cgroup, pids_rlimit;
        uint64_t cpu_quota_us, cpu_period_us; /* so much of a CPU's time in each period */
        uint64_t io[PROC_IO_COUNT_];          /* the tightest, if there are several disks */
        const char *not_zero; /* a resource that no worker may have, but this process; NULL: none */
};

#define PROC_LIMITS_NONE                                                                                     \
        ((struct proc_limits){.memory_cgroup = PROC_NO_LIMIT,                                                \
                              .memory_rlimit = PROC_NO_LIMIT,                                                \
                              .pids_cgroup = PROC_NO_LIMIT,                                                  \
                              .pids_rlimit = PROC_NO_LIMIT,                                                  \
                              .cpu_quota_us = PROC_NO_LIMIT,                                                 \
                              .cpu_period_us = PROC_NO_LIMIT,                                                \
                              .io = {PROC_NO_LIMIT, PROC_NO_LIMIT, PROC_NO_LIMIT, PROC_NO_LIMIT}})

/* Of the process with this folder of /proc; *limits is PROC_LIMITS_NONE. 0 or negative errno: then what it
 * holds is not complete. */
int proc_limits_measure(int folder_fd, struct proc_limits *limits);
