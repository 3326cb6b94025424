/* broker, broker-kvm: event loops, vhost-user sessions, guest memory, workers' channels. No exec, no socket creation, no
 * path, no tracing, no signal but SIGKILL by pidfd. Owns nothing; loaded by broker_confine. TRUST: sees no
 * foreign bytes.
 *
 * Descriptor numbers are not pinned here: the broker opens and closes sessions all its life. What is pinned
 * is what would be authority: protections, requests, commands, clone flags, the target of a signal.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "sandbox/policy/rows.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u /* Linux 6.3 */
#endif

#define READ_WRITE (PROT_READ | PROT_WRITE)

/* Address space that is reserved and no more (guest_memory.c). */
#define WINDOW_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

/* What glibc's pthread_create passes to clone: a thread that shares all, and nothing that makes a process or
 * a namespace. All 64 bits are pinned. */
#define THREAD_FLAGS                                                                                         \
        (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |   \
         CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

static const struct policy_row channel[] = {
    {__NR_read, .reason = "eventfds (kicks, wake-ups), channels, sessions"},
    {__NR_pread64, .tests = {ARG_IS(3, 0)}, .reason = "placement: the whole of /proc/stat, opened before"},
    {__NR_readv, .reason = "lane: payload straight into guest memory"},
    {__NR_recvmsg, .reason = "vhost-user messages and the spawner's answers, with descriptors"},
    {__NR_write, .reason = "eventfds (calls, wake-ups), channels, log lines on stderr"},
    {__NR_writev, .reason = "lane: header and guest bytes in one call"},
    {__NR_sendmsg, .reason = "vhost-user answers, back-end requests and admin answers"},
    {__NR_sendto, .reason = "send(): MSG_NOSIGNAL answers on sessions and on the admin socket"},
    {__NR_accept4, .reason = "new sessions on sockets that were bound before"},
    {__NR_shutdown, .reason = "session: end one direction so that the peer sees it"},
    {__NR_getsockopt, .tests = {ARG_IS(1, SOL_SOCKET)},
     .reason = "SO_PEERCRED, SO_ERROR, SO_TYPE of sessions"},
    {__NR_setsockopt, .tests = {ARG_IS(1, SOL_SOCKET), ARG_IS(2, SO_SNDBUF)},
     .reason = "session and channel: bounded send queue"},
    {__NR_setsockopt, .tests = {ARG_IS(1, SOL_SOCKET), ARG_IS(2, SO_RCVBUF)},
     .reason = "session and channel: bounded receive queue"},
    {__NR_close, .reason = "sessions, kicks, calls, regions, channels of dead workers"},
    {__NR_fcntl, .tests = {ARG_IS(1, F_GETFL)},
     .reason = "fd_set_nonblock and access modes of passed descriptors"},
    {__NR_fcntl, .tests = {ARG_IS(1, F_SETFL)}, .reason = "fd_set_nonblock on passed descriptors"},
    {__NR_fcntl, .tests = {ARG_IS(1, F_GETFD)}, .reason = "is a descriptor open? (libuv, assertions)"},
    {__NR_fcntl, .tests = {ARG_IS(1, F_SETFD)}, .reason = "close-on-exec of accepted descriptors (libuv)"},
    {__NR_fcntl, .tests = {ARG_IS(1, F_DUPFD_CLOEXEC)}, .reason = "a second owner for a passed descriptor"},
    {__NR_fcntl, .tests = {ARG_IS(1, F_GET_SEALS)}, .reason = "may a passed region shrink behind our back?"},
    {__NR_fcntl, .tests = {ARG_IS(1, F_ADD_SEALS), ARG_IS(2, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)},
     .reason = "sealed_memory: its size is for ever"},
    {__NR_ioctl, .tests = {ARG_IS(1, FIONBIO)}, .reason = "uv_poll_init makes its descriptor non-blocking"},
    {__NR_ioctl, .tests = {ARG_IS(1, FIOCLEX)}, .reason = "libuv: close-on-exec of its own descriptors"},
    {__NR_newfstatat, .tests = {ARG_MASKED(3, ~(uint64_t)AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH)},
     .reason = "fstat: size and kind of passed descriptors"},
    {__NR_fstat, .reason = "fstat of passed descriptors (newer C libraries)"},
    {__NR_statx, .tests = {ARG_IS(2, AT_EMPTY_PATH | AT_STATX_DONT_SYNC)},
     .reason = "shmem_file: a worker's file, without asking whoever serves it"},
    {__NR_fstatfs, .reason = "shmem_file: is it a file of this host?"},
    {__NR_memfd_create, .tests = {ARG_MASKED(1, ~(uint64_t)MFD_NOEXEC_SEAL, MFD_CLOEXEC | MFD_ALLOW_SEALING)},
     .reason = "sealed_memory: shared memory regions that a worker maps, too"},
    {__NR_ftruncate, .reason = "sealed_memory: its size, before it is sealed"},
    {__NR_lseek, .reason = "size of a passed region"},
};

static const struct policy_row memory[] = {
    {__NR_mmap, .tests = {ARG_ONLY(2, READ_WRITE), ARG_MASKED(3, MAP_FIXED, 0)},
     .reason = "guest memory, thread stacks, heap; never executable, never in place of another"},
    {__NR_mmap, .tests = {ARG_IS(2, PROT_NONE), ARG_IS(3, WINDOW_FLAGS | MAP_FIXED)},
     .reason = "guest_mapping_take: a part of a window has no rights again"},
    {__NR_mprotect, .tests = {ARG_ONLY(2, READ_WRITE)},
     .reason = "thread stacks and guards; never executable"},
    {__NR_munmap, .reason = "guest memory that the VMM takes back"},
    {__NR_mremap, .tests = {ARG_ONLY(3, MREMAP_MAYMOVE | MREMAP_FIXED)},
     .reason =
         "realloc of a large block; guest_mapping_put: a file into its window; guest_mapping_put_again: "
         "a second mapping of a ring's page; keeps the protection"},
    {__NR_brk, .reason = "malloc: the heap"},
    {__NR_madvise, .reason = "guest memory stays out of core files and forks; unused stacks are given back"},
    {__NR_process_vm_writev, .tests = {ARG_ONLY(4, 63), ARG_IS(5, 0)},
     .reason = "direct copy out of guest memory into a worker whose namespace we own"},
    {__NR_process_vm_readv, .tests = {ARG_ONLY(4, 63), ARG_IS(5, 0)},
     .reason = "direct copy into guest memory out of such a worker: all places of a frame at once"},
};

static const struct policy_row loop[] = {
    {__NR_epoll_create1, .reason = "uv_loop_init of a lane"},
    {__NR_epoll_ctl, .reason = "uv_poll: watch a descriptor"},
    {__NR_epoll_pwait, .reason = "uv_run: wait for events"},
#ifdef __NR_epoll_wait
    {__NR_epoll_wait, .reason = "uv_run: wait for events"},
#endif
#ifdef __NR_poll
    {__NR_poll, .reason = "bounded waits outside a loop"},
#endif
    {__NR_ppoll, .reason = "bounded waits outside a loop"},
    {__NR_eventfd2, .reason = "uv_async and kicks of our own"},
    {__NR_pipe2, .reason = "libuv's signal pipe"},
    {__NR_clock_gettime, .reason = "time where the vDSO cannot give it"},
    {__NR_clock_nanosleep, .reason = "back-off without a loop"},
    {__NR_pidfd_send_signal, .tests = {ARG_IS(1, SIGKILL), ARG_IS(2, 0), ARG_IS(3, 0)},
     .reason = "kill a worker: only SIGKILL, only by a descriptor that the spawner gave"},
    {__NR_clone, .tests = {ARG_IS(0, THREAD_FLAGS)}, .reason = "a lane's thread; never a process"},
    {__NR_clone3, .deny_errno = ENOSYS, .reason = "glibc falls back to clone, whose flags can be judged"},
    {__NR_set_robust_list, .reason = "start of a thread"},
    {__NR_rseq, .reason = "start of a thread"},
    {__NR_prctl, .tests = {ARG_IS(0, PR_SET_NAME)}, .reason = "names of threads in ps"},
    {__NR_prlimit64, .tests = {ARG_IS(0, 0), ARG_IS(2, 0)},
     .reason = "libuv reads the stack limit for its threads; the null pointer bars setting one"},
    {__NR_sched_getaffinity, .tests = {ARG_IS(0, 0)}, .reason = "pthread attributes of a new thread"},
    {__NR_sched_setaffinity, .tests = {ARG_IS(1, sizeof(cpu_set_t))},
     .reason = "placement: lane threads, and workers whose namespace we own"},
    {__NR_sched_getattr, .tests = {ARG_IS(0, 0), ARG_IS(2, LIMIT_SLICE_ATTR), ARG_IS(3, 0)},
     .reason = "placement: a lane's own niceness, which stays"},
    {__NR_sched_setattr, .tests = {ARG_IS(0, 0), ARG_IS(2, 0)},
     .reason = "placement: the length of a lane's own turns"},
    {__NR_sched_yield, .reason = "libuv's spin between threads"},
    {__NR_futex, .reason = "locks, joins, condition variables"},
    {__NR_getrandom, .reason = "malloc's and hash tables' seeds"},
    {__NR_getpid, .reason = "log lines and abort"},
    {__NR_gettid, .reason = "abort: whom to signal"},
    {__NR_tgkill, POLICY_SELF,
     .reason = "abort, and SIGURG to a lane that a peer's eventfd holds: ourselves only"},
    {__NR_rt_sigaction, .reason = "abort, and the handler for regions that shrink"},
    {__NR_rt_sigprocmask, .reason = "thread start and abort"},
    {__NR_rt_sigreturn, .reason = "return from the fault handler"},
    {__NR_sigaltstack, .reason = "the fault handler's own stack"},
    {__NR_restart_syscall, .reason = "a wait that SIGSTOP and SIGCONT have interrupted"},
    {__NR_exit, .reason = "end of a thread"},
    {__NR_exit_group, .reason = "end of the process"},
};

const struct policy policy_broker = {
    .type = "broker",
    .run = {ROWS(channel), ROWS(memory), ROWS(loop)},
    .max_run_calls = 72,
};

/* Of a broker whose front end is KVM: no call more, but for commands of one that it has. */
const struct policy policy_broker_kvm = {
    .type = "broker-kvm",
    .run = {ROWS(channel), ROWS(memory), ROWS(loop), ROWS(policy_kvm_run)},
    .max_run_calls = 72,
};
