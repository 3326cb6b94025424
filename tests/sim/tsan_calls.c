/* Guest memory is what a guest makes of it: two lanes may use the same bytes one after the other, and what
 * orders them is the guest, which the thread sanitizer cannot see. So the two calls that let bytes land in it
 * or take them out of it do not count as accesses; everything else in the process does.
 * Owns nothing; called by the broker's core through the linker's --wrap. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <sys/uio.h>

/* Of the sanitizer's run-time library. */
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);

ssize_t __real_readv(int fd, const struct iovec *iov, int n_iov);
ssize_t __real_writev(int fd, const struct iovec *iov, int n_iov);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int n_iov);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n_iov);

ssize_t __wrap_readv(int fd, const struct iovec *iov, int n_iov)
{
        ssize_t n;

        AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
        n = __real_readv(fd, iov, n_iov);
        AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
        return n;
}

ssize_t __wrap_writev(int fd, const struct iovec *iov, int n_iov)
{
        ssize_t n;

        AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
        n = __real_writev(fd, iov, n_iov);
        AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
        return n;
}
