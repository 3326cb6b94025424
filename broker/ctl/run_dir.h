/* RUNDIR: where the sockets of all VMs are, RUNDIR/<vm>/<device>.sock and RUNDIR/<vm>/admin.sock.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/base/limits.h"

/* `given` (--run-dir) or, when that is NULL, /run/bulkhead for root and $XDG_RUNTIME_DIR/bulkhead for others.
 * Absolute. 0, or negative errno with one sentence and its remedy in `why`. */
int run_dir_choose(const char *given, char ret_dir[static PATH_MAX], char *why, size_t why_size);

/* The same from given circumstances, for tests. */
int run_dir_choose_for(const char *given, bool root, const char *xdg_runtime_dir, const char *working_dir,
                       char ret_dir[static PATH_MAX], char *why, size_t why_size);

struct run_dir_vm {
        char name[LIMIT_NAME];
};

struct run_dir_list {
        struct run_dir_vm *vms; /* by name */
        size_t n;
};

/* All folders of RUNDIR with an admin socket. 0, also when RUNDIR does not exist; -E2BIG: more than
 * LIMIT_CTL_VMS; other negative errno of opendir. The caller frees with run_dir_list_done. */
int run_dir_list(const char *dir, struct run_dir_list *ret_list);
void run_dir_list_done(struct run_dir_list *list);
