/* pmem: one file twice: the first is flushed, the second is handed to the broker to be mapped. It reads and writes neither.
 * Owns nothing; read by policy_find. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/policy/rows.h"

static const struct policy_row run[] = {
    {__NR_fdatasync, POLICY_RESOURCE,
     .reason = "pmem: what the guest has written there is on stable storage"},
};

const struct policy policy_pmem = {
    .type = "pmem",
    .start = {ROWS(policy_base_start), ROWS(policy_region_start)},
    .run = {ROWS(policy_base_run), ROWS(policy_map_run), ROWS(run)},
    .max_run_calls = 9,
};
