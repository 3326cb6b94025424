/* An IOMMU (virtio 1.3, 5.13): its driver says which of the VM's devices reach which memory, by addresses of its own choice, and the
 * broker is told.
 * Owns its memory's mapping and what waits; called by the runtime. TRUST: requests are the guest's, judged by iommu_req.c; the memory
 * and the state are a predecessor's, judged by iommu_domain.c; answers and faults are the broker's.
 *
 * How it works: one request after another, in the order in which they came. One that changes what devices reach is carried out in
 * steps, each of which is messages to the broker (worker_iommu.h), as many at once as may be unanswered:
 *     CLEAR    all that one endpoint reaches is taken back
 *     FILL     all that a domain maps is mapped for one endpoint
 *     MAP      one mapping, for every endpoint of its domain
 *     UNMAP    one range, likewise
 * ATTACH is CLEAR and FILL, DETACH is CLEAR. What the broker refuses is undone by CLEAR or UNMAP. Only when all have been answered is it
 * written down (iommu_domain.h), and only then is the driver told: so "unmapped" means that nobody reaches it any more.
 *
 * A worker that dies in the middle has written nothing down, and its successor, which is sent the request again, begins it again: a
 * page that is mapped twice, or taken back twice, is what it is after once.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/checked.h"
#include "proto/device/iommu.h"
#include "workers/iommu/iommu_domain.h"
#include "workers/iommu/iommu_req.h"
#include "workers/runtime/device_ops.h"
#include "workers/runtime/supply.h"
#include "workers/runtime/worker_count.h"
#include "workers/runtime/worker_iommu.h"
#include "workers/runtime/worker_log.h"
#include "workers/runtime/worker_say.h"

#define F_MAP_UNMAP (UINT64_C(1) << 2) /* VIRTIO_IOMMU_F_ (5.13.3) */
#define F_PROBE     (UINT64_C(1) << 4)

#define REQUESTS 0u /* queues (5.13.2) */
#define EVENTS   1u

#define IOMMU_CREDITS 128u

enum step {
        STEP_CLEAR = 0,
        STEP_FILL,
        STEP_MAP,
        STEP_UNMAP,
};

/* The request that is being carried out. */
struct work {
        struct request
            *request; /* NULL: there is none, but at the beginning of an epoch (`req` is no request's then) */
        struct iommu_req req;
        enum step step;
        enum iommu_status status; /* IOMMU_OK: so far */
        uint32_t slot, endpoint;  /* what comes next of this step */
        uint32_t unanswered;
};

struct iommu {
        struct iommu_memory *memory;
        uint64_t endpoints; /* that there are */
        bool begun;         /* this epoch: by us, or by a predecessor */
        bool busy;
        struct work work;
        uint32_t next_id, next_answer;
        struct request *waiting[IOMMU_CREDITS]; /* a ring */
        uint32_t first, n_waiting;
};

static struct iommu iommu;

static int iommu_init(void *state, const struct control_configure *configure, const int *resources,
                      unsigned n_resources, struct control_hello *ret_hello)
{
        struct iommu *self = state;
        int r;

        if (configure->n_queues != 2 || n_resources != 1)
                return -EINVAL;
        self->endpoints = configure->endpoints;
        r = iommu_memory_open(resources[0], &self->memory);
        if (r < 0) {
                worker_log(LOG_LEVEL_ERROR, "there is no memory to write down what is mapped: errno=%d", -r);
                return r;
        }
        *ret_hello = (struct control_hello){
            .device_type = device_types[DEVICE_TYPE_IOMMU].virtio_id,
            .features = F_MAP_UNMAP | F_PROBE,
            .n_queues = 2,
            .queue_kind = {QUEUE_WORK, QUEUE_SUPPLY},
            .queue_replay = {REPLAY_IDEMPOTENT, REPLAY_IDEMPOTENT},
            .max_segments = LIMIT_CHAIN_SEGMENTS,
            .credit_requests = IOMMU_CREDITS,
            .credit_bytes = IOMMU_CREDITS * IOMMU_REQ_BYTES,
            .max_inline = IOMMU_REQ_BYTES,
            .n_fields = 7, /* struct virtio_iommu_config (5.13.4) */
            .fields = {{.offset = 0, .width = 8, .value = ~(IOMMU_PAGE - 1)}, /* page_size_mask */
                       {.offset = 8, .width = 8, .value = 0},                 /* input_range.start */
                       {.offset = 16, .width = 8, .value = UINT64_MAX},       /* ... .end */
                       {.offset = 24, .width = 4, .value = 0},                /* domain_range.start */
                       {.offset = 28, .width = 4, .value = UINT32_MAX},       /* ... .end */
                       {.offset = 32, .width = 4, .value = IOMMU_PROBE_BYTES},
                       {.offset = 36, .width = 4}}, /* bypass, and what is reserved behind it */
        };
        return 0;
}

