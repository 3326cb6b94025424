/* A device made for the tests of the runtime. It lives in the worker's process.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/workers/test_device.h"
#include "tests/harness/blk_set.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"

static struct {
        uint64_t features;
        uint8_t field;
        struct request *held[CREDIT_REQUESTS];
        unsigned n_held;
} device;

static int device_init(void *state, const struct control_configure *configure, const int *resources,
                       unsigned n_resources, struct control_hello *ret_hello)
{
        (void)state;
        (void)resources;
        if (n_resources > 0 || configure->n_queues != QUEUE_COUNT)
                return -EINVAL;
        *ret_hello = (struct control_hello){.device_type = 2,
                                            .features = 0x7,
                                            .n_queues = QUEUE_COUNT,
                                            .max_segments = 8,
                                            .credit_requests = CREDIT_REQUESTS,
                                            .credit_bytes = CREDIT_BYTES,
                                            .max_inline = MAX_INLINE,
                                            .area = {.out = true},
                                            .n_fields = 2,
                                            .fields = {{.offset = 0, .width = 4}, {4, 1, true, 0}}};
        for (unsigned i = 0; i < QUEUE_COUNT; i++) {
                ret_hello->queue_kind[i] = QUEUE_WORK;
                ret_hello->queue_replay[i] = REPLAY_IDEMPOTENT;
        }
        return 0;
}

static void device_set_features(void *state, uint64_t features)
{
        (void)state;
        device.features = features;
}

static int device_config_write(void *state, uint32_t field, uint64_t value)
{
        (void)state;
        (void)field;
        if (value == 99)
                return -EINVAL;
        device.field = (uint8_t)value;
        return 0;
}

static void device_copy(struct request *request)
{
        uint32_t done = 0, len = request_readable(request);
        struct request_reader reader;
        const uint8_t *bytes;
        ssize_t n;

        request_reader_start(&reader, request, 0, len);
        while ((n = request_reader_next(&reader, &bytes)) > 0) {
                uint8_t *out = request_reserve(request, (uint32_t)n);

                memcpy(out, bytes, (size_t)n);
                request_write(request, done, (uint32_t)n);
                done += (uint32_t)n;
        }
        request_reader_stop(&reader);
        if (n < 0)
                request_refuse(request);
        else
                request_complete(request, 0, 0);
}

/* What is held must not have been disturbed: the answer is made of the inlined bytes. */
static void device_answer_inlined(struct request *request)
{
        uint32_t len;
        const uint8_t *bytes = request_inlined(request, &len);
        uint32_t n = MIN(len, request_writable(request));

        memcpy(request_reserve(request, n), bytes, n);
        request_complete(request, 0, n);
}

static void device_tell(struct request *request)
{
        uint8_t *out = request_reserve(request, 9);

        memcpy(out, &device.features, 8);
        out[8] = device.field;
        request_complete(request, 0, 9);
}

/* The last byte comes by the socket. */
static void device_place(struct request *request)
{
        uint8_t *place = request_place(request);
        uint32_t len;
        const uint8_t *bytes = request_inlined(request, &len);

        if (!place) {
                device_answer_inlined(request);
                return;
        }
        memcpy(place, bytes, len - 1);
        *request_reserve(request, 1) = bytes[len - 1];
        request_complete_placed(request, len - 1, 1);
}

static void device_handle(void *state, struct request *request)
{
        (void)state;
        switch (request_queue(request)) {
        case QUEUE_COPY:
                device_copy(request);
                break;
        case QUEUE_HOLD:
                device.held[device.n_held++] = request;
                break;
        case QUEUE_RELEASE:
                while (device.n_held > 0)
                        device_answer_inlined(device.held[--device.n_held]);
                request_complete(request, 0, 0);
                break;
        case QUEUE_TELL:
                device_tell(request);
                break;
        case QUEUE_PLACE:
                device_place(request);
                break;
        }
}

const struct device_ops test_device_ops = {
    .type = DEVICE_TYPE_BLK,
    .init = device_init,
    .set_features = device_set_features,
    .config_write = device_config_write,
    .handle = device_handle,
};

/* ---- the broker's side ---- */

struct fake_broker broker;
const struct control_configure test_device_configure = {
    .name = "t", .n_queues = QUEUE_COUNT, .type = DEVICE_TYPE_BLK, .options = BLK_PLAIN};

void start_lanes(unsigned n_lanes)
{
        fake_start_ops(&broker, &test_device_ops, n_lanes, NULL, 0);
        fake_configure(&broker, &test_device_configure);
        for (uint32_t q = 0; q < QUEUE_COUNT; q++)
                assert_int_equal(fake_start_queue(&broker, q), 0);
}

uint8_t *noise(size_t len)
{
        uint8_t *p = malloc(len + 1);

        assert_non_null(p);
        for (size_t i = 0; i < len; i++)
                p[i] = (uint8_t)rand();
        return p;
}

void copy_one(unsigned lane, uint32_t len, uint32_t inlined)
{
        uint8_t *in = noise(len), *out = calloc(1, len + 1);
        struct fake_request r = {.id = 5,
                                 .queue = QUEUE_COPY,
                                 .readable = in,
                                 .n_readable = len,
                                 .writable = out,
                                 .n_writable = len,
                                 .inlined = inlined};

        fake_send_requests(&broker, lane, &r, 1);
        fake_drain(&broker, lane);
        assert_int_equal(r.status, WIRE_STATUS_OK);
        assert_int_equal(r.used, len);
        assert_memory_equal(in, out, len);
        free(in);
        free(out);
}
