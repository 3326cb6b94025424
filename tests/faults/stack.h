/* A whole bulkhead of a test's own: a directory, a disk image, and a broker with its spawner and workers,
 * which can be started, killed and started again. Their log is read by a thread, so that no full pipe stops
 * them and a test can wait for a line.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STACK_READY_MS 20000 /* a machine under load */

struct stack {
        char dir[64], vm[32], image[96], config[96], socket[160];
        const char *bin;            /* folder of the programs; the caller's */
        const char *const *wrapper; /* words before the command, for a tracer; NULL: none */
        pid_t child;                /* of ours: the spawner, or its tracer; 0: not running */
        pid_t spawner;
        pid_t broker;
        int log_fd;
        bool reading; /* the thread exists */
        pthread_t reader;
        pthread_mutex_t mutex;
        pthread_cond_t grown;
        char *log;
        size_t log_len;
        bool log_ended;
};

/* Makes a directory below `parent` (NULL: /tmp) with an image of so many bytes, and a configuration for a
 * block device disk0 and entropy. Nothing runs. All functions: 0 or negative errno. */
int stack_make(struct stack *stack, const char *bin, const char *parent, uint64_t image_bytes);
/* Before a start: another image, and more keys of disk0 (", direct: true"). */
int stack_configure(const struct stack *stack, const char *image, const char *keys);
/* Ends what runs and removes the directory. Accepts one that is zero. */
void stack_done(struct stack *stack);

/* Returns when the broker says that it is ready; -ETIMEDOUT, or -ECHILD when it has given up. */
int stack_start(struct stack *stack);
/* As an operator does. Returns the exit status. */
int stack_stop(struct stack *stack);
/* SIGKILL to the broker; returns when the spawner has cleaned up after it. */
int stack_kill_broker(struct stack *stack);

/* The worker of that type ("blk"), 0: there is none at the moment. */
pid_t stack_worker(const struct stack *stack, const char *type);
/* Waits until there is one that is not `before`. 0: none within STACK_READY_MS. */
pid_t stack_worker_after(const struct stack *stack, const char *type, pid_t before);

/* SIGKILL to the worker that is there, or comes next. Returns its pid; 0: none came. */
pid_t stack_kill_worker(const struct stack *stack, const char *type);

/* Bytes of log so far: what came later is searched by stack_wait_log. */
size_t stack_log_mark(struct stack *stack);
/* Has `text` been said behind `mark`, or is it within so many milliseconds? */
bool stack_wait_log(struct stack *stack, size_t mark, const char *text, int timeout_ms);
/* The last part of the log to stderr, after a failure. */
void stack_show_log(struct stack *stack);
