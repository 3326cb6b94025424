/* Every attack of the probe, three times: with the whole jail, with seccomp taken out of it, and with no jail
 * at all. The first shows that the jail holds, the second that the layers behind seccomp hold on their own,
 * the third that the attacks are real.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/jail/jail_fixture.h"

#define FREE_SUCCESSES 45 /* attacks that must work without a jail, or the others show nothing */

/* What the layers behind seccomp answer. */
enum behind {
        BEHIND_ERRNO,  /* one of two errnos */
        BEHIND_OWN,    /* works, on things that are the worker's own: nothing to protect */
        BEHIND_KILLED, /* killed by the kernel even so */
};

struct attack {
        enum probe_attack attack;
        const char *name;
        enum behind behind;
        int errors[4];
        const char *layer; /* that which refuses, or why there is nothing to refuse */
};

static const struct attack attacks[] = {
    {PROBE_OPEN_ROOT, "open /", BEHIND_ERRNO, {EACCES}, "empty root of mode 0, Landlock"},
    {PROBE_OPEN_PASSWD, "open /etc/passwd", BEHIND_ERRNO, {EACCES, ENOENT}, "empty root"},
    {PROBE_OPEN_PARENT, "open ../../etc", BEHIND_ERRNO, {EACCES, ENOENT}, "empty root"},
    {PROBE_STAT_PROC, "stat /proc/self/status", BEHIND_ERRNO, {EACCES, ENOENT}, "empty root"},
    {PROBE_CREATE_FILE, "create /tmp/x", BEHIND_ERRNO, {EACCES, ENOENT, EROFS}, "read-only root"},
    {PROBE_OPEN_BY_HANDLE, "open_by_handle_at", BEHIND_ERRNO, {EPERM, EOPNOTSUPP}, "capabilities"},
    {PROBE_CHROOT, "chroot", BEHIND_ERRNO, {EPERM, EACCES}, "capabilities"},
    {PROBE_PIVOT_ROOT, "pivot_root", BEHIND_ERRNO, {EPERM}, "capabilities, Landlock"},
    {PROBE_MOUNT, "mount", BEHIND_ERRNO, {EPERM}, "capabilities, Landlock"},
    {PROBE_UMOUNT, "umount", BEHIND_ERRNO, {EPERM}, "capabilities, Landlock"},
    {PROBE_FSOPEN, "fsopen", BEHIND_ERRNO, {EPERM}, "capabilities"},
    {PROBE_SOCKET_INET, "inet socket", BEHIND_OWN, {0}, "a network namespace without any interface up"},
    {PROBE_SOCKET_UNIX_ABSTRACT, "abstract socket", BEHIND_ERRNO, {ECONNREFUSED, EPERM}, "network namespace"},
    {PROBE_SOCKET_NETLINK, "netlink socket", BEHIND_OWN, {0}, "a network namespace without any interface up"},
    {PROBE_SOCKETPAIR, "socketpair", BEHIND_ERRNO, {EMFILE}, "RLIMIT_NOFILE grants one at most"},
    {PROBE_SENDMSG_RIGHTS, "send a descriptor", BEHIND_OWN, {0}, "the broker gives no room for descriptors"},
    {PROBE_FORK, "fork", BEHIND_ERRNO, {EAGAIN}, "RLIMIT_NPROC"},
    {PROBE_VFORK, "vfork", BEHIND_ERRNO, {EAGAIN}, "RLIMIT_NPROC"},
    {PROBE_THREAD, "thread", BEHIND_ERRNO, {EAGAIN}, "RLIMIT_NPROC"},
    {PROBE_CLONE3, "clone3", BEHIND_ERRNO, {EAGAIN}, "RLIMIT_NPROC"},
    {PROBE_EXEC_PATH, "exec /bin/sh", BEHIND_ERRNO, {EACCES, ENOENT}, "empty root, Landlock"},
    {PROBE_EXEC_MEMFD,
     "exec a memfd",
     BEHIND_ERRNO,
     {ENOEXEC, EACCES},
     "was empty: execution itself is seccomp's"},
    {PROBE_UNSHARE_USER, "unshare user", BEHIND_ERRNO, {ENOSPC}, "max_user_namespaces of its namespace is 0"},
    {PROBE_UNSHARE_MOUNT, "unshare mount", BEHIND_ERRNO, {EPERM}, "capabilities"},
    {PROBE_SETNS, "setns", BEHIND_ERRNO, {EINVAL, EPERM}, "no descriptor of a namespace"},
    {PROBE_PTRACE_TRACEME, "ptrace traceme", BEHIND_OWN, {0}, "gives rights to the parent, which has them"},
    {PROBE_PTRACE_ATTACH, "ptrace the broker", BEHIND_ERRNO, {ESRCH, EPERM}, "pid namespace"},
    {PROBE_KILL, "kill the broker", BEHIND_ERRNO, {ESRCH, EPERM}, "pid namespace"},
    {PROBE_KILL_ALL, "kill everybody", BEHIND_ERRNO, {ESRCH, EPERM}, "pid namespace"},
    {PROBE_SIGQUEUE, "sigqueue to the broker", BEHIND_ERRNO, {ESRCH, EPERM}, "pid namespace"},
    {PROBE_PIDFD_OPEN, "pidfd of the broker", BEHIND_ERRNO, {ESRCH}, "pid namespace"},
    {PROBE_PROCESS_VM_READ, "read the broker's memory", BEHIND_ERRNO, {ESRCH}, "pid namespace"},
    {PROBE_PROCESS_VM_WRITE, "write the broker's memory", BEHIND_ERRNO, {ESRCH}, "pid namespace"},
    {PROBE_KCMP, "kcmp with the broker", BEHIND_ERRNO, {ESRCH, ENOSYS}, "pid namespace"},
    {PROBE_MMAP_EXEC, "map writable and executable", BEHIND_ERRNO, {EACCES}, "MDWE"},
    {PROBE_MPROTECT_EXEC, "make memory executable", BEHIND_ERRNO, {EACCES}, "MDWE"},
    {PROBE_MMAP_BIG, "map 1 TiB", BEHIND_ERRNO, {ENOMEM}, "RLIMIT_AS"},
    {PROBE_PRCTL_DUMPABLE,
     "become dumpable",
     BEHIND_OWN,
     {0},
     "shows it to its own user, which is nobody else"},
    {PROBE_PRCTL_SPECULATION, "speculation on", BEHIND_ERRNO, {EPERM, ENXIO}, "force-disabled"},
    {PROBE_PRCTL_MDWE_OFF, "MDWE off", BEHIND_ERRNO, {EPERM, EINVAL}, "MDWE cannot be undone"},
    {PROBE_PERSONALITY, "personality READ_IMPLIES_EXEC", BEHIND_OWN, {0}, "MDWE still refuses"},
    {PROBE_SETUID_ROOT, "setuid 0", BEHIND_ERRNO, {EINVAL, EPERM}, "only its own uid is mapped"},
    {PROBE_SETUID_OWNER, "setuid broker", BEHIND_ERRNO, {EINVAL, EPERM}, "only its own uid is mapped"},
    {PROBE_SETGROUPS, "setgroups", BEHIND_ERRNO, {EPERM}, "capabilities"},
    {PROBE_CAPSET, "capset all", BEHIND_ERRNO, {EPERM}, "capabilities"},
    {PROBE_SETRLIMIT, "raise RLIMIT_NOFILE", BEHIND_ERRNO, {EPERM}, "hard limits, capabilities"},
    {PROBE_SECCOMP, "ask seccomp", BEHIND_OWN, {0}, "filters can only be added"},
    {PROBE_IO_URING,
     "io_uring_setup",
     BEHIND_OWN,
     {0},
     "a ring of its own; reaches what its descriptors reach"},
    {PROBE_USERFAULTFD, "userfaultfd", BEHIND_OWN, {0}, "its own faults"},
    {PROBE_BPF, "bpf", BEHIND_ERRNO, {EPERM}, "capabilities"},
    {PROBE_PERF_EVENT, "perf_event_open", BEHIND_ERRNO, {EACCES, EPERM, ESRCH, EINVAL}, "capabilities"},
    {PROBE_KEYCTL, "keyctl", BEHIND_OWN, {0}, "a session keyring of its own"},
    {PROBE_ADD_KEY, "add_key", BEHIND_OWN, {0}, "a keyring of its own"},
    {PROBE_MEMFD, "memfd_create", BEHIND_OWN, {0}, "its own memory"},
    {PROBE_SHMGET, "shmget", BEHIND_OWN, {0}, "ipc namespace"},
    {PROBE_MQ_OPEN, "mq_open", BEHIND_ERRNO, {EMFILE, EACCES, ENOMEM}, "RLIMIT_MSGQUEUE"},
    {PROBE_INOTIFY, "inotify", BEHIND_OWN, {0}, "no path to watch"},
    {PROBE_TIMERFD, "timerfd", BEHIND_OWN, {0}, "its own time"},
    {PROBE_DUP, "dup", BEHIND_OWN, {0}, "what it has already"},
    {PROBE_FCNTL, "O_ASYNC on a lane", BEHIND_OWN, {0}, "signals to itself only"},
    {PROBE_IOCTL_TIOCSTI, "TIOCSTI", BEHIND_ERRNO, {ENOTTY}, "no terminal"},
    {PROBE_CLOSE_CONTROL, "close a lane", BEHIND_OWN, {0}, "ends its own service"},
    {PROBE_SETHOSTNAME, "sethostname", BEHIND_ERRNO, {EPERM}, "capabilities, uts namespace"},
    {PROBE_SETTIME, "clock_settime", BEHIND_ERRNO, {EPERM}, "capabilities"},
    {PROBE_REBOOT, "reboot", BEHIND_ERRNO, {EPERM, EINVAL}, "capabilities"},
    {PROBE_PIPE_FLAGS, "packets in a lane", BEHIND_OWN, {0}, "the broker reads whatever size"},
    {PROBE_PIPE_SHRINK, "shrink a lane", BEHIND_OWN, {0}, "holds less of what is for itself"},
    {PROBE_PIPE_GROW, "grow a lane", BEHIND_ERRNO, {EPERM, EINVAL, ENOMEM}, "fs.pipe-max-size, capabilities"},
    {PROBE_READ_OWN, "read what it writes", BEHIND_ERRNO, {EBADF}, "an end of a pipe is one way"},
    {PROBE_WRITE_OWN, "write what it reads", BEHIND_ERRNO, {EBADF}, "an end of a pipe is one way"},
    {PROBE_SPLICE, "splice a lane into itself", BEHIND_OWN, {0}, "bytes that it could read and write"},
    {PROBE_TEE, "double a lane", BEHIND_OWN, {0}, "bytes that it could read and write"},
    {PROBE_VMSPLICE, "lend memory to a lane", BEHIND_OWN, {0}, "the broker's read copies it once"},
#if defined(__x86_64__)
    {PROBE_IOPERM, "ioperm", BEHIND_ERRNO, {EPERM, ENOSYS, EIO}, "capabilities"},
    {PROBE_MODIFY_LDT, "modify_ldt", BEHIND_OWN, {0}, "its own descriptor table"},
    {PROBE_X32, "x32 system call", BEHIND_KILLED, {0}, "architecture check"},
    {PROBE_INT80, "32-bit system call", BEHIND_KILLED, {0}, "architecture check"},
#endif
};

