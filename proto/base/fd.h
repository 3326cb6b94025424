/* Descriptors: flags, and their passage over Unix sockets. All functions return 0 or a count, or negative
 * errno.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* A set of received descriptors. Its owner closes what nobody has taken. */
struct fd_set_owned {
        int fds[253]; /* SCM_MAX_FD: the kernel passes no more in one message */
        unsigned n;
};

int fd_set_nonblock(int fd);

/* One end of a connection: what is read from and what is written to. Of a socket they are one number. -1: none. */
struct fd_duplex {
        int in, out;
};

/* SOCK_STREAM pair, both ends CLOEXEC and blocking. */
int fd_stream_pair(int ret_fds[static 2]);

/* Two pipes, one each way, CLOEXEC and blocking. */
int fd_pipe_pair(struct fd_duplex ret_ends[static 2]);

/* What may be on its way from this socket: as much as asked for, or as the host lets a socket have
 * (net.core.wmem_max). More than the default keeps both sides of a long transfer at work. 0 or negative errno. */
int fd_set_send_buffer(int sock, uint32_t len);

void fd_duplex_close(struct fd_duplex *ends);

/* Leaves none. */
struct fd_duplex fd_duplex_take(struct fd_duplex *ends);

/* One sendmsg with at most LIMIT_PASS_FDS descriptors on its first byte. MSG_NOSIGNAL. The caller keeps
 * its descriptors. Returns bytes sent. */
ssize_t fd_pass_send(int sock, const struct iovec *iov, int n_iov, const int *fds, unsigned n_fds);

/* The same for a socket whose open file a peer shares: it never waits, whatever O_NONBLOCK says, which the peer can clear. */
ssize_t fd_pass_send_now(int sock, const struct iovec *iov, int n_iov, const int *fds, unsigned n_fds);

/* One recvmsg of at most `len` bytes; descriptors are appended to *fds, CLOEXEC, and are the caller's.
 * Returns bytes received, 0 at end of file. -EPROTO: control data was cut or of another kind, or more than
 * `max_fds` came in all; every descriptor of *fds is then closed and n is 0. */
ssize_t fd_pass_recv(int sock, void *buf, size_t len, struct fd_set_owned *fds, unsigned max_fds);

/* The same for a socket whose open file a peer shares: it never waits, whatever O_NONBLOCK says, which the peer
 * can clear. */
ssize_t fd_pass_recv_now(int sock, void *buf, size_t len, struct fd_set_owned *fds, unsigned max_fds);

void fd_set_close(struct fd_set_owned *fds);

/* Takes descriptor i out of the set (its slot becomes -1); -1 when there is none. */
int fd_set_take(struct fd_set_owned *fds, unsigned i);

/* Blocking helpers for start-up and tools: all of it or an error (-EPIPE at end of file).
 * EINTR is retried. */
int fd_read_all(int fd, void *buf, size_t len);
int fd_write_all(int fd, const void *buf, size_t len);
