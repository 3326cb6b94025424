/* What a device counts for its operator: things that went nowhere, or wrong, in the order of its type's `counters`
 * (proto/device_type.h). `bulkhead ps` shows them, over all workers of a device.
 *
 * They are told when they have changed, at most once in LIMIT_COUNT_MS: what a worker has counted in its last LIMIT_COUNT_MS
 * before it dies is not seen. A device that counts needs a row for clock_gettime in its run policy, as one that sets a time.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* Traps: its type has no such counter. */
void worker_count(unsigned counter, uint64_t n);

/* ---- for worker.c ---- */

void worker_count_init(unsigned n_counters);

/* Milliseconds until there is something to be told; -1: there is nothing. */
int worker_count_left(void);

/* Tells, if it is due. */
void worker_count_serve(void);
