/* The stages between fork and exec of a worker.
 * Owns nothing; called by jail.c in the child. TRUST: runs before any foreign byte is seen; the program that
 * it executes at the end is not trusted even to start.
 *
 * How it works: the spawner has made the process inside new user, pid, mount, net, ipc and uts namespaces,
 * owned by the broker's uid. The child then goes through the table at the end of this file, in order. A stage
 * that fails sends its number and errno over the report pipe and ends the process: there is no worker without
 * its jail. What a kernel does not have is noted in `missing` and told to the operator; everything that it
 * has must succeed.
 *
 * Only async-signal-safe calls are made here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/jail_stages.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/time_slice.h"
#include "sandbox/landlock.h"
#include "sandbox/lockdown.h"
#include "sandbox/process_rights.h"
#include "sandbox/share.h"
#include "sandbox/test_layers.h"

#define STANDARD_SIGNALS 32 /* 1..31; the real-time ones above them are never ignored */
#define WORKER_STACK_BYTES                                                                                   \
        (1u                                                                                                  \
         << 20) /* a worker's deepest call chain needs a few KiB; the rest is margin                      \
                    */

struct jail_stage {
        const char *name;
        int (*run)(struct jail_run *run);
        uint32_t may_miss;       /* layers that this stage may find absent; 0: it must succeed */
        const char *not_earlier; /* why it stands here */
};

/* Does it bring a sandbox of its own? */
static bool jail_is_foreign(const struct jail_spec *spec)
{
        return spec->allowance && spec->allowance->own_sandbox;
}

int jail_fd_count(const struct jail_spec *spec)
{
        return worker_fd_policy(spec->n_lanes, spec->n_resources) + 1;
}

/* One byte of the spawner's. End of file: it is gone. */
static int jail_await_go(const struct jail_run *run)
{
        char byte;
        ssize_t n;

        do {
                n = read(run->go_fd, &byte, 1);
        } while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        return n == 1 ? 0 : -EPIPE;
}

/* It comes when the id maps are written, and under version 2 of cgroups when ours holds us. */
static int stage_wait(struct jail_run *run)
{
        return jail_await_go(run);
}

/* By ourselves, because then the kernel need not wait until nobody forks: that took longer than all the rest. */
static int stage_cgroup(struct jail_run *run)
{
        for (unsigned i = 0; i < run->n_cgroup_fds; i++)
                if (write(run->cgroup_fds[i], "0", 1) != 1)
                        return -errno;
        return 0;
}

static int stage_signals(struct jail_run *run)
{
        struct sigaction action = {.sa_handler = SIG_DFL};
        sigset_t none;

        (void)run;
        for (int i = 1; i < STANDARD_SIGNALS; i++)
                if (i != SIGKILL && i != SIGSTOP && sigaction(i, &action, NULL) < 0)
                        return -errno;
        sigemptyset(&none);
        return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

static int stage_session(struct jail_run *run)
{
        (void)run;
        return setsid() < 0 ? -errno : 0;
}

/* No layer, and no more of a CPU than others have: where the kernel does not know it, turns are as long as ever. */
static int stage_turns(struct jail_run *run)
{
        if (run->spec->short_turns)
                time_slice_set(true);
        return 0;
}

/* Two passes, because a descriptor may stand where another has to go: all of them up out of the way, then
 * down. */
static int stage_fds(struct jail_run *run)
{
        const struct jail_spec *spec = run->spec;
        int count = jail_fd_count(spec), n = 0;
        int from[3 + 1 + 2 * LIMIT_LANES + LIMIT_RESOURCES + 1 + 3];

        from[n++] = spec->null_fd;
        from[n++] = spec->null_fd;
        from[n++] = spec->output_fd > 0 ? spec->output_fd : spec->null_fd;
        from[n++] = spec->control_fd;
        for (unsigned i = 0; i < spec->n_lanes; i++) {
                from[n++] = spec->lanes[i].in;
                from[n++] = spec->lanes[i].out;
        }
        for (unsigned i = 0; i < spec->n_resources; i++)
                from[n++] = spec->resource_fds[i];
        from[n++] = run->policy_fd;
        from[n++] = run->binary_fd;
        from[n++] = run->report_fd;
        from[n++] = run->go_fd;
        for (int i = 0; i < n; i++) {
                from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, n);
                if (from[i] < 0)
                        return -errno;
        }
        run->report_fd = from[n - 2]; /* the number that stays valid while the others move */
        for (int i = 0; i < n; i++)
                if (dup3(from[i], i, i >= count ? O_CLOEXEC : 0) < 0)
                        return -errno;
        run->binary_fd = jail_fd_binary(spec);
        run->report_fd = jail_fd_report(spec);
        run->go_fd = jail_fd_go(spec);
        return syscall(SYS_close_range, (unsigned)n, ~0u, 0) < 0 ? -errno : 0;
}

