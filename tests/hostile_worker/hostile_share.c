/* Ways out of a shared folder: by paths, descriptors, mounts, code, and the memory that its successor reads.
 * Owns nothing; read by hostile_ops.c. TRUST: paths are the runner's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <linux/mount.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "sandbox/lockdown.h"
#include "tests/hostile_worker/hostile.h"
#include "tests/hostile_worker/hostile_folder.h"

#define FDS_TRIED       32
#define OPENED_MOST     10000u /* twice what a worker may have */
#define STAT_FLAGS      (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT) /* as the policy has it */
#define MS_REMOUNT_BIND (32ul | 4096ul) /* sys/mount.h does not go together with linux/mount.h */
#define MOST_HANDLE     128

/* ---- out by a path ---- */

static int64_t open_outside(struct hostile *hostile)
{
        return open_free(hostile->command.image, O_RDONLY);
}

static int64_t open_climbing(struct hostile *hostile)
{
        char path[256];

        snprintf(path, sizeof(path), "../../../../../../../..%s", hostile->command.image);
        return open_free(path, O_RDONLY);
}

static int64_t open_beside(struct hostile *hostile)
{
        (void)hostile;
        return open_free("../outside/secret", O_RDONLY);
}

static int64_t open_link_absolute(struct hostile *hostile)
{
        (void)hostile;
        return open_free("link-absolute", O_RDONLY);
}

static int64_t open_link_relative(struct hostile *hostile)
{
        (void)hostile;
        return open_free("link-relative", O_RDONLY);
}

static int64_t open_proc_root(struct hostile *hostile)
{
        (void)hostile;
        return open_free("/proc/1/root/etc/passwd", O_RDONLY);
}

static int64_t open_beside_each(struct hostile *hostile)
{
        int64_t r = -EBADF;

        (void)hostile;
        for (int fd = 0; fd < FDS_TRIED && r < 0; fd++)
                r = open_with(fd, "../outside/secret", O_RDONLY);
        return r;
}

static int64_t look_at(int dir, const char *path, struct statx *ret_stat)
{
        return CALL(SYS_statx, dir, path, STAT_FLAGS, STATX_BASIC_STATS | STATX_BTIME, ret_stat);
}

/* Is what lies above any of its descriptors anything but the root? */
static int64_t stat_above_each(struct hostile *hostile)
{
        struct statx root, st;
        int64_t r = look_at(AT_FDCWD, "/", &root);

        (void)hostile;
        for (int fd = 0; fd < FDS_TRIED && r == 0; fd++)
                if (look_at(fd, "..", &st) == 0 &&
                    (st.stx_dev_major != root.stx_dev_major || st.stx_dev_minor != root.stx_dev_minor ||
                     st.stx_ino != root.stx_ino))
                        return fd;
        return r < 0 ? r : -ENOENT;
}

static int64_t create_beside(struct hostile *hostile)
{
        (void)hostile;
        return open_free("../outside/new", O_WRONLY | O_CREAT);
}

static int64_t unlink_outside(struct hostile *hostile)
{
        return CALL(SYS_unlinkat, AT_FDCWD, hostile->command.image, 0);
}

static int64_t read_link_outside(struct hostile *hostile)
{
        static char text[LIMIT_FS_LINK + 2];

        (void)hostile;
        return CALL(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", text, (long)sizeof(text));
}

static int64_t link_in(struct hostile *hostile)
{
        return unmake(CALL(SYS_linkat, AT_FDCWD, hostile->command.image, AT_FDCWD, FOLDER_NAME, 0));
}

static int64_t link_out(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_linkat, AT_FDCWD, "file", AT_FDCWD, "../outside/new", 0);
}

static int64_t rename_in(struct hostile *hostile)
{
        return CALL(SYS_renameat2, AT_FDCWD, hostile->command.image, AT_FDCWD, FOLDER_NAME, 0);
}

static int64_t rename_out(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_renameat2, AT_FDCWD, "fifo", AT_FDCWD, "../outside/new", 0);
}

/* ---- out by a descriptor ---- */

static int64_t reopen_path(struct hostile *hostile)
{
        int64_t fd = open_free("roots", O_PATH), r;
        char path[32];

        (void)hostile;
        if (fd < 0)
                return fd;
        r = open_with((int)fd, "", O_RDWR);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", (int)fd);
        return r < 0 ? open_free(path, O_RDWR) : r;
}

static int64_t link_empty(struct hostile *hostile)
{
        int64_t fd = open_free("roots", O_PATH);

        (void)hostile;
        return fd < 0 ? fd : unmake(CALL(SYS_linkat, (int)fd, "", AT_FDCWD, FOLDER_NAME, AT_EMPTY_PATH));
}

