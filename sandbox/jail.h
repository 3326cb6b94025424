/* Starting one worker in its jail. See docs/SANDBOX.md for the layers; the stage table is in jail_stages.c.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/fd.h"
#include "proto/base/limits.h"
#include "sandbox/cgroup.h"
#include "sandbox/policy_cache.h"
#include "sandbox/trace.h"

/* What a kernel or a mode cannot give. Such a layer is reported, never skipped in silence. */
enum jail_layer {
        JAIL_LAYER_UNIQUE_UID,    /* rootless: all processes of a VM are the same host user */
        JAIL_LAYER_NO_GROUPS,     /* rootless: setgroups is denied, the user's groups stay */
        JAIL_LAYER_NO_NAMESPACES, /* /proc/sys is read-only: only seccomp bars further user namespaces */
        JAIL_LAYER_KEYRING,       /* no kernel keyrings */
        JAIL_LAYER_MDWE,          /* Linux < 6.3 */
        JAIL_LAYER_SPEC_STORE,    /* speculative store bypass cannot be switched off for one process here */
        JAIL_LAYER_SPEC_BRANCH,  /* indirect branch speculation cannot be switched off for one process here */
        JAIL_LAYER_LANDLOCK,     /* not built in or not enabled */
        JAIL_LAYER_LANDLOCK_NET, /* Landlock ABI < 4 */
        JAIL_LAYER_LANDLOCK_SCOPE, /* Landlock ABI < 6 */
        JAIL_LAYER_CGROUP_MEMORY,
        JAIL_LAYER_CGROUP_PIDS,
        JAIL_LAYER_CGROUP_CPU,
        JAIL_LAYER_CGROUP_IO,
        JAIL_LAYER_COUNT_,
};

#define JAIL_LAYER_BIT(layer) (1u << (layer))

const char *jail_layer_name(enum jail_layer layer);

/* Names of the bits of `missing`, joined by ", ". Returns `out`. */
const char *jail_layers_text(uint32_t missing, char *out, size_t size);

/* What a program that is not ours needs beyond a worker's jail, each argued where it is granted (companion_passt.c). */
struct jail_allowance {
        const char *const *argv;       /* instead of a worker's; NULL behind the last */
        const char *const *root_paths; /* what its root has of the host, read-only; NULL behind the last */
        const char *const *
            root_links; /* and these symbolic links: name, target, name, target; NULL behind the last; NULL: none */
        bool host_network; /* it stays in the host's network namespace */
        bool
            own_sandbox; /* it makes its own user namespace, one, and loads a filter of its own: none of ours, and of Landlock its scopes alone */
        uint64_t stack_max; /* bytes: RLIMIT_STACK; 0: a worker's */
};

struct jail_spec {
        const struct policy *policy;
        struct policy_cache *filters; /* keeps them for the next start; NULL: nobody does */
        const char *title;            /* argv[0]: "bulkhead-worker-blk: demo/disk0" */
        uid_t uid,
            owner_uid; /* the worker's own; the broker's, which comes to own the worker's user namespace */
        gid_t gid, owner_gid;
        bool owner_is_spawner; /* owner_uid is ours, which may be 0: the broker has no right over it */
        bool rootless;         /* uid == owner_uid == ours, and setgroups is denied */
        uint32_t first_id,
            n_ids; /* these ids of the host are 0 .. n_ids - 1 in its namespace, beside its own; 0: none. Whose policy
                                   * has capabilities has such ids, for these to reach */
        int binary_fd; /* the worker program, readable by the worker's uid (a program that its own process may
                        * not read would bar the broker from direct copies); a static-pie ELF */
        int null_fd;   /* /dev/null, read and write */
        int output_fd; /* its standard error; 0: /dev/null */
        int control_fd;
        const struct fd_duplex *lanes;
        unsigned n_lanes; /* at most LIMIT_LANES */
        const int *resource_fds;
        unsigned n_resources;                    /* at most LIMIT_RESOURCES */
        uint8_t resource_kinds[LIMIT_RESOURCES]; /* enum resource_kind; all zeros: files */
        uint32_t resources_rw;                   /* bit i: resource i is a file that may be written */
        uint32_t n_born; /* descriptors that it may make after lock-down: RLIMIT_NOFILE has room for them */
        uint32_t n_lent; /* descriptors that come before lock-down and are closed by then: for these, too */
        const struct jail_allowance *allowance; /* what it has that no worker has; NULL: nothing */
        int root_fd; /* its root: a mount of share_mount; 0: an empty one. Resources of the kind FOLDER become that root */
        uint64_t memory_max; /* bytes: RLIMIT_AS and RLIMIT_DATA */
        uint64_t mapped_max; /* bytes of files beside it: RLIMIT_AS alone */
        uint64_t
            file_size_max; /* bytes: RLIMIT_FSIZE, so an image cannot grow; 0 for a worker without files */
        const struct cgroup *cgroup; /* NULL: none */
        bool seccomp_log;            /* development: see policy_layout.only_log */
        bool short_turns;            /* on a CPU, beside a lane that is placed (proto/base/time_slice.h) */
        bool trace;  /* become its tracer before its program runs; the caller must then serve it: trace.h */
        int wake_fd; /* while we wait for the child, and this is readable, `wake` is called, */
        void (*wake)(void *context); /* which must read it empty; NULL: none */
        void *wake_context;
        const char *fail_stage; /* tests: this stage reports EIO instead of being done. NULL in production */
};

struct jail_child {
        pid_t pid;
        int pidfd;
        uint32_t layers_missing; /* JAIL_LAYER_BIT */
        struct trace trace;      /* if that was wanted and could be had */
        int trace_error;         /* 0, or why it is not traced */
};

struct jail_failure {
        const char *stage; /* static string; never NULL after a failure */
        int error;         /* negative errno */
};

/* Starts the worker and returns when its program has been executed (not when it is ready: that is Hello).
 * Needs CAP_SETUID, CAP_SETGID, CAP_KILL over the caller's user namespace, and one thread. All descriptors
 * stay the caller's. On success the caller owns ret_child->pidfd and the duty to reap the pid. On failure
 * there is no child left and ret_failure says which stage; the result equals ret_failure->error. */
int jail_spawn(const struct jail_spec *spec, struct jail_child *ret_child, struct jail_failure *ret_failure);

/* Stage names in their order, NULL behind the last: for tests and documents. */
const char *jail_stage_name(size_t i);
/* Why a stage cannot come earlier. NULL behind the last. */
const char *jail_stage_reason(size_t i);
/* Layers (JAIL_LAYER_BIT) that this stage may find absent; 0: it succeeds or there is no worker. Any other
 * failure of any stage means no worker. */
uint32_t jail_stage_may_miss(size_t i);
