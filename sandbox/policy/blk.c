/* blk: one image, by the descriptor that the spawner opened. A read-only disk has no resource in the RW
 * class, so the rows that change it vanish from its filter. blk-direct: the same for a disk past the page cache,
 * and asynchronous transfers, which no other disk may begin. Owns nothing; read by policy_find. TRUST: sees no
 * foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <linux/falloc.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "sandbox/policy/rows.h"

static const struct policy_row start[] = {
    {__NR_lseek, POLICY_RESOURCE, .reason = "blk_file: capacity; offsets are not used afterwards"},
    {__NR_fcntl, POLICY_RESOURCE, .tests = {ARG_IS(1, F_GETFL)},
     .reason = "blk_file: was the image opened for writing?"},
};

/* Of a disk whose pages the host caches. */
static const struct policy_row map_start[] = {
    {__NR_fstatfs, POLICY_RESOURCE, .reason = "blk_map: does a hole that is read take memory?"},
    {__NR_mmap, .tests = {ARG_IS(2, PROT_READ), ARG_IS(3, MAP_PRIVATE), ARG_IS_RESOURCE(4, 0), ARG_IS(5, 0)},
     .reason = "blk_map: the image, to read what is cached of it without a call; never written so"},
    {__NR_rt_sigaction, .tests = {ARG_IS(0, SIGBUS)},
     .reason = "blk_map: an image that becomes shorter is an error, no death"},
};

static const struct policy_row run[] = {
    {__NR_pread64, POLICY_RESOURCE, .reason = "blk_file: read"},
    {__NR_pwrite64, POLICY_RESOURCE_RW, .reason = "blk_file: write"},
    {__NR_preadv, POLICY_RESOURCE, .reason = "blk_file: read several requests that are adjacent"},
    {__NR_pwritev, POLICY_RESOURCE_RW, .reason = "blk_file: write several requests that are adjacent"},
    {__NR_fdatasync, POLICY_RESOURCE, .reason = "blk_file: flush; changes nothing on a read-only disk"},
    {__NR_fallocate, POLICY_RESOURCE_RW, .tests = {ARG_IS(1, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)},
     .reason = "blk_file: discard, and write-zeroes that may unmap; the size cannot change"},
    {__NR_fallocate, POLICY_RESOURCE_RW, .tests = {ARG_IS(1, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)},
     .reason = "blk_file: write-zeroes; the size cannot change"},
    {__NR_madvise, .tests = {ARG_IS(2, MADV_DONTNEED)},
     .reason = "worker_memory, blk_map: pages of our own memory and mapping are given back at rest"},
};

const struct policy policy_blk = {
    .type = "blk",
    .start = {ROWS(policy_base_start), ROWS(start), ROWS(map_start)},
    .run = {ROWS(policy_base_run), ROWS(run)},
    .max_run_calls = 13,
};

/* What a transfer does stands in memory, where no filter can judge it: it can read and write what the worker's
 * descriptors allow it to, not more. */
static const struct policy_row direct_start[] = {
    {__NR_io_setup, .tests = {ARG_IS(0, 256)},
     .reason = "aio_calls: the only context, of 256 transfers, made before lock-down"},
};

static const struct policy_row direct_run[] = {
    {__NR_io_submit, .tests = {ARG_ONLY(1, 63)},
     .reason = "aio_calls: begin at most 63 transfers between the image and our memory"},
    {__NR_io_getevents, .tests = {ARG_ONLY(1, 1), ARG_IS(2, 64), ARG_IS(4, 0)},
     .reason = "aio_calls: take what is done, or wait for one"},
    {__NR_read, POLICY_EVENT, .reason = "blk_direct: the eventfd that transfers signal when they are done"},
};

const struct policy policy_blk_direct = {
    .type = "blk-direct",
    .start = {ROWS(policy_base_start), ROWS(start), ROWS(direct_start)},
    .run = {ROWS(policy_base_run), ROWS(run), ROWS(direct_run)},
    .max_run_calls = 15,
};
