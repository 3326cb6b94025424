/* What a process has, seen from outside: descriptors by kind, mappings, threads, heap. Two views of a process
 * that was asked for nothing in between are equal.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum fd_kind {
        FD_KIND_SOCKET = 0,
        FD_KIND_EVENT,
        FD_KIND_EPOLL,
        FD_KIND_PIDFD,
        FD_KIND_PIPE,
        FD_KIND_MEMFD,
        FD_KIND_FILE,
        FD_KIND_OTHER,
        FD_KIND_COUNT_,
};

struct process_view {
        unsigned fds[FD_KIND_COUNT_];
        unsigned maps;   /* mappings */
        unsigned memfds; /* of them: of memfds, which is guest memory */
        unsigned threads;
        uint64_t anonymous; /* resident bytes of no file: heap and stacks */
};

/* 0 or negative errno (-ESRCH, -ENOENT: it is gone). */
int process_view_take(pid_t pid, struct process_view *ret_view);

/* Descriptors, mappings and threads; memory is compared by its owner, who knows a bound. */
bool process_view_equal(const struct process_view *a, const struct process_view *b);

/* The difference in one line. */
void process_view_explain(const struct process_view *before, const struct process_view *now, char *text,
                          size_t size);

/* Processor time of all its threads in microseconds; negative errno. */
int64_t process_cpu_us(pid_t pid);

/* How long threads of its siblings and its own have been ready to run and were not, in microseconds, since they began; a wait that lasts
 * is not counted before its end. */
int64_t process_family_delay_us(pid_t pid);
