/* The sample device: takes a stream of records, by messages or by a ring in a shared memory region, and says how many they were
 * and what they sum up to. What authors of devices can read first about regions, and about walking a virtqueue by themselves: where
 * its configuration says so (memory: raw), it is given kicks instead of requests (sample_walk.h).
 * Owns the stream; called by the runtime. TRUST: requests, and every byte of the region at any moment, are a guest's. A guest
 * that writes nonsense into the ring gets a wrong sum, or SAMPLE_REFUSED.
 *
 * How it works: both ways feed one parser. In the ring the worker's place (`tail`) is its own; the copy in the region is for the
 * driver to see what is free, and for a successor to go on from.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/checked.h"
#include "workers/runtime/device_ops.h"
#include "workers/runtime/worker_log.h"
#include "workers/runtime/worker_shmem.h"
#include "workers/sample/sample_stream.h"
#include "workers/sample/sample_walk.h"

#define SAMPLE_CREDITS 64u
#define REQUEST_BYTES  sizeof(struct sample_request)
#define ANSWER_BYTES   sizeof(struct sample_answer)

struct sample {
        struct sample_stream stream;
        volatile uint8_t *region; /* NULL: by messages alone */
        uint64_t ring_len;
        uint64_t tail;
        struct sample_walk walk;
};

static struct sample sample;

/* ---- the ring ---- */

static void region_store(struct sample *self, size_t at, uint64_t value)
{
        volatile uint64_t *word = (volatile uint64_t *)(uintptr_t)(self->region + at);

        *word = htole64(value);
}

static uint64_t region_load(const struct sample *self, size_t at)
{
        const volatile uint64_t *word = (const volatile uint64_t *)(uintptr_t)(self->region + at);

        return le64toh(*word);
}

/* Fresh memory is zeros; another incarnation's says how far that one was. Wherever that is, it is inside of the ring. */
static void ring_begin(struct sample *self)
{
        uint64_t len;

        self->region = worker_region(SAMPLE_SHMID, &len);
        if (!self->region)
                return;
        self->ring_len = len - SAMPLE_RING_AT;
        self->tail = region_load(self, offsetof(struct sample_region, tail)) / SAMPLE_WORD * SAMPLE_WORD;
        region_store(self, offsetof(struct sample_region, ring_len), self->ring_len);
        region_store(self, offsetof(struct sample_region, magic), SAMPLE_MAGIC);
}

/* What lies between our place and the driver's, in at most two pieces. False: the driver's cannot be. */
static bool ring_take(struct sample *self, uint64_t head)
{
        uint64_t left = head - self->tail;

        if (left > self->ring_len || left % SAMPLE_WORD != 0)
                return false;
        __atomic_thread_fence(
            __ATOMIC_ACQUIRE); /* records were written before the request that tells of them */
        while (left > 0) {
                uint64_t at = self->tail % self->ring_len, len = MIN(left, self->ring_len - at);

                sample_stream_take(&self->stream, self->region + SAMPLE_RING_AT + at, len);
                self->tail += len;
                left -= len;
        }
        __atomic_thread_fence(
            __ATOMIC_RELEASE); /* the room is the driver's again when we have read all of it */
        region_store(self, offsetof(struct sample_region, tail), self->tail);
        return true;
}

/* ---- requests ---- */

static bool message_take(struct sample *self, struct request *request)
{
        struct request_reader reader;
        const uint8_t *bytes;
        ssize_t n;

        request_reader_start(&reader, request, REQUEST_BYTES,
                             request_readable(request) - (uint32_t)REQUEST_BYTES);
        while ((n = request_reader_next(&reader, &bytes)) > 0)
                sample_stream_take(&self->stream, bytes, (uint64_t)n);
        request_reader_stop(&reader);
        return n == 0;
}

/* 0: the request makes no sense. */
static uint32_t head_op(const struct sample *self, const uint8_t *bytes)
{
        uint32_t op = bytes_load32(bytes + offsetof(struct sample_request, op));

        if (bytes_load32(bytes + offsetof(struct sample_request, reserved)) != 0)
                return 0;
        return op == SAMPLE_APPEND || (op == SAMPLE_APPENDED && self->region) ? op : 0;
}

static enum sample_status serve_end(struct sample *self, bool taken)
{
        if (taken && sample_stream_is_whole(&self->stream))
                return SAMPLE_OK;
        /* What comes next is to be understood again. */
        self->stream = (struct sample_stream){.records = self->stream.records, .sum = self->stream.sum};
        return SAMPLE_REFUSED;
}

