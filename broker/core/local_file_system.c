/* The file systems whose files a guest may have under its feet.
 * Owns nothing; called by shmem_file.c, which decides, and by `bulkhead check`, which says so before the start. TRUST: a file system's
 * number is the kernel's word.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/local_file_system.h"

#include <stddef.h>

#include "proto/base/checked.h"

/* A fault on any of these ends by the host's own means: a disk that answers or fails, memory. What a disk is made of (iSCSI, a loop
 * over something else) is the operator's choice, and the worker's reads wait for it as well. */
static const struct {
        uint32_t magic;
        const char *reason;
} local_file_systems[] = {
    {0xef53, "ext2, ext3, ext4: a disk of this host"},
    {0x58465342, "xfs: a disk of this host"},
    {0x9123683e, "btrfs: disks of this host"},
    {0xf2f52010, "f2fs: flash of this host"},
    {0x2fc12fc1, "zfs: disks of this host"},
    {FILE_SYSTEM_TMPFS, "tmpfs, and memfds: memory and swap of this host"},
};

bool file_system_is_local(uint32_t magic)
{
        for (size_t i = 0; i < array_size(local_file_systems); i++)
                if (local_file_systems[i].magic == magic)
                        return true;
        return false;
}
