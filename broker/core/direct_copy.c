/* Direct copy from guest memory to the worker that is attached, and the pages for both directions.
 *
 * Whose fault is a copy that ends early? One system call touches both memories and does not say. So the next page goes by
 * way of a buffer of ours: what cannot be had from the worker is the worker's fault, what the guest's memory does not give
 * is the guest's.
 *
 * Owns the pages of the area; called by lane.c and lane_tx.c, in the lane's thread. TRUST: the area's address and
 * length are the worker's word, and only the kernel looks at them, as at addresses of that process; lengths are those of
 * judged chains, and a request's pages are ours to know.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/direct_copy.h"

#include <assert.h>
#include <errno.h>
#include <sys/uio.h>

#include "broker/core/memory_service.h"
#include "proto/base/checked.h"

#define DIRECT_IOVEC 256u /* spans of the guest's in one call: a request of 1 MiB in pages */

/* A request's readable part, and where it goes in the worker. */
struct direct_part {
        const struct direct_copy *direct;
        const struct guest_memory *memory;
        const struct request *request;
        uint64_t at; /* of its first byte */
};

/* ---- pages ---- */

void direct_open(struct direct_copy *direct, const struct direct_peer *peer)
{
        direct_close(direct);
        if (!peer || peer->area.len == 0)
                return;
        direct->peer = *peer;
        direct->open = true;
        area_init(&direct->area, peer->area.len / LIMIT_AREA_PAGE);
}

void direct_close(struct direct_copy *direct)
{
        direct->open = false;
        area_init(&direct->area, 0);
}

void direct_forget(struct request *request)
{
        request->in = request->out = (struct area_span){0};
}

void direct_end(struct direct_copy *direct)
{
        direct->open = false;
}

void direct_release(struct direct_copy *direct, struct request *request)
{
        area_give(&direct->area, &request->in);
        area_give(&direct->area, &request->out);
}

void direct_lend(struct direct_copy *direct, struct request *request)
{
        uint32_t len = request->chain.writable;

        if (direct->open && direct->peer.area.out && len >= DIRECT_LEND_MIN && len <= LIMIT_DIRECT_LEND)
                (void)area_take(&direct->area, (len + LIMIT_AREA_PAGE - 1) / LIMIT_AREA_PAGE, &request->out);
}

bool direct_may_fetch(const struct request *request, uint32_t len)
{
        return len <= request->chain.writable && len <= request->out.n * LIMIT_AREA_PAGE;
}

bool direct_takes(const struct direct_copy *direct, uint32_t len)
{
        return direct->open && len >= DIRECT_MIN && len <= LIMIT_DIRECT_PART;
}

/* Where a readable part begins in its first page: so that what is behind its lead begins with a page. */
static uint32_t direct_shift(const struct direct_copy *direct)
{
        uint32_t lead = direct->peer.area.lead;

        return lead > 0 ? LIMIT_AREA_PAGE - lead : 0;
}

uint64_t direct_address(const struct direct_copy *direct, const struct area_span *span)
{
        return direct->peer.area.at + (uint64_t)span->first * LIMIT_AREA_PAGE;
}

/* ---- copying ---- */

/* One system call. Bytes (fewer: something was missing on one side), or negative errno. */
static ssize_t direct_call(const struct direct_part *part, const struct iovec *local, size_t n_local,
                           uint32_t offset, uint32_t len)
{
        struct iovec remote = {.iov_base = (void *)(uintptr_t)(part->at + offset), .iov_len = len};
        pid_t pid = (pid_t)part->direct->peer.pid;
        ssize_t n = process_vm_writev(pid, local, n_local, &remote, 1, 0);

        return n < 0 ? -errno : n;
}

int direct_probe(uint32_t pid)
{
        uint8_t byte = 0;
        struct iovec local = {.iov_base = &byte, .iov_len = 1};
        struct iovec nowhere = {.iov_base = NULL, .iov_len = 1};

        /* The right is looked at before the address, and at address 0 no process has anything. */
        if (process_vm_writev((pid_t)pid, &local, 1, &nowhere, 1, 0) < 0 && errno != EFAULT)
                return -errno;
        if (process_vm_readv((pid_t)pid, &local, 1, &nowhere, 1, 0) < 0 && errno != EFAULT)
                return -errno;
        return 0;
}

/* From `offset` on, a page at most, by way of a buffer of ours: says whose fault it is, or that it was nobody's. */
static int direct_bounce(const struct direct_part *part, uint32_t offset, uint32_t len)
{
        uint8_t bytes[LIMIT_AREA_PAGE];
        struct iovec local = {.iov_base = bytes, .iov_len = len};
        ssize_t n;

        if (memory_service_read(part->memory, part->request, offset, bytes, len) < 0)
                return -EFAULT;
        n = direct_call(part, &local, 1, offset, len);
        if (n == -ESRCH || n == -EPERM)
                return -ESRCH;
        return n == (ssize_t)len ? 0 : -EIO;
}

/* As many bytes from `offset` on as one call takes. How many have been copied, or the error of direct_push. */
static ssize_t direct_step(const struct direct_part *part, uint32_t offset, uint32_t len)
{
        struct iovec iov[DIRECT_IOVEC];
        size_t n_iov = 0;
        uint32_t piece;
        int64_t want;
        ssize_t n;
        int r;

        want = memory_service_iovec_readable(part->memory, part->request, offset, len, iov, array_size(iov),
                                             &n_iov);
        if (want < 0)
                return -EFAULT;
        n = direct_call(part, iov, n_iov, offset, (uint32_t)want);
        if (n == -ESRCH || n == -EPERM)
                return -ESRCH;
        if (n == want)
                return n;
        n = MAX(n, (ssize_t)0);
        piece = MIN(len - (uint32_t)n, LIMIT_AREA_PAGE);
        r = direct_bounce(part, offset + (uint32_t)n, piece);
        return r < 0 ? r : n + (ssize_t)piece;
}

/* Each step copies a page at least, or ends it. */
static int direct_move(const struct direct_part *part, uint32_t len)
{
        uint32_t done = 0;

        while (done < len) {
                ssize_t n = direct_step(part, done, len - done);

                if (n < 0)
                        return (int)n;
                done += (uint32_t)n;
        }
        return 0;
}

int direct_push(struct direct_copy *direct, const struct guest_memory *memory, struct request *request)
{
        uint32_t shift = direct_shift(direct), len = shift + request->chain.readable;
        struct direct_part part = {.direct = direct, .memory = memory, .request = request};
        int r;

        if (!area_take(&direct->area, (len + LIMIT_AREA_PAGE - 1) / LIMIT_AREA_PAGE, &request->in))
                return -ENOSPC;
        part.at = direct_address(direct, &request->in) + shift;
        r = direct_move(&part, request->chain.readable);
        if (r < 0)
                area_give(&direct->area, &request->in);
        if (r == -ESRCH)
                direct_end(direct);
        return r;
}
