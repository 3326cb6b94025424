/* One chain of the driver's: buffers in cells, descriptors in the ring or in a table of their own.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/sim/sim_device.h"

/* Makes the next chain of a queue and writes its descriptors; not yet in the available ring. NULL: no room.
 */
struct posting *chain_make(struct sim_device *dev, unsigned queue);

/* What goes into the available ring: its head, or nonsense. */
uint16_t chain_published_head(struct sim_device *dev, struct posting *posting);

/* The descriptors of this head are free again. */
void chain_give_back(struct sim_queue *queue, uint16_t head);

/* driver.c: writes one descriptor (16 bytes) into the ring's table. */
void driver_put_descriptor(struct sim_device *dev, unsigned queue, unsigned index, const void *descriptor);
