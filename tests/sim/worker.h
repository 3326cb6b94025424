/* The fake worker of a simulated device: a process without a process. It obeys the protocol, in any order and
 * in pieces of any size, until the odds want it to do otherwise.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/sim/sim_device.h"

void worker_init(struct sim_device *dev);
void worker_done(struct sim_device *dev);

/* A new incarnation. ret_fds: the broker's ends of control and lanes (in and out of each), then the pidfd's stand-in.
 * Returns how many these are. */
unsigned worker_spawn(struct sim_device *dev, int *ret_fds);

/* SIGKILL, from the broker or from anywhere. It does nothing any more, and is gone a little later. */
void worker_kill(struct sim_device *dev);

/* One turn. True: it did something. */
bool worker_step(struct sim_device *dev);

/* When it would do something by itself; UINT64_MAX: never. */
uint64_t worker_next_wake_ms(const struct sim_device *dev);

/* What it holds is forgotten: a hung one is hung no more. */
void worker_heal(struct sim_device *dev);

/* ---- worker_control.c ---- */
bool control_step(struct sim_device *dev);
void control_push_config(struct sim_device *dev);

/* ---- worker_lane.c, worker_answer.c ---- */
bool lane_step(struct sim_device *dev, unsigned lane);
void lane_reset(struct sim_lane *lane, struct fd_duplex ends); /* takes the ends */
/* More has been promised on it, nothing has come yet, and nothing is owed: its worker looks at nothing else. */
bool lane_is_asleep(const struct sim_lane *lane);
/* One of what it holds is answered, or some of it. True: something was said. */
bool lane_answer(struct sim_device *dev, unsigned lane);
/* All of this queue that it holds goes back unused. */
void lane_give_back(struct sim_device *dev, struct sim_lane *lane, uint32_t queue);
void lane_answer_read(struct sim_device *dev, struct sim_lane *lane, const struct lane_mem_read_reply *reply,
                      const uint8_t *payload);
/* Says something that kills it. */
void lane_offend(struct sim_device *dev, unsigned lane);
/* Forgets entry i. */
void lane_drop_held(struct sim_lane *lane, unsigned i);
