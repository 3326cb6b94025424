/* The image: host calls on one descriptor.
 * Borrows the descriptor; called by blk.c. TRUST: offsets and lengths are judged; the file is the host's and
 * may shrink, fill up or fail at any time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/blk/blk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"

#define BLK_FILE_ZEROES 65536u /* bytes of zeros written at once where the file system cannot do it */

/* Should the call that has just failed with `errno` be made again? *tries counts over one transfer. */
static bool blk_file_again(unsigned *tries)
{
        return errno == EINTR && (*tries)++ < LIMIT_IO_RETRIES;
}

static int blk_file_size(int fd, uint64_t *ret_size)
{
        struct stat st;
        off_t end;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISREG(st.st_mode)) {
                *ret_size = (uint64_t)st.st_size;
                return 0;
        }
        if (!S_ISBLK(st.st_mode))
                return -EINVAL;
        end = lseek(fd, 0, SEEK_END);
        if (end < 0)
                return -errno;
        *ret_size = (uint64_t)end;
        return 0;
}

int blk_file_open(struct blk_file *file, int fd, bool read_only)
{
        int flags = fcntl(fd, F_GETFL);
        uint64_t size;
        int r;

        if (flags < 0)
                return -errno;
        if ((flags & O_ACCMODE) != (read_only ? O_RDONLY : O_RDWR))
                return -EACCES;
        r = blk_file_size(fd, &size);
        if (r < 0)
                return r;
        *file = (struct blk_file){.fd = fd, .size = size};
        return 0;
}

void blk_file_map(struct blk_file *file)
{
        blk_map_open(&file->map, file->fd, file->size);
}

static int blk_file_pread(const struct blk_file *file, void *buf, size_t len, uint64_t offset)
{
        unsigned tries = 0;
        size_t done = 0;

        while (done < len) {
                ssize_t n = pread(file->fd, (char *)buf + done, len - done, (off_t)(offset + done));

                if (n > 0)
                        done += (size_t)n;
                else if (n == 0)
                        return -EIO;
                else if (!blk_file_again(&tries))
                        return -errno;
        }
        return 0;
}

int blk_file_read(struct blk_file *file, void *buf, size_t len, uint64_t offset)
{
        const struct iovec all = {.iov_base = buf, .iov_len = len};
        int r;

        if (blk_map_read(&file->map, &all, 1, len, offset))
                return 0;
        r = blk_file_pread(file, buf, len, offset);
        if (r == 0)
                blk_map_warm(&file->map, len, offset);
        return r;
}

int blk_file_write(const struct blk_file *file, const void *buf, size_t len, uint64_t offset)
{
        unsigned tries = 0;
        size_t done = 0;

        while (done < len) {
                ssize_t n = pwrite(file->fd, (const char *)buf + done, len - done, (off_t)(offset + done));

                if (n > 0)
                        done += (size_t)n;
                else if (n == 0)
                        return -EIO;
                else if (!blk_file_again(&tries))
                        return -errno;
        }
        return 0;
}

static int blk_file_whole(ssize_t n, size_t len)
{
        if (n < 0)
                return -errno;
        return (size_t)n == len ? 0 : -EIO;
}

int blk_file_readv(struct blk_file *file, const struct iovec *iov, unsigned n_iov, size_t len,
                   uint64_t offset)
{
        int r;

        if (blk_map_read(&file->map, iov, n_iov, len, offset))
                return 0;
        r = blk_file_whole(preadv(file->fd, iov, (int)n_iov, (off_t)offset), len);
        if (r == 0)
                blk_map_warm(&file->map, len, offset);
        return r;
}

int blk_file_writev(const struct blk_file *file, const struct iovec *iov, unsigned n_iov, size_t len,
                    uint64_t offset)
{
        return blk_file_whole(pwritev(file->fd, iov, (int)n_iov, (off_t)offset), len);
}

int blk_file_flush(struct blk_file *file)
{
        unsigned tries = 0;

        if (file->flush_error < 0)
                return file->flush_error;
        while (fdatasync(file->fd) < 0)
                if (!blk_file_again(&tries))
                        return file->flush_error = -errno;
        return 0;
}

/* -EOPNOTSUPP once is -EOPNOTSUPP for ever (*missing). */
static int blk_file_fallocate(const struct blk_file *file, int mode, uint64_t offset, uint64_t len,
                              bool *missing)
{
        unsigned tries = 0;

        if (*missing)
                return -EOPNOTSUPP;
        while (fallocate(file->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) < 0) {
                if (blk_file_again(&tries))
                        continue;
                if (errno != EOPNOTSUPP && errno != ENODEV)
                        return -errno;
                *missing = true;
                return -EOPNOTSUPP;
        }
        return 0;
}

static int blk_file_punch(struct blk_file *file, uint64_t offset, uint64_t len)
{
        blk_map_punched(&file->map);
        return blk_file_fallocate(file, FALLOC_FL_PUNCH_HOLE, offset, len, &file->no_punch);
}

static int blk_file_write_zeroes(const struct blk_file *file, uint64_t offset, uint64_t len)
{
        static const uint8_t zeroes[BLK_FILE_ZEROES];

        for (uint64_t done = 0; done < len;) {
                size_t n = (size_t)MIN(len - done, (uint64_t)sizeof(zeroes));
                int r = blk_file_write(file, zeroes, n, offset + done);

                if (r < 0)
                        return r;
                done += n;
        }
        return 0;
}

int blk_file_discard(struct blk_file *file, uint64_t offset, uint64_t len)
{
        int r = len > 0 ? blk_file_punch(file, offset, len) : 0;

        return r == -EOPNOTSUPP ? 0 : r;
}

int blk_file_zero(struct blk_file *file, uint64_t offset, uint64_t len, bool unmap)
{
        int r = -EOPNOTSUPP;

        if (len == 0)
                return 0;
        if (unmap)
                r = blk_file_punch(file, offset, len);
        if (r == -EOPNOTSUPP)
                r = blk_file_fallocate(file, FALLOC_FL_ZERO_RANGE, offset, len, &file->no_zero_range);
        return r == -EOPNOTSUPP ? blk_file_write_zeroes(file, offset, len) : r;
}
