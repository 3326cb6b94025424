/* What every worker may do: start as a static-pie program, close its second gate, speak on its channels, end.
 * Owns nothing; read by policy_compile and by the tests. TRUST: sees no foreign bytes.
 *
 * The start rows are those that glibc 2.36 was seen to need for a static-pie program whose environment is
 * empty, and those of lockdown_worker. They are in force from before exec until the run filter is loaded.
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "proto/base/checked.h"
#include "sandbox/policy/rows.h"

#ifdef __NR_arch_prctl
#include <asm/prctl.h>
#endif

#ifdef __NR_readlink
#define NR_READLINK      __NR_readlink
#define ARG_READLINK_LEN 2
#else
#define NR_READLINK      __NR_readlinkat
#define ARG_READLINK_LEN 3
#endif

#define RULE_PATH_BENEATH 1 /* of Landlock */

/* An anonymous private mapping may be populated, unreserved or a stack; it may not be shared, fixed or of a
 * file. */
#define ANONYMOUS_MASK (~(uint64_t)(MAP_POPULATE | MAP_NORESERVE | MAP_STACK))

const struct policy_row policy_base_start[] = {
    /* the execution itself */
    {__NR_execveat, POLICY_BINARY, .tests = {ARG_IS(4, AT_EMPTY_PATH)},
     .reason = "jail: execute the worker program by its descriptor; the descriptor closes with it"},
    {__NR_write, POLICY_REPORT, .reason = "jail: report a failed execution; the pipe closes with a good one"},
    {__NR_read, POLICY_GO,
     .reason = "jail: wait until the spawner traces us; the pipe closes with the execution"},
    {__NR_prctl, POLICY_TRACEABLE, .tests = {ARG_IS(1, 1)},
     .reason = "jail: dumpable, so that the spawner can trace; an execution does the same"},

    /* C library start-up */
    {__NR_brk, .reason = "malloc: the heap before lock-down, bounded by RLIMIT_DATA"},
    {__NR_mmap,
     .tests = {ARG_ONLY(2, PROT_READ | PROT_WRITE),
               ARG_MASKED(3, ANONYMOUS_MASK, MAP_PRIVATE | MAP_ANONYMOUS)},
     .reason = "malloc and the runtime's buffers: anonymous, private, never executable"},
    {__NR_munmap, .reason = "free of a large block during initialisation"},
    {__NR_madvise, .tests = {ARG_IS(2, MADV_HUGEPAGE)},
     .reason = "worker_memory: large pages for what the broker copies to, where the host has them"},
    {__NR_mprotect, .tests = {ARG_ONLY(2, PROT_READ | PROT_WRITE)},
     .reason = "static-pie start: relocations become read-only; never executable"},
#ifdef __NR_arch_prctl
    {__NR_arch_prctl, .tests = {ARG_IS(0, ARCH_SET_FS)},
     .reason = "static start: the thread pointer (x86_64)"},
#endif
    {__NR_set_tid_address, .reason = "static start: thread id of the only thread"},
    {__NR_set_robust_list, .reason = "static start: registered by glibc for every thread"},
    {__NR_rseq, .reason = "static start: registered by glibc 2.35 and later"},
    {__NR_prlimit64, .tests = {ARG_IS(0, 0), ARG_IS(1, RLIMIT_STACK), ARG_IS(2, 0)},
     .reason = "static start: read the stack limit; the null pointer bars setting one"},
    {NR_READLINK, .tests = {ARG_IS(ARG_READLINK_LEN, PATH_MAX)},
     .reason = "static start: /proc/self/exe for $ORIGIN, absent in an empty root"},
    {__NR_getrandom, .tests = {ARG_IS(2, GRND_NONBLOCK)}, .reason = "malloc: seed of its tcache key"},

    /* lockdown_worker */
    {__NR_read, POLICY_RUN_POLICY, .reason = "lockdown_worker: the run filter from its sealed memfd"},
    {__NR_close, POLICY_RUN_POLICY, .reason = "lockdown_worker: that memfd, then the ruleset in its place"},
    {__NR_prctl, .tests = {ARG_IS(0, PR_SET_DUMPABLE), ARG_IS(1, 0)},
     .reason = "lockdown_worker: not dumpable (exec has undone the jail's)"},
    {__NR_landlock_create_ruleset, .reason = "lockdown_worker: the deny-all domain and the ABI question"},
    {__NR_landlock_restrict_self, POLICY_RUN_POLICY, .tests = {ARG_IS(1, 0)},
     .reason = "lockdown_worker: enter the deny-all domain, which can only narrow"},
    {__NR_seccomp, .tests = {ARG_IS(0, SECCOMP_SET_MODE_FILTER), ARG_IS(1, 0)},
     .reason = "lockdown_worker: the run filter, which can only narrow"},

    /* the runtime's and drivers' own initialisation */
    {__NR_rt_sigaction, .tests = {ARG_IS(0, SIGPIPE)},
     .reason = "worker_main: a broker that is gone is an error"},
    {__NR_rt_sigaction, .tests = {ARG_IS(0, SIGXFSZ)},
     .reason = "worker_main: RLIMIT_FSIZE is an error, no death"},
    {__NR_newfstatat, .tests = {ARG_MASKED(3, ~(uint64_t)AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH)},
     .reason = "fstat of a granted descriptor during initialisation"},
};

