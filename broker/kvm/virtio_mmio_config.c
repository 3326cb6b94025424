/* virtio-mmio: the configuration space (virtio 1.3, 2.5 and 4.2.2).
 *
 * How it works: reads are answered from the device's cache. A write is posted: the vCPU goes on, and the worker answers
 * later. The device takes one at a time; those behind it wait here, in order, and the driver reads them back as if they had
 * been taken. When the device changes a field itself, or does not take what was written, the generation moves on and the
 * driver is told.
 *
 * Owns the writes that wait; called by virtio_mmio.c and by the device. TRUST: offsets, widths and bytes are a guest's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "broker/kvm/virtio_mmio_state.h"
#include "proto/base/checked.h"

/* 8, 16, 32 or 64 bits, aligned (virtio 1.3, 4.2.2.2). A driver reads a field of 64 bits as two halves, but may do it at
 * once. */
static bool is_natural(uint32_t offset, unsigned len)
{
        return is_power_of_2(len) && len <= 8 && offset % len == 0;
}

/* Where the i-th of the writes that wait is kept. */
static unsigned write_at(const struct virtio_mmio *mmio, unsigned i)
{
        return (mmio->first_write + i) % LIMIT_MMIO_CONFIG_WRITES;
}

/* The bytes of a write that waits, over those of the cache. */
static void show_write(const struct mmio_config_write *write, uint32_t offset, unsigned len, uint8_t *bytes)
{
        for (unsigned i = 0; i < write->len; i++) {
                uint32_t at = write->offset + i;

                if (at >= offset && at - offset < len)
                        bytes[at - offset] = write->bytes[i];
        }
}

bool mmio_config_read(const struct virtio_mmio *mmio, uint32_t offset, unsigned len, uint8_t *ret_bytes)
{
        uint8_t bytes[8];

        if (!is_natural(offset, len) || device_config_read(mmio->device, offset, len, bytes) < 0)
                return false;
        for (unsigned i = 0; i < mmio->n_writes; i++)
                show_write(&mmio->writes[write_at(mmio, i)], offset, len, bytes);
        memcpy(ret_bytes, bytes, len);
        return true;
}

void mmio_config_changed(void *context)
{
        struct virtio_mmio *mmio = context;

        mmio->generation++;
        if (mmio->status & MMIO_DRIVER) /* nobody before has read it */
                mmio_tell_change(mmio);
}

/* ---- writes ---- */

static void on_written(void *context, int error);

static int submit(struct virtio_mmio *mmio, const struct mmio_config_write *write)
{
        return device_config_write(mmio->device, write->offset, write->len, write->bytes, on_written, mmio);
}

/* The next one, now that the device is free. One that it does not take any more changes the space back. */
static void submit_next(struct virtio_mmio *mmio)
{
        while (mmio->n_writes > 0) {
                const struct mmio_config_write *write = &mmio->writes[mmio->first_write];
                int r;

                mmio->first_write = write_at(mmio, 1);
                mmio->n_writes--;
                r = submit(mmio, write);
                if (r == 0)
                        return;
                mmio_config_changed(mmio);
        }
}

/* Its worker has answered. A value that it refuses has been taken back by the device. */
static void on_written(void *context, int error)
{
        struct virtio_mmio *mmio = context;

        if (error < 0)
                mmio_config_changed(mmio);
        submit_next(mmio);
}

bool mmio_config_write(struct virtio_mmio *mmio, uint32_t offset, unsigned len, const uint8_t *bytes)
{
        struct mmio_config_write write = {.offset = offset, .len = (uint8_t)len};
        int r;

        if (!is_natural(offset, len))
                return false;
        memcpy(write.bytes, bytes, len);
        r = submit(mmio, &write);
        if (r != -EBUSY)
                return r == 0;
        if (mmio->n_writes == LIMIT_MMIO_CONFIG_WRITES) {
                mmio_break(mmio, "its driver writes the configuration space faster than the device takes it");
                return false;
        }
        mmio->writes[write_at(mmio, mmio->n_writes)] = write;
        mmio->n_writes++;
        return true;
}
