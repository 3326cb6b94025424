/* blk: one image, by the descriptor that the spawner opened. A read-only disk has no resource in the RW
 * class, so the rows that change it vanish from its filter. Owns nothing; read by policy_find. TRUST: sees no
 * foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <linux/falloc.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "sandbox/policy/rows.h"

static const struct policy_row start[] = {
    {__NR_lseek, POLICY_RESOURCE, .reason = "blk_file: capacity; offsets are not used afterwards"},
    {__NR_fcntl, POLICY_RESOURCE, .tests = {ARG_IS(1, F_GETFL)},
     .reason = "blk_file: was the image opened for writing?"},
};

static const struct policy_row run[] = {
    {__NR_pread64, POLICY_RESOURCE, .reason = "blk_file: read"},
    {__NR_sendfile, POLICY_LANE, .tests = {ARG_IS_RESOURCE(1, 0)},
     .reason = "link_send_file: a long read goes from the image to the lane without a copy of ours"},
    {__NR_pwrite64, POLICY_RESOURCE_RW, .reason = "blk_file: write"},
    {__NR_preadv, POLICY_RESOURCE, .reason = "blk_file: read several requests that are adjacent"},
    {__NR_pwritev, POLICY_RESOURCE_RW, .reason = "blk_file: write several requests that are adjacent"},
    {__NR_fdatasync, POLICY_RESOURCE, .reason = "blk_file: flush; changes nothing on a read-only disk"},
    {__NR_fallocate, POLICY_RESOURCE_RW, .tests = {ARG_IS(1, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)},
     .reason = "blk_file: discard, and write-zeroes that may unmap; the size cannot change"},
    {__NR_fallocate, POLICY_RESOURCE_RW, .tests = {ARG_IS(1, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)},
     .reason = "blk_file: write-zeroes; the size cannot change"},
};

const struct policy policy_blk = {
    .type = "blk",
    .start = {ROWS(policy_base_start), ROWS(start)},
    .run = {ROWS(policy_base_run), ROWS(run)},
    .max_run_calls = 14,
};
