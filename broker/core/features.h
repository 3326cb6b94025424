/* Feature bits: who may offer them and who may see them, in one table; masked once, here, for everybody.
 * virtio 1.3, 2.2 and 6.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#define FEATURE_BIT(n) (UINT64_C(1) << (n))

#define VIRTIO_F_INDIRECT_DESC_BIT   28
#define VIRTIO_F_EVENT_IDX_BIT       29
#define VIRTIO_F_VERSION_1_BIT       32
#define VIRTIO_F_ACCESS_PLATFORM_BIT 33
#define VIRTIO_F_RING_PACKED_BIT     34

/* What the guest may be offered: the device's own bits of a Hello, and the ring bits that the broker serves.
 */
uint64_t features_offered(uint64_t device_bits);

/* What is on after the driver's choice: nothing that was not offered. -EPROTO: VERSION_1 is missing, and
 * bulkhead is modern only where the transport cannot say which format is in use (docs/VHOST_USER.md). */
int features_commit(uint64_t offered, uint64_t wanted, uint64_t *ret_committed);

/* What a worker is told: the device's own bits, never a ring or transport bit. */
uint64_t features_for_worker(uint64_t committed);
