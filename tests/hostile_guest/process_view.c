/* What a process has, from /proc. Owns nothing. TRUST: the kernel's words about the process under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_guest/process_view.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/checked.h"

static const struct {
        const char *start; /* of the link in /proc/PID/fd */
        const char *name;
} kinds[FD_KIND_COUNT_] = {
    [FD_KIND_SOCKET] = {"socket:", "sockets"},
    [FD_KIND_EVENT] = {"anon_inode:[eventfd]", "eventfds"},
    [FD_KIND_EPOLL] = {"anon_inode:[eventpoll]", "epolls"},
    [FD_KIND_PIDFD] = {"anon_inode:[pidfd]", "pidfds"},
    [FD_KIND_PIPE] = {"pipe:", "pipes"},
    [FD_KIND_MEMFD] = {"/memfd:", "memfds"},
    [FD_KIND_FILE] = {"/", "files"},
    [FD_KIND_OTHER] = {"", "others"},
};

static enum fd_kind kind_of(const char *link)
{
        unsigned kind = 0;

        while (strncmp(link, kinds[kind].start, strlen(kinds[kind].start)) != 0)
                kind++; /* the last row matches all */
        return (enum fd_kind)kind;
}

static int count_fds(pid_t pid, unsigned *fds)
{
        char path[64], link[256];
        struct dirent *entry;
        DIR *dir;

        snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
        dir = opendir(path);
        if (!dir)
                return -errno;
        while ((entry = readdir(dir))) {
                ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

                if (n < 0)
                        continue; /* "." and "..", or closed meanwhile */
                link[n] = '\0';
                fds[kind_of(link)]++;
        }
        closedir(dir);
        return 0;
}

static FILE *open_of(pid_t pid, const char *name)
{
        char path[128];

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        return fopen(path, "re");
}

static int count_maps(pid_t pid, struct process_view *view)
{
        FILE *file = open_of(pid, "maps");
        char line[512];

        if (!file)
                return -errno;
        while (fgets(line, sizeof(line), file)) {
                view->maps++;
                view->memfds += strstr(line, "/memfd:") != NULL;
        }
        fclose(file);
        return 0;
}

static int read_status(pid_t pid, struct process_view *view)
{
        FILE *file = open_of(pid, "status");
        unsigned long long kib = 0;
        char line[256];

        if (!file)
                return -errno;
        while (fgets(line, sizeof(line), file)) {
                if (sscanf(line, "RssAnon: %llu", &kib) == 1)
                        view->anonymous = kib * 1024;
                (void)sscanf(line, "Threads: %u", &view->threads);
        }
        fclose(file);
        return view->threads > 0 ? 0 : -ESRCH;
}

int process_view_take(pid_t pid, struct process_view *ret_view)
{
        struct process_view view = {0};
        int r = count_fds(pid, view.fds);

        if (r == 0)
                r = count_maps(pid, &view);
        if (r == 0)
                r = read_status(pid, &view);
        if (r == 0)
                *ret_view = view;
        return r;
}

bool process_view_equal(const struct process_view *a, const struct process_view *b)
{
        return memcmp(a->fds, b->fds, sizeof(a->fds)) == 0 && a->maps == b->maps && a->memfds == b->memfds &&
               a->threads == b->threads;
}

void process_view_explain(const struct process_view *before, const struct process_view *now, char *text,
                          size_t size)
{
        size_t used = 0;

        text[0] = '\0';
        for (unsigned i = 0; i < FD_KIND_COUNT_ && used < size; i++)
                if (before->fds[i] != now->fds[i])
                        used += (size_t)snprintf(text + used, size - used, "%s %u -> %u, ", kinds[i].name,
                                                 before->fds[i], now->fds[i]);
        if (used < size)
                snprintf(text + used, size - used,
                         "maps %u -> %u, of guest memory %u -> %u, threads %u -> %u, heap %llu -> %llu KiB",
                         before->maps, now->maps, before->memfds, now->memfds, before->threads, now->threads,
                         (unsigned long long)before->anonymous / 1024,
                         (unsigned long long)now->anonymous / 1024);
}

int64_t process_cpu_us(pid_t pid)
{
        struct timespec spent;
        clockid_t clock;
        int r = clock_getcpuclockid(pid, &clock);

        if (r != 0)
                return -r;
        if (clock_gettime(clock, &spent) < 0)
                return -errno;
        return (int64_t)spent.tv_sec * 1000000 + spent.tv_nsec / 1000;
}

static pid_t parent_of(pid_t pid)
{
        FILE *file = open_of(pid, "status");
        char line[256];
        int parent = 0;

        while (file && fgets(line, sizeof(line), file) && sscanf(line, "PPid: %d", &parent) != 1)
                ;
        if (file)
                fclose(file);
        return parent;
}

/* Of one thread: proc_pid_schedstat, its second number. */
static int64_t delay_of(pid_t pid, const char *thread)
{
        unsigned long long ran = 0, waited = 0;
        char name[64];
        FILE *file;

        snprintf(name, sizeof(name), "task/%.16s/schedstat", thread);
        file = open_of(pid, name);
        if (!file)
                return 0;
        if (fscanf(file, "%llu %llu", &ran, &waited) != 2)
                waited = 0;
        fclose(file);
        return (int64_t)(waited / 1000);
}

static int64_t delay_of_all(pid_t pid)
{
        char path[64];
        struct dirent *entry;
        int64_t sum = 0;
        DIR *dir;

        snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
        dir = opendir(path);
        while (dir && (entry = readdir(dir)))
                if (entry->d_name[0] != '.')
                        sum += delay_of(pid, entry->d_name);
        if (dir)
                closedir(dir);
        return sum;
}

int64_t process_family_delay_us(pid_t pid)
{
        pid_t parent = parent_of(pid);
        struct dirent *entry;
        int64_t sum = 0;
        DIR *dir = opendir("/proc");

        while (dir && (entry = readdir(dir))) {
                pid_t other = (pid_t)strtol(entry->d_name, NULL, 10);

                if (other > 0 && parent_of(other) == parent)
                        sum += delay_of_all(other);
        }
        if (dir)
                closedir(dir);
        return sum;
}
