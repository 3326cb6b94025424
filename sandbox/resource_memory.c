/* Memory that a device's workers leave each other.
 * Owns nothing; called by the types that have some. TRUST: what will be in it is one worker's word to the next, and never read here.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "sandbox/resource.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

int resources_add_memory(struct resources *held, const char *name, uint64_t len, char *why, size_t why_size)
{
        _cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

        if (fd < 0 && errno == EINVAL)
                fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0 || ftruncate(fd, (off_t)len) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
                snprintf(why, why_size, "no memory for what its workers leave each other: %s",
                         strerror(errno));
                return -errno;
        }
        return resources_add(held, RESOURCE_MEMORY, &fd, false);
}
