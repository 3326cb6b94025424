/* console: a listening socket a port, who connects to it, and the two files of its log. Owns nothing; read by policy_find.
 * TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "sandbox/policy/rows.h"

static const struct policy_row run[] = {
    {__NR_accept4, POLICY_LISTENER, .tests = {ARG_IS(1, 0), ARG_IS(2, 0), ARG_IS(3, SOCK_CLOEXEC)},
     .reason = "console_client: who has connected to a port"},
    {__NR_recvfrom, POLICY_BORN,
     .tests = {ARG_MASKED(3, ~(uint64_t)MSG_PEEK, MSG_DONTWAIT), ARG_IS(4, 0), ARG_IS(5, 0)},
     .reason = "console_client: input of a port, and is there any; no address"},
    {__NR_sendto, POLICY_BORN, .tests = {ARG_IS(3, MSG_DONTWAIT | MSG_NOSIGNAL), ARG_IS(4, 0), ARG_IS(5, 0)},
     .reason = "console_client: output of a port, to no address"},
    {__NR_close, POLICY_BORN, .reason = "console_client: who has gone, or came second"},
    {__NR_pread64, POLICY_RESOURCE, .reason = "console_log: a full log is copied to the older file"},
    {__NR_pwrite64, POLICY_RESOURCE_RW, .reason = "console_log: output, and the copy of a full log"},
    {__NR_ftruncate, POLICY_RESOURCE_RW,
     .reason = "console_log: the older file ends with the copy, and the log begins anew"},
    {__NR_clock_gettime, .tests = {ARG_IS(0, CLOCK_MONOTONIC)},
     .reason = "worker_watch and console_times: the clock, where it is a real call"},
};

const struct policy policy_console = {
    .type = "console",
    .start = {ROWS(policy_base_start)},
    .run = {ROWS(policy_base_run), ROWS(run)},
    .max_run_calls = 14,
};
