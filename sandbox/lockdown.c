/* The second gate: the worker shuts itself in before it sees a guest byte.
 * Owns nothing afterwards; called once by the workers' runtime, linked statically. TRUST: the filter comes
 * from the spawner in a sealed memfd.
 *
 * Order: the descriptor of the filter is closed first, because Landlock needs a free one and RLIMIT_NOFILE
 * grants none beyond the list; the filter comes last, because it bars the calls of the steps before it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/lockdown.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "sandbox/landlock.h"
#include "sandbox/test_layers.h"

#define FILTER_MAX 4096u /* BPF_MAXINSNS */

static struct sock_filter filter[FILTER_MAX];

/* Fills `filter` from the memfd. Returns the number of instructions. */
static int lockdown_read(int fd)
{
        size_t len = 0;

        while (len < sizeof(filter)) {
                ssize_t n = read(fd, (char *)filter + len, sizeof(filter) - len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                len += (size_t)n;
        }
        if (len == 0 || len % sizeof(filter[0]) != 0)
                return -EINVAL;
        return (int)(len / sizeof(filter[0]));
}

int lockdown_worker(int policy_fd, int folder_fd)
{
        struct sock_fprog program = {.filter = filter};
        int r = lockdown_read(policy_fd);

        if (r < 0)
                return r;
        program.len = (unsigned short)r;
        if (close(policy_fd) < 0)
                return -errno;
        if (layer_is_on("lockdown dumpable") && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return -errno;
        r = layer_is_on("lockdown landlock") ? landlock_deny_all(-1, folder_fd) : 0;
        if (r < 0 || !layer_is_on("run filter"))
                return r;
        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}
