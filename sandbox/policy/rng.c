/* rng: the kernel's entropy, and no resource at all.
 * Owns nothing; read by policy_find. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <sys/random.h>
#include <sys/syscall.h>

#include "sandbox/policy/rows.h"

static const struct policy_row run[] = {
    {__NR_getrandom, .tests = {ARG_IS(2, 0)}, .reason = "rng: the bytes that the guest asked for"},
};

const struct policy policy_rng = {
    .type = "rng",
    .start = {ROWS(policy_base_start)},
    .run = {ROWS(policy_base_run), ROWS(run)},
    .max_run_calls = 8,
};
