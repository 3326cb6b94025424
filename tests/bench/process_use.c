/* What processes have used. Owns nothing between two looks. Called by the session, around what it measures. TRUST:
 * the kernel's words in /proc; names of processes stand in them and are skipped.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/process_use.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

#define PROCESSES_MAX 8192u /* of the whole machine: beyond it descendants are missed, not misread */

struct family {
        unsigned n;
        struct {
                pid_t pid, parent;
        } all[PROCESSES_MAX];
};

static void close_dir(DIR **dir)
{
        if (*dir)
                closedir(*dir);
}

/* A whole small file of /proc as a string; false when it has gone. */
static bool read_text(const char *path, char *text, size_t size)
{
        FILE *file = fopen(path, "re");
        size_t n;

        if (!file)
                return false;
        n = fread(text, 1, size - 1, file);
        fclose(file);
        text[n] = '\0';
        return n > 0;
}

static bool parent_of(pid_t pid, pid_t *ret_parent)
{
        char path[64], text[1024], *after;
        int parent;

        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        if (!read_text(path, text, sizeof(text)))
                return false;
        after = strrchr(text, ')'); /* the name before it may hold anything */
        if (!after || sscanf(after + 1, " %*c %d", &parent) != 1)
                return false;
        *ret_parent = parent;
        return true;
}

static void read_family(struct family *family)
{
        _cleanup_(close_dir) DIR *dir = opendir("/proc");
        struct dirent *entry;

        family->n = 0;
        while (dir && family->n < PROCESSES_MAX && (entry = readdir(dir))) {
                pid_t pid = atoi(entry->d_name);

                if (pid > 0 && parent_of(pid, &family->all[family->n].parent))
                        family->all[family->n++].pid = pid;
        }
}

static bool has_pid(const struct process_use *use, pid_t pid)
{
        for (unsigned i = 0; i < use->n_pids; i++)
                if (use->pids[i].pid == pid)
                        return true;
        return false;
}

static void add_pid(struct process_use *use, pid_t pid)
{
        if (use->n_pids < PROCESS_USE_PIDS && !has_pid(use, pid))
                use->pids[use->n_pids++].pid = pid;
}

/* Children of what is in the list are put at its end, and are so looked at in their turn. */
static int add_descendants(struct process_use *use)
{
        _cleanup_free_ struct family *family = malloc(sizeof(*family));

        if (!family)
                return -ENOMEM;
        read_family(family);
        for (unsigned i = 0; i < use->n_pids; i++)
                for (unsigned k = 0; k < family->n; k++)
                        if (family->all[k].parent == use->pids[i].pid)
                                add_pid(use, family->all[k].pid);
        return 0;
}

static uint64_t number_behind(const char *text, const char *key)
{
        const char *at = strstr(text, key);

        return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static void read_task(struct process_use *use, pid_t pid, pid_t tid)
{
        char path[64], text[4096];

        snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
        if (use->n_tasks == PROCESS_USE_TASKS || !read_text(path, text, sizeof(text)))
                return;
        use->tasks[use->n_tasks].tid = tid;
        use->tasks[use->n_tasks].voluntary = number_behind(text, "\nvoluntary_ctxt_switches:");
        use->tasks[use->n_tasks].involuntary = number_behind(text, "\nnonvoluntary_ctxt_switches:");
        use->n_tasks++;
}

static void read_tasks(struct process_use *use, pid_t pid)
{
        _cleanup_(close_dir) DIR *dir = NULL;
        struct dirent *entry;
        char path[32];

        snprintf(path, sizeof(path), "/proc/%d/task", pid);
        dir = opendir(path);
        while (dir && (entry = readdir(dir)))
                if (atoi(entry->d_name) > 0)
                        read_task(use, pid, atoi(entry->d_name));
}

/* By the clock of the process: nanoseconds, and ended threads are in it. */
static bool read_cpu(pid_t pid, uint64_t *ret_ns)
{
        struct timespec used;
        clockid_t clock;

        if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) < 0)
                return false;
        *ret_ns = (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
        return true;
}

int process_use_read(const pid_t *roots, unsigned n_roots, struct process_use *ret_use)
{
        int r;

        ret_use->n_pids = ret_use->n_tasks = 0;
        for (unsigned i = 0; i < n_roots; i++)
                add_pid(ret_use, roots[i]);
        r = n_roots > 0 ? add_descendants(ret_use) : 0;
        for (unsigned i = 0; i < ret_use->n_pids && r == 0; i++) {
                read_tasks(ret_use, ret_use->pids[i].pid);
                if (!read_cpu(ret_use->pids[i].pid, &ret_use->pids[i].cpu_ns)) {
                        ret_use->pids[i].cpu_ns = 0;
                        r = i < n_roots ? -ESRCH : 0;
                }
        }
        return r;
}

static uint64_t cpu_before(const struct process_use *use, pid_t pid)
{
        for (unsigned i = 0; i < use->n_pids; i++)
                if (use->pids[i].pid == pid)
                        return use->pids[i].cpu_ns;
        return 0;
}

struct process_work process_use_between(const struct process_use *from, const struct process_use *to)
{
        struct process_work work = {0};

        for (unsigned i = 0; i < to->n_pids; i++) {
                uint64_t before = cpu_before(from, to->pids[i].pid);

                work.cpu_ns += to->pids[i].cpu_ns - MIN(before, to->pids[i].cpu_ns);
        }
        for (unsigned i = 0; i < to->n_tasks; i++) {
                work.voluntary += to->tasks[i].voluntary;
                work.involuntary += to->tasks[i].involuntary;
                for (unsigned k = 0; k < from->n_tasks; k++)
                        if (from->tasks[k].tid == to->tasks[i].tid) {
                                work.voluntary -= from->tasks[k].voluntary;
                                work.involuntary -= from->tasks[k].involuntary;
                        }
        }
        return work;
}
