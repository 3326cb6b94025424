/* One worker's control group.
 * Owns the directories bulkhead/<vm>/<device> below the host's parents; called by the spawner and, to enter
 * it, by jail_spawn. TRUST: names were judged by vm_config_name_ok or are of cgroup_name.h, so they are single path
 * components.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"
#include "sandbox/cgroup_files.h"

#define CGROUP_LEVELS   3     /* bulkhead, vm, device */
#define CGROUP_TRIES    4     /* another spawner may remove an empty parent between our two mkdirs */
#define CPU_SHARES_UNIT 1024u /* version 1: the default, where version 2 says 100 */
#define BLKIO_MAX       1000u
#define CPU_PERIOD_US   10000u /* a tenth of the kernel's default: who has used up its share waits no longer */
#define CPU_QUOTA_MIN   1000u  /* of the kernel: below 10% the period is its default */

static void cleanup_closedir(DIR **dir)
{
        if (*dir)
                closedir(*dir);
}

static int cgroup_open_file(const char *dir, const char *file, int flags)
{
        char path[PATH_MAX];
        int fd;

        if (snprintf(path, sizeof(path), "%s/%s", dir, file) >= (int)sizeof(path))
                return -ENAMETOOLONG;
        fd = open(path, flags | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

int cgroup_write(const char *dir, const char *file, const char *text)
{
        _cleanup_close_ int fd = cgroup_open_file(dir, file, O_WRONLY);

        return fd < 0 ? fd : fd_write_all(fd, text, strlen(text));
}

int cgroup_read(const char *dir, const char *file, char *ret_text, size_t size)
{
        _cleanup_close_ int fd = cgroup_open_file(dir, file, O_RDONLY);
        ssize_t n;

        if (fd < 0)
                return fd;
        n = read(fd, ret_text, size - 1);
        if (n < 0)
                return -errno;
        ret_text[n] = '\0';
        return 0;
}

/* The first `levels` of parent/bulkhead/<vm>/<device>. */
static int cgroup_dir(const struct cgroup *cgroup, unsigned controller, int levels, char *ret_path)
{
        const char *parent = cgroup->host->parent[controller];
        const char *vm = levels > 1 ? cgroup->vm : "", *device = levels > 2 ? cgroup->device : "";
        int n = snprintf(ret_path, PATH_MAX, "%s/bulkhead%s%s%s%s", parent, *vm ? "/" : "", vm,
                         *device ? "/" : "", device);

        return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int cgroup_make_dirs(const struct cgroup *cgroup, unsigned controller)
{
        char path[PATH_MAX], text[32];
        int r = 0;

        for (int level = 1; level <= CGROUP_LEVELS; level++) {
                r = cgroup_dir(cgroup, controller, level, path);
                if (r < 0)
                        return r;
                if (mkdir(path, 0755) < 0 && errno != EEXIST)
                        return -errno;
                if (!cgroup->host->v2 || level == CGROUP_LEVELS)
                        continue;
                snprintf(text, sizeof(text), "+%s", cgroup_controller_name(controller));
                r = cgroup_write(path, "cgroup.subtree_control", text);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The folders above are there from a VM's first group on, and the group may be; under version 2 they must have every controller,
 * too. */
static int cgroup_make(const struct cgroup *cgroup, unsigned controller)
{
        char path[PATH_MAX];
        int r = -ENOENT;

        if (!cgroup->host->v2 && cgroup_dir(cgroup, controller, CGROUP_LEVELS, path) == 0 &&
            (mkdir(path, 0755) == 0 || errno == EEXIST))
                return 0;
        for (int i = 0; i < CGROUP_TRIES && (r == -ENOENT || r == -ENODEV); i++)
                r = cgroup_make_dirs(cgroup, controller);
        return r;
}

static int cgroup_write_number(const char *dir, const char *file, uint64_t number)
{
        char text[32];

        snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
        return cgroup_write(dir, file, text);
}

static int cgroup_limit_cpu_max(const char *dir, bool v2, uint32_t percent)
{
        uint32_t period = CPU_PERIOD_US * percent / 100 < CPU_QUOTA_MIN ? 10 * CPU_PERIOD_US : CPU_PERIOD_US;
        uint32_t quota = period / 100 * percent;
        char text[64];
        int r;

        if (percent == 0)
                return 0;
        snprintf(text, sizeof(text), "%u %u", quota, period);
        if (v2)
                return cgroup_write(dir, "cpu.max", text);
        r = cgroup_write_number(dir, "cpu.cfs_period_us", period);
        return r < 0 ? r : cgroup_write_number(dir, "cpu.cfs_quota_us", quota);
}

static int cgroup_limit_cpu(const char *dir, bool v2, const struct cgroup_limits *limits)
{
        int r = cgroup_limit_cpu_max(dir, v2, limits->cpu_max);

        if (r < 0 || limits->cpu_weight == 0)
                return r;
        if (v2)
                return cgroup_write_number(dir, "cpu.weight", limits->cpu_weight);
        return cgroup_write_number(dir, "cpu.shares", (uint64_t)limits->cpu_weight * CPU_SHARES_UNIT / 100);
}

static bool cgroup_has_io_max(const struct cgroup_limits *limits)
{
        return (limits->read_bps | limits->write_bps | limits->read_iops | limits->write_iops) != 0;
}

/* "8:0 rbps=1048576": what is not named stays as it is, which is without a limit. Version 1 has a file a
 * limit. */
static int cgroup_limit_io_max(const char *dir, bool v2, const struct cgroup_limits *limits)
{
        const struct {
                uint64_t value;
                const char *v1, *v2;
        } rows[] = {{limits->read_bps, "blkio.throttle.read_bps_device", "rbps"},
                    {limits->write_bps, "blkio.throttle.write_bps_device", "wbps"},
                    {limits->read_iops, "blkio.throttle.read_iops_device", "riops"},
                    {limits->write_iops, "blkio.throttle.write_iops_device", "wiops"}};
        int r = cgroup_has_io_max(limits) && limits->disk == 0 ? -ENODEV : 0;

        for (size_t i = 0; i < array_size(rows) && r == 0; i++) {
                char text[64];

                if (rows[i].value == 0)
                        continue;
                snprintf(text, sizeof(text), "%u:%u %s%s%llu", major(limits->disk), minor(limits->disk),
                         v2 ? rows[i].v2 : "", v2 ? "=" : "", (unsigned long long)rows[i].value);
                r = cgroup_write(dir, v2 ? "io.max" : rows[i].v1, text);
        }
        return r;
}

static int cgroup_limit_io_weight(const char *dir, bool v2, uint32_t weight)
{
        int r;

        if (weight == 0)
                return 0;
        if (v2)
                return cgroup_write_number(dir, "io.weight", weight);
        r = cgroup_write_number(dir, "blkio.bfq.weight", MIN(weight, BLKIO_MAX));
        return r == -ENOENT ? cgroup_write_number(dir, "blkio.weight", MIN(weight, BLKIO_MAX)) : r;
}

/* A weight of 0 is the kernel's default: the group alone gives the worker a share of its own. */
static int cgroup_limit(const char *dir, bool v2, enum cgroup_controller controller,
                        const struct cgroup_limits *limits)
{
        int r;

        switch (controller) {
        case CGROUP_MEMORY:
                return cgroup_write_number(dir, v2 ? "memory.max" : "memory.limit_in_bytes",
                                           limits->memory_max);
        case CGROUP_PIDS:
                return cgroup_write_number(dir, "pids.max", limits->pids_max);
        case CGROUP_CPU:
                return cgroup_limit_cpu(dir, v2, limits);
        case CGROUP_IO:
                r = cgroup_limit_io_max(dir, v2, limits);
                return r < 0 ? r : cgroup_limit_io_weight(dir, v2, limits->io_weight);
        case CGROUP_CONTROLLER_COUNT_:
                break;
        }
        return -EINVAL;
}

uint32_t cgroup_demanded(const struct cgroup_limits *limits)
{
        uint32_t demanded = 0;

        if (limits->cpu_max > 0 || limits->cpu_weight > 0)
                demanded |= 1u << CGROUP_CPU;
        if (limits->io_weight > 0 || cgroup_has_io_max(limits))
                demanded |= 1u << CGROUP_IO;
        return demanded;
}

static void cgroup_remove(const struct cgroup *cgroup, unsigned controller)
{
        char path[PATH_MAX];

        if (cgroup_dir(cgroup, controller, CGROUP_LEVELS, path) == 0)
                (void)rmdir(path);
}

void cgroup_open(const struct cgroup_host *host, const char *vm, const char *device,
                 const struct cgroup_limits *limits, struct cgroup *ret_cgroup)
{
        struct cgroup cgroup = {.host = host};
        char dir[PATH_MAX];

        snprintf(cgroup.vm, sizeof(cgroup.vm), "%s", vm);
        snprintf(cgroup.device, sizeof(cgroup.device), "%s", device);
        for (unsigned i = 0; i < CGROUP_CONTROLLER_COUNT_; i++) {
                if (host->parent[i][0] == '\0' || cgroup_make(&cgroup, i) < 0)
                        continue;
                if (cgroup_dir(&cgroup, i, CGROUP_LEVELS, dir) == 0 &&
                    cgroup_limit(dir, host->v2, i, limits) == 0)
                        cgroup.present |= 1u << i;
                else if (!host->v2)
                        cgroup_remove(&cgroup, i);
        }
        *ret_cgroup = cgroup;
}

int cgroup_add(const struct cgroup *cgroup, pid_t pid)
{
        char dir[PATH_MAX];
        int r;

        for (unsigned i = 0; i < CGROUP_CONTROLLER_COUNT_; i++) {
                if (!(cgroup->present & (1u << i)))
                        continue;
                r = cgroup_dir(cgroup, i, CGROUP_LEVELS, dir);
                if (r == 0)
                        r = cgroup_write_number(dir, "cgroup.procs", (uint64_t)pid);
                if (r < 0)
                        return r;
                if (cgroup->host->v2)
                        return 0; /* one directory for all */
        }
        return 0;
}

int cgroup_open_tasks(const struct cgroup *cgroup, int ret_fds[static CGROUP_CONTROLLER_COUNT_],
                      unsigned *ret_n)
{
        unsigned n = 0;
        int r = 0;

        for (unsigned i = 0; i < CGROUP_CONTROLLER_COUNT_ && r == 0 && !cgroup->host->v2; i++) {
                char dir[PATH_MAX], path[PATH_MAX + 8];

                if (!(cgroup->present & (1u << i)))
                        continue;
                r = cgroup_dir(cgroup, i, CGROUP_LEVELS, dir);
                if (r < 0)
                        break;
                snprintf(path, sizeof(path), "%s/tasks", dir);
                ret_fds[n] = open(path, O_WRONLY | O_CLOEXEC);
                if (ret_fds[n] < 0)
                        r = -errno;
                else
                        n++;
        }
        while (r < 0 && n > 0)
                close(ret_fds[--n]);
        *ret_n = n;
        return r;
}

/* "oom_kill N" is a line of both versions' files, which begin with other lines. */
bool cgroup_oom_killed(const struct cgroup *cgroup)
{
        char dir[PATH_MAX], text[512] = "\n";
        const char *line;

        if (!(cgroup->present & (1u << CGROUP_MEMORY)) ||
            cgroup_dir(cgroup, CGROUP_MEMORY, CGROUP_LEVELS, dir) < 0 ||
            cgroup_read(dir, cgroup->host->v2 ? "memory.events" : "memory.oom_control", text + 1,
                        sizeof(text) - 1) < 0)
                return false;
        line = strstr(text, "\noom_kill ");
        return line && strtoull(line + strlen("\noom_kill "), NULL, 10) > 0;
}

/* The folder of a VM, and the one above all VMs if that was the last. What a group holds besides groups goes with it. */
static void cgroup_sweep_dir(const char *path)
{
        _cleanup_(cleanup_closedir) DIR *dir = opendir(path);
        const struct dirent *entry;

        while (dir && (entry = readdir(dir)))
                if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
                        (void)unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
        (void)rmdir(path);
}

void cgroup_sweep(const struct cgroup_host *host, const char *vm)
{
        struct cgroup cgroup = {.host = host};
        char path[PATH_MAX];

        snprintf(cgroup.vm, sizeof(cgroup.vm), "%s", vm);
        for (unsigned i = 0; i < CGROUP_CONTROLLER_COUNT_; i++) {
                if (host->parent[i][0] == '\0' || cgroup_dir(&cgroup, i, CGROUP_LEVELS - 1, path) < 0)
                        continue;
                cgroup_sweep_dir(path);
                if (cgroup_dir(&cgroup, i, 1, path) == 0)
                        (void)rmdir(path);
        }
}

/* What a group of memory is charged for, and has been killed in, is its worker's alone. The other groups limit, and are as good for the
 * next worker: under version 1 each costs as much to make as the first. */
void cgroup_close(struct cgroup *cgroup)
{
        const struct cgroup_host *host = cgroup->host;

        for (unsigned i = 0; host && i < CGROUP_CONTROLLER_COUNT_; i++)
                if (host->parent[i][0] != '\0' && (host->v2 || i == CGROUP_MEMORY))
                        cgroup_remove(cgroup, i);
        cgroup->present = 0;
}
