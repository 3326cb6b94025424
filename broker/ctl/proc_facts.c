/* What can be measured of one process from outside.
 * Owns descriptors of the process while it measures; called by audit_measure.c.
 * TRUST: the kernel's word alone. The measured process may be hostile: what it may choose (names of files,
 * numbers of descriptors and mappings) is bounded, and never printed from here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/proc_facts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "broker/ctl/config_value.h"
#include "proto/base/cleanup.h"

const char *const proc_namespace_names[PROC_NS_COUNT_] = {
    [PROC_NS_USER] = "user", [PROC_NS_PID] = "pid", [PROC_NS_MNT] = "mnt",       [PROC_NS_NET] = "net",
    [PROC_NS_IPC] = "ipc",   [PROC_NS_UTS] = "uts", [PROC_NS_CGROUP] = "cgroup",
};

static int measure_status(const struct proc_process *process, struct proc_facts *facts)
{
        _cleanup_free_ char *text = NULL;
        size_t len = 0;
        int r = proc_file_read(process->folder_fd, "status", &text, &len);

        return r < 0 ? r : proc_parse_status(text, len, &facts->status);
}

static int measure_program(const struct proc_process *process, struct proc_facts *facts)
{
        char path[PATH_MAX];
        ssize_t n = readlinkat(process->folder_fd, "exe", path, sizeof(path) - 1);
        char *name, *deleted;

        if (n < 0)
                return -errno;
        path[n] = '\0';
        name = strrchr(path, '/');
        name = name ? name + 1 : path;
        deleted = strstr(name, " (deleted)"); /* replaced by a newer one since */
        if (deleted)
                *deleted = '\0';
        snprintf(facts->program, sizeof(facts->program), "%.*s", (int)sizeof(facts->program) - 1, name);
        return 0;
}

static int measure_maps(const struct proc_process *process, const struct memory_files *files,
                        struct proc_facts *facts)
{
        _cleanup_free_ char *text = NULL;
        size_t len = 0;
        struct proc_mapping m;
        const char *at;
        struct stat own = {0};
        int r = proc_file_read(process->folder_fd, "maps", &text, &len);

        if (r == 0 && fstatat(process->folder_fd, "exe", &own, 0) < 0)
                r = -errno;
        if (r < 0)
                return r;
        if (len == 0)
                return -ESRCH; /* no address space: it is on its way out */
        at = text;
        while ((r = proc_maps_next(&at, text + len, &m)) > 0) {
                if (m.aio_ring) {
                        facts->ring_bytes += m.end - m.start;
                        continue;
                }
                if (m.inode != 0 && memory_files_have(files, m.major, m.minor, m.inode))
                        facts->guest_bytes += m.end - m.start;
                if (m.shared)
                        facts->shared_bytes += m.end - m.start;
                if (m.inode != 0 &&
                    (m.inode != own.st_ino || m.major != major(own.st_dev) || m.minor != minor(own.st_dev)))
                        facts->file_bytes += m.end - m.start;
        }
        return r;
}

static int measure_ns(const struct proc_process *process, struct proc_facts *facts)
{
        for (int i = 0; i < PROC_NS_COUNT_; i++) {
                char path[32];
                struct stat st;

                snprintf(path, sizeof(path), "ns/%s", proc_namespace_names[i]);
                if (fstatat(process->folder_fd, path, &st, 0) < 0)
                        return -errno;
                facts->ns[i] = st.st_ino;
        }
        return 0;
}

static bool is_dots(const char *name)
{
        return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* A directory that may not be listed, but whose file system has one inode in all, which is that directory. */
static int count_root_inodes(const struct statvfs *vfs, struct proc_facts *facts)
{
        if (vfs->f_files == 0 || vfs->f_ffree > vfs->f_files || vfs->f_files - vfs->f_ffree != 1)
                return -EACCES;
        facts->root_entries = 0;
        return 0;
}

/* Opened twice over: the first descriptor pins the root, the second lists what the first is. */
static int measure_root(const struct proc_process *process, struct proc_facts *facts)
{
        _cleanup_close_ int root = openat(process->folder_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct dirent *entry;
        struct statvfs vfs;
        int fd;
        DIR *stream;

        if (root < 0)
                return -errno;
        if (fstatvfs(root, &vfs) < 0)
                return -errno;
        facts->root_read_only = (vfs.f_flag & ST_RDONLY) != 0;
        facts->root_inert = (vfs.f_flag & ST_NODEV) != 0 && (vfs.f_flag & ST_NOSUID) != 0;
        fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == EACCES)
                return count_root_inodes(&vfs, facts);
        if (fd < 0)
                return -errno;
        stream = fdopendir(fd);
        if (!stream) {
                close(fd);
                return -ENOMEM;
        }
        while ((entry = readdir(stream)) && facts->root_entries < LIMIT_PROC_FDS)
                if (!is_dots(entry->d_name))
                        facts->root_entries++;
        closedir(stream);
        return 0;
}

/* Of what has no kind of its own the kernel gives the name. */
static bool is_eventfd(int folder_fd, const char *number)
{
        static const char eventfd[] = "anon_inode:[eventfd]";
        char name[sizeof(eventfd) + 1];
        ssize_t n = readlinkat(folder_fd, number, name, sizeof(name));

        return n == (ssize_t)strlen(eventfd) && memcmp(name, eventfd, strlen(eventfd)) == 0;
}

/* `number` is the descriptor's link in the folder. */
static void count_fd(const struct stat *st, int folder_fd, const char *number,
                     const struct memory_files *files, struct proc_facts *facts)
{
        if (S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3))
                facts->fds_null++;
        else if (S_ISCHR(st->st_mode) && st->st_rdev == makedev(10, 200)) /* /dev/net/tun */
                facts->fds_tap++;
        else if (S_ISDIR(st->st_mode))
                facts->fds_folder++;
        else if (S_ISSOCK(st->st_mode))
                facts->fds_socket++;
        else if (S_ISFIFO(st->st_mode))
                facts->fds_pipe++;
        else if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
                facts->fds_file++;
        else if (is_eventfd(folder_fd, number))
                facts->fds_event++;
        else
                facts->fds_other++;
        if (memory_files_have(files, major(st->st_dev), minor(st->st_dev), st->st_ino))
                facts->fds_guest++;
}

