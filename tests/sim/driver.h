/* The guest's driver: split rings as the specification wants them (virtio 1.3, 2.7), and now and then as it
 * does not.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/sim/sim_device.h"

/* Eventfds of all queues; after that only driver_reset is needed to begin anew. */
void driver_init(struct sim_device *dev);
void driver_done(struct sim_device *dev);

/* Forgets all rings and clears them. Everything that was posted must have been explained. */
void driver_reset(struct sim_device *dev);
/* Sets up the rings for what was agreed; nothing is posted yet. */
void driver_begin(struct sim_device *dev, uint64_t features);

/* One turn of the virtual CPU. True: it did something. */
bool driver_step(struct sim_device *dev);

/* As the ring says. */
uint16_t driver_used_index(const struct sim_device *dev, unsigned queue);

/* Has the device written where only the driver may? */
void driver_check(const struct sim_device *dev);
