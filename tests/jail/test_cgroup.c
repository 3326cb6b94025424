/* Control groups of both versions: found in the kernel's tables, limited, left and removed.
 * Version 2 is tried on a tree of plain files, which shows what is written where. The host's own: test_cgroup_life.c.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/vm_config.h"
#include "sandbox/cgroup.h"
#include "tests/jail/jail_fixture.h"

static char root[] = "/tmp/bulkhead-cgroup-XXXXXX";

static int make_root(void **state)
{
        (void)state;
        return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
        char command[64];

        (void)state;
        snprintf(command, sizeof(command), "rm -rf %s", root);
        return system(command);
}

static void put(const char *path, const char *text)
{
        char full[PATH_MAX], command[PATH_MAX + 32];
        FILE *file;

        snprintf(full, sizeof(full), "%s/%s", root, path);
        snprintf(command, sizeof(command), "mkdir -p $(dirname %s)", full);
        assert_int_equal(system(command), 0);
        file = fopen(full, "we");
        assert_non_null(file);
        fputs(text, file);
        fclose(file);
}

static void assert_file(const char *path, const char *text)
{
        char full[PATH_MAX], got[256] = "";
        FILE *file;

        snprintf(full, sizeof(full), "%s/%s", root, path);
        file = fopen(full, "re");
        if (!file)
                fail_msg("%s: %s", path, strerror(errno));
        (void)!fread(got, 1, sizeof(got) - 1, file);
        fclose(file);
        assert_string_equal(got, text);
}

static void assert_parent(const struct cgroup_host *host, enum cgroup_controller controller, const char *path)
{
        char full[PATH_MAX] = "";

        if (path)
                snprintf(full, sizeof(full), "%s%s", root, path);
        assert_string_equal(host->parent[controller], full);
}

static const char v1_mounts[] =
    "30 25 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755\n"
    "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
    "32 30 0:28 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n"
    "33 30 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    "34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

static void version_1_hierarchies_are_found_below_our_own_group(void **state)
{
        struct cgroup_host host;

        (void)state;
        put("sys/fs/cgroup/memory/user/tasks", "");
        put("sys/fs/cgroup/cpu,cpuacct/tasks", "");
        put("sys/fs/cgroup/pids/tasks", "");
        put("sys/fs/cgroup/unified/cgroup.controllers", "hugetlb\n");
        cgroup_host_parse(&host, root, v1_mounts, "4:memory:/user\n3:cpu,cpuacct:/\n2:pids:/gone\n0::/\n");
        assert_false(host.v2);
        assert_parent(&host, CGROUP_MEMORY, "/sys/fs/cgroup/memory/user");
        assert_parent(&host, CGROUP_CPU, "/sys/fs/cgroup/cpu,cpuacct");
        assert_parent(&host, CGROUP_PIDS,
                      "/sys/fs/cgroup/pids"); /* our own is not visible: the mount's root */
        assert_parent(&host, CGROUP_IO, NULL);
}

static void part_of_a_hierarchy_that_a_container_sees_is_its_root(void **state)
{
        struct cgroup_host host;

        (void)state;
        put("c/memory/inner/tasks", "");
        cgroup_host_parse(&host, root, "32 30 0:28 /docker/abc /c/memory rw - cgroup cgroup rw,memory\n",
                          "4:memory:/docker/abc/inner\n");
        assert_parent(&host, CGROUP_MEMORY, "/c/memory/inner");
}

static const char v2_mounts[] = "30 25 0:26 / /cg rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

static void version_2_gives_what_our_group_can_hand_out(void **state)
{
        struct cgroup_host host;

        (void)state;
        put("cg/unit/cgroup.controllers", "cpu memory pids\n");
        put("cg/unit/cgroup.subtree_control", "");
        cgroup_host_parse(&host, root, v2_mounts, "0::/unit\n");
        assert_true(host.v2);
        assert_parent(&host, CGROUP_MEMORY, "/cg/unit");
        assert_parent(&host, CGROUP_PIDS, "/cg/unit");
        assert_parent(&host, CGROUP_CPU, "/cg/unit");
        assert_parent(&host, CGROUP_IO, NULL);
}

