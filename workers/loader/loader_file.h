/* The kernel or the initrd: an open descriptor.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct loader_file {
        int fd; /* -1: none */
        uint64_t size;
};

/* How long it is. 0 or negative errno. */
int loader_file_open(int fd, struct loader_file *ret_file);

/* Bytes [at, at + len) of the file, which is as long: it may have become shorter. 0, or negative errno; -EIO: it has. */
int loader_file_read(const struct loader_file *file, uint64_t at, void *bytes, size_t len);
