/* Direct copy from guest memory to the worker that is attached, and the pages for both directions.
 *
 * One system call copies the parts of a whole frame. Whose fault is one that ends early? It touches both memories and does
 * not say. So what is left goes part by part, and where that ends early, too, the next page goes by way of a buffer of ours:
 * what cannot be had from the worker is the worker's fault, what the guest's memory does not give is the guest's.
 *
 * Owns the pages of the area; called by lane.c and lane_batch.c, in the lane's thread. TRUST: the area's address and
 * length are the worker's word, and only the kernel looks at them, as at addresses of that process; lengths are those of
 * judged chains, and a request's pages are ours to know.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/direct_copy.h"

#include <assert.h>
#include <errno.h>
#include <sys/uio.h>

#include "broker/core/memory_service.h"
#include "proto/base/checked.h"

/* A request's readable part, and where it goes in the worker. */
struct direct_part {
        struct direct_copy *direct;
        const struct guest_memory *memory;
        const struct request *request;
        uint64_t at; /* of its first byte */
};

/* Parts that one call copies, one behind the other. */
struct direct_run {
        size_t n; /* requests, with those that have no pages */
        size_t n_local, n_remote;
        uint64_t len; /* of all parts; the spans of the last may not reach its end */
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

bool direct_take(struct direct_copy *direct, struct request *request)
{
        uint32_t len = direct_shift(direct) + request->chain.readable;

        return area_take(&direct->area, (len + LIMIT_AREA_PAGE - 1) / LIMIT_AREA_PAGE, &request->in);
}

/* ---- one part, or what is left of it ---- */

/* One system call. Bytes (fewer: something was missing on one side), or negative errno; -ESRCH: no way there. */
static ssize_t direct_call(const struct direct_copy *direct, const struct iovec *local, size_t n_local,
                           const struct iovec *remote, size_t n_remote)
{
        ssize_t n = process_vm_writev((pid_t)direct->peer.pid, local, n_local, remote, n_remote, 0);

        if (n >= 0)
                return n;
        return errno == EPERM ? -ESRCH : -errno;
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

static struct direct_part direct_part(struct direct_copy *direct, const struct guest_memory *memory,
                                      const struct request *request)
{
        return (struct direct_part){.direct = direct,
                                    .memory = memory,
                                    .request = request,
                                    .at = direct_address(direct, &request->in) + direct_shift(direct)};
}

static struct iovec direct_remote(const struct direct_part *part, uint32_t offset, uint32_t len)
{
        return (struct iovec){.iov_base = (void *)(uintptr_t)(part->at + offset), .iov_len = len};
}

/* From `offset` on, a page at most, by way of a buffer of ours: says whose fault it is, or that it was nobody's. */
static int direct_bounce(const struct direct_part *part, uint32_t offset, uint32_t len)
{
        uint8_t bytes[LIMIT_AREA_PAGE];
        struct iovec local = {.iov_base = bytes, .iov_len = len};
        struct iovec remote = direct_remote(part, offset, len);
        ssize_t n;

        if (memory_service_read(part->memory, part->request, offset, bytes, len) < 0)
                return -EFAULT;
        n = direct_call(part->direct, &local, 1, &remote, 1);
        if (n == -ESRCH)
                return -ESRCH;
        return n == (ssize_t)len ? 0 : -EIO;
}

/* As many bytes from `offset` on as one call takes. How many have been copied, or the error of direct_move. */
static ssize_t direct_step(const struct direct_part *part, uint32_t offset, uint32_t len)
{
        struct iovec *local = part->direct->local;
        struct iovec remote;
        size_t n_local = 0;
        uint32_t piece;
        int64_t want;
        ssize_t n;
        int r;

        want = memory_service_iovec_readable(part->memory, part->request, offset, len, local, DIRECT_SPANS,
                                             &n_local);
        if (want < 0)
                return -EFAULT;
        remote = direct_remote(part, offset, (uint32_t)want);
        n = direct_call(part->direct, local, n_local, &remote, 1);
        if (n == -ESRCH || n == want)
                return n;
        n = MAX(n, (ssize_t)0);
        piece = MIN(len - (uint32_t)n, LIMIT_AREA_PAGE);
        r = direct_bounce(part, offset + (uint32_t)n, piece);
        return r < 0 ? r : n + (ssize_t)piece;
}

/* From `done` on. Each step copies a page at least, or ends it: -EFAULT: the guest's memory is gone; -EIO: the worker's is;
 * -ESRCH: no way there. */
static int direct_move(const struct direct_part *part, uint32_t done)
{
        uint32_t len = part->request->chain.readable;

        while (done < len) {
                ssize_t n = direct_step(part, done, len - done);

                if (n < 0)
                        return (int)n;
                done += (uint32_t)n;
        }
        return 0;
}

/* ---- a whole frame's ---- */

static void direct_must_fail(struct direct_copy *direct, struct request *request)
{
        direct_release(direct, request);
        request->must_fail = true;
}

/* Adds a part to the run. False: its memory is gone. */
static bool direct_add(struct direct_run *run, const struct direct_part *part)
{
        struct direct_copy *direct = part->direct;
        uint32_t len = part->request->chain.readable;
        size_t n_local = run->n_local;
        int64_t r = memory_service_iovec_readable(part->memory, part->request, 0, len, direct->local,
                                                  DIRECT_SPANS, &n_local);

        if (r < 0)
                return false;
        run->n_local = n_local;
        direct->remote[run->n_remote++] = direct_remote(part, 0, (uint32_t)r);
        run->len += len;
        return true;
}

/* As many of them as one call takes. */
static struct direct_run direct_gather(struct direct_copy *direct, const struct guest_memory *memory,
                                       struct request *const *requests, size_t n)
{
        struct direct_run run = {0};

        for (; run.n < n && run.n_remote < DIRECT_RANGES && run.n_local < DIRECT_SPANS; run.n++) {
                struct request *request = requests[run.n];
                struct direct_part part;

                if (request->in.n == 0)
                        continue;
                part = direct_part(direct, memory, request);
                if (!direct_add(&run, &part))
                        direct_must_fail(direct, request);
        }
        return run;
}

/* What is behind the first `done` bytes of these parts, each by itself. */
static int direct_rest(struct direct_copy *direct, const struct guest_memory *memory,
                       struct request *const *requests, size_t n, uint64_t done)
{
        for (size_t i = 0; i < n; i++) {
                struct request *request = requests[i];
                uint32_t here = (uint32_t)MIN(done, (uint64_t)request->chain.readable);
                struct direct_part part;
                int r;

                if (request->in.n == 0)
                        continue;
                done -= here;
                part = direct_part(direct, memory, request);
                r = direct_move(&part, here);
                if (r == -EFAULT)
                        direct_must_fail(direct, request);
                else if (r < 0)
                        return r;
        }
        return 0;
}

int direct_push(struct direct_copy *direct, const struct guest_memory *memory,
                struct request *const *requests, size_t n)
{
        int r = 0;

        while (r == 0 && n > 0) {
                struct direct_run run = direct_gather(direct, memory, requests, n);
                ssize_t done = 0;

                if (run.n_remote > 0)
                        done = direct_call(direct, direct->local, run.n_local, direct->remote, run.n_remote);
                if (done == -ESRCH)
                        r = -ESRCH;
                else if (done != (ssize_t)run.len)
                        r = direct_rest(direct, memory, requests, run.n, (uint64_t)MAX(done, (ssize_t)0));
                requests += run.n;
                n -= run.n;
        }
        if (r == -ESRCH)
                direct_end(direct);
        return r;
}