/* By /proc/PID/fd, which belongs to root when the process is not dumpable. */
static int measure_fds_by_folder(const struct proc_process *process, const struct memory_files *files,
                                 struct proc_facts *facts)
{
        int fd = openat(process->folder_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *stream = fd < 0 ? NULL : fdopendir(fd);
        struct dirent *entry;
        uint32_t n = 0;
        int r = 0;

        if (fd < 0)
                return -errno;
        if (!stream) {
                close(fd);
                return -ENOMEM;
        }
        while (r == 0 && (entry = readdir(stream))) {
                struct stat st;

                if (is_dots(entry->d_name))
                        continue;
                if (++n > LIMIT_PROC_FDS)
                        r = -E2BIG;
                else if (fstatat(fd, entry->d_name, &st, 0) == 0)
                        count_fd(&st, fd, entry->d_name, files, facts);
                else if (errno != ENOENT) /* closed since */
                        r = -errno;
        }
        closedir(stream);
        return r;
}

/* By taking copies, one number after the other: what the owner of the process's user namespace may do. */
static int measure_fds_by_copy(const struct proc_process *process, const struct memory_files *files,
                               struct proc_facts *facts)
{
        const uint32_t n_slots = facts->status.fd_slots;

        if (facts->status_error < 0)
                return facts->status_error;
        if (n_slots > LIMIT_PROC_FDS)
                return -E2BIG;
        for (uint32_t i = 0; i < n_slots; i++) {
                _cleanup_close_ int fd = (int)syscall(SYS_pidfd_getfd, process->pidfd, i, 0u);
                char own[32];
                struct stat st;

                if (fd < 0 && errno == EBADF)
                        continue;
                if (fd < 0 || fstat(fd, &st) < 0)
                        return -errno;
                snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
                count_fd(&st, AT_FDCWD, own, files, facts);
        }
        return 0;
}

static int measure_fds(const struct proc_process *process, const struct memory_files *files,
                       struct proc_facts *facts)
{
        int r = measure_fds_by_folder(process, files, facts);

        return r == -EACCES ? measure_fds_by_copy(process, files, facts) : r;
}

static void set_all_errors(struct proc_facts *facts, int error)
{
        facts->error = error;
        facts->status_error = facts->program_error = facts->maps_error = facts->ns_error = error;
        facts->ids_error = error;
        facts->root_error = facts->fds_error = facts->fds_guest_error = facts->limits_error = error;
}

void proc_facts_measure(pid_t pid, const struct memory_files *files, struct proc_facts *ret_facts)
{
        _cleanup_(proc_process_close) struct proc_process process = PROC_PROCESS_NONE;
        struct proc_facts facts = {
            .pid = pid,
            .limits = PROC_LIMITS_NONE,
        };
        int r = proc_process_open(pid, &process);

        if (r < 0) {
                set_all_errors(&facts, r);
        } else {
                facts.status_error = measure_status(&process, &facts);
                facts.program_error = measure_program(&process, &facts);
                facts.maps_error = measure_maps(&process, files, &facts);
                facts.ns_error = measure_ns(&process, &facts);
                facts.root_error = measure_root(&process, &facts);
                facts.fds_error = measure_fds(&process, files, &facts);
                facts.fds_guest_error = facts.fds_error;
                facts.ids_error = proc_ids_measure(process.folder_fd, &facts.ids);
                facts.limits_error = proc_limits_measure(process.folder_fd, &facts.limits);
                if (!proc_process_alive(&process)) /* the last readings may be those of a zombie */
                        set_all_errors(&facts, -ESRCH);
        }
        *ret_facts = facts;
}
