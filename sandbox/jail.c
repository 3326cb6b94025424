/* Starting one worker: the spawner's side.
 * Owns the child until it is handed out; called by the spawner. TRUST: sees no foreign bytes but the child's
 * report, which is written before the worker's program runs.
 *
 * How it works:
 *   prepare   compile both filters, make the pipes: nothing is allocated after the fork.
 *   clone     all namespaces at once, with the broker's uid as our effective one: so the broker comes to own
 * the worker's user namespace, and with it the right to copy into the worker and to kill it, without any
 * capability. map       the worker's own uid and gid, identity-mapped, and nothing else, but for one whose folder has
 * a range of owners; still with the broker's uid, as the owner. group     under version 2 the child is moved into
 * its cgroup; under version 1 it was given what it takes to move itself. go        one byte; the child runs its
 * stages. trace     it asks for its tracer; with the broker's uid once more, because only the owner of its
 * namespace may; a second byte, and it executes the program. End of file on the report pipe means done.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"
#include "sandbox/jail_stages.h"
#include "sandbox/test_layers.h"

#define JAIL_NAMESPACES                                                                                      \
        (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
#define JAIL_SLICE_MS 20 /* a traced child that has died before its program tells nobody: it is looked at */
#define JAIL_TIMEOUT_MS                                                                                      \
        10000 /* all stages together need 3 ms; a host that needs more than this cannot run workers */

/* Everything of one attempt; freed on every way out. */
struct jail_attempt {
        struct policy_program start_filter;
        int policy_fd;
        int go_r, go_w, report_r, report_w;
        int cgroup_fds[CGROUP_CONTROLLER_COUNT_];
        unsigned n_cgroup_fds;
        pid_t pid;
        int pidfd;
        struct trace trace;
        int trace_error;
};

static int jail_fail_at(struct jail_failure *ret_failure, const char *stage, int error)
{
        *ret_failure = (struct jail_failure){.stage = stage, .error = error};
        return error;
}

