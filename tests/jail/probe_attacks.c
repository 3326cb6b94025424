/* Things that a worker must not be able to do, each one raw system call or two, so that no wrapper refuses
 * before the kernel. They clean up after themselves where they work.
 * Owns nothing; linked into the probe worker and into the hostile worker. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/lockdown.h"
#include "tests/jail/probe.h"

#define PAGE 4096

static char page[PAGE] __attribute__((aligned(PAGE)));

static int64_t answer(long r)
{
        return r < 0 ? -errno : r;
}

#define CALL(...) answer(syscall(__VA_ARGS__))

/* What makes a child must not let it run on as a second probe. */
static int64_t child_ends(long pid)
{
        if (pid == 0)
                syscall(SYS_exit_group, 0);
        return answer(pid);
}

static int64_t attack_unix_abstract(void)
{
        struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0bulkhead-probe"};
        long fd = syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);

        return fd < 0 ? -errno : CALL(SYS_connect, fd, &name, sizeof(name));
}

static int64_t attack_rights(void)
{
        char control[CMSG_SPACE(sizeof(int))] = {0};
        struct probe_answer whole = {0}; /* so that who reads the channel keeps its step */
        struct iovec iov = {&whole, sizeof(whole)};
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        return CALL(SYS_sendmsg, WORKER_FD_CONTROL, &msg, MSG_DONTWAIT);
}

static int64_t attack_exec_memfd(void)
{
        const char *argv[] = {"x", NULL};
        long fd = syscall(SYS_memfd_create, "x", 0);

        return fd < 0 ? -errno : CALL(SYS_execveat, fd, "", argv, argv + 1, AT_EMPTY_PATH);
}

static int64_t attack_clone3(void)
{
        struct clone_args args = {.exit_signal = SIGCHLD};

        return child_ends(syscall(SYS_clone3, &args, sizeof(args)));
}

static int64_t attack_vm(long nr, uint64_t pid)
{
        char bytes[8] = {0};
        struct iovec local = {bytes, 8}, remote = {page, 8};

        return CALL(nr, pid, &local, 1ul, &remote, 1ul,
                    0ul); /* the last goes over the stack, in full width */
}

static int64_t attack_mprotect(void)
{
        void *p = (void *)syscall(SYS_mmap, NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                  -1, 0ul);

        return p == MAP_FAILED ? -errno : CALL(SYS_mprotect, p, PAGE, PROT_READ | PROT_EXEC);
}

static int64_t attack_capset(void)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct all[2] = {{~0u, ~0u, 0}, {0x1ff, 0x1ff, 0}};

        return CALL(SYS_capset, &header, all);
}

