/* The spawner's care for companions.
 * Owns nothing beyond struct spawner_device; called by spawner.c and, at the start, by spawner_hold.c. TRUST: the broker has no say
 * in it; what companions say is hostile.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/spawner_companion.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/device/net.h"
#include "sandbox/companion_passt.h"
#include "sandbox/companion_vsock.h"

void spawner_companion_choose(struct spawner *spawner, uint32_t device)
{
        const char *name = device_companion(spawner_worker(spawner, device));
        struct companion *companion = &spawner->devices[device].companion;

        *companion = COMPANION_NONE;
        if (!name)
                return;
        companion->row = companion_find(name);
        spawner->devices[device].companion_claim = spawner->n_workers + 1 + spawner->n_companions++;
}

/* ---- command lines ---- */

static int prepare_passt(struct companion *companion, const struct resource_owner *owner,
                         const struct device_config *config, char *why, size_t why_size)
{
        const struct net_options options = net_options_read(&config->options);

        (void)owner;
        return companion_passt_args(&companion->args, options.forward, options.mtu, why, why_size);
}

static const struct {
        const char *companion;
        int (*prepare)(struct companion *companion, const struct resource_owner *owner,
                       const struct device_config *config, char *why, size_t why_size);
} command_lines[] = {
    {"passt", prepare_passt},
    {"vsock-proxy", companion_vsock_prepare},
};

int spawner_companion_prepare(struct spawner *spawner, uint32_t device, const struct resource_owner *owner,
                              char *why, size_t why_size)
{
        const struct device_config *config = spawner_worker(spawner, device);
        struct companion *companion = &spawner->devices[device].companion;
        int r;

        if (!companion->row)
                return 0;
        companion->uid = spawner->claims ? spawner->claims[spawner->devices[device].companion_claim].uid
                                         : spawner->broker_uid;
        companion->gid = spawner->claims ? (gid_t)companion->uid : spawner->broker_gid;
        companion->due_ms = 1;
        r = companion_open_program(companion->row, spawner->config->worker_dir, &companion->program_fd, why,
                                   why_size);
        for (size_t i = 0; r == 0 && i < array_size(command_lines); i++)
                if (strcmp(command_lines[i].companion, companion->row->name) == 0)
                        r = command_lines[i].prepare(companion, owner, config, why, why_size);
        return r;
}

/* ---- life ---- */

static void wake(void *context)
{
        struct spawner *spawner = context;

        spawner_take_signals(spawner);
        spawner_device_serve_all(spawner);
}

/* The first of what is held is the worker's end. */
static int renew_socket(struct spawner *spawner, uint32_t device, int fd)
{
        struct spawner_device *state = &spawner->devices[device];

        if (state->held.fds[0] >= 0)
                close(state->held.fds[0]);
        state->held.fds[0] = fd;
        return spawner_device_renewed(spawner, device);
}

static int tell(const struct spawner *spawner, uint32_t device)
{
        const struct companion *companion = &spawner->devices[device].companion;
        const struct spawn_to_broker message = {.kind = SPAWN_COMPANION,
                                                .device = device,
                                                .pid = (uint32_t)companion->pid,
                                                .uid = companion->uid,
                                                .starts = companion->starts};

        return spawner_send(spawner, &message, NULL, 0);
}

static int start(struct spawner *spawner, uint32_t device, uint64_t now_ms)
{
        struct companion *companion = &spawner->devices[device].companion;
        const char *name = spawner_worker(spawner, device)->name;
        const struct companion_place place = {.vm = spawner->config->name,
                                              .device = name,
                                              .owner_uid = geteuid(),
                                              .owner_gid = getegid(),
                                              .rootless = spawner->rootless,
                                              .null_fd = spawner->null_fd,
                                              .cgroup_host = &spawner->cgroup_host,
                                              .cgroup_vm = spawner->cgroup_vm,
                                              .trace = spawner->trace,
                                              .wake_fd = spawner->signal_fd,
                                              .wake = wake,
                                              .wake_context = spawner};
        char why[256];
        int fd, r;

        if (companion_start(companion, &place, now_ms, &fd, why, sizeof(why)) < 0) {
                log_limited(LOG_LEVEL_ERROR, "companion cannot be started: %s dev=%s companion=%s", why, name,
                            companion->row->name);
                companion_postpone(companion, now_ms);
                return 0;
        }
        log_info("companion runs dev=%s companion=%s pid=%d uid=%u", name, companion->row->name,
                 (int)companion->pid, companion->uid);
        r = renew_socket(spawner, device, fd);
        return r < 0 ? r : tell(spawner, device);
}

