/* Streams that are connected to somebody's socket and outlive workers. A peer that goes away comes back some time: the spawner
 * sees its end, and connects again, at once, then later and later (LIMIT_PEER_MIN_MS to LIMIT_PEER_MAX_MS). Meanwhile workers
 * have the dead stream, by which they know that the cable is out; the one that runs when the peer is there again is replaced
 * by one that has the new stream. A worker that cannot go on with a stream (it is out of step) shuts it down, and that is an end
 * like any other.
 *
 * Used by spawner.c.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <poll.h>

#include "sandbox/spawner_device.h"

/* What to poll, at most LIMIT_WORKERS; and after that, whose peer has gone. */
unsigned spawner_peers_poll(const struct spawner *spawner, struct pollfd *ret_pfds);
void spawner_peers_look(struct spawner *spawner, const struct pollfd *pfds, unsigned n, uint64_t now_ms);

/* When the next is to be tried again; 0: all are there. */
uint64_t spawner_peers_due(const struct spawner *spawner);

/* Tries those that are due. Negative errno: the broker does not read. */
int spawner_peers_connect(struct spawner *spawner, uint64_t now_ms);
