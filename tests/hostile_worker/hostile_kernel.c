/* Entry points of the kernel: by number, by foreign architecture, and those that change what the process is.
 * Owns nothing; read by hostile_ops.c. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#if defined(__x86_64__)
#include <asm/prctl.h>
#endif

#include "proto/base/checked.h"
#include "tests/hostile_worker/hostile.h"
#include "tests/hostile_worker/hostile_call.h"

#define X32_BIT 0x40000000ul

static char page[HOSTILE_PAGE] __attribute__((aligned(HOSTILE_PAGE)));

/* ---- by number ---- */

static int64_t call_native(struct hostile *hostile)
{
        return CALL((long)hostile->command.number, 0ul, 0ul, 0ul, 0ul, 0ul, 0ul);
}

static int64_t call_x32(struct hostile *hostile)
{
        return CALL((long)(hostile->command.number | X32_BIT), 0ul, 0ul, 0ul, 0ul, 0ul, 0ul);
}

static int64_t call_int80(struct hostile *hostile)
{
#if defined(__x86_64__)
        long r;

        __asm__ volatile("int $0x80"
                         : "=a"(r)
                         : "a"(hostile->command.number), "b"(0ul), "c"(0ul), "d"(0ul), "S"(0ul), "D"(0ul)
                         : "memory", "r8", "r9", "r10", "r11");
        return r;
#else
        return call_x32(hostile);
#endif
}

/* ---- namespaces and mounts ---- */

static int64_t open_tree_clone(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */);
}

static int64_t clone_newuser(struct hostile *hostile)
{
        long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

        (void)hostile;
        if (pid == 0)
                syscall(SYS_exit_group, 0);
        return hostile_answer(pid);
}

static int64_t setns_broker(struct hostile *hostile)
{
        char path[64];
        int64_t fd;

        snprintf(path, sizeof(path), "/proc/%llu/ns/net", (unsigned long long)hostile->command.broker_pid);
        fd = CALL(SYS_openat, AT_FDCWD, path, O_RDONLY);
        return fd < 0 ? fd : CALL(SYS_setns, fd, 0);
}

/* ---- other processes' memory and descriptors ---- */

static int64_t vm_copy(long nr, uint64_t pid, uint64_t address, void *bytes)
{
        struct iovec local = {bytes, 8}, remote = {(void *)(uintptr_t)address, 8};

        return CALL(nr, pid, &local, 1ul, &remote, 1ul, 0ul);
}

static int64_t vm_read_broker(struct hostile *hostile)
{
        return vm_copy(SYS_process_vm_readv, hostile->command.broker_pid,
                       hostile->command.broker_address ^ COMMAND_RANGE_XOR, page);
}

/* What is there already: the point is that it could. */
static int64_t vm_write_broker(struct hostile *hostile)
{
        const struct hostile_command *command = &hostile->command;
        int64_t r = vm_copy(SYS_process_vm_readv, command->broker_pid,
                            command->broker_address ^ COMMAND_RANGE_XOR, page);

        return r < 0 ? r
                     : vm_copy(SYS_process_vm_writev, command->broker_pid,
                               command->broker_address ^ COMMAND_RANGE_XOR, page);
}

static int64_t vm_read_sibling(struct hostile *hostile)
{
        /* Its stack is unknown, so the answer of a process that may be looked at is EFAULT. */
        int64_t r = vm_copy(SYS_process_vm_readv, hostile->command.sibling_pid, 4096, page);

        return r == -EFAULT ? 0 : r;
}

static int64_t ptrace_sibling(struct hostile *hostile)
{
        return CALL(SYS_ptrace, 0x4206 /* PTRACE_SEIZE */, hostile->command.sibling_pid, 0, 0);
}

static int64_t pidfd_getfd(struct hostile *hostile)
{
        int64_t fd = CALL(SYS_pidfd_open, hostile->command.broker_pid, 0);

        return fd < 0 ? fd : CALL(SYS_pidfd_getfd, fd, 2, 0);
}

/* ---- code ---- */

static int64_t exec_memfd(struct hostile *hostile)
{
        static const char script[] = "#!/bin/true\n";
        const char *argv[] = {"x", NULL};
        int64_t fd = CALL(SYS_memfd_create, "x", 0);

        (void)hostile;
        if (fd < 0)
                return fd;
        if (syscall(SYS_write, fd, script, sizeof(script) - 1) < 0)
                return -errno;
        return CALL(SYS_execveat, fd, "", argv, argv + 1, AT_EMPTY_PATH);
}

