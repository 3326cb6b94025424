/* What a file asks of those who go past the page cache.
 * Owns nothing; called by the spawner and by `bulkhead check`. TRUST: the file is the operator's; a few of its bytes
 * are read and not looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/direct_io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/checked.h"

#define DIRECT_IO_PAGE 4096u /* no file system asks for more */

/* Linux 6.1 and later, where the file system knows. -ENODATA: it does not say. */
static int direct_io_told(int fd, uint32_t *ret_bytes)
{
#ifdef STATX_DIOALIGN
        struct statx st;

        if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) < 0 || !(st.stx_mask & STATX_DIOALIGN))
                return -ENODATA;
        if (st.stx_dio_offset_align == 0 || st.stx_dio_mem_align == 0)
                return -EOPNOTSUPP;
        *ret_bytes = MAX(st.stx_dio_offset_align, st.stx_dio_mem_align);
        return 0;
#else
        (void)fd;
        (void)ret_bytes;
        return -ENODATA;
#endif
}

static int direct_io_of_device(int fd, uint32_t *ret_bytes)
{
        struct stat st;
        int bytes;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISBLK(st.st_mode))
                return -ENODATA;
        if (ioctl(fd, BLKSSZGET, &bytes) < 0 || bytes <= 0)
                return -EOPNOTSUPP;
        *ret_bytes = (uint32_t)bytes;
        return 0;
}

/* The smallest read that is not refused. */
static int direct_io_tried(int fd, uint32_t *ret_bytes)
{
        static _Alignas(DIRECT_IO_PAGE) uint8_t page[DIRECT_IO_PAGE];

        for (uint32_t bytes = 512; bytes <= DIRECT_IO_PAGE; bytes *= 2) {
                if (pread(fd, page, bytes, 0) >= 0) {
                        *ret_bytes = bytes;
                        return 0;
                }
                if (errno != EINVAL)
                        return -errno;
        }
        return -EOPNOTSUPP;
}

int direct_io_alignment(int fd, uint32_t *ret_bytes)
{
        int r = direct_io_told(fd, ret_bytes);

        if (r == -ENODATA)
                r = direct_io_of_device(fd, ret_bytes);
        return r == -ENODATA ? direct_io_tried(fd, ret_bytes) : r;
}
