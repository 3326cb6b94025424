/* The memory service: (request, offset) becomes bytes of the guest's buffers.
 * Owns nothing; called by the lane, in its thread. TRUST: offsets and lengths are a worker's, judged by the
 * may_ functions before anything else is called; segments are guest addresses, judged by the walk and
 * resolved here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/memory_service.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"

/* One direction of a chain. */
struct part {
        const struct segment *segments;
        uint32_t n;
};

static struct part part_readable(const struct request *request)
{
        return (struct part){request->chain.segments, request->chain.n_readable};
}

static struct part part_writable(const struct request *request)
{
        return (struct part){request->chain.segments + request->chain.n_readable, request->chain.n_writable};
}

/* Finds the segment that `*offset` falls into and makes *offset relative to it. */
static uint32_t part_find(struct part part, uint32_t *offset)
{
        uint32_t i = 0;

        while (i < part.n && *offset >= part.segments[i].len)
                *offset -= part.segments[i++].len;
        return i;
}

bool memory_service_may_read(const struct request *request, uint32_t offset, uint32_t len)
{
        return range_inside(offset, len, request->chain.readable);
}

bool memory_service_may_write(const struct request *request, uint32_t offset, uint32_t len)
{
        return range_inside(offset, len, request->chain.writable);
}

bool memory_service_has_shmem(const struct guest_memory *memory, const struct request *request)
{
        const struct chain *chain = &request->chain;

        for (uint32_t i = 0; memory && i < (uint32_t)chain->n_readable + chain->n_writable; i++)
                if (guest_memory_has_shmem(memory, chain->segments[i].at, chain->segments[i].len))
                        return true;
        return false;
}

static int64_t part_iovec(const struct guest_memory *memory, struct part part, bool write, uint32_t offset,
                          uint32_t len, struct iovec *iov, size_t max, size_t *n)
{
        uint32_t i = part_find(part, &offset);
        uint32_t done = 0;
        size_t first = *n;

        if (!memory)
                return -EFAULT;
        for (; done < len && i < part.n; i++, offset = 0) {
                uint32_t piece = MIN(part.segments[i].len - offset, len - done);
                int64_t r = guest_memory_iovec(memory, GPA(part.segments[i].at.v + offset), piece, write, iov,
                                               max, n);

                if (r < 0) {
                        *n = first;
                        return r;
                }
                done += (uint32_t)r;
                if (r < piece)
                        break;
        }
        return done;
}

/* How many of these bytes are those of the head that the broker has. */
static uint32_t head_piece(const struct request *request, uint32_t offset, uint32_t len)
{
        return __builtin_expect(offset < request->head_len, 0) ? MIN(request->head_len - offset, len) : 0;
}

static __attribute__((noinline)) int64_t head_iovec(const struct guest_memory *memory,
                                                    const struct request *request, uint32_t offset,
                                                    uint32_t len, struct iovec *iov, size_t max, size_t *n)
{
        uint32_t piece = head_piece(request, offset, len);
        size_t first = *n;
        int64_t r;

        if (first >= max)
                return 0;
        iov[(*n)++] = (struct iovec){.iov_base = (uint8_t *)request->head + offset, .iov_len = piece};
        r = part_iovec(memory, part_readable(request), false, offset + piece, len - piece, iov, max, n);
        if (r < 0)
                *n = first;
        return r < 0 ? r : r + piece;
}

int64_t memory_service_iovec_readable(const struct guest_memory *memory, const struct request *request,
                                      uint32_t offset, uint32_t len, struct iovec *iov, size_t max, size_t *n)
{
        if (head_piece(request, offset, len) > 0)
                return head_iovec(memory, request, offset, len, iov, max, n);
        return part_iovec(memory, part_readable(request), false, offset, len, iov, max, n);
}

int64_t memory_service_iovec_writable(const struct guest_memory *memory, const struct request *request,
                                      uint32_t offset, uint32_t len, struct iovec *iov, size_t max, size_t *n)
{
        return part_iovec(memory, part_writable(request), true, offset, len, iov, max, n);
}

/* Writes bytes, or zeros when `bytes` is NULL. The walk has judged that no segment wraps. */
static int part_fill(const struct guest_memory *memory, struct part part, uint32_t offset,
                     const uint8_t *bytes, uint32_t len)
{
        uint32_t i = part_find(part, &offset);
        uint32_t done = 0;

        if (!memory)
                return -EFAULT;
        for (; done < len && i < part.n; i++, offset = 0) {
                uint32_t piece = MIN(part.segments[i].len - offset, len - done);
                gpa_t at = GPA(part.segments[i].at.v + offset);
                int r = bytes ? guest_memory_write(memory, at, bytes + done, piece)
                              : guest_memory_zero(memory, at, piece);

                if (r < 0)
                        return r;
                done += piece;
        }
        assert(done == len);
        return 0;
}

int memory_service_read(const struct guest_memory *memory, const struct request *request, uint32_t offset,
                        void *bytes, uint32_t len)
{
        struct part part = part_readable(request);
        uint32_t done = head_piece(request, offset, len), i;

        if (!memory)
                return -EFAULT;
        if (done > 0)
                memcpy(bytes, request->head + offset, done);
        offset += done;
        i = part_find(part, &offset);
        for (; done < len && i < part.n; i++, offset = 0) {
                uint32_t piece = MIN(part.segments[i].len - offset, len - done);
                int r = guest_memory_read(memory, GPA(part.segments[i].at.v + offset),
                                          (uint8_t *)bytes + done, piece);

                if (r < 0)
                        return r;
                done += piece;
        }
        assert(done == len);
        return 0;
}

int memory_service_write(const struct guest_memory *memory, const struct request *request, uint32_t offset,
                         const void *bytes, uint32_t len)
{
        return part_fill(memory, part_writable(request), offset, bytes, len);
}

int memory_service_close_gap(const struct guest_memory *memory, struct request *request, uint32_t offset)
{
        uint32_t from = request->written;

        if (offset <= from)
                return 0;
        request->written = offset;
        return part_fill(memory, part_writable(request), from, NULL, offset - from);
}

void memory_service_written(struct request *request, uint32_t offset, uint32_t len)
{
        request->written = MAX(request->written, offset + len);
}
