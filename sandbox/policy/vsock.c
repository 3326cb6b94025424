/* vsock: one connected socket, to the proxy; it carries frames and cannot be given descriptors, because nothing here receives any.
 * Owns nothing; read by policy_find. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "sandbox/policy/rows.h"

static const struct policy_row start[] = {
    {__NR_fcntl, POLICY_STREAM, .tests = {ARG_IS(1, F_SETFL), ARG_IS(2, O_RDWR | O_NONBLOCK)},
     .reason = "vsock_link_init: the socket to the proxy never waits"},
};

static const struct policy_row run[] = {
    {__NR_read, POLICY_STREAM, .reason = "vsock_link_receive: a frame of the proxy"},
    {__NR_writev, POLICY_STREAM,
     .reason = "vsock_link_send: a frame's head and the guest's bytes in one call"},
    {__NR_madvise, .tests = {ARG_IS(2, MADV_DONTNEED)},
     .reason = "worker_memory: what the broker has copied to is given back at rest; it is our own memory"},
    {__NR_clock_gettime, .tests = {ARG_IS(0, CLOCK_MONOTONIC)},
     .reason = "worker_watch: connections that nobody answers, where the host has no clock that can be read"},
};

const struct policy policy_vsock = {
    .type = "vsock",
    .start = {ROWS(policy_base_start), ROWS(start)},
    .run = {ROWS(policy_base_run), ROWS(run)},
    .max_run_calls = 8,
};