struct handle {
        struct file_handle head;
        char room[MOST_HANDLE];
};

static int64_t name_to_handle(struct hostile *hostile)
{
        struct handle handle = {.head.handle_bytes = sizeof(handle.room)};
        int mount_id;

        (void)hostile;
        return CALL(SYS_name_to_handle_at, AT_FDCWD, "file", &handle.head, &mount_id, 0);
}

/* Inode 2 is the root of many file systems. */
static int64_t open_handle_of_root(struct hostile *hostile)
{
        struct handle handle = {.head = {.handle_bytes = 8, .handle_type = 1}};

        (void)hostile;
        handle.room[0] = 2;
        return CALL(SYS_open_by_handle_at, worker_fd_resource(1, 0), &handle.head, O_RDONLY);
}

/* ---- mounts ---- */

static int64_t remount(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_mount, NULL, "/", NULL, MS_REMOUNT_BIND, NULL);
}

static int64_t set_mount_attributes(struct hostile *hostile)
{
        struct mount_attr attr = {.attr_clr = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_RDONLY};

        (void)hostile;
        return CALL(SYS_mount_setattr, AT_FDCWD, "/", 0, &attr, sizeof(attr));
}

static int64_t move_mount_away(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_move_mount, AT_FDCWD, "/", AT_FDCWD, "/", 0);
}

/* ---- code ---- */

static int64_t run_program(struct hostile *hostile)
{
        const char *argv[] = {"program", NULL};
        int64_t fd = open_free("program", O_RDONLY);

        (void)hostile;
        return fd < 0 ? fd : CALL(SYS_execveat, (int)fd, "", argv, argv + 1, AT_EMPTY_PATH);
}

static int64_t map_program(struct hostile *hostile)
{
        int64_t fd = open_free("program", O_RDONLY);

        (void)hostile;
        if (fd < 0)
                return fd;
        return CALL(SYS_mmap, NULL, HOSTILE_PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, (int)fd, 0ul) < 0
                   ? -errno
                   : 0;
}

/* ---- the memory that its successor reads ---- */

static int memory_fd(void)
{
        return worker_fd_resource(1, 1);
}

static int64_t memory_shrink(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_ftruncate, memory_fd(), 0ul);
}

static int64_t memory_grow(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_ftruncate, memory_fd(), UINT64_C(1) << 40);
}

static int64_t memory_seal(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_fcntl, memory_fd(), F_ADD_SEALS, F_SEAL_WRITE);
}

/* ---- more than its share ---- */

static int64_t open_most(struct hostile *hostile)
{
        static int fds[OPENED_MOST];
        unsigned n = 0;
        int64_t r = 0;

        (void)hostile;
        while (n < OPENED_MOST && (r = open_free("/", O_PATH)) >= 0)
                fds[n++] = (int)r;
        while (n > 0)
                syscall(SYS_close, fds[--n]);
        return r;
}

static const struct hostile_attack rows[] = {
    {"share-open-outside", open_outside, 0},
    {"share-open-climbing", open_climbing, 0},
    {"share-open-beside", open_beside, 0},
    {"share-open-link-absolute", open_link_absolute, 0},
    {"share-open-link-relative", open_link_relative, 0},
    {"share-open-proc-root", open_proc_root, 0},
    {"share-open-beside-each", open_beside_each, 0},
    {"share-stat-above-each", stat_above_each, 0},
    {"share-create-beside", create_beside, 0},
    {"share-unlink-outside", unlink_outside, 0},
    {"share-read-link", read_link_outside, 0},
    {"share-link-in", link_in, 0},
    {"share-link-out", link_out, 0},
    {"share-rename-in", rename_in, 0},
    {"share-rename-out", rename_out, 0},
    {"share-reopen-path", reopen_path, 0},
    {"share-link-empty", link_empty, 0},
    {"share-name-to-handle", name_to_handle, 0},
    {"share-open-handle", open_handle_of_root, 0},
    {"share-remount", remount, 0},
    {"share-mount-attributes", set_mount_attributes, 0},
    {"share-move-mount", move_mount_away, 0},
    {"share-run-program", run_program, 0},
    {"share-map-program", map_program, 0},
    {"share-memory-shrink", memory_shrink, 0},
    {"share-memory-grow", memory_grow, 0},
    {"share-memory-seal", memory_seal, 0},
    {"share-open-most", open_most, 0},
};

const struct hostile_attacks hostile_share = {rows, array_size(rows)};
