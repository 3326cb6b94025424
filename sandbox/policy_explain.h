/* What was wrong with a call that a policy has killed, in words for a person.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/spawn.h"
#include "sandbox/policy.h"

/* Completes *cause, whose call and gate are known: the call's name, and how far it was from the policy. */
void policy_explain(const struct policy *policy, struct spawn_cause *cause);
