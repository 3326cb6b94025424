/* A second process beside a device's workers, for what needs rights that no worker may have: passt has the host's network, the
 * vsock proxy makes and takes Unix sockets in one folder. It never sees guest memory or a guest's requests, only the bytes that
 * the worker gives it over one socket.
 *
 * How it works: it is started by the spawner before the first worker, jailed by the same stages (jail_allowance says what one
 * has beyond a worker), with a user id and a control group of its own. It outlives workers: the spawner keeps the worker's end of
 * the socket and gives each incarnation a duplicate, so the companion sees no end between them; that is why both sides leave and
 * take whole frames only (docs/SANDBOX.md). When it dies it is started anew, with a fresh socket, later and later if it keeps dying;
 * the worker, whose socket is dead, is then killed and comes back with the new one. It ends with the VM, and with the last end of
 * its socket.
 *
 * Its descriptors: 0, 1 and 3 are /dev/null, 2 is a pipe to the spawner, which logs what comes; 4 is the socket; then its
 * resources; then its run filter, if it has one of ours.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/vm_config.h"
#include "sandbox/cgroup.h"
#include "sandbox/jail.h"
#include "sandbox/resource.h"
#include "sandbox/trace.h"

#define COMPANION_ARGS 64u /* of a command line: a port forward of passt's takes two */
#define COMPANION_TEXT 4096u
#define COMPANION_WHY  320u /* how one has ended: a call with six arguments is the longest */

/* A command line in the making. */
struct companion_args {
        const char *argv[COMPANION_ARGS + 1];
        unsigned n;
        char text[COMPANION_TEXT];
        size_t used;
};

/* Appends a copy. -E2BIG: there is no room. */
int companion_args_add(struct companion_args *args, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One kind of companion. */
struct companion_row {
        const char *name;    /* in logs, `ps` and the name of its control group */
        const char *policy;  /* sandbox/policy; NULL: it brings a filter of its own */
        const char *program; /* in the workers' directory; NULL: one of `places` */
        const char *const *(*places)(
            void);           /* absolute paths, the first that is there; NULL behind the last */
        const char *remedy;  /* when there is none */
        int socket_type;     /* SOCK_STREAM, or SOCK_SEQPACKET, which keeps frames whole by itself */
        uint32_t socket_len; /* bytes of it on their way to the worker */
        bool
            blocks; /* its end of the socket is a blocking one: it puts the rest of a frame there by waiting */
        bool has_folder;     /* its root is the folder, its second resource, that it was started with */
        uint32_t n_born;     /* descriptors that it makes itself */
        uint64_t memory_max; /* bytes */
        struct jail_allowance allowance;
};

/* By name; NULL: there is none. */
const struct companion_row *companion_find(const char *name);

/* The program's descriptor, for jail_spec.binary_fd. 0, or negative errno with a sentence in `why`. */
int companion_open_program(const struct companion_row *row, const char *worker_dir, int *ret_fd, char *why,
                           size_t why_size);

/* One of a device's. All of it is its owner's to fill in but what stands below the line. */
struct companion {
        const struct companion_row *row; /* NULL: there is none */
        int program_fd;
        struct companion_args args;
        int folder_fd; /* of share_mount; -1: none */
        uid_t uid;
        gid_t gid;
        /* ---- */
        pid_t pid; /* 0: it does not run */
        int pidfd;
        int output_fd;     /* what it says; -1: none */
        uint64_t words_ms; /* it is not listened to before */
        struct cgroup cgroup;
        uint32_t starts;
        uint64_t due_ms;  /* when it is started again; 0: not */
        uint64_t born_ms; /* when it was started */
        uint32_t deaths;  /* in a row, none of them after LIMIT_SETTLED_MS */
        uint32_t layers_told;
        struct trace trace; /* of the process, if it is traced */
};

#define COMPANION_NONE ((struct companion){.program_fd = -1, .folder_fd = -1, .pidfd = -1, .output_fd = -1})

/* What all companions of a spawner have in common. */
struct companion_place {
        const char *vm, *device;
        uid_t
            owner_uid; /* owns its user namespace: the spawner's own, for the broker has no business in it */
        gid_t owner_gid;
        bool rootless;
        int null_fd;
        const struct cgroup_host *cgroup_host; /* NULL: no groups */
        const char *cgroup_vm;
        bool trace;  /* be its tracer, to see which call has killed it: only of one with a policy of ours */
        int wake_fd; /* as jail_spec's */
        void (*wake)(void *context);
        void *wake_context;
};

/* Starts it. *ret_worker_fd: the worker's end of its socket, the caller's. 0, or negative errno with `why`. */
int companion_start(struct companion *companion, const struct companion_place *place, uint64_t now_ms,
                    int *ret_worker_fd, char *why, size_t why_size);

/* Lets it go on if it stands before its tracer. Call for every SIGCHLD. */
void companion_serve(struct companion *companion);

/* Has it ended? Then it is reaped, `why` says how it ended, and due_ms when it is to be started again. */
bool companion_look(struct companion *companion, uint64_t now_ms, char *why, size_t why_size);

/* It could not be started: later again. */
void companion_postpone(struct companion *companion, uint64_t now_ms);

/* Logs what it has said, at most LIMIT_COMPANION_WORDS of it, a line each, escaped and rate-limited; then it is not listened to
 * for LIMIT_COMPANION_WORDS_MS. */
void companion_read_output(struct companion *companion, const char *device, uint64_t now_ms);

/* Is it to be asked, now, whether it has said something? */
bool companion_listens(const struct companion *companion, uint64_t now_ms);

/* Kills and reaps, whatever its state; LIMIT_KILL_MS at most. Its descriptors stay open. */
void companion_end(struct companion *companion);

/* Closes what it holds; ends nothing. */
void companion_release(struct companion *companion);
