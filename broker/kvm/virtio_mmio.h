/* A device on the bus of our own VM: virtio-mmio, version 2 (virtio 1.3, 4.2), or version 1, the legacy interface (4.2.4), over
 * broker/core/device.h. Which one a device has its configuration says: a driver finds the version in a register.
 *
 * How it works: registers are a table (virtio_mmio.c), one row each, with the phases of the driver's initialisation in which
 * it may be written. What a driver may not do is ignored, reads as zeros, and is counted; it breaks nothing. What cannot be
 * ignored (a ring outside of memory, say) breaks this device alone: DEVICE_NEEDS_RESET and a configuration interrupt
 * (virtio 1.3, 2.1.2), until the driver writes 0 to Status.
 *
 * All functions run on the broker's main thread, but virtio_mmio_fast, which any thread may call.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/device.h"

#define VIRTIO_MMIO_BYTES 0x200u /* of the register file: registers, then the configuration space */

/* A shared memory region of the device, where its guest finds it (virtio 1.3, 2.10). */
struct virtio_mmio_shm {
        uint8_t id;
        uint64_t base, len; /* guest-physical; len > 0 */
};

/* What a device needs of the VM that it is in. */
struct virtio_mmio_host {
        void *context;
        /* Makes a non-blocking eventfd and ties it to QueueNotify with this queue's index. 0 or negative errno. */
        int (*kick_open)(void *context, unsigned queue, int *ret_fd);
        /* Unties and closes it. */
        void (*kick_close)(void *context, unsigned queue, int fd);
        /* The device's interrupt, for all its queues and for changes of its configuration: a non-blocking eventfd that stays
         * the VM's. Each write is an edge; the guest must have been told that the interrupt is edge-triggered. */
        int irq_fd;
        /* The device has broken, for a reason that nobody has logged yet; `why` is one clause. A guest can make this come as
         * often as it likes: to be logged with log_limited. May be NULL. */
        void (*failed)(void *context, const char *why);
        uint64_t
            features; /* that the VM adds to the device's: of a transport's bits (broker/core/features.h) */
        /* Its driver's addresses are those of the VM's IOMMU, which tells what they stand for; what it has told outlives a reset of the
         * device (IOTLB_PERSIST). Then `features` has ACCESS_PLATFORM, and a driver that does not accept that cannot use the device. */
        bool translated;
        const struct virtio_mmio_shm *shm; /* outlives the device; ids differ */
        unsigned n_shm;
        /* As those of struct device_front, with the context of this; both may be NULL. */
        bool (*shmem_show)(void *context, struct shmem_mapping *mapping);
        void (*shmem_hide)(void *context, struct shmem_mapping *mapping);
        /* Version 2 for GUEST_MODERN, else 1. Registers are little endian in each; rings, heads of requests and the configuration
         * space are as this says. */
        enum guest_format format;
};

/* What happened since the start, for the operator. */
struct virtio_mmio_counters {
        uint64_t accesses;        /* all that came here */
        uint64_t refused;         /* ... and were ignored or read as zeros: the driver may not */
        uint64_t interrupt_reads; /* of InterruptStatus, ... */
        uint64_t interrupt_acks;  /* ... and writes of InterruptACK: two for each interrupt */
        uint64_t notifies;        /* kicks that came as an access: only those whose eventfd did not match */
        uint64_t resets;          /* Status 0 */
        uint32_t status;          /* the Status register now */
};

struct virtio_mmio;

/* Puts a ready device on the bus and gives it the VM's memory (a reference is taken); `host` is copied. -EAGAIN: its
 * worker has not said Hello yet; -ENOMEM. */
int virtio_mmio_new(struct device *device, const struct virtio_mmio_host *host, struct guest_memory *memory,
                    struct virtio_mmio **ret_mmio);

/* Resets the device and takes it off the bus, before device_free; no thread may be in virtio_mmio_fast. Accepts NULL,
 * returns NULL. */
struct virtio_mmio *virtio_mmio_free(struct virtio_mmio *mmio);

/* An access that needs no main thread: InterruptStatus is read, InterruptACK is written. False: it is another one, and
 * nothing was done. */
bool virtio_mmio_fast(struct virtio_mmio *mmio, uint64_t offset, unsigned len, bool write, uint8_t *bytes);

/* Any access of the guest: `len` bytes, 1 to 8, little endian, at `bytes`. Never fails: what is not permitted reads as zeros or is
 * ignored. What it starts (a worker's answer to a configuration write, a queue that drains) is not waited for. */
void virtio_mmio_access(struct virtio_mmio *mmio, uint64_t offset, unsigned len, bool write, uint8_t *bytes);

void virtio_mmio_count(const struct virtio_mmio *mmio, struct virtio_mmio_counters *ret_counters);
