/* A probe worker in a real jail, or out of it, and questions to it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandbox/jail.h"
#include "tests/jail/probe.h"

/* In the middle of the range that configurations use by default; each test program runs alone under its lock.
 */
#define FIXTURE_OWNER  1879100000u /* plays the broker */
#define FIXTURE_WORKER 1879100001u
#define FIXTURE_MEMORY (64u << 20)

struct probe {
        struct jail_child child;
        int control; /* our ends */
        struct fd_duplex lane;
        int status; /* of waitpid, after it has died */
};

/* The worker's ends. */
struct probe_theirs {
        int control;
        struct fd_duplex lane;
};

#define PROBE_DEAD INT64_MIN /* it was killed instead of answering: see status */

/* Is this process able to run jails as root? Else prints why and, with MUST_RUN=1, fails. */
bool fixture_needs_root(void);

/* Once a program: root's capabilities stay when effective ids change, as in the spawner. */
void fixture_keep_rights(void);

/* Everything but descriptors that differ: fills `spec`, which refers to `ret_theirs`, for the probe with fresh channels in
 * `probe`. */
void fixture_spec(struct jail_spec *spec, const struct policy *policy, struct probe *probe,
                  struct probe_theirs *ret_theirs);

/* For who starts nothing: the worker's ends and what `spec` has open; and ours. */
void fixture_close(const struct jail_spec *spec, struct probe_theirs *theirs);
void fixture_close_ours(struct probe *probe);

/* Starts; fails the test when that does not work. */
void probe_start(struct probe *probe, const struct policy *policy);
void probe_start_spec(struct probe *probe, struct jail_spec *spec, struct probe_theirs *theirs);

/* The same program by plain fork and exec, as we are: what an attack does without a jail. */
void probe_start_free(struct probe *probe);

/* The answer, or PROBE_DEAD. */
int64_t probe_ask(struct probe *probe, enum probe_attack attack, uint64_t a0, uint64_t a1, uint64_t a2,
                  uint64_t a3);

/* Without seccomp. Before Linux 6.3 (MDWE) nothing else refuses a process executable memory of its own, nor speculation
 * where it is not the process's to control. */
bool fixture_kernel_can_refuse(enum probe_attack attack);

/* Kills, reaps, closes. */
void probe_stop(struct probe *probe);

/* A policy that seccomp cannot be blamed for: allows every call of this kernel, in both gates. */
const struct policy *fixture_open_policy(void);

/* Value behind "name:" in /proc/<pid>/status, without leading blanks. Returns `out`, empty when it is not
 * there. */
const char *proc_status(pid_t pid, const char *name, char *out, size_t size);

/* Started, and its second gate closed; policy "rng". */
void probe_start_locked(struct probe *probe);

/* Entries of a directory, without "." and ".."; and our own open descriptors. */
unsigned fixture_count_entries(const char *path);
unsigned fixture_count_fds(void);

/* Of a stream of bytes: else a socket. */
bool fixture_is_pipe(int fd);

/* A file of 8192 bytes without a name. */
int fixture_image(void);
