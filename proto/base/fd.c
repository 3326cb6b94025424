/* Descriptors: flags, and their passage over Unix sockets.
 * Owns nothing of its own; called by every room that speaks over a socket or pipes.
 * TRUST: sees bytes and descriptors of any peer, judges only their count and kind.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/limits.h"

int fd_set_nonblock(int fd)
{
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        return 0;
}

int fd_stream_pair(int ret_fds[static 2])
{
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        ret_fds[0] = fds[0];
        ret_fds[1] = fds[1];
        return 0;
}

int fd_pipe_pair(struct fd_duplex ret_ends[static 2])
{
        int there[2], back[2];

        if (pipe2(there, O_CLOEXEC) < 0)
                return -errno;
        if (pipe2(back, O_CLOEXEC) < 0) {
                int r = -errno;

                close(there[0]);
                close(there[1]);
                return r;
        }
        ret_ends[0] = (struct fd_duplex){.in = back[0], .out = there[1]};
        ret_ends[1] = (struct fd_duplex){.in = there[0], .out = back[1]};
        return 0;
}

int fd_set_send_buffer(int sock, uint32_t len)
{
        int value = (int)len;

        return setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &value, sizeof(value)) < 0 ? -errno : 0;
}

void fd_duplex_close(struct fd_duplex *ends)
{
        cleanup_close(&ends->in);
        if (ends->out != ends->in)
                cleanup_close(&ends->out);
        *ends = (struct fd_duplex){-1, -1};
}

struct fd_duplex fd_duplex_take(struct fd_duplex *ends)
{
        struct fd_duplex taken = *ends;

        *ends = (struct fd_duplex){-1, -1};
        return taken;
}

static ssize_t pass_send(int sock, const struct iovec *iov, int n_iov, const int *fds, unsigned n_fds,
                         int flags)
{
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(int) * LIMIT_PASS_FDS)];
        } control = {0};
        struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n_iov};
        ssize_t n;

        if (n_fds > LIMIT_PASS_FDS)
                return -E2BIG;
        if (n_fds > 0) {
                struct cmsghdr *c;

                msg.msg_control = control.bytes;
                msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                c = CMSG_FIRSTHDR(&msg);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
        }
        do {
                n = sendmsg(sock, &msg, MSG_NOSIGNAL | flags);
        } while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

ssize_t fd_pass_send(int sock, const struct iovec *iov, int n_iov, const int *fds, unsigned n_fds)
{
        return pass_send(sock, iov, n_iov, fds, n_fds, 0);
}

ssize_t fd_pass_send_now(int sock, const struct iovec *iov, int n_iov, const int *fds, unsigned n_fds)
{
        return pass_send(sock, iov, n_iov, fds, n_fds, MSG_DONTWAIT);
}

/* Appends the descriptors of one control message; what does not fit is closed, so that nothing leaks. */
static int fd_set_append(struct fd_set_owned *fds, const struct cmsghdr *c, unsigned max_fds)
{
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        int r = 0;

        for (size_t i = 0; i < n; i++) {
                int fd;

                memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
                if (fds->n < max_fds && fds->n < array_size(fds->fds)) {
                        fds->fds[fds->n++] = fd;
                } else {
                        close(fd);
                        r = -EPROTO;
                }
        }
        return r;
}

static ssize_t pass_recv(int sock, void *buf, size_t len, struct fd_set_owned *fds, unsigned max_fds,
                         int flags)
{
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(int) * 253)];
        } control;
        struct iovec iov = {.iov_base = buf, .iov_len = len};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
        int r = 0;
        ssize_t n;

        do {
                n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | flags);
        } while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        r = -EPROTO;
                else if (fd_set_append(fds, c, max_fds) < 0)
                        r = -EPROTO;
        }
        if (r < 0 || (msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC))) {
                fd_set_close(fds);
                return -EPROTO;
        }
        return n;
}

ssize_t fd_pass_recv(int sock, void *buf, size_t len, struct fd_set_owned *fds, unsigned max_fds)
{
        return pass_recv(sock, buf, len, fds, max_fds, 0);
}

ssize_t fd_pass_recv_now(int sock, void *buf, size_t len, struct fd_set_owned *fds, unsigned max_fds)
{
        return pass_recv(sock, buf, len, fds, max_fds, MSG_DONTWAIT);
}

void fd_set_close(struct fd_set_owned *fds)
{
        for (unsigned i = 0; i < fds->n; i++)
                cleanup_close(&fds->fds[i]);
        fds->n = 0;
}

int fd_set_take(struct fd_set_owned *fds, unsigned i)
{
        return i < fds->n ? take_fd(&fds->fds[i]) : -1;
}

int fd_read_all(int fd, void *buf, size_t len)
{
        size_t done = 0;

        while (done < len) {
                ssize_t n = read(fd, (char *)buf + done, len - done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EPIPE;
                done += (size_t)n;
        }
        return 0;
}

int fd_write_all(int fd, const void *buf, size_t len)
{
        size_t done = 0;

        while (done < len) {
                ssize_t n = write(fd, (const char *)buf + done, len - done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                done += (size_t)n;
        }
        return 0;
}
