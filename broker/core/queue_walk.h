/* The judge of descriptor chains: the one place where descriptors are read, direct and indirect, split and packed.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/core/chain.h"
#include "broker/core/queue.h"

/* What a walk may also return: bytes of the chain are not translated yet, and queue->miss says which. It has found no mistake in
 * those that it could see; what is behind an indirect table that is missing it has not seen. */
#define QUEUE_WALK_MISSING QUEUE_FAULT_COUNT_

/* Walks the chain that starts at `head` (inside the ring) of a started queue and fills all of *chain but its
 * owner's fields. Returns QUEUE_FAULT_NONE, or why this chain breaks the queue; *chain is then undefined. Of one with missing
 * bytes it has the segments that were seen. */
enum queue_fault queue_walk(struct queue *queue, uint16_t head, struct chain *chain);
/* The same where ring and tables are big endian (virtio 1.3, 2.7.3). */
enum queue_fault queue_walk_big(struct queue *queue, uint16_t head, struct chain *chain);

/* The same for a packed queue: the chain at the place that is next, whose first descriptor had these flags when
 * it was found available. `room`: how many descriptors of the ring can be the driver's to give. *ret_taken: how
 * many the chain has. The head is the buffer id of the last of them, not judged yet. */
enum queue_fault queue_walk_packed(struct queue *queue, uint16_t flags, uint32_t room, struct chain *chain,
                                   uint16_t *ret_taken);
