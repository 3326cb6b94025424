/* One device of a VM of our own: its place on the bus.
 * Owns the device's interrupt eventfd and its register file. Called by kvm_front.c, and by vCPU threads through the
 * bus. TRUST: offsets and bytes are the guest's: virtio_mmio.c judges them, on the main thread.
 *
 * How it works: the two registers that each interrupt costs are served where the vCPU is; any other access is carried
 * to the main thread (calls.h). A kick is an eventfd of the queue, which the kernel signals without an exit; an
 * interrupt is an eventfd too, which the lane writes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/front_device.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/eventfd.h>

#include "broker/core/features.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define QUEUE_NOTIFY 0x50u /* virtio 1.3, 4.2.2 */

struct access {
        struct front_device *front;
        uint64_t offset;
        uint32_t len;
        bool write;
        uint8_t bytes[8];
};

static void call_access(void *argument)
{
        struct access *access = argument;

        virtio_mmio_access(access->front->mmio, access->offset, access->len, access->write, access->bytes);
}

/* A vCPU's thread. At the end nobody serves any more: the access reads as all ones, and the vCPU is leaving. */
static void on_access(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes)
{
        struct access access = {.front = context, .offset = offset, .len = len, .write = write};
        struct front_device *front = context;

        if (len > sizeof(access.bytes))
                return;
        if (write)
                memcpy(access.bytes, bytes, len);
        if (!virtio_mmio_fast(front->mmio, offset, len, write, access.bytes) &&
            !kvm_calls_make(front->place.calls, call_access, &access))
                return;
        if (!write)
                memcpy(bytes, access.bytes, len);
}

static int on_kick_open(void *context, unsigned queue, int *ret_fd)
{
        struct front_device *front = context;
        const uint64_t match = queue;
        _cleanup_close_ int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        int r;

        if (fd < 0)
                return -errno;
        r = kvm_vm_ioeventfd(front->place.vm, front->place.address + QUEUE_NOTIFY, sizeof(uint32_t), &match,
                             fd, true);
        if (r < 0)
                return r;
        *ret_fd = take_fd(&fd);
        return 0;
}

static void on_kick_close(void *context, unsigned queue, int fd)
{
        struct front_device *front = context;
        const uint64_t match = queue;
        int r = kvm_vm_ioeventfd(front->place.vm, front->place.address + QUEUE_NOTIFY, sizeof(uint32_t),
                                 &match, fd, false);

        if (r < 0)
                log_error("a doorbell stays tied dev=%s queue=%u: %s", device_name(front->device), queue,
                          strerror(-r));
        cleanup_close(&fd);
}

static void on_failed(void *context, const char *why)
{
        const struct front_device *front = context;

        log_limited(LOG_LEVEL_WARNING, "the device is broken until its driver resets it dev=%s: %s",
                    device_name(front->device), why);
}

/* ---- shared memory regions ---- */

/* There, or not: nothing of it takes time. The device says what it does not get; what the operator can do about it is known here. */
static bool on_shmem_show(void *context, struct shmem_mapping *mapping)
{
        const struct front_device *front = context;
        int r = front_memory_show(front->place.memory, front->place.index, mapping);

        if (r == 0)
                return true;
        if (r == -E2BIG)
                log_limited(
                    LOG_LEVEL_WARNING,
                    "the VM has no memory slot left dev=%s: lower `mappings` in shmem_limits of its devices",
                    device_name(front->device));
        device_shmem_shown(front->device, mapping, r);
        return false;
}

static void on_shmem_hide(void *context, struct shmem_mapping *mapping)
{
        const struct front_device *front = context;

        front_memory_hide(front->place.memory, mapping);
}

/* ---- life ---- */

/* That the guest's DMA API is to be used, and nothing that a worker is told, or that means translations. */
static uint64_t transport_bits(const struct device *device, const struct front_place *place)
{
        return place->confined || device_is_behind(device) ? FEATURE_BIT(VIRTIO_F_ACCESS_PLATFORM_BIT) : 0;
}

/* The device has its memory, and its mappings are shown, when this returns. */
static int front_attach(struct front_device *front)
{
        const struct front_place *place = &front->place;
        const struct virtio_mmio_host host = {.context = front,
                                              .kick_open = on_kick_open,
                                              .kick_close = on_kick_close,
                                              .irq_fd = front->irq_fd,
                                              .failed = on_failed,
                                              .features = transport_bits(front->device, place),
                                              .translated = device_is_behind(front->device),
                                              .shm = front->shm,
                                              .n_shm = front->n_shm,
                                              .shmem_show = on_shmem_show,
                                              .shmem_hide = on_shmem_hide,
                                              .format = place->format};
        int r;

        front_memory_join(place->memory, place->index, front->device, place->refuses);
        r = virtio_mmio_new(front->device, &host, front_memory_of(place->memory, place->index), &front->mmio);
        if (r < 0)
                front_memory_leave(place->memory, place->index);
        return r;
}

static void front_detach(struct front_device *front)
{
        front->mmio = virtio_mmio_free(front->mmio);
        front_memory_leave(front->place.memory, front->place.index);
}

int front_device_open(struct front_device *front, struct device *device, const struct front_place *place)
{
        int irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), r;

        if (irq_fd < 0)
                return -errno;
        *front = (struct front_device){.place = *place, .device = device, .irq_fd = irq_fd};
        front->n_shm = front_memory_regions(place->memory, place->index, front->shm);
        for (unsigned i = 0; i < front->n_shm; i++)
                device_place_region(device, front->shm[i].id, front->shm[i].base);
        r = kvm_vm_irqfd(place->vm, place->gsi, irq_fd, true);
        if (r < 0)
                goto close_irq;
        r = front_attach(front);
        if (r < 0)
                goto untie_irq;
        r = kvm_bus_add(place->bus, KVM_SPACE_MMIO, place->address, KVM_DEVICE_REGISTERS, device_name(device),
                        on_access, front);
        if (r < 0)
                goto free_mmio;
        return 0;

free_mmio:
        front_detach(front);
untie_irq:
        (void)kvm_vm_irqfd(place->vm, place->gsi, irq_fd, false);
close_irq:
        cleanup_close(&front->irq_fd);
        *front = (struct front_device){.irq_fd = -1};
        return r;
}

void front_device_close(struct front_device *front)
{
        if (!front->device)
                return;
        front_detach(front);
        (void)kvm_vm_irqfd(front->place.vm, front->place.gsi, front->irq_fd, false);
        cleanup_close(&front->irq_fd);
        *front = (struct front_device){.irq_fd = -1};
}

void front_device_log(const struct front_device *front)
{
        struct virtio_mmio_counters counters;

        if (!front->device)
                return;
        virtio_mmio_count(front->mmio, &counters);
        log_info("dev=%s accesses=%" PRIu64 " interrupts=%" PRIu64 " kick_exits=%" PRIu64 " refused=%" PRIu64
                 " resets=%" PRIu64,
                 device_name(front->device), counters.accesses, counters.interrupt_acks, counters.notifies,
                 counters.refused, counters.resets);
}