static void version_2_falls_back_to_the_root_of_the_hierarchy(void **state)
{
        struct cgroup_host host;

        (void)state;
        put("cg/cgroup.controllers", "cpu io memory pids\n");
        put("cg/cgroup.subtree_control", "");
        put("cg/scope/cgroup.controllers", "\n");
        cgroup_host_parse(&host, root, v2_mounts, "0::/scope\n");
        assert_true(host.v2);
        assert_parent(&host, CGROUP_IO, "/cg");
        assert_parent(&host, CGROUP_MEMORY, "/cg");
}

static void tables_without_groups_give_none(void **state)
{
        static const char *const tables[] = {"",
                                             "\n\n",
                                             "garbage",
                                             "1 2 3:4 / / rw - ext4 /dev/vda rw\n",
                                             "1 2 3:4 / /x rw - cgroup",
                                             " - cgroup cgroup rw,memory\n",
                                             "1 2 3:4 / /a\\040b rw - cgroup cgroup rw,memory\n"};
        struct cgroup_host host;

        (void)state;
        for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
                cgroup_host_parse(&host, root, tables[i], "4:memory:/\n0::/\n:::\nx\n");
                assert_false(host.v2);
                for (unsigned c = 0; c < CGROUP_CONTROLLER_COUNT_; c++)
                        assert_parent(&host, c, NULL);
        }
}

static const struct cgroup_limits limits = {
    .memory_max = 1 << 26, .pids_max = 1, .cpu_max = 30, .cpu_weight = 50, .io_weight = 200};

static void kill_for_want_of_memory_is_seen(void **state)
{
        struct cgroup_host host = {.v2 = true};
        struct cgroup group = {.vm = "vm", .device = "dev", .host = &host, .present = 1u << CGROUP_MEMORY};

        (void)state;
        snprintf(host.parent[CGROUP_MEMORY], sizeof(host.parent[0]), "%s/oom", root);
        assert_false(cgroup_oom_killed(&group)); /* no file */
        put("oom/bulkhead/vm/dev/memory.events",
            "low 0\nhigh 0\nmax 9\noom 7\noom_kill 0\noom_group_kill 0\n");
        assert_false(cgroup_oom_killed(&group));
        put("oom/bulkhead/vm/dev/memory.events",
            "low 0\nhigh 0\nmax 9\noom 7\noom_kill 1\noom_group_kill 0\n");
        assert_true(cgroup_oom_killed(&group));
        host.v2 = false;
        assert_false(cgroup_oom_killed(&group));
        put("oom/bulkhead/vm/dev/memory.oom_control", "oom_kill_disable 1\nunder_oom 1\noom_kill 0\n");
        assert_false(cgroup_oom_killed(&group));
        put("oom/bulkhead/vm/dev/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 12\n");
        assert_true(cgroup_oom_killed(&group));
        group.present = 0;
        assert_false(cgroup_oom_killed(&group));
}

/* The kernel makes these files with a directory; here they stand ready. */
static void limits_of_version_2_are_written(void **state)
{
        struct cgroup_host host;
        struct cgroup group;

        (void)state;
        put("cg/unit/cgroup.controllers", "cpu io memory pids\n");
        put("cg/unit/cgroup.subtree_control", "");
        put("cg/unit/bulkhead/cgroup.subtree_control", "");
        put("cg/unit/bulkhead/vm/cgroup.subtree_control", "");
        put("cg/unit/bulkhead/vm/dev/memory.max", "");
        put("cg/unit/bulkhead/vm/dev/pids.max", "");
        put("cg/unit/bulkhead/vm/dev/cpu.weight", "");
        put("cg/unit/bulkhead/vm/dev/io.weight", "");
        put("cg/unit/bulkhead/vm/dev/cgroup.procs", "");
        put("cg/unit/bulkhead/vm/dev/cpu.max", "");
        cgroup_host_parse(&host, root, v2_mounts, "0::/unit\n");
        cgroup_open(&host, "vm", "dev", &limits, &group);
        assert_int_equal(group.present, 0xf);
        assert_file("cg/unit/bulkhead/vm/dev/memory.max", "67108864");
        assert_file("cg/unit/bulkhead/vm/dev/pids.max", "1");
        assert_file("cg/unit/bulkhead/vm/dev/cpu.weight", "50");
        assert_file("cg/unit/bulkhead/vm/dev/cpu.max", "3000 10000");
        assert_file("cg/unit/bulkhead/vm/dev/io.weight", "200");
        assert_int_equal(cgroup_add(&group, 4321), 0);
        assert_file("cg/unit/bulkhead/vm/dev/cgroup.procs", "4321");
        cgroup_close(&group);
}

