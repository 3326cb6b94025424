/* Control groups of this host: what is made, limits and goes.
 * TRUST: the bytes it judges are the kernel's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sandbox/cgroup.h"
#include "tests/jail/jail_fixture.h"

#define NEIGHBOUR_TURNS 100u

static const struct cgroup_limits limits = {
    .memory_max = 64 << 20, .pids_max = 1, .cpu_max = 30, .cpu_weight = 50, .io_weight = 200};

static void read_number(const char *dir, const char *file, char *ret, size_t size)
{
        char path[PATH_MAX + 128];
        FILE *stream;

        snprintf(path, sizeof(path), "%s/bulkhead/cgtest/dev/%s", dir, file);
        stream = fopen(path, "re");
        if (!stream)
                fail_msg("%s: %s", path, strerror(errno));
        assert_non_null(fgets(ret, (int)size, stream));
        ret[strcspn(ret, "\n")] = '\0';
        fclose(stream);
}

static void limits_are_in_force_on_this_host(void **state)
{
        struct cgroup_host host;
        struct cgroup group;
        char number[64];

        (void)state;
        cgroup_host_init(&host);
        cgroup_open(&host, "cgtest", "dev", &limits, &group);
        if (!(group.present & (1u << CGROUP_PIDS)))
                skip();
        read_number(host.parent[CGROUP_PIDS], "pids.max", number, sizeof(number));
        assert_string_equal(number, "1");
        if (group.present & (1u << CGROUP_MEMORY)) {
                read_number(host.parent[CGROUP_MEMORY], host.v2 ? "memory.max" : "memory.limit_in_bytes",
                            number, sizeof(number));
                assert_string_equal(number, "67108864");
        }
        if (group.present & (1u << CGROUP_CPU)) {
                read_number(host.parent[CGROUP_CPU], host.v2 ? "cpu.max" : "cpu.cfs_quota_us", number,
                            sizeof(number));
                assert_string_equal(number, host.v2 ? "3000 10000" : "3000");
        }
        cgroup_close(&group);
        cgroup_sweep(&host, "cgtest");
}

static bool group_is_there(const struct cgroup_host *host, unsigned controller, const char *group)
{
        char path[PATH_MAX + 64];

        snprintf(path, sizeof(path), "%s/bulkhead/%s", host->parent[controller], group);
        return access(path, F_OK) == 0;
}

/* Only memory is anew each time: what it has been charged and what was killed in it was the last worker's. */
static void the_next_worker_finds_the_groups_that_only_limit(void **state)
{
        struct cgroup_host host;
        struct cgroup group, other;
        uint32_t present;

        (void)state;
        cgroup_host_init(&host);
        cgroup_open(&host, "cgtest", "dev", &limits, &group);
        present = group.present;
        if (present == 0)
                skip();
        cgroup_close(&group);
        for (unsigned i = 0; i < CGROUP_CONTROLLER_COUNT_; i++) {
                if (host.parent[i][0] == '\0')
                        continue;
                assert_int_equal(group_is_there(&host, i, "cgtest/dev"), !host.v2 && i != CGROUP_MEMORY);
                assert_true(group_is_there(&host, i, "cgtest"));
        }
        cgroup_open(&host, "cgtest", "other", &limits, &other);
        cgroup_close(&other);
        cgroup_open(&host, "cgtest", "dev", &limits, &group);
        assert_int_equal(group.present, present);
        cgroup_close(&group);
        cgroup_sweep(&host, "cgtest");
        for (unsigned i = 0; i < CGROUP_CONTROLLER_COUNT_; i++)
                assert_false(host.parent[i][0] != '\0' && group_is_there(&host, i, "cgtest"));
}

/* The process's own word: it is in bulkhead/cgtest/dev of so many hierarchies. */
static unsigned groups_of_ours(void)
{
        FILE *stream = fopen("/proc/self/cgroup", "re");
        char line[PATH_MAX];
        unsigned n = 0;

        while (stream && fgets(line, sizeof(line), stream))
                n += strstr(line, "/bulkhead/cgtest/dev\n") != NULL;
        if (stream)
                fclose(stream);
        return n;
}

