/* The spawner's start: every reason to fail is found here, before anything runs; then two processes.
 * Owns what struct spawner holds; called by the broker's main. TRUST: the configuration was judged; what its
 * paths lead to is judged here and again for each incarnation.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"
#include "sandbox/resource.h"
#include "sandbox/rootless.h"
#include "sandbox/spawner_companion.h"
#include "sandbox/spawner_device.h"

uid_t spawner_broker_uid(const struct spawner *spawner)
{
        return spawner->broker_uid;
}

gid_t spawner_broker_gid(const struct spawner *spawner)
{
        return spawner->broker_gid;
}

/* As root in a chroot the kernel refuses user namespaces; then our root becomes that of a namespace of our
 * own. */
static int spawner_init_namespaces(struct spawner *spawner, char *why, size_t why_size)
{
        int r;

        spawner->rootless = rootless_wanted();
        if (rootless_entered()) {
                snprintf(why, why_size, "capabilities cannot be set");
                return rootless_settle();
        }
        if (spawner->rootless)
                return rootless_enter(why, why_size);
        r = rootless_probe(why, why_size);
        if (r != -EPERM || rootless_leave_chroot() < 0)
                return r;
        return rootless_probe(why, why_size);
}

static int spawner_init_run_dir(struct spawner *spawner, char *why, size_t why_size)
{
        const char *path = spawner->config->run_dir;
        int r = 0;

        spawner->run_dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (spawner->run_dir_fd < 0 || faccessat(spawner->run_dir_fd, ".", W_OK, AT_EACCESS) < 0)
                r = -errno;
        if (r < 0)
                snprintf(why, why_size, "%s: run directory cannot be used (%s); name another with --run-dir",
                         path, strerror(-r));
        return r;
}

static int spawner_init_null(struct spawner *spawner, char *why, size_t why_size)
{
        spawner->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (spawner->null_fd >= 0)
                return 0;
        snprintf(why, why_size, "/dev/null cannot be opened (%s); mount /dev", strerror(errno));
        return -errno;
}

static int spawner_init_device(struct spawner *spawner, const struct device_config *device, char *why,
                               size_t why_size)
{
        struct resources resources = {0};
        int len = snprintf(why, why_size, "%s: ", device->name);
        int r = 0;

        if (len < 0 || (size_t)len >= why_size)
                len = 0;
        if (spawner->program_fds[device->type] < 0)
                r = resource_open_program(spawner->config, device->type, &spawner->program_fds[device->type],
                                          why + len, why_size - (size_t)len);
        if (r == 0)
                r = resources_open(device, NULL, &resources, why + len, why_size - (size_t)len);
        resources_close(&resources);
        return r;
}

/* The workers', the broker's, the companions'. */
static size_t spawner_count_uids(const struct spawner *spawner)
{
        return (size_t)spawner->n_workers + 1 + spawner->n_companions;
}

static int spawner_init_uids(struct spawner *spawner, char *why, size_t why_size)
{
        const struct vm_config *config = spawner->config;
        size_t n = spawner_count_uids(spawner);
        int r;

        if (spawner->rootless) {
                spawner->broker_uid = geteuid();
                spawner->broker_gid = getegid();
                return 0;
        }
        spawner->claims = calloc(n, sizeof(*spawner->claims));
        if (!spawner->claims)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                spawner->claims[i] = UID_CLAIM_NONE;
        r = uid_claim(spawner->run_dir_fd, config->uid_first, config->uid_count, n, spawner->claims);
        if (r == -EUSERS)
                snprintf(why, why_size,
                         "fewer than %zu of the uids %u to %u are free; widen uid_range in the "
                         "configuration",
                         n, config->uid_first, config->uid_first + config->uid_count - 1);
        else if (r < 0)
                snprintf(why, why_size,
                         "%s/uids: cannot claim uids (%s); name another directory with --run-dir",
                         config->run_dir, strerror(-r));
        if (r < 0)
                return r;
        spawner->broker_uid = spawner->claims[spawner->n_workers].uid;
        spawner->broker_gid = (gid_t)spawner->broker_uid;
        return 0;
}

