/* The kernel or the initrd: host calls.
 * Owns nothing: the descriptors are the process's. Called by loader.c and load_*.c. TRUST: what it reads is of a file that
 * anybody may have made, and that may change meanwhile.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/loader/loader_file.h"

#include <errno.h>
#include <unistd.h>

#include "proto/base/limits.h"

int loader_file_open(int fd, struct loader_file *ret_file)
{
        off_t end = lseek(fd, 0, SEEK_END);

        if (end < 0)
                return -errno;
        *ret_file = (struct loader_file){.fd = fd, .size = (uint64_t)end};
        return 0;
}

int loader_file_read(const struct loader_file *file, uint64_t at, void *bytes, size_t len)
{
        unsigned retries = 0;
        size_t done = 0;

        while (done < len) {
                ssize_t n = pread(file->fd, (uint8_t *)bytes + done, len - done, (off_t)(at + done));

                if (n < 0 && errno == EINTR && retries++ < LIMIT_IO_RETRIES)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EIO;
                done += (size_t)n;
        }
        return 0;
}