static int stage_groups(struct jail_run *run)
{
        if (!run->spec->rootless)
                return rights_drop_groups();
        run->missing |= JAIL_LAYER_BIT(JAIL_LAYER_NO_GROUPS);
        return 0;
}

static int stage_gid(struct jail_run *run)
{
        return rights_set_gid(run->spec->gid);
}

static int stage_uid(struct jail_run *run)
{
        if (run->spec->rootless)
                run->missing |= JAIL_LAYER_BIT(JAIL_LAYER_UNIQUE_UID);
        return rights_set_uid(run->spec->uid);
}

/* The limit of our own user namespace: a process without any capability could otherwise make a child
 * namespace and hold all of them there. */
static int stage_no_namespaces(struct jail_run *run)
{
        int fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0 && (errno == EROFS || errno == ENOENT || errno == EACCES)) {
                run->missing |= JAIL_LAYER_BIT(JAIL_LAYER_NO_NAMESPACES);
                return 0;
        }
        if (fd < 0)
                return -errno;
        n = write(fd, jail_is_foreign(run->spec) ? "1" : "0",
                  1); /* one, of its own, that is bound by all the rest */
        close(fd);
        return n == 1 ? 0 : -EIO;
}

static int stage_keyring(struct jail_run *run)
{
        if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) >= 0)
                return 0;
        if (errno != ENOSYS)
                return -errno;
        run->missing |= JAIL_LAYER_BIT(JAIL_LAYER_KEYRING);
        return 0;
}

static int stage_cgroup_namespace(struct jail_run *run)
{
        (void)run;
        return unshare(CLONE_NEWCGROUP) < 0 ? -errno : 0;
}

/* The first resource that is a folder; -1: none is. */
static int jail_fd_folder(const struct jail_spec *spec)
{
        for (unsigned i = 0; i < spec->n_resources; i++)
                if (spec->resource_kinds[i] == RESOURCE_FOLDER)
                        return worker_fd_resource(spec->n_lanes, i);
        return -1;
}

/* In their places stand descriptors of the spawner's mount: from these ".." leads out. */
static int jail_open_folders(const struct jail_spec *spec)
{
        int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (root < 0)
                return -errno;
        for (unsigned i = 0; i < spec->n_resources; i++)
                if (spec->resource_kinds[i] == RESOURCE_FOLDER &&
                    dup3(root, worker_fd_resource(spec->n_lanes, i), 0) < 0)
                        return -errno;
        close(root);
        return 0;
}

static int stage_root(struct jail_run *run)
{
        const struct jail_spec *spec = run->spec;
        int r;

        if (spec->allowance && spec->allowance->root_paths)
                return share_root_of_paths(spec->allowance->root_paths, spec->allowance->root_links);
        if (spec->root_fd <= 0)
                return rights_empty_root();
        r = share_become_root();
        return r < 0 ? r : jail_open_folders(spec);
}

static int stage_hostname(struct jail_run *run)
{
        (void)run;
        if (sethostname("worker", 6) < 0 || setdomainname("", 0) < 0)
                return -errno;
        return 0;
}

static uint64_t jail_kept(const struct jail_run *run)
{
        return run->spec->policy ? policy_capabilities(run->spec->policy) : 0;
}

static int stage_ambient(struct jail_run *run)
{
        return jail_kept(run) == 0 ? 0 : rights_make_ambient(jail_kept(run));
}

static int stage_securebits(struct jail_run *run)
{
        (void)run;
        return rights_lock_securebits();
}

static int stage_capabilities(struct jail_run *run)
{
        return rights_drop_capabilities(jail_kept(run));
}

static int stage_no_new_privs(struct jail_run *run)
{
        (void)run;
        return rights_no_new_privs();
}

static int jail_note(struct jail_run *run, int r, enum jail_layer layer)
{
        if (r == 1)
                run->missing |= JAIL_LAYER_BIT(layer);
        return r < 0 ? r : 0;
}

static int stage_mdwe(struct jail_run *run)
{
        return jail_note(run, rights_refuse_exec_gain(), JAIL_LAYER_MDWE);
}

static int stage_spec_store(struct jail_run *run)
{
        return jail_note(run, rights_no_speculation(PR_SPEC_STORE_BYPASS), JAIL_LAYER_SPEC_STORE);
}

static int stage_spec_branch(struct jail_run *run)
{
        return jail_note(run, rights_no_speculation(PR_SPEC_INDIRECT_BRANCH), JAIL_LAYER_SPEC_BRANCH);
}

