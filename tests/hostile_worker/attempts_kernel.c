/* Attempts at the kernel itself: E1 .. E22.
 * Owns nothing; read by the runner. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/checked.h"
#include "tests/hostile_worker/attempt.h"

extern const struct attempt attempts_kernel[];
extern const size_t n_attempts_kernel;

/* With the filter: killed. Without: refused for the reason behind. */
#define REFUSED(topic, key, what, behind)                                                                    \
        {                                                                                                    \
                topic, key, what, ON_ALL, 0, END_SIGSYS, END_ERRNO, behind, 0                                \
        }
/* With the filter: killed. Without: it may, for nothing but itself is any different. */
#define OWN(topic, key, what, behind)                                                                        \
        {                                                                                                    \
                topic, key, what, ON_ALL, 0, END_SIGSYS, END_OWN | END_ERRNO, behind, 0                      \
        }
/* Of who becomes what: one with a range of owners has ids of its own to become. */
#define RANGE(key, what, behind)                                                                             \
        {"E22", key, what, ON_ALL & ~ON_OWNERS, 0, END_SIGSYS, END_ERRNO, behind, 0},                        \
        {                                                                                                    \
                "E22", key, what, ON_OWNERS, 0, END_SIGSYS, END_OWN, "of its range", 0                       \
        }
/* Not to be tried without a jail. */
#define HURTS(topic, key, what, behind)                                                                      \
        {                                                                                                    \
                topic, key, what, ON_ALL, ATTEMPT_HURTS, END_SIGSYS, END_ERRNO, behind, 0                    \
        }

