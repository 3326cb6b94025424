/* virtio-mmio: features, offered, chosen and committed (virtio 1.3, 2.2, 3.1).
 *
 * How it works: a driver writes its choice as often as it likes, each write in place of the last. A modern one then sets
 * FEATURES_OK, which stays clear if it cannot have what it has chosen. The legacy interface has no such bit: the choice is final when
 * the device is used first, by DRIVER_OK or by a kick before that (3.1.2); and since it cannot be refused then, a choice that cannot
 * be served breaks the device, in words.
 *
 * Owns nothing; called by virtio_mmio.c and virtio_mmio_status.c. TRUST: values are a guest's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/features.h"
#include "broker/kvm/virtio_mmio_state.h"
#include "proto/base/checked.h"

/* What the driver is offered: the device's bits and the broker's, and what the VM adds to them. Nothing may be offered whose needs are
 * not (virtio 1.3, 2.2.2). */
static uint64_t features_on_offer(const struct virtio_mmio *mmio)
{
        uint64_t whole = features_whole(device_virtio_id(mmio->device), device_features(mmio->device));

        return mmio_is_legacy(mmio) ? whole : features_for_guest(whole, mmio->host.features);
}

/* 32 bits each; there are none over 63. */
uint32_t mmio_device_features(const struct virtio_mmio *mmio)
{
        uint64_t features = features_on_offer(mmio);

        if (mmio->device_features_sel > 1)
                return 0;
        return (uint32_t)(features >> (32 * mmio->device_features_sel));
}

/* Each write replaces the last, also of bits that are not there. */
static bool driver_features_beyond_write(struct virtio_mmio *mmio, uint32_t value)
{
        uint32_t page = MIN(mmio->driver_features_sel, 31u);

        if (value != 0)
                mmio->driver_features_beyond |= 1u << page;
        else if (page < 31)
                mmio->driver_features_beyond &= ~(1u << page);
        return value == 0;
}

bool mmio_driver_features_write(struct virtio_mmio *mmio, uint32_t value)
{
        unsigned shift = 32 * (mmio->driver_features_sel & 1);

        if (mmio->committed) /* legacy alone: they were final with the first use (virtio 1.3, 3.1.2) */
                return false;
        if (mmio->driver_features_sel > 1)
                return driver_features_beyond_write(mmio, value);
        mmio->driver_features &= ~((uint64_t)UINT32_MAX << shift);
        mmio->driver_features |= (uint64_t)value << shift;
        return true;
}

/* A driver that has chosen what was not offered would take it for on, and so would one that has chosen a bit without what that
 * needs: it must not see FEATURES_OK (virtio 1.3, 2.2.1 and 2.2.2). Nor does one without VERSION_1: -EPROTO. */
bool mmio_features_accept(struct virtio_mmio *mmio)
{
        uint64_t chosen = mmio->driver_features;

        if (mmio->host.translated && !(chosen & FEATURE_BIT(VIRTIO_F_ACCESS_PLATFORM_BIT)))
                return false; /* its driver's addresses would be none of the IOMMU's (virtio 1.3, 6.1) */
        if (mmio->driver_features_beyond || (chosen & ~features_on_offer(mmio)) ||
            features_whole(device_virtio_id(mmio->device), chosen) != chosen)
                return false;
        if (device_commit_features(mmio->device, features_for_device(chosen)) < 0)
                return false;
        mmio->committed = true;
        device_show_features(mmio->device, features_on_offer(mmio), chosen);
        return true;
}

bool mmio_features_settle(struct virtio_mmio *mmio)
{
        if (mmio->committed)
                return true;
        if (!mmio_features_accept(mmio))
                mmio_break(
                    mmio,
                    "its driver has chosen features that it was not offered, or one without what that needs");
        return mmio->committed;
}

void mmio_features_reset(struct virtio_mmio *mmio)
{
        mmio->device_features_sel = mmio->driver_features_sel = 0;
        mmio->driver_features = 0;
        mmio->driver_features_beyond = 0;
        mmio->committed = false;
}
