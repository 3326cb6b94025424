/* A throw-away VM whose workers are hostile: a directory of its own, a broker, and what that says.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/limits.h"
#include "tests/hostile_worker/kind.h"
#include "tests/hostile_worker/outside.h"

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
        char blk[PATH_MAX]; /* the disk beside is always there */
        char worker[PATH_MAX];
        char companion[PATH_MAX]; /* of a vsock device; empty: it has none */
};

struct vm {
        enum layer_set set;
        char name[LIMIT_NAME]; /* nobody else's: processes and control groups are found by it */
        char dir[64];          /* removed by vm_stop */
        const struct kind *kind;
        struct outside outside;
        pid_t spawner, broker;
        int log_fd;
        char log[VM_LOG]; /* since the last vm_log_mark */
        size_t log_len;
        char missing[192];          /* layers that this host does not give, as the broker says; empty: none */
        char secret[VM_SECRET + 1]; /* in the environment of spawner and broker */
};

/* Starts and waits until it serves the device of this kind, and beside it disk1 (4 MiB each). 0, or negative errno with one
 * sentence in `why`; then nothing is left. */
int vm_start(struct vm *vm, const struct vm_programs *programs, enum layer_set set, const struct kind *kind,
             char *why, size_t why_size);

/* Ends it in good order and removes its directory. False: it had to be killed, or ended badly. */
bool vm_stop(struct vm *vm);

/* Paths of its things; valid until the next call. */
const char *vm_socket(const struct vm *vm, const char *name);
const char *vm_image(const struct vm *vm, const char *device);
const char *vm_path(const struct vm *vm, const char *name);

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