const struct attempt attempts_kernel[] = {
    {"E1", "sweep", "make each system call that is not in its policy", ON_WORKERS,
     ATTEMPT_HURTS | ATTEMPT_PLAY | ATTEMPT_SLOW, END_SIGSYS, 0, "", 0},
    {"E2", "sweep-x32", "make each of them by its x32 number", ON_WORKERS,
     ATTEMPT_HURTS | ATTEMPT_PLAY | ATTEMPT_SLOW, END_SIGSYS, 0, "", 0},
#if defined(__x86_64__)
    {"E2", "x32", "getpid by its x32 number", ON_WORKERS, ATTEMPT_HURTS, END_SIGSYS, END_ERRNO | END_OWN,
     "this kernel serves none, or it is a harmless one", 0},
#endif
    {"E3", "sweep-int80", "make each of them by int 0x80", ON_WORKERS,
     ATTEMPT_HURTS | ATTEMPT_PLAY | ATTEMPT_SLOW, END_SIGSYS, 0, "", 0},
#if defined(__x86_64__)
    {"E3", "int80", "getpid by int 0x80", ON_WORKERS, 0, END_SIGSYS, END_ERRNO | END_OWN, "a harmless one",
     0},
#endif
    OWN("E4", "io-uring", "set up an io_uring", "reaches what its descriptors reach"),
    OWN("E5", "userfaultfd", "handle its own page faults", "its own faults"),
    REFUSED("E6", "bpf", "make a bpf map", "capabilities"),
    REFUSED("E7", "perf-event", "count events of the kernel", "capabilities"),
    OWN("E8", "keyctl", "look at its session keyring", "a keyring of its own"),
    OWN("E8", "add-key", "put a key into a keyring", "a keyring of its own"),
    HURTS("E9", "mount", "mount a tmpfs over /", "capabilities, Landlock"),
    HURTS("E9", "umount", "unmount /", "capabilities, Landlock"),
    REFUSED("E9", "fsopen", "make a file system by descriptor", "capabilities"),
    REFUSED("E9", "open-tree", "copy the tree of mounts", "capabilities"),
    REFUSED("E10", "unshare-user", "make a user namespace", "max_user_namespaces of its own is 0"),
    REFUSED("E10", "unshare-mount", "make a mount namespace", "capabilities"),
    REFUSED("E10", "clone-newuser", "fork into a user namespace", "max_user_namespaces of its own is 0"),
    REFUSED("E10", "setns", "enter another namespace by a descriptor", "no descriptor of one"),
    REFUSED("E10", "setns-broker", "enter the broker's network", "empty root"),
    REFUSED("E11", "ptrace-broker", "trace the broker", "pid namespace"),
    REFUSED("E11", "ptrace-sibling", "trace another device", "pid namespace"),
    OWN("E11", "ptrace-traceme", "be traced by its parent", "gives rights to a parent that has them"),
    REFUSED("E12", "vm-read-broker", "read the broker's memory", "pid namespace"),
    REFUSED("E12", "vm-write-broker", "write the broker's memory", "pid namespace"),
    REFUSED("E12", "vm-read-sibling", "read another device's memory", "pid namespace"),
    REFUSED("E13", "pidfd-open", "get a handle of the broker", "pid namespace"),
    REFUSED("E13", "pidfd-getfd", "take a descriptor of the broker", "pid namespace"),
    REFUSED("E14", "kcmp", "compare kernel pointers of the broker", "pid namespace"),
    OWN("E15", "memfd", "make a file in memory", "its own memory"),
    REFUSED("E15", "exec-memfd", "run a program from memory",
            "MFD_NOEXEC or Landlock; there is no interpreter"),
    REFUSED("E16", "exec-shell", "run /bin/sh", "empty root, Landlock"),
    REFUSED("E16", "exec-self", "run itself again", "empty root, Landlock"),
    OWN("E16", "fork", "fork", "its own pid namespace; the limits are another layer"),
    OWN("E16", "vfork", "vfork", "its own pid namespace; the limits are another layer"),
    {"E16", "thread", "start a thread", ON_WORKERS, ATTEMPT_HURTS, END_SIGSYS,
     END_OWN | END_ERRNO | END_CRASH, "its own memory", 0},
    OWN("E16", "clone3", "clone3", "its own pid namespace; the limits are another layer"),
    OWN("E17", "mmap-exec", "map memory that is writable and executable",
        "its own memory; MDWE is another layer"),
    OWN("E17", "mprotect-exec", "make its memory executable", "its own memory; MDWE is another layer"),
    OWN("E17", "mmap-fixed-exec", "map executable memory over its own",
        "its own memory; MDWE is another layer"),
    OWN("E17", "text-writable", "make its own code writable", "its own code"),
    OWN("E17", "mremap", "move its memory about", "its own memory"),
    OWN("E18", "personality", "set READ_IMPLIES_EXEC", "its own memory"),
    OWN("E19", "dumpable", "become dumpable", "shows it to its own user, which is nobody else"),
    OWN("E19", "speculation-on", "switch speculation on again", "its own; forced off by another layer"),
    OWN("E19", "mdwe-off", "switch MDWE off", "its own; another layer"),
    OWN("E19", "prctl-name", "call itself bulkhead-broker", "a name"),
    OWN("E19", "prctl-subreaper", "become a reaper", "it has no children"),
    REFUSED("E19", "prctl-keepcaps", "keep capabilities over a change of uid", "securebits are locked"),
    REFUSED("E19", "prctl-bounding", "find CAP_SYS_ADMIN in its bounding set", "the set is empty"),
    OWN("E19", "prctl-tsc", "switch its clock on", "its own"),
    OWN("E20", "seccomp-ask", "ask seccomp what it can", "an answer"),
    OWN("E20", "seccomp-second", "add a filter that allows all", "filters can only narrow"),
    OWN("E20", "seccomp-notify", "add a filter with a listener", "its own calls"),
#if defined(__x86_64__)
    REFUSED("E21", "iopl", "raise its I/O privilege level", "capabilities"),
    HURTS("E21", "ioperm", "reach I/O ports", "capabilities"),
    OWN("E21", "modify-ldt", "read its descriptor table", "its own descriptor table"),
    OWN("E21", "arch-gs", "set a segment register", "its own"),
#endif
    REFUSED("E21", "finit-module", "load a kernel module", "capabilities"),
    REFUSED("E21", "syslog", "read the kernel's log", "capabilities, or kernel.dmesg_restrict"),
    HURTS("E21", "reboot", "reboot the host", "capabilities"),
    REFUSED("E21", "settime", "set the host's clock", "capabilities"),
    HURTS("E21", "sethostname", "rename the host", "capabilities, uts namespace"),
    RANGE("setuid-root", "become root", "only its own uid is mapped"),
    REFUSED("E22", "setuid-broker", "become the broker", "only its own uid is mapped"),
    RANGE("setgid-root", "join root's group", "only its own gid is mapped"),
    RANGE("setgroups", "change its groups", "capabilities"),
    REFUSED("E22", "capset", "take all capabilities", "none is in its permitted set"),
    OWN("E22", "setrlimit", "set a limit of its own", "the limits are another layer"),
    REFUSED("E22", "sched-realtime", "run before everybody else", "capabilities"),
    OWN("E22", "sched-affinity", "choose its CPU, to listen to a neighbour's",
        "its own thread, and a CPU it has anyway"),
};
const size_t n_attempts_kernel = array_size(attempts_kernel);
