/* The control group of one worker: <our own group>/bulkhead/<vm>/<device>, where <vm> is what cgroup_name.h says.
 * Version 2 where it has the controllers, else version 1 hierarchies.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandbox/cgroup_name.h"

enum cgroup_controller {
        CGROUP_MEMORY = 0,
        CGROUP_PIDS,
        CGROUP_CPU,
        CGROUP_IO,
        CGROUP_CONTROLLER_COUNT_,
};

struct cgroup_limits {
        uint64_t memory_max; /* bytes */
        uint32_t pids_max;   /* 1: the worker alone */
        uint32_t cpu_max;    /* percent of one CPU; 0: no limit */
        uint32_t cpu_weight; /* 1..10000, 100 is the kernel's default; 0: leave it */
        uint32_t io_weight;  /* 1..10000 likewise; 0: leave it */
        dev_t disk;          /* that the following are for, a whole one; 0: for none, they are not set */
        uint64_t read_bps, write_bps, read_iops, write_iops; /* a second; 0: no limit */
};

/* Where groups can be made: found once at start. */
struct cgroup_host {
        bool v2;
        char parent[CGROUP_CONTROLLER_COUNT_]
                   [PATH_MAX]; /* directory in which "bulkhead" is made; "" : no controller */
};

/* One worker's group: a directory per hierarchy (the same one under version 2). */
struct cgroup {
        char vm[CGROUP_NAME], device[LIMIT_NAME + 16]; /* a companion's has its kind behind its device */
        const struct cgroup_host *host;
        uint32_t present; /* bit per enum cgroup_controller that is in force */
};

/* Reads /proc/self/mountinfo and /proc/self/cgroup. Never fails: what cannot be had has an empty parent.
 * Under version 2 the calling process may be moved into a leaf group, because a group with processes cannot
 * hand out controllers. */
void cgroup_host_init(struct cgroup_host *host);

/* The same from given texts, for tests. `root` is put before every path ("" in production). */
void cgroup_host_parse(struct cgroup_host *host, const char *root, const char *mountinfo, const char *own);

/* Makes the group and sets its limits. A controller that cannot be used is left out of ret->present; so
 * rootless, or in a read-only tree, present is 0 and all else works. `vm` is the folder's name. `host` must outlive the
 * group. */
void cgroup_open(const struct cgroup_host *host, const char *vm, const char *device,
                 const struct cgroup_limits *limits, struct cgroup *ret_cgroup);

/* The controllers without which these limits are not what was asked for: a bit each. Memory and pids are
 * never among them: a process has limits of its own for these. */
uint32_t cgroup_demanded(const struct cgroup_limits *limits);

const char *cgroup_controller_name(enum cgroup_controller controller); /* as version 2 calls it */

/* The whole disk that a block device or a part of one is. `root` as above. -ENODEV: there is none, as below
 * file systems that are made of several disks or of memory. */
int cgroup_find_disk(const char *root, dev_t device, dev_t *ret_disk);

/* Moves a process into the group. 0, or negative errno: the process is then not limited. The kernel waits
 * for milliseconds until nobody is between fork and exec. */
int cgroup_add(const struct cgroup *cgroup, pid_t pid);

/* Version 1 only: opens what a child writes "0" to, in order to move itself, which waits for nobody (Linux 5.16:
 * it is the opener's rights that count). Only a process of one thread may do so. *ret_n descriptors, CLOEXEC,
 * are the caller's; none under version 2. 0 or negative errno, and then there are none. */
int cgroup_open_tasks(const struct cgroup *cgroup, int ret_fds[static CGROUP_CONTROLLER_COUNT_],
                      unsigned *ret_n);

/* Has the kernel killed in this group for want of memory? False where that cannot be known. */
bool cgroup_oom_killed(const struct cgroup *cgroup);

/* Removes a VM's folder, with what a dead run may have left in it, and the one above if no other VM is there; a group that holds
 * processes stays. Nobody else uses the folder: the caller holds the VM's lock, and has no group open. */
void cgroup_sweep(const struct cgroup_host *host, const char *vm);

/* The group's processes have been reaped, and it is removed, as far as the next worker's must not be the same. What stays, and the
 * VM's folder, goes with cgroup_sweep. */
void cgroup_close(struct cgroup *cgroup);
