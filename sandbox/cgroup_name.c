/* What the folder of a VM's control groups is called.
 * Owns nothing; called by the spawner's start. TRUST: the VM's name was judged by vm_config_name_ok; the run
 * directory is the operator's, and only a number is made of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup_name.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/vm_config.h"

#define FNV_BASIS UINT32_C(2166136261) /* FNV-1a: short, and the same in every build */
#define FNV_PRIME UINT32_C(16777619)

static uint32_t fnv_add(uint32_t hash, const void *bytes, size_t len)
{
        for (const uint8_t *at = bytes; len > 0; at++, len--)
                hash = (hash ^ *at) * FNV_PRIME;
        return hash;
}

/* The path, because it outlives a directory that is removed and made again: what a dead run left is found. The
 * file system's number, because containers may have one path for two directories. */
static uint32_t run_dir_number(const char *path)
{
        uint32_t hash = fnv_add(FNV_BASIS, path, strlen(path));
        struct stat st;

        return stat(path, &st) < 0 ? hash : fnv_add(hash, &st.st_dev, sizeof(st.st_dev));
}

void cgroup_name_vm(const char *vm, const char *run_dir, char ret_name[static CGROUP_NAME])
{
        char real[PATH_MAX];
        const char *path = realpath(run_dir, real) ? real : run_dir;
        int len = snprintf(ret_name, CGROUP_NAME, "%.*s", (int)LIMIT_NAME - 1, vm);

        if (strcmp(path, VM_CONFIG_RUN_DIR) != 0)
                snprintf(ret_name + len, CGROUP_NAME - (size_t)len, "@%08x", run_dir_number(path));
}

void cgroup_name_trial(char ret_name[static CGROUP_NAME])
{
        snprintf(ret_name, CGROUP_NAME, "@%d", (int)getpid());
}