/* At `dir` of the tree, everything of version 2 that one device needs. */
static void put_v2(const char *dir)
{
        static const char *const files[] = {
            "cgroup.controllers",
            "cgroup.subtree_control",
            "bulkhead/cgroup.subtree_control",
            "bulkhead/vm/cgroup.subtree_control",
            "bulkhead/vm/dev/memory.max",
            "bulkhead/vm/dev/pids.max",
            "bulkhead/vm/dev/cpu.max",
            "bulkhead/vm/dev/cpu.weight",
            "bulkhead/vm/dev/io.max",
            "bulkhead/vm/dev/io.weight",
            "bulkhead/vm/dev/cgroup.procs",
        };
        char path[256];

        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
                snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
                put(path, i == 0 ? "cpu io memory pids\n" : "");
        }
}

static void shares_of_a_cpu_become_quota_and_period(void **state)
{
        static const struct {
                uint32_t percent;
                const char *text;
        } rows[] = {{1, "1000 100000"}, {9, "9000 100000"},   {10, "1000 10000"},
                    {50, "5000 10000"}, {100, "10000 10000"}, {0, ""}};
        struct cgroup_host host;

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct cgroup_limits some = {.memory_max = 1, .pids_max = 1, .cpu_max = rows[i].percent};
                struct cgroup group;

                put_v2("cg/cpu");
                cgroup_host_parse(&host, root, v2_mounts, "0::/cpu\n");
                cgroup_open(&host, "vm", "dev", &some, &group);
                assert_int_equal(group.present, 0xf);
                assert_file("cg/cpu/bulkhead/vm/dev/cpu.max", rows[i].text);
                assert_file("cg/cpu/bulkhead/vm/dev/cpu.weight", "");
                assert_int_equal(cgroup_demanded(&some), rows[i].percent ? 1u << CGROUP_CPU : 0);
        }
}

/* Each write to io.max changes what it names. Here it is a plain file, so one limit at a time is seen. */
static void limits_of_a_disk_are_written_for_it(void **state)
{
        static const struct {
                struct cgroup_limits limits;
                const char *max;
        } rows[] = {
            {{.disk = 0x803, .read_bps = UINT64_C(5) << 30}, "8:3 rbps=5368709120"},
            {{.disk = 0x803, .write_bps = 1048576}, "8:3 wbps=1048576"},
            {{.disk = 0x803, .read_iops = 10}, "8:3 riops=10"},
            {{.disk = 0x803, .write_iops = 4294967295}, "8:3 wiops=4294967295"},
            {{.disk = 0x803}, ""},
        };
        struct cgroup_host host;

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                struct cgroup group;

                put_v2("cg/io");
                cgroup_host_parse(&host, root, v2_mounts, "0::/io\n");
                cgroup_open(&host, "vm", "dev", &rows[i].limits, &group);
                assert_int_equal(group.present, 0xf);
                assert_file("cg/io/bulkhead/vm/dev/io.max", rows[i].max);
                assert_int_equal(cgroup_demanded(&rows[i].limits), rows[i].max[0] ? 1u << CGROUP_IO : 0);
        }
}

static void limits_of_version_1_have_files_of_their_own(void **state)
{
        static const struct cgroup_limits all = {.memory_max = 1 << 23,
                                                 .pids_max = 1,
                                                 .cpu_max = 25,
                                                 .cpu_weight = 50,
                                                 .io_weight = 2000,
                                                 .disk = 0x800,
                                                 .read_bps = 1,
                                                 .write_bps = 2,
                                                 .read_iops = 3,
                                                 .write_iops = 4};
        static const char *const files[][2] = {
            {"memory.limit_in_bytes", "8388608"},
            {"pids.max", "1"},
            {"cpu.cfs_period_us", "10000"},
            {"cpu.cfs_quota_us", "2500"},
            {"cpu.shares", "512"},
            {"blkio.bfq.weight", "1000"},
            {"blkio.throttle.read_bps_device", "8:0 1"},
            {"blkio.throttle.write_bps_device", "8:0 2"},
            {"blkio.throttle.read_iops_device", "8:0 3"},
            {"blkio.throttle.write_iops_device", "8:0 4"},
        };
        struct cgroup_host host;
        struct cgroup group;
        char path[256];

        (void)state;
        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
                snprintf(path, sizeof(path), "all/bulkhead/vm/dev/%s", files[i][0]);
                put(path, "");
        }
        cgroup_host_parse(&host, root, "1 2 0:1 / /all rw - cgroup cgroup rw,memory,pids,cpu,blkio\n",
                          "4:memory,pids,cpu,blkio:/\n");
        cgroup_open(&host, "vm", "dev", &all, &group);
        assert_int_equal(group.present, 0xf);
        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
                snprintf(path, sizeof(path), "all/bulkhead/vm/dev/%s", files[i][0]);
                assert_file(path, files[i][1]);
        }
}

