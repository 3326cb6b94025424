/* Files by name and by descriptor, and what may be done to the device's own image.
 * Owns nothing; read by hostile_ops.c. TRUST: paths are the runner's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/checked.h"
#include "sandbox/lockdown.h"
#include "tests/hostile_worker/hostile.h"
#include "tests/hostile_worker/hostile_call.h"

#define FDS_TRIED 16

static char page[HOSTILE_PAGE];

static int64_t open_path(const char *path, int flags)
{
        return CALL(SYS_openat, AT_FDCWD, path, flags);
}

static int64_t open_shadow(struct hostile *hostile)
{
        (void)hostile;
        return open_path("/etc/shadow", O_RDONLY);
}

static int64_t open_self_mem(struct hostile *hostile)
{
        (void)hostile;
        return open_path("/proc/self/mem", O_RDWR);
}

static int64_t open_kvm(struct hostile *hostile)
{
        (void)hostile;
        return open_path("/dev/kvm", O_RDWR);
}

static int64_t open_dev_mem(struct hostile *hostile)
{
        (void)hostile;
        return open_path("/dev/mem", O_RDONLY);
}

static int64_t open_fuse(struct hostile *hostile)
{
        (void)hostile;
        return open_path("/dev/fuse", O_RDWR);
}

static int64_t open_run(struct hostile *hostile)
{
        (void)hostile;
        return open_path("/run", O_RDONLY | O_DIRECTORY);
}

static int64_t open_image(struct hostile *hostile)
{
        return open_path(hostile->command.image, O_RDWR);
}

static int64_t list_tmp(struct hostile *hostile)
{
        int64_t fd = open_path("/tmp", O_RDONLY | O_DIRECTORY);

        (void)hostile;
        return fd < 0 ? fd : CALL(SYS_getdents64, fd, page, sizeof(page));
}

static int64_t truncate_image(struct hostile *hostile)
{
        return CALL(SYS_truncate, hostile->command.image, (long)hostile->command.image_bytes);
}

/* Has any descriptor a directory above it? */
static int64_t dirfd_parent(struct hostile *hostile)
{
        int64_t r = -EBADF;

        (void)hostile;
        for (int fd = 0; fd < FDS_TRIED && r < 0; fd++)
                r = CALL(SYS_openat, fd, "..", O_RDONLY);
        return r;
}

static int64_t openat2_parent(struct hostile *hostile)
{
        uint64_t how[3] = {O_RDONLY, 0, 0};

        (void)hostile;
        return CALL(SYS_openat2, AT_FDCWD, "..", how, sizeof(how));
}

static int64_t reopen_by_proc(struct hostile *hostile)
{
        (void)hostile;
        return open_path("/proc/self/fd/0", O_RDWR);
}

static int64_t fchdir_any(struct hostile *hostile)
{
        int64_t r = -EBADF;

        (void)hostile;
        for (int fd = 0; fd < FDS_TRIED && r < 0; fd++)
                r = CALL(SYS_fchdir, fd);
        return r;
}

static int64_t chdir_up(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_chdir, "..");
}

static int64_t open_handle(struct hostile *hostile)
{
        union {
                struct file_handle handle;
                char room[sizeof(struct file_handle) + 128];
        } u = {.handle = {.handle_bytes = 128}};
        int mount_id;
        int64_t dir, r;

        (void)hostile;
        r = CALL(SYS_name_to_handle_at, AT_FDCWD, "/", &u.handle, &mount_id, 0);
        if (r < 0)
                return r;
        dir = open_path("/", O_RDONLY);
        return dir < 0 ? dir : CALL(SYS_open_by_handle_at, dir, &u.handle, O_RDONLY);
}

/* ---- of the broker, in /proc ---- */

static const char *broker_path(const struct hostile *hostile, const char *name)
{
        static char path[64];

        snprintf(path, sizeof(path), "/proc/%llu/%s", (unsigned long long)hostile->command.broker_pid, name);
        return path;
}