static enum sample_status serve(struct sample *self, struct request *request)
{
        uint8_t bytes[REQUEST_BYTES];
        uint32_t op;

        if (request_must_fail(request))
                return SAMPLE_FAILED;
        if (request_readable(request) < sizeof(bytes) || request_read(request, 0, bytes, sizeof(bytes)) < 0)
                return SAMPLE_REFUSED;
        op = head_op(self, bytes);
        if (op == 0)
                return SAMPLE_REFUSED;
        return serve_end(self,
                         op == SAMPLE_APPEND
                             ? message_take(self, request)
                             : ring_take(self, bytes_load64(bytes + offsetof(struct sample_request, head))));
}

static enum sample_status serve_bytes(struct sample *self, const uint8_t *bytes, uint32_t len)
{
        uint32_t op = bytes && len >= REQUEST_BYTES ? head_op(self, bytes) : 0;

        if (op == 0)
                return SAMPLE_REFUSED;
        if (op == SAMPLE_APPENDED)
                return serve_end(
                    self, ring_take(self, bytes_load64(bytes + offsetof(struct sample_request, head))));
        sample_stream_take(&self->stream, bytes + REQUEST_BYTES, len - REQUEST_BYTES);
        return serve_end(self, true);
}

static void make_answer(const struct sample *self, enum sample_status status, uint8_t *answer)
{
        memset(answer, 0, ANSWER_BYTES);
        answer[offsetof(struct sample_answer, status)] = (uint8_t)status;
        bytes_store64(answer + offsetof(struct sample_answer, records), self->stream.records);
        bytes_store64(answer + offsetof(struct sample_answer, sum), self->stream.sum);
}

/* ---- its own ring ---- */

static void walk_answer(void *context, const uint8_t *bytes, uint32_t len,
                        uint8_t ret_answer[static WALK_ANSWER])
{
        struct sample *self = context;
        enum sample_status status = serve_bytes(self, bytes, len);

        make_answer(self, status, ret_answer);
}

/* A kick that must fail is of a ring that stops: what is there is left for its next start. */
static void sample_kicked(struct sample *self, struct request *kick)
{
        if (request_must_fail(kick) || sample_walk_kick(&self->walk, kick, walk_answer, self))
                request_complete(kick, 0, 0);
        else
                request_refuse(kick);
}

static int sample_start_ring(void *state, const struct control_start_queue *ring)
{
        struct sample *self = state;

        return sample_walk_start(&self->walk, ring);
}

static void sample_handle(void *state, struct request *request)
{
        struct sample *self = state;
        enum sample_status status;
        uint8_t *answer;

        if (walk_is_on()) {
                sample_kicked(self, request);
                return;
        }
        if (request_writable(request) < ANSWER_BYTES) {
                request_refuse(request);
                return;
        }
        status = serve(self, request);
        answer = request_reserve(request, ANSWER_BYTES);
        make_answer(self, status, answer);
        request_complete(request, 0, ANSWER_BYTES);
}

static int sample_init(void *state, const struct control_configure *configure, const int *resources,
                       unsigned n_resources, struct control_hello *ret_hello)
{
        struct sample *self = state;

        (void)resources;
        if (configure->n_queues != 1 || n_resources != 0)
                return -EINVAL;
        if (walk_is_on() && sample_walk_init(&self->walk) < 0)
                return -ENOMEM;
        ring_begin(state);
        *ret_hello = (struct control_hello){
            .device_type = device_types[DEVICE_TYPE_SAMPLE].virtio_id,
            .n_queues = 1,
            .queue_kind = {QUEUE_WORK},
            /* A record is not to be counted twice; a kick may be looked at as often as one likes. */
            .queue_replay = {walk_is_on() ? REPLAY_IDEMPOTENT : REPLAY_AT_MOST_ONCE},
            .max_segments = LIMIT_CHAIN_SEGMENTS,
            .credit_requests = SAMPLE_CREDITS,
            .credit_bytes = SAMPLE_CREDITS * SAMPLE_RECORD_MAX,
            .max_inline = SAMPLE_RECORD_MAX,
        };
        return 0;
}

const struct device_ops device_ops = {
    .type = DEVICE_TYPE_SAMPLE,
    .state = &sample,
    .init = sample_init,
    .start_ring = sample_start_ring,
    .handle = sample_handle,
};
