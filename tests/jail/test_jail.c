/* What a jailed worker is, measured from outside through /proc; who may reach into it; and what becomes of a
 * stage that fails.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "sandbox/lockdown.h"
#include "sandbox/process_rights.h"
#include "tests/jail/jail_fixture.h"

static void assert_status(pid_t pid, const char *name, const char *value)
{
        char text[256];

        proc_status(pid, name, text, sizeof(text));
        if (strcmp(text, value) != 0)
                fail_msg("%s is \"%s\", not \"%s\"", name, text, value);
}

/* ---- facts ---- */

static void worker_has_one_uid_and_no_group(void **state)
{
        struct probe probe;
        char ids[128];

        (void)state;
        probe_start_locked(&probe);
        snprintf(ids, sizeof(ids), "%u\t%u\t%u\t%u", FIXTURE_WORKER, FIXTURE_WORKER, FIXTURE_WORKER,
                 FIXTURE_WORKER);
        assert_status(probe.child.pid, "Uid", ids);
        assert_status(probe.child.pid, "Gid", ids);
        assert_status(probe.child.pid, "Groups", "");
        probe_stop(&probe);
}

static void worker_has_no_capability_in_any_set(void **state)
{
        static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
        struct probe probe;

        (void)state;
        probe_start_locked(&probe);
        for (size_t i = 0; i < array_size(sets); i++)
                assert_status(probe.child.pid, sets[i], "0000000000000000");
        probe_stop(&probe);
}

static void worker_has_two_filters_and_no_new_privileges(void **state)
{
        struct probe probe;

        (void)state;
        probe_start(&probe, policy_find("rng"));
        assert_status(probe.child.pid, "NoNewPrivs", "1");
        assert_status(probe.child.pid, "Seccomp", "2");
        assert_status(probe.child.pid, "Seccomp_filters", "1");
        assert_int_equal(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
        assert_status(probe.child.pid, "Seccomp", "2");
        assert_status(probe.child.pid, "Seccomp_filters", "2");
        assert_status(probe.child.pid, "NoNewPrivs", "1");
        assert_status(probe.child.pid, "Threads", "1");
        probe_stop(&probe);
}

static void filter_only_logs_for_the_worker_that_it_is_asked_for_and_for_no_later_one(void **state)
{
        (void)state;
        for (int i = 0; i < 4; i++) {
                struct probe probe;
                struct jail_spec spec;
                struct probe_theirs theirs;

                fixture_spec(&spec, policy_find("rng"), &probe, &theirs);
                spec.seccomp_log = i % 2;
                probe_start_spec(&probe, &spec, &theirs);
                assert_int_equal(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
                assert_int_equal(probe_ask(&probe, PROBE_TIMERFD, 0, 0, 0, 0) != PROBE_DEAD, i % 2);
                probe_stop(&probe);
        }
}

static void worker_shares_no_namespace_with_us(void **state)
{
        static const char *const names[] = {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"};
        struct probe probe;

        (void)state;
        probe_start_locked(&probe);
        for (size_t i = 0; i < array_size(names); i++) {
                char path[64], ours[64] = "", theirs[64] = "";

                snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
                assert_true(readlink(path, ours, sizeof(ours) - 1) > 0);
                snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)probe.child.pid, names[i]);
                assert_true(readlink(path, theirs, sizeof(theirs) - 1) > 0);
                assert_string_not_equal(ours, theirs);
        }
        probe_stop(&probe);
}

static void worker_sees_one_mount_that_is_empty_and_read_only(void **state)
{
        struct probe probe;
        char path[64], line[512], more[8];
        FILE *file;

        (void)state;
        probe_start_locked(&probe);
        snprintf(path, sizeof(path), "/proc/%d/root", (int)probe.child.pid);
        assert_int_equal(fixture_count_entries(path), 0);
        snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)probe.child.pid);
        file = fopen(path, "re");
        assert_non_null(file);
        assert_non_null(fgets(line, sizeof(line), file));
        assert_non_null(strstr(line, " / / ro,nosuid,nodev,noexec"));
        assert_non_null(strstr(line, "- tmpfs"));
        assert_null(fgets(more, sizeof(more), file));
        fclose(file);
        probe_stop(&probe);
}

static void read_link(pid_t pid, int fd, char *link, size_t size)
{
        char path[64];

        memset(link, 0, size);
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
        assert_true(readlink(path, link, size - 1) > 0);
}

