/* The ordinary user's way: a jail without root; and what is said where user namespaces cannot be had.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sandbox/rootless.h"
#include "sandbox/spawner_device.h"
#include "tests/jail/jail_fixture.h"

#define USER 1000u

/* Each test is a process of its own: user namespaces cannot be left. */
static void in_child(void (*body)(void))
{
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                body();
                fflush(NULL);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

#define CHECK(condition)                                                                                     \
        do {                                                                                                 \
                if (!(condition)) {                                                                          \
                        fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);    \
                        _exit(1);                                                                            \
                }                                                                                            \
        } while (0)

static void become_user(void)
{
        CHECK(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0) == 0);
        CHECK(syscall(SYS_setgroups, 0, NULL) == 0);
        CHECK(setresgid(USER, USER, USER) == 0 && setresuid(USER, USER, USER) == 0);
        CHECK(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0); /* as after an exec by that user */
}

static void enter(void)
{
        char why[512] = "";

        become_user();
        CHECK(rootless_wanted());
        if (rootless_enter(why, sizeof(why)) < 0)
                fprintf(stderr, "%s\n", why);
        CHECK(why[0] == '\0');
        CHECK(getuid() == USER && geteuid() == USER && getgid() == USER);
}

static void rootless_spec(struct jail_spec *spec, const struct policy *policy, struct probe *probe,
                          struct probe_theirs *theirs)
{
        int binary = open(PROBE_PROGRAM, O_RDONLY | O_CLOEXEC); /* while the path may still be walked */

        CHECK(binary >= 0);
        fixture_spec(spec, policy, probe, theirs);
        close(spec->binary_fd);
        spec->binary_fd = binary;
        spec->uid = spec->owner_uid = USER;
        spec->gid = spec->owner_gid = USER;
        spec->rootless = true;
}

static void body_worker(void)
{
        char text[128];
        struct jail_spec spec;
        struct probe probe;
        struct iovec local = {text, 8}, remote = {NULL, 8};
        struct probe_theirs theirs;

        rootless_spec(&spec, policy_find("rng"), &probe, &theirs);
        enter();
        CHECK(spawner_keep_rights() == 0);
        probe_start_spec(&probe, &spec, &theirs);
        CHECK(probe.child.layers_missing & JAIL_LAYER_BIT(JAIL_LAYER_UNIQUE_UID));
        CHECK(probe.child.layers_missing & JAIL_LAYER_BIT(JAIL_LAYER_NO_GROUPS));
        CHECK(!(probe.child.layers_missing & JAIL_LAYER_BIT(JAIL_LAYER_NO_NAMESPACES)));
        remote.iov_base = (void *)(uintptr_t)probe_ask(&probe, PROBE_BUFFER, 0, 0, 0, 0);
        CHECK(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0) == 0);
        CHECK(strcmp(proc_status(probe.child.pid, "CapBnd", text, sizeof(text)), "0000000000000000") == 0);
        CHECK(strcmp(proc_status(probe.child.pid, "CapEff", text, sizeof(text)), "0000000000000000") == 0);
        CHECK(strcmp(proc_status(probe.child.pid, "Seccomp_filters", text, sizeof(text)), "2") == 0);
        CHECK(strcmp(proc_status(probe.child.pid, "NoNewPrivs", text, sizeof(text)), "1") == 0);
        CHECK(strcmp(proc_status(probe.child.pid, "Uid", text, sizeof(text)), "1000\t1000\t1000\t1000") == 0);
        /* we own its namespace, as the broker will */
        CHECK(process_vm_writev(probe.child.pid, &local, 1, &remote, 1, 0) == 8);
        CHECK(process_vm_readv(probe.child.pid, &local, 1, &remote, 1, 0) == 8);
        CHECK(probe_ask(&probe, PROBE_OPEN_ROOT, 0, 0, 0, 0) == PROBE_DEAD);
        probe_stop(&probe);
}

static void ordinary_user_gets_a_jailed_worker(void **state)
{
        (void)state;
        in_child(body_worker);
}

static void body_no_way_back(void)
{
        static const enum probe_attack attacks[] = {
            PROBE_UNSHARE_USER,     PROBE_MOUNT,  PROBE_OPEN_PASSWD, PROBE_FORK,      PROBE_KILL,
            PROBE_PROCESS_VM_WRITE, PROBE_CAPSET, PROBE_SETUID_ROOT, PROBE_MMAP_EXEC, PROBE_EXEC_PATH};
        struct jail_spec spec;
        struct probe probe;
        struct probe_theirs theirs;

        rootless_spec(&spec, fixture_open_policy(), &probe, &theirs);
        enter();
        CHECK(spawner_keep_rights() == 0);
        probe_start_spec(&probe, &spec, &theirs);
        CHECK(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0) == 0);
        for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
                int64_t r = probe_ask(&probe, attacks[i], (uint64_t)getppid(), 0, 0, 0);

                if (!fixture_kernel_can_refuse(attacks[i]))
                        continue;
                if (r >= 0)
                        fprintf(stderr, "attack %d: %lld\n", attacks[i], (long long)r);
                CHECK(r < 0 && r != PROBE_DEAD);
        }
        probe_stop(&probe);
}

/* All processes are the same host user here: the pid namespace is what keeps the worker from naming the
 * others. */
static void rootless_worker_reaches_nothing_even_without_seccomp(void **state)
{
        (void)state;
        in_child(body_no_way_back);
}

