/* The file systems whose files a guest may have under its feet: what comes from them, or does not, comes without anybody else's help.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define FILE_SYSTEM_TMPFS 0x01021994u

/* f_type of statfs(2). */
bool file_system_is_local(uint32_t magic);

/* Their names, for an operator. */
#define FILE_SYSTEMS_LOCAL "ext4, xfs, btrfs, f2fs, zfs or tmpfs"
