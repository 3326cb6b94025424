/* Stands in for sandbox/broker_jail.c in a sanitized broker: a sanitizer's runtime maps, opens and starts threads as it
 * likes, which the real confinement kills. Linked in place of the real one, and only into the broker of these tests: no
 * shipped program has a way to do without it.
 * Owns nothing; called by broker.c. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <sched.h>

#include "proto/base/log.h"
#include "sandbox/broker_jail.h"

int broker_confine(const struct broker_jail *jail, uint32_t *ret_missing, const char **ret_stage)
{
        (void)jail;
        (void)ret_stage;
        log_warning("this broker is for tests: it is not confined");
        *ret_missing = 0;
        return 0;
}

/* The thread sanitizer has a thread of its own from the start, and a process with threads cannot enter a user
 * namespace: the question whether there are any, which is asked in a child, is answered here. Workers get theirs by
 * clone3. */
int __real_unshare(int flags);
int __wrap_unshare(int flags);

int __wrap_unshare(int flags)
{
        return flags == CLONE_NEWUSER ? 0 : __real_unshare(flags);
}
