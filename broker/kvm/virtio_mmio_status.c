/* virtio-mmio: the Status register, features, reset, and what the driver is told (virtio 1.3, 2.1, 2.2, 3.1).
 *
 * How it works: a driver sets Status bits one after the other; each row of the table below says what must be there before,
 * and what happens. 0 is a reset, which is done when the write returns. The driver takes no bit back (2.1.1), and what it
 * writes of NEEDS_RESET, the device's bit, counts for nothing.
 *
 * Owns nothing; called by virtio_mmio.c. TRUST: values are a guest's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <unistd.h>

#include "broker/core/features.h"
#include "broker/kvm/virtio_mmio_state.h"
#include "proto/base/checked.h"

/* ---- what the driver is told ---- */

/* Not before DRIVER_OK: the driver may not be able to take an interrupt yet. */
void mmio_tell_change(struct virtio_mmio *mmio)
{
        uint64_t one = 1;

        mmio->change_untold = !(mmio->status & MMIO_DRIVER_OK);
        if (mmio->change_untold)
                return;
        atomic_fetch_or(&mmio->interrupt_status, MMIO_INTERRUPT_CONFIG);
        (void)!write(mmio->host.irq_fd, &one, sizeof(one)); /* a full one is a pending interrupt already */
}

/* virtio 1.3, 2.1.2: after DRIVER_OK a configuration change notification must follow. */
void mmio_break(struct virtio_mmio *mmio, const char *why)
{
        if (mmio->status & MMIO_NEEDS_RESET)
                return;
        mmio->status |= MMIO_NEEDS_RESET;
        if (why && mmio->host.failed)
                mmio->host.failed(mmio->host.context, why);
        mmio_tell_change(mmio);
}

/* ---- features ---- */

/* What the driver is offered: the device's bits and the broker's, and what the VM adds to them. Nothing may be offered whose needs are
 * not (virtio 1.3, 2.2.2). */
static uint64_t features_on_offer(const struct virtio_mmio *mmio)
{
        uint64_t whole = features_whole(device_virtio_id(mmio->device), device_features(mmio->device));

        return features_for_guest(whole, mmio->host.features);
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

        if (mmio->driver_features_sel > 1)
                return driver_features_beyond_write(mmio, value);
        mmio->driver_features &= ~((uint64_t)UINT32_MAX << shift);
        mmio->driver_features |= (uint64_t)value << shift;
        return true;
}

/* A driver that has chosen what was not offered would take it for on, and so would one that has chosen a bit without what that
 * needs: it must not see FEATURES_OK (virtio 1.3, 2.2.1 and 2.2.2). Nor does one without VERSION_1: -EPROTO. */
static bool accept_features(struct virtio_mmio *mmio)
{
        uint64_t chosen = mmio->driver_features;

        if (mmio->driver_features_beyond || (chosen & ~features_on_offer(mmio)) ||
            features_whole(device_virtio_id(mmio->device), chosen) != chosen)
                return false;
        if (device_commit_features(mmio->device, features_for_device(chosen)) < 0)
                return false;
        device_show_features(mmio->device, features_on_offer(mmio), chosen);
        return true;
}

/* ---- the Status register ---- */

static void driver_ok(struct virtio_mmio *mmio)
{
        if (mmio->change_untold)
                mmio_tell_change(mmio);
        mmio_queues_start(mmio);
}

/* In the order in which a driver sets them, alone or several with one write. */
static const struct status_row {
        uint32_t bit;
        uint32_t needs;                            /* set before */
        uint32_t bars;                             /* ... and not set */
        bool (*accept)(struct virtio_mmio *mmio);  /* false: the bit stays clear */
        void (*entered)(struct virtio_mmio *mmio); /* it is set */
} status_rows[] = {
    {MMIO_ACKNOWLEDGE, 0, 0, NULL, NULL},
    {MMIO_DRIVER, MMIO_ACKNOWLEDGE, 0, NULL, NULL},
    {MMIO_FEATURES_OK, MMIO_DRIVER, MMIO_NEEDS_RESET | MMIO_FAILED, accept_features, NULL},
    {MMIO_DRIVER_OK, MMIO_FEATURES_OK, MMIO_NEEDS_RESET | MMIO_FAILED, NULL, driver_ok},
    {MMIO_FAILED, 0, 0, NULL, NULL},
};

#define DRIVER_BITS (MMIO_ACKNOWLEDGE | MMIO_DRIVER | MMIO_FEATURES_OK | MMIO_DRIVER_OK | MMIO_FAILED)

static bool status_set(struct virtio_mmio *mmio, const struct status_row *row)
{
        if ((mmio->status & row->needs) != row->needs || (mmio->status & row->bars))
                return false;
        if (row->accept && !row->accept(mmio))
                return false;
        mmio->status |= row->bit;
        if (row->entered)
                row->entered(mmio);
        return true;
}

/* A value that holds a bit which nobody knows, or takes one back, is not a status: nothing of it counts. A reset is 0 alone. */
bool mmio_status_write(struct virtio_mmio *mmio, uint32_t value)
{
        bool all = true;

        if (value == 0) {
                mmio_reset(mmio);
                return true;
        }
        if ((value & ~(DRIVER_BITS | mmio->status)) || (mmio->status & DRIVER_BITS & ~value))
                return false;
        for (size_t i = 0; i < array_size(status_rows); i++)
                if ((value & ~mmio->status) & status_rows[i].bit)
                        all &= status_set(mmio, &status_rows[i]);
        return all;
}

/* Everything that the driver has said is forgotten. No lane reports any more when device_reset returns, so that nothing
 * of the time before shows after (virtio 1.3, 2.4.1 and 4.2.2.1). */
void mmio_reset(struct virtio_mmio *mmio)
{
        device_reset(mmio->device);
        mmio_queues_reset(mmio);
        mmio->status = 0;
        mmio->device_features_sel = mmio->driver_features_sel = 0;
        mmio->driver_features = 0;
        mmio->driver_features_beyond = 0;
        mmio->queue_sel = mmio->shm_sel = 0;
        mmio->generation++; /* what the driver wrote is undone */
        mmio->change_untold = false;
        mmio->n_writes = 0;
        atomic_store(&mmio->interrupt_status, 0);
        mmio->resets++;
}
