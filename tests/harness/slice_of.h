/* How long a thread's turns on a CPU are, by the kernel's word.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* struct sched_attr, version 0 */
struct slice_of_attr {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
};

/* 0: ourselves. All zeros: there is no such thread. */
static inline struct slice_of_attr slice_of_attr(pid_t pid)
{
        struct slice_of_attr attr = {0};

        syscall(SYS_sched_getattr, pid, &attr, sizeof(attr), 0);
        return attr;
}

/* In nanoseconds. 0: the kernel knows one length for all (Linux < 6.12), or there is no such thread. */
static inline uint64_t slice_of(pid_t pid)
{
        return slice_of_attr(pid).runtime_ns;
}
