/* The messages of the control channel as judged structs (schema/control.proto).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/arena.h"
#include "proto/base/limits.h"
#include "proto/boot.h"
#include "proto/device_region.h"
#include "proto/device_type.h"

#define CONTROL_PROTOCOL_VERSION 6u

/* Feature bits that are a device's own (virtio 1.3, 2.2): 0 to 23 and 50 to 63. The bits between are ring and
 * transport features; they are the broker's, and a worker neither offers nor sees one. */
#define CONTROL_DEVICE_FEATURES (((UINT64_C(1) << 24) - 1) | ~((UINT64_C(1) << 50) - 1))

enum queue_kind {
        QUEUE_WORK = 1,
        QUEUE_SUPPLY = 2,
};

enum replay_class {
        REPLAY_IDEMPOTENT = 1,
        REPLAY_AT_MOST_ONCE = 2,
};

struct control_field {
        uint16_t offset; /* in the config space */
        uint8_t width;   /* 1, 2, 4 or 8 */
        bool writable;
        uint64_t value; /* fits the width */
        uint16_t
            region; /* 0; or shmid + 1: the guest is shown the address of this region in its place. 8 bytes, not writable, 0 */
};

struct control_configure {
        char name[LIMIT_NAME];
        uint32_t n_queues, n_lanes, max_payload;
        uint32_t poll_us;         /* 0 .. LIMIT_POLL_US */
        enum device_type_id type; /* whose options these are */
        struct option_set
            options; /* texts of a judged message lie in the arena; what is the host's alone is 0 or "" */
        /* What each lane's area is to have: 0, or whole pages (LIMIT_AREA_PAGE), at most LIMIT_AREA. */
        uint32_t area_len;
        struct boot_options boot; /* of a loader, whose n_queues is 0 and n_lanes 1 */
        struct device_region regions[LIMIT_SHMEM_REGIONS]; /* in ascending order of shmid */
        uint32_t n_regions;
        /* Guest-physical addresses that it reaches by itself: it walks its own rings. Whole LIMIT_WINDOW_PAGE, and does not wrap;
         * size 0: none. Of types that can only. */
        struct control_raw {
                uint64_t start, size;
        } raw;
        uint64_t endpoints; /* of an IOMMU (DEVICE_TYPE_IOMMU): bit i: device i is behind it; of others 0 */
};

/* A worker's memory that the broker copies to and from: `len` bytes a lane, lane after lane. Another one in each
 * incarnation. An address is good for nothing but to be handed to the kernel as one of that process. */
struct control_area {
        uint64_t at;  /* of a page; with LIMIT_LANES lanes it does not wrap */
        uint32_t len; /* whole pages, at most LIMIT_AREA; 0: none, and the others are 0 too */
        uint32_t
            lead; /* less than a page: so much of a request's readable part is to lie before one's beginning, or a line's */
        bool out; /* it wants places for writable parts, too */
        bool
            dense; /* places for readable parts lie in steps of a page and its lead's lines, not of whole pages */
};

/* The lines that a lead takes, where places are dense. */
static inline uint32_t control_area_lines(const struct control_area *area)
{
        return (area->lead + LIMIT_AREA_LINE - 1) / LIMIT_AREA_LINE * LIMIT_AREA_LINE;
}

/* From one place for a readable part to the next: parts of a page and their lead lie next to each other where they are dense, so one
 * range has many of them. A longer part has the places that follow, too. */
static inline uint32_t control_area_step(const struct control_area *area)
{
        return LIMIT_AREA_PAGE + (area->dense ? control_area_lines(area) : 0);
}

/* How far from its place's beginning a readable part begins: what is behind its lead begins with a page, or with a line. */
static inline uint32_t control_area_shift(const struct control_area *area)
{
        if (area->lead == 0)
                return 0;
        return (area->dense ? control_area_lines(area) : LIMIT_AREA_PAGE) - area->lead;
}

struct control_hello {
        uint32_t
            device_type; /* virtio id; 0: no device, it takes no requests, and all of the following is 0 */
        uint64_t features;
        uint32_t n_queues; /* 1 .. LIMIT_QUEUES */
        enum queue_kind queue_kind[LIMIT_QUEUES];
        enum replay_class queue_replay[LIMIT_QUEUES];
        uint32_t max_segments;    /* 1 .. LIMIT_CHAIN_SEGMENTS */
        uint32_t credit_requests; /* 1 .. LIMIT_CREDITS */
        uint32_t credit_bytes;    /* max_inline .. LIMIT_FRAME_PAYLOAD */
        uint32_t max_inline;      /* 0 .. LIMIT_FRAME_PAYLOAD */
        uint32_t n_fields;        /* 0 .. LIMIT_CONFIG_FIELDS */
        struct control_field fields[LIMIT_CONFIG_FIELDS];
        struct control_area area;
        uint32_t maps; /* 0 .. LIMIT_SHMEM_MAPPINGS: ShmemMaps that come next, before it serves */
};

struct control_blob {
        const uint8_t *bytes; /* in the arena; of a judged blob never NULL, so that memcpy of none is legal */
        size_t len;           /* 0 .. LIMIT_STATE_BYTES */
};

enum control_kind_to_worker {
        CONTROL_CONFIGURE = 1,
        CONTROL_SET_FEATURES = 2,
        CONTROL_CONFIG_WRITE = 3,
        CONTROL_START_QUEUE = 4,
        CONTROL_RESTORE_STATE = 5,
        CONTROL_SHUTDOWN = 6,
        CONTROL_SET = 7,
        CONTROL_SHMEM_ANSWER = 8,
        CONTROL_IOMMU_ANSWER = 9,
        CONTROL_IOMMU_FAULT = 10,
};

