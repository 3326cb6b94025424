/* What the folder of a VM's control groups is called.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/base/limits.h"

#define CGROUP_NAME (LIMIT_NAME + 16u) /* bytes: a VM's name, what is added, a NUL */

/* Two VMs may have one name in two run directories, and then no group in common: one's end would take the group that
 * the other's worker is about to enter. In the default run directory the folder has the VM's name, elsewhere
 * "<vm>@<8 hex digits>", which are the same for each run there. "@" is in no VM's name. `run_dir` is absolute and
 * need not be there. */
void cgroup_name_vm(const char *vm, const char *run_dir, char ret_name[static CGROUP_NAME]);

/* A folder for groups that are tried and removed again: no VM's, and nobody else's while we live. */
void cgroup_name_trial(char ret_name[static CGROUP_NAME]);
