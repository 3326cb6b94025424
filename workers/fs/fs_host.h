/* The host's file system: the calls that are not what they seem, made so that they cannot lead out of the share. All take a
 * directory's descriptor and one name in it, or "." for the directory itself.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "workers/fs/fs_memory.h"

/* By openat2: beneath the directory, through no symbolic link, no link of /proc and no other mount. A file is never waited
 * for and never becomes a terminal. A descriptor or negative errno. */
int fs_host_open(int folder, const char *name, int flags, mode_t mode);

/* What is there. */
struct fs_found {
        struct stat stat;
        struct fs_identity is;
};

/* Of a name, not of what a symbolic link says; or of the descriptor itself, where the name is "". 0 or negative errno. */
int fs_host_find(int folder, const char *name, struct fs_found *ret_found);
int fs_host_stat(int folder, const char *name, struct stat *ret_stat);

/* Of what the descriptor is, of any kind. -ENOSYS: this kernel cannot do that without a name. */
int fs_host_chmod(int fd, mode_t mode);

/* By renameat2 always: the C library has another call where there are no flags. 0 or negative errno. */
int fs_host_rename(int from, const char *name, int to, const char *to_name, unsigned flags);
