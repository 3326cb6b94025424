/* What companions may be.
 * Owns nothing; called by audit_rules.c. TRUST: names are the broker's word, and only say which row is to hold.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/audit_companion.h"

#include <stddef.h>
#include <string.h>

#include "proto/base/checked.h"

static const struct companion_rule rules[] = {
    {.name = "passt",
     .programs = {"passt", "passt.avx2"},
     .policy = "passt's own",
     .filters = 1,
     .host_network = true,
     .own_namespace = true},
    {.name = "vsock-proxy",
     .programs = {"bulkhead-vsock-proxy"},
     .policy = "policy vsock-proxy",
     .filters = 2,
     .has_folder = true},
};

const struct companion_rule *companion_rule_find(const char *name)
{
        for (size_t i = 0; i < array_size(rules); i++)
                if (strcmp(rules[i].name, name) == 0)
                        return &rules[i];
        return NULL;
}
