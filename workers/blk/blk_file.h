/* The image: host calls on one descriptor of a raw file or block device. Ranges are judged by the caller.
 * Every function returns 0 or negative errno.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "workers/blk/blk_map.h"

struct blk_file {
        int fd;          /* borrowed: the resource */
        uint64_t size;   /* bytes, as of open */
        int flush_error; /* of the first flush that failed, for good: the kernel reports a lost page once */
        bool no_punch, no_zero_range; /* this file system has said so */
        struct blk_map map;           /* nothing, until blk_file_map */
};

/* Looks at the descriptor. -EINVAL: neither a regular file nor a block device. -EACCES: not opened as
 * `read_only` says. */
int blk_file_open(struct blk_file *file, int fd, bool read_only);

/* What is read often is read without a call from now on, where that can be done. */
void blk_file_map(struct blk_file *file);

/* All `len` bytes or an error. -EIO also when the image has become shorter. */
int blk_file_read(struct blk_file *file, void *buf, size_t len, uint64_t offset);
int blk_file_write(const struct blk_file *file, const void *buf, size_t len, uint64_t offset);

/* The same by one call, of `len` bytes in all. After an error, -EIO when the host has done a part only, what was
 * done is not known: do it again. */
int blk_file_readv(struct blk_file *file, const struct iovec *iov, unsigned n_iov, size_t len,
                   uint64_t offset);
int blk_file_writev(const struct blk_file *file, const struct iovec *iov, unsigned n_iov, size_t len,
                    uint64_t offset);

/* What has been written is on stable storage. Once this has failed it fails for ever: which bytes were lost
 * is not known, and a later success would hide it. */
int blk_file_flush(struct blk_file *file);

/* A hint: success where the file system cannot give space back. */
int blk_file_discard(struct blk_file *file, uint64_t offset, uint64_t len);

/* The range reads as zeros afterwards. `unmap`: its space may be given back. */
int blk_file_zero(struct blk_file *file, uint64_t offset, uint64_t len, bool unmap);
