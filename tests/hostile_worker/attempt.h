/* What is tried: topics are the rows of a published list of ways out (E1 .. E88) and those that only our
 * devices have (D1 ..), attempts are the single things
 * tried for a topic. One table each; the runner judges by them, --list prints them.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum attempt_group {
        GROUP_KERNEL, /* entry points of the kernel that a worker has no use for */
        GROUP_FILES,
        GROUP_PROCESSES, /* signals, IPC, sockets, descriptors */
        GROUP_SHARED,    /* objects that others hold too */
        GROUP_CHANNEL,   /* messages to the broker */
        GROUP_EXHAUSTION,
        GROUP_LEAKS,
        GROUP_COUNT_,
};

/* How an attempt may end and be held. */
enum {
        END_SIGSYS = 1u << 0,  /* the kernel kills for a call out of policy */
        END_ERRNO = 1u << 1,   /* the kernel, or the lack of anything to find, refuses */
        END_BROKER = 1u << 2,  /* the broker kills within one message */
        END_IGNORED = 1u << 3, /* it was done, and nothing and nobody but the worker is any different */
        END_BOUNDED = 1u << 4, /* it was done, costs a bounded amount, and the neighbours are served */
        END_OWN = 1u << 5,     /* it was done, on things that are the worker's alone */
        END_CRASH = 1u << 6,   /* the worker has ended itself, or hit its own foot */
};

/* As whom. */
enum {
        ON_BLK = 1u << 0,
        ON_RNG = 1u << 1,
        ON_RO = 1u << 2, /* a disk that is read-only */
        ON_TAP = 1u << 3,
        ON_STREAM = 1u << 4,
        ON_PASST = 1u << 5,
        ON_CONSOLE = 1u << 6,
        ON_VSOCK = 1u << 7,
        ON_FS = 1u << 8,
        ON_FS_RO = 1u << 9,
        ON_PROXY = 1u << 10, /* the companion of a vsock device */
        ON_OWNERS =
            1u << 11, /* a shared folder of a range of owners, for which its worker has capabilities */
        ON_PMEM = 1u << 12,
        ON_SAMPLE = 1u << 13,
        ON_DAX = 1u << 14,         /* a shared folder whose files are mapped */
        ON_BOTH = ON_BLK | ON_RNG, /* every kind of message is tried by these */
        ON_PEER = ON_STREAM | ON_PASST,
        ON_WRITER = ON_FS | ON_OWNERS | ON_DAX,
        ON_SHARE = ON_WRITER | ON_FS_RO,
        ON_WORKERS = ON_BOTH | ON_TAP | ON_PEER | ON_CONSOLE | ON_VSOCK | ON_SHARE | ON_PMEM | ON_SAMPLE,
        ON_ALL = ON_WORKERS | ON_PROXY,
        ON_ROOTED = ON_SHARE |
                    ON_PROXY, /* whose root is a folder, and who open and close what has no number before */
};

enum {
        /* Never without a jail: it would hurt this host, or has no meaning there. */
        ATTEMPT_HURTS = 1u << 0,
        /* Judged by the broker, which is there in every set of layers: no part of the negative control. */
        ATTEMPT_BROKER = 1u << 1,
        /* Nothing wrong in it: shows that its bad twins are refused for what is bad in them. */
        ATTEMPT_GOOD = 1u << 2,
        /* Played by the runner (runner_plays.c), not by one command. */
        ATTEMPT_PLAY = 1u << 3,
        /* Takes a second or more. */
        ATTEMPT_SLOW = 1u << 4,
        /* Held by a limit of the process: without limits it works, on its own things. */
        ATTEMPT_LIMIT = 1u << 5,
        /* Without a filter held by the root being empty; in a folder of its own it leads to that. */
        ATTEMPT_ROOT = 1u << 6,
};

struct attempt {
        const char *topic;  /* "E23" */
        const char *key;    /* what the worker is told */
        const char *what;   /* for a person: an attempt to ... */
        uint16_t devices;   /* ON_ */
        uint8_t flags;      /* ATTEMPT_ */
        uint8_t filtered;   /* END_ mask with all layers, and with seccomp alone */
        uint8_t unfiltered; /* END_ mask with namespaces and Landlock alone; 0: not tried there */
        const char *behind; /* what holds there, or why nothing needs to */
        uint64_t number;    /* the attack's own */
};

#define TOPICS_PUBLISHED 88u
#define TOPICS_OWN       5u

struct topic {
        const char *id, *title;
        enum attempt_group group;
        const char *why; /* why it matters, for a person; or why there is nothing to try */
        uint8_t none;    /* nothing to try with these devices: why says why */
};

extern const struct topic topics[];
extern const size_t n_topics;

/* Every attempt in the order of the topics; NULL behind the last. */
const struct attempt *attempt_at(size_t i);

const struct topic *topic_find(const char *id);
const char *attempt_group_name(enum attempt_group group);

/* Names of the bits of an END_ mask, joined by "|". Returns `out`. */
const char *attempt_ends_text(unsigned ends, char *out, size_t size);
