/* A real device with a puppet worker (tests/core/world.h) on the bus of a VM: its guest reaches it by registers alone.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/core/world.h"
#include "tests/kvm/mmio_bus.h"

struct mmio_world {
        struct world world;
        struct mmio_bus bus;
};

/* On the bus, with the status 0. */
void mmio_world_init(struct mmio_world *mmio, unsigned n_lanes);
void mmio_world_done(struct mmio_world *mmio);

/* A driver starts from the beginning: reset, features, both queues, DRIVER_OK. */
void mmio_world_drive(struct mmio_world *mmio);
/* ... up to FEATURES_OK, with rings cleared. */
void mmio_world_negotiate(struct mmio_world *mmio);
/* A queue is in the device: the model's kicks go to what is tied to its notifications. */
void mmio_world_tie(struct mmio_world *mmio, unsigned queue);

/* One request of the queue is answered, and the interrupt that says so is there and is acknowledged. */
void mmio_world_request(struct mmio_world *mmio, unsigned queue);

/* DEVICE_NEEDS_RESET is there, with its interrupt; with a reset the device serves again. */
void mmio_world_is_broken(struct mmio_world *mmio);
