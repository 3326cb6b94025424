/* The broker's system calls: interrupted, cut short, refused, as a kernel may do it at any moment.
 * Owns the odds; called by the broker's core through the linker's --wrap. TRUST: none. Whoever calls outside
 * a thread of the broker (the fake worker, the guest) gets the kernel's own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/wrap_calls.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/sim/chance.h"
#include "tests/sim/fiber.h"
#include "tests/sim/trace.h"
#include "tests/sim/vthread.h"

#define SPANS 1200u /* more than the broker hands to one call */

ssize_t __real_recv(int fd, void *buf, size_t len, int flags);
ssize_t __real_send(int fd, const void *buf, size_t len, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __real_read(int fd, void *buf, size_t len);
ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);

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

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
        return refused() ? -1 : __real_recv(fd, buf, cut_len(len), flags);
}

ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags)
{
        return refused() ? -1 : __real_send(fd, buf, cut_len(len), flags);
}

static size_t spans_len(const struct msghdr *msg)
{
        size_t len = 0;

        for (size_t i = 0; i < msg->msg_iovlen; i++)
                len += msg->msg_iov[i].iov_len;
        return len;
}

/* The same message with only its first bytes. */
static void cut_message(const struct msghdr *msg, struct iovec *spans, struct msghdr *ret_msg)
{
        size_t left = spans_len(msg), n = 0;

        sim_check(msg->msg_iovlen <= SPANS, "a call with more spans than the kernel takes");
        left = 1 + chance_below((uint32_t)(left - 1));
        for (; left > 0; n++) {
                spans[n] = msg->msg_iov[n];
                if (spans[n].iov_len > left)
                        spans[n].iov_len = left;
                left -= spans[n].iov_len;
        }
        *ret_msg = *msg;
        ret_msg->msg_iov = spans;
        ret_msg->msg_iovlen = n;
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
        struct iovec spans[SPANS];
        struct msghdr less;

        if (refused())
                return -1;
        if (msg->msg_control || !cut(spans_len(msg)))
                return __real_recvmsg(fd, msg, flags);
        cut_message(msg, spans, &less);
        return __real_recvmsg(fd, &less, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
        struct iovec spans[SPANS];
        struct msghdr less;

        if (refused())
                return -1;
        if (msg->msg_control || !cut(spans_len(msg)))
                return __real_sendmsg(fd, msg, flags);
        cut_message(msg, spans, &less);
        return __real_sendmsg(fd, &less, flags);
}

ssize_t __wrap_read(int fd, void *buf, size_t len)
{
        vthread_pause();
        return __real_read(fd, buf, len);
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
        vthread_pause();
        return __real_write(fd, buf, len);
}
