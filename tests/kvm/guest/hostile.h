/* What the hostile tests of the guest share: raw accesses, memory that a device may spoil, and the moments at which the
 * host looks at the broker.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/kvm/guest/virtio.h"

/* Nothing else of the guest is here: whatever a device can be made to write lands in it. */
#define SCRATCH       0x2000000ull
#define SCRATCH_BYTES 0x1000000u
#define NO_MEMORY     0xd8000000ull /* a hole of the bus */

#define F_INDIRECT (1ull << 28)
#define F_PACKED   (1ull << 34)

#define STATUS_ALL                                                                                           \
        (VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK) /* a device that runs */
#define VIRTIO_FAILED    128u
#define VIRTIO_SHM_SEL   0x0acu
#define VIRTIO_SHM_WORDS 0x0b0u

/* 1, 2, 4 or 8 bytes, at any address. */
uint64_t bus_read(uint64_t at, uint32_t width);
void bus_write(uint64_t at, uint32_t width, uint64_t value);

/* Where a ring is said to be, and how long. */
struct hostile_ring {
        uint64_t desc, driver, device;
        uint32_t size;
};

/* From a reset up to DRIVER_OK with queue 0 there, whatever becomes of it. Nothing is looked at. */
void hostile_begin(const struct virtio *device, uint64_t features, const struct hostile_ring *ring);

void hostile_status(const struct virtio *device, uint32_t status);

/* Numbers that are the same in each run. */
uint32_t hostile_random(uint32_t *state);

/* The second processor does `job`, which ends with hostile_job_done, and is waited for (false: said in words). */
extern volatile uint32_t hostile_job_ended;
void hostile_job_start(void (*job)(void));
void hostile_job_done(void);
bool hostile_job_wait(const char *name);

#define HOSTILE_DISKS 4u

/* A test: all disks serve; the host looks ("calm", until a byte comes); `attack` says what it has done; all disks serve; the
 * host looks again. False of the attack: said in words. At most HOSTILE_DISKS. */
void hostile_test(const char *name, bool (*attack)(struct virtio *disks, uint32_t n_disks, uint64_t *ret_n));
