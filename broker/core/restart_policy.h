/* When may the next incarnation of a worker start? Pure: a struct, and functions of it and of the time.
 *
 * The first restart after a quiet while is at once, so that a crash costs its guest next to nothing. Whoever
 * keeps dying without having done anything backs off and ends in quarantine; whoever keeps dying after having
 * done something is restarted for ever, but never sooner than LIMIT_RESTART_MS after its predecessor: a
 * worker that completes one request and dies must not make us fork as fast as we can. Resets are nobody's
 * fault and have a rate of their own.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Zeroed: nothing has happened yet. All times in milliseconds of one clock that never goes back. */
struct restart_policy {
        uint64_t next_start_ms; /* no start before this */
        uint64_t next_reset_ms; /* no start because of a reset before this */
        uint32_t barren;        /* incarnations in a row that did nothing */
};

/* One was started. */
void restart_policy_started(struct restart_policy *policy, uint64_t now_ms);

/* The last one did something useful, or the guest wants a fresh beginning: the count of barren ones is 0. */
void restart_policy_clear(struct restart_policy *policy);

/* One has died, or (not `existed`) could not even be started. True: the next one may start in *ret_wait_ms.
 * False: no more of these. */
bool restart_policy_died(struct restart_policy *policy, uint64_t now_ms, bool existed, uint64_t *ret_wait_ms);

/* One was ended by a reset of its device. Returns how long the next one must wait. */
uint64_t restart_policy_reset(struct restart_policy *policy, uint64_t now_ms);
