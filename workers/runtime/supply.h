/* What the author of a device with supply queues works with: the buffers that the guest has lent, in the order in which it
 * lent them. They are requests like others (request.h), with a writable part as a rule; the runtime keeps them, and a device
 * takes the next one when it has bytes for it:
 *
 *     while (bytes are there && (request = supply_first(queue))) {
 *             p = request_reserve(request, n); fill p;
 *             request_complete(request, 0, n);
 *     }
 *
 * to be done when bytes have come, and when buffers have (device_ops.supplied). A device must not keep a request of a
 * supply queue over its return to the runtime, but by supply_first: a queue that is to stop is taken away
 * (device_ops.recalled), in between. What has been written to a buffer that was not completed then, the guest never sees.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

struct request;

/* The oldest that has not been completed. NULL: there is none. */
struct request *supply_first(uint32_t queue);

/* The one behind it. NULL: it is the youngest. */
struct request *supply_next(const struct request *request);

/* How many there are. */
uint32_t supply_count(uint32_t queue);

/* ---- for the runtime ---- */

void supply_add(struct request *request);
void supply_remove(struct request *request); /* nothing happens if it was not added */
