/* Reading /proc without taking one process for another.
 * Owns the descriptors of a proc_process; called by proc_facts.c and process_tree.c.
 * A pid may be reused between two opens of /proc/PID/...; a folder descriptor belongs to one process for ever
 * and answers ESRCH when that is gone. TRUST: the kernel's texts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/proc_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/limits.h"

#define READ_STEP 65536u

int proc_process_open(pid_t pid, struct proc_process *ret_process)
{
        struct proc_process process = PROC_PROCESS_NONE;
        char path[32];
        int r;

        process.pid = pid;
        process.pidfd = (int)syscall(SYS_pidfd_open, pid, 0u);
        if (process.pidfd < 0)
                return -errno;
        snprintf(path, sizeof(path), "/proc/%d", (int)pid);
        process.folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (process.folder_fd < 0) {
                r = errno == ENOENT ? -ESRCH : -errno;
                proc_process_close(&process);
                return r;
        }
        /* Still alive: then nobody else could have got the pid between the two opens. */
        if (!proc_process_alive(&process)) {
                proc_process_close(&process);
                return -ESRCH;
        }
        *ret_process = process;
        return 0;
}

void proc_process_close(struct proc_process *process)
{
        cleanup_close(&process->folder_fd);
        cleanup_close(&process->pidfd);
        *process = PROC_PROCESS_NONE;
}

bool proc_process_alive(const struct proc_process *process)
{
        struct pollfd pollfd = {.fd = process->pidfd, .events = POLLIN};
        int r;

        do
                r = poll(&pollfd, 1, 0);
        while (r < 0 && errno == EINTR);
        return r == 0;
}

int proc_file_read(int folder_fd, const char *path, char **ret_text, size_t *ret_len)
{
        _cleanup_close_ int fd = openat(folder_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        _cleanup_free_ char *text = NULL;
        size_t len = 0, size = 0;

        if (fd < 0)
                return -errno;
        for (;;) { /* ends at LIMIT_PROC_FILE */
                ssize_t n;

                if (size - len < 2) {
                        char *larger = realloc(text, size + READ_STEP);

                        if (!larger)
                                return -ENOMEM;
                        text = larger;
                        size += READ_STEP;
                }
                n = read(fd, text + len, size - len - 1);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                len += (size_t)n;
                if (len > LIMIT_PROC_FILE)
                        return -EFBIG;
        }
        text[len] = '\0';
        *ret_text = take_ptr(text);
        *ret_len = len;
        return 0;
}
