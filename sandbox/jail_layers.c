/* Names of the layers that a kernel or a mode may lack.
 * Owns nothing; called by whoever tells the operator. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>

#include "proto/base/checked.h"
#include "sandbox/jail.h"

static const char *const names[] = {
    [JAIL_LAYER_UNIQUE_UID] = "unique uid",
    [JAIL_LAYER_NO_GROUPS] = "no supplementary groups",
    [JAIL_LAYER_NO_NAMESPACES] = "no further user namespaces",
    [JAIL_LAYER_KEYRING] = "own keyring",
    [JAIL_LAYER_MDWE] = "memory deny write execute",
    [JAIL_LAYER_SPEC_STORE] = "no speculative store bypass",
    [JAIL_LAYER_SPEC_BRANCH] = "no indirect branch speculation",
    [JAIL_LAYER_LANDLOCK] = "Landlock",
    [JAIL_LAYER_LANDLOCK_NET] = "Landlock network",
    [JAIL_LAYER_LANDLOCK_SCOPE] = "Landlock scope",
    [JAIL_LAYER_CGROUP_MEMORY] = "cgroup memory",
    [JAIL_LAYER_CGROUP_PIDS] = "cgroup pids",
    [JAIL_LAYER_CGROUP_CPU] = "cgroup cpu",
    [JAIL_LAYER_CGROUP_IO] = "cgroup io",
};

static_assert(array_size(names) == JAIL_LAYER_COUNT_, "a name for each layer");

const char *jail_layer_name(enum jail_layer layer)
{
        return (unsigned)layer < array_size(names) ? names[layer] : "unknown";
}

const char *jail_layers_text(uint32_t missing, char *out, size_t size)
{
        size_t len = 0;

        out[0] = '\0';
        for (unsigned i = 0; i < JAIL_LAYER_COUNT_ && len < size; i++) {
                int n;

                if (!(missing & JAIL_LAYER_BIT(i)))
                        continue;
                n = snprintf(out + len, size - len, "%s%s", len ? ", " : "", names[i]);
                len += n < 0 ? 0 : (size_t)n;
        }
        return out;
}