static int64_t exec_self(struct hostile *hostile)
{
        const char *argv[] = {"/proc/self/exe", NULL};

        (void)hostile;
        return CALL(SYS_execve, argv[0], argv, argv + 1);
}

static int64_t mmap_fixed_exec(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_mmap, page, HOSTILE_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0ul) < 0
                   ? -errno
                   : 0;
}

static int64_t text_writable(struct hostile *hostile)
{
        uintptr_t at = (uintptr_t)text_writable & ~(uintptr_t)(HOSTILE_PAGE - 1);

        (void)hostile;
        return CALL(SYS_mprotect, at, HOSTILE_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int64_t brk_grow(struct hostile *hostile)
{
        long now = syscall(SYS_brk, 0);

        (void)hostile;
        return now < 0 ? -errno : CALL(SYS_brk, now + (long)HOSTILE_PAGE);
}

static int64_t mmap_image(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_mmap, NULL, HOSTILE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, hostile_resource, 0ul) <
                       0
                   ? -errno
                   : 0;
}

/* ---- what the process is ---- */

static int64_t prctl_name(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_prctl, PR_SET_NAME, "bulkhead-broker", 0, 0, 0);
}

static int64_t prctl_subreaper(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static int64_t prctl_keepcaps(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
}

static int64_t prctl_bounding(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_prctl, PR_CAPBSET_READ, 21 /* CAP_SYS_ADMIN */, 0, 0, 0) == 1 ? 1 : -EPERM;
}

static int64_t prctl_tsc(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_prctl, PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0);
}

static int64_t seccomp_filter(unsigned flags)
{
        struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        struct sock_fprog program = {.len = 1, .filter = &allow};

        return CALL(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static int64_t seccomp_second(struct hostile *hostile)
{
        (void)hostile;
        return seccomp_filter(0);
}

static int64_t seccomp_notify(struct hostile *hostile)
{
        (void)hostile;
        return seccomp_filter(SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

#if defined(__x86_64__)
static int64_t arch_gs(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_arch_prctl, ARCH_SET_GS, 0ul);
}

static int64_t iopl_3(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_iopl, 3);
}
#endif

static int64_t setgid_root(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_setresgid, 0, 0, 0);
}

static int64_t finit_module(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_finit_module, 0, "", 0);
}

static int64_t syslog_read(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_syslog, 10 /* size of the kernel's log */, NULL, 0);
}

static int64_t sched_realtime(struct hostile *hostile)
{
        struct sched_param param = {.sched_priority = 1};

        (void)hostile;
        return CALL(SYS_sched_setscheduler, 0, SCHED_FIFO, &param);
}

/* To sit where a victim's code runs: what can be measured there is most. */
static int64_t sched_affinity(struct hostile *hostile)
{
        cpu_set_t set;

        (void)hostile;
        CPU_ZERO(&set);
        CPU_SET(0, &set);
        return CALL(SYS_sched_setaffinity, 0, sizeof(set), &set);
}

static const struct hostile_attack rows[] = {
    {"call", call_native, 0},
    {"call-x32", call_x32, 0},
    {"call-int80", call_int80, 0},
    {"open-tree", open_tree_clone, 0},
    {"clone-newuser", clone_newuser, 0},
    {"setns-broker", setns_broker, 0},
    {"vm-read-broker", vm_read_broker, 0},
    {"vm-write-broker", vm_write_broker, 0},
    {"vm-read-sibling", vm_read_sibling, 0},
    {"ptrace-sibling", ptrace_sibling, 0},
    {"pidfd-getfd", pidfd_getfd, 0},
    {"exec-memfd", exec_memfd, 0},
    {"exec-self", exec_self, 0},
    {"mmap-fixed-exec", mmap_fixed_exec, 0},
    {"text-writable", text_writable, 0},
    {"brk", brk_grow, 0},
    {"mmap-image", mmap_image, 0},
    {"prctl-name", prctl_name, 0},
    {"prctl-subreaper", prctl_subreaper, 0},
    {"prctl-keepcaps", prctl_keepcaps, 0},
    {"prctl-bounding", prctl_bounding, 0},
    {"prctl-tsc", prctl_tsc, 0},
    {"seccomp-second", seccomp_second, 0},
    {"seccomp-notify", seccomp_notify, 0},
#if defined(__x86_64__)
    {"arch-gs", arch_gs, 0},
    {"iopl", iopl_3, 0},
#endif
    {"setgid-root", setgid_root, 0},
    {"finit-module", finit_module, 0},
    {"syslog", syslog_read, 0},
    {"sched-realtime", sched_realtime, 0},
    {"sched-affinity", sched_affinity, 0},
};

const struct hostile_attacks hostile_kernel = {rows, array_size(rows)};
