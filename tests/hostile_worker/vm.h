/* A throw-away VM whose workers are hostile: a directory of its own, a broker, and what that says.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/limits.h"

#define VM_IMAGE_BYTES (UINT64_C(4) << 20)
#define VM_SECRET      16u
#define VM_LOG         (1u << 20) /* of one attempt: the last words of a worker are up to 64 KiB of it */

/* Which layers the jail has. */
enum layer_set {
        LAYERS_ALL,     /* as shipped, by the shipped broker */
        LAYERS_SECCOMP, /* the filters and nothing else */
        LAYERS_SPACES, /* ids, namespaces, empty root, capabilities, Landlock: no filter, no limits, no MDWE */
        LAYERS_NONE,   /* a process like any other of root's */
        LAYERS_COUNT_,
};

const char *layer_set_name(enum layer_set set);

/* Where the programs are. */
struct vm_programs {
        char broker[PATH_MAX];
        char hostile_blk[PATH_MAX], hostile_rng[PATH_MAX];
};

struct vm {
        enum layer_set set;
        char name[LIMIT_NAME]; /* nobody else's: processes and control groups are found by it */
        char dir[64];          /* removed by vm_stop */
        pid_t spawner, broker;
        int log_fd;
        char log[VM_LOG]; /* since the last vm_log_mark */
        size_t log_len;
        char missing[192];          /* layers that this host does not give, as the broker says; empty: none */
        char secret[VM_SECRET + 1]; /* in the environment of spawner and broker */
};

/* Starts and waits until it serves: disk0, disk1 (4 MiB each), ro0 (the same, read-only) and rng0. 0, or
 * negative errno with one sentence in `why`; then nothing is left. */
int vm_start(struct vm *vm, const struct vm_programs *programs, enum layer_set set, char *why,
             size_t why_size);

/* Ends it in good order and removes its directory. False: it had to be killed, or ended badly. */
bool vm_stop(struct vm *vm);

/* Paths of its things; valid until the next call. */
const char *vm_socket(const struct vm *vm, const char *name);
const char *vm_image(const struct vm *vm, const char *device);

/* The image has its size again, whatever was done to it. */
int vm_restore_image(const struct vm *vm, const char *device);

/* Takes what has been logged; it must not fill its pipe. */
void vm_log_take(struct vm *vm);
void vm_log_mark(struct vm *vm);
/* Is there such a text in the log since the mark? */
bool vm_log_has(const struct vm *vm, const char *text);
/* The first bad line since the mark: not a line of ours, or with bytes that are no text. NULL: none. */
const char *vm_log_fault(struct vm *vm);

/* The worker of a device; 0: none now. */
pid_t vm_worker(const struct vm *vm, const char *type, const char *device);
