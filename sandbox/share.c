/* Mounts of folders for workers that serve one.
 * Owns nothing; called by the spawner at its start, as root or as root of its own namespace, and by the jail's child. TRUST: the
 * folder is the operator's; what lies in it is anybody's and is not looked at.
 *
 * How it works: an exchange of ids needs CAP_SYS_ADMIN where the file system was mounted, so it is made at the start, before the
 * spawner gives that up; and the mount must hang somewhere in the spawner's tree, or no child's copy of the tree has it. A child
 * finds its copy by its working directory, which the kernel moves along with the tree: no path has to be walked, which the
 * worker's uid might not be able to. There it becomes the root.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/share.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"

/* sys/mount.h has these, but does not go together with linux/mount.h. */
#define PROPAGATION_PRIVATE (1u << 18)
#define PROPAGATION_SLAVE   (1u << 19)
#define UMOUNT_DETACH       2

#define SHARE_PATH       4096 /* PATH_MAX: of a path or a link's target */
#define SHARE_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

static int explain(int r, const char *path, const char *what, char *why, size_t why_size)
{
        snprintf(why, why_size, "%s: %s (%s)", path, what, strerror(-r));
        return r;
}

static int set_attributes(int mount_fd, struct mount_attr *attr)
{
        return syscall(SYS_mount_setattr, mount_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, attr, sizeof(*attr)) < 0
                   ? -errno
                   : 0;
}

/* ---- at the start ---- */

static int make_tmpfs(int *ret_fd)
{
        _cleanup_close_ int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
        int fd;

        if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "mode", "0700", 0) < 0 ||
            syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return -errno;
        fd = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC,
                          MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

int share_init(const char *dir, char *why, size_t why_size)
{
        struct mount_attr slave = {.propagation = PROPAGATION_SLAVE};
        _cleanup_close_ int tmpfs = -1;
        int r;

        if (unshare(CLONE_NEWNS) < 0 ||
            syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &slave, sizeof(slave)) < 0)
                return explain(-errno, dir, "no mount namespace can be had to mount folders in", why,
                               why_size);
        if (mkdir(dir, 0700) < 0 && errno != EEXIST)
                return explain(-errno, dir, "the place for mounts of folders cannot be made", why, why_size);
        r = make_tmpfs(&tmpfs);
        if (r == 0 && syscall(SYS_move_mount, tmpfs, "", AT_FDCWD, dir, MOVE_MOUNT_F_EMPTY_PATH) < 0)
                r = -errno;
        return r < 0 ? explain(r, dir, "nothing can be mounted there", why, why_size) : 0;
}