static void jail_close(int *fd)
{
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

static void cleanup_attempt(struct jail_attempt *attempt)
{
        policy_program_done(&attempt->start_filter);
        jail_close(&attempt->policy_fd);
        jail_close(&attempt->go_r);
        jail_close(&attempt->go_w);
        jail_close(&attempt->report_r);
        jail_close(&attempt->report_w);
        while (attempt->n_cgroup_fds > 0)
                jail_close(&attempt->cgroup_fds[--attempt->n_cgroup_fds]);
        if (attempt->pid > 0)
                trace_reap(attempt->pid);
        jail_close(&attempt->pidfd);
}

static int jail_pipe(int *ret_r, int *ret_w)
{
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        *ret_r = fds[0];
        *ret_w = fds[1];
        return 0;
}

static int jail_make_pipes(struct jail_attempt *attempt, struct jail_failure *ret_failure)
{
        int r = jail_pipe(&attempt->go_r, &attempt->go_w);

        if (r == 0)
                r = jail_pipe(&attempt->report_r, &attempt->report_w);
        return r < 0 ? jail_fail_at(ret_failure, "pipes", r) : 0;
}

/* No filter of ours, and only for who is allowed to bring its own. */
static int jail_prepare_foreign(const struct jail_spec *spec, struct jail_attempt *attempt,
                                struct jail_failure *ret_failure)
{
        if (!spec->allowance || !spec->allowance->own_sandbox || spec->trace)
                return jail_fail_at(ret_failure, "prepare", -EINVAL);
        attempt->policy_fd = fcntl(spec->null_fd, F_DUPFD_CLOEXEC, 0); /* in the filter's place */
        if (attempt->policy_fd < 0)
                return jail_fail_at(ret_failure, "prepare", -errno);
        return jail_make_pipes(attempt, ret_failure);
}

/* Capabilities are over ids that the namespace has: with its own alone there is nothing for them. The host's root, the broker and
 * the worker itself are in no range. */
static bool jail_ids_are_good(const struct jail_spec *spec)
{
        uint64_t end = (uint64_t)spec->first_id + spec->n_ids;

        if (spec->n_ids == 0)
                return !spec->policy || policy_capabilities(spec->policy) == 0;
        return !spec->rootless && spec->first_id > 0 && end < UINT32_MAX &&
               (spec->uid < spec->first_id || spec->uid >= end) && spec->uid >= spec->n_ids &&
               (spec->owner_uid < spec->first_id || spec->owner_uid >= end);
}

static int jail_prepare(const struct jail_spec *spec, struct jail_attempt *attempt,
                        struct jail_failure *ret_failure)
{
        struct policy_layout layout = {
            .n_lanes = spec->n_lanes,
            .n_resources = spec->n_resources,
            .resources_rw = spec->resources_rw,
            .n_born = spec->n_born <= POLICY_BORN_MAX ? spec->n_born : 0,
            .binary_fd = -1,
            .report_fd = -1,
            .go_fd = -1,
            .only_log = spec->seccomp_log,
        };
        _cleanup_(policy_program_done) struct policy_program run_filter = {0};
        int r;

        memcpy(layout.resource_kinds, spec->resource_kinds, sizeof(layout.resource_kinds));
        if (spec->n_lanes > LIMIT_LANES || spec->n_resources > LIMIT_RESOURCES)
                return jail_fail_at(ret_failure, "prepare", -EINVAL);
        if (!spec->rootless && (spec->uid == 0 || spec->uid == spec->owner_uid ||
                                (spec->owner_uid == 0 && !spec->owner_is_spawner)))
                return jail_fail_at(ret_failure, "prepare", -EINVAL);
        if (!jail_ids_are_good(spec))
                return jail_fail_at(ret_failure, "prepare", -EINVAL);
        if (!spec->policy)
                return jail_prepare_foreign(spec, attempt, ret_failure);
        r = policy_cache_compile(spec->filters, spec->policy, POLICY_GATE_RUN, &layout, &run_filter);
        if (r == 0)
                r = policy_program_seal(&run_filter, &attempt->policy_fd);
        if (r < 0)
                return jail_fail_at(ret_failure, "run policy", r);
        layout.binary_fd = jail_fd_binary(spec);
        layout.report_fd = jail_fd_report(spec);
        layout.go_fd = spec->trace ? jail_fd_go(spec) : -1;
        r = policy_cache_compile(spec->filters, spec->policy, POLICY_GATE_START, &layout,
                                 &attempt->start_filter);
        if (r < 0)
                return jail_fail_at(ret_failure, "start policy", r);
        return jail_make_pipes(attempt, ret_failure);
}

static _Noreturn void jail_child(const struct jail_spec *spec, struct jail_attempt *attempt)
{
        struct jail_run run = {
            .spec = spec,
            .start_filter = &attempt->start_filter,
            .go_fd = attempt->go_r,
            .report_fd = attempt->report_w,
            .binary_fd = spec->binary_fd,
            .policy_fd = attempt->policy_fd,
            .cgroup_fds = attempt->cgroup_fds,
            .n_cgroup_fds = attempt->n_cgroup_fds,
        };

        close(attempt->go_w); /* or the spawner's death would not end the wait */
        snprintf(run.n_lanes, sizeof(run.n_lanes), "%u", spec->n_lanes);
        snprintf(run.n_resources, sizeof(run.n_resources), "%u", spec->n_resources);
        jail_stages_run(&run);
}

/* Our effective ids become the broker's, or ours again. Capabilities stay: see spawner_keep_capabilities. The
 * way back cannot fail but by a bug, and going on with foreign ids would be worse than ending. */
static int jail_act_as(uid_t uid, gid_t gid)
{
        if (syscall(SYS_setresgid, -1, gid, -1) < 0)
                return -errno;
        if (syscall(SYS_setresuid, -1, uid, -1) < 0)
                return -errno;
        return 0;
}

static void jail_act_as_ourselves(uid_t uid, gid_t gid)
{
        if (jail_act_as(uid, gid) < 0)
                abort();
}

static int jail_write_file(pid_t pid, const char *name, const char *text)
{
        _cleanup_close_ int fd = -1;
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return fd_write_all(fd, text, strlen(text));
}

/* Its own id, which is the same inside, and perhaps a range that begins at 0 there. */
static int jail_write_map(const struct jail_spec *spec, pid_t pid, const char *name, uint32_t own)
{
        char text[96];
        int len = 0;

        if (spec->n_ids > 0)
                len = snprintf(text, sizeof(text), "0 %u %u\n", spec->first_id, spec->n_ids);
        snprintf(text + len, sizeof(text) - (size_t)len, "%u %u 1\n", own, own);
        return jail_write_file(pid, name, text);
}

static int jail_write_maps(const struct jail_spec *spec, pid_t pid)
{
        int r = jail_write_map(spec, pid, "gid_map", spec->gid);

        return r < 0 ? r : jail_write_map(spec, pid, "uid_map", spec->uid);
}

static uint64_t jail_namespaces(const struct jail_spec *spec)
{
        if (!layer_is_on("namespaces"))
                return 0;
        return spec->allowance && spec->allowance->host_network ? JAIL_NAMESPACES & ~(uint64_t)CLONE_NEWNET
                                                                : JAIL_NAMESPACES;
}

/* The child finds its root by its working directory: the kernel moves that into the copy of the tree of mounts. */
static int jail_enter_root(const struct jail_spec *spec, int *ret_before)
{
        int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (before < 0)
                return -errno;
        *ret_before = before;
        return fchdir(spec->root_fd) < 0 ? -errno : 0;
}

/* The ordinary user has no authority over /proc entries of a non-dumpable process, root has. So only then,
 * and only between here and the child's own dumpable stage, the child may be looked at: by its own user. */
static int jail_clone_here(const struct jail_spec *spec, struct jail_attempt *attempt)
{
        struct clone_args args = {
            .flags = jail_namespaces(spec) | CLONE_PIDFD,
            .pidfd = (uint64_t)(uintptr_t)&attempt->pidfd,
            .exit_signal = SIGCHLD,
        };
        long pid;
        int e;

        if (spec->rootless && prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
                return -errno;
        pid = syscall(SYS_clone3, &args, sizeof(args));
        e = errno;
        if (pid == 0)
                jail_child(spec, attempt);
        if (spec->rootless)
                prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        if (pid < 0)
                return -e;
        attempt->pid = (pid_t)pid;
        return 0;
}

/* Whether there is a child or not: we do not stay in a folder that a guest may write to. */
static int jail_clone(const struct jail_spec *spec, struct jail_attempt *attempt)
{
        _cleanup_close_ int before = -1;
        int r = spec->root_fd > 0 ? jail_enter_root(spec, &before) : 0;

        if (r == 0)
                r = jail_clone_here(spec, attempt);
        if (before >= 0 && fchdir(before) < 0 && r == 0)
                r = -errno;
        return r;
}

static int jail_clone_and_map(const struct jail_spec *spec, struct jail_attempt *attempt,
                              struct jail_failure *ret_failure)
{
        uid_t uid = geteuid();
        gid_t gid = getegid();
        const char *stage = "owner";
        int r;

        r = layer_is_on("namespaces") ? jail_act_as(spec->owner_uid, spec->owner_gid) : 0;
        if (r == 0) {
                stage = "clone";
                r = jail_clone(spec, attempt);
        }
        if (r == 0 && layer_is_on("namespaces")) {
                stage = "id maps";
                r = jail_write_maps(spec, attempt->pid);
        }
        jail_act_as_ourselves(uid, gid);
        return r < 0 ? jail_fail_at(ret_failure, stage, r) : 0;
}

static const enum jail_layer cgroup_layers[] = {
    [CGROUP_MEMORY] = JAIL_LAYER_CGROUP_MEMORY,
    [CGROUP_PIDS] = JAIL_LAYER_CGROUP_PIDS,
    [CGROUP_CPU] = JAIL_LAYER_CGROUP_CPU,
    [CGROUP_IO] = JAIL_LAYER_CGROUP_IO,
};

/* A group that cannot be had is a missing layer; one that exists must take the child. */
static bool jail_has_cgroup(const struct jail_spec *spec, uint32_t *missing)
{
        uint32_t present = spec->cgroup ? spec->cgroup->present : 0;

        for (unsigned i = 0; i < CGROUP_CONTROLLER_COUNT_; i++)
                if (!(present & (1u << i)))
                        *missing |= JAIL_LAYER_BIT(cgroup_layers[i]);
        return present && layer_is_on("cgroup");
}

/* Until there is something to read. Meanwhile the caller's other children are served, and our own, which may
 * stand before us at its end with its end of the pipe still open. */
static int jail_poll_report(const struct jail_spec *spec, struct jail_attempt *attempt)
{
        struct pollfd pfds[] = {{.fd = attempt->report_r, .events = POLLIN},
                                {.fd = spec->wake ? spec->wake_fd : -1, .events = POLLIN}};
        siginfo_t info;

        for (int slices = 0; slices < JAIL_TIMEOUT_MS / JAIL_SLICE_MS;) {
                int r = poll(pfds, array_size(pfds), JAIL_SLICE_MS);

                if (r < 0 && errno != EINTR)
                        return -errno;
                slices += r == 0;
                if (r > 0 && pfds[1].revents) /* before the report: it may be there each time */
                        spec->wake(spec->wake_context);
                if (attempt->trace.pid > 0)
                        (void)trace_look(&attempt->trace, attempt->pidfd, &info);
                if (r > 0 && pfds[0].revents)
                        return 0;
        }
        return -ETIMEDOUT;
}

/* One report, or end of file (0), or negative errno. */
static int jail_read_report(const struct jail_spec *spec, struct jail_attempt *attempt,
                            struct jail_report *ret_report)
{
        struct jail_report report;
        ssize_t n;
        int r = jail_poll_report(spec, attempt);

        if (r < 0)
                return r;
        n = read(attempt->report_r, &report, sizeof(report));
        if (n < 0)
                return -errno;
        if (n == 0)
                return 0;
        if (n != sizeof(report))
                return -EPROTO; /* a pipe keeps writes of this size whole */
        *ret_report = report;
        return 1;
}

/* The child has asked for it. That it cannot be had is no reason to have no worker. */
static int jail_trace(const struct jail_spec *spec, struct jail_attempt *attempt)
{
        uid_t uid = geteuid();
        gid_t gid = getegid();
        int r = jail_act_as(spec->owner_uid, spec->owner_gid);

        if (r == 0)
                r = trace_seize(&attempt->trace, attempt->pid);
        jail_act_as_ourselves(uid, gid);
        attempt->trace_error = r;
        return fd_write_all(attempt->go_w, "", 1);
}

static int jail_failed_stage(const struct jail_report *report, struct jail_failure *ret_failure)
{
        const char *name = jail_stage_name(report->stage);

        return jail_fail_at(ret_failure, name ? name : "report", report->error < 0 ? report->error : -EPROTO);
}

/* A ready report, perhaps a wish to be traced, and then end of file. */
static int jail_await(const struct jail_spec *spec, struct jail_attempt *attempt, uint32_t *missing,
                      struct jail_failure *ret_failure)
{
        struct jail_report report = {0};
        bool ready = false;
        int r;

        jail_close(&attempt->report_w);
        for (;;) {
                r = jail_read_report(spec, attempt, &report);
                if (r < 0)
                        return jail_fail_at(ret_failure, "report", r);
                if (r == 0)
                        return ready ? 0 : jail_fail_at(ret_failure, "report", -ECHILD);
                if (report.stage == JAIL_REPORT_TRACE) {
                        r = ready ? jail_trace(spec, attempt) : -EPROTO;
                        if (r < 0)
                                return jail_fail_at(ret_failure, "report", r);
                        continue;
                }
                if (report.stage != JAIL_REPORT_READY)
                        return jail_failed_stage(&report, ret_failure);
                if (ready)
                        return jail_fail_at(ret_failure, "report", -EPROTO);
                ready = true;
                *missing |= report.missing;
        }
}

int jail_spawn(const struct jail_spec *spec, struct jail_child *ret_child, struct jail_failure *ret_failure)
{
        _cleanup_(cleanup_attempt) struct jail_attempt attempt = {
            .policy_fd = -1, .go_r = -1, .go_w = -1, .report_r = -1, .report_w = -1, .pidfd = -1};
        uint32_t missing = 0;
        bool has_cgroup;
        int r;

        r = jail_prepare(spec, &attempt, ret_failure);
        if (r < 0)
                return r;
        has_cgroup = jail_has_cgroup(spec, &missing);
        if (has_cgroup) /* as ourselves: they are the opener's rights that count */
                r = cgroup_open_tasks(spec->cgroup, attempt.cgroup_fds, &attempt.n_cgroup_fds);
        if (r < 0)
                return jail_fail_at(ret_failure, "cgroup", r);
        r = jail_clone_and_map(spec, &attempt, ret_failure);
        if (r < 0)
                return r;
        if (has_cgroup && attempt.n_cgroup_fds == 0)
                r = cgroup_add(spec->cgroup, attempt.pid);
        if (r < 0)
                return jail_fail_at(ret_failure, "cgroup", r);
        r = fd_write_all(attempt.go_w, "", 1);
        if (r < 0)
                return jail_fail_at(ret_failure, "go", r);
        r = jail_await(spec, &attempt, &missing, ret_failure);
        if (r < 0)
                return r;
        *ret_child = (struct jail_child){.pid = attempt.pid,
                                         .pidfd = take_fd(&attempt.pidfd),
                                         .layers_missing = missing,
                                         .trace = attempt.trace,
                                         .trace_error = attempt.trace_error};
        attempt.pid = 0;
        return 0;
}
