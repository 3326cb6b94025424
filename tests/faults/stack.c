/* A whole bulkhead of a test's own. Owns the directory, the processes and the thread that reads their log.
 * Called by the tests of faults and of power cuts. TRUST: the log is the broker's and only searched.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/faults/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "tests/faults/process.h"

#define LOG_MAX (8u << 20) /* more is not kept: no test makes as much */

/* ---- the directory ---- */

static int write_text(const char *path, const char *text)
{
        FILE *file = fopen(path, "we");

        if (!file)
                return -errno;
        fputs(text, file);
        return fclose(file) == 0 ? 0 : -errno;
}

static int make_image(const char *path, uint64_t bytes)
{
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

        return fd >= 0 && ftruncate(fd, (off_t)bytes) == 0 ? 0 : -errno;
}

int stack_make(struct stack *stack, const char *bin, const char *parent, uint64_t image_bytes)
{
        static unsigned number;
        int r;

        *stack = (struct stack){.bin = bin, .log_fd = -1};
        pthread_mutex_init(&stack->mutex, NULL);
        pthread_cond_init(&stack->grown, NULL);
        snprintf(stack->dir, sizeof(stack->dir), "%.40s/bulkhead-fault.XXXXXX", parent ? parent : "/tmp");
        if (!mkdtemp(stack->dir)) {
                r = -errno;
                stack->dir[0] = '\0';
                return r;
        }
        if (chmod(stack->dir, 0755) < 0)
                return -errno;
        snprintf(stack->vm, sizeof(stack->vm), "f%d-%u", getpid(), number++);
        snprintf(stack->image, sizeof(stack->image), "%s/disk.img", stack->dir);
        snprintf(stack->config, sizeof(stack->config), "%s/vm.yaml", stack->dir);
        snprintf(stack->socket, sizeof(stack->socket), "%s/run/%s/disk0.sock", stack->dir, stack->vm);
        r = make_image(stack->image, image_bytes);
        return r == 0 ? stack_configure(stack, stack->image, "") : r;
}

int stack_configure(const struct stack *stack, const char *image, const char *keys)
{
        char text[512];

        snprintf(text, sizeof(text),
                 "vm: %s\nfrontend: vhost-user\ndevices:\n  - {name: disk0, type: blk, path: %s%s}\n"
                 "  - {name: rng0, type: rng}\n",
                 stack->vm, image, keys);
        return write_text(stack->config, text);
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
        (void)st;
        (void)flag;
        (void)ftw;
        return remove(path);
}

