/* User namespaces: entering one as an ordinary user, and saying why it cannot be had.
 * Owns nothing; called by the spawner at start. TRUST: sees /proc/sys only.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/rootless.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/fd.h"

bool rootless_wanted(void)
{
        return geteuid() != 0;
}

static int rootless_write(const char *path, const char *text)
{
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

/* Ourselves to ourselves: a log line, a file's owner and `ps` then show the same number inside and outside.
 * The group map of an ordinary user needs setgroups to be given up first. */
static int rootless_map(uid_t uid, gid_t gid)
{
        char text[64];
        int r = rootless_write("/proc/self/setgroups", "deny");

        if (r < 0)
                return r;
        snprintf(text, sizeof(text), "%u %u 1\n", gid, gid);
        r = rootless_write("/proc/self/gid_map", text);
        if (r < 0)
                return r;
        snprintf(text, sizeof(text), "%u %u 1\n", uid, uid);
        return rootless_write("/proc/self/uid_map", text);
}

int rootless_enter(char *why, size_t why_size)
{
        uid_t uid = geteuid();
        gid_t gid = getegid();
        int r;

        if (unshare(CLONE_NEWUSER) < 0) {
                r = -errno;
                rootless_explain(r, why, why_size);
                return r;
        }
        r = rootless_map(uid, gid);
        if (r < 0)
                snprintf(why, why_size,
                         "cannot map uid %u into a user namespace (%s): start as root, or without privileges "
                         "of any "
                         "kind (no file capabilities, dumpable)",
                         uid, strerror(-r));
        return r;
}

/* The whole of the host's ids are mapped in the first namespace only. */
static bool rootless_is_first_namespace(void)
{
        unsigned inside, outside, count;
        FILE *map = fopen("/proc/self/uid_map", "re");
        bool first = true;

        if (!map)
                return true;
        if (fscanf(map, "%u %u %u", &inside, &outside, &count) == 3)
                first = inside == 0 && outside == 0 && count == UINT32_MAX;
        fclose(map);
        return first;
}

static int rootless_get_capabilities(struct __user_cap_header_struct *header,
                                     struct __user_cap_data_struct data[static 2])
{
        *header = (struct __user_cap_header_struct){.version = _LINUX_CAPABILITY_VERSION_3};
        return syscall(SYS_capget, header, data) < 0 ? -errno : 0;
}

bool rootless_entered(void)
{
        struct __user_cap_header_struct header;
        struct __user_cap_data_struct data[2];

        return rootless_wanted() && !rootless_is_first_namespace() &&
               rootless_get_capabilities(&header, data) == 0 && (data[0].effective & (1u << CAP_SYS_ADMIN));
}

int rootless_exec(char *const argv[])
{
        struct __user_cap_header_struct header;
        struct __user_cap_data_struct data[2];
        int r = rootless_get_capabilities(&header, data);

        if (r < 0)
                return r;
        data[0].inheritable = data[0].permitted;
        data[1].inheritable = data[1].permitted;
        if (syscall(SYS_capset, &header, data) < 0)
                return -errno;
        for (unsigned i = 0; i < 64; i++)
                if ((data[i / 32].permitted & (1u << i % 32)) &&
                    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
                        return -errno;
        execv("/proc/self/exe", argv);
        return -errno;
}

int rootless_settle(void)
{
        struct __user_cap_header_struct header;
        struct __user_cap_data_struct data[2];
        int r = rootless_get_capabilities(&header, data);

        if (r < 0)
                return r;
        data[0].inheritable = data[1].inheritable = 0; /* takes the ambient set with it */
        return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* The number in a sysctl file; -1: there is no such file. */
static long rootless_sysctl(const char *path)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        char text[32];
        ssize_t n;

        if (fd < 0)
                return -1;
        n = read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return -1;
        text[n] = '\0';
        return strtol(text, NULL, 10);
}

void rootless_explain(int negative_errno, char *why, size_t why_size)
{
        const char *remedy;

        if (rootless_sysctl("/proc/sys/user/max_user_namespaces") == 0 || negative_errno == -ENOSPC)
                remedy = "raise the sysctl user.max_user_namespaces (for example to 10000)";
        else if (negative_errno == -EINVAL || negative_errno == -ENOSYS)
                remedy = "this kernel is built without them (CONFIG_USER_NS): use another kernel";
        else if (rootless_sysctl("/proc/sys/kernel/unprivileged_userns_clone") == 0)
                remedy = "set the sysctl kernel.unprivileged_userns_clone to 1, or start as root";
        else if (rootless_sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
                remedy = "set the sysctl kernel.apparmor_restrict_unprivileged_userns to 0, or start as root";
        else
                remedy = "start outside of a chroot and of a container that forbids them, or start as root";
        snprintf(why, why_size,
                 "user namespaces are not available (%s), and no worker runs without its jail: %s",
                 strerror(-negative_errno), remedy);
}

int rootless_probe(char *why, size_t why_size)
{
        pid_t pid = fork();
        int status, r;

        if (pid == 0)
                _exit(unshare(CLONE_NEWUSER) < 0 ? errno : 0);
        if (pid < 0)
                r = -errno;
        else if (waitpid(pid, &status, 0) < 0)
                r = -errno;
        else
                r = WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
        if (r < 0)
                rootless_explain(r, why, why_size);
        return r;
}

/* How it works: the kernel compares our root with the root of our mount namespace, so our root has to become
 * that.
 *   1. a mount namespace of our own: nothing below is seen by others, and mounts made later still reach us
 * (slave);
 *   2. setns to that same namespace puts us at its root, outside of the chroot: the only way to its mount
 * points;
 *   3. a copy of the tree that was our root is mounted there, becomes the root, and what was above it is let
 * go. */
int rootless_leave_chroot(void)
{
        _cleanup_close_ int tree = -1, space = -1;
        char cwd[PATH_MAX];

        if (!getcwd(cwd, sizeof(cwd)))
                snprintf(cwd, sizeof(cwd), "/");
        if (unshare(CLONE_NEWNS) < 0)
                return -errno;
        tree = (int)syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
        if (tree < 0)
                return -errno;
        space = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
        if (space < 0)
                return -errno;
        if (setns(space, CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
                return -errno;
        if (syscall(SYS_move_mount, tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
                return -errno;
        if (fchdir(tree) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
                return -errno;
        return chdir(cwd) < 0 && chdir("/") < 0 ? -errno : 0;
}