static int64_t attack_with(struct probe *probe, enum probe_attack attack)
{
        return probe_ask(probe, attack, (uint64_t)getpid(), FIXTURE_OWNER, 0, 0);
}

static bool killed_by_sigsys(const struct probe *probe)
{
        return WIFSIGNALED(probe->status) && WTERMSIG(probe->status) == SIGSYS;
}

static void sweep_locked(const char *type)
{
        for (size_t i = 0; i < array_size(attacks); i++) {
                struct probe probe;
                int64_t r;

                probe_start(&probe, policy_find(type));
                r = probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0);
                if (r != 0)
                        fail_msg("lockdown: %s", strerror((int)-r));
                assert_int_equal(probe_ask(&probe, PROBE_PING, 0, 0, 0, 0), 42);
                r = attack_with(&probe, attacks[i].attack);
                if (r != PROBE_DEAD || !killed_by_sigsys(&probe))
                        fail_msg("%s in the jail of %s: answered %lld, status %x", attacks[i].name, type,
                                 (long long)r, probe.status);
                probe_stop(&probe);
        }
}

static void every_attack_is_killed_by_the_jail_of_rng(void **state)
{
        (void)state;
        sweep_locked("rng");
}

static void every_attack_is_killed_by_the_jail_of_blk(void **state)
{
        (void)state;
        sweep_locked("blk");
}

