/* The judge of descriptor chains: the one place where descriptors are read, direct and indirect.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/core/chain.h"
#include "broker/core/queue.h"

/* Walks the chain that starts at `head` (inside the ring) of a started queue and fills all of *chain but its
 * owner's fields. Returns QUEUE_FAULT_NONE, or why this chain breaks the queue; *chain is then undefined. */
enum queue_fault queue_walk(const struct queue *queue, uint16_t head, struct chain *chain);
