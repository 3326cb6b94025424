/* workers/runtime: whatever a broker gets wrong ends the worker at once.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/test_device.h"

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
        fake_start_ops(&broker, &test_device_ops, 1, NULL, 0);
        fake_configure(&broker, &test_device_configure);
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
        fake_start_ops(&broker, &test_device_ops, 1, NULL, 0);
        fake_send_control(&broker, &(struct control_to_worker){.kind = CONTROL_SET_FEATURES});
        expect_trap();
}

static void a_configure_for_another_worker_traps(void **state)
{
        struct control_to_worker message = {.kind = CONTROL_CONFIGURE, .configure = test_device_configure};

        (void)state;
        message.configure.max_payload = LIMIT_FRAME_PAYLOAD;
        message.configure.n_lanes = 2;
        fake_start_ops(&broker, &test_device_ops, 1, NULL, 0);
        fake_send_control(&broker, &message);
        expect_trap();
        message.configure.n_lanes = 1;
        message.configure.type = DEVICE_TYPE_RNG;
        message.configure.n_queues = 1;
        fake_start_ops(&broker, &test_device_ops, 1, NULL, 0);
        fake_send_control(&broker, &message);
        expect_trap();
}

static void a_device_that_cannot_start_says_no_hello(void **state)
{
        struct control_to_worker message = {.kind = CONTROL_CONFIGURE, .configure = test_device_configure};
        struct control_to_broker answer;

        (void)state;
        message.configure.max_payload = LIMIT_FRAME_PAYLOAD;
        message.configure.n_lanes = 1;
        message.configure.n_queues = 1;
        fake_start_ops(&broker, &test_device_ops, 1, NULL, 0);
        fake_send_control(&broker, &message);
        assert_false(fake_next_control(&broker, &answer));
        assert_true(fake_exited(fake_await(&broker), 1));
}

static void frames_too_small_for_a_piece_are_refused(void **state)
{
        struct control_to_worker message = {.kind = CONTROL_CONFIGURE, .configure = test_device_configure};
        struct control_to_broker answer;

        (void)state;
        message.configure.n_lanes = 1;
        message.configure.max_payload = REQUEST_RESERVE - 1;
        fake_start_ops(&broker, &test_device_ops, 1, NULL, 0);
        fake_send_control(&broker, &message);
        assert_false(fake_next_control(&broker, &answer));
        assert_true(fake_exited(fake_await(&broker), 1));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
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