static bool is_there(const struct iommu *self, uint32_t endpoint)
{
        return endpoint < LIMIT_DEVICES && (self->endpoints >> endpoint & 1);
}

/* ---- answers to the driver ---- */

/* Properties, if there are any, are all zeros: there is none (5.13.6.7). */
static void answer(struct request *request, enum iommu_status status)
{
        const uint32_t writable = request_writable(request);
        uint8_t *tail = request_reserve(request, IOMMU_TAIL_BYTES);

        if (status != IOMMU_OK)
                worker_count(IOMMU_COUNTER_REFUSED, 1);
        memset(tail, 0, IOMMU_TAIL_BYTES);
        tail[0] = (uint8_t)status;
        request_complete(request, writable - IOMMU_TAIL_BYTES, IOMMU_TAIL_BYTES);
}

/* ---- steps ---- */

static void step_begin(struct work *work, enum step step)
{
        work->step = step;
        work->slot = work->endpoint = 0;
}

/* The next endpoint of the request's domain. */
static bool next_endpoint(const struct iommu *self, uint32_t *endpoint)
{
        for (; *endpoint < LIMIT_DEVICES; ++*endpoint)
                if (is_there(self, *endpoint) &&
                    iommu_domain_has(self->memory, self->work.req.domain, *endpoint))
                        return true;
        return false;
}

/* The one endpoint, and then no more; of the beginning of an epoch, each that there is. */
static bool step_clear(struct iommu *self)
{
        struct work *work = &self->work;

        if (work->request)
                work->endpoint = MAX(work->endpoint, work->req.endpoint);
        while (work->endpoint < LIMIT_DEVICES && !is_there(self, work->endpoint))
                work->endpoint++;
        if (work->endpoint >= LIMIT_DEVICES || (work->request && work->endpoint > work->req.endpoint))
                return false;
        worker_iommu_unmap(self->next_id++, work->endpoint++, 0, 0);
        return true;
}

static bool step_fill(struct iommu *self)
{
        struct work *work = &self->work;
        const struct iommu_mapping *mapping;

        work->slot = iommu_domain_next(self->memory, work->req.domain, work->slot);
        if (work->slot == IOMMU_NO_SLOT || work->status != IOMMU_OK)
                return false;
        mapping = &self->memory->mappings[work->slot++];
        worker_iommu_map(self->next_id++, work->req.endpoint, mapping->start,
                         mapping->end - mapping->start + 1, mapping->phys, mapping->flags);
        return true;
}

static bool step_map(struct iommu *self)
{
        struct work *work = &self->work;
        const struct iommu_req *req = &work->req;

        if (!next_endpoint(self, &work->endpoint))
                return false;
        worker_iommu_map(self->next_id++, work->endpoint++, req->start, req->end - req->start + 1, req->phys,
                         req->flags);
        return true;
}

static bool step_unmap(struct iommu *self)
{
        struct work *work = &self->work;
        const struct iommu_req *req = &work->req;

        if (!next_endpoint(self, &work->endpoint))
                return false;
        worker_iommu_unmap(self->next_id++, work->endpoint++, req->start, req->end - req->start + 1);
        return true;
}

/* Says the next thing of the step. False: all has been said. */
static bool (*const step_say[])(struct iommu *self) = {
    [STEP_CLEAR] = step_clear,
    [STEP_FILL] = step_fill,
    [STEP_MAP] = step_map,
    [STEP_UNMAP] = step_unmap,
};

