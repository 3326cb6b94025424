/* What roles and verdicts are called, and which of these are failures.
 * Owns nothing; called by whoever prints them. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/audit_rules.h"

const char *audit_role_name(enum audit_role role)
{
        static const char *const names[AUDIT_ROLE_COUNT_] = {[AUDIT_WORKER] = "worker",
                                                             [AUDIT_BROKER] = "broker",
                                                             [AUDIT_SPAWNER] = "spawner",
                                                             [AUDIT_COMPANION] = "companion"};

        return names[role];
}

const char *audit_verdict_name(enum audit_verdict verdict)
{
        static const char *const names[AUDIT_VERDICT_COUNT_] = {[AUDIT_OK] = "ok",
                                                                [AUDIT_WEAKER] = "weaker",
                                                                [AUDIT_CLAIMED] = "claimed",
                                                                [AUDIT_UNKNOWN] = "unknown",
                                                                [AUDIT_LOOSE] = "loose"};

        return names[verdict];
}

bool audit_verdict_fails(enum audit_verdict verdict)
{
        return verdict == AUDIT_UNKNOWN || verdict == AUDIT_LOOSE;
}
