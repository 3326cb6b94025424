/* A part of a ring (descriptor table, available ring, used ring; a packed ring) as one piece of this process' address space, wherever
 * its pages are translated to.
 *
 * How it works: where the pages lie one behind the other here anyway, that is all. Where they do not, because a driver's DMA API has
 * found them here and there or because they are of two regions, each is mapped once more, in the ring's order, into a range that
 * was reserved for that. Such a view shows the same bytes of the same files: what is truncated faults in it, too, and is met
 * by the same fault-safe loads and stores.
 *
 * A view belongs to one queue and thread. It is used while the queue has its rings, and at no other time is it there. With each
 * snapshot of memory it is looked whether the same pages of the same memory are wanted again, as when a driver maps and unmaps
 * its buffers one by one: then nothing is mapped anew. Else it goes before the queue goes on.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/core/gpa.h"
#include "proto/base/limits.h"

/* Of the longest part, 16 bytes a descriptor, which need not begin where a page does. */
#define RING_VIEW_PAGES (16u * LIMIT_RING_SIZE / LIMIT_IOTLB_PAGE + 1)

struct guest_mapping;
struct guest_memory;

struct ring_view {
        struct guest_mapping *window; /* NULL: nothing is mapped, and then nothing else is said here */
        struct guest_memory
            *below; /* what the pages are in; a reference, so that they are no others' meanwhile */
        unsigned n_pages;
        uint64_t pages[RING_VIEW_PAGES]; /* where that has them in this process */
        uint64_t n_made;                 /* mappings made, in all its life */
};

/* The bytes of [at, at + len), which `memory` has with the right to read and, with `write`, to write; as guest_memory_ring where that
 * finds them, and in translated memory by a view where not. NULL: neither, and the view is gone: in plain memory; where there
 * may be holes; where pages are longer than LIMIT_IOTLB_PAGE, of private memory, or lie otherwise in this process' pages than in
 * the guest's; without memory. len: at most 16 x LIMIT_RING_SIZE; align: a power of two, at most LIMIT_IOTLB_PAGE. */
void *ring_view_enter(struct ring_view *view, const struct guest_memory *memory, gpa_t at, uint64_t len,
                      uint64_t align, bool write);

/* Unmaps what is mapped. */
void ring_view_leave(struct ring_view *view);
