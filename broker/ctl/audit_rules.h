/* What a process may be, against what it was measured to be. Pure: facts in, rows out.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/ctl/audit_measure.h"

enum audit_role {
        AUDIT_WORKER,
        AUDIT_BROKER,
        AUDIT_SPAWNER,
        AUDIT_COMPANION, /* of a device's workers */
        AUDIT_ROLE_COUNT_,
};

enum audit_verdict {
        AUDIT_OK,
        AUDIT_WEAKER,  /* as good as this place allows, and less than as root with control groups: said, not
                          failed */
        AUDIT_CLAIMED, /* cannot be measured from outside; the process's own tests are its proof */
        AUDIT_UNKNOWN, /* could be measured, but not by us or not now: a failure */
        AUDIT_LOOSE,   /* looser than the policy: a failure */
        AUDIT_VERDICT_COUNT_,
};

const char *audit_role_name(enum audit_role role);
const char *audit_verdict_name(enum audit_verdict verdict);
bool audit_verdict_fails(enum audit_verdict verdict);

/* Everybody who runs, for comparison. */
struct audit_scene {
        const struct audit_vm *vms;
        size_t n_vms;
        const struct proc_facts *self; /* the auditor: its namespaces are the host's */
};

struct audit_subject {
        enum audit_role role;
        const struct audit_vm *vm;
        const struct proc_facts *facts;
        const struct admin_device *device; /* of a worker, or a companion's workers; else NULL */
        const struct audit_scene *scene;
};

struct audit_row {
        const char *fact; /* static string */
        char measured[160], wanted[80];
        enum audit_verdict verdict;
};

/* Calls `visit` with every row that concerns the subject. 0, or the visitor's first negative result. */
int audit_rules_apply(const struct audit_subject *subject,
                      int (*visit)(void *context, const struct audit_row *row), void *context);
