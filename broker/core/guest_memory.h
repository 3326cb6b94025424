/* Guest memory: an immutable, refcounted snapshot of the region table, and all access to it.
 *
 * A change makes a new snapshot; who holds the old one (a lane) keeps its mappings alive until it lets go.
 * Requests hold guest addresses, never pointers: they are resolved here at copy time, so a region may go away
 * at any moment and that request fails. Snapshots are shared between threads; the count is atomic, the
 * content never changes.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "broker/core/gpa.h"

/* A refcounted mmap of a peer's descriptor: MAP_SHARED, never PROT_EXEC, DONTFORK, DONTDUMP. */
struct guest_mapping;

/* Maps [offset, offset + len) of fd; both multiples of 4096, len > 0. The fd stays the caller's and may be
 * closed. The count starts at 1. -EINVAL, or what mmap said. */
int guest_mapping_new(int fd, uint64_t offset, uint64_t len, bool writable,
                      struct guest_mapping **ret_mapping);
struct guest_mapping *guest_mapping_ref(struct guest_mapping *mapping);
struct guest_mapping *guest_mapping_unref(struct guest_mapping *mapping); /* returns NULL */

struct guest_region {
        gpa_t start;
        uint64_t len; /* > 0; start + len does not wrap */
        struct guest_mapping *mapping;
        uint64_t offset; /* of start in the mapping */
        bool writable;
};

struct guest_memory;

struct guest_memory *guest_memory_new(void); /* empty; NULL: out of memory */
struct guest_memory *guest_memory_ref(struct guest_memory *memory);
struct guest_memory *guest_memory_unref(struct guest_memory *memory); /* returns NULL; accepts NULL */

/* A new snapshot = `from` plus the region (the mapping gains a reference) or minus the region that starts and
 * ends exactly there. `from` is untouched. -EINVAL: empty, wraps, outside its mapping, or writable where that
 * is not; -EEXIST: overlaps; -E2BIG: LIMIT_REGIONS; -ENOENT; -ENOMEM. */
int guest_memory_with(const struct guest_memory *from, const struct guest_region *region,
                      struct guest_memory **ret_memory);
int guest_memory_without(const struct guest_memory *from, gpa_t start, uint64_t len,
                         struct guest_memory **ret_memory);

size_t guest_memory_n_regions(const struct guest_memory *memory);
uint64_t guest_memory_bytes(const struct guest_memory *memory);

/* The host bytes of a range that must lie in one region (rings). NULL: it does not. `align` is a power of
 * two. */
void *guest_memory_ring(const struct guest_memory *memory, gpa_t at, uint64_t len, uint64_t align,
                        bool write);

/* Is every byte of the range in some region (adjacent regions count), writable where asked? len may be 0:
 * true. */
bool guest_memory_covers(const struct guest_memory *memory, gpa_t at, uint64_t len, bool write);

/* Fault-safe copies over any number of adjacent regions. 0, or -EFAULT: some byte is not there (the rest may
 * have been copied). */
int guest_memory_read(const struct guest_memory *memory, gpa_t at, void *to, uint64_t len);
int guest_memory_write(const struct guest_memory *memory, gpa_t at, const void *from, uint64_t len);
int guest_memory_zero(const struct guest_memory *memory, gpa_t at, uint64_t len);

/* Appends host spans of the range to an iovec for one system call (which reports a missing page as EFAULT
 * itself). *n is the count so far, at most max. Returns bytes appended: less than len when the iovec is full;
 * -EFAULT when a byte is in no region (nothing is then appended). */
int64_t guest_memory_iovec(const struct guest_memory *memory, gpa_t at, uint64_t len, bool write,
                           struct iovec *iov, size_t max, size_t *n);
