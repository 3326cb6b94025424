/* A virtio-mmio disk in the plainest form: it serves a queue inside the write to QueueNotify, on the vCPU's thread. It is
 * there to show that the test guest's driver is right, apart from the product.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "broker/core/guest_memory.h"

#define PLAIN_BLK_BYTES (1u << 20)

struct plain_blk {
        struct guest_memory *memory;
        int irq_fd;
        uint32_t registers[0x100 / 4]; /* what was written last */
        uint64_t driver_features;
        uint16_t taken;
        unsigned n_requests, n_resets, n_wrong; /* wrong: an access or a ring that no driver should make */
        uint8_t disk[PLAIN_BLK_BYTES];
};

/* A kvm_bus_handler. */
void plain_blk_access(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes);
