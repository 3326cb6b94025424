/* Guest memory: mappings, snapshots of the region table, and copies by guest address.
 * Owns the mappings of peers' descriptors and the tables that name them. Called by the sessions (which build
 * tables), by queues and by the memory service (which copy). TRUST: regions come from the VMM, addresses and
 * lengths from the guest and, as offsets into judged chains, from workers; what is behind a mapping can go
 * away at any moment.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/guest_memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "broker/core/fault_safe.h"
#include "broker/core/interval_map.h"
#include "proto/base/checked.h"

#define GUEST_PAGE 4096u

struct guest_mapping {
        atomic_uint refs;
        uint8_t *base; /* of the bytes that were asked for */
        uint64_t len;
        uint8_t *mapped; /* what was mapped: at least that, rounded to the file's page size */
        uint64_t mapped_len;
        bool writable;
};

struct guest_memory {
        atomic_uint refs;
        struct interval_map *map; /* base: the host address; owner: the mapping */
        uint64_t bytes;
};

/* ---- mappings ---- */

/* The granule in which this file can be mapped: huge pages show as its block size, and munmap refuses
 * anything less. Rounding to an ordinary large block size does no harm. */
static int file_page(int fd, uint64_t *page)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISREG(st.st_mode) && st.st_blksize > (blksize_t)GUEST_PAGE &&
            is_power_of_2((uint64_t)st.st_blksize))
                *page = (uint64_t)st.st_blksize;
        return 0;
}

static int map_file(int fd, uint64_t offset, uint64_t len, int protection, void **ret_mapped)
{
        void *mapped = mmap(NULL, len, protection, MAP_SHARED, fd, (off_t)offset);

        if (mapped == MAP_FAILED)
                return -errno;
        /* A child has no business in guest memory, and a core dump neither. */
        if (madvise(mapped, len, MADV_DONTFORK) < 0 || madvise(mapped, len, MADV_DONTDUMP) < 0) {
                int r = -errno;

                (void)munmap(mapped, len);
                return r;
        }
        *ret_mapped = mapped;
        return 0;
}

int guest_mapping_new(int fd, uint64_t offset, uint64_t len, bool writable,
                      struct guest_mapping **ret_mapping)
{
        struct guest_mapping *mapping;
        uint64_t page = GUEST_PAGE, start, end;
        void *mapped = NULL;
        int r;

        if (len == 0 || offset % GUEST_PAGE != 0 || len % GUEST_PAGE != 0 ||
            !range_inside(offset, len, (uint64_t)INT64_MAX))
                return -EINVAL;
        r = file_page(fd, &page);
        if (r < 0)
                return r;
        /* No sum wraps: offset + len is at most 2^63 - 1, and so is a page. */
        start = offset & ~(page - 1);
        end = (offset + len + page - 1) & ~(page - 1);
        if (end > (uint64_t)INT64_MAX)
                return -EINVAL;
        mapping = malloc(sizeof(*mapping));
        if (!mapping)
                return -ENOMEM;
        r = map_file(fd, start, end - start, PROT_READ | (writable ? PROT_WRITE : 0), &mapped);
        if (r < 0) {
                free(mapping);
                return r;
        }
        atomic_init(&mapping->refs, 1);
        mapping->mapped = mapped;
        mapping->mapped_len = end - start;
        mapping->base = mapping->mapped + (offset - start);
        mapping->len = len;
        mapping->writable = writable;
        *ret_mapping = mapping;
        return 0;
}

struct guest_mapping *guest_mapping_ref(struct guest_mapping *mapping)
{
        atomic_fetch_add_explicit(&mapping->refs, 1, memory_order_relaxed);
        return mapping;
}

struct guest_mapping *guest_mapping_unref(struct guest_mapping *mapping)
{
        if (!mapping || atomic_fetch_sub_explicit(&mapping->refs, 1, memory_order_acq_rel) != 1)
                return NULL;
        (void)munmap(mapping->mapped, mapping->mapped_len);
        free(mapping);
        return NULL;
}

static void owner_ref(void *owner)
{
        (void)guest_mapping_ref(owner);
}

static void owner_unref(void *owner)
{
        (void)guest_mapping_unref(owner);
}

static const struct interval_owner mapping_owner = {.ref = owner_ref, .unref = owner_unref};

/* ---- snapshots ---- */

/* Takes the reference on `map`, also on failure (NULL), and also when `map` is NULL. */
static struct guest_memory *memory_from(struct interval_map *map, uint64_t bytes)
{
        struct guest_memory *memory = map ? malloc(sizeof(*memory)) : NULL;

        if (!memory) {
                (void)interval_map_unref(map);
                return NULL;
        }
        atomic_init(&memory->refs, 1);
        memory->map = map;
        memory->bytes = bytes;
        return memory;
}

struct guest_memory *guest_memory_new(void)
{
        return memory_from(interval_map_new(&mapping_owner), 0);
}

struct guest_memory *guest_memory_ref(struct guest_memory *memory)
{
        atomic_fetch_add_explicit(&memory->refs, 1, memory_order_relaxed);
        return memory;
}

struct guest_memory *guest_memory_unref(struct guest_memory *memory)
{
        if (!memory || atomic_fetch_sub_explicit(&memory->refs, 1, memory_order_acq_rel) != 1)
                return NULL;
        memory->map = interval_map_unref(memory->map);
        free(memory);
        return NULL;
}