/* What an operator may set while a device runs. */
enum control_setting_id {
        SETTING_LINK = 1, /* 0: down, 1: up; index 0 */
        SETTING_SIZE,     /* of a terminal: columns, and rows << 16, each 1 .. 65535; index: its port */
        SETTING_END_,
};

struct control_setting {
        enum control_setting_id id;
        uint32_t index; /* below LIMIT_PORTS */
        uint64_t value;
};

/* Are index and value in range? */
bool control_setting_ok(const struct control_setting *setting);

/* "link", "size". */
const char *control_setting_name(enum control_setting_id id);

struct control_to_worker {
        enum control_kind_to_worker kind;
        uint32_t seq; /* of the kinds that are answered with Done */
        union {
                struct control_configure configure;
                struct {
                        uint64_t features;
                } set_features;
                struct {
                        uint32_t field;
                        uint64_t value;
                } config_write;
                struct control_start_queue {
                        uint32_t queue, size;
                        /* Of a worker that walks its own rings: guest-physical addresses of a split ring, aligned as it must be
                         * (virtio 1.3, 2.7), and the next available index; else 0. */
                        uint64_t desc, avail, used;
                        uint32_t next;
                } start_queue;
                struct control_blob restore_state;
                struct control_setting set;
                struct {
                        uint32_t id;
                        int error; /* 0 or negative errno */
                } shmem_answer;
                struct {
                        uint32_t id;
                        int error; /* 0 or negative errno */
                } iommu_answer;
                struct {
                        uint32_t endpoint; /* below LIMIT_DEVICES */
                        uint64_t iova;     /* whole LIMIT_IOTLB_PAGE */
                        unsigned rights;   /* some of CONTROL_IOMMU_READ, CONTROL_IOMMU_WRITE */
                } iommu_fault;
        };
};

enum control_kind_to_broker {
        CONTROL_HELLO = 1,
        CONTROL_DONE = 2,
        CONTROL_CONFIG_SPACE = 3,
        CONTROL_PUT_STATE = 4,
        CONTROL_LOG = 5,
        CONTROL_STATS = 6,
        CONTROL_BOOTED = 7,
        CONTROL_BOOT_FAILED = 8,
        CONTROL_SHMEM_MAP = 9,
        CONTROL_SHMEM_UNMAP = 10,
        CONTROL_IOMMU_MAP = 11,
        CONTROL_IOMMU_UNMAP = 12,
        CONTROL_TO_BROKER_COUNT_,
};

/* Of a part of a region. Whether there is such a part is not judged by its form (broker/core/shmem.h). */
struct control_shmem {
        uint32_t id; /* for the answer */
        uint8_t shmid;
        bool writable; /* of a ShmemMap, ... */
        uint64_t offset, len;
        uint64_t fd_offset; /* ... likewise, ... */
        int fd; /* ... likewise: what came beside it, whoever received it says; -1 of a judged message */
};

#define CONTROL_IOMMU_READ  1u
#define CONTROL_IOMMU_WRITE 2u

/* What a device behind an IOMMU may reach, or may not any more. Whole LIMIT_IOTLB_PAGE; iova + len is 2^64 at most. */
struct control_iommu {
        uint32_t id;        /* for the answer */
        uint32_t endpoint;  /* below LIMIT_DEVICES: whether that is behind the sender its receiver knows */
        uint64_t iova, len; /* of an IommuMap > 0; of an IommuUnmap with iova 0 also 0: everything */
        uint64_t gpa;       /* of an IommuMap, ...: gpa + len does not wrap */
        unsigned rights;    /* ... likewise: some of CONTROL_IOMMU_READ, CONTROL_IOMMU_WRITE */
};

struct control_to_broker {
        enum control_kind_to_broker kind;
        union {
                struct control_hello hello;
                struct {
                        uint32_t seq;
                        int error; /* 0 or negative errno */
                } done;
                struct {
                        size_t n;
                        const uint64_t *value;
                } config_space;
                struct control_blob put_state;
                struct {
                        uint32_t level;   /* enum log_level */
                        const char *text; /* foreign bytes: escape before printing */
                } log;
                struct {
                        size_t n; /* at most LIMIT_COUNTERS */
                        const uint64_t *counter;
                } stats;
                struct boot_done booted;
                struct {
                        char reason[LIMIT_BOOT_REASON]; /* foreign bytes: escape before printing; not empty */
                } boot_failed;
                struct control_shmem shmem; /* of both kinds */
                struct control_iommu iommu; /* likewise */
        };
};

/* control_check.c: wire -> judged. 0, -EPROTO, or -ENOMEM (the arena's cap). */
int control_check_to_worker(struct arena *arena, const uint8_t *bytes, size_t len,
                            struct control_to_worker *ret);
int control_check_to_broker(struct arena *arena, const uint8_t *bytes, size_t len,
                            struct control_to_broker *ret);

/* control_make.c: struct -> wire. Returns the header's length or -E2BIG. */
ssize_t control_make_to_worker(const struct control_to_worker *message, uint8_t *buf, size_t size);
ssize_t control_make_to_broker(const struct control_to_broker *message, uint8_t *buf, size_t size);

/* Do two Hellos describe the same device? Field values are left out: config space may have moved on. So are the area and
 * the maps: they are the process's own. */
bool control_hello_equal(const struct control_hello *a, const struct control_hello *b);
