/* The files behind a VM's RAM.
 * Owns nothing afterwards: the descriptor is the caller's. Called by vm.c before the VM has run.
 * TRUST: the length is the layout's. What is made here cannot be changed in size by anyone, so that no later access
 * has to fear a missing page.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/ram.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "proto/base/cleanup.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u /* Linux 6.3 */
#endif

static int memfd_open(const char *name)
{
        int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

        if (fd < 0 &&
            errno == EINVAL) /* a kernel that does not know it yet: the mapping is never executable anyway */
                fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        return fd < 0 ? -errno : fd;
}

int kvm_ram_open(const char *name, uint64_t len, int *ret_fd)
{
        _cleanup_close_ int fd = memfd_open(name);

        if (fd < 0)
                return fd;
        if (len > (uint64_t)INT64_MAX)
                return -EFBIG;
        if (ftruncate(fd, (off_t)len) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                return -errno;
        *ret_fd = take_fd(&fd);
        return 0;
}
