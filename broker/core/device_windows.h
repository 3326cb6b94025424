/* A device that reaches guest memory through windows alone (`memory: {windows: ...}`).
 *
 * Its lanes see a view of memory in which nothing else is (guest_memory_confine): walks, copies and rings are held to it, and so is
 * what an IOMMU translates. A queue whose driver posts what lies outside, in whole or in part, breaks.
 *
 * Owned by a device (device_state.h); on the main thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "broker/core/guest_memory.h"
#include "broker/core/queue.h"

struct admin_windows;
struct device_memory;
struct interval_map;

struct device_windows {
        struct interval_map *map; /* NULL: it has none, and reaches all that its driver posts */
        uint64_t bytes;           /* of all of them */
        bool raw;                 /* there is one, and the worker reaches all of it by address (lane_raw.h) */
        uint64_t n_refused;       /* queues that have been refused for what lies outside, since it began */
        char text[256];           /* all of them, for the log: first and last addresses */
};

/* Of a judged configuration. 0 or -ENOMEM. Done accepts one that is all zeros. */
int device_windows_init(struct device_windows *windows, const struct device_memory *memory);
void device_windows_done(struct device_windows *windows);

/* What the device sees of this memory, as a reference; NULL of NULL. -ENOMEM, -E2BIG: then it must see nothing. */
int device_windows_view(const struct device_windows *windows, struct guest_memory *memory,
                        struct guest_memory **ret_view);

/* A queue was broken by a buffer outside, or is refused for rings there; the latter only if they are. Counts and tells it. */
void device_windows_refuse(struct device_windows *windows, const char *device, unsigned queue,
                           const struct segment *outside);
void device_windows_refuse_ring(struct device_windows *windows, const char *device, unsigned queue,
                                const struct queue_layout *layout, bool packed);

void device_windows_status(const struct device_windows *windows, struct admin_windows *ret_status);
