/* The bus of a VM for tests. Owns the interrupt and the kick descriptors that are tied. TRUST: it plays the VM and its
 * guest.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/mmio_bus.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static int kick_open(void *context, unsigned queue, int *ret_fd)
{
        struct mmio_bus *bus = context;

        if (bus->kick_error < 0)
                return bus->kick_error;
        assert_true(queue < LIMIT_QUEUES && bus->kicks[queue] < 0);
        bus->kicks[queue] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        assert_true(bus->kicks[queue] >= 0);
        bus->n_ties++;
        *ret_fd = bus->kicks[queue];
        return 0;
}

static void kick_close(void *context, unsigned queue, int fd)
{
        struct mmio_bus *bus = context;

        assert_true(queue < LIMIT_QUEUES && fd >= 0);
        assert_int_equal(bus->kicks[queue], fd);
        close(fd);
        bus->kicks[queue] = -1;
}

static void on_failed(void *context, const char *why)
{
        struct mmio_bus *bus = context;

        bus->n_failed++;
        snprintf(bus->why, sizeof(bus->why), "%s", why);
}

static void open_with(struct mmio_bus *bus, struct device *device, struct guest_memory *memory,
                      const struct virtio_mmio_host *more)
{
        struct virtio_mmio_host host = *more;

        host.context = bus;
        host.kick_open = kick_open;
        host.kick_close = kick_close;
        host.failed = on_failed;
        *bus = (struct mmio_bus){.device = device};
        for (unsigned i = 0; i < LIMIT_QUEUES; i++)
                bus->kicks[i] = -1;
        bus->irq = host.irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        assert_true(bus->irq >= 0);
        assert_int_equal(virtio_mmio_new(device, &host, memory, &bus->mmio), 0);
}

void bus_open(struct mmio_bus *bus, struct device *device, struct guest_memory *memory,
              const struct virtio_mmio_shm *shm, unsigned n_shm)
{
        open_with(bus, device, memory, &(struct virtio_mmio_host){.shm = shm, .n_shm = n_shm});
}

void bus_open_adding(struct mmio_bus *bus, struct device *device, struct guest_memory *memory,
                     uint64_t features)
{
        open_with(bus, device, memory, &(struct virtio_mmio_host){.features = features});
}

void bus_open_legacy(struct mmio_bus *bus, struct device *device, struct guest_memory *memory,
                     enum guest_format format)
{
        /* Bits that a transport may add are none of a legacy driver's. */
        open_with(bus, device, memory,
                  &(struct virtio_mmio_host){.format = format, .features = UINT64_C(1) << 33});
}

void bus_close(struct mmio_bus *bus)
{
        bus->mmio = virtio_mmio_free(bus->mmio);
        assert_int_equal(bus_n_tied(bus), 0);
        close(bus->irq);
}

uint64_t bus_access(struct mmio_bus *bus, uint64_t offset, unsigned len, bool write, uint64_t value)
{
        uint8_t bytes[8];
        uint64_t result = 0;

        for (unsigned i = 0; i < 8; i++)
                bytes[i] = (uint8_t)(write ? value >> (8 * i) : 0xcc);
        virtio_mmio_access(bus->mmio, offset, len, write, bytes);
        for (unsigned i = 0; i < len && i < 8; i++)
                result |= (uint64_t)bytes[i] << (8 * i);
        return result;
}

uint32_t bus_read(struct mmio_bus *bus, uint64_t offset)
{
        return (uint32_t)bus_access(bus, offset, 4, false, 0);
}

void bus_write(struct mmio_bus *bus, uint64_t offset, uint32_t value)
{
        (void)bus_access(bus, offset, 4, true, value);
}

uint64_t bus_refused(const struct mmio_bus *bus)
{
        struct virtio_mmio_counters counters;

        virtio_mmio_count(bus->mmio, &counters);
        return counters.refused;
}

bool bus_kick(struct mmio_bus *bus, unsigned queue)
{
        uint64_t one = 1;

        return bus->kicks[queue] >= 0 && write(bus->kicks[queue], &one, sizeof(one)) == sizeof(one);
}

unsigned bus_n_tied(const struct mmio_bus *bus)
{
        unsigned n = 0;

        for (unsigned i = 0; i < LIMIT_QUEUES; i++)
                n += bus->kicks[i] >= 0;
        return n;
}

uint64_t bus_interrupts(struct mmio_bus *bus)
{
        uint64_t n = 0;

        return read(bus->irq, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

uint64_t bus_offered(struct mmio_bus *bus)
{
        uint64_t features = 0;

        for (uint32_t i = 0; i < 2; i++) {
                bus_write(bus, VIRTIO_MMIO_DEVICE_FEATURES_SEL, i);
                features |= (uint64_t)bus_read(bus, VIRTIO_MMIO_DEVICE_FEATURES) << (32 * i);
        }
        return features;
}

static void add_status(struct mmio_bus *bus, uint32_t bit)
{
        bus_write(bus, VIRTIO_MMIO_STATUS, bus_read(bus, VIRTIO_MMIO_STATUS) | bit);
}

void bus_negotiate(struct mmio_bus *bus, uint64_t features)
{
        add_status(bus, VIRTIO_CONFIG_S_ACKNOWLEDGE);
        add_status(bus, VIRTIO_CONFIG_S_DRIVER);
        for (uint32_t i = 0; i < 2; i++) {
                bus_write(bus, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
                bus_write(bus, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> (32 * i)));
        }
        add_status(bus, VIRTIO_CONFIG_S_FEATURES_OK);
}

static void write_address(struct mmio_bus *bus, uint64_t low, gpa_t at)
{
        bus_write(bus, low, (uint32_t)at.v);
        bus_write(bus, low + 4, (uint32_t)(at.v >> 32));
}

void bus_set_up(struct mmio_bus *bus, unsigned queue, const struct queue_layout *layout)
{
        bus_write(bus, VIRTIO_MMIO_QUEUE_SEL, queue);
        bus_write(bus, VIRTIO_MMIO_QUEUE_NUM, layout->size);
        write_address(bus, VIRTIO_MMIO_QUEUE_DESC_LOW, layout->desc);
        write_address(bus, VIRTIO_MMIO_QUEUE_AVAIL_LOW, layout->avail);
        write_address(bus, VIRTIO_MMIO_QUEUE_USED_LOW, layout->used);
        bus_write(bus, VIRTIO_MMIO_QUEUE_READY, 1);
}

void bus_live(struct mmio_bus *bus)
{
        bus_write(bus, VIRTIO_MMIO_STATUS, STATUS_LIVE);
}
