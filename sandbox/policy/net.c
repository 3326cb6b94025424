/* net: frames by a tap or a stream socket, and a capture file where one is wanted. A kind of descriptor that the
 * configuration does not lead to has no row. Neither a descriptor nor an address can be sent or received: there is no
 * sendmsg, no recvmsg, and no ioctl that would change the tap.
 * Owns nothing; read by policy_find. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "sandbox/policy/rows.h"

static const struct policy_row start[] = {
    {__NR_getsockopt, POLICY_STREAM, .tests = {ARG_IS(1, SOL_SOCKET), ARG_IS(2, SO_SNDBUF)},
     .reason = "net_stream: is there room for a frame that is to be taken whole?"},
    {__NR_pread64, POLICY_RESOURCE, .reason = "net_pcap: where the last whole frame of a predecessor ends"},
    {__NR_ftruncate, POLICY_RESOURCE_RW, .reason = "net_pcap: cut off the frame that a predecessor died in"},
    {__NR_pwrite64, POLICY_RESOURCE_RW, .reason = "net_pcap: the head of an empty file"},
};

static const struct policy_row run[] = {
    {__NR_read, POLICY_TAP, .reason = "net_tap: a frame of the host's"},
    {__NR_writev, POLICY_TAP, .reason = "net_tap: a frame of the guest's, behind its header"},
    {__NR_recvfrom, POLICY_STREAM,
     .tests = {ARG_ONLY(3, MSG_PEEK | MSG_DONTWAIT), ARG_IS(4, 0), ARG_IS(5, 0)},
     .reason = "net_stream: look at frames, take out whole ones"},
    {__NR_writev, POLICY_STREAM, .reason = "net_stream: frames of the guest's, behind their lengths"},
    {__NR_shutdown, POLICY_STREAM, .tests = {ARG_IS(1, SHUT_RDWR)},
     .reason = "net_stream: a stream that is out of step is not for a successor"},
    {__NR_write, POLICY_STREAM, .reason = "net_stream: the rest of a burst that was not taken whole"},
    {__NR_pwritev, POLICY_RESOURCE_RW, .reason = "net_pcap: a frame for the capture file"},
    {__NR_clock_gettime, .tests = {ARG_IS(0, CLOCK_MONOTONIC)},
     .reason = "net_clock: a real call where a host has no clock that a process can read"},
    {__NR_clock_gettime, .tests = {ARG_IS(0, CLOCK_REALTIME)}, .reason = "net_pcap: when a frame passed"},
    {__NR_madvise, .tests = {ARG_IS(2, MADV_DONTNEED)},
     .reason = "worker_memory: what the broker has copied to is given back at rest; it is our own memory"},
};

const struct policy policy_net = {
    .type = "net",
    .start = {ROWS(policy_base_start), ROWS(start)},
    .run = {ROWS(policy_base_run), ROWS(run)},
    .max_run_calls = 13,
};
