/* The messages of the admin socket as judged structs (schema/admin.proto). One frame a question, one an
 * answer.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/arena.h"
#include "proto/base/limits.h"

enum admin_device_state {
        ADMIN_STARTING = 1,
        ADMIN_READY = 2,
        ADMIN_RUNNING = 3,
        ADMIN_RESTARTING = 4,
        ADMIN_BROKEN = 5,
        ADMIN_QUARANTINED = 6,
};

enum admin_stage {
        ADMIN_SERVING = 1, /* VMMs attach */
        ADMIN_BOOTING = 2, /* a VM of the broker's own: the kernel's loader is at work */
        ADMIN_GUEST_RUNS = 3,
};

struct admin_device {
        char name[LIMIT_NAME];
        char type[LIMIT_NAME];
        enum admin_device_state state;
        uint32_t pid, uid, restarts, queues_running, outstanding;
        uint64_t requests, bytes_from_guest, bytes_to_guest;
        bool attached;
        uint64_t features;
        uint32_t n_resources, n_lanes;
        uint64_t throttled;            /* times that its rate has kept a lane from taking requests */
        uint64_t rate_ops, rate_bytes; /* a second; 0: no limit */
        char why[LIMIT_WHY];           /* printable; "" unless it is quarantined */
        bool seccomp_log;              /* calls out of policy are only logged */
        bool direct;                   /* long parts of requests are copied directly */
};

struct admin_status {
        char vm[LIMIT_NAME];
        char version[LIMIT_NAME];
        uint32_t broker_pid, spawner_pid;
        bool spawner_alive, rootless;
        enum admin_stage stage;
        uint64_t loaded; /* bytes that the loader has written so far, or had */
        size_t n_devices;
        struct admin_device devices[LIMIT_DEVICES];
};

enum admin_kind_to_broker {
        ADMIN_GET_STATUS = 1,
};

struct admin_to_broker {
        enum admin_kind_to_broker kind;
};

enum admin_kind_to_client {
        ADMIN_STATUS = 1,
        ADMIN_ERROR = 2,
};

struct admin_to_client {
        enum admin_kind_to_client kind;
        union {
                struct admin_status status;
                struct {
                        int error; /* negative errno */
                        char reason[256];
                } error;
        };
};

int admin_check_to_broker(struct arena *arena, const uint8_t *bytes, size_t len, struct admin_to_broker *ret);
int admin_check_to_client(struct arena *arena, const uint8_t *bytes, size_t len, struct admin_to_client *ret);
ssize_t admin_make_to_broker(const struct admin_to_broker *message, uint8_t *buf, size_t size);
ssize_t admin_make_to_client(const struct admin_to_client *message, uint8_t *buf, size_t size);
const char *admin_state_name(enum admin_device_state state);
const char *admin_stage_name(enum admin_stage stage);