int spawner_companions_start(struct spawner *spawner, uint64_t now_ms)
{
        int r = 0;

        for (uint32_t i = 0; r == 0 && i < spawner->n_workers; i++) {
                const struct companion *companion = &spawner->devices[i].companion;

                if (companion->row && companion->pid == 0 && companion->due_ms != 0 &&
                    companion->due_ms <= now_ms)
                        r = start(spawner, i, now_ms);
        }
        return r;
}

/* Its socket is dead: nobody gets it any more. */
int spawner_companions_look(struct spawner *spawner, uint64_t now_ms)
{
        char why[COMPANION_WHY];
        int r = 0;

        for (uint32_t i = 0; r == 0 && i < spawner->n_workers; i++) {
                struct spawner_device *state = &spawner->devices[i];
                pid_t pid = state->companion.pid;

                if (!companion_look(&state->companion, now_ms, why, sizeof(why)))
                        continue;
                companion_read_output(&state->companion, spawner_worker(spawner, i)->name,
                                      now_ms); /* its last words */
                log_limited(
                    LOG_LEVEL_WARNING,
                    "companion %s: it is started anew, and its worker with it dev=%s companion=%s pid=%d",
                    why, spawner_worker(spawner, i)->name, state->companion.row->name, (int)pid);
                close(state->held.fds[0]);
                state->held.fds[0] = -1;
                r = tell(spawner, i);
        }
        return r;
}

/* 0 is never. */
static uint64_t earlier(uint64_t a, uint64_t b)
{
        return a == 0 || (b != 0 && b < a) ? b : a;
}

uint64_t spawner_companions_due(const struct spawner *spawner, uint64_t now_ms)
{
        uint64_t due = 0;

        for (uint32_t i = 0; i < spawner->n_workers; i++) {
                const struct companion *companion = &spawner->devices[i].companion;

                if (companion->row && companion->pid == 0)
                        due = earlier(due, companion->due_ms);
                if (companion->row && companion->output_fd >= 0 && companion->words_ms > now_ms)
                        due = earlier(due, companion->words_ms);
        }
        return due;
}

unsigned spawner_companions_poll(const struct spawner *spawner, uint64_t now_ms, struct pollfd *ret_pfds)
{
        unsigned n = 0;

        for (uint32_t i = 0; i < spawner->n_workers; i++)
                if (companion_listens(&spawner->devices[i].companion, now_ms))
                        ret_pfds[n++] =
                            (struct pollfd){.fd = spawner->devices[i].companion.output_fd, .events = POLLIN};
        return n;
}

void spawner_companions_listen(struct spawner *spawner, uint64_t now_ms, const struct pollfd *pfds,
                               unsigned n)
{
        for (unsigned k = 0; k < n; k++)
                for (uint32_t i = 0; pfds[k].revents && i < spawner->n_workers; i++)
                        if (spawner->devices[i].companion.row &&
                            spawner->devices[i].companion.output_fd == pfds[k].fd) {
                                companion_read_output(&spawner->devices[i].companion,
                                                      spawner_worker(spawner, i)->name, now_ms);
                                break;
                        }
}

void spawner_companions_end(struct spawner *spawner)
{
        for (uint32_t i = 0; i < spawner->n_workers; i++) {
                struct companion *companion = &spawner->devices[i].companion;

                if (companion->row)
                        companion_end(companion);
                companion->due_ms = 0;
        }
}