static int64_t attack_rlimit(void)
{
        struct rlimit64 limit = {1024, 1024};

        return CALL(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
}

static int64_t attack_io_uring(void)
{
        char params[120] = {0};

        return CALL(SYS_io_uring_setup, 1, params);
}

static int64_t attack_bpf(void)
{
        union bpf_attr attr = {
            .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};

        return CALL(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
}

static int64_t attack_perf(void)
{
        struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = 0};

        return CALL(SYS_perf_event_open, &attr, -1, 0, -1, 0ul);
}

static int64_t attack_settime(void)
{
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return CALL(SYS_clock_settime, CLOCK_REALTIME, &now);
}

/* What works without a jail must not be left lying about. */
static int64_t attack_shmget(void)
{
        long id = syscall(SYS_shmget, IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
        int e = errno;

        if (id < 0)
                return -e;
        syscall(SYS_shmctl, id, IPC_RMID, NULL);
        return id;
}

static int64_t attack_mq_open(void)
{
        long fd = syscall(SYS_mq_open, "bulkhead-probe", O_RDWR | O_CREAT, 0600, NULL);
        int e = errno;

        if (fd < 0)
                return -e;
        syscall(SYS_mq_unlink, "bulkhead-probe");
        return fd;
}

static int64_t attack_create(void)
{
        long fd = syscall(SYS_openat, AT_FDCWD, "/tmp/bulkhead-probe", O_RDWR | O_CREAT, 0600);
        int e = errno;

        if (fd < 0)
                return -e;
        syscall(SYS_unlinkat, AT_FDCWD, "/tmp/bulkhead-probe", 0);
        return fd;
}

#if defined(__x86_64__)
static int64_t attack_int80(void)
{
        long r;

        /* 20 is getpid there */
        __asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
        return r;
}
#endif

static int64_t attack_fd_mask(void)
{
        uint64_t mask = 0;

        for (int fd = 0; fd < 63; fd++)
                if (syscall(SYS_fcntl, fd, F_GETFD) >= 0)
                        mask |= UINT64_C(1) << fd;
        return (int64_t)mask;
}

static int64_t probe_paths(uint64_t attack)
{
        char handle[16] = {8, 0, 0, 0, 1};

        switch ((enum probe_attack)attack) {
        case PROBE_OPEN_ROOT:
                return CALL(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY);
        case PROBE_OPEN_PASSWD:
                return CALL(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
        case PROBE_OPEN_PARENT:
                return CALL(SYS_openat, AT_FDCWD, "../../etc", O_RDONLY | O_DIRECTORY);
        case PROBE_STAT_PROC:
                return CALL(SYS_newfstatat, AT_FDCWD, "/proc/self/status", page, 0);
        case PROBE_CREATE_FILE:
                return attack_create();
        case PROBE_OPEN_BY_HANDLE:
                return CALL(SYS_open_by_handle_at, AT_FDCWD, handle, O_RDONLY);
        case PROBE_CHROOT:
                return CALL(SYS_chroot, ".");
        case PROBE_PIVOT_ROOT:
                return CALL(SYS_pivot_root, ".", ".");
        case PROBE_MOUNT:
                return CALL(SYS_mount, "none", "/", "tmpfs", 0, NULL);
        case PROBE_UMOUNT:
                return CALL(SYS_umount2, "/", 2 /* MNT_DETACH */);
        case PROBE_FSOPEN:
                return CALL(SYS_fsopen, "tmpfs", 0);
        default:
                return -ENOSYS;
        }
}

static int64_t probe_processes(uint64_t attack, const uint64_t *args)
{
        const char *argv[] = {"sh", NULL};
        siginfo_t info = {.si_signo = SIGTERM, .si_code = SI_QUEUE};

        switch ((enum probe_attack)attack) {
        case PROBE_FORK:
                return child_ends(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
        case PROBE_VFORK:
                return child_ends(syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0));
        case PROBE_THREAD:
                /* with a null stack the thread would share ours: the null thread pointer ends it, if it ever
                 * runs */
                return CALL(SYS_clone, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_VFORK, page + PAGE, 0,
                            0, 0);
        case PROBE_CLONE3:
                return attack_clone3();
        case PROBE_EXEC_PATH:
                return CALL(SYS_execve, "/bin/sh", argv, argv + 1);
        case PROBE_EXEC_MEMFD:
                return attack_exec_memfd();
        case PROBE_UNSHARE_USER:
                return CALL(SYS_unshare, CLONE_NEWUSER);
        case PROBE_UNSHARE_MOUNT:
                return CALL(SYS_unshare, CLONE_NEWNS);
        case PROBE_SETNS:
                return CALL(SYS_setns, 0, 0);
        case PROBE_PTRACE_TRACEME:
                return CALL(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
        case PROBE_PTRACE_ATTACH:
                return CALL(SYS_ptrace, PTRACE_SEIZE, args[0], 0, 0);
        case PROBE_KILL:
                return CALL(SYS_kill, args[0], 0);
        case PROBE_KILL_ALL:
                return CALL(SYS_kill, -1, 0ul);
        case PROBE_SIGQUEUE:
                return CALL(SYS_rt_sigqueueinfo, args[0], 0, &info);
        case PROBE_PIDFD_OPEN:
                return CALL(SYS_pidfd_open, args[0], 0);
        case PROBE_PROCESS_VM_READ:
                return attack_vm(SYS_process_vm_readv, args[0]);
        case PROBE_PROCESS_VM_WRITE:
                return attack_vm(SYS_process_vm_writev, args[0]);
        case PROBE_KCMP:
                return CALL(SYS_kcmp, args[0], args[0], 0, 0, 0);
        default:
                return -ENOSYS;
        }
}

static int64_t probe_rights(uint64_t attack, const uint64_t *args)
{
        switch ((enum probe_attack)attack) {
        case PROBE_MMAP_EXEC:
                return CALL(SYS_mmap, NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0ul);
        case PROBE_MPROTECT_EXEC:
                return attack_mprotect();
        case PROBE_MMAP_BIG:
                return CALL(SYS_mmap, NULL, 1ul << 40, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                            -1, 0ul);
        case PROBE_PRCTL_DUMPABLE:
                return CALL(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
        case PROBE_PRCTL_SPECULATION:
                return CALL(SYS_prctl, PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_ENABLE, 0, 0);
        case PROBE_PRCTL_MDWE_OFF:
                return CALL(SYS_prctl, 65, 0, 0, 0, 0);
        case PROBE_PERSONALITY:
                return CALL(SYS_personality, 0x0400000);
        case PROBE_SETUID_ROOT:
                return CALL(SYS_setresuid, 0, 0, 0);
        case PROBE_SETUID_OWNER:
                return CALL(SYS_setresuid, args[1], args[1], args[1]);
        case PROBE_SETGROUPS:
                return CALL(SYS_setgroups, 0, NULL);
        case PROBE_CAPSET:
                return attack_capset();
        case PROBE_SETRLIMIT:
                return attack_rlimit();
        case PROBE_SECCOMP:
                return CALL(SYS_seccomp, 2 /* SECCOMP_GET_ACTION_AVAIL */, 0, &(uint32_t){0x7fff0000u});
        default:
                return -ENOSYS;
        }
}

static int64_t probe_kernel(uint64_t attack)
{
        switch ((enum probe_attack)attack) {
        case PROBE_SOCKET_INET:
                return CALL(SYS_socket, AF_INET, SOCK_STREAM, 0);
        case PROBE_SOCKET_UNIX_ABSTRACT:
                return attack_unix_abstract();
        case PROBE_SOCKET_NETLINK:
                return CALL(SYS_socket, AF_NETLINK, SOCK_RAW, 0);
        case PROBE_SOCKETPAIR:
                return CALL(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, page);
        case PROBE_SENDMSG_RIGHTS:
                return attack_rights();
        case PROBE_IO_URING:
                return attack_io_uring();
        case PROBE_USERFAULTFD:
                return CALL(SYS_userfaultfd, 0);
        case PROBE_BPF:
                return attack_bpf();
        case PROBE_PERF_EVENT:
                return attack_perf();
        case PROBE_KEYCTL:
                return CALL(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0, 0);
        case PROBE_ADD_KEY:
                return CALL(SYS_add_key, "user", "probe", "x", 1, KEY_SPEC_PROCESS_KEYRING);
        case PROBE_MEMFD:
                return CALL(SYS_memfd_create, "x", 0);
        case PROBE_SHMGET:
                return attack_shmget();
        case PROBE_MQ_OPEN:
                return attack_mq_open();
        case PROBE_INOTIFY:
                return CALL(SYS_inotify_init1, 0);
        case PROBE_TIMERFD:
                return CALL(SYS_timerfd_create, CLOCK_MONOTONIC, 0);
        case PROBE_SETHOSTNAME:
                return CALL(SYS_sethostname, "probe", 5);
        case PROBE_SETTIME:
                return attack_settime();
        case PROBE_REBOOT:
                return CALL(SYS_reboot, 0xfee1dead, 672274793, 0 /* disables Ctrl-Alt-Del */, NULL);
#if defined(__x86_64__)
        case PROBE_IOPERM:
                return CALL(SYS_ioperm, 0x80, 1, 1);
        case PROBE_MODIFY_LDT:
                return CALL(SYS_modify_ldt, 0, page, 16);
        case PROBE_X32:
                return CALL(SYS_getpid | 0x40000000);
        case PROBE_INT80:
                return attack_int80();
#endif
        default:
                return -ENOSYS;
        }
}

static int64_t probe_descriptors(uint64_t attack, const uint64_t *args)
{
        switch ((enum probe_attack)attack) {
        case PROBE_DUP:
                return CALL(SYS_dup, 0);
        case PROBE_FCNTL:
                return CALL(SYS_fcntl, worker_fd_lane_in(0), F_SETFL, O_ASYNC);
        case PROBE_IOCTL_TIOCSTI:
                return CALL(SYS_ioctl, 0, TIOCSTI, "x");
        case PROBE_CLOSE_CONTROL:
                return CALL(SYS_close, worker_fd_lane_in(0));
        case PROBE_WRITE_FD:
                return CALL(SYS_write, args[0], page, 1);
        case PROBE_READ_FD:
                return CALL(SYS_read, args[0], page, 1);
        case PROBE_PWRITE:
                return CALL(SYS_pwrite64, args[0], page, args[1], args[2]);
        case PROBE_PREAD:
                return CALL(SYS_pread64, args[0], page, args[1], args[2]);
        case PROBE_FALLOCATE:
                return CALL(SYS_fallocate, args[0], args[1], args[2], args[3]);
        case PROBE_OPEN_BELOW:
                return CALL(SYS_openat, args[0], "passwd", O_RDONLY);
        case PROBE_FD_MASK:
                return attack_fd_mask();
        default:
                return -ENOSYS;
        }
}

/* Of the lane: a pipe is written by one side and read by the other, but much of it both can change. */
static int64_t probe_pipes(uint64_t attack)
{
        const int in = worker_fd_lane_in(0), out = worker_fd_lane_out(0);

        switch ((enum probe_attack)attack) {
        case PROBE_PIPE_FLAGS:
                return CALL(SYS_fcntl, out, F_SETFL, O_DIRECT | O_NONBLOCK); /* each write a packet */
        case PROBE_PIPE_SHRINK:
                return CALL(SYS_fcntl, in, F_SETPIPE_SZ, PAGE);
        case PROBE_PIPE_GROW:
                return CALL(SYS_fcntl, out, F_SETPIPE_SZ, 1 << 30);
        case PROBE_READ_OWN:
                return CALL(SYS_read, out, page, 1);
        case PROBE_WRITE_OWN:
                return CALL(SYS_write, in, page, 1);
        case PROBE_SPLICE:
                return CALL(SYS_splice, in, NULL, out, NULL, 1ul, SPLICE_F_NONBLOCK);
        case PROBE_TEE:
                return CALL(SYS_tee, in, out, 1ul, SPLICE_F_NONBLOCK);
        case PROBE_VMSPLICE:
                return CALL(SYS_vmsplice, out, &(struct iovec){page, PAGE}, 1ul, SPLICE_F_NONBLOCK);
        default:
                return -ENOSYS;
        }
}

int64_t probe_attack(uint64_t attack, const uint64_t *args)
{
        int64_t r = probe_paths(attack);

        if (r == -ENOSYS)
                r = probe_processes(attack, args);
        if (r == -ENOSYS)
                r = probe_rights(attack, args);
        if (r == -ENOSYS)
                r = probe_descriptors(attack, args);
        if (r == -ENOSYS)
                r = probe_pipes(attack);
        if (r == -ENOSYS)
                r = probe_kernel(attack);
        return r;
}
