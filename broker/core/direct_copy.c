/* Direct copy from guest memory to the worker that is attached, and the pages for both directions.
 *
 * One system call copies the parts of a whole frame; those that lie next to each other are one range of it. Whose fault is
 * one that ends early? It touches both memories and does not say. So each part goes once more by itself, and where that ends
 * early, too, the next page goes by way of a buffer of ours: what cannot be had from the worker is the worker's fault, what
 * the guest's memory does not give is the guest's.
 *
 * Owns the pages of the area; called by lane.c and lane_batch.c, in the lane's thread. TRUST: the area's address and
 * length are the worker's word, and only the kernel looks at them, as at addresses of that process; lengths are those of
 * judged chains, and a request's pages are ours to know.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/direct_copy.h"

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
        uint64_t len;   /* of all that is copied, with the zeros between */
        uint32_t last;  /* ... of the last part, whose spans may not reach its end, */
        size_t at_last; /* and which request that is */
};

/* ---- pages ---- */

void direct_open(struct direct_copy *direct, const struct direct_peer *peer)
{
        direct_close(direct);
        if (!peer || peer->area.len == 0)
                return;
        direct->peer = *peer;
        direct->open = true;
}

void direct_close(struct direct_copy *direct)
{
        direct->open = false;
        area_init(&direct->ins, 0);
        area_init(&direct->outs, 0);
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
        area_give(&direct->ins, &request->in);
        area_give(&direct->outs, &request->out);
}

static uint32_t n_steps(uint32_t len, uint32_t step)
{
        return (len + step - 1) / step;
}

/* As direct_take: the lowest number is that of the last page, and what is behind the last place for a readable part can be
 * had. */
static bool direct_take_out(struct direct_copy *direct, uint32_t n, struct area_span *ret_span)
{
        const struct control_area *area = &direct->peer.area;
        uint64_t ins = (uint64_t)direct->ins.end * control_area_step(area);

        area_resize(&direct->outs, (uint32_t)((area->len - ins) / LIMIT_AREA_PAGE));
        return area_take(&direct->outs, n, ret_span);
}

void direct_lend(struct direct_copy *direct, struct request *request, bool single)
{
        uint32_t len = request->chain.writable, least = single ? DIRECT_SINGLE_MIN : DIRECT_LEND_MIN;

        if (direct->open && direct->peer.area.out && len >= least && len <= LIMIT_DIRECT_LEND)
                (void)direct_take_out(direct, n_steps(len, LIMIT_AREA_PAGE), &request->out);
}

bool direct_may_fetch(const struct request *request, uint32_t len)
{
        return len <= request->chain.writable && len <= request->out.n * LIMIT_AREA_PAGE;
}

bool direct_takes(const struct direct_copy *direct, uint32_t len, bool single)
{
        return direct->open && len >= (single ? DIRECT_SINGLE_MIN : DIRECT_MIN) && len <= LIMIT_DIRECT_PART;
}

/* Neither ever reaches into the other's: each is given as many as the other has left, and `end` says how many those are. */
bool direct_take(struct direct_copy *direct, struct request *request)
{
        const struct control_area *area = &direct->peer.area;
        uint32_t step = control_area_step(area), len = control_area_shift(area) + request->chain.readable;

        area_resize(&direct->ins, (area->len - direct->outs.end * LIMIT_AREA_PAGE) / step);
        return area_take(&direct->ins, n_steps(len, step), &request->in);
}

uint32_t direct_place_in(const struct request *request)
{
        return request->in.n > 0 ? request->in.first + 1u : 0;
}

static uint64_t direct_in_address(const struct direct_copy *direct, const struct request *request)
{
        const struct control_area *area = &direct->peer.area;

        return area->at + (uint64_t)request->in.first * control_area_step(area) + control_area_shift(area);
}

/* The first page of a span that is counted from the area's end. */
static uint32_t direct_out_page(const struct direct_copy *direct, const struct area_span *span)
{
        return direct->peer.area.len / LIMIT_AREA_PAGE - span->first - span->n;
}

uint32_t direct_place_out(const struct direct_copy *direct, const struct request *request)
{
        return request->out.n > 0 ? direct_out_page(direct, &request->out) + 1 : 0;
}

