/* A real device on the bus of a VM. Owns both. TRUST: it plays guest, VM and worker.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/mmio_world.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/supervisor.h"

#define QUEUES 2u

void mmio_world_init(struct mmio_world *mmio, unsigned n_lanes)
{
        world_init(&mmio->world, n_lanes);
        device_attach(mmio->world.device, NULL);
        world_until(&mmio->world, world_state(&mmio->world) == WORKER_SERVING);
        bus_open(&mmio->bus, mmio->world.device, mmio->world.guest.memory, NULL, 0);
}

void mmio_world_done(struct mmio_world *mmio)
{
        bus_close(&mmio->bus);
        world_done(&mmio->world);
}

void mmio_world_negotiate(struct mmio_world *mmio)
{
        bus_write(&mmio->bus, VIRTIO_MMIO_STATUS, 0);
        assert_int_equal(bus_read(&mmio->bus, VIRTIO_MMIO_STATUS), 0);
        for (unsigned i = 0; i < QUEUES; i++)
                model_queue_reset(&mmio->world.guest, i);
        bus_negotiate(&mmio->bus, world_features(&mmio->world));
        assert_int_equal(bus_read(&mmio->bus, VIRTIO_MMIO_STATUS), STATUS_FEATURES_OK);
}

void mmio_world_tie(struct mmio_world *mmio, unsigned queue)
{
        struct model_queue *model = &mmio->world.guest.queues[queue];

        assert_true(mmio->bus.kicks[queue] >= 0);
        assert_int_equal(dup3(mmio->bus.kicks[queue], model->kick, O_CLOEXEC), model->kick);
        model->event_idx = true; /* world_features */
}

void mmio_world_drive(struct mmio_world *mmio)
{
        mmio_world_negotiate(mmio);
        for (unsigned i = 0; i < QUEUES; i++)
                bus_set_up(&mmio->bus, i, &mmio->world.guest.queues[i].layout);
        bus_live(&mmio->bus);
        for (unsigned i = 0; i < QUEUES; i++)
                mmio_world_tie(mmio, i);
}

void mmio_world_request(struct mmio_world *mmio, unsigned queue)
{
        world_post(&mmio->world, queue, 100);
        world_until(&mmio->world, world_answered(&mmio->world, queue));
        world_until(&mmio->world, bus_read(&mmio->bus, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_VRING);
        world_until(&mmio->world, bus_interrupts(&mmio->bus) > 0);
        bus_write(&mmio->bus, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
}

void mmio_world_is_broken(struct mmio_world *mmio)
{
        world_until(&mmio->world, bus_read(&mmio->bus, VIRTIO_MMIO_STATUS) & NEEDS_RESET);
        assert_int_equal(bus_read(&mmio->bus, VIRTIO_MMIO_STATUS), STATUS_LIVE | NEEDS_RESET);
        assert_true(bus_read(&mmio->bus, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
        assert_true(bus_interrupts(&mmio->bus) > 0);
        mmio_world_drive(mmio);
        for (unsigned i = 0; i < QUEUES; i++)
                mmio_world_request(mmio, i);
        assert_int_equal(bus_read(&mmio->bus, VIRTIO_MMIO_STATUS), STATUS_LIVE);
}