static int spawner_init_devices(struct spawner *spawner, char *why, size_t why_size)
{
        int r = arena_init(&spawner->arena, LIMIT_ARENA);

        if (r < 0)
                return r;
        spawner->devices = calloc(spawner->n_workers + 1, sizeof(*spawner->devices));
        if (!spawner->devices)
                return -ENOMEM;
        for (uint32_t i = 0; i < spawner->n_workers; i++) {
                spawner->devices[i].pidfd = -1;
                spawner_companion_choose(spawner, i);
        }
        for (uint32_t i = 0; i < spawner->n_workers; i++) {
                r = spawner_init_device(spawner, spawner_worker(spawner, i), why, why_size);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int spawner_init_groups(struct spawner *spawner, char *why, size_t why_size)
{
        cgroup_host_init(&spawner->cgroup_host);
        cgroup_name_vm(spawner->config->name, spawner->config->run_dir, spawner->cgroup_vm);
        for (uint32_t i = 0; i < spawner->n_workers; i++) {
                int len = snprintf(why, why_size, "%s: ", spawner_worker(spawner, i)->name);
                int r;

                r = spawner_device_try_limits(spawner, i, why + len, why_size - (size_t)len);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void spawner_init_empty(struct spawner *spawner, const struct vm_config *config)
{
        memset(spawner, 0, sizeof(*spawner));
        spawner->config = config;
        spawner->n_workers = (uint32_t)config->n_devices + vm_config_loader(config, &spawner->loader);
        spawner->run_dir_fd = spawner->null_fd = spawner->channel = -1;
        spawner->signal_fd = spawner->broker_pidfd = -1;
        for (size_t i = 0; i < array_size(spawner->program_fds); i++)
                spawner->program_fds[i] = -1;
}

int spawner_init(struct spawner *spawner, const struct vm_config *config, char *why, size_t why_size)
{
        static int (*const steps[])(struct spawner *, char *, size_t) = {
            spawner_init_namespaces, spawner_init_run_dir, spawner_init_null,
            spawner_init_devices,    spawner_init_uids,    spawner_init_groups,
        };

        spawner_init_empty(spawner, config);
        for (size_t i = 0; i < array_size(steps); i++) {
                int r;

                snprintf(why, why_size, "out of memory at start");
                r = steps[i](spawner, why, why_size);
                if (r < 0) {
                        spawner_done(spawner);
                        return r;
                }
        }
        return 0;
}

int spawner_unlink_later(struct spawner *spawner, const char *path)
{
        char *copy;

        if (spawner->n_unlink_paths == SPAWNER_UNLINK_MAX)
                return -ENOSPC;
        copy = strdup(path);
        if (!copy)
                return -ENOMEM;
        spawner->unlink_paths[spawner->n_unlink_paths++] = copy;
        return 0;
}

static void close_and_clear(int *fd)
{
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

static void spawner_release_device(struct spawner_device *device)
{
        close_and_clear(&device->pidfd);
        resources_close(&device->held);
        companion_release(&device->companion);
}

/* Memory and descriptors only: nothing is unlinked or given back. */
static void spawner_release(struct spawner *spawner)
{
        for (size_t i = 0; spawner->claims && i < spawner_count_uids(spawner); i++)
                uid_claim_forget(&spawner->claims[i]);
        free(take_ptr(spawner->claims));
        for (size_t i = 0; spawner->devices && i < spawner->n_workers; i++)
                spawner_release_device(&spawner->devices[i]);
        free(take_ptr(spawner->devices));
        while (spawner->n_unlink_paths > 0)
                free(spawner->unlink_paths[--spawner->n_unlink_paths]);
        for (size_t i = 0; i < array_size(spawner->program_fds); i++)
                close_and_clear(&spawner->program_fds[i]);
        close_and_clear(&spawner->run_dir_fd);
        close_and_clear(&spawner->null_fd);
        close_and_clear(&spawner->channel);
        close_and_clear(&spawner->signal_fd);
        close_and_clear(&spawner->broker_pidfd);
        arena_done(&spawner->arena);
        policy_cache_done(&spawner->filters);
}

void spawner_done(struct spawner *spawner)
{
        for (size_t i = 0; i < spawner->n_unlink_paths; i++)
                unlink(spawner->unlink_paths[i]);
        for (size_t i = 0; spawner->claims && i < spawner_count_uids(spawner); i++)
                uid_claim_done(spawner->run_dir_fd, &spawner->claims[i]);
        spawner_release(spawner);
}

static int spawner_watch_signals(struct spawner *spawner, sigset_t *ret_before)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        if (sigprocmask(SIG_BLOCK, &set, ret_before) < 0)
                return -errno;
        spawner->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return spawner->signal_fd < 0 ? -errno : 0;
}

static int spawner_become_parent(struct spawner *spawner, pid_t pid, int channel)
{
        spawner->channel = channel;
        spawner->broker_pid = pid;
        spawner->broker_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (spawner->broker_pidfd < 0)
                return -errno;
        return fd_set_nonblock(channel);
}

int spawner_fork(struct spawner *spawner, int *ret_channel)
{
        sigset_t before;
        int pair[2], r;
        pid_t pid;

        r = spawner_watch_signals(spawner, &before);
        if (r == 0)
                r = fd_stream_pair(pair);
        if (r < 0)
                return r;
        pid = fork();
        if (pid < 0) {
                r = -errno;
                close(pair[0]);
                close(pair[1]);
                return r;
        }
        if (pid == 0) {
                close(pair[0]);
                spawner_release(spawner);
                setsid();
                sigprocmask(SIG_SETMASK, &before, NULL);
                *ret_channel = pair[1];
                return 0;
        }
        close(pair[1]);
        r = spawner_become_parent(spawner, pid, pair[0]);
        if (r < 0) {
                kill(pid, SIGKILL);
                return r;
        }
        return 1;
}