static void assert_fd(pid_t pid, int fd, const char *prefix)
{
        char link[128];

        read_link(pid, fd, link, sizeof(link));
        if (strncmp(link, prefix, strlen(prefix)) != 0)
                fail_msg("descriptor %d is %s, not %s", fd, link, prefix);
}

/* As it was opened: O_RDONLY, O_WRONLY or O_RDWR. */
static unsigned access_of(pid_t pid, int fd)
{
        char path[64], line[128];
        unsigned flags = ~0u;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, fd);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, "flags: %o", &flags) == 1)
                        break;
        fclose(file);
        return flags & O_ACCMODE;
}

/* What it reads is the pipe that we write, and the other way round; and it can do nothing else to either. */
static void assert_lane(const struct probe *probe, unsigned lane)
{
        const int in = worker_fd_lane_in(lane), out = worker_fd_lane_out(lane);
        char ours[128], theirs[128];

        assert_fd(probe->child.pid, in, "pipe:");
        assert_fd(probe->child.pid, out, "pipe:");
        read_link(getpid(), probe->lane.out, ours, sizeof(ours));
        read_link(probe->child.pid, in, theirs, sizeof(theirs));
        assert_string_equal(theirs, ours);
        read_link(getpid(), probe->lane.in, ours, sizeof(ours));
        read_link(probe->child.pid, out, theirs, sizeof(theirs));
        assert_string_equal(theirs, ours);
        assert_int_equal(access_of(probe->child.pid, in), O_RDONLY);
        assert_int_equal(access_of(probe->child.pid, out), O_WRONLY);
}

