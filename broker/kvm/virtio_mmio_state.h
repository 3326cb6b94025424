/* What a virtio-mmio device is made of, for the five files that are one: virtio_mmio.c (registers), virtio_mmio_status.c
 * (the driver's initialisation, reset), virtio_mmio_features.c, virtio_mmio_queue.c and virtio_mmio_config.c. Nobody else looks inside.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/kvm/virtio_mmio.h"
#include "proto/base/limits.h"

/* The Status register (virtio 1.3, 2.1); the driver's bits but NEEDS_RESET, which is the device's. */
enum mmio_status {
        MMIO_ACKNOWLEDGE = 1,
        MMIO_DRIVER = 2,
        MMIO_DRIVER_OK = 4,
        MMIO_FEATURES_OK = 8,
        MMIO_NEEDS_RESET = 64,
        MMIO_FAILED = 128,
};

/* How far the driver is (virtio 1.3, 3.1.1): what Status amounts to, for the table's "may be written in". */
enum mmio_phase {
        MMIO_PHASE_INIT = 0,    /* no driver has said that it knows how */
        MMIO_PHASE_NEGOTIATING, /* it may choose features */
        /* Legacy: it does all of what belongs to the one before and the one behind, in any order, and may use the device
         * (virtio 1.3, 3.1.2). */
        MMIO_PHASE_OPEN,
        MMIO_PHASE_SETUP,  /* features are fixed; it sets up queues and may write the configuration space */
        MMIO_PHASE_LIVE,   /* queues run */
        MMIO_PHASE_BROKEN, /* the device needs a reset, or the driver has given up */
        MMIO_PHASE_COUNT_,
};

/* InterruptStatus (virtio 1.3, 4.2.2). */
enum mmio_interrupt {
        MMIO_INTERRUPT_USED = 1, /* set by lanes: LANE_USED_BUFFER */
        MMIO_INTERRUPT_CONFIG = 2,
};

enum mmio_queue_state {
        MMIO_QUEUE_IDLE = 0, /* QueueReady reads 0; everything may be written */
        MMIO_QUEUE_LATCHED, /* ready, and waits for DRIVER_OK (virtio 1.3, 2.1.2: nothing is consumed before) */
        MMIO_QUEUE_RUNNING,  /* in the device; only QueueReady 0 and a reset end it */
        MMIO_QUEUE_STOPPING, /* the device drains it; QueueReady reads 1 until it has */
        MMIO_QUEUE_STATE_COUNT_,
};

/* Which address of a ring, in the order of their registers. */
enum mmio_ring_part {
        MMIO_RING_DESC = 0,
        MMIO_RING_DRIVER,
        MMIO_RING_DEVICE,
        MMIO_RING_PARTS_,
};

struct mmio_queue {
        struct virtio_mmio *mmio;
        enum mmio_queue_state state;
        uint16_t num; /* 0: not said */
        uint64_t address[MMIO_RING_PARTS_];
        uint32_t align, pfn; /* legacy, instead of addresses: of the used ring, 0: not said; the first page */
        int kick;            /* of the VM (kick_open); -1: not tied */
};

/* A write of the configuration space that waits for the one before. */
struct mmio_config_write {
        uint32_t offset;
        uint8_t len;
        uint8_t bytes[8];
};

struct virtio_mmio {
        struct device *device;
        struct virtio_mmio_host host;
        uint32_t status;
        uint32_t device_features_sel, driver_features_sel;
        uint64_t driver_features;
        uint32_t
            driver_features_beyond; /* pages over 1 of which it has chosen bits, which nobody offers; from 31 on they are one */
        bool committed;     /* the device has its features */
        uint32_t page_size; /* legacy: of a QueuePFN; 0: not said */
        uint32_t shm_sel;
        uint32_t queue_sel;
        unsigned n_queues;
        struct mmio_queue queues[LIMIT_QUEUES];
        uint32_t generation;
        bool
            change_untold; /* the configuration has changed since the driver may have read it, before DRIVER_OK */
        struct mmio_config_write writes[LIMIT_MMIO_CONFIG_WRITES]; /* a ring */
        unsigned first_write, n_writes;
        uint64_t notifies, resets;
        /* any thread */
        atomic_uint interrupt_status;
        atomic_uint_fast64_t accesses, refused, interrupt_reads, interrupt_acks;
};

enum mmio_phase mmio_phase(const struct virtio_mmio *mmio);

static inline bool mmio_is_legacy(const struct virtio_mmio *mmio)
{
        return mmio->host.format != GUEST_MODERN;
}

/* ---- virtio_mmio_features.c. Write functions return false when the driver may not: nothing has changed then ---- */

uint32_t mmio_device_features(const struct virtio_mmio *mmio);
bool mmio_driver_features_write(struct virtio_mmio *mmio, uint32_t value);
/* The driver's choice is the device's from now on. False: it cannot be. */
bool mmio_features_accept(struct virtio_mmio *mmio);
/* Legacy: the same, once, at the first use of the device. False: the device is broken. */
bool mmio_features_settle(struct virtio_mmio *mmio);
void mmio_features_reset(struct virtio_mmio *mmio);

/* ---- virtio_mmio_status.c ---- */

bool mmio_status_write(struct virtio_mmio *mmio, uint32_t value);
/* Nothing more will come of it before a reset. `why`: NULL where that has been logged. */
void mmio_break(struct virtio_mmio *mmio, const char *why);
void mmio_reset(struct virtio_mmio *mmio);
/* The driver is told that the configuration, or DEVICE_NEEDS_RESET, has changed: as soon as it may be. */
void mmio_tell_change(struct virtio_mmio *mmio);

/* ---- virtio_mmio_queue.c: of the selected queue ---- */

uint32_t mmio_queue_num_max(const struct virtio_mmio *mmio);
bool mmio_queue_num_write(struct virtio_mmio *mmio, uint32_t value);
bool mmio_queue_address_write(struct virtio_mmio *mmio, enum mmio_ring_part part, bool high, uint32_t value);
/* Legacy: QueueAlign and QueuePFN; GuestPageSize is of all queues. */
bool mmio_page_size_write(struct virtio_mmio *mmio, uint32_t value);
bool mmio_queue_align_write(struct virtio_mmio *mmio, uint32_t value);
uint32_t mmio_queue_pfn(const struct virtio_mmio *mmio);
bool mmio_queue_pfn_write(struct virtio_mmio *mmio, uint32_t value);
uint32_t mmio_queue_ready(const struct virtio_mmio *mmio);
bool mmio_queue_ready_write(struct virtio_mmio *mmio, uint32_t value);
bool mmio_queue_notify(struct virtio_mmio *mmio, uint32_t queue);
/* All queues: those that are latched start; all are as at the beginning (the device has been reset). */
void mmio_queues_start(struct virtio_mmio *mmio);
void mmio_queues_reset(struct virtio_mmio *mmio);

/* ---- virtio_mmio_config.c ---- */

bool mmio_config_read(const struct virtio_mmio *mmio, uint32_t offset, unsigned len, uint8_t *ret_bytes);
bool mmio_config_write(struct virtio_mmio *mmio, uint32_t offset, unsigned len, const uint8_t *bytes);
void mmio_config_changed(void *context);
