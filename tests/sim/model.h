/* The model: what must become of each request, and whether it did.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/sim/sim_device.h"

/* Keys of the bytes: what the guest puts into a request, and what an incarnation answers. */
uint64_t key_of_guest(const struct posting *posting);
uint64_t key_of_worker(const struct posting *posting, unsigned incarnation);

/* A free record; NULL: none. */
struct posting *posting_new(struct sim_device *dev);
/* ... that was not posted after all. */
void posting_unmake(struct sim_device *dev, struct posting *posting);
/* Its buffers go back to their cells. */
void posting_free(struct sim_device *dev, struct posting *posting);

/* One row of a Requests message, as a worker sees it. Judges order, attempt and must_fail. */
struct sight {
        unsigned lane;
        uint64_t id;
        uint32_t queue, readable, writable, inlined, attempt, must_fail;
};
struct posting *model_sight(struct sim_device *dev, const struct sight *sight);

/* May its bytes be out of the broker's reach? Memory under it went away; or its translations, while its ring is broken or may be, and
 * so nobody waits for them. */
bool model_is_shaky(const struct sim_device *dev, const struct posting *posting);

/* The guest has found a used element. */
void model_used(struct sim_device *dev, unsigned queue, uint32_t head, uint32_t len);

/* The device says that a queue is stopped. */
void model_stopped(struct sim_device *dev, unsigned queue, uint16_t base);
/* ... and started. */
void model_started(struct sim_device *dev, unsigned queue, uint16_t base);
void model_broken(struct sim_device *dev, unsigned queue);

/* Nothing that was posted on this queue will be answered any more. */
void model_explain(struct sim_device *dev, unsigned queue);

/* Does the broker itself fail every request, having lost the last worker? */
bool model_fails_all(const struct sim_device *dev);

/* The used index of a queue that is stopped or broken stays where it is. */
void model_freeze(struct sim_device *dev, unsigned queue);
void model_check_frozen(struct sim_device *dev, unsigned queue);
