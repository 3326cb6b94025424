/* When may the next incarnation of a worker start?
 * Owns nothing; called by supervisor.c. TRUST: times and facts are the supervisor's own; a guest chooses when
 * resets come, a worker when it dies.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/restart_policy.h"

#include "proto/base/checked.h"
#include "proto/base/limits.h"

void restart_policy_started(struct restart_policy *policy, uint64_t now_ms)
{
        policy->next_start_ms = now_ms + LIMIT_RESTART_MS;
}

void restart_policy_clear(struct restart_policy *policy)
{
        policy->barren = 0;
}

/* A first death may be an accident; what could not be started is asked for again later, not at once. */
static uint64_t back_off_ms(const struct restart_policy *policy, bool existed)
{
        if (policy->barren == 1 && existed)
                return 0;
        return MIN(LIMIT_BACKOFF_MIN_MS << (MAX(policy->barren, 2u) - 2), LIMIT_BACKOFF_MAX_MS);
}

bool restart_policy_died(struct restart_policy *policy, uint64_t now_ms, bool existed, uint64_t *ret_wait_ms)
{
        uint64_t at;

        policy->barren++;
        if (policy->barren > LIMIT_BARREN_RESTARTS)
                return false;
        at = MAX(now_ms + back_off_ms(policy, existed), policy->next_start_ms);
        *ret_wait_ms = at - now_ms;
        return true;
}

uint64_t restart_policy_reset(struct restart_policy *policy, uint64_t now_ms)
{
        uint64_t turn = MAX(now_ms, policy->next_reset_ms);

        policy->next_reset_ms = turn + LIMIT_RESET_MS;
        return MAX(turn, policy->next_start_ms) - now_ms;
}
