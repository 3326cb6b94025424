/* The words of vhost-user, as a back-end meets them: request numbers, wire structures, feature bits.
 * The wire is in host byte order (both ends run on one machine). Field names are the specification's.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/fd.h"
#include "proto/base/limits.h"

/* Front end to back-end. Only what is served has a row in the table; the other names are here to be refused
 * by name. */
enum vhost_user_request {
        VHOST_USER_GET_FEATURES = 1,
        VHOST_USER_SET_FEATURES = 2,
        VHOST_USER_SET_OWNER = 3,
        VHOST_USER_RESET_OWNER = 4,
        VHOST_USER_SET_MEM_TABLE = 5,
        VHOST_USER_SET_VRING_NUM = 8,
        VHOST_USER_SET_VRING_ADDR = 9,
        VHOST_USER_SET_VRING_BASE = 10,
        VHOST_USER_GET_VRING_BASE = 11,
        VHOST_USER_SET_VRING_KICK = 12,
        VHOST_USER_SET_VRING_CALL = 13,
        VHOST_USER_SET_VRING_ERR = 14,
        VHOST_USER_GET_PROTOCOL_FEATURES = 15,
        VHOST_USER_SET_PROTOCOL_FEATURES = 16,
        VHOST_USER_GET_QUEUE_NUM = 17,
        VHOST_USER_SET_VRING_ENABLE = 18,
        VHOST_USER_SET_BACKEND_REQ_FD = 21,
        VHOST_USER_IOTLB_MSG = 22,
        VHOST_USER_GET_CONFIG = 24,
        VHOST_USER_SET_CONFIG = 25,
        VHOST_USER_RESET_DEVICE = 34,
        VHOST_USER_GET_MAX_MEM_SLOTS = 36,
        VHOST_USER_ADD_MEM_REG = 37,
        VHOST_USER_REM_MEM_REG = 38,
        VHOST_USER_GET_SHMEM_CONFIG = 44,
        VHOST_USER_REQUEST_COUNT_ = 45, /* one behind the largest number that is defined today */
};

/* Back-end to front end, on the channel of SET_BACKEND_REQ_FD. */
enum vhost_user_backend_request {
        VHOST_USER_BACKEND_IOTLB_MSG = 1,
        VHOST_USER_BACKEND_CONFIG_CHANGE_MSG = 2,
        VHOST_USER_BACKEND_SHMEM_MAP = 9,
        VHOST_USER_BACKEND_SHMEM_UNMAP = 10,
};

/* Protocol features (GET_PROTOCOL_FEATURES); which are offered, and why, stands in features.c. */
enum vhost_user_protocol_feature {
        VHOST_USER_PROTOCOL_F_MQ = 0,
        VHOST_USER_PROTOCOL_F_REPLY_ACK = 3,
        VHOST_USER_PROTOCOL_F_BACKEND_REQ = 5,
        VHOST_USER_PROTOCOL_F_CONFIG = 9,
        VHOST_USER_PROTOCOL_F_RESET_DEVICE = 13,
        VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
        VHOST_USER_PROTOCOL_F_SHMEM = 22,
};

/* The one transport bit among the device's feature bits. */
#define VHOST_USER_F_PROTOCOL_FEATURES (UINT64_C(1) << 30)

/* Header flags. */
#define VHOST_USER_VERSION      1u
#define VHOST_USER_VERSION_MASK 3u
#define VHOST_USER_REPLY        4u
#define VHOST_USER_NEED_REPLY   8u
#define VHOST_USER_REPLY_FLAGS                                                                               \
        (VHOST_USER_VERSION | VHOST_USER_REPLY) /* exactly: QEMU compares for equality */

/* SET_VRING_KICK, _CALL and _ERR: ring index and "no descriptor comes with this". */
#define VHOST_USER_VRING_INDEX_MASK UINT64_C(0xff)
#define VHOST_USER_VRING_NOFD       (UINT64_C(1) << 8)

struct vhost_user_header {
        uint32_t request, flags, size;
};
static_assert(sizeof(struct vhost_user_header) == 12, "wire");

struct vhost_user_vring_state {
        uint32_t index, num;
};
static_assert(sizeof(struct vhost_user_vring_state) == 8, "wire");

#define VHOST_USER_VRING_F_LOG 1u

struct vhost_user_vring_addr {
        uint32_t index, flags;
        uint64_t descriptor, used, available, log; /* user addresses of the front end; log: guest address */
};
static_assert(sizeof(struct vhost_user_vring_addr) == 40, "wire");

struct vhost_user_memory_region {
        uint64_t guest_address, size, user_address, mmap_offset;
};
static_assert(sizeof(struct vhost_user_memory_region) == 32, "wire");

struct vhost_user_memory_table {
        uint32_t n_regions, padding;
        struct vhost_user_memory_region regions[LIMIT_VHOST_USER_FDS];
};
static_assert(offsetof(struct vhost_user_memory_table, regions) == 8, "wire");

struct vhost_user_single_region {
        uint64_t padding;
        struct vhost_user_memory_region region;
};
static_assert(sizeof(struct vhost_user_single_region) == 40, "wire");

struct vhost_user_config {
        uint32_t offset, size, flags;
        uint8_t bytes[LIMIT_CONFIG_BYTES];
};
static_assert(offsetof(struct vhost_user_config, bytes) == 12, "wire");

/* The answer to GET_SHMEM_CONFIG: bytes of each region, the index is its shmid; 0: there is none. */
struct vhost_user_shmem_config {
        uint32_t n_regions, padding;
        uint64_t sizes[256];
};
static_assert(sizeof(struct vhost_user_shmem_config) == 2056, "wire");

#define VHOST_USER_MMAP_RW UINT64_C(1)

/* SHMEM_MAP (with the file's descriptor) and SHMEM_UNMAP. */
struct vhost_user_mmap {
        uint8_t shmid, padding[7];
        uint64_t fd_offset, shm_offset, len, flags; /* shm_offset: in the region */
};
static_assert(sizeof(struct vhost_user_mmap) == 40, "wire");

/* IOTLB_MSG, in both directions. What a type does not need its sender may leave as it was. */
enum vhost_user_iotlb_type {
        VHOST_USER_IOTLB_MISS = 1,   /* to the front end alone */
        VHOST_USER_IOTLB_UPDATE = 2, /* from it alone, as the next */
        VHOST_USER_IOTLB_INVALIDATE =
            3, /* the others (a fault, a batch) nobody sends us who knows what we offer */
};

struct vhost_user_iotlb {
        uint64_t iova, size, user_address;
        uint8_t rights; /* IOTLB_READ, IOTLB_WRITE (broker/core/iotlb.h) */
        uint8_t type;
        uint8_t padding[6];
};
static_assert(sizeof(struct vhost_user_iotlb) == 32, "wire");

/* One received message. It owns its descriptors: a handler takes what it keeps, the rest is closed with the
 * message. */
struct vhost_user_message {
        struct vhost_user_header header;
        union {
                uint64_t u64;
                struct vhost_user_vring_state vring_state;
                struct vhost_user_vring_addr vring_addr;
                struct vhost_user_memory_table memory_table;
                struct vhost_user_single_region single_region;
                struct vhost_user_config config;
                struct vhost_user_iotlb iotlb;
                uint8_t bytes[LIMIT_VHOST_USER_PAYLOAD];
        } payload;
        struct fd_set_owned fds;
};
