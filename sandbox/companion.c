/* Companions: what kinds there are, and one's life.
 * Owns the process, its control group and the pipe of its words; called by spawner_companion.c. TRUST: what it says is hostile: its
 * worker, and so a guest, may have taken it over.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/companion.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "sandbox/companion_passt.h"
#include "sandbox/companion_vsock.h"
#include "sandbox/policy.h"
#include "sandbox/policy_explain.h"
#include "sandbox/resource_socket.h"
#include "sandbox/trace.h"

#define LINE_MAX_BYTES 512u /* of what it says, in one line of ours */
#define END_SLICE_MS   1    /* a killed one is at its end in less */

int companion_args_add(struct companion_args *args, const char *format, ...)
{
        char *at = args->text + args->used;
        size_t room = sizeof(args->text) - args->used;
        va_list list;
        int n;

        va_start(list, format);
        n = vsnprintf(at, room, format, list);
        va_end(list);
        if (n < 0 || (size_t)n >= room || args->n == COMPANION_ARGS)
                return -E2BIG;
        args->argv[args->n++] = at;
        args->argv[args->n] = NULL;
        args->used += (size_t)n + 1;
        return 0;
}

/* ---- its program ---- */

static int open_in(const char *dir, const char *name)
{
        _cleanup_close_ int folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        int fd = folder < 0 ? -1 : openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

        return fd < 0 ? -errno : fd;
}

static int open_first(const char *const *places)
{
        for (size_t i = 0; places[i]; i++) {
                int fd = open(places[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);

                if (fd >= 0 || errno != ENOENT)
                        return fd < 0 ? -errno : fd;
        }
        return -ENOENT;
}

int companion_open_program(const struct companion_row *row, const char *worker_dir, int *ret_fd, char *why,
                           size_t why_size)
{
        int fd = row->program ? open_in(worker_dir, row->program) : open_first(row->places());
        struct stat st;

        if (fd < 0) {
                snprintf(why, why_size, "%s cannot be opened (%s): %s",
                         row->program ? row->program : row->name, strerror(-fd), row->remedy);
                return fd;
        }
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 0005) != 0005) {
                close(fd);
                snprintf(why, why_size, "%s: must be a program that all may read and execute; chmod 0755",
                         row->program ? row->program : row->name);
                return -EACCES;
        }
        *ret_fd = fd;
        return 0;
}

/* ---- its life ---- */

static void make_group(struct companion *companion, const struct companion_place *place)
{
        const struct cgroup_limits limits = {.memory_max = companion->row->memory_max, .pids_max = 1};
        char name[2 * LIMIT_NAME];

        companion->cgroup = (struct cgroup){0};
        if (!place->cgroup_host)
                return;
        snprintf(name, sizeof(name), "%s:%s", place->device,
                 companion->row->name); /* no device is called so */
        cgroup_open(place->cgroup_host, place->cgroup_vm, name, &limits, &companion->cgroup);
}

/* The socket, and the folder where there is one. */
static void make_spec(const struct companion *companion, const struct companion_place *place,
                      const int *resources, const struct jail_allowance *allowance,
                      struct jail_spec *ret_spec)
{
        const struct companion_row *row = companion->row;

        *ret_spec = (struct jail_spec){.policy = row->policy ? policy_find(row->policy) : NULL,
                                       .title = companion->args.argv[0],
                                       .uid = companion->uid,
                                       .gid = companion->gid,
                                       .owner_uid = place->owner_uid,
                                       .owner_gid = place->owner_gid,
                                       .rootless = place->rootless,
                                       .owner_is_spawner = true,
                                       .binary_fd = companion->program_fd,
                                       .null_fd = place->null_fd,
                                       .control_fd = place->null_fd,
                                       .resource_fds = resources,
                                       .n_resources = row->has_folder ? 2 : 1,
                                       .resource_kinds = {RESOURCE_STREAM, RESOURCE_FOLDER},
                                       .n_born = row->n_born,
                                       .allowance = allowance,
                                       .root_fd = row->has_folder ? companion->folder_fd : 0,
                                       .memory_max = row->memory_max,
                                       .trace = place->trace && row->policy,
                                       .file_size_max = 0,
                                       .cgroup = place->cgroup_host ? &companion->cgroup : NULL,
                                       .wake_fd = place->wake_fd,
                                       .wake = place->wake,
                                       .wake_context = place->wake_context};
}

