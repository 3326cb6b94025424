/* The front end of a simulated device: what a session would make it do, and what it does by chance. All of it
 * runs on the broker's main thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <uv.h>

#include "tests/sim/sim_device.h"

/* Makes the devices and their spawner's channel. */
void front_start(uv_loop_t *loop);
/* Ends everything; the loop has no handle left some turns later. */
void front_end(void);
bool front_ended(void);

/* Does it want its turn? A step of the schedule, on no thread. */
bool front_wants(struct sim_device *dev);
uint64_t front_next_wake_ms(const struct sim_device *dev); /* UINT64_MAX: by nothing but chance */
/* A turn, on the main thread. */
void front_step(struct sim_device *dev);

/* What a run ends with: everything is served that can be, or reset. True: nothing is outstanding. */
bool front_settled(const struct sim_device *dev);
