/* What the author of a device works with that walks its own rings (`memory: {raw: ...}`): guest memory by address, inside of one
 * window. There is none for any other; and none but while a kick is held.
 *
 * A kick is a request of a ring's queue, without bytes. device_ops.handle gets it, looks into the ring, and in the end says how far it
 * has come (walk_taken) and completes it, which is the guest's interrupt. At most one a queue is held; whatever the guest posts
 * meanwhile, it kicks again for, as long as the ring's flags do not ask it not to. So one look a kick is enough.
 *
 * What lies there is the guest's, at any moment: judge copies. An address outside of the window is our end, so ask walk_reaches of all
 * that a guest has chosen, before.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/control.h"
#include "workers/runtime/request.h"

/* Is there a window? From init on. */
bool walk_is_on(void);

/* Does all of this lie in it? len > 0. */
bool walk_reaches(uint64_t at, uint32_t len);

/* Reads 1 to LIMIT_MEM_SEGMENTS ranges, by one question, into `buf`, one behind the other. They are read in their order, and 2, 4 or 8
 * bytes that are aligned so by one load. 0, or negative errno: some of it is not there. Other requests may come meanwhile. */
struct walk_range {
        uint64_t at;
        uint32_t len;
};
int walk_read(struct request *kick, const struct walk_range *ranges, uint32_t n, void *buf);

/* Writes 1 to OUTBOX_PIECE bytes, behind all that was written before, and likewise by one store. Gathered, and sent when the kick is
 * completed at the latest. What is not there breaks the device. */
void walk_write(struct request *kick, uint64_t at, const void *bytes, uint32_t len);

/* The next available index of its ring: what a front end is told at a stop, and a successor when it starts. */
void walk_taken(struct request *kick, uint16_t next);

/* ---- for worker.c ---- */

void walk_init(const struct control_configure *configure);
