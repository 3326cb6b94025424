/* Texts of /proc, taken apart. Pure functions: tested on recorded samples. Texts need no NUL at their end.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/limits.h"

enum proc_capability_set {
        PROC_CAP_INHERITABLE,
        PROC_CAP_PERMITTED,
        PROC_CAP_EFFECTIVE,
        PROC_CAP_BOUNDING,
        PROC_CAP_AMBIENT,
        PROC_CAP_COUNT_,
};

/* /proc/PID/status */
struct proc_status {
        pid_t ppid;
        uint32_t tracer; /* pid; 0: none */
        uid_t uid[4];    /* real, effective, saved, file system */
        gid_t gid[4];
        uint32_t fd_slots; /* numbers of descriptors go up to this */
        uint32_t n_groups, threads, no_new_privs, seccomp, seccomp_filters;
        uint64_t capabilities[PROC_CAP_COUNT_];
};

/* Every field must be there once: what is not said cannot be called good. 0 or -EPROTO. */
int proc_parse_status(const char *text, size_t len, struct proc_status *ret_status);

/* One line of /proc/PID/maps. */
struct proc_mapping {
        uint64_t start, end;
        char flags[5]; /* "rw-s" */
        uint32_t major, minor;
        uint64_t inode; /* 0: no file */
        bool shared;
        bool aio_ring; /* the kernel's own: where it puts ends of io_submit(2)'s transfers */
        bool vcpu;     /* the kernel's own: what it tells of a vCPU's last exit */
};

/* The next mapping, at *text, which moves on. 1, 0 at the end, -EPROTO for a line that is none or is cut. */
int proc_maps_next(const char **text, const char *end, struct proc_mapping *ret_mapping);

/* /proc/PID/stat: the parent. The program's name may hold anything. 0 or -EPROTO. */
int proc_parse_stat_ppid(const char *text, size_t len, pid_t *ret_ppid);

/* /proc/PID/limits: the soft limit in the line that begins with `name`; UINT64_MAX: unlimited. 0, -ENOENT,
 * -EPROTO. */
int proc_parse_limit(const char *text, size_t len, const char *name, uint64_t *ret_limit);

/* /proc/PID/cgroup: the group of a version 1 controller, or the version 2 group when `controller` is "".
 * 0, -ENOENT: not in such a hierarchy, -EPROTO, -ENAMETOOLONG. */
int proc_parse_cgroup(const char *text, size_t len, const char *controller, char *ret_group, size_t size);

/* /proc/PID/mountinfo: where a version 1 controller's hierarchy, or version 2 when `controller` is "", is
 * mounted whole. 0, -ENOENT, -ENAMETOOLONG. */
int proc_parse_cgroup_mount(const char *text, size_t len, const char *controller, char *ret_mount,
                            size_t size);

/* A limit file of a control group: a number, or "max" for UINT64_MAX; so are numbers that are as good as
 * none. 0 or -EPROTO. */
int proc_parse_cgroup_limit(const char *text, size_t len, uint64_t *ret_limit);

/* One line of numbers: the one at place `word`, "1" or "2". "max" and negative ones are UINT64_MAX. 0 or
 * -EPROTO. */
int proc_parse_cgroup_word(const char *text, size_t len, const char *word, uint64_t *ret_limit);

/* A line a disk, "8:0 rbps=1048576 wbps=max": the smallest number behind `word`; when that is "", of lines
 * "8:0 1048576". UINT64_MAX: there is none. 0 or -EPROTO. */
int proc_parse_cgroup_disks(const char *text, size_t len, const char *word, uint64_t *ret_limit);
