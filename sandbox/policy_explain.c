/* What was wrong with a call that a policy has killed.
 * Owns nothing; called by the spawner after a worker's end. TRUST: the call is the worker's: it is looked up,
 * never made.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/policy_explain.h"

#include <linux/audit.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#define X32_BIT     0x40000000u /* such a call says x86_64 and is meant for another table */
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#define X32_BIT     0x80000000u /* no number has it */
#endif

static bool is_foreign(const struct spawn_cause *cause)
{
        return cause->arch != NATIVE_ARCH || (cause->nr & X32_BIT) != 0;
}

/* libseccomp's tokens are the kernel's numbers, but for x32, which the kernel does not tell apart. */
static uint32_t seccomp_token(const struct spawn_cause *cause)
{
#if defined(__x86_64__)
        if (cause->arch == NATIVE_ARCH && is_foreign(cause))
                return SCMP_ARCH_X32;
#endif
        return cause->arch;
}

/* One that is no word is none: it goes into a log line as it is. */
static void name_call(struct spawn_cause *cause)
{
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
        _cleanup_free_ char *name = seccomp_syscall_resolve_num_arch(seccomp_token(cause), (int)cause->nr);

        if (name && strlen(name) < sizeof(cause->call) && strspn(name, allowed) == strlen(name))
                snprintf(cause->call, sizeof(cause->call), "%s", name);
}

static bool gate_names_call(const struct policy *policy, enum policy_gate gate, uint32_t nr)
{
        const struct policy_row *row;

        for (size_t i = 0; (row = policy_row_at(policy, gate, i)); i++)
                if (row->nr == (int)nr && row->deny_errno == 0)
                        return true;
        return false;
}

void policy_explain(const struct policy *policy, struct spawn_cause *cause)
{
        enum policy_gate gate = cause->gate == SPAWN_GATE_RUN ? POLICY_GATE_RUN : POLICY_GATE_START;

        cause->breach = SPAWN_BREACH_UNKNOWN;
        if (!cause->have_call)
                return;
        name_call(cause);
        if (is_foreign(cause))
                cause->breach = SPAWN_BREACH_ARCH;
        else
                cause->breach =
                    gate_names_call(policy, gate, cause->nr) ? SPAWN_BREACH_ARGUMENTS : SPAWN_BREACH_CALL;
}
