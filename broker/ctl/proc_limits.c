/* What a process may use.
 * Owns nothing beyond a call; called by proc_facts.c. TRUST: texts are the kernel's; what a limit should be
 * is for audit_rules.c to know.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/proc_limits.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>

#include "broker/ctl/proc_file.h"
#include "broker/ctl/proc_parse.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

/* Of a process with its own: what its limits say in /proc. A worker has all of these at 0. */
static const char *const zero[] = {
    "Max core file size", "Max locked memory", "Max file locks",        "Max pending signals",
    "Max msgqueue size",  "Max nice priority", "Max realtime priority", "Max realtime timeout",
};

static int measure_own(int folder_fd, struct proc_limits *limits)
{
        _cleanup_free_ char *text = NULL;
        size_t len = 0;
        int r = proc_file_read(folder_fd, "limits", &text, &len);

        if (r == 0) /* not of its address space, which has room for a disk's image as well */
                r = proc_parse_limit(text, len, "Max data size", &limits->memory_rlimit);
        if (r == 0)
                r = proc_parse_limit(text, len, "Max processes", &limits->pids_rlimit);
        for (size_t i = 0; i < array_size(zero) && r == 0; i++) {
                uint64_t limit;

                r = proc_parse_limit(text, len, zero[i], &limit);
                if (r == 0 && limit > 0 && !limits->not_zero)
                        limits->not_zero = zero[i] + sizeof("Max ") - 1;
        }
        return r;
}

/* Which of a file's numbers. */
static int parse_plain(const char *text, size_t len, const char *word, uint64_t *ret_limit)
{
        (void)word;
        return proc_parse_cgroup_limit(text, len, ret_limit);
}

#define PLACE(field) offsetof(struct proc_limits, field)

static const struct {
        const char *controller, *file; /* "" is version 2 */
        int (*parse)(const char *text, size_t len, const char *word, uint64_t *ret_limit);
        const char *word;
        size_t place;
} rows[] = {
    {"", "memory.max", parse_plain, NULL, PLACE(memory_cgroup)},
    {"", "pids.max", parse_plain, NULL, PLACE(pids_cgroup)},
    {"", "cpu.max", proc_parse_cgroup_word, "1", PLACE(cpu_quota_us)},
    {"", "cpu.max", proc_parse_cgroup_word, "2", PLACE(cpu_period_us)},
    {"", "io.max", proc_parse_cgroup_disks, "rbps=", PLACE(io[PROC_IO_READ_BPS])},
    {"", "io.max", proc_parse_cgroup_disks, "wbps=", PLACE(io[PROC_IO_WRITE_BPS])},
    {"", "io.max", proc_parse_cgroup_disks, "riops=", PLACE(io[PROC_IO_READ_IOPS])},
    {"", "io.max", proc_parse_cgroup_disks, "wiops=", PLACE(io[PROC_IO_WRITE_IOPS])},
    {"memory", "memory.limit_in_bytes", parse_plain, NULL, PLACE(memory_cgroup)},
    {"pids", "pids.max", parse_plain, NULL, PLACE(pids_cgroup)},
    {"cpu", "cpu.cfs_quota_us", proc_parse_cgroup_word, "1", PLACE(cpu_quota_us)},
    {"cpu", "cpu.cfs_period_us", proc_parse_cgroup_word, "1", PLACE(cpu_period_us)},
    {"blkio", "blkio.throttle.read_bps_device", proc_parse_cgroup_disks, "", PLACE(io[PROC_IO_READ_BPS])},
    {"blkio", "blkio.throttle.write_bps_device", proc_parse_cgroup_disks, "", PLACE(io[PROC_IO_WRITE_BPS])},
    {"blkio", "blkio.throttle.read_iops_device", proc_parse_cgroup_disks, "", PLACE(io[PROC_IO_READ_IOPS])},
    {"blkio", "blkio.throttle.write_iops_device", proc_parse_cgroup_disks, "", PLACE(io[PROC_IO_WRITE_IOPS])},
};

/* One limit, as the process's group has it; PROC_NO_LIMIT where there is no group. */
static int read_row(const char *groups, size_t groups_len, const char *mounts, size_t mounts_len, size_t row,
                    uint64_t *ret_limit)
{
        char group[PATH_MAX], mount[PATH_MAX], path[2 * PATH_MAX + 64];
        const char *controller = rows[row].controller;
        _cleanup_free_ char *text = NULL;
        size_t len = 0;
        int r;

        r = proc_parse_cgroup(groups, groups_len, controller, group, sizeof(group));
        if (r == 0)
                r = proc_parse_cgroup_mount(mounts, mounts_len, controller, mount, sizeof(mount));
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        snprintf(path, sizeof(path), "%s%s/%s", mount, group, rows[row].file);
        r = proc_file_read(AT_FDCWD, path, &text, &len);
        if (r == -ENOENT) /* the root group, or the controller is not handed out there */
                return 0;
        return r < 0 ? r : rows[row].parse(text, len, rows[row].word, ret_limit);
}

static int measure_groups(int folder_fd, struct proc_limits *limits)
{
        _cleanup_free_ char *groups = NULL, *mounts = NULL;
        size_t groups_len = 0, mounts_len = 0;
        int r = proc_file_read(folder_fd, "cgroup", &groups, &groups_len);

        if (r == 0)
                r = proc_file_read(AT_FDCWD, "/proc/self/mountinfo", &mounts, &mounts_len);
        for (size_t i = 0; r == 0 && i < array_size(rows); i++) {
                uint64_t *place = (uint64_t *)((uint8_t *)limits + rows[i].place);
                uint64_t limit = PROC_NO_LIMIT;

                r = read_row(groups, groups_len, mounts, mounts_len, i, &limit);
                if (r == 0)
                        *place = MIN(*place, limit);
        }
        return r;
}

int proc_limits_measure(int folder_fd, struct proc_limits *limits)
{
        int r = measure_own(folder_fd, limits);

        return r < 0 ? r : measure_groups(folder_fd, limits);
}