static int stage_dumpable(struct jail_run *run)
{
        (void)run;
        return rights_not_dumpable();
}

/* One that knows of files may not mount, which it has to; but in the host's network it would reach abstract names. */
static int jail_landlock_foreign(struct jail_run *run)
{
        int abi = landlock_deny_scope();

        if (abi >= 0 && abi < LANDLOCK_ABI_SCOPE)
                run->missing |= JAIL_LAYER_BIT(JAIL_LAYER_LANDLOCK_SCOPE);
        return MIN(abi, 0);
}

static int stage_landlock(struct jail_run *run)
{
        int abi;

        if (jail_is_foreign(run->spec))
                return jail_landlock_foreign(run);
        abi = landlock_deny_all(run->binary_fd, jail_fd_folder(run->spec));
        if (abi < 0)
                return abi;
        if (abi == 0)
                run->missing |= JAIL_LAYER_BIT(JAIL_LAYER_LANDLOCK);
        if (abi < LANDLOCK_ABI_NET)
                run->missing |= JAIL_LAYER_BIT(JAIL_LAYER_LANDLOCK_NET);
        if (abi < LANDLOCK_ABI_SCOPE)
                run->missing |= JAIL_LAYER_BIT(JAIL_LAYER_LANDLOCK_SCOPE);
        return 0;
}

/* What it was granted, and what may arise later; the first of these takes the place of the run filter. What is lent is gone
 * by then. */
static uint64_t jail_fd_most(const struct jail_spec *spec)
{
        return (uint64_t)jail_fd_count(spec) + MAX(spec->n_born > 0 ? spec->n_born - 1 : 0, spec->n_lent);
}

