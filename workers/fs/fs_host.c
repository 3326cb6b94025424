/* The host's file system.
 * Owns nothing; called by whoever has a directory's descriptor. TRUST: names are the guest's and judged by fs_req_check to be
 * one component; what lies there may be anything, and may be replaced between two calls by whoever else has the directory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452 /* since Linux 6.6; the same number everywhere */
#endif

int fs_host_open(int folder, const char *name, int flags, mode_t mode)
{
        struct open_how how = {
            .flags = (uint64_t)(unsigned)flags | O_CLOEXEC | O_NOFOLLOW,
            .mode = flags & O_CREAT ? mode : 0,
            .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
        };
        long fd;

        if (!(flags & O_PATH))
                how.flags |= O_NONBLOCK | O_NOCTTY;
        fd = syscall(SYS_openat2, folder, name, &how, sizeof(how));
        return fd < 0 ? -errno : (int)fd;
}

static struct timespec fs_time_of(const struct statx_timestamp *time)
{
        return (struct timespec){.tv_sec = time->tv_sec, .tv_nsec = time->tv_nsec};
}

static struct stat fs_stat_of(const struct statx *in)
{
        return (struct stat){
            .st_dev = makedev(in->stx_dev_major, in->stx_dev_minor),
            .st_ino = in->stx_ino,
            .st_nlink = in->stx_nlink,
            .st_mode = in->stx_mode,
            .st_uid = in->stx_uid,
            .st_gid = in->stx_gid,
            .st_rdev = makedev(in->stx_rdev_major, in->stx_rdev_minor),
            .st_size = (off_t)in->stx_size,
            .st_blksize = (blksize_t)in->stx_blksize,
            .st_blocks = (blkcnt_t)in->stx_blocks,
            .st_atim = fs_time_of(&in->stx_atime),
            .st_mtim = fs_time_of(&in->stx_mtime),
            .st_ctim = fs_time_of(&in->stx_ctime),
        };
}

/* A time before 1970 is as good as any other: it is compared, and no more. */
static uint64_t fs_born(const struct statx *in)
{
        return in->stx_mask & STATX_BTIME
                   ? (uint64_t)in->stx_btime.tv_sec * 1000000000u + in->stx_btime.tv_nsec
                   : 0;
}

int fs_host_find(int folder, const char *name, struct fs_found *ret_found)
{
        struct statx in;

        if (statx(folder, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT,
                  STATX_BASIC_STATS | STATX_BTIME, &in) < 0)
                return -errno;
        ret_found->stat = fs_stat_of(&in);
        ret_found->is =
            (struct fs_identity){.device = ret_found->stat.st_dev, .inode = in.stx_ino, .born = fs_born(&in)};
        return 0;
}

int fs_host_stat(int folder, const char *name, struct stat *ret_stat)
{
        struct fs_found found;
        int r = fs_host_find(folder, name, &found);

        if (r == 0)
                *ret_stat = found.stat;
        return r;
}

int fs_host_chmod(int fd, mode_t mode)
{
        return syscall(__NR_fchmodat2, fd, "", mode, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

int fs_host_rename(int from, const char *name, int to, const char *to_name, unsigned flags)
{
        return syscall(SYS_renameat2, from, name, to, to_name, flags) < 0 ? -errno : 0;
}
