/* Open files that a VM's processes may need, and whether they may have as many.
 * Owns nothing; called by `run` and `doctor`. Without this, what a worker or a session is refused in the middle looks like a
 * fault of theirs.
 * TRUST: the configuration has been judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/open_files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static uint32_t files_needed(const struct vm_config *config)
{
        struct device_config one = {.n_queues = 1, .n_lanes = 1};
        const struct vm_config smallest = {
            .frontend = VM_FRONTEND_VHOST_USER, .devices = &one, .n_devices = 1};

        return vm_config_files(config ? config : &smallest);
}

int open_files_judge(uint64_t limit, const struct vm_config *config, char *why, size_t why_size)
{
        uint32_t needed = files_needed(config);

        if (limit >= needed)
                return 0;
        snprintf(why, why_size,
                 "%llu open files are allowed, and %s may need %u; raise the hard limit (ulimit -Hn %u, or "
                 "LimitNOFILE= of the unit)",
                 (unsigned long long)limit, config ? "this VM" : "a VM", needed, needed);
        return -EMFILE;
}

int open_files_raise(const struct vm_config *config, char *why, size_t why_size)
{
        const uint32_t needed = files_needed(config);
        struct rlimit limit;
        int r;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                limit =
                    (struct rlimit){RLIM_INFINITY, RLIM_INFINITY}; /* unknown: the kernel has the last word */
        if (limit.rlim_cur >= needed)
                return 0;
        r = open_files_judge(limit.rlim_max, config, why, why_size);
        if (r < 0)
                return r;
        limit.rlim_cur = needed;
        if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
                return 0;
        r = -errno;
        snprintf(why, why_size, "the limit of open files cannot be raised to %u (%s); ulimit -n %u", needed,
                 strerror(-r), needed);
        return r;
}
