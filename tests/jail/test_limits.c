/* Limits that a configuration names: in force on this host, or refused before anything runs.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "sandbox/spawner.h"
#include "tests/jail/jail_fixture.h"
#include "tests/harness/blk_set.h"

#define DEADLINE_S 20

static char dir[] = "/tmp/bulkhead-limits-XXXXXX";
static struct vm_config config;
static struct device_config device;
static char why[512];

static int make_dir(void **state)
{
        char command[PATH_MAX + 128];

        (void)state;
        if (!mkdtemp(dir))
                return -1;
        snprintf(command, sizeof(command),
                 "install -m 0755 %s %s/bulkhead-worker-blk && truncate -s 1M %s/image", PROBE_PROGRAM, dir,
                 dir);
        return system(command);
}

static int remove_dir(void **state)
{
        char command[64];

        (void)state;
        snprintf(command, sizeof(command), "rm -rf %s", dir);
        return system(command);
}

static char image_path[PATH_MAX];

/* One disk. */
static int begin(void **state)
{
        (void)state;
        config = (struct vm_config){.name = "limitstest",
                                    .uid_first = FIXTURE_OWNER + 20,
                                    .uid_count = 8,
                                    .worker_memory_max = FIXTURE_MEMORY,
                                    .devices = &device,
                                    .n_devices = 1};
        device = (struct device_config){.name = "dev0", .type = DEVICE_TYPE_BLK, .n_queues = 1, .n_lanes = 1};
        snprintf(config.run_dir, sizeof(config.run_dir), "%s", dir);
        snprintf(config.worker_dir, sizeof(config.worker_dir), "%s", dir);
        snprintf(image_path, sizeof(image_path), "%s/image", dir);
        device.options = BLK_SET(.path = image_path);
        return 0;
}

static int start(void)
{
        struct spawner spawner;
        int r = spawner_init(&spawner, &config, why, sizeof(why));

        if (r == 0)
                spawner_done(&spawner);
        return r;
}

static bool is_there(const struct cgroup_host *host, enum cgroup_controller controller, const char *tail)
{
        char path[PATH_MAX + 64];
        struct stat st;

        if (host->parent[controller][0] == '\0')
                return false;
        snprintf(path, sizeof(path), "%s/bulkhead/%s", host->parent[controller], tail);
        return stat(path, &st) == 0;
}

static void limits_that_can_be_had_are_tried_and_leave_nothing(void **state)
{
        struct cgroup_host host;
        char trial[CGROUP_NAME];

        (void)state;
        cgroup_name_trial(trial);
        cgroup_host_init(&host);
        if (host.parent[CGROUP_CPU][0] == '\0')
                skip();
        device.limits = (struct device_limits){.memory = 16u << 20, .cpu = 30, .cpu_weight = 200};
        if (start() < 0)
                fail_msg("%s", why);
        for (unsigned i = 0; i < CGROUP_CONTROLLER_COUNT_; i++)
                assert_false(is_there(&host, i, trial));
}

/* A file system in memory has no disk; and where groups cannot limit disks at all, that is said. */
static void a_limit_that_cannot_be_had_is_no_start(void **state)
{
        char image[] = "/dev/shm/bulkhead-limits-XXXXXX";
        struct cgroup_host host;
        char trial[CGROUP_NAME];
        int fd = mkstemp(image);

        (void)state;
        cgroup_name_trial(trial);
        if (fd < 0)
                skip();
        assert_int_equal(ftruncate(fd, 1 << 20), 0);
        close(fd);
        device.options = BLK_SET(.path = image);
        device.limits.write_iops = 100;
        assert_int_equal(start(), -EOPNOTSUPP);
        assert_non_null(strstr(why, "dev0: limits: "));
        assert_non_null(strstr(why, "remove"));
        cgroup_host_init(&host);
        for (unsigned i = 0; i < CGROUP_CONTROLLER_COUNT_; i++)
                assert_false(is_there(&host, i, trial));
        device.limits.write_iops = 0;
        if (start() < 0)
                fail_msg("%s", why);
        unlink(image);
}

/* Whether the VM runs already is found out later: until then its groups may be a live one's, also while they are empty
 * between two workers. */
static void a_start_leaves_alone_what_may_be_in_use(void **state)
{
        const struct cgroup_limits limits = {.memory_max = FIXTURE_MEMORY, .pids_max = 1};
        struct cgroup_host host;
        struct cgroup group;
        char vm[CGROUP_NAME];
        int fds[CGROUP_CONTROLLER_COUNT_];
        unsigned n;

        (void)state;
        cgroup_host_init(&host);
        cgroup_name_vm(config.name, config.run_dir, vm);
        cgroup_open(&host, vm, device.name, &limits, &group);
        if (start() < 0)
                fail_msg("%s", why);
        assert_int_equal(cgroup_open_tasks(&group, fds, &n), 0);
        while (n > 0)
                close(fds[--n]);
        cgroup_close(&group);
        cgroup_sweep(&host, vm);
}

static unsigned long throttled(const struct cgroup_host *host)
{
        char path[PATH_MAX + 64], line[128];
        unsigned long n = 0;
        FILE *file;

        snprintf(path, sizeof(path), "%s/bulkhead/limitstest/spin/cpu.stat", host->parent[CGROUP_CPU]);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, "nr_throttled %lu", &n) == 1)
                        break;
        fclose(file);
        return n;
}

static void a_process_that_spins_is_throttled(void **state)
{
        const struct cgroup_limits limits = {.memory_max = FIXTURE_MEMORY, .pids_max = 1, .cpu_max = 10};
        const time_t end = time(NULL) + DEADLINE_S;
        const struct timespec moment = {.tv_nsec = 1000000};
        struct cgroup_host host;
        struct cgroup group;
        unsigned long n = 0;
        pid_t pid;

        (void)state;
        cgroup_host_init(&host);
        cgroup_open(&host, config.name, "spin", &limits, &group);
        if (!(group.present & (1u << CGROUP_CPU))) {
                cgroup_close(&group);
                cgroup_sweep(&host, config.name);
                skip();
        }
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                volatile unsigned spin = 0;

                for (;;)
                        spin++;
        }
        assert_int_equal(cgroup_add(&group, pid), 0);
        while (n < 5 && time(NULL) < end) {
                n = throttled(&host);
                nanosleep(&moment, NULL); /* between two looks at a counter that the kernel raises */
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        cgroup_close(&group);
        cgroup_sweep(&host, config.name);
        assert_true(n >= 5);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(limits_that_can_be_had_are_tried_and_leave_nothing, begin),
            cmocka_unit_test_setup(a_limit_that_cannot_be_had_is_no_start, begin),
            cmocka_unit_test_setup(a_start_leaves_alone_what_may_be_in_use, begin),
            cmocka_unit_test_setup(a_process_that_spins_is_throttled, begin),
        };

        if (!fixture_needs_root())
                return 77;
        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