static void body_stages(void)
{
        struct jail_spec spec;
        struct jail_failure failure;
        struct jail_child child = {0};
        struct probe probe;
        const char *stage;
        struct probe_theirs theirs;

        rootless_spec(&spec, policy_find("rng"), &probe, &theirs);
        enter();
        CHECK(spawner_keep_rights() == 0);
        for (size_t i = 0; (stage = jail_stage_name(i)); i++) {
                spec.fail_stage = stage;
                CHECK(jail_spawn(&spec, &child, &failure) == -EIO);
                CHECK(strcmp(failure.stage, stage) == 0);
        }
        CHECK(child.pid == 0);
}

static void each_stage_that_fails_means_no_worker_rootless_too(void **state)
{
        (void)state;
        in_child(body_stages);
}

/* ---- where they cannot be had ---- */

/* In a namespace of our own, whose limit we may set. */
static void forbid_user_namespaces(void)
{
        int fd;

        CHECK(unshare(CLONE_NEWUSER) == 0);
        fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
        CHECK(fd >= 0 && write(fd, "0 0 1", 5) == 5);
        close(fd);
        fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
        CHECK(fd >= 0 && write(fd, "deny", 4) == 4);
        close(fd);
        fd = open("/proc/self/gid_map", O_WRONLY | O_CLOEXEC);
        CHECK(fd >= 0 && write(fd, "0 0 1", 5) == 5);
        close(fd);
        fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);
        CHECK(fd >= 0 && write(fd, "0", 1) == 1);
        close(fd);
}

static void body_forbidden(void)
{
        char why[512] = "", again[512] = "";

        forbid_user_namespaces();
        CHECK(rootless_probe(why, sizeof(why)) == -ENOSPC);
        CHECK(strstr(why, "user namespaces are not available") && strstr(why, "user.max_user_namespaces"));
        CHECK(strchr(why, '\n') == NULL);
        CHECK(rootless_enter(again, sizeof(again)) == -ENOSPC);
        CHECK(strcmp(why, again) == 0);
}

static void forbidden_user_namespaces_are_one_sentence_with_the_remedy(void **state)
{
        (void)state;
        in_child(body_forbidden);
}

static void body_forbidden_spawn(void)
{
        struct jail_spec spec;
        struct jail_failure failure;
        struct jail_child child = {0};
        struct probe probe;
        struct probe_theirs theirs;

        fixture_spec(&spec, policy_find("rng"), &probe, &theirs);
        forbid_user_namespaces();
        spec.uid = spec.owner_uid = 0;
        spec.gid = spec.owner_gid = getegid();
        spec.rootless = true;
        CHECK(jail_spawn(&spec, &child, &failure) == -ENOSPC);
        CHECK(strcmp(failure.stage, "clone") == 0);
        CHECK(child.pid == 0);
}

static void no_worker_starts_where_user_namespaces_are_forbidden(void **state)
{
        (void)state;
        in_child(body_forbidden_spawn);
}

static void each_refusal_has_words(void **state)
{
        static const int errors[] = {-EPERM, -ENOSPC, -EINVAL, -ENOSYS, -EUSERS};
        char why[512];

        (void)state;
        for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
                rootless_explain(errors[i], why, sizeof(why));
                assert_non_null(strstr(why, strerror(-errors[i])));
                assert_non_null(strstr(why, ": "));
        }
        rootless_explain(-EINVAL, why, sizeof(why));
        assert_non_null(strstr(why, "CONFIG_USER_NS"));
        rootless_explain(-ENOSPC, why, 20);
        assert_true(strlen(why) < 20);
}

/* ---- chroot ---- */

static void body_chroot(void)
{
        char dir[] = "/tmp/bulkhead-chroot-XXXXXX", why[512], cwd[64], proc[64];
        struct stat before, after;

        CHECK(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
        CHECK(mkdtemp(dir) != NULL);
        snprintf(proc, sizeof(proc), "%s/proc", dir);
        CHECK(mkdir(proc, 0755) == 0 && mount("/proc", proc, NULL, MS_BIND | MS_REC, NULL) == 0);
        snprintf(cwd, sizeof(cwd), "%s/work", dir);
        CHECK(mkdir(cwd, 0755) == 0);
        CHECK(chroot(dir) == 0 && chdir("/work") == 0);
        CHECK(stat("/", &before) == 0);
        CHECK(rootless_probe(why, sizeof(why)) == -EPERM);
        CHECK(strstr(why, "chroot"));
        errno = -rootless_leave_chroot();
        CHECK(errno == 0);
        CHECK(rootless_probe(why, sizeof(why)) == 0);
        CHECK(stat("/", &after) == 0 && before.st_ino == after.st_ino && before.st_dev == after.st_dev);
        CHECK(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, "/work") == 0);
        CHECK(access("/etc/passwd", F_OK) < 0); /* what is outside of the chroot stays out of reach */
        CHECK(access("/../etc/passwd", F_OK) < 0);
        CHECK(umount2("/proc", MNT_DETACH) == 0 && rmdir("/work") == 0 && rmdir("/proc") == 0);
}

static void root_in_a_chroot_gets_user_namespaces_and_not_the_host(void **state)
{
        (void)state;
        in_child(body_chroot);
        assert_int_equal(system("rmdir /tmp/bulkhead-chroot-*"), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(ordinary_user_gets_a_jailed_worker),
            cmocka_unit_test(rootless_worker_reaches_nothing_even_without_seccomp),
            cmocka_unit_test(each_stage_that_fails_means_no_worker_rootless_too),
            cmocka_unit_test(forbidden_user_namespaces_are_one_sentence_with_the_remedy),
            cmocka_unit_test(no_worker_starts_where_user_namespaces_are_forbidden),
            cmocka_unit_test(each_refusal_has_words),
            cmocka_unit_test(root_in_a_chroot_gets_user_namespaces_and_not_the_host),
        };

        if (!fixture_needs_root()) /* to become another user, and to make the chroot */
                return 77;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
