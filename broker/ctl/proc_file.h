/* A process, held by its folder in /proc and by a pidfd, so that a reused pid cannot be taken for it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Zero is not an empty one: use PROC_PROCESS_NONE. */
struct proc_process {
        pid_t pid;
        int folder_fd, pidfd; /* -1: none */
};

#define PROC_PROCESS_NONE ((struct proc_process){.folder_fd = -1, .pidfd = -1})

/* 0, or negative errno (-ESRCH: no such process); then nothing is held. */
int proc_process_open(pid_t pid, struct proc_process *ret_process);
void proc_process_close(struct proc_process *process);

/* Has it not exited? What was read through the folder before is then all of this one process. */
bool proc_process_alive(const struct proc_process *process);

/* A whole file relative to a folder, at most LIMIT_PROC_FILE (-EFBIG), with a NUL behind it that is not
 * counted. The caller frees. */
int proc_file_read(int folder_fd, const char *path, char **ret_text, size_t *ret_len);
