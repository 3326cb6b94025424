/* sample: no resource at all; with a region, its memory, which is mapped before lock-down.
 * Owns nothing; read by policy_find. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/policy/rows.h"

const struct policy policy_sample = {
    .type = "sample",
    .start = {ROWS(policy_base_start), ROWS(policy_region_start)},
    .run = {ROWS(policy_base_run)},
    .max_run_calls = 8,
};
