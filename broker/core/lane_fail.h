/* A lane whose device will get no worker any more, and whose type has an error that the broker can compose:
 * every request is answered with it at once, so that the guest sees errors and not a device that hangs.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct lane;

/* From now on, what is outstanding and what comes is answered with zeros and, at the end of its writable
 * bytes, `tail` (1 or more bytes, which must outlive this). No worker may be attached; lane_attach ends it.
 * A queue that starts later is held until lane_queue_release, as ever: after a device reset its requests wait
 * for the new worker. */
void lane_fail_begin(struct lane *lane, const uint8_t *tail, uint32_t len);
void lane_fail_end(struct lane *lane);

/* Answers a bounded number; lane->again says that there is more: call lane_turn again, a little later. */
void lane_fail_turn(struct lane *lane);