uint64_t direct_out_address(const struct direct_copy *direct, const struct request *request)
{
        return direct->peer.area.at + (uint64_t)direct_out_page(direct, &request->out) * LIMIT_AREA_PAGE;
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
        return (struct direct_part){
            .direct = direct, .memory = memory, .request = request, .at = direct_in_address(direct, request)};
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

/* The bytes between the run's end in the worker and this part, if it begins so soon behind that zeros are put there to have
 * one range of both: less than a line. SIZE_MAX: it does not, or it lies in front. A place is longer than that, so what is
 * between is of these two's own places: the end of the one and the beginning of the other, which nobody reads. */
static size_t direct_gap(const struct direct_run *run, const struct direct_part *part)
{
        const struct iovec *last;
        uint64_t gap;

        if (run->n_remote == 0)
                return SIZE_MAX;
        last = &part->direct->remote[run->n_remote - 1];
        gap = part->at - ((uintptr_t)last->iov_base + last->iov_len);
        return gap < LIMIT_AREA_LINE ? (size_t)gap : SIZE_MAX;
}

/* Adds a part to the run. False: its memory is gone. */
static bool direct_add(struct direct_run *run, const struct direct_part *part)
{
        static const uint8_t zeros[LIMIT_AREA_LINE];
        struct direct_copy *direct = part->direct;
        size_t gap = direct_gap(run, part), n_local = run->n_local;
        int64_t r;

        if (gap > 0 && gap < LIMIT_AREA_LINE)
                direct->local[n_local++] = (struct iovec){.iov_base = (void *)zeros, .iov_len = gap};
        r = memory_service_iovec_readable(part->memory, part->request, 0, part->request->chain.readable,
                                          direct->local, DIRECT_SPANS, &n_local);
        if (r < 0)
                return false;
        run->n_local = n_local;
        run->last = (uint32_t)r;
        run->len += (uint64_t)r;
        if (gap == SIZE_MAX) {
                direct->remote[run->n_remote++] = direct_remote(part, 0, (uint32_t)r);
                return true;
        }
        direct->remote[run->n_remote - 1].iov_len += gap + (size_t)r;
        run->len += gap;
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
                if (direct_add(&run, &part))
                        run.at_last = run.n;
                else
                        direct_must_fail(direct, request);
        }
        return run;
}

/* What is behind the first `done` bytes of this one. 0, -ESRCH or -EIO: as direct_push. */
static int direct_finish(struct direct_copy *direct, const struct guest_memory *memory,
                         struct request *request, uint32_t done)
{
        struct direct_part part = direct_part(direct, memory, request);
        int r = direct_move(&part, done);

        if (r == -EFAULT)
                direct_must_fail(direct, request);
        return r == -EFAULT ? 0 : r;
}

/* The call has ended early: each by itself, from its beginning on, since nobody has been told of any. */
static int direct_each(struct direct_copy *direct, const struct guest_memory *memory,
                       struct request *const *requests, size_t n)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < n; i++)
                if (requests[i]->in.n > 0)
                        r = direct_finish(direct, memory, requests[i], 0);
        return r;
}

/* One call for the run, and what it has left. */
static int direct_call_run(struct direct_copy *direct, const struct guest_memory *memory,
                           struct request *const *requests, const struct direct_run *run)
{
        ssize_t done;

        if (run->n_remote == 0)
                return 0;
        done = direct_call(direct, direct->local, run->n_local, direct->remote, run->n_remote);
        if (done == -ESRCH)
                return -ESRCH;
        if (done != (ssize_t)run->len)
                return direct_each(direct, memory, requests, run->n);
        return direct_finish(direct, memory, requests[run->at_last], run->last);
}

int direct_push(struct direct_copy *direct, const struct guest_memory *memory,
                struct request *const *requests, size_t n)
{
        int r = 0;

        while (r == 0 && n > 0) {
                struct direct_run run = direct_gather(direct, memory, requests, n);

                r = direct_call_run(direct, memory, requests, &run);
                requests += run.n;
                n -= run.n;
        }
        if (r == -ESRCH)
                direct_end(direct);
        return r;
}
