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
#include "proto/control.h"
#include "proto/device_resource.h"

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
        uint64_t features;          /* on: the device's and the broker's */
        struct admin_feature_sets { /* of broker/core/features.h; 0: nothing so far */
                uint64_t offered, agreed,
                    worker; /* to the guest; by the front end, with its own; of the type, to the worker */
        } sets;
        uint32_t n_lanes;
        char companion[LIMIT_NAME]; /* a second process beside its worker; "": it has none */
        uint32_t companion_pid, companion_uid, companion_starts;
        struct resource_counts resources; /* that it was given, and may make */
        uint64_t throttled;               /* times that its rate has kept a lane from taking requests */
        uint64_t rate_ops, rate_bytes;    /* a second; 0: no limit */
        uint32_t n_counters;              /* of its type, over all its workers */
        uint64_t counters[LIMIT_COUNTERS];
        struct admin_regions {
                uint32_t n, mappings;
                uint64_t bytes, memory_bytes; /* of all; of the broker's memory, which the worker maps too */
                uint64_t mapped_bytes;
                bool foreign_refused;
        } regions;
        struct admin_windows { /* of guest memory that it is held to; n 0: it is held to none */
                uint32_t n;
                uint64_t bytes, refused;
                bool raw; /* its worker reaches all of that by address, posted or not */
        } windows;
        struct admin_translations {
                bool may, on;            /* a front end may translate for it; one does now */
                uint32_t held, open;     /* 0 unless `on`: translations; questions */
                uint64_t asked, refused; /* in all its life: pages; those that nobody translated */
                uint64_t n_updates, n_invalidations;
        } translations;
        char why[LIMIT_WHY]; /* printable; "" unless it is quarantined */
        bool seccomp_log;    /* calls out of policy are only logged */
        bool direct;         /* long parts of requests are copied directly */
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
        ADMIN_SET = 2,
        ADMIN_GET_SHMEM = 3,
};

struct admin_to_broker {
        enum admin_kind_to_broker kind;
        char device[LIMIT_NAME]; /* which one is set or asked for */
        struct {
                struct control_setting setting; /* control_setting_ok */
        } set;
};

enum admin_kind_to_client {
        ADMIN_STATUS = 1,
        ADMIN_ERROR = 2,
        ADMIN_TAKEN = 3, /* what was to be set */
        ADMIN_SHMEM = 4,
};

/* A file's range, or the broker's own memory, in a region. */
struct admin_map {
        uint8_t shmid;
        bool writable, memory, orphan, shown; /* orphan: its worker is dead; shown: the guest has it */
        uint64_t offset, len, fd_offset, dev, ino;
};

/* Of a mapping, on the wire. */
enum admin_map_flag {
        ADMIN_MAP_WRITABLE = 1,
        ADMIN_MAP_MEMORY = 2,
        ADMIN_MAP_ORPHAN = 4,
        ADMIN_MAP_SHOWN = 8,
        ADMIN_MAP_FLAGS = 15,
};

#define ADMIN_FEATURE_SETS      4u /* numbers in a device's `features` (schema/admin.proto), ... */
#define ADMIN_REGION_FACTS      6u /* ... in its `region`, ... */
#define ADMIN_WINDOW_FACTS      4u /* ... in its `window`, ... */
#define ADMIN_TRANSLATION_FACTS 7u /* ... and in its `translation` */

#define ADMIN_MAPS (LIMIT_SHMEM_MAPPINGS + LIMIT_SHMEM_REGIONS)
_Static_assert(ADMIN_MAPS <= LIMIT_WIRE_COLUMN, "a device's mappings are one column");

struct admin_to_client {
        enum admin_kind_to_client kind;
        union {
                struct admin_status status;
                struct admin_shmem {
                        size_t n;
                        struct admin_map maps[ADMIN_MAPS];
                } shmem;
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
