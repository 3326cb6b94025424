/* The spawner's care for companions. Used by spawner.c and spawner_hold.c.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <poll.h>

#include "sandbox/spawner_device.h"

/* Which companion the device has; its uid is claimed by that. Called before uids are. */
void spawner_companion_choose(struct spawner *spawner, uint32_t device);

/* Its program, its command line, its folder. 0, or negative errno with a sentence in `why`. */
int spawner_companion_prepare(struct spawner *spawner, uint32_t device, const struct resource_owner *owner,
                              char *why, size_t why_size);

/* Starts what is due; whose companion comes anew, that worker is to be replaced, because its socket is dead. Negative errno:
 * the broker does not read. */
int spawner_companions_start(struct spawner *spawner, uint64_t now_ms);

/* Which have ended? Likewise. */
int spawner_companions_look(struct spawner *spawner, uint64_t now_ms);

/* When the next is due to be started, or to be listened to again; 0: none is. */
uint64_t spawner_companions_due(const struct spawner *spawner, uint64_t now_ms);

/* Their words: what to poll, at most LIMIT_DEVICES; and after that, who has said something. */
unsigned spawner_companions_poll(const struct spawner *spawner, uint64_t now_ms, struct pollfd *ret_pfds);
void spawner_companions_listen(struct spawner *spawner, uint64_t now_ms, const struct pollfd *pfds,
                               unsigned n);

void spawner_companions_end(struct spawner *spawner);