static void worker_has_exactly_the_granted_descriptors(void **state)
{
        int extra = dup2(0, 90); /* inheritable, not on the list, and beyond all that is moved */
        struct probe probe;
        char path[64];

        (void)state;
        probe_start(&probe, policy_find("rng"));
        snprintf(path, sizeof(path), "/proc/%d/fd", (int)probe.child.pid);
        assert_int_equal(fixture_count_entries(path), 7);
        for (int fd = 0; fd < 3; fd++)
                assert_fd(probe.child.pid, fd, "/dev/null");
        assert_fd(probe.child.pid, WORKER_FD_CONTROL, "socket:");
        assert_lane(&probe, 0);
        assert_fd(probe.child.pid, worker_fd_policy(1, 0), "/memfd:policy");
        assert_int_equal(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
        assert_int_equal(fixture_count_entries(path), 6);
        probe_stop(&probe);
        close(extra);
}

static void each_lane_goes_both_ways(void **state)
{
        struct probe_theirs theirs;
        struct fd_duplex second[2], lanes[2];
        struct jail_spec spec;
        struct probe probe;
        char byte = 'b';

        (void)state;
        fixture_spec(&spec, policy_find("rng"), &probe, &theirs);
        assert_int_equal(fd_pipe_pair(second), 0);
        lanes[0] = theirs.lane;
        lanes[1] = second[1];
        spec.lanes = lanes;
        spec.n_lanes = 2;
        probe_start_spec(&probe, &spec, &theirs);
        fd_duplex_close(&second[1]);
        assert_lane(&probe, 0);
        assert_int_equal(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
        for (unsigned i = 0; i < 2; i++) {
                const struct fd_duplex *ours = i == 0 ? &probe.lane : &second[0];

                assert_int_equal(write(ours->out, &byte, 1), 1);
                assert_int_equal(probe_ask(&probe, PROBE_READ_FD, (uint64_t)worker_fd_lane_in(i), 0, 0, 0),
                                 1);
                assert_int_equal(probe_ask(&probe, PROBE_WRITE_FD, (uint64_t)worker_fd_lane_out(i), 0, 0, 0),
                                 1);
                assert_int_equal(read(ours->in, &byte, 1), 1);
        }
        probe_stop(&probe);
        fd_duplex_close(&second[0]);
}

#define MOVED 4 /* numbers that are in each other's way: 3 to 6 */

/* The descriptors to pass lie exactly where others have to go. */
static void descriptors_that_stand_in_each_others_way_arrive(void **state)
{
        struct probe_theirs theirs, high;
        int image = memfd_create("image", MFD_CLOEXEC), resource, null, binary, saved[MOVED];
        struct jail_spec spec;
        struct probe probe;

        (void)state;
        fixture_spec(&spec, fixture_open_policy(), &probe, &theirs);
        high.control = fcntl(theirs.control, F_DUPFD_CLOEXEC, 100);
        high.lane.in = fcntl(theirs.lane.in, F_DUPFD_CLOEXEC, 100);
        high.lane.out = fcntl(theirs.lane.out, F_DUPFD_CLOEXEC, 100);
        null = fcntl(spec.null_fd, F_DUPFD_CLOEXEC, 50);
        binary = fcntl(spec.binary_fd, F_DUPFD_CLOEXEC, 50);
        resource = fcntl(image, F_DUPFD_CLOEXEC, 50);
        assert_true(high.control >= 100 && high.lane.in >= 100 && high.lane.out >= 100 && null >= 50 &&
                    binary >= 50 && resource >= 50);
        fixture_close(&spec, &theirs);
        close(image);
        spec.null_fd = null;
        spec.binary_fd = binary;
        for (int i = 0; i < MOVED; i++)
                saved[i] = fcntl(3 + i, F_DUPFD_CLOEXEC, 200);
        /* what it reads where control goes, what it writes where what it reads goes, the resource where what it writes
         * goes, control where the resource goes */
        dup2(high.lane.in, 3);
        dup2(high.lane.out, 4);
        dup2(resource, 5);
        dup2(high.control, 6);
        spec.lanes = &(struct fd_duplex){.in = 3, .out = 4};
        spec.resource_fds = (int[]){5};
        spec.n_resources = 1;
        spec.control_fd = 6;
        probe_start_spec(&probe, &spec, &high);
        for (int i = 0; i < MOVED; i++) {
                if (saved[i] >= 0) {
                        dup2(saved[i], 3 + i);
                        close(saved[i]);
                } else {
                        close(3 + i);
                }
        }
        assert_int_equal(probe_ask(&probe, PROBE_PING, 0, 0, 0, 0), 42);
        assert_int_equal(probe_ask(&probe, PROBE_FD_MASK, 0, 0, 0, 0), 0xff);
        assert_fd(probe.child.pid, 3, "socket:");
        assert_lane(&probe, 0);
        assert_fd(probe.child.pid, 6, "/memfd:image");
        assert_fd(probe.child.pid, 7, "/memfd:policy");
        probe_stop(&probe);
        close(resource);
}

static void worker_has_its_title_and_an_empty_environment(void **state)
{
        static const char title[] = "bulkhead-worker-probe: test/probe";
        struct probe probe;
        char path[64], text[256];
        int fd;

        (void)state;
        probe_start_locked(&probe);
        snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)probe.child.pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(read(fd, text, sizeof(text)), sizeof(title) + 4);
        assert_memory_equal(text, title, sizeof(title));
        assert_memory_equal(text + sizeof(title),
                            "1\0"
                            "0",
                            4);
        close(fd);
        snprintf(path, sizeof(path), "/proc/%d/environ", (int)probe.child.pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(read(fd, text, sizeof(text)), 0);
        close(fd);
        probe_stop(&probe);
}

static void assert_limit(pid_t pid, const char *name, const char *value)
{
        char path[64], line[256];
        bool found = false;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/limits", (int)pid);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file)) {
                char soft[64], hard[64];

                if (strncmp(line, name, strlen(name)) != 0)
                        continue;
                assert_int_equal(sscanf(line + strlen(name), "%63s %63s", soft, hard), 2);
                assert_string_equal(soft, value);
                assert_string_equal(hard, value);
                found = true;
        }
        fclose(file);
        assert_true(found);
}

static void worker_has_its_limits(void **state)
{
        struct probe probe;
        pid_t pid;

        (void)state;
        probe_start_locked(&probe);
        pid = probe.child.pid;
        assert_limit(pid, "Max open files",
                     "7"); /* the granted ones, and the filter's that is closed by now */
        assert_limit(pid, "Max processes", "0");
        assert_limit(pid, "Max core file size", "0");
        assert_limit(pid, "Max file size", "0");
        assert_limit(pid, "Max address space", "67108864");
        assert_limit(pid, "Max data size", "67108864");
        assert_limit(pid, "Max stack size", "1048576");
        assert_limit(pid, "Max locked memory", "0");
        assert_limit(pid, "Max msgqueue size", "0");
        assert_limit(pid, "Max pending signals", "0");
        assert_limit(pid, "Max nice priority", "0");
        assert_limit(pid, "Max realtime priority", "0");
        probe_stop(&probe);
}

static void worker_in_lockdown_is_not_dumpable(void **state)
{
        struct probe probe;
        struct stat st;
        char path[64];

        (void)state;
        probe_start_locked(&probe);
        snprintf(path, sizeof(path), "/proc/%d/mem", (int)probe.child.pid);
        assert_int_equal(stat(path, &st), 0);
        /* such files belong to the root of the worker's namespace, which is nobody here, not to its user */
        assert_int_not_equal(st.st_uid, FIXTURE_WORKER);
        probe_stop(&probe);
}

static void title_of_layers_names_each_missing_one(void **state)
{
        char text[512];

        (void)state;
        for (unsigned i = 0; i < JAIL_LAYER_COUNT_; i++)
                assert_string_equal(jail_layers_text(JAIL_LAYER_BIT(i), text, sizeof(text)),
                                    jail_layer_name((enum jail_layer)i));
        assert_string_equal(jail_layers_text(0, text, sizeof(text)), "");
        assert_string_equal(
            jail_layers_text(JAIL_LAYER_BIT(JAIL_LAYER_MDWE) | JAIL_LAYER_BIT(JAIL_LAYER_LANDLOCK), text,
                             sizeof(text)),
            "memory deny write execute, Landlock");
        assert_true(strlen(jail_layers_text(UINT32_MAX, text, 20)) < 20);
        assert_string_equal(jail_layer_name(JAIL_LAYER_COUNT_), "unknown");
}

/* ---- cgroup ---- */

static void worker_is_in_its_group_which_goes_with_it(void **state)
{
        struct cgroup_limits limits = {.memory_max = FIXTURE_MEMORY, .pids_max = 1};
        struct cgroup_host host;
        struct cgroup group;
        struct jail_spec spec;
        struct probe probe;
        struct probe_theirs theirs;
        char path[PATH_MAX + 64], text[4096] = "";
        int fd;

        (void)state;
        cgroup_host_init(&host);
        cgroup_open(&host, "jailtest", "dev0", &limits, &group);
        if (group.present == 0)
                skip();
        fixture_spec(&spec, policy_find("rng"), &probe, &theirs);
        spec.cgroup = &group;
        probe_start_spec(&probe, &spec, &theirs);
        snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)probe.child.pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(read(fd, text, sizeof(text) - 1) > 0);
        close(fd);
        assert_non_null(strstr(text, "/bulkhead/jailtest/dev0"));
        for (unsigned i = 0; i < CGROUP_CONTROLLER_COUNT_; i++)
                assert_int_equal(
                    !(group.present & (1u << i)),
                    !!(probe.child.layers_missing & JAIL_LAYER_BIT(JAIL_LAYER_CGROUP_MEMORY + i)));
        probe_stop(&probe);
        cgroup_close(&group);
        cgroup_sweep(&host, "jailtest");
        for (unsigned i = 0; i < CGROUP_CONTROLLER_COUNT_; i++) {
                if (host.parent[i][0] == '\0')
                        continue;
                snprintf(path, sizeof(path), "%s/bulkhead/jailtest", host.parent[i]);
                assert_int_equal(access(path, F_OK), -1);
        }
}