static int stage_rlimits(struct jail_run *run)
{
        const struct jail_spec *spec = run->spec;
        const struct {
                int resource;
                uint64_t value;
        } limits[] = {
            {RLIMIT_NOFILE, jail_fd_most(spec)},
            {RLIMIT_NPROC, 0},
            {RLIMIT_CORE, 0},
            {RLIMIT_AS, spec->memory_max + spec->mapped_max},
            {RLIMIT_DATA, spec->memory_max},
            {RLIMIT_STACK,
             spec->allowance && spec->allowance->stack_max ? spec->allowance->stack_max : WORKER_STACK_BYTES},
            {RLIMIT_FSIZE, spec->file_size_max},
            {RLIMIT_MEMLOCK, 0},
            {RLIMIT_LOCKS, 0},
            {RLIMIT_MSGQUEUE, 0},
            {RLIMIT_SIGPENDING, 0},
            {RLIMIT_RTPRIO, 0},
            {RLIMIT_RTTIME, 0},
            {RLIMIT_NICE, 0},
        };

        for (size_t i = 0; i < array_size(limits); i++) {
                int r = rights_limit(limits[i].resource, limits[i].value);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* `missing` is complete now, and after the filter only a failed execution can still be told. */
static int stage_report(struct jail_run *run)
{
        struct jail_report report = {.stage = JAIL_REPORT_READY, .missing = run->missing};

        return write(run->report_fd, &report, sizeof(report)) == sizeof(report) ? 0 : -EPIPE;
}

static int stage_seccomp(struct jail_run *run)
{
        return jail_is_foreign(run->spec) ? 0 : rights_load_filter(run->start_filter);
}

/* Tracing needs a dumpable process. Until now whoever owns our user namespace, the broker, could have written
 * into one, into the filter before it was loaded for instance; now it could make us do only what the filter
 * allows. */
static int stage_tracer(struct jail_run *run)
{
        struct jail_report report = {.stage = JAIL_REPORT_TRACE};

        if (!run->spec->trace)
                return 0;
        if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
                return -errno;
        if (write(run->report_fd, &report, sizeof(report)) != sizeof(report))
                return -EPIPE;
        return jail_await_go(run);
}

static int stage_exec(struct jail_run *run)
{
        const char *argv[] = {run->spec->title, run->n_lanes, run->n_resources, NULL};
        const char *envp[] = {NULL};
        const struct jail_allowance *allowance = run->spec->allowance;

        syscall(SYS_execveat, run->binary_fd, "", allowance && allowance->argv ? allowance->argv : argv, envp,
                AT_EMPTY_PATH);
        return -errno;
}

static _Noreturn void jail_fail(const struct jail_run *run, uint32_t stage, int error)
{
        struct jail_report report = {.stage = stage, .error = error, .missing = run->missing};
        ssize_t n = write(run->report_fd, &report, sizeof(report));

        (void)n; /* the spawner sees our end either way */
        _exit(1);
}

#define LAYER(name) JAIL_LAYER_BIT(JAIL_LAYER_##name)

static const struct jail_stage stages[] = {
    {"wait", stage_wait, 0, "the first: until the spawner has written the id maps no other step has rights"},
    {"cgroup", stage_cgroup, 0, "after the wait: a child that is not needed any more enters nothing"},
    {"signals", stage_signals, 0, "handlers of the spawner would run in the child; needs nothing"},
    {"session", stage_session, 0, "leaves the terminal and the spawner's process group; needs nothing"},
    {"turns", stage_turns, 0, "needs nothing; kept over exec; before seccomp, which bars it for good"},
    {"fds", stage_fds, 0, "after the wait, which reads a descriptor that is closed here"},
    {"groups", stage_groups, LAYER(NO_GROUPS), "after the id maps, while CAP_SETGID is held; before the uid"},
    {"gid", stage_gid, 0, "after the groups; before the uid, so that no uid ever has foreign groups"},
    {"uid", stage_uid, LAYER(UNIQUE_UID), "before the mounts and the keyring, which belong to their maker"},
    {"no namespaces", stage_no_namespaces, LAYER(NO_NAMESPACES),
     "in our user namespace, with CAP_SYS_RESOURCE over it; before the mounts hide /proc"},
    {"keyring", stage_keyring, LAYER(KEYRING), "after the uid: a keyring counts against its owner"},
    {"cgroup namespace", stage_cgroup_namespace, 0, "after the wait: its root is the group we are in"},
    {"root", stage_root, 0,
     "while CAP_SYS_ADMIN over our mount namespace is held; from here on no path leads anywhere"},
    {"hostname", stage_hostname, 0, "while CAP_SYS_ADMIN over our uts namespace is held"},
    {"kept capabilities", stage_ambient, 0,
     "after the last change of ids, which would end them; before the securebits, which bar it; most have "
     "none"},
    {"securebits", stage_securebits, 0, "after every step that needs a capability; needs CAP_SETPCAP"},
    {"capabilities", stage_capabilities, 0, "after the securebits, whose locking needs one"},
    {"no_new_privs", stage_no_new_privs, 0,
     "after the capabilities: Landlock and seccomp must not need them"},
    {"mdwe", stage_mdwe, LAYER(MDWE), "any time; kept over exec"},
    {"speculation store", stage_spec_store, LAYER(SPEC_STORE), "before seccomp bars prctl; kept over exec"},
    {"speculation branch", stage_spec_branch, LAYER(SPEC_BRANCH),
     "before seccomp bars prctl; kept over exec"},
    {"dumpable", stage_dumpable, 0,
     "after the last change of ids; exec undoes it, lockdown_worker redoes it"},
    {"landlock", stage_landlock, LAYER(LANDLOCK) | LAYER(LANDLOCK_NET) | LAYER(LANDLOCK_SCOPE),
     "after no_new_privs, which it needs; after the mounts, which it would bar"},
    {"rlimits", stage_rlimits, 0, "after Landlock, whose ruleset needs a descriptor beyond the granted ones"},
    {"report", stage_report, 0, "after the last layer that can be missing; before seccomp narrows writing"},
    {"seccomp", stage_seccomp, 0, "bars the calls of all the stages before it"},
    {"tracer", stage_tracer, 0,
     "after seccomp: a traceable process is open to its namespace's owner; before exec, whose faults it is "
     "to show"},
    {"exec", stage_exec, 0, "the last: the program meets all of the above from its first instruction"},
};

const char *jail_stage_name(size_t i)
{
        return i < array_size(stages) ? stages[i].name : NULL;
}

const char *jail_stage_reason(size_t i)
{
        return i < array_size(stages) ? stages[i].not_earlier : NULL;
}

uint32_t jail_stage_may_miss(size_t i)
{
        return i < array_size(stages) ? stages[i].may_miss : 0;
}

/* A test's wish. The first stage waits all the same: without its child the spawner has nobody to map. */
static int jail_stage_run(struct jail_run *run, size_t i)
{
        const char *fail = run->spec->fail_stage;
        bool fails = fail && strcmp(fail, stages[i].name) == 0;
        int r = fails && i > 0 ? 0 : stages[i].run(run);

        return fails ? -EIO : r;
}

_Noreturn void jail_stages_run(struct jail_run *run)
{
        for (uint32_t i = 0; i < array_size(stages); i++) {
                int r = layer_is_on(stages[i].name) ? jail_stage_run(run, i) : 0;

                if (r < 0)
                        jail_fail(run, i, r);
        }
        jail_fail(run, array_size(stages) - 1, -EINVAL); /* exec does not return 0 */
}
