/* loader: reads the kernel and the initrd, and writes into its lane; nothing else, and neither file can be written.
 * Owns nothing; read by policy_find. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <sys/syscall.h>

#include "sandbox/policy/rows.h"

static const struct policy_row start[] = {
    {__NR_lseek, POLICY_RESOURCE,
     .reason = "loader_file: how long a file is; offsets are not used afterwards"},
};

static const struct policy_row run[] = {
    {__NR_pread64, POLICY_RESOURCE, .reason = "loader_file: headers, segments and notes of the kernel"},
    {__NR_sendfile, POLICY_LANE_OUT, .tests = {ARG_IS_RESOURCE(1, 0)},
     .reason = "link_send_file: the kernel goes to the lane without a copy of ours"},
    {__NR_sendfile, POLICY_LANE_OUT, .tests = {ARG_IS_RESOURCE(1, 1)},
     .reason = "link_send_file: the initrd goes to the lane without a copy of ours"},
};

const struct policy policy_loader = {
    .type = "loader",
    .start = {ROWS(policy_base_start), ROWS(start)},
    .run = {ROWS(policy_base_run), ROWS(run)},
    .max_run_calls = 8,
};
