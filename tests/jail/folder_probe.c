/* A worker that serves a folder, and tries in it what it is told.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/jail/folder_probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "sandbox/lockdown.h"

#define FOLDER_FD worker_fd_resource(1, 0)

static int64_t result(int64_t r)
{
        return r < 0 ? -errno : r;
}

static int64_t use(const struct folder_command *command, int flags)
{
        int fd = open(command->path, flags | O_CLOEXEC, 0644);
        char byte = 'w';
        int64_t r;

        if (fd < 0)
                return -errno;
        if (command->ask == FOLDER_READ)
                r = pread(fd, &byte, 1, 0) == 1 ? byte : -errno;
        else
                r = command->ask == FOLDER_WRITE ? result(pwrite(fd, &byte, 1, 0)) : 0;
        close(fd);
        return r;
}

static int64_t look(const struct folder_command *command)
{
        struct stat st;

        if (lstat(command->path, &st) < 0)
                return -errno;
        return command->ask == FOLDER_UID ? (int64_t)st.st_uid : (int64_t)(st.st_mode & 07777);
}

static int64_t count(const char *path)
{
        DIR *dir = opendir(path);
        int64_t n = -2;

        if (!dir)
                return -errno;
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

static int64_t execute(const char *path)
{
        pid_t pid = fork();
        int status;

        if (pid < 0)
                return -errno;
        if (pid == 0) {
                execl(path, path, (char *)NULL);
                _exit(errno);
        }
        return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

static int64_t connect_to(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int64_t r;

        if (fd < 0)
                return -errno;
        snprintf(address.sun_path, sizeof(address.sun_path), "%.*s", (int)sizeof(address.sun_path) - 1, path);
        r = result(connect(fd, (struct sockaddr *)&address, sizeof(address)));
        close(fd);
        return r;
}

static int64_t below(const char *path)
{
        int fd = openat(FOLDER_FD, path, O_PATH | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        close(fd);
        return 0;
}

static int64_t create_as(const struct folder_command *c)
{
        int64_t r;

        setfsgid(c->flags);
        setfsuid(c->flags);
        r = use(c, O_WRONLY | O_CREAT | O_EXCL);
        setfsuid(geteuid());
        setfsgid(getegid());
        return r;
}

static bool may_mount(const struct folder_command *c)
{
        return mount("none", c->path, "tmpfs", 0, NULL) == 0 || mount("/", c->path, NULL, MS_BIND, NULL) == 0;
}

static bool may_remount(const struct folder_command *c)
{
        return mount(NULL, c->path, NULL, MS_REMOUNT | MS_BIND, NULL) == 0 || umount2("/", MNT_DETACH) == 0;
}

static bool may_chroot(const struct folder_command *c)
{
        return chroot(c->path) == 0;
}

static bool may_be_root(const struct folder_command *c)
{
        uid_t host = (uid_t)atoi(c->other); /* somebody whom our namespace has not */

        return setresuid(host, host, host) == 0 || setresgid(host, host, host) == 0 ||
               setgroups(1, &(gid_t){host}) == 0;
}

static bool may_have_more(const struct folder_command *c)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct all[2] = {{~0u, ~0u, ~0u}, {~0u, ~0u, ~0u}};

        (void)c;
        return syscall(SYS_capset, &header, all) == 0 ||
               prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0) == 0 ||
               prctl(PR_SET_SECUREBITS, 0, 0, 0, 0) == 0;
}

static bool may_make_namespaces(const struct folder_command *c)
{
        (void)c;
        return unshare(CLONE_NEWUSER) == 0 || unshare(CLONE_NEWNS) == 0 || sethostname("x", 1) == 0;
}

static bool may_trace(const struct folder_command *c)
{
        (void)c;
        return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0 ||
               (getppid() > 0 && kill(getppid(), 0) == 0);
}

static bool may_open_by_handle(const struct folder_command *c)
{
        char room[sizeof(struct file_handle) + 128];
        struct file_handle *handle = (struct file_handle *)(void *)room;
        int id;

        handle->handle_bytes = 128;
        if (name_to_handle_at(AT_FDCWD, c->path, handle, &id, 0) < 0)
                return false;
        return open_by_handle_at(FOLDER_FD, handle, O_RDONLY) >= 0;
}

static bool may_make_devices(const struct folder_command *c)
{
        (void)c;
        return mknod("/device", S_IFCHR | 0666, makedev(1, 3)) == 0 ||
               mknod("/device", S_IFBLK | 0666, makedev(7, 0)) == 0;
}

static bool may_give_file_capabilities(const struct folder_command *c)
{
        struct vfs_ns_cap_data data = {.magic_etc = VFS_CAP_REVISION_3 | VFS_CAP_FLAGS_EFFECTIVE};

        (void)c;
        return setxattr("/private", "security.capability", &data, sizeof(data), 0) == 0 ||
               setxattr("/private", "trusted.overlay.opaque", "y", 1, 0) == 0;
}

static int64_t beyond(const struct folder_command *c)
{
        static bool (*const attempts[])(const struct folder_command *c) = {
            may_mount,        may_remount,
            may_chroot,       may_be_root,
            may_have_more,    may_make_namespaces,
            may_trace,        may_open_by_handle,
            may_make_devices, may_give_file_capabilities};

        for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
                if (attempts[i](c))
                        return (int64_t)i;
        return -1;
}

static int64_t answer(const struct folder_command *c)
{
        switch ((enum folder_ask)c->ask) {
        case FOLDER_LOCKDOWN:
                return lockdown_worker(worker_fd_policy(1, 1), FOLDER_FD);
        case FOLDER_OPEN:
                return use(c, (int)c->flags);
        case FOLDER_READ:
                return use(c, O_RDONLY);
        case FOLDER_WRITE:
                return use(c, O_WRONLY);
        case FOLDER_CREATE:
                return use(c, O_WRONLY | O_CREAT | O_EXCL);
        case FOLDER_MKDIR:
                return result(mkdir(c->path, 0755));
        case FOLDER_MKNOD:
                return result(mknod(c->path, c->flags, makedev(1, 3)));
        case FOLDER_UNLINK:
                return result(unlink(c->path));
        case FOLDER_RENAME:
                return result(rename(c->path, c->other));
        case FOLDER_LINK:
                return result(link(c->path, c->other));
        case FOLDER_UID:
        case FOLDER_MODE:
                return look(c);
        case FOLDER_CHMOD:
                return result(chmod(c->path, c->flags));
        case FOLDER_ENTRIES:
                return count(c->path);
        case FOLDER_EXECUTE:
                return execute(c->path);
        case FOLDER_CONNECT:
                return connect_to(c->path);
        case FOLDER_BELOW:
                return below(c->path);
        case FOLDER_MYSELF:
                return (int64_t)geteuid();
        case FOLDER_CREATE_AS:
                return create_as(c);
        case FOLDER_CHOWN:
                return result(lchown(c->path, c->flags, c->flags));
        case FOLDER_BEYOND:
                return beyond(c);
        }
        return -ENOSYS;
}

int main(void)
{
        struct folder_command command;

        while (read(WORKER_FD_CONTROL, &command, sizeof(command)) == (ssize_t)sizeof(command)) {
                int64_t r = answer(&command);

                if (write(WORKER_FD_CONTROL, &r, sizeof(r)) != (ssize_t)sizeof(r))
                        return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
