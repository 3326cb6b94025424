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
#include "proto/base/cleanup.h"
#include "proto/base/limits.h"

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
        struct interval_map *map;   /* base: the host address; owner: the mapping, but of a view nobody */
        struct interval_map *shmem; /* where there may be holes; base: where in it, owner: nothing */
        uint64_t bytes;
        struct guest_memory
            *below; /* what this is a view of, and what keeps its mappings; NULL: it is none */
        struct interval_map *windows; /* of a view through windows */
        bool translated;
};

/* Of a range with holes: what is mapped in it has rights of its own. */
#define ALL_RIGHTS (INTERVAL_READ | INTERVAL_WRITE)

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

/* ---- windows ---- */

#define WINDOW_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

/* So that files lie in the window as they do in the guest's address space, and a huge page can serve both. */
#define WINDOW_ALIGN ((uint64_t)2 << 20)

int guest_mapping_reserve(uint64_t len, struct guest_mapping **ret_window)
{
        uint64_t slack = len >= WINDOW_ALIGN ? WINDOW_ALIGN : 0;
        _cleanup_free_ struct guest_mapping *window = NULL;
        uint8_t *mapped;

        if (len == 0 || len % GUEST_PAGE != 0 || len > (uint64_t)INT64_MAX - slack)
                return -EINVAL;
        window = malloc(sizeof(*window));
        if (!window)
                return -ENOMEM;
        mapped = mmap(NULL, len + slack, PROT_NONE, WINDOW_FLAGS, -1, 0);
        if (mapped == MAP_FAILED)
                return -errno;
        atomic_init(&window->refs, 1);
        window->mapped = mapped;
        window->mapped_len = len + slack;
        window->base = slack ? mapped + (-(uintptr_t)mapped & (WINDOW_ALIGN - 1)) : mapped;
        window->len = len;
        window->writable = true; /* where a file in it is: that is for whoever puts it there */
        *ret_window = take_ptr(window);
        return 0;
}

static bool window_has(const struct guest_mapping *window, uint64_t at, uint64_t len)
{
        return len > 0 && at % GUEST_PAGE == 0 && len % GUEST_PAGE == 0 && range_inside(at, len, window->len);
}

/* Before it takes anything away the kernel judges counts and limits: then the reservation is still there. When it runs out
 * of memory half way there is a gap, which must be closed before somebody else's mapping is put into it. */
static void window_mend(struct guest_mapping *window, uint64_t at, uint64_t len)
{
        if (mmap(window->base + at, len, PROT_NONE, WINDOW_FLAGS | MAP_FIXED_NOREPLACE, -1, 0) ==
                MAP_FAILED &&
            errno != EEXIST)
                abort();
}

/* Takes a mapping from elsewhere into the window, or away. One that is made in its place and fails may have taken away what it was to
 * replace; to move it nobody is asked but the kernel's memory. */
static int window_move(struct guest_mapping *window, uint64_t at, uint64_t len, void *elsewhere)
{
        int r;

        if (mremap(elsewhere, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, window->base + at) != MAP_FAILED)
                return 0;
        r = -errno;
        (void)munmap(elsewhere, len);
        window_mend(window, at, len);
        return r;
}

int guest_mapping_put(struct guest_mapping *window, uint64_t at, uint64_t len, int fd, uint64_t offset,
                      bool writable)
{
        void *elsewhere = NULL;
        int r;

        if (!window_has(window, at, len) || offset % GUEST_PAGE != 0 ||
            !range_inside(offset, len, (uint64_t)INT64_MAX))
                return -EINVAL;
        /* What the file has against it shows elsewhere, where nothing is lost. */
        r = map_file(fd, offset, len, PROT_READ | (writable ? PROT_WRITE : 0), &elsewhere);
        return r < 0 ? r : window_move(window, at, len, elsewhere);
}

