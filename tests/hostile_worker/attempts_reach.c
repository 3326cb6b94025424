/* Attempts at what lies around the worker: files, processes, sockets, descriptors, shared objects: E23 .. E50.
 * Owns nothing; read by the runner. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <sys/socket.h>

#include "proto/base/checked.h"
#include "tests/hostile_worker/attempt.h"

extern const struct attempt attempts_reach[];
extern const size_t n_attempts_reach;

#define REFUSED(topic, key, what, behind)                                                                    \
        {                                                                                                    \
                topic, key, what, ON_ALL, 0, END_SIGSYS, END_ERRNO, behind, 0                                \
        }
/* The same, but in a folder of its own it leads to that. */
#define ROOT(topic, key, what, behind)                                                                       \
        {                                                                                                    \
                topic, key, what, ON_ALL, ATTEMPT_ROOT, END_SIGSYS, END_ERRNO, behind, 0                     \
        }
#define OWN(topic, key, what, behind)                                                                        \
        {                                                                                                    \
                topic, key, what, ON_ALL, 0, END_SIGSYS, END_OWN | END_ERRNO, behind, 0                      \
        }
#define HURTS(topic, key, what, behind)                                                                      \
        {                                                                                                    \
                topic, key, what, ON_ALL, ATTEMPT_HURTS, END_SIGSYS, END_ERRNO, behind, 0                    \
        }
/* Of the device's own image. */
#define IMAGE(topic, key, what, behind)                                                                      \
        {                                                                                                    \
                topic, key, what, ON_BLK, 0, END_SIGSYS, END_OWN | END_ERRNO, behind, 0                      \
        }
/* Of a pipe to or from the broker. */
#define LANE(topic, key, what, without, behind)                                                              \
        {                                                                                                    \
                topic, key, what, ON_WORKERS, 0, END_SIGSYS, without, behind, 0                              \
        }
#define SOCKET(family, what, behind)                                                                         \
        {                                                                                                    \
                "E33", "socket", what, ON_ALL, 0, END_SIGSYS, END_OWN | END_ERRNO, behind, family            \
        }

