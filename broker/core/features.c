/* Feature bits: who may offer them and who may see them.
 * Owns nothing; called by device.c. TRUST: `device_bits` are a worker's, `wanted` a guest's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/features.h"

#include <errno.h>
#include <stddef.h>

#include "proto/base/checked.h"

/* Device types own bits 0 to 23 and 50 upward (virtio 1.3, 2.2); the bits between belong to rings and
 * transports. */
#define FEATURES_OF_DEVICES (((UINT64_C(1) << 24) - 1) | ~((UINT64_C(1) << 50) - 1))

/* Ring and transport bits. What is not listed is never offered, never on. IN_ORDER (35) and RING_RESET (40) are
 * not, each for a reason that docs/VHOST_USER.md gives. */
static const struct feature_row {
        uint8_t bit;
        const char *name;
        const char *turns_on;
} broker_features[] = {
    {VIRTIO_F_INDIRECT_DESC_BIT, "INDIRECT_DESC", "indirect tables in the walker"},
    {VIRTIO_F_EVENT_IDX_BIT, "EVENT_IDX", "kick and signal thresholds in the walker"},
    {VIRTIO_F_VERSION_1_BIT, "VERSION_1", "little-endian rings and config; required"},
    {VIRTIO_F_RING_PACKED_BIT, "RING_PACKED", "the packed layout, for all queues of the device"},
};

uint64_t features_offered(uint64_t device_bits)
{
        uint64_t offered = device_bits & FEATURES_OF_DEVICES;

        for (size_t i = 0; i < array_size(broker_features); i++)
                offered |= FEATURE_BIT(broker_features[i].bit);
        return offered;
}

int features_commit(uint64_t offered, uint64_t wanted, uint64_t *ret_committed)
{
        uint64_t committed = offered & wanted;

        if (!(committed & FEATURE_BIT(VIRTIO_F_VERSION_1_BIT)))
                return -EPROTO;
        *ret_committed = committed;
        return 0;
}

uint64_t features_for_worker(uint64_t committed)
{
        return committed & FEATURES_OF_DEVICES;
}