/* Before lock-down too: the program is not trusted even to start. What the start gate lets pass must be
 * harmless. */
static void every_attack_is_killed_or_refused_before_lockdown(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(attacks); i++) {
                struct probe probe;
                int64_t r;

                probe_start(&probe, policy_find("blk"));
                r = attack_with(&probe, attacks[i].attack);
                if (r >= 0 || (r == PROBE_DEAD && !killed_by_sigsys(&probe)))
                        fail_msg("%s before lock-down: answered %lld, status %x", attacks[i].name,
                                 (long long)r, probe.status);
                probe_stop(&probe);
        }
}

static bool is_expected(const struct attack *attack, const struct probe *probe, int64_t r)
{
        if (attack->behind == BEHIND_KILLED)
                return r == PROBE_DEAD && killed_by_sigsys(probe);
        if (r == PROBE_DEAD)
                return false;
        if (attack->behind == BEHIND_OWN || !fixture_kernel_can_refuse(attack->attack))
                return true;
        for (size_t i = 0; i < array_size(attack->errors); i++)
                if (attack->errors[i] != 0 && r == -attack->errors[i])
                        return true;
        return false;
}

static void layers_behind_seccomp_refuse_on_their_own(void **state)
{
        unsigned wrong = 0;

        (void)state;
        for (size_t i = 0; i < array_size(attacks); i++) {
                struct probe probe;
                int64_t r;

                probe_start(&probe, fixture_open_policy());
                assert_int_equal(probe_ask(&probe, PROBE_LOCKDOWN, 0, 0, 0, 0), 0);
                r = attack_with(&probe, attacks[i].attack);
                if (!is_expected(&attacks[i], &probe, r)) {
                        print_message("%s without seccomp: answered %lld (%s), status %x\n", attacks[i].name,
                                      (long long)r, r < 0 && r > -4096 ? strerror((int)-r) : "",
                                      probe.status);
                        wrong++;
                }
                probe_stop(&probe);
        }
        assert_int_equal(wrong, 0);
}

