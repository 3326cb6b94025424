/* A file system of one file, whose server opens it and never says another word: it speaks to the kernel's FUSE itself.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

struct silent_fuse {
        int fd;   /* /dev/fuse */
        int file; /* opened with the flags asked for */
        char dir[32];
};

/* Mounts it below /tmp and opens the file, which has a size of 1 MiB. 0 or negative errno: not on this host. */
int silent_fuse_start(struct silent_fuse *fuse, int flags);

/* The opcode of the next request that waits for the server, within a deadline. 0: none does; -1 as a deadline waits for ever. */
uint32_t silent_fuse_asked(struct silent_fuse *fuse, int timeout_ms);

/* Whoever waits for it fails. */
void silent_fuse_stop(struct silent_fuse *fuse);
