/* The bus of a VM for tests: what virtio-mmio needs of its VM, and a driver's accesses, whose register names are those of
 * the kernel's header. Eventfds stand for ioeventfd and irqfd.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "broker/kvm/virtio_mmio.h"

#define STATUS_DRIVER      (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define STATUS_FEATURES_OK (STATUS_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define STATUS_LIVE        (STATUS_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)
#define NEEDS_RESET        VIRTIO_CONFIG_S_NEEDS_RESET

struct mmio_bus {
        struct virtio_mmio *mmio;
        struct device *device;
        int irq;
        int kicks[LIMIT_QUEUES]; /* tied now; -1: not */
        int kick_error;          /* what the next kick_open returns */
        unsigned n_ties, n_failed;
        char why[128]; /* of the last failure */
};

void bus_open(struct mmio_bus *bus, struct device *device, struct guest_memory *memory,
              const struct virtio_mmio_shm *shm, unsigned n_shm);
/* A VM that adds feature bits of its transport to what the device offers. */
void bus_open_adding(struct mmio_bus *bus, struct device *device, struct guest_memory *memory,
                     uint64_t features);
/* The legacy interface, of a guest with this order. */
void bus_open_legacy(struct mmio_bus *bus, struct device *device, struct guest_memory *memory,
                     enum guest_format format);
/* Nothing stays tied. */
void bus_close(struct mmio_bus *bus);

uint64_t bus_access(struct mmio_bus *bus, uint64_t offset, unsigned len, bool write, uint64_t value);
uint32_t bus_read(struct mmio_bus *bus, uint64_t offset);
void bus_write(struct mmio_bus *bus, uint64_t offset, uint32_t value);
uint64_t bus_refused(const struct mmio_bus *bus);

/* The eventfd of a notification, as ioeventfd signals it; false: none is tied. */
bool bus_kick(struct mmio_bus *bus, unsigned queue);
unsigned bus_n_tied(const struct mmio_bus *bus);

/* Interrupts since the last look: a count that is zero or not. */
uint64_t bus_interrupts(struct mmio_bus *bus);

/* A driver's steps (virtio 1.3, 3.1.1). bus_negotiate ends behind FEATURES_OK, whether that was taken or not. */
uint64_t bus_offered(struct mmio_bus *bus);
void bus_negotiate(struct mmio_bus *bus, uint64_t features);
void bus_set_up(struct mmio_bus *bus, unsigned queue, const struct queue_layout *layout);
void bus_live(struct mmio_bus *bus);
