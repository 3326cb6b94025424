/* workers/runtime: a whole runtime with a device made for the purpose, against a scripted broker.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/fake_broker.h"

/* ---- the device (it lives in the child) ---- */

enum {
        QUEUE_COPY = 0,            /* the writable part becomes the readable part */
        QUEUE_HOLD,                /* not answered until a QUEUE_RELEASE comes */
        QUEUE_RELEASE,             /* answers all held ones, the youngest first, and itself */
        QUEUE_TELL,                /* answers features (8 bytes) and the written field (1) */
        QUEUE_COUNT = LIMIT_LANES, /* one a lane, as many lanes as there may be */
};

#define CREDIT_REQUESTS 8u
#define CREDIT_BYTES    (160u * 1024u)
#define MAX_INLINE      (128u * 1024u)

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
        }
}

static const struct device_ops ops = {
    .type = DEVICE_TYPE_BLK,
    .init = device_init,
    .set_features = device_set_features,
    .config_write = device_config_write,
    .handle = device_handle,
};

/* ---- the broker's side ---- */

static struct fake_broker broker;
static const struct control_configure configure = {
    .name = "t", .n_queues = QUEUE_COUNT, .type = DEVICE_TYPE_BLK, .blk = {.block_size = 512}};

static void start_lanes(unsigned n_lanes)
{
        fake_start_ops(&broker, &ops, n_lanes, NULL, 0);
        fake_configure(&broker, &configure);
        for (uint32_t q = 0; q < QUEUE_COUNT; q++)
                assert_int_equal(fake_start_queue(&broker, q), 0);
}

static uint8_t *noise(size_t len)
{
        uint8_t *p = malloc(len + 1);

        assert_non_null(p);
        for (size_t i = 0; i < len; i++)
                p[i] = (uint8_t)rand();
        return p;
}

static void copy_one(unsigned lane, uint32_t len, uint32_t inlined)
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

