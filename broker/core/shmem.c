/* The shared memory regions of one device.
 * Owns a window of address space for each region, and for each mapping a descriptor of its file. Called by the device, on the
 * main thread. TRUST: requests and descriptors are a worker's: everything about them is judged here and in shmem_file.c, before
 * anything changes. What lies behind a mapping is never looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/shmem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "broker/core/sealed_memory.h"
#include "broker/core/shmem_file.h"
#include "broker/core/shmem_ledger.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/limits.h"

struct shmem_region {
        struct device_region is;
        struct guest_mapping *window;
};

struct shmem {
        unsigned n_regions;
        struct shmem_region regions[LIMIT_SHMEM_REGIONS];
        struct shmem_limits limits;
        struct shmem_ledger ledger;
        size_t n_asked; /* mappings that a worker has asked for: they alone are limited */
        uint64_t bytes_asked;
};

/* ---- regions ---- */

static struct shmem_region *region_find(struct shmem *shmem, uint8_t shmid)
{
        for (unsigned i = 0; i < shmem->n_regions; i++)
                if (shmem->regions[i].is.shmid == shmid)
                        return &shmem->regions[i];
        return NULL;
}

unsigned shmem_n_regions(const struct shmem *shmem)
{
        return shmem->n_regions;
}

const struct device_region *shmem_region(const struct shmem *shmem, unsigned i)
{
        return &shmem->regions[i].is;
}

struct guest_mapping *shmem_window(const struct shmem *shmem, unsigned i)
{
        return shmem->regions[i].window;
}

int shmem_new(const struct device_region *regions, unsigned n_regions, const struct shmem_limits *limits,
              struct shmem **ret_shmem)
{
        struct shmem *shmem;
        int r;

        assert(n_regions <= LIMIT_SHMEM_REGIONS && limits->mappings <= LIMIT_SHMEM_MAPPINGS);
        shmem = calloc(1, sizeof(*shmem));
        if (!shmem)
                return -ENOMEM;
        shmem->limits = *limits;
        for (; shmem->n_regions < n_regions; shmem->n_regions++) {
                struct shmem_region *region = &shmem->regions[shmem->n_regions];

                region->is = regions[shmem->n_regions];
                r = guest_mapping_reserve(region->is.len, &region->window);
                if (r < 0) {
                        (void)shmem_free(shmem);
                        return r;
                }
        }
        *ret_shmem = shmem;
        return 0;
}

struct shmem *shmem_free(struct shmem *shmem)
{
        if (!shmem)
                return NULL;
        while (shmem->ledger.n > 0)
                shmem_unmap(shmem, shmem->ledger.mappings[shmem->ledger.n - 1]);
        for (unsigned i = 0; i < shmem->n_regions; i++)
                (void)guest_mapping_unref(shmem->regions[i].window);
        free(shmem);
        return NULL;
}

/* ---- the ledger ---- */

bool shmem_of_files(const struct shmem *shmem, const struct shmem_mapping *mapping)
{
        for (unsigned i = 0; i < shmem->n_regions; i++)
                if (shmem->regions[i].is.shmid == mapping->shmid)
                        return shmem->regions[i].is.source == REGION_FILES;
        return false;
}

struct shmem_mapping *shmem_find(const struct shmem *shmem, uint8_t shmid, uint64_t offset, uint64_t len)
{
        return shmem_ledger_find(&shmem->ledger, shmid, offset, len);
}

size_t shmem_n_mappings(const struct shmem *shmem)
{
        return shmem->ledger.n;
}

struct shmem_mapping *shmem_mapping_at(const struct shmem *shmem, size_t i)
{
        assert(i < shmem->ledger.n);
        return shmem->ledger.mappings[i];
}

uint64_t shmem_bytes(const struct shmem *shmem)
{
        return shmem->ledger.bytes;
}

/* ---- mapping and unmapping ---- */

static bool is_whole(uint64_t bytes)
{
        return bytes % LIMIT_SHMEM_PAGE == 0;
}

static int request_check(const struct shmem_region *region, const struct shmem_request *request)
{
        if (!region || region->is.source != REGION_FILES)
                return -EINVAL;
        if (request->len == 0 || !is_whole(request->len) || !is_whole(request->offset) ||
            !is_whole(request->fd_offset))
                return -EINVAL;
        if (region->is.granule > 0 &&
            (request->len != region->is.granule || request->offset % region->is.granule != 0))
                return -EINVAL;
        if (!range_inside(request->offset, request->len, region->is.len) ||
            !range_inside(request->fd_offset, request->len, (uint64_t)INT64_MAX))
                return -EINVAL;
        return 0;
}

/* Makes what has been judged. `fd` becomes the mapping's on success. */
static int mapping_make(struct shmem *shmem, struct shmem_region *region, const struct shmem_request *request,
                        int fd, const struct shmem_file *file, struct shmem_mapping **ret_mapping)
{
        struct shmem_mapping *mapping = calloc(1, sizeof(*mapping));
        int r;

        if (!mapping)
                return -ENOMEM;
        r = guest_mapping_put(region->window, request->offset, request->len, fd, request->fd_offset,
                              request->writable);
        if (r < 0) {
                free(mapping);
                return r;
        }
        *mapping = (struct shmem_mapping){
            .shmid = request->shmid,
            .writable = request->writable,
            .may_end = region->is.granule > 0,
            .offset = request->offset,
            .len = request->len,
            .fd = fd,
            .fd_offset = request->fd_offset,
            .dev = file->dev,
            .ino = file->ino,
            .window = region->window,
            .host = (uint8_t *)guest_mapping_base(region->window) + request->offset,
        };
        shmem_ledger_add(&shmem->ledger, mapping);
        *ret_mapping = mapping;
        return 0;
}

