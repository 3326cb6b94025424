/* vsock-proxy: makes and takes Unix sockets in the one directory that it can reach. Which descriptors those are no filter can
 * know; beside them it has epoll, its listeners and the socket to the worker. It has no channel to the broker.
 * Owns nothing; read by policy_find. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#include "sandbox/policy/rows.h"

#define NONBLOCK_SOCKET (SOCK_NONBLOCK | SOCK_CLOEXEC)
#define ADDRESS_LEN     sizeof(struct sockaddr_un)
#define ANY_NUMBER      ARG_ONLY(0, 4095) /* of a descriptor; more than RLIMIT_NOFILE allows */

static const struct policy_row start[] = {
    {__NR_fchdir, POLICY_FOLDER, .reason = "proxy_enter: names are those of this directory"},
    {__NR_close, POLICY_FOLDER, .reason = "proxy_enter: the directory is the current one from there on"},
    {__NR_fcntl, POLICY_STREAM, .tests = {ARG_IS(1, F_SETFL), ARG_IS(2, O_RDWR | O_NONBLOCK)},
     .reason = "proxy_init: the socket to the worker never waits"},
    {__NR_epoll_create1, .tests = {ARG_IS(0, EPOLL_CLOEXEC)},
     .reason = "proxy_init: the one that the loop waits for"},
    {__NR_umask, .reason = "proxy_enter: who may enter the directory may connect"},
    {__NR_bind, .tests = {ARG_IS(2, ADDRESS_LEN)},
     .reason = "proxy_bind: the two sockets that clients connect to"},
    {__NR_listen, .reason = "proxy_listen: the two sockets that clients connect to"},
#ifdef __NR_unlink
    {__NR_unlink, .reason = "proxy_remove_stale: the socket of a dead proxy"},
#else
    {__NR_unlinkat, .tests = {ARG_IS(2, 0)}, .reason = "proxy_remove_stale: the socket of a dead proxy"},
#endif
};

static const struct policy_row run[] = {
    {__NR_epoll_pwait, .tests = {ARG_IS(4, 0)}, .reason = "proxy_turn: waits for everything"},
    {__NR_epoll_ctl, .reason = "proxy_watch: each new socket"},
    {__NR_accept4, .tests = {ARG_IS(1, 0), ARG_IS(2, 0), ARG_IS(3, NONBLOCK_SOCKET)},
     .reason = "proxy_listener_ready: a client"},
    {__NR_socket, .tests = {ARG_IS(0, AF_UNIX), ARG_IS(1, SOCK_STREAM | NONBLOCK_SOCKET), ARG_IS(2, 0)},
     .reason = "proxy_stream_open: for a connection of the guest"},
    {__NR_socket, .tests = {ARG_IS(0, AF_UNIX), ARG_IS(1, SOCK_SEQPACKET | NONBLOCK_SOCKET), ARG_IS(2, 0)},
     .reason = "proxy_stream_open: for one that keeps messages apart"},
    {__NR_connect, .tests = {ARG_IS(2, ADDRESS_LEN)}, .reason = "stream_connect: to a name in the directory"},
    {__NR_read, .tests = {ANY_NUMBER}, .reason = "proxy_worker_receive: a frame of the worker"},
    {__NR_recvfrom, .tests = {ARG_ONLY(3, MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC), ARG_IS(4, 0), ARG_IS(5, 0)},
     .reason = "stream_read, client_read: a host program's bytes; it cannot take descriptors"},
    {__NR_ioctl, .tests = {ANY_NUMBER, ARG_IS(1, FIONREAD)},
     .reason = "stream_has_more: an empty message is not the end; only a number comes back"},
    {__NR_write, .tests = {ANY_NUMBER}, .reason = "worker_write: a frame; and log lines"},
    {__NR_writev, .tests = {ANY_NUMBER},
     .reason = "stream_write: the guest's bytes to a host program; it cannot give descriptors"},
    {__NR_shutdown, .reason = "stream_pass_shut: the guest sends, or takes, no more"},
    {__NR_close, .tests = {ANY_NUMBER}, .reason = "stream_close, client_close: connections that have ended"},
    {__NR_clock_gettime, .tests = {ARG_IS(0, CLOCK_MONOTONIC)},
     .reason = "proxy_now_ms: who has waited too long, where the host has no clock that can be read"},
    {__NR_exit_group, .reason = "the end: the worker's socket is closed by all who had it"},
};

const struct policy policy_vsock_proxy = {
    .type = "vsock-proxy",
    .start = {ROWS(policy_base_start), ROWS(start)},
    .run = {ROWS(run)},
    .max_run_calls = 15,
};