static void limits_that_are_asked_for_are_demanded(void **state)
{
        const uint32_t cpu = 1u << CGROUP_CPU, io = 1u << CGROUP_IO;

        (void)state;
        assert_int_equal(cgroup_demanded(&(struct cgroup_limits){.memory_max = 1, .pids_max = 1}), 0);
        assert_int_equal(cgroup_demanded(&(struct cgroup_limits){.cpu_weight = 1}), cpu);
        assert_int_equal(cgroup_demanded(&(struct cgroup_limits){.cpu_max = 1}), cpu);
        assert_int_equal(cgroup_demanded(&(struct cgroup_limits){.io_weight = 1}), io);
        assert_int_equal(cgroup_demanded(&(struct cgroup_limits){.write_iops = 1, .cpu_max = 1}), cpu | io);
}

/* A disk that nobody has found: the limit is not there, and the controller is missing. */
static void a_limit_without_a_disk_is_missing(void **state)
{
        static const struct cgroup_limits some = {.memory_max = 1, .pids_max = 1, .read_bps = 1 << 20};
        struct cgroup_host host;
        struct cgroup group;

        (void)state;
        put_v2("cg/nodisk");
        cgroup_host_parse(&host, root, v2_mounts, "0::/nodisk\n");
        cgroup_open(&host, "vm", "dev", &some, &group);
        assert_int_equal(group.present & (1u << CGROUP_IO), 0);
        assert_file("cg/nodisk/bulkhead/vm/dev/io.max", "");
}

static void the_disk_of_a_part_is_the_whole(void **state)
{
        char target[PATH_MAX + 64];
        dev_t disk = 1;

        (void)state;
        put("sys/devices/pci/sda/dev", "8:0\n");
        put("sys/devices/pci/sda/sda3/dev", "8:3\n");
        put("sys/devices/pci/sda/sda3/partition", "3\n");
        put("sys/dev/block/x", "");
        snprintf(target, sizeof(target), "%s/sys/dev/block/8:0", root);
        assert_int_equal(symlink("../../devices/pci/sda", target), 0);
        snprintf(target, sizeof(target), "%s/sys/dev/block/8:3", root);
        assert_int_equal(symlink("../../devices/pci/sda/sda3", target), 0);
        assert_int_equal(cgroup_find_disk(root, makedev(8, 3), &disk), 0);
        assert_true(disk == makedev(8, 0));
        disk = 1;
        assert_int_equal(cgroup_find_disk(root, makedev(8, 0), &disk), 0);
        assert_true(disk == makedev(8, 0));
        assert_int_equal(cgroup_find_disk(root, makedev(0, 40), &disk), -ENODEV);
        assert_true(disk == makedev(8, 0));
        put("sys/devices/pci/sda/dev", "8\n");
        assert_int_equal(cgroup_find_disk(root, makedev(8, 0), &disk), -ENODEV);
}

static void controller_whose_limit_fails_is_missing_not_silent(void **state)
{
        struct cgroup_host host;
        struct cgroup group;

        (void)state;
        put("cg/other/cgroup.controllers", "memory pids\n");
        put("cg/other/cgroup.subtree_control", "");
        put("cg/other/bulkhead/cgroup.subtree_control", "");
        put("cg/other/bulkhead/vm/cgroup.subtree_control", "");
        put("cg/other/bulkhead/vm/dev/pids.max", "");
        cgroup_host_parse(&host, root, v2_mounts, "0::/other\n");
        cgroup_open(&host, "vm", "dev", &limits, &group);
        assert_int_equal(group.present, 1u << CGROUP_PIDS);
        assert_int_equal(cgroup_add(&group, 1),
                         -ENOENT); /* no cgroup.procs: the process would be without limits */
        cgroup_close(&group);
        assert_int_equal(group.present, 0);
}

