/* Direct copy the other way: bytes that a worker has put into the places of requests go to guest memory by one system call
 * for all of a frame, and nothing is shared.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "broker/core/direct_copy.h"

/* The first len[i] bytes of each writable part have been put into its place: they go to the guest. direct_may_fetch has been
 * asked. 0: they are there, or, where the guest's memory is gone, their request is marked as faulted. -ESRCH: the worker is
 * gone, -EIO: it has no memory there, and is at fault; what has landed until then stays. */
int direct_fetch(struct direct_copy *direct, const struct guest_memory *memory,
                 struct request *const *requests, const uint32_t *len, size_t n);