int guest_mapping_put_again(struct guest_mapping *window, uint64_t at, const void *page)
{
        void *elsewhere;

        if (!window_has(window, at, GUEST_PAGE) || (uintptr_t)page % GUEST_PAGE != 0)
                return -EINVAL;
        /* Of nothing a second mapping is made, as long as is asked for, with the protection and the advice of the first; but not of
         * private memory, nor of huge pages. */
        elsewhere = mremap((void *)(uintptr_t)page, 0, GUEST_PAGE, MREMAP_MAYMOVE);
        return elsewhere == MAP_FAILED ? -errno : window_move(window, at, GUEST_PAGE, elsewhere);
}

void guest_mapping_take(struct guest_mapping *window, uint64_t at, uint64_t len)
{
        if (!window_has(window, at, len) ||
            mmap(window->base + at, len, PROT_NONE, WINDOW_FLAGS | MAP_FIXED, -1, 0) == MAP_FAILED)
                abort();
}

void *guest_mapping_base(const struct guest_mapping *mapping)
{
        return mapping->base;
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

/* Takes the references on both maps, also on failure (NULL), and also when one is NULL. */
static struct guest_memory *memory_from(struct interval_map *map, struct interval_map *shmem, uint64_t bytes)
{
        struct guest_memory *memory = map && shmem ? malloc(sizeof(*memory)) : NULL;

        if (!memory) {
                (void)interval_map_unref(map);
                (void)interval_map_unref(shmem);
                return NULL;
        }
        atomic_init(&memory->refs, 1);
        memory->map = map;
        memory->shmem = shmem;
        memory->bytes = bytes;
        memory->below = NULL;
        memory->windows = NULL;
        memory->translated = false;
        return memory;
}

struct guest_memory *guest_memory_new(void)
{
        return memory_from(interval_map_new(&mapping_owner, LIMIT_REGIONS),
                           interval_map_new(NULL, LIMIT_REGIONS), 0);
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
        memory->shmem = interval_map_unref(memory->shmem);
        memory->windows = interval_map_unref(memory->windows);
        memory->below = guest_memory_unref(memory->below); /* the base of a view is at most two away */
        free(memory);
        return NULL;
}

/* Is the range wholly in one with holes, or wholly outside of them? */
static bool is_wholly(const struct interval_map *shmem, uint64_t start, uint64_t len)
{
        uint64_t base;

        return !interval_map_overlaps(shmem, start, len) || interval_map_one(shmem, start, len, 0, &base);
}

int guest_memory_with(const struct guest_memory *from, const struct guest_region *region,
                      struct guest_memory **ret_memory)
{
        const struct guest_mapping *mapping = region->mapping;
        struct guest_memory *memory;
        struct interval_map *map;
        gpa_t end;
        int r;

        if (from->below || region->len == 0 || !gpa_add(region->start, region->len, &end) ||
            !range_inside(region->offset, region->len, mapping->len) ||
            (region->writable && !mapping->writable) || !is_wholly(from->shmem, region->start.v, region->len))
                return -EINVAL;
        r = interval_map_with(
            from->map,
            &(struct interval){.start = region->start.v,
                               .len = region->len,
                               .base = (uintptr_t)(mapping->base + region->offset),
                               .rights = INTERVAL_READ | (region->writable ? INTERVAL_WRITE : 0),
                               .owner = region->mapping},
            &map);
        if (r < 0)
                return r;
        memory = memory_from(map, interval_map_ref(from->shmem), from->bytes + region->len);
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

        r = from->below ? -EINVAL : interval_map_without(from->map, start.v, len, &map);
        if (r < 0)
                return r;
        memory = memory_from(map, interval_map_ref(from->shmem), from->bytes - len);
        if (!memory)
                return -ENOMEM;
        *ret_memory = memory;
        return 0;
}

int guest_memory_with_shmem(const struct guest_memory *from, gpa_t start, uint64_t len,
                            struct guest_memory **ret_memory)
{
        struct guest_memory *memory;
        struct interval_map *shmem;
        gpa_t end;
        int r;

        if (from->below || len == 0 || !gpa_add(start, len, &end))
                return -EINVAL;
        if (interval_map_overlaps(from->map, start.v, len))
                return -EEXIST;
        r = interval_map_with(from->shmem,
                              &(struct interval){.start = start.v, .len = len, .rights = ALL_RIGHTS}, &shmem);
        if (r < 0)
                return r;
        memory = memory_from(interval_map_ref(from->map), shmem, from->bytes);
        if (!memory)
                return -ENOMEM;
        *ret_memory = memory;
        return 0;
}

int guest_memory_without_shmem(const struct guest_memory *from, gpa_t start, uint64_t len,
                               struct guest_memory **ret_memory)
{
        struct guest_memory *memory;
        struct interval_map *shmem;
        int r = interval_map_without(from->shmem, start.v, len, &shmem);

        if (r < 0)
                return r;
        if (interval_map_overlaps(from->map, start.v, len)) {
                (void)interval_map_unref(shmem);
                return -EBUSY;
        }
        memory = memory_from(interval_map_ref(from->map), shmem, from->bytes);
        if (!memory)
                return -ENOMEM;
        *ret_memory = memory;
        return 0;
}

/* ---- views ---- */

static uint64_t bytes_of(const struct interval_map *map)
{
        uint64_t bytes = 0;

        for (size_t i = 0; i < interval_map_n(map); i++)
                bytes += interval_map_at(map, i)->len;
        return bytes;
}

static int make_view(struct guest_memory *below, const struct interval_map *entries, bool translated,
                     struct guest_memory **ret_view)
{
        struct interval_map *map, *shmem;
        struct guest_memory *view;
        int r;

        r = interval_map_compose(entries, below->map, LIMIT_VIEW_PIECES, &map);
        if (r < 0)
                return r;
        r = interval_map_compose(entries, below->shmem, LIMIT_VIEW_PIECES, &shmem);
        if (r < 0) {
                (void)interval_map_unref(map);
                return r;
        }
        view = memory_from(map, shmem, bytes_of(map));
        if (!view)
                return -ENOMEM;
        view->below = guest_memory_ref(below);
        view->translated = translated;
        *ret_view = view;
        return 0;
}

int guest_memory_translate(struct guest_memory *memory, const struct interval_map *entries,
                           struct guest_memory **ret_memory)
{
        return memory->translated ? -EINVAL : make_view(memory, entries, true, ret_memory);
}

int guest_memory_confine(struct guest_memory *memory, struct interval_map *windows,
                         struct guest_memory **ret_memory)
{
        int r = memory->below ? -EINVAL : make_view(memory, windows, false, ret_memory);

        if (r == 0)
                (*ret_memory)->windows = interval_map_ref(windows);
        return r;
}

bool guest_memory_is_outside(const struct guest_memory *memory, gpa_t at, uint64_t len)
{
        return memory->windows && !interval_map_covers(memory->windows, at.v, len, 0);
}

bool guest_memory_is_translated(const struct guest_memory *memory)
{
        return memory->translated;
}

struct guest_memory *guest_memory_below(const struct guest_memory *memory)
{
        return memory->below;
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
        return write ? INTERVAL_WRITE : INTERVAL_READ;
}

void *guest_memory_ring(const struct guest_memory *memory, gpa_t at, uint64_t len, uint64_t align, bool write)
{
        struct interval_walk walk = interval_walk_start(memory->map, at.v, len);
        uint64_t host, next, piece, done;
        int r;

        if (interval_walk_next(&walk, rights_for(write), &host, &done) != 1)
                return NULL;
        /* Pages of a view with different rights, say, are pieces of their own. */
        while ((r = interval_walk_next(&walk, rights_for(write), &next, &piece)) > 0) {
                if (!memory->below || next - host != done)
                        return NULL;
                done += piece;
        }
        if (r < 0 || guest_memory_has_shmem(memory, at, len))
                return NULL;
        /* The host address too: a region need not start at the same place in its page as in the guest's. */
        if ((at.v & (align - 1)) != 0 || (host & (align - 1)) != 0)
                return NULL;
        return (void *)(uintptr_t)host;
}

/* How many bytes of the range, from its first, lie in a range with holes, mapped or not, or in regions elsewhere. Each turn is
 * another interval, until the range or the address space ends. */
static uint64_t covered_bytes(const struct guest_memory *memory, uint64_t at, uint64_t len, uint32_t rights)
{
        uint64_t done = 0;

        do {
                const struct interval *item = interval_map_find(memory->shmem, at + done);

                if (!item)
                        item = interval_map_find(memory->map, at + done);
                if (!item || (item->rights & rights) != rights)
                        return done;
                done += MIN(len - done, item->len - (at + done - item->start));
        } while (done < len && at + done != 0);
        return done;
}

bool guest_memory_covers(const struct guest_memory *memory, gpa_t at, uint64_t len, bool write)
{
        if (interval_map_covers(memory->map, at.v, len, rights_for(write)))
                return true;
        return interval_map_n(memory->shmem) > 0 &&
               covered_bytes(memory, at.v, len, rights_for(write)) == len;
}

/* How far it is to what the map holds with these rights: at most `len`. */
static uint64_t gap_before(const struct interval_map *map, uint64_t at, uint64_t len, uint32_t rights)
{
        for (size_t i = interval_map_behind(map, at); i < interval_map_n(map); i++) {
                const struct interval *item = interval_map_at(map, i);

                if (item->start - at >= len)
                        break;
                if ((item->rights & rights) == rights)
                        return item->start - at;
        }
        return len;
}

bool guest_memory_missing(const struct guest_memory *memory, gpa_t at, uint64_t len, bool write,
                          gpa_t *ret_at, uint64_t *ret_len)
{
        uint64_t done, gap, first, last;

        if (guest_memory_covers(memory, at, len, write))
                return false;
        done = covered_bytes(memory, at.v, len, rights_for(write));
        first = at.v + done;
        gap = gap_before(memory->map, first, len - done, rights_for(write));
        gap = gap_before(memory->shmem, first, gap, rights_for(write));
        last = (first + (gap - 1)) | (LIMIT_IOTLB_PAGE - 1);
        first &= ~(uint64_t)(LIMIT_IOTLB_PAGE - 1);
        *ret_at = GPA(first);
        /* Of the whole address space, which no length can say, the last page is left for another time. */
        *ret_len = last - first == UINT64_MAX ? last - (LIMIT_IOTLB_PAGE - 1) : last - first + 1;
        return true;
}

bool guest_memory_has_shmem(const struct guest_memory *memory, gpa_t at, uint64_t len)
{
        return interval_map_n(memory->shmem) > 0 && interval_map_overlaps(memory->shmem, at.v, len);
}

bool guest_memory_covers_whole(const struct guest_memory *memory, gpa_t at, uint64_t len, bool write)
{
        return interval_map_covers(memory->map, at.v, len, rights_for(write)) &&
               !guest_memory_has_shmem(memory, at, len);
}

int guest_memory_read(const struct guest_memory *memory, gpa_t at, void *to, uint64_t len)
{
        struct interval_walk walk;
        uint64_t host, piece;
        uint8_t *next = to;
        int r;

        if (interval_map_one(memory->map, at.v, len, INTERVAL_READ, &host))
                return fault_safe_copy(to, (const void *)(uintptr_t)host, len) != 0 ? -EFAULT : 0;
        walk = interval_walk_start(memory->map, at.v, len);
        while ((r = interval_walk_next(&walk, INTERVAL_READ, &host, &piece)) > 0) {
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