const struct attempt attempts_reach[] = {
    ROOT("E23", "open-root", "open /", "empty root of mode 0, Landlock"),
    REFUSED("E23", "open-passwd", "open /etc/passwd", "empty root"),
    REFUSED("E23", "open-shadow", "open /etc/shadow", "empty root"),
    REFUSED("E23", "open-parent", "open ../../etc", "empty root"),
    REFUSED("E23", "open-self-mem", "open /proc/self/mem", "empty root"),
    REFUSED("E23", "open-kvm", "open /dev/kvm", "empty root"),
    REFUSED("E23", "open-dev-mem", "open /dev/mem", "empty root"),
    REFUSED("E23", "open-run", "look into /run", "empty root"),
    REFUSED("E23", "list-tmp", "list /tmp", "empty root"),
    REFUSED("E23", "stat-proc", "look at /proc/self/status", "empty root"),
    REFUSED("E23", "create-file", "create a file in /tmp", "empty root, read-only"),
    OWN("E23", "inotify", "watch files", "no path to watch"),
    ROOT("E24", "dirfd-parent", "open \"..\" from each of its descriptors", "none of them is a directory"),
    {"E24", "openat2-parent", "open \"..\" by openat2", ON_ALL & ~ON_SHARE, ATTEMPT_ROOT, END_SIGSYS,
     END_ERRNO, "empty root of mode 0, Landlock", 0},
    {"E24", "openat2-parent", "open \"..\" by openat2", ON_SHARE, 0, END_OWN, END_OWN,
     "its own folder, which is its root", 0},
    REFUSED("E24", "reopen-by-proc", "open its own descriptor again by /proc", "empty root"),
    ROOT("E25", "fchdir", "change into a descriptor", "none of them is a directory"),
    ROOT("E25", "chdir-up", "change to the directory above", "empty root of mode 0"),
    REFUSED("E25", "chroot", "change the root", "capabilities"),
    HURTS("E25", "pivot-root", "change the root of all", "capabilities, Landlock"),
    REFUSED("E26", "open-handle", "open / by its handle", "capabilities, empty root"),
    REFUSED("E27", "broker-mem", "read the broker's memory by /proc", "empty root"),
    REFUSED("E27", "broker-fd", "read the broker's descriptors by /proc", "empty root"),
    REFUSED("E27", "broker-environ", "read the broker's environment by /proc", "empty root"),
    REFUSED("E27", "broker-maps", "read the broker's layout by /proc", "empty root"),
    REFUSED("E27", "broker-root", "enter the broker's root by /proc", "empty root"),
    {"E28", "image-link", "give its image a second name", ON_BLK, 0, END_SIGSYS, END_ERRNO, "empty root", 0},
    {"E28", "image-rename", "rename its image", ON_BLK, 0, END_SIGSYS, END_ERRNO, "empty root", 0},
    {"E28", "image-symlink", "put a link to /etc/shadow beside it", ON_BLK, 0, END_SIGSYS, END_ERRNO,
     "empty root", 0},
    {"E28", "open-image", "open its image by name", ON_BLK, 0, END_SIGSYS, END_ERRNO, "empty root", 0},
    {"E28", "truncate-by-name", "truncate its image by name", ON_BLK, 0, END_SIGSYS, END_ERRNO, "empty root",
     0},
    {"E28", "image-chmod", "make its image a setuid program", ON_BLK, 0, END_SIGSYS, END_ERRNO,
     "the file is another's", 0},
    {"E28", "image-chown", "give its image to root", ON_BLK, 0, END_SIGSYS, END_ERRNO, "capabilities", 0},
    {"E29", "read-beyond", "read behind the end of its image", ON_BLK, ATTEMPT_BROKER, END_ERRNO, END_ERRNO,
     "there is nothing", 0},
    {"E29", "read-huge", "read at 2^63 - 1", ON_BLK, ATTEMPT_BROKER, END_ERRNO, END_ERRNO, "there is nothing",
     0},
    {"E29", "write-beyond", "write behind the end of its image", ON_BLK, ATTEMPT_LIMIT, END_ERRNO, END_OWN,
     "its own image; RLIMIT_FSIZE is another layer", 0},
    {"E29", "write-huge", "write at 2^63 - 513", ON_BLK, ATTEMPT_LIMIT, END_ERRNO, END_ERRNO | END_OWN,
     "its own image; some file systems have files that long, and RLIMIT_FSIZE is another layer", 0},
    IMAGE("E30", "image-truncate", "cut its image short", "its own image"),
    IMAGE("E30", "image-grow", "double its image", "its own image"),
    IMAGE("E30", "image-collapse", "take a piece out of its image", "its own image"),
    IMAGE("E30", "image-insert", "push a piece into its image", "its own image"),
    {"E30", "punch-beyond", "punch a hole behind the end", ON_BLK, ATTEMPT_BROKER, END_IGNORED | END_ERRNO,
     END_IGNORED | END_ERRNO, "there is nothing", 0},
    IMAGE("E30", "zero-beyond", "zero what is behind the end, growing it", "its own image"),
    IMAGE("E30", "image-ioctl", "talk to the image's driver by ioctl", "its own image"),
    IMAGE("E30", "image-copy-range", "copy inside the image by the kernel", "its own image"),
    IMAGE("E30", "image-sendfile", "send the image to its control channel by the kernel", "its own image"),
    IMAGE("E30", "image-sendfile-lane", "send the image to its lane by the kernel", "its own image"),
    {"E30", "lane-sendfile", "send its lane to its control channel by the kernel", ON_BLK, 0, END_SIGSYS,
     END_ERRNO, "pipes are no source", 0},
    {"E30", "control-sendfile", "send its control channel to its lane by the kernel", ON_BLK, ATTEMPT_HURTS,
     END_SIGSYS, 0, "it waits with the pipe's lock, for which the broker then waits: held by the filter", 0},
    IMAGE("E30", "mmap-image", "map the image", "its own image"),
    {"E31", "ro-write", "write its read-only image", ON_RO, ATTEMPT_BROKER, END_SIGSYS, END_ERRNO,
     "the descriptor is read-only", 0},
    {"E31", "ro-punch", "discard in its read-only image", ON_RO, ATTEMPT_BROKER, END_SIGSYS, END_ERRNO,
     "the descriptor is read-only", 0},
    SOCKET(AF_UNIX, "make a Unix socket", "no name to connect to"),
    SOCKET(AF_INET, "make an IPv4 socket", "a network namespace without any interface up"),
    SOCKET(AF_INET6, "make an IPv6 socket", "a network namespace without any interface up"),
    SOCKET(AF_NETLINK, "make a netlink socket", "a network namespace of its own"),
    {"E33", "socket", "make a packet socket", ON_WORKERS, 0, END_SIGSYS, END_ERRNO, "capabilities",
     AF_PACKET},
    SOCKET(AF_ALG, "make a crypto socket", "reaches the kernel's ciphers only: held by the filter"),
    SOCKET(AF_VSOCK, "make a vsock socket", "no namespace holds it: held by the filter"),
    OWN("E33", "socketpair", "make a pair of sockets", "its own"),
    REFUSED("E33", "connect-loopback", "reach 127.0.0.1", "a network namespace without any interface up"),
    REFUSED("E34", "connect-admin", "connect to the broker's admin socket", "empty root"),
    REFUSED("E34", "abstract-socket", "connect to an abstract socket", "network namespace"),
    OWN("E34", "bind-abstract", "listen at an abstract name", "a network namespace of its own"),
    REFUSED("E35", "kill-broker", "signal the broker", "pid namespace"),
    REFUSED("E35", "kill-sibling", "signal another device", "pid namespace"),
    HURTS("E35", "kill-all", "signal everybody", "pid namespace"),
    {"E35", "kill-group", "signal its process group", ON_WORKERS, ATTEMPT_HURTS, END_SIGSYS, END_OWN,
     "it is alone in it", 0},
    REFUSED("E35", "tgkill-broker", "signal a thread of the broker", "pid namespace"),
    REFUSED("E35", "pidfd-signal", "signal the broker by a pidfd", "pid namespace"),
    REFUSED("E36", "sigqueue", "queue a signal to the broker", "pid namespace"),
    REFUSED("E36", "forge-kernel-signal", "forge a SIGSEGV of the kernel's", "pid namespace"),
    OWN("E37", "shmget", "make System V shared memory", "ipc namespace"),
    OWN("E37", "semget", "make a System V semaphore", "ipc namespace"),
    OWN("E37", "mq-open", "make a message queue", "ipc namespace"),
    OWN("E37", "futex", "wake whoever shares a word", "it shares none"),
    REFUSED("E38", "tiocsti", "type into a terminal", "it has none"),
    {"E39", "send-fd", "send the broker a descriptor", ON_WORKERS, ATTEMPT_BROKER, END_SIGSYS, END_BROKER,
     "the broker takes none", 0},
    {"E39", "send-253-fds", "send the broker 253 descriptors", ON_WORKERS, ATTEMPT_BROKER, END_SIGSYS,
     END_BROKER | END_ERRNO, "the broker takes none", 0},
    OWN("E39", "receive-fds", "ask for descriptors", "nobody sends any"),
    {"E40", "send-credentials", "say that it is the broker's pid and root", ON_WORKERS, 0, END_SIGSYS,
     END_ERRNO, "capabilities", 0},
    REFUSED("E41", "open-fuse", "open /dev/fuse", "empty root"),
    OWN("E41", "pipe", "make a pipe to hang somebody on", "the broker takes no descriptor"),
    {"E42", "send-own-end", "send its control channel through itself", ON_WORKERS, ATTEMPT_BROKER, END_SIGSYS,
     END_BROKER, "the broker takes none", 0},
    LANE("E42", "lane-splice", "splice its lane into itself", END_ERRNO, "nothing is on its way to it"),
    LANE("E42", "lane-tee", "double into its lane what it is to read", END_ERRNO,
         "nothing is on its way to it"),
    {"E43", "close-lane", "close its lane", ON_ALL & ~ON_ROOTED, 0, END_SIGSYS,
     END_BROKER | END_CRASH | END_OWN, "ends its own service", 0},
    {"E43", "close-lane", "close its lane", ON_ROOTED, 0, END_BROKER | END_CRASH | END_OWN,
     END_BROKER | END_CRASH | END_OWN, "ends its own service", 0},
    {"E43", "close-lane-out", "close what it answers by", ON_WORKERS & ~ON_ROOTED, 0, END_SIGSYS,
     END_BROKER | END_CRASH | END_OWN, "ends its own service", 0},
    {"E43", "close-lane-out", "close what it answers by", ON_WORKERS &ON_ROOTED, 0,
     END_BROKER | END_CRASH | END_OWN, END_BROKER | END_CRASH | END_OWN, "ends its own service", 0},
    {"E43", "shutdown-control", "half-close its control channel", ON_WORKERS, 0, END_SIGSYS,
     END_BROKER | END_CRASH | END_OWN, "ends its own service", 0},
    OWN("E43", "grow-socket", "make its socket's buffer huge", "its own direction, capped by the host"),
    LANE("E43", "pipe-shrink", "make its lane small", END_OWN | END_ERRNO,
         "holds less of what is for itself"),
    LANE("E43", "pipe-grow", "make its lane huge", END_ERRNO, "fs.pipe-max-size, capabilities"),
    LANE("E44", "read-own", "read what it has written to the broker", END_ERRNO, "an end is one way"),
    LANE("E44", "write-own", "write what it reads of the broker's", END_ERRNO, "an end is one way"),
    OWN("E44", "dup", "duplicate a descriptor", "what it has already"),
    OWN("E44", "dup-control", "duplicate its control channel", "what it has already"),
    OWN("E45", "eventfd", "make an event counter", "it shares none"),
    {"E45", "null-write", "write to a descriptor that it was born with", ON_WORKERS, 0, END_SIGSYS, END_OWN,
     "/dev/null", 0},
    OWN("E45", "epoll", "make an epoll set", "its own"),
    OWN("E45", "timerfd", "make a timer", "its own time"),
    OWN("E46", "lane-blocking", "change the flags of its lane", "the broker's end has flags of its own"),
    LANE("E46", "pipe-flags", "make its lane one of packets", END_OWN | END_BROKER | END_CRASH,
         "the broker's end has flags of its own"),
    OWN("E47", "o-async", "ask for signals from its lane", "signals to itself only"),
    OWN("E47", "lane-setown", "have them sent to the broker", "that pid is nobody in its pid namespace"),
    OWN("E47", "lane-setsig", "choose SIGKILL for them", "signals to itself only"),
    {"E48", "image-seek", "move its image's offset", ON_BLK, 0, END_SIGSYS, END_OWN,
     "opened afresh for each worker", 0},
    IMAGE("E49", "image-flock", "lock its image by flock", "ends with it"),
    {"E49", "image-unlock", "give up the spawner's lock on its image", ON_BLK, 0, END_SIGSYS, END_OWN,
     "its own image; held by the filter", 0},
    IMAGE("E49", "image-lease", "take a lease on its image", "ends with it"),
    IMAGE("E49", "image-append", "change its image's open flags", "its own"),
    {"E50", "policy-rewrite", "rewrite its own filter's memory", ON_WORKERS & ~ON_WRITER, 0, END_SIGSYS,
     END_ERRNO, "closed at lock-down, and sealed", 0},
    {"E50", "policy-rewrite", "rewrite its own filter's memory", ON_WRITER, 0, END_ERRNO, END_ERRNO,
     "closed at lock-down, and sealed", 0},
    {"E50", "policy-seals", "find the sealed memory of its filter", ON_WORKERS, 0, END_SIGSYS, END_ERRNO,
     "closed at lock-down", 0},
    LANE("E50", "lane-vmsplice", "fill its lane with pages that it can still change", END_BROKER,
         "the broker copies each byte once before it looks"),
    OWN("E50", "memfd-shared", "make shared memory of its own", "the broker takes no descriptor"),
};
const size_t n_attempts_reach = array_size(attempts_reach);
