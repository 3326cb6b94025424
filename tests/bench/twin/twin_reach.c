/* How a disk of the twin reaches guest memory.
 * Owns nothing; called by the disk. TRUST: segments are judged by the walk, offsets are the disk's own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/twin/twin_reach.h"

#include <errno.h>

#include "broker/core/fault_safe.h"
#include "broker/core/memory_service.h"
#include "proto/base/checked.h"

/* One message for each segment that the range touches: `to` is where bytes of a read go, else `from` is written. */
static int by_messages(int dma, const struct segment *segments, unsigned n, uint32_t offset, uint8_t *to,
                       const uint8_t *from, uint32_t len)
{
        int r = 0;

        for (unsigned i = 0; i < n && len > 0 && r == 0; i++) {
                uint32_t piece;

                if (offset >= segments[i].len) {
                        offset -= segments[i].len;
                        continue;
                }
                piece = MIN(segments[i].len - offset, len);
                if (to) {
                        r = dma_read(dma, GPA(segments[i].at.v + offset), to, piece);
                        to += piece;
                } else {
                        r = dma_write(dma, GPA(segments[i].at.v + offset), from, piece);
                        from += piece;
                }
                len -= piece;
                offset = 0;
        }
        return r == 0 && len > 0 ? -EFAULT : r;
}

/* Copies readable bytes: what is judged must not change any more. */
static int load_mapped(const struct guest_memory *memory, const struct request *request, uint32_t offset,
                       uint8_t *bytes, uint32_t len)
{
        struct iovec iov[LIMIT_BLK_RANGES + 2];
        size_t n = 0;

        if (memory_service_iovec_readable(memory, request, offset, len, iov, array_size(iov), &n) !=
            (int64_t)len)
                return -EFAULT;
        for (size_t i = 0; i < n; bytes += iov[i++].iov_len)
                if (fault_safe_copy(bytes, iov[i].iov_base, iov[i].iov_len) != 0)
                        return -EFAULT;
        return 0;
}

int twin_reach_load(const struct twin_reach *reach, const struct request *request, uint32_t offset,
                    void *bytes, uint32_t len)
{
        const struct chain *chain = &request->chain;

        if (reach->memory)
                return load_mapped(reach->memory, request, offset, bytes, len);
        return by_messages(reach->dma, chain->segments, chain->n_readable, offset, bytes, NULL, len);
}

int twin_reach_store(const struct twin_reach *reach, const struct request *request, uint32_t offset,
                     const void *bytes, uint32_t len)
{
        const struct chain *chain = &request->chain;

        if (reach->memory)
                return memory_service_write(reach->memory, request, offset, bytes, len);
        return by_messages(reach->dma, chain->segments + chain->n_readable, chain->n_writable, offset, NULL,
                           bytes, len);
}

int twin_reach_store_byte(const struct twin_reach *reach, gpa_t at, uint8_t byte)
{
        return reach->memory ? guest_memory_write(reach->memory, at, &byte, 1)
                             : dma_write(reach->dma, at, &byte, 1);
}
