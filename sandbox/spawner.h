/* The spawner: starts as root (or as root of a user namespace), opens what the configuration names, starts
 * workers in their jails and reaps them, and does nothing else. The broker can only say "device N again".
 *
 * How it works:
 *   spawner_init      judge the place: user namespaces, run directory, uids, programs, resources. All reasons
 * to fail at start are found here, before anything runs. (main)            makes and binds the sockets of the
 * broker, while paths and rights to them still exist. spawner_fork      two processes. The child becomes the
 * broker: broker_confine (broker_jail.h). spawner_run       one thread, poll on the channel and on signals,
 * until the broker is gone. Then every worker is killed and reaped, groups and sockets are removed.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "proto/base/arena.h"
#include "proto/base/limits.h"
#include "proto/rpc.h"
#include "proto/vm_config.h"
#include "sandbox/cgroup.h"
#include "sandbox/companion.h"
#include "sandbox/policy_cache.h"
#include "sandbox/resource.h"
#include "sandbox/trace.h"
#include "sandbox/uid_range.h"

#define SPAWNER_INBOX 256u /* the broker's messages have about 16 bytes */
#define SPAWNER_UNLINK_MAX                                                                                   \
        (LIMIT_DEVICES * (1u + LIMIT_CONSOLE_PORTS) +                                                        \
         4u) /* sockets of devices and of consoles' ports, the admin socket, lock and state files */

enum spawner_device_state {
        SPAWNER_IDLE,    /* no process. Spawn leads to RUNNING */
        SPAWNER_RUNNING, /* a process. Its exit leads to EXITED */
        SPAWNER_EXITED,  /* a zombie, so its pid is not reused and copies are safe. Reap leads to IDLE */
};

struct spawner_device {
        enum spawner_device_state state;
        pid_t pid;
        int pidfd;
        struct trace trace; /* of the process, if it is traced */
        struct cgroup cgroup;
        struct resources held; /* what outlives its workers */
        struct spawner_peer {
                bool gone;         /* what is held is dead: workers get it all the same, and see that */
                uint64_t due_ms;   /* while it is gone: when it is tried again */
                uint64_t since_ms; /* when it was connected; 0: before the start */
                uint32_t losses;   /* in a row, none of them after LIMIT_SETTLED_MS */
                uint32_t tries;    /* in vain, since it is gone */
        } peer;                    /* of a stream that is somebody's (spawner_peer.h) */
        struct companion companion;
        uint32_t companion_claim; /* its row of spawner.claims */
        uint32_t layers_told;     /* missing layers that have been logged */
};

struct spawner {
        const struct vm_config *config; /* borrowed; must outlive the spawner */
        uint32_t n_workers; /* the configuration's devices, and behind them the loader if there is one */
        struct device_config loader;
        uint32_t n_companions;
        bool rootless;
        int run_dir_fd; /* RUNDIR */
        int null_fd;
        int program_fds[WORKER_TYPE_COUNT_]; /* opened once: a restart runs the same program as the start */
        struct uid_claim
            *claims;      /* one a worker, then the broker's, then one a companion; NULL when rootless */
        uid_t broker_uid; /* known on both sides of the fork; the claims stay with the spawner */
        gid_t broker_gid;
        struct cgroup_host cgroup_host;
        char cgroup_vm[CGROUP_NAME]; /* the folder of our groups */
        struct policy_cache filters; /* of workers */
        struct spawner_device *devices;
        int channel;
        struct arena arena;           /* for one message of the broker */
        uint8_t inbox[SPAWNER_INBOX]; /* bytes of the broker that are no whole frame yet */
        size_t inbox_len;
        struct rpc_peer peer;
        int signal_fd;
        pid_t broker_pid;
        int broker_pidfd;
        char *unlink_paths[SPAWNER_UNLINK_MAX];
        size_t n_unlink_paths;
        uint64_t kill_at_ms; /* after Terminate: the broker has had its time; 0: no deadline */
        bool trace;          /* be the workers' tracer: set by the caller between init and run */
        bool trace_told;     /* that it cannot be had has been logged */
        bool look;           /* a child has changed: to be looked at */
        bool stopping;       /* the broker said Stop, or the operator said Terminate: its end is no failure */
        bool broker_exited;  /* broker_status is valid */
        int broker_status;   /* of waitid: CLD code and status folded into an exit code */
};

/* Judges the place and claims uids. Also enters the user namespace when we are an ordinary user. The run
 * directory exists and is writable. 0, or negative errno with one sentence and its remedy in `why`; then
 * nothing is held. Must be called with one thread. */
int spawner_init(struct spawner *spawner, const struct vm_config *config, char *why, size_t why_size);

/* The uid and gid that the broker will have (our own when rootless): for chown of its sockets, and in the
 * child for broker_confine. */
uid_t spawner_broker_uid(const struct spawner *spawner);
gid_t spawner_broker_gid(const struct spawner *spawner);

/* Opens what outlives workers (resources_hold). The VM's lock is held. 0, or negative errno with one sentence in `why`. */
int spawner_hold(struct spawner *spawner, char *why, size_t why_size);

/* Remembers a path to unlink at the end. 0, -ENOMEM or -ENOSPC (SPAWNER_UNLINK_MAX). */
int spawner_unlink_later(struct spawner *spawner, const char *path);

/* Forks. In the parent (the spawner): returns 1. In the child (the broker): returns 0 with the broker's end
 * of the channel in *ret_channel (CLOEXEC, blocking), the spawner's descriptors closed, signals unblocked, a
 * session of its own so that the terminal's Ctrl-C reaches the spawner only. Negative errno: no child. */
int spawner_fork(struct spawner *spawner, int *ret_channel);

/* Serves until the broker is gone; SIGTERM and SIGINT become Terminate (a second one kills). Returns the exit
 * code for main: 0 when the broker ended well. Logs. */
int spawner_run(struct spawner *spawner);

/* Closes and frees. Accepts one whose init failed, and is to be called in the child too (it unlinks nothing).
 */
void spawner_done(struct spawner *spawner);