void stack_done(struct stack *stack)
{
        if (stack->child > 0)
                (void)stack_stop(stack);
        if (stack->dir[0] != '\0')
                nftw(stack->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
        free(stack->log);
        *stack = (struct stack){.log_fd = -1};
}

/* ---- the log ---- */

static void log_append(struct stack *stack, const char *bytes, size_t len)
{
        pthread_mutex_lock(&stack->mutex);
        if (stack->log_len + len < LOG_MAX) {
                memcpy(stack->log + stack->log_len, bytes, len);
                stack->log_len += len;
                stack->log[stack->log_len] = '\0';
        }
        pthread_cond_broadcast(&stack->grown);
        pthread_mutex_unlock(&stack->mutex);
}

static void *log_read(void *context)
{
        struct stack *stack = context;
        char bytes[4096];
        ssize_t n;

        while ((n = read(stack->log_fd, bytes, sizeof(bytes))) > 0)
                log_append(stack, bytes, (size_t)n);
        pthread_mutex_lock(&stack->mutex);
        stack->log_ended = true;
        pthread_cond_broadcast(&stack->grown);
        pthread_mutex_unlock(&stack->mutex);
        return NULL;
}

static int log_start(struct stack *stack)
{
        if (!stack->log)
                stack->log = calloc(1, LOG_MAX + 1);
        if (!stack->log)
                return -ENOMEM;
        stack->log_ended = false;
        stack->reading = pthread_create(&stack->reader, NULL, log_read, stack) == 0;
        return stack->reading ? 0 : -EAGAIN;
}

static void log_stop(struct stack *stack)
{
        if (stack->reading)
                pthread_join(stack->reader, NULL);
        stack->reading = false;
        cleanup_close(&stack->log_fd);
        stack->log_fd = -1;
}

size_t stack_log_mark(struct stack *stack)
{
        size_t mark;

        pthread_mutex_lock(&stack->mutex);
        mark = stack->log_len;
        pthread_mutex_unlock(&stack->mutex);
        return mark;
}

bool stack_wait_log(struct stack *stack, size_t mark, const char *text, int timeout_ms)
{
        struct timespec end;
        bool found;

        clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec += timeout_ms / 1000 + 1;
        pthread_mutex_lock(&stack->mutex);
        while (!(found = strstr(stack->log + mark, text) != NULL) && !stack->log_ended)
                if (pthread_cond_timedwait(&stack->grown, &stack->mutex, &end) == ETIMEDOUT)
                        break;
        pthread_mutex_unlock(&stack->mutex);
        return found;
}

void stack_show_log(struct stack *stack)
{
        size_t len = stack_log_mark(stack), from = len > 6000 ? len - 6000 : 0;

        if (stack->log)
                fprintf(stderr, "%s\n", stack->log + from);
}

/* ---- the processes ---- */

static _Noreturn void stack_exec(const struct stack *stack, int log_fd)
{
        const char *words[24];
        char program[512], run_dir[96];
        unsigned n = 0;

        prctl(PR_SET_PDEATHSIG, SIGTERM);
        snprintf(program, sizeof(program), "%s/bulkhead", stack->bin);
        snprintf(run_dir, sizeof(run_dir), "%s/run", stack->dir);
        for (unsigned i = 0; stack->wrapper && stack->wrapper[i] && n < 18; i++)
                words[n++] = stack->wrapper[i];
        words[n++] = program;
        words[n++] = "run";
        words[n++] = stack->config;
        words[n++] = "--run-dir";
        words[n++] = run_dir;
        words[n] = NULL;
        dup2(log_fd, STDOUT_FILENO);
        dup2(log_fd, STDERR_FILENO);
        execvp(words[0], (char *const *)words);
        _exit(127);
}

/* `bulkhead run` becomes the spawner, which has the broker for a child. Under a tracer there is one more. */
static int find_processes(struct stack *stack)
{
        stack->spawner = stack->wrapper ? process_child(stack->child, "bulkhead-broker") : stack->child;
        if (stack->spawner <= 0)
                return -ESRCH;
        stack->broker = process_child(stack->spawner, "bulkhead-broker");
        return stack->broker > 0 ? 0 : -ESRCH;
}

int stack_start(struct stack *stack)
{
        size_t mark = stack_log_mark(stack);
        int pair[2], r;

        if (pipe2(pair, O_CLOEXEC) < 0)
                return -errno;
        stack->log_fd = pair[0];
        stack->child = fork();
        if (stack->child == 0)
                stack_exec(stack, pair[1]);
        close(pair[1]);
        r = stack->child > 0 ? log_start(stack) : -EAGAIN;
        if (r == 0 && !stack_wait_log(stack, mark, ": ready ", STACK_READY_MS))
                r = stack->log_ended ? -ECHILD : -ETIMEDOUT;
        return r == 0 ? find_processes(stack) : r;
}

static int await_end(struct stack *stack)
{
        int status = 0;

        while (waitpid(stack->child, &status, 0) < 0 && errno == EINTR)
                continue;
        if (stack->broker > 0 && process_has_title(stack->broker, "bulkhead-broker: "))
                kill(stack->broker, SIGTERM); /* its spawner has died, and it has gone on as it should */
        stack->child = stack->spawner = stack->broker = 0;
        log_stop(stack);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int stack_stop(struct stack *stack)
{
        if (stack->child <= 0)
                return 0;
        kill(stack->spawner > 0 ? stack->spawner : stack->child, SIGTERM);
        return await_end(stack);
}

int stack_kill_broker(struct stack *stack)
{
        if (kill(stack->broker, SIGKILL) < 0)
                return -errno;
        await_end(stack);
        return 0;
}

pid_t stack_worker(const struct stack *stack, const char *type)
{
        char name[64];

        snprintf(name, sizeof(name), "bulkhead-worker-%s: %s/", type, stack->vm);
        return process_child(stack->spawner, name);
}

pid_t stack_worker_after(const struct stack *stack, const char *type, pid_t before)
{
        struct timespec start, now;
        pid_t pid;

        clock_gettime(CLOCK_MONOTONIC, &start);
        do {
                pid = stack_worker(stack, type);
                if (pid > 0 && pid != before)
                        return pid;
                poll(NULL, 0, 1); /* there is no event for a process that is not ours */
                clock_gettime(CLOCK_MONOTONIC, &now);
        } while ((now.tv_sec - start.tv_sec) * 1000 < STACK_READY_MS);
        return 0;
}

pid_t stack_kill_worker(const struct stack *stack, const char *type)
{
        pid_t pid = stack_worker_after(stack, type, 0);

        return pid > 0 && kill(pid, SIGKILL) == 0 ? pid : 0;
}
