/* One device's process, as the spawner sees it. Used by spawner.c and spawner_init.c.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/spawn.h"
#include "sandbox/spawner.h"

/* The row of worker `i`, which is below n_workers. */
const struct device_config *spawner_worker(const struct spawner *spawner, uint32_t i);

/* One frame to the broker with descriptors beside it; never blocks. Negative errno: the broker does not read
 * or is gone. */
int spawner_send(const struct spawner *spawner, const struct spawn_to_broker *message, const int *fds,
                 unsigned n_fds);

/* Reads what signals have come: of children, to be looked at later; or the operator's wish. In spawner.c. */
void spawner_take_signals(struct spawner *spawner);

/* What the broker asked for. What goes wrong with the device itself is told to the broker and is no error
 * here; negative errno: the broker broke the protocol (-EPROTO) or does not read. */
int spawner_device_spawn(struct spawner *spawner, uint32_t device);
int spawner_device_reap(struct spawner *spawner, uint32_t device);

/* Makes and removes a control group like the device's: can its limits be had here? Its own may be in use: whether this
 * VM runs already is not known yet. 0, or negative errno with `why` (without the device's name). */
int spawner_device_try_limits(const struct spawner *spawner, uint32_t device, char *why, size_t why_size);

/* What outlives its workers is new: one that runs has what is dead, and the broker is asked to replace it. Negative errno: the
 * broker does not read. */
int spawner_device_renewed(const struct spawner *spawner, uint32_t device);

/* Has the process ended? Then tells the broker, once, and keeps the zombie. */
int spawner_device_look(struct spawner *spawner, uint32_t device);

/* Lets every worker and companion that stands before us as its tracer go on; tells nobody. */
void spawner_device_serve_all(struct spawner *spawner);

/* Kills and reaps, whatever the state; LIMIT_KILL_MS at most. */
void spawner_device_end(struct spawner *spawner, uint32_t device);

/* Capabilities that the spawner keeps for its life, and nothing more in any set. 0 or negative errno. */
int spawner_keep_rights(void);
