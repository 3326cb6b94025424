/* The messages between broker and spawner as judged structs (schema/spawn.proto). The channel is a
 * SOCK_STREAM pair of frames without payload; Spawned carries descriptors in this order: the broker's ends
 * of control and of each lane, then the worker's pidfd.
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
        SPAWN_TO_BROKER_COUNT_,
};

struct spawn_to_broker {
        enum spawn_kind_to_broker kind;
        uint32_t device;
        uint32_t pid, uid;
        int error; /* SPAWN_FAILED: negative errno */
        char reason[256];
        uint32_t code; /* SPAWN_EXITED: exit status or signal */
        bool signaled;
};

int spawn_check_to_spawner(struct arena *arena, const uint8_t *bytes, size_t len,
                           struct spawn_to_spawner *ret);
int spawn_check_to_broker(struct arena *arena, const uint8_t *bytes, size_t len, struct spawn_to_broker *ret);
ssize_t spawn_make_to_spawner(const struct spawn_to_spawner *message, uint8_t *buf, size_t size);
ssize_t spawn_make_to_broker(const struct spawn_to_broker *message, uint8_t *buf, size_t size);