static int64_t broker_mem(struct hostile *hostile)
{
        int64_t fd = open_path(broker_path(hostile, "mem"), O_RDONLY);

        return fd < 0 ? fd
                      : CALL(SYS_pread64, fd, page, 8,
                             (long)(hostile->command.broker_address ^ COMMAND_RANGE_XOR));
}

static int64_t broker_fd(struct hostile *hostile)
{
        return CALL(SYS_readlinkat, AT_FDCWD, broker_path(hostile, "fd/2"), page, sizeof(page));
}

static int64_t broker_environ(struct hostile *hostile)
{
        int64_t fd = open_path(broker_path(hostile, "environ"), O_RDONLY);

        return fd < 0 ? fd : CALL(SYS_read, fd, page, sizeof(page));
}

static int64_t broker_maps(struct hostile *hostile)
{
        int64_t fd = open_path(broker_path(hostile, "maps"), O_RDONLY);

        return fd < 0 ? fd : CALL(SYS_read, fd, page, sizeof(page));
}

static int64_t broker_root(struct hostile *hostile)
{
        return open_path(broker_path(hostile, "root"), O_RDONLY | O_DIRECTORY);
}

/* ---- the image's name ---- */

static const char *second_name(const struct hostile *hostile)
{
        static char path[256];

        snprintf(path, sizeof(path), "%s.x", hostile->command.image);
        return path;
}

static int64_t image_link(struct hostile *hostile)
{
        const char *other = second_name(hostile);
        int64_t r = CALL(SYS_linkat, AT_FDCWD, hostile->command.image, AT_FDCWD, other, 0);

        return r < 0 ? r : CALL(SYS_unlinkat, AT_FDCWD, other, 0);
}

static int64_t image_rename(struct hostile *hostile)
{
        const char *other = second_name(hostile);
        int64_t r = CALL(SYS_renameat2, AT_FDCWD, hostile->command.image, AT_FDCWD, other, 0);

        return r < 0 ? r : CALL(SYS_renameat2, AT_FDCWD, other, AT_FDCWD, hostile->command.image, 0);
}

static int64_t image_symlink(struct hostile *hostile)
{
        const char *other = second_name(hostile);
        int64_t r = CALL(SYS_symlinkat, "/etc/shadow", AT_FDCWD, other);

        return r < 0 ? r : CALL(SYS_unlinkat, AT_FDCWD, other, 0);
}

static int64_t image_chmod(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_fchmod, hostile_resource, 04755);
}

static int64_t image_chown(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_fchown, hostile_resource, 0, 0);
}

/* ---- the image's bytes ---- */

/* No byte is as good as an error. */
static int64_t some(int64_t r)
{
        return r == 0 ? -ENODATA : r;
}

static int64_t read_beyond(struct hostile *hostile)
{
        return some(CALL(SYS_pread64, hostile_resource, page, 512ul, (long)hostile->command.image_bytes));
}

static int64_t read_huge(struct hostile *hostile)
{
        (void)hostile;
        return some(CALL(SYS_pread64, hostile_resource, page, 512ul, LONG_MAX));
}

static int64_t write_beyond(struct hostile *hostile)
{
        return CALL(SYS_pwrite64, hostile_resource, page, 512ul, (long)hostile->command.image_bytes);
}

static int64_t write_huge(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_pwrite64, hostile_resource, page, 512ul, LONG_MAX - 512);
}

static int64_t image_fallocate(int mode, uint64_t offset, uint64_t len)
{
        return CALL(SYS_fallocate, hostile_resource, mode, (long)offset, (long)len);
}

static int64_t image_truncate(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_ftruncate, hostile_resource, 4096ul);
}

static int64_t image_grow(struct hostile *hostile)
{
        return image_fallocate(0, 0, 2 * hostile->command.image_bytes);
}

static int64_t image_collapse(struct hostile *hostile)
{
        (void)hostile;
        return image_fallocate(FALLOC_FL_COLLAPSE_RANGE, 0, HOSTILE_PAGE);
}

