/* A probe worker in a real jail.
 * Owns the probe's process between start and stop; called by the jail tests. TRUST: the probe is hostile by
 * design.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/jail/jail_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/fd.h"
#include "sandbox/lockdown.h"

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif

#define ANSWER_MS 10000
#define OPEN_ROWS 480 /* beyond the last system call of the newest kernel known */

bool fixture_needs_root(void)
{
        if (geteuid() == 0)
                return true;
        fprintf(stderr, "skipped: needs root, to make workers of other users\n");
        if (getenv("MUST_RUN"))
                exit(1);
        return false;
}

bool fixture_kernel_can_refuse(enum probe_attack attack)
{
        int speculation = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);

        if (attack == PROBE_MMAP_EXEC || attack == PROBE_MPROTECT_EXEC)
                return prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0;
        if (attack == PROBE_PRCTL_SPECULATION)
                return speculation >= 0 && ((unsigned)speculation & PR_SPEC_PRCTL) != 0;
        return true;
}

void fixture_keep_rights(void)
{
        static const gid_t groups[] = {27, 100}; /* for the jail to drop */

        signal(SIGPIPE, SIG_IGN);
        assert_int_equal(syscall(SYS_setgroups, array_size(groups), groups), 0);
        assert_int_equal(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0), 0);
}

void fixture_spec(struct jail_spec *spec, const struct policy *policy, struct probe *probe,
                  struct probe_theirs *ret_theirs)
{
        struct fd_duplex lane[2];
        int control[2];

        assert_int_equal(fd_stream_pair(control), 0);
        assert_int_equal(fd_pipe_pair(lane), 0);
        *probe = (struct probe){.control = control[0], .lane = lane[0], .child = {.pidfd = -1}};
        *ret_theirs = (struct probe_theirs){.control = control[1], .lane = lane[1]};
        *spec = (struct jail_spec){
            .policy = policy,
            .title = "bulkhead-worker-probe: test/probe",
            .uid = FIXTURE_WORKER,
            .gid = FIXTURE_WORKER,
            .owner_uid = FIXTURE_OWNER,
            .owner_gid = FIXTURE_OWNER,
            .binary_fd = open(PROBE_PROGRAM, O_RDONLY | O_CLOEXEC),
            .null_fd = open("/dev/null", O_RDWR | O_CLOEXEC),
            .control_fd = ret_theirs->control,
            .lanes = &ret_theirs->lane,
            .n_lanes = 1,
            .memory_max = FIXTURE_MEMORY,
        };
        assert_true(spec->binary_fd >= 0 && spec->null_fd >= 0);
}

void fixture_close(const struct jail_spec *spec, struct probe_theirs *theirs)
{
        close(theirs->control);
        fd_duplex_close(&theirs->lane);
        close(spec->binary_fd);
        close(spec->null_fd);
}

void fixture_close_ours(struct probe *probe)
{
        close(probe->control);
        fd_duplex_close(&probe->lane);
}

void probe_start_spec(struct probe *probe, struct jail_spec *spec, struct probe_theirs *theirs)
{
        struct jail_failure failure = {0};

        if (jail_spawn(spec, &probe->child, &failure) < 0)
                fail_msg("jail stage %s: %s", failure.stage, strerror(-failure.error));
        fixture_close(spec, theirs);
}

void probe_start(struct probe *probe, const struct policy *policy)
{
        struct jail_spec spec;
        struct probe_theirs theirs;

        fixture_spec(&spec, policy, probe, &theirs);
        probe_start_spec(probe, &spec, &theirs);
}

static _Noreturn void free_child(const struct jail_spec *spec, int go)
{
        const char *argv[] = {spec->title, "1", "0", NULL};
        char byte;

        if (read(go, &byte, 1) != 1)
                _exit(3);
        if (dup2(spec->control_fd, 60) < 0 || dup2(spec->lanes[0].in, 61) < 0 ||
            dup2(spec->lanes[0].out, 62) < 0 || dup2(60, WORKER_FD_CONTROL) < 0 ||
            dup2(61, worker_fd_lane_in(0)) < 0 || dup2(62, worker_fd_lane_out(0)) < 0)
                _exit(4);
        syscall(SYS_close_range, (unsigned)worker_fd_resource(1, 0), ~0u, 0);
        execve(PROBE_PROGRAM, (char *const *)argv, (char *const *)(argv + 3));
        _exit(5);
}