static void a_group_that_cannot_be_entered_is_no_group(void **state)
{
        struct cgroup_host host = {.parent = {"/proc", "/proc"}};
        struct cgroup group = {.vm = "vm", .device = "dev", .host = &host, .present = 1u << CGROUP_PIDS};
        int fds[CGROUP_CONTROLLER_COUNT_];
        unsigned n = 9, before = fixture_count_fds();

        (void)state;
        assert_int_equal(cgroup_open_tasks(&group, fds, &n), -ENOENT);
        assert_int_equal(n, 0);
        host.v2 = true;
        n = 9;
        assert_int_equal(cgroup_open_tasks(&group, fds, &n), 0);
        assert_int_equal(n, 0);
        assert_int_equal(fixture_count_fds(), before);
}

static void a_run_directory_has_one_name_for_its_groups(void **state)
{
        const struct {
                const char *vm, *run_dir, *name;
        } rows[] = {{"vm", VM_CONFIG_RUN_DIR, "vm"},
                    {"vm", VM_CONFIG_RUN_DIR "/", "vm"},
                    {"vm", "/nowhere/at/all", "vm@6bbe3f4c"}, /* the same in each build */
                    {"vm2", "/nowhere/at/all", "vm2@6bbe3f4c"}};
        char name[CGROUP_NAME], again[CGROUP_NAME], dir[PATH_MAX], link[PATH_MAX];
        char longest[LIMIT_NAME];

        (void)state;
        (void)mkdir(VM_CONFIG_RUN_DIR, 0755);
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                cgroup_name_vm(rows[i].vm, rows[i].run_dir, name);
                assert_string_equal(name, rows[i].name);
        }
        snprintf(dir, sizeof(dir), "%s/of-runs", root);
        snprintf(link, sizeof(link), "%s/link", root);
        assert_int_equal(mkdir(dir, 0755), 0);
        assert_int_equal(symlink(dir, link), 0);
        cgroup_name_vm("vm", dir, name);
        cgroup_name_vm("vm", link, again);
        assert_string_equal(again, name);
        assert_int_equal(rmdir(dir), 0);
        assert_int_equal(mkdir(dir, 0700), 0);
        cgroup_name_vm("vm", dir, again);
        assert_string_equal(again, name);
        cgroup_name_vm("vm", root, again);
        assert_string_not_equal(again, name);
        memset(longest, 'v', sizeof(longest) - 1);
        longest[sizeof(longest) - 1] = '\0';
        cgroup_name_vm(longest, dir, name);
        assert_memory_equal(name, longest, sizeof(longest) - 1);
        assert_int_equal(name[LIMIT_NAME - 1], '@');
        assert_int_equal(strlen(name), LIMIT_NAME - 1 + 9);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(version_1_hierarchies_are_found_below_our_own_group),
            cmocka_unit_test(part_of_a_hierarchy_that_a_container_sees_is_its_root),
            cmocka_unit_test(version_2_gives_what_our_group_can_hand_out),
            cmocka_unit_test(version_2_falls_back_to_the_root_of_the_hierarchy),
            cmocka_unit_test(tables_without_groups_give_none),
            cmocka_unit_test(limits_of_version_2_are_written),
            cmocka_unit_test(shares_of_a_cpu_become_quota_and_period),
            cmocka_unit_test(limits_of_a_disk_are_written_for_it),
            cmocka_unit_test(limits_of_version_1_have_files_of_their_own),
            cmocka_unit_test(limits_that_are_asked_for_are_demanded),
            cmocka_unit_test(a_limit_without_a_disk_is_missing),
            cmocka_unit_test(the_disk_of_a_part_is_the_whole),
            cmocka_unit_test(kill_for_want_of_memory_is_seen),
            cmocka_unit_test(controller_whose_limit_fails_is_missing_not_silent),
            cmocka_unit_test(a_group_that_cannot_be_entered_is_no_group),
            cmocka_unit_test(a_run_directory_has_one_name_for_its_groups),
        };

        return cmocka_run_group_tests(tests, make_root, remove_root);
}