/* Those that would hurt this host are left out: they are refused above by rights that we do have. */
static bool would_hurt(const struct attack *row)
{
        const enum probe_attack attack = row->attack;

        return strcmp(row->name, "ioperm") == 0 || attack == PROBE_REBOOT || attack == PROBE_KILL_ALL ||
               attack == PROBE_UMOUNT || attack == PROBE_MOUNT || attack == PROBE_PIVOT_ROOT ||
               attack == PROBE_SETHOSTNAME || attack == PROBE_THREAD;
}

static void most_attacks_work_without_a_jail(void **state)
{
        unsigned successes = 0;

        (void)state;
        for (size_t i = 0; i < array_size(attacks); i++) {
                struct probe probe;
                int64_t r;

                if (would_hurt(&attacks[i]))
                        continue;
                probe_start_free(&probe);
                r = attack_with(&probe, attacks[i].attack);
                if (r >= 0 || (r == PROBE_DEAD && !killed_by_sigsys(&probe)))
                        successes++;
                probe_stop(&probe);
        }
        print_message("%u of %zu attacks work without a jail\n", successes, array_size(attacks));
        assert_true(successes >= FREE_SUCCESSES);
}

static void every_attack_has_its_row(void **state)
{
        (void)state;
        for (int attack = PROBE_LOCKDOWN + 1; attack < PROBE_ATTACKS; attack++) {
                unsigned rows = 0;

                for (size_t i = 0; i < array_size(attacks); i++)
                        rows += (int)attacks[i].attack == attack;
                assert_int_equal(rows, 1);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_attack_has_its_row),
            cmocka_unit_test(every_attack_is_killed_by_the_jail_of_rng),
            cmocka_unit_test(every_attack_is_killed_by_the_jail_of_blk),
            cmocka_unit_test(every_attack_is_killed_or_refused_before_lockdown),
            cmocka_unit_test(layers_behind_seccomp_refuse_on_their_own),
            cmocka_unit_test(most_attacks_work_without_a_jail),
        };

        if (!fixture_needs_root())
                return 77;
        fixture_keep_rights();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
