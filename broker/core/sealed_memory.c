/* Memory of the broker's own that others map too.
 * Owns nothing afterwards: the descriptor is the caller's. Called by shmem.c, at each reset of a device that has such a region,
 * and by the KVM front end, for a VM's RAM and for zeros.
 * TRUST: sees no foreign bytes; the length is the configuration's. Who is handed the descriptor cannot take a page away under
 * us, nor keep us from writing (F_SEAL_SEAL: seals of his would be for ever, too).
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/sealed_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/limits.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u /* Linux 6.3 */
#endif

static int memory_create(const char *name)
{
        int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

        if (fd < 0 && errno == EINVAL) /* an older kernel: no mapping of ours is executable anyway */
                fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        return fd < 0 ? -errno : fd;
}

int sealed_memory_open(const char *name, uint64_t len, int *ret_fd)
{
        _cleanup_close_ int fd = -1;

        if (len == 0 || len % LIMIT_SHMEM_PAGE != 0 || len > (uint64_t)INT64_MAX)
                return -EINVAL;
        fd = memory_create(name);
        if (fd < 0)
                return fd;
        if (ftruncate(fd, (off_t)len) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                return -errno;
        *ret_fd = take_fd(&fd);
        return 0;
}
