/* Guest memory: an immutable, refcounted snapshot of the region table, and all access to it.
 *
 * A change makes a new snapshot; who holds the old one (a lane) keeps its mappings alive until it lets go.
 * Requests hold guest addresses, never pointers: they are resolved here at copy time, so a region may go away
 * at any moment and that request fails. Snapshots are shared between threads; the count is atomic, the
 * content never changes.
 *
 * Where a shared memory region of a device lies (shmem.h) there are holes: what is mapped there comes and goes while
 * the device works, and a driver of another device cannot know. So a buffer may lie in that range whatever is there now, and a
 * byte of it that is missing is an error of that request; outside of such ranges a buffer that is not in memory is the
 * driver's mistake.
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

/* A window of address space without any rights: nothing else of the process comes to lie there while it lives. `len` is whole
 * 4096, > 0. Begins at a whole 2 MiB if it is so long. 0, -EINVAL, -ENOMEM, or what mmap said. */
int guest_mapping_reserve(uint64_t len, struct guest_mapping **ret_window);

/* Puts a file's range over [at, at + len) of a window, where nothing is; and: takes away what is there, so that the
 * range has no rights again. Whole pages, inside of the window. The first: -EINVAL, or what mmap said, and nothing has changed.
 * The second cannot fail (it aborts the process rather than leave a range behind). A region of a guest_memory may lie over any
 * part of a window, and may be writable: bytes that are not there are -EFAULT, to write where a file is read-only is, too. */
int guest_mapping_put(struct guest_mapping *window, uint64_t at, uint64_t len, int fd, uint64_t offset,
                      bool writable);
void guest_mapping_take(struct guest_mapping *window, uint64_t at, uint64_t len);

/* Puts a page of this process' there once more: the same bytes of the same file, with the same protection; the first mapping may go.
 * Rules as for guest_mapping_put. -EINVAL, too: the page is private memory's, or a huge one's; -EFAULT: nothing is mapped there. */
int guest_mapping_put_again(struct guest_mapping *window, uint64_t at, const void *page);

/* The first byte; for the kernel alone. */
void *guest_mapping_base(const struct guest_mapping *mapping);

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
 * ends exactly there. `from` is untouched. -EINVAL: empty, wraps, outside its mapping, writable where that
 * is not, or partly in a range with holes, or `from` is a view; -EEXIST: overlaps; -E2BIG: LIMIT_REGIONS; -ENOENT; -ENOMEM. */
int guest_memory_with(const struct guest_memory *from, const struct guest_region *region,
                      struct guest_memory **ret_memory);
int guest_memory_without(const struct guest_memory *from, gpa_t start, uint64_t len,
                         struct guest_memory **ret_memory);

/* A new snapshot = `from` plus a range with holes: no region of it is mapped yet, and every region that comes to lie there lies in
 * it wholly. -EINVAL: empty or wraps; -EEXIST: overlaps a region or another such range; -E2BIG: LIMIT_REGIONS; -ENOMEM. */
int guest_memory_with_shmem(const struct guest_memory *from, gpa_t start, uint64_t len,
                            struct guest_memory **ret_memory);

/* ... minus the one that starts and ends exactly there, in which no region is mapped. -ENOENT; -EBUSY: one is; -ENOMEM. */
int guest_memory_without_shmem(const struct guest_memory *from, gpa_t start, uint64_t len,
                               struct guest_memory **ret_memory);

/* ---- views: memory as a device sees it, through windows (device_windows.h), translations (iotlb.h), or both, the latter last ---- */

struct interval_map;

/* A new snapshot in which addresses are I/O virtual: what `entries` (start: I/O virtual; base: guest-physical; rights: INTERVAL_READ
 * and INTERVAL_WRITE) stand for in `memory`, with no more rights than both give. Where a piece of an entry is not in memory it is
 * missing here too; where it is a range with holes, so is this. Adjacent pieces that lie one behind the other in this process, with
 * the same rights, are one. It keeps `memory` alive. Costs O(entries). -EINVAL: `memory` is translated; -E2BIG: more than
 * LIMIT_VIEW_PIECES, by entries that stand for the same regions again and again; -ENOMEM. */
int guest_memory_translate(struct guest_memory *memory, const struct interval_map *entries,
                           struct guest_memory **ret_memory);

/* A new snapshot that is `memory` inside of the windows (base: start), and nothing outside: that is as little there as what no region
 * holds. Keeps a reference of the windows. Errors as above; -EINVAL: `memory` is a view. */
int guest_memory_confine(struct guest_memory *memory, struct interval_map *windows,
                         struct guest_memory **ret_memory);

/* Made by guest_memory_confine, and some byte of the range is in no window? Of a view with translations over that: never. */
bool guest_memory_is_outside(const struct guest_memory *memory, gpa_t at, uint64_t len);

/* Made by guest_memory_translate? Then what is not covered may come to be: nobody's mistake yet. */
bool guest_memory_is_translated(const struct guest_memory *memory);

/* What this is a view of; its owner's reference. NULL: it is none. */
struct guest_memory *guest_memory_below(const struct guest_memory *memory);

/* The first piece of the range (which does not wrap) that is not covered with that right: *ret_at and *ret_len, of whole
 * LIMIT_IOTLB_PAGE around what is missing (at most to the end of the range's last page). False: guest_memory_covers says so. */
bool guest_memory_missing(const struct guest_memory *memory, gpa_t at, uint64_t len, bool write,
                          gpa_t *ret_at, uint64_t *ret_len);

size_t guest_memory_n_regions(const struct guest_memory *memory);
uint64_t guest_memory_bytes(const struct guest_memory *memory);

/* The host bytes of a range that must lie in one region, in a view in pieces that lie one behind the other in this process (rings).
 * NULL: it does not, or there may be holes: what a ring lies in must not go away while it is used. `align` is a power of two. With
 * `write` it need not be readable: where a ring is read, too, ask for that. */
void *guest_memory_ring(const struct guest_memory *memory, gpa_t at, uint64_t len, uint64_t align,
                        bool write);

/* Is every byte of the range in some region (adjacent regions count), writable where asked, or where there may be holes?
 * len may be 0: true. */
bool guest_memory_covers(const struct guest_memory *memory, gpa_t at, uint64_t len, bool write);

/* ... and none of it where there may be holes? */
bool guest_memory_covers_whole(const struct guest_memory *memory, gpa_t at, uint64_t len, bool write);

/* Is a byte of the range where there may be holes? len > 0. */
bool guest_memory_has_shmem(const struct guest_memory *memory, gpa_t at, uint64_t len);

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
