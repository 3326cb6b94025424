/* Direct copy from the worker that is attached to guest memory.
 *
 * How it works: a step gathers ranges from where the last one has ended, until a list is full, and is one call. Where the
 * call ends early, the next bytes, a page at most, go by way of a buffer of ours: that tells whose memory was missing
 * (direct_copy.c does likewise). So each step copies a page at least, or ends a request, or ends it all.
 *
 * Owns nothing; called by lane_rx.c, in the lane's thread. TRUST: addresses are those of pages that we have handed out, in
 * an area that is the worker's word: only the kernel looks at them, as at addresses of that process. Lengths are judged. The
 * bytes are the worker's and are not looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/direct_fetch.h"

#include <assert.h>
#include <errno.h>
#include <sys/uio.h>

#include "broker/core/memory_service.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

struct fetch {
        struct direct_copy *direct;
        const struct guest_memory *memory;
        struct request *const *requests;
        const uint32_t *len;
        size_t n;
        size_t at;     /* the request that is under way */
        uint32_t done; /* bytes of it */
};

/* How much of the lists of `direct` one call uses. */
struct fetch_call {
        size_t n_local, n_remote;
        uint64_t len;
};

/* Of a process that has no memory any more, or that is not our worker any more. */
static bool fetch_is_gone(int error)
{
        return error == ESRCH || error == EPERM;
}

static void *fetch_address(const struct fetch *fetch, size_t at, uint32_t done)
{
        return (void *)(uintptr_t)(direct_out_address(fetch->direct, fetch->requests[at]) + done);
}

/* Passes over what has come, and over requests that have no memory any more: nothing is fetched for those. False: that was all. */
static bool fetch_next(struct fetch *fetch)
{
        while (fetch->at < fetch->n &&
               (fetch->done == fetch->len[fetch->at] || fetch->requests[fetch->at]->faulted)) {
                fetch->at++;
                fetch->done = 0;
        }
        return fetch->at < fetch->n;
}

/* Bytes have been copied. */
static void fetch_advance(struct fetch *fetch, uint64_t len)
{
        while (len > 0 && fetch_next(fetch)) {
                uint32_t here = (uint32_t)MIN(len, (uint64_t)(fetch->len[fetch->at] - fetch->done));

                fetch->done += here;
                len -= here;
        }
}

/* The ranges of one request from `done` on. False: a list is full. */
static bool fetch_gather_one(const struct fetch *fetch, size_t at, uint32_t done, struct fetch_call *call)
{
        struct request *request = fetch->requests[at];
        uint32_t want = fetch->len[at] - done;
        int64_t r;

        if (want == 0 || request->faulted)
                return true;
        if (call->n_remote == DIRECT_RANGES || call->n_local == DIRECT_SPANS)
                return false;
        r = memory_service_iovec_writable(fetch->memory, request, done, want, fetch->direct->local,
                                          DIRECT_SPANS, &call->n_local);
        if (r < 0) {
                request->faulted = true;
                return true;
        }
        assert(r > 0); /* the length was judged, and there was room */
        fetch->direct->remote[call->n_remote++] =
            (struct iovec){.iov_base = fetch_address(fetch, at, done), .iov_len = (size_t)r};
        call->len += (uint64_t)r;
        return r == want;
}

static void fetch_gather(const struct fetch *fetch, struct fetch_call *call)
{
        uint32_t done = fetch->done;

        call->n_local = call->n_remote = 0;
        call->len = 0;
        for (size_t at = fetch->at; at < fetch->n && fetch_gather_one(fetch, at, done, call); at++)
                done = 0;
}

/* A page at most from where it is, by way of a buffer of ours. 0, or the error of direct_fetch. */
static int fetch_bounce(struct fetch *fetch)
{
        struct request *request = fetch->requests[fetch->at];
        uint32_t len = MIN(fetch->len[fetch->at] - fetch->done, LIMIT_AREA_PAGE);
        uint8_t bytes[LIMIT_AREA_PAGE];
        struct iovec local = {.iov_base = bytes, .iov_len = len};
        struct iovec remote = {.iov_base = fetch_address(fetch, fetch->at, fetch->done), .iov_len = len};
        ssize_t n = process_vm_readv((pid_t)fetch->direct->peer.pid, &local, 1, &remote, 1, 0);

        if (n < 0 && fetch_is_gone(errno))
                return -ESRCH;
        if (n != (ssize_t)len)
                return -EIO;
        if (memory_service_write(fetch->memory, request, fetch->done, bytes, len) < 0)
                request->faulted = true;
        else
                fetch->done += len;
        return 0;
}

static int fetch_step(struct fetch *fetch)
{
        struct fetch_call call _uninitialized_;
        ssize_t n;

        fetch_gather(fetch, &call);
        if (call.len == 0)
                return 0; /* no request has memory */
        n = process_vm_readv((pid_t)fetch->direct->peer.pid, fetch->direct->local, call.n_local,
                             fetch->direct->remote, call.n_remote, 0);
        if (n < 0 && fetch_is_gone(errno))
                return -ESRCH;
        fetch_advance(fetch, (uint64_t)MAX(n, (ssize_t)0));
        return n == (ssize_t)call.len || !fetch_next(fetch) ? 0 : fetch_bounce(fetch);
}

int direct_fetch(struct direct_copy *direct, const struct guest_memory *memory,
                 struct request *const *requests, const uint32_t *len, size_t n)
{
        struct fetch fetch = {.direct = direct, .memory = memory, .requests = requests, .len = len, .n = n};
        int r = 0;

        while (r == 0 && fetch_next(&fetch))
                r = fetch_step(&fetch);
        return r;
}
