/* A worker whose share belongs to a range of owners, or that is the owner itself.
 * Owns nothing; called by audit_rules.c. TRUST: facts are the kernel's word.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/audit_owners.h"

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/checked.h"

#define BIT(capability) (UINT64_C(1) << (capability))

/* What sandbox/policy/fs.c says; in a namespace that has no id but the range and its own they are no more. */
static const struct {
        unsigned capability;
        const char *name;
} known[] = {
    {CAP_CHOWN, "chown"},
    {CAP_DAC_OVERRIDE, "dac_override"},
    {CAP_DAC_READ_SEARCH, "dac_read_search"},
    {CAP_FOWNER, "fowner"},
    {CAP_SETGID, "setgid"},
    {CAP_SETUID, "setuid"},
};

static const uint64_t sets[] = {
    BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_SETGID) | BIT(CAP_SETUID),
    BIT(CAP_DAC_READ_SEARCH), /* of a read-only share */
};

bool audit_owners_range(const struct proc_facts *facts)
{
        return facts->ids_error == 0 && facts->ids.n_all == (uint64_t)facts->ids.n + 1 &&
               facts->ids.first > 0 && facts->ids.root_is_mapped;
}

static bool all_are(const struct proc_facts *facts, uint64_t set)
{
        for (size_t i = 0; i < PROC_CAP_COUNT_; i++)
                if (facts->status.capabilities[i] != set)
                        return false;
        return true;
}

static bool is_known(const struct proc_facts *facts)
{
        for (size_t i = 0; i < array_size(sets); i++)
                if (all_are(facts, sets[i]))
                        return true;
        return false;
}

bool audit_owners_capabilities(const struct proc_facts *facts, char *out, size_t size)
{
        size_t used = 0;

        if (!audit_owners_range(facts) || !is_known(facts))
                return false;
        out[0] = '\0';
        for (size_t i = 0; i < array_size(known) && used < size; i++)
                if (facts->status.capabilities[0] & BIT(known[i].capability))
                        used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "",
                                                 known[i].name);
        if (used < size)
                snprintf(out + used, size - used, " over %u+%u alone: owners", facts->ids.first,
                         facts->ids.n);
        return true;
}

bool audit_owners_ids(const struct proc_facts *facts)
{
        const uint32_t *const ids[] = {facts->status.uid, facts->status.gid};

        for (size_t i = 0; i < array_size(ids); i++) {
                bool made_by = audit_owners_range(facts) && ids[i][3] - facts->ids.first < facts->ids.n;

                if (ids[i][0] != ids[i][1] || ids[i][1] != ids[i][2] || (ids[i][2] != ids[i][3] && !made_by))
                        return false;
        }
        return true;
}
