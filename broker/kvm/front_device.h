/* One device of a VM of our own: its registers on the bus, its interrupt and its doorbells.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "broker/core/device.h"
#include "broker/kvm/bus.h"
#include "broker/kvm/calls.h"
#include "broker/kvm/front_memory.h"
#include "broker/kvm/virtio_mmio.h"
#include "broker/kvm/vm.h"

/* Where it stands; all outlive it. */
struct front_place {
        struct kvm_vm *vm;
        struct kvm_bus *bus;
        struct kvm_calls *calls;
        struct front_memory *memory;
        unsigned index; /* of the device in the configuration */
        bool refuses;   /* buffers of other devices in its regions */
        bool confined;  /* it is held to windows of memory: its guest must use its DMA API to keep to them */
        enum guest_format format;
        uint64_t address; /* of its registers */
        uint32_t gsi;
};

struct front_device {
        struct front_place place;
        struct device *device; /* NULL: it stands nowhere */
        struct virtio_mmio *mmio;
        int irq_fd;
        struct virtio_mmio_shm shm[LIMIT_SHMEM_REGIONS]; /* the first n_shm count */
        unsigned n_shm;
};

/* Puts a ready device on the bus; before the first vCPU runs. 0 or negative errno: nothing is left but, on the bus, a
 * range that answers nothing. */
int front_device_open(struct front_device *front, struct device *device, const struct front_place *place);

/* Takes it off; no vCPU runs any more. Nothing happens to one that was never opened. */
void front_device_close(struct front_device *front);

/* Says what it has counted, where its guest has used it. */
void front_device_log(const struct front_device *front);
