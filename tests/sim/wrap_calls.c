/* The broker's system calls: interrupted, cut short, refused, as a kernel may do it at any moment.
 * Owns the odds; called by the broker's core through the linker's --wrap. TRUST: none. Whoever calls outside
 * a thread of the broker (the fake worker, the guest) gets the kernel's own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/wrap_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/sim/chance.h"
#include "tests/sim/fiber.h"
#include "tests/sim/trace.h"
#include "tests/sim/vthread.h"

#define SPANS 1024u /* IOV_MAX of the kernel */

ssize_t __real_send(int fd, const void *buf, size_t len, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __real_read(int fd, void *buf, size_t len);
ssize_t __real_readv(int fd, const struct iovec *iov, int n_iov);
ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __real_writev(int fd, const struct iovec *iov, int n_iov);
ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int n_iov);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n_iov);

static struct wrap_odds odds;

void wrap_calls_start(const struct wrap_odds *run_odds)
{
        odds = *run_odds;
}

/* True: the call fails before it has begun. */
static bool refused(void)
{
        if (!fiber_current())
                return false;
        vthread_pause();
        if (chance_one_in(odds.again))
                errno = EAGAIN;
        else if (chance_one_in(odds.interrupt))
                errno = EINTR;
        else
                return false;
        return true;
}

static bool cut(size_t len)
{
        return fiber_current() && len > 1 && chance_one_in(odds.short_io);
}

static size_t cut_len(size_t len)
{
        return cut(len) ? 1 + chance_below((uint32_t)(len - 1)) : len;
}

static size_t spans_len(const struct iovec *iov, size_t n_iov)
{
        size_t len = 0;

        sim_check(n_iov > 0 && n_iov <= SPANS, "a call with %zu spans, which the kernel does not take",
                  n_iov);
        for (size_t i = 0; i < n_iov; i++)
                len += iov[i].iov_len;
        return len;
}

/* The same spans with only their first bytes. Returns how many spans these are. */
static size_t cut_spans(const struct iovec *iov, size_t len, struct iovec *ret_spans)
{
        size_t n = 0;

        for (; len > 0; n++) {
                ret_spans[n] = iov[n];
                if (ret_spans[n].iov_len > len)
                        ret_spans[n].iov_len = len;
                len -= ret_spans[n].iov_len;
        }
        return n;
}

/* ---- sockets: control, and the spawner's ---- */

ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags)
{
        return refused() ? -1 : __real_send(fd, buf, cut_len(len), flags);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
        return refused() ? -1 : __real_recvmsg(fd, msg, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
        struct iovec spans[SPANS];
        struct msghdr less = *msg;
        size_t len = spans_len(msg->msg_iov, msg->msg_iovlen), kept;

        if (refused())
                return -1;
        if (msg->msg_control) /* descriptors go with whole messages */
                return __real_sendmsg(fd, msg, flags);
        kept = cut_len(len);
        if (kept == len)
                return __real_sendmsg(fd, msg, flags);
        less.msg_iov = spans;
        less.msg_iovlen = cut_spans(msg->msg_iov, kept, spans);
        return __real_sendmsg(fd, &less, flags);
}

/* ---- pipes: lanes ---- */

/* True: a pipe, of the broker's. An eventfd is none: it gives and takes all or nothing, and a refusal of it that nobody
 * can explain is a fault of the queue. */
static bool is_stream(int fd)
{
        return fiber_current() && fcntl(fd, F_GETPIPE_SZ) > 0;
}

ssize_t __wrap_readv(int fd, const struct iovec *iov, int n_iov)
{
        struct iovec spans[SPANS];
        size_t len = spans_len(iov, (size_t)n_iov), less;

        if (refused())
                return -1;
        less = cut_len(len);
        if (less == len)
                return __real_readv(fd, iov, n_iov);
        return __real_readv(fd, spans, (int)cut_spans(iov, less, spans));
}

ssize_t __wrap_writev(int fd, const struct iovec *iov, int n_iov)
{
        struct iovec spans[SPANS];
        size_t len = spans_len(iov, (size_t)n_iov), less;

        if (refused())
                return -1;
        less = cut_len(len);
        if (less == len)
                return __real_writev(fd, iov, n_iov);
        return __real_writev(fd, spans, (int)cut_spans(iov, less, spans));
}

ssize_t __wrap_read(int fd, void *buf, size_t len)
{
        if (is_stream(fd))
                return refused() ? -1 : __real_read(fd, buf, cut_len(len));
        vthread_pause();
        return __real_read(fd, buf, len);
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
        if (is_stream(fd))
                return refused() ? -1 : __real_write(fd, buf, cut_len(len));
        vthread_pause();
        return __real_write(fd, buf, len);
}