const struct policy_row policy_folder_start[] = {
    {__NR_landlock_add_rule, POLICY_RUN_POLICY, .tests = {ARG_IS(1, RULE_PATH_BENEATH), ARG_IS(3, 0)},
     .reason = "lockdown_worker: what lies below its folder stays in reach"},
};

/* Their descriptors come beside Configure and have no number that a row could name. */
const struct policy_row policy_region_start[] = {
    {__NR_recvmsg, POLICY_CONTROL, .reason = "worker_shmem: Configure, and the memory of regions beside it"},
    {__NR_mmap, .tests = {ARG_IS(2, PROT_READ | PROT_WRITE), ARG_IS(3, MAP_SHARED), ARG_IS(5, 0)},
     .reason = "worker_shmem: that memory, whole; never executable"},
    {__NR_close, .tests = {ARG_ONLY(0, 127)},
     .reason = "worker_shmem: its descriptor, which is of no use afterwards"},
};

/* Which descriptor goes with it stands in memory, where no filter can judge it: the broker does. */
const struct policy_row policy_map_run[] = {
    {__NR_sendmsg, POLICY_CONTROL, .tests = {ARG_IS(2, MSG_NOSIGNAL)},
     .reason = "worker_shmem: ShmemMap, and the file beside it"},
};

const struct policy_row policy_base_run[] = {
    {__NR_read, POLICY_CHANNEL_IN, .reason = "link: control and lane messages"},
    {__NR_write, POLICY_CHANNEL_OUT, .reason = "link: control and lane messages"},
    {__NR_readv, POLICY_CHANNEL_IN, .reason = "link: frame head, header and payload in one call"},
    {__NR_writev, POLICY_CHANNEL_OUT, .reason = "link: frame head, header and payload in one call"},
    {__NR_write, POLICY_OUTPUT, .reason = "stderr: the last words of an assertion or a library"},
    {__NR_writev, POLICY_OUTPUT, .reason = "stderr: the C library's own (heap, stack protector)"},
    {__NR_ppoll, .tests = {ARG_ONLY(1, 63), ARG_IS(3, 0)},
     .reason = "worker: wait on control, lanes and the device's own, the signal mask unchanged"},
    {__NR_exit_group, .reason = "the end: the broker is gone, or the worker gives up"},
};

static_assert(array_size(policy_base_start) == POLICY_BASE_START_ROWS, "rows.h must know the number of rows");
static_assert(array_size(policy_folder_start) == POLICY_FOLDER_START_ROWS,
              "rows.h must know the number of rows");
static_assert(array_size(policy_region_start) == POLICY_REGION_START_ROWS,
              "rows.h must know the number of rows");
static_assert(array_size(policy_map_run) == POLICY_MAP_RUN_ROWS, "rows.h must know the number of rows");
static_assert(array_size(policy_base_run) == POLICY_BASE_RUN_ROWS, "rows.h must know the number of rows");
