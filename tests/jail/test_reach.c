/* Who may reach into a worker, and how far a disk worker reaches into its image.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
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

/* Of a worker of one lane and one resource. */
#define RESOURCE ((uint64_t)worker_fd_resource(1, 0))
#define LANE_IN  ((uint64_t)worker_fd_lane_in(0))
#define LANE_OUT ((uint64_t)worker_fd_lane_out(0))
#define BEYOND   ((uint64_t)worker_fd_policy(1, 1))

/* ---- who may reach into it ---- */

/* In a child that is what the broker is: its uid, no capability, not dumpable. Returns the child's exit code.
 */
static int as_broker(int (*act)(const struct probe *probe, uint64_t address), const struct probe *probe,
                     uint64_t address, uid_t uid)
{
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                if (rights_drop_groups() < 0 || rights_set_gid(uid) < 0 || rights_set_uid(uid) < 0 ||
                    rights_lock_securebits() < 0 || rights_drop_capabilities(0) < 0 ||
                    rights_not_dumpable() < 0)
                        _exit(99);
                _exit(act(probe, address));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static int act_write(const struct probe *probe, uint64_t address)
{
        char bytes[8] = "bulkhea";
        struct iovec local = {bytes, 8}, remote = {(void *)(uintptr_t)address, 8};

        return process_vm_writev(probe->child.pid, &local, 1, &remote, 1, 0) == 8 ? 0 : errno;
}

static int act_read(const struct probe *probe, uint64_t address)
{
        char bytes[8] = {0};
        struct iovec local = {bytes, 8}, remote = {(void *)(uintptr_t)address, 8};

        if (process_vm_readv(probe->child.pid, &local, 1, &remote, 1, 0) != 8)
                return errno;
        return memcmp(bytes, "bulkhea", 8) == 0 ? 0 : 98;
}

static int act_kill(const struct probe *probe, uint64_t address)
{
        (void)address;
        return syscall(SYS_pidfd_send_signal, probe->child.pidfd, SIGKILL, NULL, 0) == 0 ? 0 : errno;
}

static void broker_without_capabilities_copies_into_its_worker_and_kills_it(void **state)
{
        struct probe probe;
        uint64_t address;

        (void)state;
        probe_start(&probe, policy_find("rng"));
        address = (uint64_t)probe_ask(&probe, PROBE_BUFFER, 0, 0, 0, 0);
        assert_int_equal(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
        assert_int_equal(as_broker(act_write, &probe, address, FIXTURE_OWNER), 0);
        assert_int_equal(as_broker(act_read, &probe, address, FIXTURE_OWNER), 0);
        assert_memory_equal(&(int64_t){probe_ask(&probe, PROBE_PEEK, address, 0, 0, 0)}, "bulkhea", 8);
        assert_int_equal(as_broker(act_kill, &probe, 0, FIXTURE_OWNER), 0);
        assert_int_equal(probe_ask(&probe, PROBE_PING, 0, 0, 0, 0), PROBE_DEAD);
        assert_int_equal(WTERMSIG(probe.status), SIGKILL);
        probe_stop(&probe);
}

static void others_can_neither_copy_into_a_worker_nor_kill_it(void **state)
{
        static const uid_t others[] = {FIXTURE_OWNER + 7, FIXTURE_WORKER};
        struct probe probe;
        uint64_t address;

        (void)state;
        probe_start(&probe, policy_find("rng"));
        address = (uint64_t)probe_ask(&probe, PROBE_BUFFER, 0, 0, 0, 0);
        assert_int_equal(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
        for (size_t i = 0; i < array_size(others); i++) {
                assert_int_equal(as_broker(act_write, &probe, address, others[i]), EPERM);
                assert_int_equal(as_broker(act_read, &probe, address, others[i]), EPERM);
        }
        assert_int_equal(as_broker(act_kill, &probe, 0, others[0]), EPERM);
        assert_int_equal(probe_ask(&probe, PROBE_PING, 0, 0, 0, 0), 42);
        probe_stop(&probe);
}

/* Without seccomp, so that it is the kernel's answer to the worker's rights. */
static void worker_cannot_do_to_its_broker_what_the_broker_can(void **state)
{
        struct probe probe;

        (void)state;
        probe_start(&probe, fixture_open_policy());
        assert_int_equal(probe_ask(&probe, PROBE_PROCESS_VM_WRITE, (uint64_t)getpid(), 0, 0, 0), -ESRCH);
        assert_int_equal(probe_ask(&probe, PROBE_PROCESS_VM_READ, (uint64_t)getpid(), 0, 0, 0), -ESRCH);
        assert_int_equal(probe_ask(&probe, PROBE_KILL, (uint64_t)getpid(), 0, 0, 0), -ESRCH);
        probe_stop(&probe);
}

/* As if one had slipped through the list: only Landlock stands between it and the host's files. */
static void directory_that_slipped_in_leads_nowhere(void **state)
{
        int etc = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct jail_spec spec;
        struct probe probe;
        struct probe_theirs theirs;

        (void)state;
        fixture_spec(&spec, fixture_open_policy(), &probe, &theirs);
        spec.resource_fds = &etc;
        spec.n_resources = 1;
        probe_start_spec(&probe, &spec, &theirs);
        if (probe.child.layers_missing & JAIL_LAYER_BIT(JAIL_LAYER_LANDLOCK))
                skip();
        /* Already in the domain that holds from before its exec; a number is freed, or there were none. */
        assert_int_equal(probe_ask(&probe, PROBE_CLOSE_CONTROL, 0, 0, 0, 0), 0);
        assert_int_equal(probe_ask(&probe, PROBE_OPEN_BELOW, RESOURCE, 0, 0, 0), -EACCES);
        assert_int_equal(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
        assert_int_equal(probe_ask(&probe, PROBE_OPEN_BELOW, RESOURCE, 0, 0, 0), -EACCES);
        probe_stop(&probe);
        close(etc);
}

static void worker_has_a_session_keyring_of_its_own(void **state)
{
        long ours = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0);
        struct probe probe;

        (void)state;
        if (ours < 0)
                skip();
        probe_start(&probe, fixture_open_policy());
        assert_true(probe_ask(&probe, PROBE_KEYCTL, 0, 0, 0, 0) > 0);
        assert_int_not_equal(probe_ask(&probe, PROBE_KEYCTL, 0, 0, 0, 0), ours);
        probe_stop(&probe);
}

/* ---- the resource's policy ---- */

static void start_disk(struct probe *probe, int fd, bool writable)
{
        struct jail_spec spec;
        struct probe_theirs theirs;

        fixture_spec(&spec, policy_find("blk"), probe, &theirs);
        spec.resource_fds = &fd;
        spec.n_resources = 1;
        spec.resources_rw = writable;
        spec.file_size_max = 8192;
        probe_start_spec(probe, &spec, &theirs);
        assert_int_equal(probe_ask(probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
}

static void disk_worker_reads_and_writes_inside_its_image_only(void **state)
{
        int image = fixture_image();
        struct probe probe;

        (void)state;
        start_disk(&probe, image, true);
        assert_int_equal(probe_ask(&probe, PROBE_PREAD, RESOURCE, 512, 0, 0), 512);
        assert_int_equal(probe_ask(&probe, PROBE_PWRITE, RESOURCE, 512, 7680, 0), 512);
        assert_int_equal(probe_ask(&probe, PROBE_PWRITE, RESOURCE, 512, 8192, 0), -EFBIG);
        assert_int_equal(probe_ask(&probe, PROBE_PWRITE, RESOURCE, 512, INT64_MAX - 512, 0), -EFBIG);
        assert_int_equal(probe_ask(&probe, PROBE_FALLOCATE, RESOURCE, 3, 0, 4096), 0); /* punch, keep size */
        assert_int_equal(probe_ask(&probe, PROBE_FALLOCATE, RESOURCE, 3, 8192, 4096),
                         0); /* beyond: nothing there */
        assert_int_equal(lseek(image, 0, SEEK_END), 8192);
        probe_stop(&probe);
        close(image);
}

static void assert_killed(int image, bool writable, enum probe_attack attack, uint64_t a0, uint64_t a1,
                          uint64_t a2, uint64_t a3)
{
        struct probe probe;

        start_disk(&probe, image, writable);
        assert_int_equal(probe_ask(&probe, attack, a0, a1, a2, a3), PROBE_DEAD);
        assert_int_equal(WTERMSIG(probe.status), SIGSYS);
        probe_stop(&probe);
}

static void disk_worker_is_killed_beyond_its_rows(void **state)
{
        int image = fixture_image();

        (void)state;
        assert_killed(image, true, PROBE_FALLOCATE, RESOURCE, 0, 0, 4096);  /* allocate, grow */
        assert_killed(image, true, PROBE_FALLOCATE, RESOURCE, 1, 0, 4096);  /* keep size alone */
        assert_killed(image, true, PROBE_FALLOCATE, RESOURCE, 8, 0, 4096);  /* collapse */
        assert_killed(image, true, PROBE_FALLOCATE, RESOURCE, 32, 0, 4096); /* insert */
        assert_killed(image, true, PROBE_FALLOCATE, LANE_IN, 3, 0, 4096);   /* of a lane */
        assert_killed(image, true, PROBE_FALLOCATE, LANE_OUT, 3, 0, 4096);
        assert_killed(image, true, PROBE_PWRITE, LANE_OUT, 1, 0, 0);
        assert_killed(image, true, PROBE_PREAD, WORKER_FD_CONTROL, 1, 0, 0);
        assert_killed(image, true, PROBE_PREAD, LANE_IN, 1, 0, 0);
        assert_killed(image, true, PROBE_PREAD, BEYOND, 1, 0, 0);
        assert_killed(image, true, PROBE_READ_FD, LANE_OUT, 0, 0, 0);
        assert_killed(image, true, PROBE_WRITE_FD, LANE_IN, 0, 0, 0);
        assert_killed(image, true, PROBE_READ_FD, RESOURCE, 0, 0, 0);
        assert_killed(image, true, PROBE_WRITE_FD, RESOURCE, 0, 0, 0); /* by the shared offset */
        assert_killed(image, true, PROBE_WRITE_FD, 0, 0, 0, 0);
        assert_killed(image, false, PROBE_PWRITE, RESOURCE, 512, 0, 0);
        assert_killed(image, false, PROBE_FALLOCATE, RESOURCE, 3, 0, 4096);
        close(image);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(broker_without_capabilities_copies_into_its_worker_and_kills_it),
            cmocka_unit_test(others_can_neither_copy_into_a_worker_nor_kill_it),
            cmocka_unit_test(worker_cannot_do_to_its_broker_what_the_broker_can),
            cmocka_unit_test(directory_that_slipped_in_leads_nowhere),
            cmocka_unit_test(worker_has_a_session_keyring_of_its_own),
            cmocka_unit_test(disk_worker_reads_and_writes_inside_its_image_only),
            cmocka_unit_test(disk_worker_is_killed_beyond_its_rows),
        };

        if (!fixture_needs_root())
                return 77;
        fixture_keep_rights();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