static int64_t image_insert(struct hostile *hostile)
{
        (void)hostile;
        return image_fallocate(FALLOC_FL_INSERT_RANGE, 0, HOSTILE_PAGE);
}

/* Allowed as a call, for it is the discard of a good worker; beyond the end there is nothing to discard. */
static int64_t punch_beyond(struct hostile *hostile)
{
        return image_fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, hostile->command.image_bytes,
                               1u << 20);
}

static int64_t zero_beyond(struct hostile *hostile)
{
        return image_fallocate(FALLOC_FL_ZERO_RANGE, hostile->command.image_bytes, 1u << 20);
}

static int64_t image_ioctl(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_ioctl, hostile_resource, 0x5421ul /* FIONBIO */, page);
}

static int64_t image_copy_range(struct hostile *hostile)
{
        int64_t from = 0, to = HOSTILE_PAGE;

        (void)hostile;
        return CALL(SYS_copy_file_range, hostile_resource, &from, hostile_resource, &to, 512ul, 0u);
}

static int64_t image_splice(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_sendfile, WORKER_FD_CONTROL, hostile_resource, NULL, 0ul);
}

static int64_t lane_splice(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_sendfile, WORKER_FD_CONTROL, worker_fd_lane_in(0), NULL, 1ul);
}

/* Holds the pipe's lock until there is something to read. */
static int64_t control_splice(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_sendfile, worker_fd_lane_out(0), WORKER_FD_CONTROL, NULL, 1ul);
}

static int64_t image_splice_lane(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_sendfile, worker_fd_lane_out(0), hostile_resource, NULL, 0ul);
}

static int64_t ro_write(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_pwrite64, hostile_resource, page, 512ul, 0ul);
}

static int64_t ro_punch(struct hostile *hostile)
{
        (void)hostile;
        return image_fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, HOSTILE_PAGE);
}

static const struct hostile_attack rows[] = {
    {"open-shadow", open_shadow, 0},
    {"open-self-mem", open_self_mem, 0},
    {"open-kvm", open_kvm, 0},
    {"open-dev-mem", open_dev_mem, 0},
    {"open-fuse", open_fuse, 0},
    {"open-run", open_run, 0},
    {"open-image", open_image, 0},
    {"list-tmp", list_tmp, 0},
    {"truncate-by-name", truncate_image, 0},
    {"dirfd-parent", dirfd_parent, 0},
    {"openat2-parent", openat2_parent, 0},
    {"reopen-by-proc", reopen_by_proc, 0},
    {"fchdir", fchdir_any, 0},
    {"chdir-up", chdir_up, 0},
    {"open-handle", open_handle, 0},
    {"broker-mem", broker_mem, 0},
    {"broker-fd", broker_fd, 0},
    {"broker-environ", broker_environ, 0},
    {"broker-maps", broker_maps, 0},
    {"broker-root", broker_root, 0},
    {"image-link", image_link, 0},
    {"image-rename", image_rename, 0},
    {"image-symlink", image_symlink, 0},
    {"image-chmod", image_chmod, 0},
    {"image-chown", image_chown, 0},
    {"read-beyond", read_beyond, 0},
    {"read-huge", read_huge, 0},
    {"write-beyond", write_beyond, 0},
    {"write-huge", write_huge, 0},
    {"image-truncate", image_truncate, 0},
    {"image-grow", image_grow, 0},
    {"image-collapse", image_collapse, 0},
    {"image-insert", image_insert, 0},
    {"punch-beyond", punch_beyond, 0},
    {"zero-beyond", zero_beyond, 0},
    {"image-ioctl", image_ioctl, 0},
    {"image-copy-range", image_copy_range, 0},
    {"image-sendfile", image_splice, 0},
    {"image-sendfile-lane", image_splice_lane, 0},
    {"lane-sendfile", lane_splice, 0},
    {"control-sendfile", control_splice, 0},
    {"ro-write", ro_write, 0},
    {"ro-punch", ro_punch, 0},
};

const struct hostile_attacks hostile_files = {rows, array_size(rows)};
