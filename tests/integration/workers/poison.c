/* Puts poison into a real disk worker: linked with --wrap, so that a written block whose first bytes are
 * a word below makes the worker die, or hang, in the middle of that request. All else is the worker as it is.
 * Owns nothing; called by blk_file.c in a worker that only tests start. TRUST: the guest's data, compared only.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define WORD_LEN 8u

static const char deadly[WORD_LEN] = "POISON!";
static const char endless[WORD_LEN] = "ENDLESS";

ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t offset);
ssize_t __real_pwritev(int fd, const struct iovec *iov, int n_iov, off_t offset);
ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int n_iov, off_t offset);

static void taste(const void *buf, size_t len)
{
        if (len >= WORD_LEN && memcmp(buf, deadly, WORD_LEN) == 0)
                __builtin_trap();
        while (len >= WORD_LEN && memcmp(buf, endless, WORD_LEN) == 0)
                __asm__ volatile("" ::: "memory");
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
        taste(buf, len);
        return __real_pwrite(fd, buf, len, offset);
}

ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int n_iov, off_t offset)
{
        for (int i = 0; i < n_iov; i++)
                taste(iov[i].iov_base, iov[i].iov_len);
        return __real_pwritev(fd, iov, n_iov, offset);
}
