/* What a front end does to a device: starts and stops of queues, changes of memory, resets, config writes.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/sim/sim_device.h"

/* Chooses what to do next by the odds. False: nothing now. */
bool disturb_choose(struct sim_device *dev);
void disturb_do(struct sim_device *dev);

void disturb_start(struct sim_device *dev, unsigned queue, uint16_t base);
void disturb_reset(struct sim_device *dev, bool reconnect);

/* Memory that is gone comes back, queues that are suspended go on. */
bool disturb_must_restart(const struct sim_device *dev);
void disturb_restart(struct sim_device *dev);

/* Has a stop forgotten requests? Then only a reset helps the driver. */
bool disturb_gave_up(const struct sim_device *dev);

/* front.c */
void disturb_attach(struct sim_device *dev);