/* What is so in the broker is written down. What has failed is as if it had not been begun; but an endpoint that was to go elsewhere
 * is nowhere. */
static void write_down(struct iommu *self)
{
        const struct work *work = &self->work;
        const struct iommu_req *req = &work->req;

        if (req->op == IOMMU_ATTACH && work->status == IOMMU_OK)
                iommu_domain_enter(self->memory, req->domain, req->endpoint);
        else if (req->op == IOMMU_ATTACH || req->op == IOMMU_DETACH)
                iommu_domain_leave(self->memory, req->endpoint);
        else if (req->op == IOMMU_MAP && work->status == IOMMU_OK)
                iommu_domain_map(self->memory, req);
        else
                iommu_domain_unmap(self->memory, req);
}

/* All of a step has been answered. True: another one follows. */
static bool step_end(struct work *work)
{
        bool failed = work->status != IOMMU_OK;

        if (!work->request)
                return false;
        if (work->step == STEP_CLEAR && work->req.op == IOMMU_ATTACH && !failed)
                step_begin(work, STEP_FILL);
        else if (work->step == STEP_FILL && failed)
                step_begin(work, STEP_CLEAR);
        else if (work->step == STEP_MAP && failed)
                step_begin(work, STEP_UNMAP);
        else
                return false;
        return true;
}

static void work_on(struct iommu *self)
{
        struct work *work = &self->work;

        do {
                while (work->unanswered < LIMIT_IOMMU_PENDING && step_say[work->step](self))
                        work->unanswered++;
                if (work->unanswered > 0)
                        return;
        } while (step_end(work));
        self->busy = false;
        if (!work->request)
                return;
        write_down(self);
        answer(work->request, work->status);
}

/* ---- requests ---- */

/* Whether it may be done at all. IOMMU_OK and *ret_done: there is nothing to do. */
static enum iommu_status judge(const struct iommu *self, const struct iommu_req *req, bool again,
                               bool *ret_done)
{
        const struct iommu_memory *memory = self->memory;

        *ret_done = false;
        switch (req->op) {
        case IOMMU_PROBE:
                *ret_done = true;
                return is_there(self, req->endpoint) ? IOMMU_OK : IOMMU_NOENT;
        case IOMMU_ATTACH:
                if (!is_there(self, req->endpoint))
                        return IOMMU_NOENT;
                *ret_done = iommu_domain_has(memory, req->domain, req->endpoint);
                return IOMMU_OK;
        case IOMMU_DETACH:
                if (!is_there(self, req->endpoint))
                        return IOMMU_NOENT;
                *ret_done = again && !memory->endpoints[req->endpoint].attached;
                return *ret_done || iommu_domain_has(memory, req->domain, req->endpoint) ? IOMMU_OK
                                                                                         : IOMMU_INVAL;
        case IOMMU_MAP:
                *ret_done = again && iommu_domain_is_mapped(memory, req);
                return *ret_done ? IOMMU_OK : iommu_domain_may_map(memory, req);
        case IOMMU_UNMAP:
                return iommu_domain_may_unmap(memory, req);
        }
        return IOMMU_UNSUPP;
}

/* A predecessor may have carried out a part of what must fail: it is undone. */
static void work_begin(struct iommu *self, struct request *request, const struct iommu_req *req, bool fails)
{
        static const enum step first[] = {[IOMMU_ATTACH] = STEP_CLEAR,
                                          [IOMMU_DETACH] = STEP_CLEAR,
                                          [IOMMU_MAP] = STEP_MAP,
                                          [IOMMU_UNMAP] = STEP_UNMAP};

        self->work =
            (struct work){.request = request, .req = *req, .status = fails ? IOMMU_DEVERR : IOMMU_OK};
        step_begin(&self->work, fails && req->op == IOMMU_MAP ? STEP_UNMAP : first[req->op]);
        self->busy = true;
        work_on(self);
}