static int write_map(pid_t pid, const char *name, uint32_t inside, uint32_t outside, uint32_t count)
{
        _cleanup_close_ int fd = -1;
        char path[64], text[64];

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        snprintf(text, sizeof(text), "%u %u %u\n", inside, outside, count);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

static int map_child(pid_t pid, const struct share_ids *ids, int *ret_fd)
{
        char path[64];
        uint32_t count = MAX(ids->count, 1u);
        int fd, r = write_map(pid, "gid_map", ids->owner_gid, ids->gid, count);

        if (r == 0)
                r = write_map(pid, "uid_map", ids->owner_uid, ids->uid, count);
        if (r < 0)
                return r;
        snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

/* A user namespace that says who is whom. It lives as long as the mount. */
static int make_id_map(const struct share_ids *ids, int *ret_fd)
{
        const pid_t parent = getpid();
        pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
        int r;

        if (pid < 0)
                return -errno;
        if (pid == 0) {
                /* Or it would stay for ever if we are killed now. */
                if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
                        _exit(1);
                for (;;)
                        pause();
        }
        r = map_child(pid, ids, ret_fd);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return r;
}

/* 1: done. 0: this kernel, file system or mode has no such thing. */
static int exchange_ids(int mount_fd, const struct share_ids *ids)
{
        struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP};
        _cleanup_close_ int map = -1;
        int r;

        if (ids->count == 0 && ids->owner_uid == ids->uid && ids->owner_gid == ids->gid)
                return 1; /* a range that stays what it is shuts out all others all the same */
        r = make_id_map(ids, &map);
        if (r < 0)
                return r == -EPERM ? 0 : r;
        attr.userns_fd = (unsigned)map;
        r = (int)syscall(SYS_mount_setattr, mount_fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? -errno
                                                                                                  : 0;
        return r == 0 ? 1 : r == -EINVAL || r == -EPERM || r == -EOPNOTSUPP ? 0 : r;
}

/* Of the folder alone; with what is mounted below it only where that is locked to it, that is to a plain user. */
static int clone_tree(const char *path, int *ret_fd)
{
        unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
        int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, flags);

        if (fd < 0 && errno == EINVAL)
                fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, flags | AT_RECURSIVE);
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

static int hang_up(int mount_fd, const char *dir, const char *name)
{
        char place[4096 + 64];

        if ((size_t)snprintf(place, sizeof(place), "%s/%s", dir, name) >= sizeof(place))
                return -ENAMETOOLONG;
        if (mkdir(place, 0700) < 0)
                return -errno;
        return syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno
                                                                                                   : 0;
}

int share_mount(const char *path, const char *dir, const char *name, bool read_only,
                const struct share_ids *ids, int *ret_fd, bool *ret_mapped, char *why, size_t why_size)
{
        struct mount_attr attr = {.attr_set = SHARE_ATTRIBUTES | (read_only ? MOUNT_ATTR_RDONLY : 0)};
        _cleanup_close_ int fd = -1;
        bool mapped;
        int r = clone_tree(path, &fd);

        if (r < 0)
                return explain(r, path, "the folder cannot be mounted for its worker", why, why_size);
        r = exchange_ids(fd, ids);
        if (r < 0)
                return explain(r, path, "its owner cannot be made the worker", why, why_size);
        mapped = r == 1;
        r = set_attributes(fd, &attr);
        if (r == 0)
                r = hang_up(fd, dir, name);
        if (r < 0)
                return explain(r, path, "the folder cannot be mounted for its worker", why, why_size);
        *ret_mapped = mapped;
        *ret_fd = take_fd(&fd);
        return 0;
}

/* ---- in the child ---- */

/* The working directory, which is the root of a mount, becomes our root; all others are let go. */
static int pivot(void)
{
        if (syscall(SYS_pivot_root, ".", ".") < 0)
                return -errno;
        /* The old root now lies over the new one. */
        if (syscall(SYS_umount2, ".", UMOUNT_DETACH) < 0 || chroot(".") < 0)
                return -errno;
        return chdir("/") < 0 ? -errno : 0;
}

/* The tree becomes the root. By /proc, because it is there; only the place matters, for two calls. */
static int become_root(int tree)
{
        if (syscall(SYS_move_mount, tree, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
            fchdir(tree) < 0)
                return -errno;
        return pivot();
}

/* A copy, because what was copied with the whole tree is locked to it. It is read-only if that was. */
int share_become_root(void)
{
        struct mount_attr attr = {.attr_set = SHARE_ATTRIBUTES, .propagation = PROPAGATION_PRIVATE};
        int tree =
            (int)syscall(SYS_open_tree, AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
        int r;

        if (tree < 0)
                return -errno;
        r = set_attributes(tree, &attr);
        if (r == 0)
                r = become_root(tree);
        close(tree);
        return r;
}

/* "/usr/lib" -> "usr", then "usr/lib": what is there already is as good. */
static int make_parents(int root, const char *path)
{
        char part[SHARE_PATH];

        for (size_t i = 0; path[i] != '\0'; i++) {
                if (i + 1 >= sizeof(part))
                        return -ENAMETOOLONG;
                part[i] = path[i];
                part[i + 1] = '\0';
                if (path[i + 1] == '/' && mkdirat(root, part, 0755) < 0 && errno != EEXIST)
                        return -errno;
        }
        return 0;
}

static int make_link(int root, const char *inside, const char *target)
{
        int r = make_parents(root, inside);

        return r < 0 ? r : symlinkat(target, root, inside) < 0 ? -errno : 0;
}

static int copy_link(int root, const char *path, const char *inside)
{
        char target[SHARE_PATH];
        ssize_t n = readlink(path, target, sizeof(target) - 1);

        if (n < 0)
                return -errno;
        target[n] = '\0';
        return symlinkat(target, root, inside) < 0 ? -errno : 0;
}

static int copy_mount(int root, const char *path, const char *inside, bool is_folder)
{
        struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
                                  .propagation = PROPAGATION_PRIVATE};
        int place = -1, r = 0;
        int tree =
            (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

        if (tree < 0)
                return -errno;
        if (is_folder ? mkdirat(root, inside, 0755) < 0
                      : (place = openat(root, inside, O_CREAT | O_WRONLY | O_CLOEXEC, 0644)) < 0)
                r = -errno;
        if (place >= 0)
                close(place);
        if (r == 0)
                r = set_attributes(tree, &attr);
        if (r == 0 && syscall(SYS_move_mount, tree, "", root, inside, MOVE_MOUNT_F_EMPTY_PATH) < 0)
                r = -errno;
        close(tree);
        return r;
}

/* A link to a folder stays one; what a link to a file leads to stands in its place. */
static int copy_path(int root, const char *path)
{
        const char *inside = path + 1;
        struct stat st;
        bool is_link;
        int r;

        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        is_link = S_ISLNK(st.st_mode);
        if (is_link && stat(path, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        r = make_parents(root, inside);
        if (r < 0)
                return r;
        return is_link && S_ISDIR(st.st_mode) ? copy_link(root, path, inside)
                                              : copy_mount(root, path, inside, S_ISDIR(st.st_mode));
}

/* Mounts are made below a mount that hangs in our tree, so the empty one is hung up first, over /proc, and seen by its descriptor. */
int share_root_of_paths(const char *const *paths, const char *const *links)
{
        struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY, .propagation = 0};
        int root = -1, r = make_tmpfs(&root);

        if (r == 0 && syscall(SYS_move_mount, root, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0)
                r = -errno;
        for (size_t i = 0; r == 0 && paths[i]; i++)
                r = copy_path(root, paths[i]);
        for (size_t i = 0; r == 0 && links && links[i]; i += 2)
                r = make_link(root, links[i] + 1, links[i + 1]);
        if (r == 0 && mkdirat(root, "tmp", 0755) < 0)
                r = -errno;
        if (r == 0 && syscall(SYS_mount_setattr, root, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
                r = -errno;
        if (r == 0 && fchdir(root) < 0)
                r = -errno;
        if (root >= 0)
                close(root);
        return r < 0 ? r : pivot();
}
