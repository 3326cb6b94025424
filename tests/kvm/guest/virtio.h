/* A virtio-mmio driver of the test guest (virtio 1.3, 4.2): one device, one split queue at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/kvm/guest/guest.h"

#define RING_SIZE 16u

enum {
        VIRTIO_MAGIC = 0x000,
        VIRTIO_VERSION = 0x004,
        VIRTIO_DEVICE = 0x008,
        VIRTIO_DEVICE_FEATURES = 0x010,
        VIRTIO_DEVICE_FEATURES_SEL = 0x014,
        VIRTIO_DRIVER_FEATURES = 0x020,
        VIRTIO_DRIVER_FEATURES_SEL = 0x024,
        VIRTIO_QUEUE_SEL = 0x030,
        VIRTIO_QUEUE_SIZE_MAX = 0x034,
        VIRTIO_QUEUE_SIZE = 0x038,
        VIRTIO_QUEUE_READY = 0x044,
        VIRTIO_QUEUE_NOTIFY = 0x050,
        VIRTIO_INTERRUPT_STATUS = 0x060,
        VIRTIO_INTERRUPT_ACK = 0x064,
        VIRTIO_STATUS = 0x070,
        VIRTIO_QUEUE_DESC = 0x080,
        VIRTIO_QUEUE_DRIVER = 0x090,
        VIRTIO_QUEUE_DEVICE = 0x0a0,
        VIRTIO_SHM_SEL = 0x0ac,
        VIRTIO_SHM_LEN = 0x0b0,
        VIRTIO_SHM_BASE = 0x0b8,
        VIRTIO_CONFIG_GENERATION = 0x0fc,
        VIRTIO_CONFIG = 0x100
};

enum {
        VIRTIO_ACKNOWLEDGE = 1,
        VIRTIO_DRIVER = 2,
        VIRTIO_DRIVER_OK = 4,
        VIRTIO_FEATURES_OK = 8,
        VIRTIO_NEEDS_RESET = 64
};

#define VIRTIO_TYPE_BLK    2u
#define VIRTIO_TYPE_RNG    4u
#define VIRTIO_TYPE_SAMPLE 22u
#define VIRTIO_TYPE_PMEM   27u
#define VIRTIO_F_VERSION_1 (1ull << 32)

struct virtio_desc {
        uint64_t addr;
        uint32_t len;
        uint16_t flags, next;
};

struct virtio_ring {
        struct virtio_desc desc[RING_SIZE] __attribute__((aligned(16)));
        struct {
                uint16_t flags, idx, ring[RING_SIZE], used_event;
        } avail __attribute__((aligned(2)));
        struct {
                uint16_t flags;
                volatile uint16_t idx;
                struct {
                        uint32_t id, len;
                } ring[RING_SIZE];
                uint16_t avail_event;
        } used __attribute__((aligned(4)));
};

struct virtio {
        uint64_t at;     /* its registers */
        uint32_t vector; /* its interrupt's */
        uint16_t seen;   /* used entries that have been taken */
        struct virtio_ring *ring;
        uint64_t features;
};

/* A part of a request. */
struct virtio_part {
        const volatile void *at;
        uint32_t len;
        bool written; /* by the device */
};

/* Looks for the n-th device of a type, from the option "devices" (0xd0000000) on, a page each; its interrupt is that of
 * the place: the platform's order of GSIs. */
bool virtio_find(uint32_t type, uint32_t n, struct virtio *ret_device);

/* Status 0, and then all up to DRIVER_OK with queue 0 on `ring`. False: said in words under `name`. */
bool virtio_begin(struct virtio *device, const char *name, uint64_t features, struct virtio_ring *ring);

/* The same, by a driver's own way to its features, between DRIVER and FEATURES_OK. False: said in words. */
typedef bool (*virtio_negotiate)(struct virtio *device, const char *name, uint64_t offered);
bool virtio_begin_by(struct virtio *device, const char *name, virtio_negotiate negotiate,
                     struct virtio_ring *ring);

/* One request and its answer, by an interrupt. The bytes that the device has written, or UINT32_MAX: said in words. */
uint32_t virtio_do(struct virtio *device, const char *name, const struct virtio_part *parts, uint32_t n);

/* Status 0, until it reads so. */
bool virtio_reset(struct virtio *device, const char *name);

/* A shared memory region of it (virtio 1.3, 4.2.2.1). False: there is none. */
bool virtio_region(const struct virtio *device, uint32_t shmid, uint64_t *ret_at, uint64_t *ret_len);

/* On a disk that runs: 4096 bytes at any address, to or from the block. Its status, or 255 (said in words). */
#define BLK_BLOCK 4096u
uint32_t blk_move(struct virtio *device, bool write, uint64_t block, uint64_t at);

/* On a disk that runs: writes blocks, then reads and compares them. `round` makes their bytes others. */
bool blk_round(struct virtio *device, uint32_t round, uint32_t n_blocks);

/* From a reset on: the disk's own ring, and with a block. */
bool blk_begin(struct virtio *device);
bool blk_works(struct virtio *device, uint32_t round);