static void a_child_moves_itself_into_its_group(void **state)
{
        struct cgroup_host host;
        struct cgroup group;
        int fds[CGROUP_CONTROLLER_COUNT_], status;
        unsigned n;
        pid_t pid;

        (void)state;
        cgroup_host_init(&host);
        cgroup_open(&host, "cgtest", "dev", &limits, &group);
        assert_int_equal(cgroup_open_tasks(&group, fds, &n), 0);
        assert_int_equal(n, host.v2 ? 0 : __builtin_popcount(group.present));
        pid = fork();
        if (pid == 0) {
                for (unsigned i = 0; i < n; i++)
                        if (write(fds[i], "0", 1) != 1)
                                _exit(1);
                _exit(groups_of_ours() == n ? 0 : 2);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        while (n > 0)
                close(fds[--n]);
        cgroup_close(&group);
        cgroup_sweep(&host, "cgtest");
}

/* One name in two run directories: what each run makes, limits and removes is its own. */
static void one_name_in_two_run_directories_is_two_groups(void **state)
{
        struct cgroup_limits more = limits;
        struct cgroup_host host;
        struct cgroup first, second;
        char names[2][CGROUP_NAME], dir[PATH_MAX];
        int fds[CGROUP_CONTROLLER_COUNT_];
        unsigned n;

        (void)state;
        for (int i = 0; i < 2; i++) {
                snprintf(dir, sizeof(dir), "/nowhere/run%d", i);
                cgroup_name_vm("cgtest", dir, names[i]);
        }
        cgroup_host_init(&host);
        more.memory_max *= 2;
        cgroup_open(&host, names[0], "dev", &limits, &first);
        cgroup_open(&host, names[1], "dev", &more, &second);
        assert_int_equal(second.present, first.present);
        cgroup_close(&first);
        assert_int_equal(cgroup_open_tasks(&second, fds, &n), 0);
        assert_int_equal(n, host.v2 ? 0 : __builtin_popcount(second.present));
        while (n > 0)
                close(fds[--n]);
        cgroup_close(&second);
        for (int i = 0; i < 2; i++)
                cgroup_sweep(&host, names[i]);
}

static void what_a_dead_run_has_left_goes_at_the_next(void **state)
{
        struct cgroup_host host;
        struct cgroup left[2], other;

        (void)state;
        cgroup_host_init(&host);
        cgroup_open(&host, "cgtest-dead", "dev0", &limits, &left[0]);
        cgroup_open(&host, "cgtest-dead", "dev1", &limits, &left[1]);
        cgroup_open(&host, "cgtest-live", "dev0", &limits, &other);
        cgroup_sweep(&host, "cgtest-none");
        cgroup_sweep(&host, "cgtest-dead");
        for (unsigned i = 0; i < CGROUP_CONTROLLER_COUNT_; i++) {
                char path[PATH_MAX + 64];

                if (!(other.present & (1u << i)))
                        continue;
                snprintf(path, sizeof(path), "%s/bulkhead/cgtest-dead", host.parent[i]);
                assert_int_equal(access(path, F_OK), -1);
                snprintf(path, sizeof(path), "%s/bulkhead/cgtest-live/dev0", host.parent[i]);
                assert_int_equal(access(path, F_OK), 0);
        }
        cgroup_close(&other);
        cgroup_sweep(&host, "cgtest-live");
}

/* The folder above all VMs comes and goes with the last of them. */
static void a_neighbour_that_comes_and_goes_takes_no_group(void **state)
{
        struct cgroup_host host;
        struct cgroup group;
        unsigned whole = 0;
        uint32_t present;
        pid_t pid;

        (void)state;
        cgroup_host_init(&host);
        cgroup_open(&host, "cgtest", "dev", &limits, &group);
        present = group.present;
        cgroup_close(&group);
        cgroup_sweep(&host, "cgtest");
        pid = fork();
        while (pid == 0) {
                cgroup_open(&host, "cgtest-neighbour", "dev", &limits, &group);
                cgroup_close(&group);
                cgroup_sweep(&host, "cgtest-neighbour");
        }
        for (unsigned i = 0; i < NEIGHBOUR_TURNS; i++) {
                cgroup_open(&host, "cgtest", "dev", &limits, &group);
                whole += group.present == present;
                cgroup_close(&group);
                cgroup_sweep(&host, "cgtest");
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        cgroup_sweep(&host, "cgtest-neighbour");
        assert_int_equal(whole, NEIGHBOUR_TURNS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(limits_are_in_force_on_this_host),
            cmocka_unit_test(the_next_worker_finds_the_groups_that_only_limit),
            cmocka_unit_test(a_child_moves_itself_into_its_group),
            cmocka_unit_test(one_name_in_two_run_directories_is_two_groups),
            cmocka_unit_test(what_a_dead_run_has_left_goes_at_the_next),
            cmocka_unit_test(a_neighbour_that_comes_and_goes_takes_no_group),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
