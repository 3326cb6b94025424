/* virtio-mmio: the Status register, reset, and what the driver is told (virtio 1.3, 2.1, 3.1).
 *
 * How it works: a driver sets Status bits one after the other; each row of the table below says what must be there before,
 * and what happens. 0 is a reset, which is done when the write returns. The driver takes no bit back (2.1.1), and what it
 * writes of NEEDS_RESET, the device's bit, counts for nothing.
 *
 * Owns nothing; called by virtio_mmio.c. TRUST: values are a guest's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <unistd.h>

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

/* ---- the Status register ---- */

static void driver_ok(struct virtio_mmio *mmio)
{
        if (mmio->change_untold)
                mmio_tell_change(mmio);
        mmio_queues_start(mmio);
}

/* Nothing can be vetoed any more: what the driver has chosen is judged now, at the latest. */
static void legacy_driver_ok(struct virtio_mmio *mmio)
{
        (void)mmio_features_settle(mmio);
        driver_ok(mmio);
}

struct status_row {
        uint32_t bit;
        uint32_t needs;                            /* set before */
        uint32_t bars;                             /* ... and not set */
        bool (*accept)(struct virtio_mmio *mmio);  /* false: the bit stays clear */
        void (*entered)(struct virtio_mmio *mmio); /* it is set */
};

/* In the order in which a driver sets them, alone or several with one write. */
static const struct status_row status_rows[] = {
    {MMIO_ACKNOWLEDGE, 0, 0, NULL, NULL},
    {MMIO_DRIVER, MMIO_ACKNOWLEDGE, 0, NULL, NULL},
    {MMIO_FEATURES_OK, MMIO_DRIVER, MMIO_NEEDS_RESET | MMIO_FAILED, mmio_features_accept, NULL},
    {MMIO_DRIVER_OK, MMIO_FEATURES_OK, MMIO_NEEDS_RESET | MMIO_FAILED, NULL, driver_ok},
    {MMIO_FAILED, 0, 0, NULL, NULL},
};

/* The legacy interface has no FEATURES_OK (virtio 1.3, 3.1.2). */
static const struct status_row legacy_rows[] = {
    {MMIO_ACKNOWLEDGE, 0, 0, NULL, NULL},
    {MMIO_DRIVER, MMIO_ACKNOWLEDGE, 0, NULL, NULL},
    {MMIO_DRIVER_OK, MMIO_DRIVER, MMIO_NEEDS_RESET | MMIO_FAILED, NULL, legacy_driver_ok},
    {MMIO_FAILED, 0, 0, NULL, NULL},
};

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
        const struct status_row *rows = mmio_is_legacy(mmio) ? legacy_rows : status_rows;
        size_t n = mmio_is_legacy(mmio) ? array_size(legacy_rows) : array_size(status_rows);
        uint32_t known = 0;
        bool all = true;

        if (value == 0) {
                mmio_reset(mmio);
                return true;
        }
        for (size_t i = 0; i < n; i++)
                known |= rows[i].bit;
        if ((value & ~(known | mmio->status)) || (mmio->status & known & ~value))
                return false;
        for (size_t i = 0; i < n; i++)
                if ((value & ~mmio->status) & rows[i].bit)
                        all &= status_set(mmio, &rows[i]);
        return all;
}

/* Everything that the driver has said is forgotten, but the size of its pages, which legacy drivers say before they reset the device
 * (Linux does). No lane reports any more when device_reset returns, so that nothing
 * of the time before shows after (virtio 1.3, 2.4.1 and 4.2.2.1). */
void mmio_reset(struct virtio_mmio *mmio)
{
        device_reset(mmio->device);
        mmio_queues_reset(mmio);
        mmio->status = 0;
        mmio_features_reset(mmio);
        mmio->queue_sel = mmio->shm_sel = 0;
        mmio->generation++; /* what the driver wrote is undone */
        mmio->change_untold = false;
        mmio->n_writes = 0;
        atomic_store(&mmio->interrupt_status, 0);
        mmio->resets++;
}