static void bytes_come_through_inlined_or_asked_for_at_every_edge(void **state)
{
        static const uint32_t lens[] = {0,      1,      4095,   4096,   4097,     131071,
                                        131072, 131073, 262144, 262145, 1u << 20, (1u << 20) + 17};
        static const uint32_t inlined[] = {0, 1, 16, 4095, 4096, 4097, 5000, MAX_INLINE};

        (void)state;
        start_lanes(1);
        for (size_t i = 0; i < array_size(lens); i++)
                for (size_t j = 0; j < array_size(inlined); j++)
                        if (inlined[j] <= lens[i])
                                copy_one(0, lens[i], inlined[j]);
        assert_true(broker.max_open_reads <= REQUEST_AHEAD);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void a_run_is_asked_for_ahead_of_its_answers(void **state)
{
        uint8_t *in = noise(1 << 20), *out = calloc(1, 1 << 20);
        struct fake_request r = {.id = 5,
                                 .queue = QUEUE_COPY,
                                 .readable = in,
                                 .n_readable = 1 << 20,
                                 .writable = out,
                                 .n_writable = 1 << 20};

        (void)state;
        start_lanes(1);
        broker.hold_reads = true;
        fake_send_requests(&broker, 0, &r, 1);
        for (unsigned i = 0; i < REQUEST_AHEAD; i++)
                assert_true(fake_serve(&broker, 0));
        assert_int_equal(broker.open_reads, REQUEST_AHEAD); /* asked without an answer */
        broker.hold_reads = false;
        fake_answer_reads(&broker);
        fake_drain(&broker, 0);
        assert_memory_equal(in, out, 1 << 20);
        assert_int_equal(broker.n_mem_reads, (1u << 20) / REQUEST_PIECE);
        free(in);
        free(out);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void requests_that_come_before_an_answer_are_filed(void **state)
{
        uint8_t *in = noise(300000), *out = calloc(1, 300000), small[CREDIT_REQUESTS][5000];
        struct fake_request big = {.id = 1,
                                   .queue = QUEUE_COPY,
                                   .readable = in,
                                   .n_readable = 300000,
                                   .writable = out,
                                   .n_writable = 300000,
                                   .inlined = 20000};
        struct fake_request more[CREDIT_REQUESTS - 1];

        (void)state;
        start_lanes(1);
        broker.hold_reads = true;
        fake_send_requests(&broker, 0, &big, 1);
        while (broker.open_reads == 0)
                assert_true(fake_serve(&broker, 0));
        for (unsigned i = 0; i < CREDIT_REQUESTS - 1; i++)
                more[i] = (struct fake_request){.id = 10 + i,
                                                .queue = QUEUE_COPY,
                                                .readable = in + i,
                                                .n_readable = 5000,
                                                .writable = small[i],
                                                .n_writable = 5000,
                                                .inlined = FAKE_INLINE_ALL};
        fake_send_requests(&broker, 0, more, 3);
        fake_send_requests(&broker, 0, more + 3, CREDIT_REQUESTS - 4);
        broker.hold_reads = false;
        fake_answer_reads(&broker);
        fake_drain(&broker, 0);
        assert_memory_equal(in, out, 300000);
        for (unsigned i = 0; i < CREDIT_REQUESTS - 1; i++)
                assert_memory_equal(small[i], in + i, 5000);
        free(in);
        free(out);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void unreadable_memory_is_told_and_leaves_the_lane_in_step(void **state)
{
        uint8_t *in = noise(700000), *out = calloc(1, 700000);
        struct fake_request r = {.id = 5,
                                 .queue = QUEUE_COPY,
                                 .readable = in,
                                 .n_readable = 700000,
                                 .writable = out,
                                 .n_writable = 700000};

        (void)state;
        start_lanes(1);
        broker.read_status = WIRE_STATUS_FAULT;
        fake_send_requests(&broker, 0, &r, 1);
        fake_drain(&broker, 0);
        assert_int_equal(r.status, WIRE_STATUS_PROTOCOL);
        assert_int_equal(broker.open_reads, 0);
        broker.read_status = WIRE_STATUS_OK;
        copy_one(0, 300000, 0);
        free(in);
        free(out);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void answers_may_come_out_of_order_and_give_their_credits_back(void **state)
{
        uint8_t in[CREDIT_REQUESTS][20000], out[CREDIT_REQUESTS][20000];
        struct fake_request r[CREDIT_REQUESTS];

        (void)state;
        start_lanes(1);
        for (unsigned round = 0; round < 50; round++) {
                for (unsigned i = 0; i < CREDIT_REQUESTS; i++) {
                        memset(in[i], (int)(round * 8 + i), sizeof(in[i]));
                        r[i] = (struct fake_request){.id = i,
                                                     .queue =
                                                         i + 1 < CREDIT_REQUESTS ? QUEUE_HOLD : QUEUE_RELEASE,
                                                     .readable = in[i],
                                                     .n_readable = sizeof(in[i]),
                                                     .writable = out[i],
                                                     .n_writable = sizeof(out[i]),
                                                     .inlined = FAKE_INLINE_ALL};
                        fake_send_requests(&broker, 0, &r[i], 1);
                }
                fake_drain(&broker, 0);
                for (unsigned i = 0; i + 1 < CREDIT_REQUESTS; i++)
                        assert_memory_equal(in[i], out[i], sizeof(in[i]));
        }
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void many_answers_share_a_frame(void **state)
{
        uint8_t in[100], out[CREDIT_REQUESTS][9];
        struct fake_request r[CREDIT_REQUESTS];

        (void)state;
        start_lanes(1);
        for (unsigned i = 0; i < CREDIT_REQUESTS; i++)
                r[i] = (struct fake_request){
                    .id = i, .queue = QUEUE_TELL, .readable = in, .writable = out[i], .n_writable = 9};
        fake_send_requests(&broker, 0, r, CREDIT_REQUESTS);
        fake_drain(&broker, 0);
        assert_int_equal(broker.n_completes, 1);
        assert_true(fake_exited(fake_end(&broker), 0));
}

/* A ConfigWrite is sent without waiting for Done; the request behind it on the lane must see it. */
static void a_control_message_is_seen_before_a_later_request(void **state)
{
        struct control_to_broker done;

        (void)state;
        start_lanes(1);
        assert_int_equal(fake_set_features(&broker, 0x5), 0);
        for (unsigned i = 0; i < 2000; i++) {
                struct control_to_worker write = {
                    .kind = CONTROL_CONFIG_WRITE, .seq = i, .config_write = {.field = 1, .value = i % 90}};
                uint8_t out[2][9];
                struct fake_request before = {
                    .id = 1, .queue = QUEUE_TELL, .writable = out[0], .n_writable = 9};
                struct fake_request after = {
                    .id = 2, .queue = QUEUE_TELL, .writable = out[1], .n_writable = 9};

                fake_send_requests(&broker, 0, &before, 1);
                fake_send_control(&broker, &write);
                fake_send_requests(&broker, 0, &after, 1);
                fake_drain(&broker, 0);
                assert_int_equal(out[0][0], 0x5);
                assert_int_equal(out[1][8], i % 90);
                assert_true(fake_next_control(&broker, &done));
        }
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void all_lanes_are_served(void **state)
{
        (void)state;
        start_lanes(LIMIT_LANES);
        for (unsigned round = 0; round < 3; round++)
                for (unsigned lane = 0; lane < LIMIT_LANES; lane++)
                        copy_one(lane, 200000 + lane, lane);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void a_device_may_refuse_a_config_write(void **state)
{
        (void)state;
        start_lanes(1);
        assert_int_equal(fake_config_write(&broker, 1, 99), -EINVAL);
        assert_int_equal(fake_config_write(&broker, 1, 98), 0);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void the_end_of_control_or_of_a_lane_is_a_clean_end(void **state)
{
        (void)state;
        start_lanes(2);
        close(broker.control);
        broker.control = -1;
        assert_true(fake_exited(fake_end(&broker), 0));
        start_lanes(2);
        close(broker.lanes[1]);
        broker.lanes[1] = -1;
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void shutdown_is_a_clean_end(void **state)
{
        (void)state;
        start_lanes(1);
        fake_send_control(&broker, &(struct control_to_worker){.kind = CONTROL_SHUTDOWN});
        assert_true(fake_exited(fake_await(&broker), 0));
}

static void a_broker_that_stops_reading_and_goes_is_a_clean_end(void **state)
{
        uint8_t *in = noise(1 << 20), *out = calloc(1, 1 << 20);
        struct fake_request r = {.id = 5,
                                 .queue = QUEUE_COPY,
                                 .readable = in,
                                 .n_readable = 1 << 20,
                                 .writable = out,
                                 .n_writable = 1 << 20};

        (void)state;
        start_lanes(1);
        broker.hold_reads = true;
        fake_send_requests(&broker, 0, &r, 1);
        for (unsigned i = 0; i < REQUEST_AHEAD; i++)
                assert_true(fake_serve(&broker, 0));
        broker.open_reads = 3;
        fake_answer_reads(&broker); /* more than a socket takes comes back, and nobody reads it */
        assert_true(fake_exited(fake_end(&broker), 0));
        free(in);
        free(out);
}

/* ---- what must end in a trap ---- */

static void expect_trap(void)
{
        assert_true(fake_trapped(fake_await(&broker)));
}

static void one_request_over_the_credits_traps(void **state)
{
        struct fake_request r[CREDIT_REQUESTS + 1];

        (void)state;
        start_lanes(1);
        for (unsigned i = 0; i <= CREDIT_REQUESTS; i++)
                r[i] = (struct fake_request){.id = i, .queue = QUEUE_HOLD};
        fake_send_requests(&broker, 0, r, CREDIT_REQUESTS);
        fake_send_requests(&broker, 0, r + CREDIT_REQUESTS, 1);
        expect_trap();
}

static void one_byte_over_the_credits_traps(void **state)
{
        uint8_t *in = noise(CREDIT_BYTES + 1);
        struct fake_request r[2] = {{.id = 1, .queue = QUEUE_HOLD, .readable = in},
                                    {.id = 2, .queue = QUEUE_HOLD}};

        (void)state;
        r[1].readable = in;
        r[0].n_readable = r[0].inlined = CREDIT_BYTES - 100;
        r[1].n_readable = r[1].inlined = 101;
        start_lanes(1);
        fake_send_requests(&broker, 0, r, 2);
        expect_trap();
        r[1].n_readable = r[1].inlined = 100;
        start_lanes(1);
        fake_send_requests(&broker, 0, r, 2);
        assert_int_equal(fake_set_features(&broker, 0), 0); /* still there */
        assert_true(fake_exited(fake_end(&broker), 0));
        free(in);
}

static void a_queue_that_was_not_started_traps(void **state)
{
        struct fake_request r = {.id = 1, .queue = QUEUE_TELL};

        (void)state;
        fake_start_ops(&broker, &ops, 1, NULL, 0);
        fake_configure(&broker, &configure);
        assert_int_equal(fake_start_queue(&broker, QUEUE_COPY), 0);
        fake_send_requests(&broker, 0, &r, 1);
        expect_trap();
}

static void an_answer_that_nobody_asked_for_traps(void **state)
{
        const uint32_t ok = WIRE_STATUS_OK;
        struct lane_to_worker message = {.kind = LANE_MEM_READ_REPLY,
                                         .mem_read_reply = {.seq = 0, .n = 1, .status = &ok}};
        uint8_t header[64];
        ssize_t len = lane_make_to_worker(&message, header, sizeof(header));

        (void)state;
        start_lanes(1);
        fake_send_frame(broker.lanes[0], header, (uint32_t)len, "x", 1);
        expect_trap();
}

/* What a broker may get wrong in the answer to one open MemRead of 1000 bytes. */
static void expect_bad_answer_traps(uint32_t seq_off, size_t n, uint32_t payload_len)
{
        static const uint32_t statuses[2];
        static uint8_t in[1001], out[1000];
        struct lane_to_worker message = {.kind = LANE_MEM_READ_REPLY,
                                         .mem_read_reply = {.n = n, .status = statuses}};
        struct fake_request r = {.id = 1,
                                 .queue = QUEUE_COPY,
                                 .readable = in,
                                 .n_readable = 1000,
                                 .writable = out,
                                 .n_writable = 1000};
        uint8_t header[64];
        ssize_t len;

        start_lanes(1);
        broker.hold_reads = true;
        fake_send_requests(&broker, 0, &r, 1);
        assert_true(fake_serve(&broker, 0));
        message.mem_read_reply.seq = broker.held[0].seq + seq_off;
        len = lane_make_to_worker(&message, header, sizeof(header));
        fake_send_frame(broker.lanes[0], header, (uint32_t)len, in, payload_len);
        expect_trap();
}

static void an_answer_of_another_shape_than_its_question_traps(void **state)
{
        (void)state;
        expect_bad_answer_traps(1, 1, 1000);
        expect_bad_answer_traps(UINT32_MAX, 1, 1000);
        expect_bad_answer_traps(0, 2, 1000);
        expect_bad_answer_traps(0, 1, 999);
        expect_bad_answer_traps(0, 1, 1001);
}

static void bytes_that_are_no_message_trap(void **state)
{
        static const uint8_t no_message[] = {0xff, 0xff, 0xff, 0xff};

        (void)state;
        start_lanes(1);
        fake_send_frame(broker.lanes[0], no_message, sizeof(no_message), NULL, 0);
        expect_trap();
        start_lanes(1);
        fake_send_frame(broker.control, no_message, sizeof(no_message), NULL, 0);
        expect_trap();
        start_lanes(1);
        fake_send_frame(broker.control, no_message, 1, "x", 1); /* control has no payload */
        expect_trap();
}

static void expect_control_trap(const struct control_to_worker *message)
{
        start_lanes(1);
        fake_send_control(&broker, message);
        expect_trap();
}

static void control_messages_out_of_range_or_turn_trap(void **state)
{
        (void)state;
        expect_control_trap(&(struct control_to_worker){.kind = CONTROL_SET_FEATURES, .set_features = {0x8}});
        expect_control_trap(
            &(struct control_to_worker){.kind = CONTROL_CONFIG_WRITE, .config_write = {0, 0}});
        expect_control_trap(
            &(struct control_to_worker){.kind = CONTROL_CONFIG_WRITE, .config_write = {2, 0}});
        expect_control_trap(
            &(struct control_to_worker){.kind = CONTROL_CONFIG_WRITE, .config_write = {1, 256}});
        expect_control_trap(
            &(struct control_to_worker){.kind = CONTROL_START_QUEUE, .start_queue = {QUEUE_COUNT, 256}});
        expect_control_trap(&(struct control_to_worker){
            .kind = CONTROL_CONFIGURE,
            .configure = {.name = "t", .n_queues = 1, .n_lanes = 1, .max_payload = 1 << 20, .type = 1}});
}

static void a_message_before_configure_traps(void **state)
{
        (void)state;
        fake_start_ops(&broker, &ops, 1, NULL, 0);
        fake_send_control(&broker, &(struct control_to_worker){.kind = CONTROL_SET_FEATURES});
        expect_trap();
}

static void a_configure_for_another_worker_traps(void **state)
{
        struct control_to_worker message = {.kind = CONTROL_CONFIGURE, .configure = configure};

        (void)state;
        message.configure.max_payload = LIMIT_FRAME_PAYLOAD;
        message.configure.n_lanes = 2;
        fake_start_ops(&broker, &ops, 1, NULL, 0);
        fake_send_control(&broker, &message);
        expect_trap();
        message.configure.n_lanes = 1;
        message.configure.type = DEVICE_TYPE_RNG;
        message.configure.n_queues = 1;
        fake_start_ops(&broker, &ops, 1, NULL, 0);
        fake_send_control(&broker, &message);
        expect_trap();
}

static void a_device_that_cannot_start_says_no_hello(void **state)
{
        struct control_to_worker message = {.kind = CONTROL_CONFIGURE, .configure = configure};
        struct control_to_broker answer;

        (void)state;
        message.configure.max_payload = LIMIT_FRAME_PAYLOAD;
        message.configure.n_lanes = 1;
        message.configure.n_queues = 1;
        fake_start_ops(&broker, &ops, 1, NULL, 0);
        fake_send_control(&broker, &message);
        assert_false(fake_next_control(&broker, &answer));
        assert_true(fake_exited(fake_await(&broker), 1));
}

static void frames_too_small_for_a_piece_are_refused(void **state)
{
        struct control_to_worker message = {.kind = CONTROL_CONFIGURE, .configure = configure};
        struct control_to_broker answer;

        (void)state;
        message.configure.n_lanes = 1;
        message.configure.max_payload = REQUEST_RESERVE - 1;
        fake_start_ops(&broker, &ops, 1, NULL, 0);
        fake_send_control(&broker, &message);
        assert_false(fake_next_control(&broker, &answer));
        assert_true(fake_exited(fake_await(&broker), 1));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(bytes_come_through_inlined_or_asked_for_at_every_edge),
            cmocka_unit_test(a_run_is_asked_for_ahead_of_its_answers),
            cmocka_unit_test(requests_that_come_before_an_answer_are_filed),
            cmocka_unit_test(unreadable_memory_is_told_and_leaves_the_lane_in_step),
            cmocka_unit_test(answers_may_come_out_of_order_and_give_their_credits_back),
            cmocka_unit_test(many_answers_share_a_frame),
            cmocka_unit_test(a_control_message_is_seen_before_a_later_request),
            cmocka_unit_test(all_lanes_are_served),
            cmocka_unit_test(a_device_may_refuse_a_config_write),
            cmocka_unit_test(the_end_of_control_or_of_a_lane_is_a_clean_end),
            cmocka_unit_test(shutdown_is_a_clean_end),
            cmocka_unit_test(a_broker_that_stops_reading_and_goes_is_a_clean_end),
            cmocka_unit_test(one_request_over_the_credits_traps),
            cmocka_unit_test(one_byte_over_the_credits_traps),
            cmocka_unit_test(a_queue_that_was_not_started_traps),
            cmocka_unit_test(an_answer_that_nobody_asked_for_traps),
            cmocka_unit_test(an_answer_of_another_shape_than_its_question_traps),
            cmocka_unit_test(bytes_that_are_no_message_trap),
            cmocka_unit_test(control_messages_out_of_range_or_turn_trap),
            cmocka_unit_test(a_message_before_configure_traps),
            cmocka_unit_test(a_configure_for_another_worker_traps),
            cmocka_unit_test(a_device_that_cannot_start_says_no_hello),
            cmocka_unit_test(frames_too_small_for_a_piece_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
