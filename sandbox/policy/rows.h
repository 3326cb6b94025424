/* What the files of sandbox/policy/ share: short words for rows, and the groups that several devices use.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/syscall.h>

#include "sandbox/policy.h"

#define ROWS(array)                                                                                          \
        {                                                                                                    \
                (array), sizeof(array) / sizeof((array)[0])                                                  \
        }

/* Argument tests. A second mask test on one argument is never needed: ONLY already pins every other bit to 0.
 */
#define ARG_IS(n, v)                                                                                         \
        {                                                                                                    \
                .arg = (n), .op = POLICY_EQ, .value = (uint64_t)(v)                                          \
        }
#define ARG_MASKED(n, m, v)                                                                                  \
        {                                                                                                    \
                .arg = (n), .op = POLICY_MASKED_EQ, .mask = (uint64_t)(m), .value = (uint64_t)(v)            \
        }
#define ARG_IS_RESOURCE(n, i)                                                                                \
        {                                                                                                    \
                .arg = (n), .op = POLICY_RESOURCE_EQ, .value = (i)                                           \
        }
/* No bit outside `bits` is set. */
#define ARG_ONLY(n, bits) ARG_MASKED(n, ~(uint64_t)(bits), 0)

#ifdef __NR_arch_prctl
#define POLICY_BASE_START_ROWS 25u
#else
#define POLICY_BASE_START_ROWS 24u
#endif
#define POLICY_FOLDER_START_ROWS 1u
#define POLICY_REGION_START_ROWS 3u
#define POLICY_MAP_RUN_ROWS      1u
#define POLICY_BASE_RUN_ROWS     8u
#ifdef __x86_64__
#define POLICY_KVM_ROWS 11u
#else
#define POLICY_KVM_ROWS 7u
#endif

extern const struct policy_row policy_base_start[POLICY_BASE_START_ROWS];
extern const struct policy_row policy_folder_start[POLICY_FOLDER_START_ROWS]; /* of who serves a folder */
extern const struct policy_row
    policy_region_start[POLICY_REGION_START_ROWS]; /* of who may have shared memory regions */
extern const struct policy_row policy_map_run[POLICY_MAP_RUN_ROWS]; /* of who has files mapped in them */
extern const struct policy_row policy_base_run[POLICY_BASE_RUN_ROWS];
extern const struct policy_row policy_kvm_run[POLICY_KVM_ROWS]; /* beside the broker's own */

extern const struct policy policy_blk;
extern const struct policy policy_blk_direct;
extern const struct policy policy_rng;
extern const struct policy policy_fs;
extern const struct policy policy_fs_read_only;
extern const struct policy policy_fs_dax;
extern const struct policy policy_fs_dax_read_only;
extern const struct policy policy_fs_owners;
extern const struct policy policy_fs_owners_read_only;
extern const struct policy policy_net;
extern const struct policy policy_console;
extern const struct policy policy_vsock;
extern const struct policy policy_vsock_proxy;
extern const struct policy policy_pmem;
extern const struct policy policy_sample;
extern const struct policy policy_iommu;
extern const struct policy policy_loader;
extern const struct policy policy_broker;
extern const struct policy policy_broker_kvm;
