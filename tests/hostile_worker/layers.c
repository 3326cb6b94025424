/* Which layers are on: the answer that a sandbox library compiled with BULKHEAD_TEST_LAYERS asks for.
 * Owns nothing; called by the test build's spawner (the set is in its environment) and by the hostile worker (the
 * set is its VM's name, in argv[0]). TRUST: the runner chooses.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/test_layers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"

/* What a process cannot be started without. */
static const char *const always[] = {"wait", "signals", "session", "fds", "report", "exec", NULL};

static const char *const seccomp_alone[] = {"no_new_privs", "seccomp", "run filter", NULL};

static const char *const spaces_alone[] = {"namespaces",
                                           "groups",
                                           "gid",
                                           "uid",
                                           "no namespaces",
                                           "keyring",
                                           "cgroup namespace",
                                           "root",
                                           "hostname",
                                           "securebits",
                                           "capabilities",
                                           "kept capabilities",
                                           "no_new_privs",
                                           "dumpable",
                                           "landlock",
                                           "lockdown dumpable",
                                           "lockdown landlock",
                                           "spawner rights",
                                           NULL};

static const char *const nothing[] = {NULL};

static const struct {
        const char *name;
        const char *const *on;
} sets[] = {{"seccomp", seccomp_alone}, {"spaces", spaces_alone}, {"none", nothing}};

static bool is_in(const char *const *list, const char *layer)
{
        for (; *list; list++)
                if (strcmp(*list, layer) == 0)
                        return true;
        return false;
}

/* "bulkhead-worker-blk: none-21187-1/disk0": the name of the VM begins with that of its set. */
static bool is_set(const char *name)
{
        const char *env = getenv("BULKHEAD_TEST_LAYERS"), *vm = strchr(program_invocation_name, ' ');

        if (env)
                return strcmp(env, name) == 0;
        return vm && strncmp(vm + 1, name, strlen(name)) == 0 && vm[1 + strlen(name)] == '-';
}

bool layer_is_on(const char *layer)
{
        for (size_t i = 0; i < array_size(sets); i++)
                if (is_set(sets[i].name))
                        return is_in(always, layer) || is_in(sets[i].on, layer);
        return true;
}