void probe_start_free(struct probe *probe)
{
        struct jail_spec spec;
        struct probe_theirs theirs;
        int go[2];
        pid_t pid;

        fixture_spec(&spec, NULL, probe, &theirs);
        assert_int_equal(pipe2(go, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                free_child(&spec, go[0]);
        assert_int_equal(write(go[1], "", 1), 1);
        close(go[0]);
        close(go[1]);
        fixture_close(&spec, &theirs);
        probe->child.pid = pid;
        probe->child.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
}

static int64_t probe_died(struct probe *probe)
{
        siginfo_t info;

        probe->status = -1;
        if (waitid(P_PIDFD, (id_t)probe->child.pidfd, &info, WEXITED | WNOWAIT) < 0)
                return PROBE_DEAD; /* another process's child: its parent knows more */
        probe->status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
        return PROBE_DEAD;
}

int64_t probe_ask(struct probe *probe, enum probe_attack attack, uint64_t a0, uint64_t a1, uint64_t a2,
                  uint64_t a3)
{
        struct probe_command command = {.attack = attack, .args = {a0, a1, a2, a3}};
        struct probe_answer answer;
        struct pollfd pfd = {.fd = probe->control, .events = POLLIN};

        if (write(probe->control, &command, sizeof(command)) != (ssize_t)sizeof(command))
                return probe_died(probe);
        if (poll(&pfd, 1, ANSWER_MS) != 1)
                fail_msg("no answer to attack %d", attack);
        if (read(probe->control, &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
                return probe_died(probe);
        return answer.result;
}

void probe_stop(struct probe *probe)
{
        trace_reap(probe->child.pid);
        close(probe->child.pidfd);
        fixture_close_ours(probe);
}

const struct policy *fixture_open_policy(void)
{
        static struct policy_row rows[OPEN_ROWS];
        static struct policy policy = {.type = "open", .run = {{rows, 0}}, .max_run_calls = OPEN_ROWS};

        for (int nr = 0; policy.run[0].n < OPEN_ROWS; nr++)
                rows[policy.run[0].n++] =
                    (struct policy_row){.nr = nr, .reason = "a test of the other layers"};
        return &policy;
}

const char *proc_status(pid_t pid, const char *name, char *out, size_t size)
{
        char path[64], line[512];
        size_t len = strlen(name);
        FILE *file;

        out[0] = '\0';
        snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        file = fopen(path, "re");
        while (file && fgets(line, sizeof(line), file)) {
                if (strncmp(line, name, len) != 0 || line[len] != ':')
                        continue;
                line[strcspn(line, "\n")] = '\0';
                snprintf(out, size, "%s", line + len + 1 + strspn(line + len + 1, " \t"));
        }
        if (file)
                fclose(file);
        return out;
}

unsigned fixture_count_entries(const char *path)
{
        DIR *dir = opendir(path);
        unsigned n = 0;

        if (!dir)
                fail_msg("%s: %s", path, strerror(errno));
        while (readdir(dir))
                n++;
        closedir(dir);
        return n - 2; /* . and .. */
}

bool fixture_is_pipe(int fd)
{
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        assert_true(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
        return S_ISFIFO(st.st_mode);
}

unsigned fixture_count_fds(void)
{
        return fixture_count_entries("/proc/self/fd") - 1; /* that of the listing itself */
}

void probe_start_locked(struct probe *probe)
{
        probe_start(probe, policy_find("rng"));
        assert_int_equal(probe_ask(probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
}

int fixture_image(void)
{
        char path[] = "/tmp/bulkhead-jail-XXXXXX";
        int fd = mkostemp(path, O_CLOEXEC);

        assert_true(fd >= 0);
        unlink(path);
        assert_int_equal(ftruncate(fd, 8192), 0);
        return fd;
}