static void worker_without_a_group_says_so(void **state)
{
        struct probe probe;

        (void)state;
        probe_start(&probe, policy_find("rng"));
        for (unsigned i = JAIL_LAYER_CGROUP_MEMORY; i <= JAIL_LAYER_CGROUP_IO; i++)
                assert_true(probe.child.layers_missing & JAIL_LAYER_BIT(i));
        assert_false(probe.child.layers_missing & JAIL_LAYER_BIT(JAIL_LAYER_UNIQUE_UID));
        assert_false(probe.child.layers_missing & JAIL_LAYER_BIT(JAIL_LAYER_NO_GROUPS));
        probe_stop(&probe);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(worker_has_one_uid_and_no_group),
            cmocka_unit_test(worker_has_no_capability_in_any_set),
            cmocka_unit_test(worker_has_two_filters_and_no_new_privileges),
            cmocka_unit_test(filter_only_logs_for_the_worker_that_it_is_asked_for_and_for_no_later_one),
            cmocka_unit_test(worker_shares_no_namespace_with_us),
            cmocka_unit_test(worker_sees_one_mount_that_is_empty_and_read_only),
            cmocka_unit_test(worker_has_exactly_the_granted_descriptors),
            cmocka_unit_test(each_lane_goes_both_ways),
            cmocka_unit_test(descriptors_that_stand_in_each_others_way_arrive),
            cmocka_unit_test(worker_has_its_title_and_an_empty_environment),
            cmocka_unit_test(worker_has_its_limits),
            cmocka_unit_test(worker_in_lockdown_is_not_dumpable),
            cmocka_unit_test(title_of_layers_names_each_missing_one),
            cmocka_unit_test(worker_is_in_its_group_which_goes_with_it),
            cmocka_unit_test(worker_without_a_group_says_so),
        };

        if (!fixture_needs_root())
                return 77;
        fixture_keep_rights();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
