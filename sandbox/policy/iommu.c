/* iommu: memory in which it writes down what its successor is to know, mapped before lock-down. All that it does is said on its
 * channels.
 * Owns nothing; read by policy_find. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>

#include "sandbox/policy/rows.h"

static const struct policy_row start[] = {
    {__NR_fcntl, .tests = {ARG_IS_RESOURCE(0, 0), ARG_IS(1, F_GET_SEALS)},
     .reason = "iommu_domain: can the memory become shorter?"},
    {__NR_mmap, .tests = {ARG_ONLY(2, PROT_READ | PROT_WRITE), ARG_IS(3, MAP_SHARED), ARG_IS_RESOURCE(4, 0)},
     .reason = "iommu_domain: what a successor is to know, in memory that the spawner keeps"},
};

static const struct policy_row run[] = {
    {__NR_clock_gettime, .tests = {ARG_IS(0, CLOCK_MONOTONIC)},
     .reason = "worker_count: counters are told every half a second at most"},
};

const struct policy policy_iommu = {
    .type = "iommu",
    .start = {ROWS(policy_base_start), ROWS(start)},
    .run = {ROWS(policy_base_run), ROWS(run)},
    .max_run_calls = 9,
};
