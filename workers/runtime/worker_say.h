/* What a device says to its broker without being asked: that its config space has changed, and what its successor must know.
 * Both have a rate beyond which the broker ends the worker (proto/base/limits.h, LIMIT_CONTROL_): changes that somebody else
 * can cause are told together, by a time (worker_watch.h).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/control.h"
#include "workers/runtime/link.h"

/* A field of Hello has this value from now on; the guest is told with worker_config_push. Traps: there is no such field, or it
 * is too narrow. */
void worker_config_set(uint32_t field, uint64_t value);
uint64_t worker_config_get(uint32_t field);

/* The guest reads what has been set, and is told that something has changed. */
void worker_config_push(void);

/* LIMIT_STATE_BYTES at most: what restore_state of a successor will be given, until it is said anew. A device reset drops
 * it. */
void worker_state_put(const void *bytes, size_t len);

/* ---- for worker.c ---- */

/* After Hello; both are borrowed for good. */
void worker_say_init(struct link *control, struct control_hello *hello);

/* Of worker_count.h. */
void worker_say_counts(const uint64_t *counters, unsigned n);
