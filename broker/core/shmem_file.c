/* The judge of files that workers hand over to be mapped.
 * Owns nothing; called by shmem.c, on the main thread. TRUST: the descriptor is a worker's, the file behind it anybody's.
 *
 * How it works: nothing here may wait for whoever serves the file, and fstat and fstatfs do just that on FUSE and on NFS. So
 * what the kernel knows by itself is asked first: flags, seals, and cached attributes. Seals are of tmpfs and hugetlbfs
 * files alone. Of the others only those go on whose file system keeps the attribute "no dump": file systems of a disk do, those
 * of somebody else's server do not. Only then it is asked what it is called.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/shmem_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "broker/core/local_file_system.h"
#include "proto/base/checked.h"
#include "proto/base/limits.h"

#define NEEDED (STATX_TYPE | STATX_NLINK | STATX_INO | STATX_SIZE)

/* Of what kind is the file? `seals` < 0: it can have none. */
static int judge_kind(int fd, const struct statx *st, int seals, bool may_end)
{
        struct statfs fs;

        if (!S_ISREG(st->stx_mode) || (st->stx_mask & NEEDED) != NEEDED)
                return -EMEDIUMTYPE;
        if (seals < 0 && !(st->stx_attributes_mask & STATX_ATTR_NODUMP))
                return -EMEDIUMTYPE;
        if (fstatfs(fd, &fs) < 0)
                return -errno;
        if (!file_system_is_local((uint32_t)fs.f_type))
                return -EMEDIUMTYPE;
        /* A file that has a name is somebody's data, and its users know who may cut it short. Memory without a name is there
         * for nothing but this, and who means well can seal it. Where files may end it is a share's file that has been removed. */
        if (!may_end && (uint32_t)fs.f_type == FILE_SYSTEM_TMPFS && st->stx_nlink == 0 &&
            (seals < 0 || !(seals & F_SEAL_SHRINK)))
                return -EMEDIUMTYPE;
        return 0;
}

static int judge_rights(int flags, int seals, bool writable)
{
        bool sealed = seals >= 0 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE));
        bool can_write = (flags & O_ACCMODE) == O_RDWR && !sealed;

        if ((flags & O_ACCMODE) != O_RDWR && (flags & O_ACCMODE) != O_RDONLY)
                return -EACCES;
        return can_write == writable ? 0 : -EACCES;
}

static bool is_long_enough(const struct statx *st, uint64_t offset, uint64_t len)
{
        uint64_t end;

        if (!checked_add_u64(st->stx_size, LIMIT_SHMEM_PAGE - 1, &end))
                return false;
        return range_inside(offset, len, end & ~(uint64_t)(LIMIT_SHMEM_PAGE - 1));
}

static int judge(int fd, bool writable, bool may_end, struct statx *ret_st)
{
        int flags = fcntl(fd, F_GETFL), seals, r;

        if (flags < 0)
                return -errno;
        if (flags & O_PATH)
                return -EMEDIUMTYPE;
        if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, NEEDED, ret_st) < 0)
                return -errno;
        seals = fcntl(fd, F_GET_SEALS);
        r = judge_kind(fd, ret_st, seals, may_end);
        return r < 0 ? r : judge_rights(flags, seals, writable);
}

static struct shmem_file name_of(const struct statx *st)
{
        return (struct shmem_file){.dev = makedev(st->stx_dev_major, st->stx_dev_minor), .ino = st->stx_ino};
}

int shmem_file_judge(int fd, uint64_t offset, uint64_t len, bool writable, struct shmem_file *ret_file)
{
        struct statx st;
        int r = judge(fd, writable, false, &st);

        if (r < 0)
                return r;
        if (!is_long_enough(&st, offset, len))
                return -ENXIO;
        *ret_file = name_of(&st);
        return 0;
}

int shmem_file_judge_ending(int fd, bool writable, struct shmem_file *ret_file)
{
        struct statx st;
        int r = judge(fd, writable, true, &st);

        if (r == 0)
                *ret_file = name_of(&st);
        return r;
}