static void serve(struct iommu *self, struct request *request)
{
        const uint32_t len = MIN(request_readable(request), IOMMU_REQ_BYTES);
        const bool fails = request_must_fail(request);
        uint8_t bytes[IOMMU_REQ_BYTES];
        enum iommu_status status;
        struct iommu_req req;
        bool done;

        if (request_read(request, 0, bytes, len) < 0) {
                answer(request, IOMMU_DEVERR);
                return;
        }
        status = iommu_req_check(bytes, len, request_writable(request), &req);
        if (status == IOMMU_OK)
                status = judge(self, &req, request_attempt(request) > 0, &done);
        if (status == IOMMU_OK && fails && req.op == IOMMU_PROBE)
                status = IOMMU_DEVERR;
        if (status != IOMMU_OK || (done && !fails))
                answer(request, status);
        else
                work_begin(self, request, &req, fails);
}

/* A driver's time with the device begins: nothing is left of another, here or in the broker. */
static void epoch_begin(struct iommu *self)
{
        uint8_t state[8];

        self->begun = true;
        iommu_domain_clear(self->memory);
        bytes_store64(state, self->memory->epoch);
        worker_state_put(state, sizeof(state));
        self->work = (struct work){.step = STEP_CLEAR};
        self->busy = true;
        work_on(self);
}

static void serve_waiting(struct iommu *self)
{
        while (!self->busy && self->n_waiting > 0) {
                struct request *request = self->waiting[self->first];

                if (!self->begun) {
                        epoch_begin(self);
                        continue;
                }
                self->first = (self->first + 1) % IOMMU_CREDITS;
                self->n_waiting--;
                serve(self, request);
        }
}

/* The broker never sends more than it was told we hold. */
static void iommu_handle(void *state, struct request *request)
{
        struct iommu *self = state;

        if (request_writable(request) < IOMMU_TAIL_BYTES) {
                request_refuse(request); /* it cannot even be told */
                return;
        }
        self->waiting[(self->first + self->n_waiting++) % IOMMU_CREDITS] = request;
        serve_waiting(self);
}

static enum iommu_status status_of(int error)
{
        switch (error) {
        case 0:
                return IOMMU_OK;
        case -EFAULT:
                return IOMMU_RANGE; /* no memory of the guest's */
        case -ENOSPC:
        case -ENOMEM:
                return IOMMU_NOMEM;
        default:
                return IOMMU_DEVERR;
        }
}

static void iommu_answered(void *state, uint32_t id, int error)
{
        struct iommu *self = state;

        if (id != self->next_answer || !self->busy)
                return; /* no word of ours */
        self->next_answer++;
        self->work.unanswered--;
        if (error < 0 && self->work.status == IOMMU_OK)
                self->work.status = status_of(error);
        work_on(self);
        serve_waiting(self);
}

/* ---- faults ---- */

static void iommu_faulted(void *state, uint32_t endpoint, uint64_t iova, unsigned rights)
{
        const struct iommu *self = state;
        struct request *request = supply_first(EVENTS);

        if (!request) {
                worker_count(IOMMU_COUNTER_DROPPED, 1);
                return;
        }
        if (request_writable(request) < IOMMU_FAULT_BYTES) {
                request_refuse(request);
                return;
        }
        iommu_fault_make(request_reserve(request, IOMMU_FAULT_BYTES), endpoint, iova, rights,
                         self->begun && self->memory->endpoints[endpoint].attached);
        request_complete(request, 0, IOMMU_FAULT_BYTES);
        worker_count(IOMMU_COUNTER_FAULTS, 1);
}

/* ---- a predecessor's ---- */

/* Of another epoch, or of none: what is mapped in the broker is forgotten with the first request. */
static int iommu_restore_state(void *state, const uint8_t *bytes, size_t len)
{
        struct iommu *self = state;

        if (len != 8 || bytes_load64(bytes) != self->memory->epoch)
                return 0;
        iommu_domain_adopt(self->memory);
        self->begun = true;
        return 0;
}

const struct device_ops device_ops = {
    .type = DEVICE_TYPE_IOMMU,
    .state = &iommu,
    .init = iommu_init,
    .iommu_answered = iommu_answered,
    .iommu_faulted = iommu_faulted,
    .restore_state = iommu_restore_state,
    .handle = iommu_handle,
};