/* The same file as before? Its number cannot have become another's: we hold a descriptor of it. */
static bool is_the_same(const struct shmem_mapping *mapping, const struct shmem_request *request,
                        const struct shmem_file *file)
{
        return mapping->writable == request->writable && mapping->fd_offset == request->fd_offset &&
               mapping->dev == file->dev && mapping->ino == file->ino;
}

/* Is it fit to be mapped there? Where files may end in a granule, how long it is now says nothing. */
static int request_judge_file(const struct shmem_region *region, const struct shmem_request *request, int fd,
                              struct shmem_file *ret_file)
{
        if (region->is.granule > 0)
                return shmem_file_judge_ending(fd, request->writable, ret_file);
        return shmem_file_judge(fd, request->fd_offset, request->len, request->writable, ret_file);
}

static int mapping_adopt(const struct shmem_region *region, struct shmem_mapping *orphan,
                         const struct shmem_request *request, int fd, struct shmem_mapping **ret_mapping)
{
        struct shmem_file file;
        int r = request_judge_file(region, request, fd, &file);

        if (r < 0)
                return r;
        if (!is_the_same(orphan, request, &file))
                return -EEXIST;
        orphan->orphan = false;
        *ret_mapping = orphan;
        return 0;
}

static bool has_room(const struct shmem *shmem, uint64_t len)
{
        return shmem->n_asked < shmem->limits.mappings &&
               range_inside(shmem->bytes_asked, len, shmem->limits.bytes);
}

int shmem_map(struct shmem *shmem, const struct shmem_request *request, int fd,
              struct shmem_mapping **ret_mapping)
{
        struct shmem_region *region = region_find(shmem, request->shmid);
        struct shmem_mapping *there;
        _cleanup_close_ int own = -1;
        struct shmem_file file;
        int r = request_check(region, request);

        if (r < 0)
                return r;
        there = shmem_find(shmem, request->shmid, request->offset, request->len);
        if (there && there->orphan)
                return mapping_adopt(region, there, request, fd, ret_mapping);
        if (shmem_ledger_overlaps(&shmem->ledger, request->shmid, request->offset, request->len))
                return -EEXIST;
        if (!has_room(shmem, request->len))
                return -E2BIG;
        r = request_judge_file(region, request, fd, &file);
        if (r < 0)
                return r;
        own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (own < 0)
                return -errno;
        r = mapping_make(shmem, region, request, own, &file, ret_mapping);
        if (r < 0)
                return r;
        (void)take_fd(&own);
        shmem->n_asked++;
        shmem->bytes_asked += request->len;
        return 0;
}

void shmem_unmap(struct shmem *shmem, struct shmem_mapping *mapping)
{
        shmem_ledger_remove(&shmem->ledger, mapping);
        if (shmem_of_files(shmem, mapping)) {
                shmem->n_asked--;
                shmem->bytes_asked -= mapping->len;
        }
        guest_mapping_take(mapping->window, mapping->offset, mapping->len);
        close(mapping->fd);
        free(mapping);
}

void shmem_orphan(struct shmem *shmem)
{
        for (size_t i = 0; i < shmem->ledger.n; i++)
                if (shmem_of_files(shmem, shmem->ledger.mappings[i]))
                        shmem->ledger.mappings[i]->orphan = true;
}

/* ---- memory of the broker's own ---- */

static struct shmem_mapping *region_memory(const struct shmem *shmem, const struct shmem_region *region)
{
        return region->is.source == REGION_MEMORY ? shmem_find(shmem, region->is.shmid, 0, region->is.len)
                                                  : NULL;
}

static int region_make_memory(struct shmem *shmem, struct shmem_region *region)
{
        const struct shmem_request whole = {
            .shmid = region->is.shmid, .writable = true, .len = region->is.len};
        _cleanup_close_ int fd = -1;
        struct shmem_mapping *mapping;
        struct shmem_file file;
        int r = sealed_memory_open("bulkhead-shmem", region->is.len, &fd);

        if (r == 0)
                r = shmem_file_judge(fd, 0, region->is.len, true, &file); /* what audit calls it */
        if (r == 0)
                r = mapping_make(shmem, region, &whole, fd, &file, &mapping);
        if (r == 0)
                (void)take_fd(&fd);
        return r;
}

static void unmap_memory(struct shmem *shmem)
{
        for (unsigned i = 0; i < shmem->n_regions; i++) {
                struct shmem_mapping *mapping = region_memory(shmem, &shmem->regions[i]);

                if (mapping)
                        shmem_unmap(shmem, mapping);
        }
}

int shmem_make_memory(struct shmem *shmem)
{
        for (unsigned i = 0; i < shmem->n_regions; i++) {
                struct shmem_region *region = &shmem->regions[i];
                int r;

                if (region->is.source != REGION_MEMORY)
                        continue;
                assert(!region_memory(shmem, region));
                r = region_make_memory(shmem, region);
                if (r < 0) {
                        unmap_memory(shmem);
                        return r;
                }
        }
        return 0;
}

int shmem_memory_fd(const struct shmem *shmem, unsigned i)
{
        const struct shmem_mapping *mapping = region_memory(shmem, &shmem->regions[i]);

        return mapping ? mapping->fd : -1;
}