static int spawn(struct companion *companion, const struct companion_place *place, int socket, int output,
                 char *why, size_t why_size)
{
        const int resources[] = {socket, companion->folder_fd};
        struct jail_allowance allowance = companion->row->allowance;
        struct jail_failure failure;
        struct jail_child child;
        struct jail_spec spec;
        char text[256];
        int r;

        allowance.argv = companion->args.argv;
        make_spec(companion, place, resources, &allowance, &spec);
        spec.output_fd = output;
        r = jail_spawn(&spec, &child, &failure);
        if (r < 0) {
                snprintf(why, why_size, "jail stage %s: %s", failure.stage, strerror(-r));
                return r;
        }
        if (child.layers_missing & ~companion->layers_told)
                log_warning("jail without: %s dev=%s companion=%s",
                            jail_layers_text(child.layers_missing, text, sizeof(text)), place->device,
                            companion->row->name);
        companion->layers_told |= child.layers_missing;
        companion->pid = child.pid;
        companion->pidfd = child.pidfd;
        companion->trace = child.trace;
        return 0;
}

static void close_and_clear(int *fd)
{
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

int companion_start(struct companion *companion, const struct companion_place *place, uint64_t now_ms,
                    int *ret_worker_fd, char *why, size_t why_size)
{
        _cleanup_close_ int ours = -1, theirs = -1, output_r = -1, output_w = -1;
        int pipe_fds[2],
            r = resource_pair(companion->row->socket_type, companion->row->socket_len, &ours, &theirs);

        snprintf(why, why_size, "no socket and pipe for it");
        if (r < 0)
                return r;
        if (companion->row->blocks && fcntl(theirs, F_SETFL, 0) < 0)
                return -errno;
        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return -errno;
        output_r = pipe_fds[0];
        output_w = pipe_fds[1];
        if (fcntl(output_r, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        make_group(companion, place);
        r = spawn(companion, place, theirs, output_w, why, why_size);
        if (r < 0) {
                cgroup_close(&companion->cgroup);
                return r;
        }
        close_and_clear(&companion->output_fd);
        companion->output_fd = take_fd(&output_r);
        companion->starts++;
        companion->due_ms = 0;
        companion->born_ms = now_ms;
        *ret_worker_fd = take_fd(&ours);
        return 0;
}

/* At once the first time, then later and later. */
void companion_postpone(struct companion *companion, uint64_t now_ms)
{
        uint64_t wait = 0;

        if (companion->deaths > 0)
                wait = (uint64_t)LIMIT_BACKOFF_MIN_MS << MIN(companion->deaths - 1, 16u);
        wait = MIN(wait, (uint64_t)LIMIT_BACKOFF_MAX_MS);
        companion->deaths++;
        companion->due_ms = now_ms + wait + 1; /* 0 means never */
}

static void forget(struct companion *companion)
{
        waitid(P_PIDFD, (id_t)companion->pidfd, NULL, WEXITED | WNOHANG);
        companion->trace = (struct trace){.pid = 0};
        close_and_clear(&companion->pidfd);
        companion->pid = 0;
        cgroup_close(&companion->cgroup);
}

void companion_serve(struct companion *companion)
{
        siginfo_t info;

        if (companion->pid != 0)
                (void)trace_look(&companion->trace, companion->pidfd, &info);
}

/* The call is only known of one that was traced. */
static void explain_call(const struct companion *companion, char *why, size_t why_size)
{
        struct spawn_cause cause = companion->trace.cause;
        const uint64_t *args = cause.args;

        if (companion->row->policy)
                policy_explain(policy_find(companion->row->policy), &cause);
        if (!companion->row->policy || !cause.have_call)
                snprintf(why, why_size, "was killed for a forbidden system call");
        else
                snprintf(why, why_size,
                         "was killed for a forbidden system call: %s(0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64
                         ", 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ") nr=%u%s",
                         cause.call[0] != '\0' ? cause.call : "unnamed", args[0], args[1], args[2], args[3],
                         args[4], args[5], cause.nr,
                         cause.breach == SPAWN_BREACH_ARGUMENTS
                             ? ", which it may make with other arguments only"
                             : "");
}

bool companion_look(struct companion *companion, uint64_t now_ms, char *why, size_t why_size)
{
        siginfo_t info = {.si_pid = 0};

        if (companion->pid == 0 || trace_look(&companion->trace, companion->pidfd, &info) != 1)
                return false;
        if (info.si_code == CLD_EXITED)
                snprintf(why, why_size, "ended with status %d", info.si_status);
        else if (info.si_status == SIGSYS)
                explain_call(companion, why, why_size);
        else
                snprintf(why, why_size, "was killed by signal %d%s", info.si_status,
                         info.si_status == SIGKILL && cgroup_oom_killed(&companion->cgroup)
                             ? ", out of memory in its control group"
                             : "");
        forget(companion);
        if (now_ms - companion->born_ms >= LIMIT_SETTLED_MS)
                companion->deaths = 0;
        companion_postpone(companion, now_ms);
        return true;
}

/* A line at a time, and what has no end of line is one too. */
static void log_words(const struct companion *companion, const char *device, const char *bytes, size_t n)
{
        char text[4 * LINE_MAX_BYTES + 1];

        for (size_t at = 0; at < n;) {
                const char *end = memchr(bytes + at, '\n', n - at);
                size_t len = end ? (size_t)(end - (bytes + at)) : n - at;

                if (len > 0) {
                        log_escape(bytes + at, len, text, sizeof(text));
                        log_limited(LOG_LEVEL_INFO, "companion says dev=%s companion=%s: %s", device,
                                    companion->row->name, text);
                }
                at += len + 1;
        }
}

bool companion_listens(const struct companion *companion, uint64_t now_ms)
{
        return companion->row && companion->output_fd >= 0 && companion->words_ms <= now_ms;
}

/* One that never stops finds its pipe full, and waits there: not we for it, nor the others for us. */
void companion_read_output(struct companion *companion, const char *device, uint64_t now_ms)
{
        char bytes[LINE_MAX_BYTES];

        companion->words_ms = now_ms + LIMIT_COMPANION_WORDS_MS;
        for (size_t done = 0; done < LIMIT_COMPANION_WORDS && companion->output_fd >= 0;) {
                ssize_t n = read(companion->output_fd, bytes, sizeof(bytes));

                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return;
                if (n <= 0) {
                        close_and_clear(&companion->output_fd);
                        return;
                }
                log_words(companion, device, bytes, (size_t)n);
                done += (size_t)n;
        }
}

/* A traced one stands before us once more at its end. */
static bool await_end(struct companion *companion)
{
        struct pollfd pfd = {.fd = companion->pidfd, .events = POLLIN};
        siginfo_t info;

        for (unsigned i = 0; i < LIMIT_KILL_MS / END_SLICE_MS; i++)
                if (trace_look(&companion->trace, companion->pidfd, &info) != 0 ||
                    poll(&pfd, 1, END_SLICE_MS) > 0)
                        return true;
        return false;
}

void companion_end(struct companion *companion)
{
        if (companion->pid == 0)
                return;
        syscall(SYS_pidfd_send_signal, companion->pidfd, SIGKILL, NULL, 0);
        if (!await_end(companion))
                log_error("companion does not die companion=%s pid=%d", companion->row->name,
                          (int)companion->pid);
        forget(companion);
}

void companion_release(struct companion *companion)
{
        close_and_clear(&companion->pidfd);
        close_and_clear(&companion->program_fd);
        close_and_clear(&companion->folder_fd);
        close_and_clear(&companion->output_fd);
        *companion = COMPANION_NONE;
}

/* ---- kinds ---- */

static const struct companion_row *const rows[] = {&companion_passt, &companion_vsock};

const struct companion_row *companion_find(const char *name)
{
        for (size_t i = 0; i < array_size(rows); i++)
                if (strcmp(rows[i]->name, name) == 0)
                        return rows[i];
        return NULL;
}
