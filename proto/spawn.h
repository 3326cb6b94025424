/* The messages between broker and spawner as judged structs (schema/spawn.proto). The channel is a
 * SOCK_STREAM pair of frames without payload; Spawned carries descriptors in this order: the broker's ends
 * of control and of each lane (what it reads, what it writes), then the worker's pidfd, then the read end of
 * the pipe that is its standard error.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/arena.h"

enum spawn_kind_to_spawner {
        SPAWN_SPAWN = 1,
        SPAWN_REAP = 2,
        SPAWN_STOP = 3,
};

struct spawn_to_spawner {
        enum spawn_kind_to_spawner kind;
        uint32_t device;
};

enum spawn_kind_to_broker {
        SPAWN_SPAWNED = 1,
        SPAWN_FAILED = 2,
        SPAWN_EXITED = 3,
        SPAWN_TERMINATE = 4,
        SPAWN_COMPANION = 5, /* pid 0: it does not run */
        SPAWN_RENEWED =
            6, /* what outlives the device's workers is new: the one that runs is to be replaced */
        SPAWN_TO_BROKER_COUNT_,
};

/* How far a forbidden call was from its policy. */
enum spawn_breach {
        SPAWN_BREACH_NONE = 0,
        SPAWN_BREACH_UNKNOWN,   /* a kill by policy, and nobody has seen the call */
        SPAWN_BREACH_CALL,      /* no row of the gate names it */
        SPAWN_BREACH_ARGUMENTS, /* a row does, with other arguments */
        SPAWN_BREACH_ARCH,      /* made as another architecture's call */
        SPAWN_BREACH_COUNT_,
};

enum spawn_gate {
        SPAWN_GATE_UNKNOWN = 0,
        SPAWN_GATE_START,
        SPAWN_GATE_RUN,
        SPAWN_GATE_COUNT_,
};

#define SPAWN_CALL_ARGS 6u
#define SPAWN_CALL_NAME 32u /* with its NUL; the longest of Linux has 23 bytes */

/* Why a worker ended, as far as its spawner has seen it. All zero: nothing is known. */
struct spawn_cause {
        enum spawn_breach breach;
        bool have_call; /* nr to gate are known */
        uint32_t nr, arch;
        uint64_t args[SPAWN_CALL_ARGS];
        char call[SPAWN_CALL_NAME]; /* of [a-z0-9_]; "": no name is known */
        enum spawn_gate gate;
        uint64_t ip; /* where it died; 0: not known */
        bool oom;    /* the kernel has killed inside its control group for want of memory */
};

struct spawn_to_broker {
        enum spawn_kind_to_broker kind;
        uint32_t device;
        uint32_t pid, uid;
        uint32_t starts; /* SPAWN_COMPANION: how often it was started */
        int error;       /* SPAWN_FAILED: negative errno */
        char reason[256];
        uint32_t code; /* SPAWN_EXITED: exit status or signal */
        bool signaled;
        struct spawn_cause cause; /* SPAWN_EXITED */
};

int spawn_check_to_spawner(struct arena *arena, const uint8_t *bytes, size_t len,
                           struct spawn_to_spawner *ret);
int spawn_check_to_broker(struct arena *arena, const uint8_t *bytes, size_t len, struct spawn_to_broker *ret);
ssize_t spawn_make_to_spawner(const struct spawn_to_spawner *message, uint8_t *buf, size_t size);
ssize_t spawn_make_to_broker(const struct spawn_to_broker *message, uint8_t *buf, size_t size);