int guest_memory_with(const struct guest_memory *from, const struct guest_region *region,
                      struct guest_memory **ret_memory)
{
        const struct guest_mapping *mapping = region->mapping;
        struct guest_memory *memory;
        struct interval_map *map;
        gpa_t end;
        int r;

        if (region->len == 0 || !gpa_add(region->start, region->len, &end) ||
            !range_inside(region->offset, region->len, mapping->len) ||
            (region->writable && !mapping->writable))
                return -EINVAL;
        r = interval_map_with(from->map,
                              &(struct interval){.start = region->start.v,
                                                 .len = region->len,
                                                 .base = (uintptr_t)(mapping->base + region->offset),
                                                 .rights = region->writable ? INTERVAL_WRITE : 0,
                                                 .owner = region->mapping},
                              &map);
        if (r < 0)
                return r;
        memory = memory_from(map, from->bytes + region->len);
        if (!memory)
                return -ENOMEM;
        *ret_memory = memory;
        return 0;
}

int guest_memory_without(const struct guest_memory *from, gpa_t start, uint64_t len,
                         struct guest_memory **ret_memory)
{
        struct guest_memory *memory;
        struct interval_map *map;
        int r;

        r = interval_map_without(from->map, start.v, len, &map);
        if (r < 0)
                return r;
        memory = memory_from(map, from->bytes - len);
        if (!memory)
                return -ENOMEM;
        *ret_memory = memory;
        return 0;
}

size_t guest_memory_n_regions(const struct guest_memory *memory)
{
        return interval_map_n(memory->map);
}

uint64_t guest_memory_bytes(const struct guest_memory *memory)
{
        return memory->bytes;
}

/* ---- access ---- */

static uint32_t rights_for(bool write)
{
        return write ? INTERVAL_WRITE : 0;
}

void *guest_memory_ring(const struct guest_memory *memory, gpa_t at, uint64_t len, uint64_t align, bool write)
{
        struct interval_walk walk = interval_walk_start(memory->map, at.v, len);
        uint64_t host, piece;

        if (interval_walk_next(&walk, rights_for(write), &host, &piece) != 1 || piece != len)
                return NULL;
        /* The host address too: a region need not start at the same place in its page as in the guest's. */
        if ((at.v & (align - 1)) != 0 || (host & (align - 1)) != 0)
                return NULL;
        return (void *)(uintptr_t)host;
}

bool guest_memory_covers(const struct guest_memory *memory, gpa_t at, uint64_t len, bool write)
{
        return interval_map_covers(memory->map, at.v, len, rights_for(write));
}

int guest_memory_read(const struct guest_memory *memory, gpa_t at, void *to, uint64_t len)
{
        struct interval_walk walk;
        uint64_t host, piece;
        uint8_t *next = to;
        int r;

        if (interval_map_one(memory->map, at.v, len, 0, &host))
                return fault_safe_copy(to, (const void *)(uintptr_t)host, len) != 0 ? -EFAULT : 0;
        walk = interval_walk_start(memory->map, at.v, len);
        while ((r = interval_walk_next(&walk, 0, &host, &piece)) > 0) {
                if (fault_safe_copy(next, (const void *)(uintptr_t)host, piece) != 0)
                        return -EFAULT;
                next += piece;
        }
        return r;
}

int guest_memory_write(const struct guest_memory *memory, gpa_t at, const void *from, uint64_t len)
{
        struct interval_walk walk;
        const uint8_t *next = from;
        uint64_t host, piece;
        int r;

        if (interval_map_one(memory->map, at.v, len, INTERVAL_WRITE, &host))
                return fault_safe_copy((void *)(uintptr_t)host, from, len) != 0 ? -EFAULT : 0;
        walk = interval_walk_start(memory->map, at.v, len);
        while ((r = interval_walk_next(&walk, INTERVAL_WRITE, &host, &piece)) > 0) {
                if (fault_safe_copy((void *)(uintptr_t)host, next, piece) != 0)
                        return -EFAULT;
                next += piece;
        }
        return r;
}

int guest_memory_zero(const struct guest_memory *memory, gpa_t at, uint64_t len)
{
        struct interval_walk walk = interval_walk_start(memory->map, at.v, len);
        uint64_t host, piece;
        int r;

        while ((r = interval_walk_next(&walk, INTERVAL_WRITE, &host, &piece)) > 0) {
                if (fault_safe_zero((void *)(uintptr_t)host, piece) != 0)
                        return -EFAULT;
        }
        return r;
}

int64_t guest_memory_iovec(const struct guest_memory *memory, gpa_t at, uint64_t len, bool write,
                           struct iovec *iov, size_t max, size_t *n)
{
        struct interval_walk walk;
        uint64_t host, piece, appended = 0;
        size_t count = *n;
        int r;

        if (count < max && len > 0 && interval_map_one(memory->map, at.v, len, rights_for(write), &host)) {
                iov[(*n)++] = (struct iovec){.iov_base = (void *)(uintptr_t)host, .iov_len = len};
                return (int64_t)len;
        }
        walk = interval_walk_start(memory->map, at.v, len);
        while ((r = interval_walk_next(&walk, rights_for(write), &host, &piece)) > 0) {
                if (count >= max)
                        continue; /* full, but the rest must be there all the same */
                iov[count++] = (struct iovec){.iov_base = (void *)(uintptr_t)host, .iov_len = piece};
                appended += piece;
        }
        if (r < 0)
                return r;
        *n = count;
        return (int64_t)appended;
}
