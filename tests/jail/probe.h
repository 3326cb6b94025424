/* What the probe worker and the tests that drive it share: one command, one answer, over the control channel.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* Each is one thing that a worker must not be able to do; probe_worker.c has one function for each. */
enum probe_attack {
        PROBE_PING = 0,
        PROBE_LOCKDOWN,
        PROBE_OPEN_ROOT,
        PROBE_OPEN_PASSWD,
        PROBE_OPEN_PARENT,
        PROBE_STAT_PROC,
        PROBE_CREATE_FILE,
        PROBE_OPEN_BY_HANDLE,
        PROBE_CHROOT,
        PROBE_PIVOT_ROOT,
        PROBE_MOUNT,
        PROBE_UMOUNT,
        PROBE_FSOPEN,
        PROBE_SOCKET_INET,
        PROBE_SOCKET_UNIX_ABSTRACT,
        PROBE_SOCKET_NETLINK,
        PROBE_SOCKETPAIR,
        PROBE_SENDMSG_RIGHTS,
        PROBE_FORK,
        PROBE_VFORK,
        PROBE_THREAD,
        PROBE_CLONE3,
        PROBE_EXEC_PATH,
        PROBE_EXEC_MEMFD,
        PROBE_UNSHARE_USER,
        PROBE_UNSHARE_MOUNT,
        PROBE_SETNS,
        PROBE_PTRACE_TRACEME,
        PROBE_PTRACE_ATTACH,
        PROBE_KILL,
        PROBE_KILL_ALL,
        PROBE_SIGQUEUE,
        PROBE_PIDFD_OPEN,
        PROBE_PROCESS_VM_READ,
        PROBE_PROCESS_VM_WRITE,
        PROBE_KCMP,
        PROBE_MMAP_EXEC,
        PROBE_MPROTECT_EXEC,
        PROBE_MMAP_BIG,
        PROBE_PRCTL_DUMPABLE,
        PROBE_PRCTL_SPECULATION,
        PROBE_PRCTL_MDWE_OFF,
        PROBE_PERSONALITY,
        PROBE_SETUID_ROOT,
        PROBE_SETUID_OWNER,
        PROBE_SETGROUPS,
        PROBE_CAPSET,
        PROBE_SETRLIMIT,
        PROBE_SECCOMP,
        PROBE_IO_URING,
        PROBE_USERFAULTFD,
        PROBE_BPF,
        PROBE_PERF_EVENT,
        PROBE_KEYCTL,
        PROBE_ADD_KEY,
        PROBE_MEMFD,
        PROBE_SHMGET,
        PROBE_MQ_OPEN,
        PROBE_INOTIFY,
        PROBE_TIMERFD,
        PROBE_DUP,
        PROBE_FCNTL,
        PROBE_IOCTL_TIOCSTI,
        PROBE_CLOSE_CONTROL,
        PROBE_SETHOSTNAME,
        PROBE_SETTIME,
        PROBE_REBOOT,
        PROBE_PIPE_FLAGS,
        PROBE_PIPE_SHRINK,
        PROBE_PIPE_GROW,
        PROBE_READ_OWN,
        PROBE_WRITE_OWN,
        PROBE_SPLICE,
        PROBE_TEE,
        PROBE_VMSPLICE,
#if defined(__x86_64__)
        PROBE_IOPERM,
        PROBE_MODIFY_LDT,
        PROBE_X32,
        PROBE_INT80,
#endif
        PROBE_ATTACKS, /* those above are swept in every jail; those below need arguments of their own */
        PROBE_WRITE_FD = PROBE_ATTACKS,
        PROBE_READ_FD,
        PROBE_PWRITE,
        PROBE_PREAD,
        PROBE_FALLOCATE,
        PROBE_OPEN_BELOW, /* "passwd" below the directory args[0] */
        PROBE_ABORT,
        PROBE_EXIT,
        PROBE_BUFFER,  /* answers with the address of a page of its own */
        PROBE_PEEK,    /* answers with the word at args[0] */
        PROBE_FD_MASK, /* answers with the set of its open descriptors below 64 */
        PROBE_COUNT_,
};

struct probe_command {
        uint64_t attack;
        uint64_t args[4];
};

/* probe_attacks.c: the attacks that have no state. The kernel's answer; -ENOSYS also for a number that is none of
 * them. */
int64_t probe_attack(uint64_t attack, const uint64_t *args);

struct probe_answer {
        int64_t result; /* of the system call, or -errno */
};
