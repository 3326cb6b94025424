/* The image where the page cache has it, mapped for reading: what is read again and again is copied from there, by no call. Only
 * bytes that calls have brought into the page cache are read so; a disk that is read once is read by calls. What is written, and
 * what is not mapped, is the business of blk_file.h.
 *
 * A page of a mapped file may not be there any more: the host has truncated the image, or its medium fails. That ends the use of the
 * mapping, not the worker: a call then says what is wrong.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proto/base/limits.h"

#define BLK_MAP_CHUNK 262144u /* bytes that become warm together */
#define BLK_MAP_PAGE  4096u
/* Pages read of a warm chunk: as many as it has, though one may have been read twice. */
#define BLK_MAP_WARM   (BLK_MAP_CHUNK / BLK_MAP_PAGE)
#define BLK_MAP_IN_USE (BLK_MAP_WARM + 1u)
#define BLK_MAP_CHUNKS (LIMIT_BLK_MAPPED / BLK_MAP_CHUNK)

struct blk_map {
        const uint8_t *bytes; /* NULL: nothing is mapped, or not any more */
        uint64_t size;
        /* Of each chunk: pages that calls have read of it, up to BLK_MAP_WARM; or BLK_MAP_IN_USE. */
        uint8_t *heat;
        /* A ring of BLK_MAP_CHUNKS: chunks whose pages may be mapped, in the order in which they came to it. The kernel maps
         * some neighbours, too. */
        uint32_t *in_use;
        uint32_t first, n;
        bool is_memory; /* a file in memory: to read a hole through a mapping takes memory for it */
};

/* Maps the first `size` bytes of the image, at most LIMIT_BLK_MAP. Where that cannot be done nothing is mapped, and all is well. */
void blk_map_open(struct blk_map *map, int fd, uint64_t size);

/* Copies [offset, offset + len) to where `iov` says, of `len` bytes in all. False: it has to be read by a call, and what is there
 * now belongs to nobody. */
bool blk_map_read(struct blk_map *map, const struct iovec *iov, unsigned n_iov, size_t len, uint64_t offset);

/* A call has read [offset, offset + len). */
void blk_map_warm(struct blk_map *map, size_t len, uint64_t offset);

/* The image has been given a hole. */
void blk_map_punched(struct blk_map *map);

/* No page stays mapped. What is warm stays so. */
void blk_map_rest(const struct blk_map *map);
