/* Every VM of a run directory, asked one after the other.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "broker/ctl/admin_client.h"
#include "broker/ctl/ctl.h"

/* Called once a VM, in the order of names. error: 0, or negative errno with `why`; then `answer` is NULL. */
typedef int (*vm_visit)(void *context, const char *vm, int error, const struct admin_answer *answer,
                        const char *why);

/* Finds the run directory that the arguments mean and asks everybody. 0, the visitor's first negative result,
 * or negative errno with `why` filled. *ret_run_dir is filled when the directory is known. */
int vm_scan(const struct ctl_args *args, char ret_run_dir[static PATH_MAX], vm_visit visit, void *context,
            char *why, size_t why_size);

/* Does the errno of an unanswered question mean that the VM is gone, not hidden or hung? */
bool vm_is_dead(int negative_errno);
