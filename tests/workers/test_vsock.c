/* workers/vsock: a whole device between a scripted guest and a scripted proxy: connections and their ends.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/vsock_stage.h"
#include "workers/vsock/vsock_device.h"

#define BOTH   (VSOCK_F_STREAM | VSOCK_F_SEQPACKET)
#define THEIRS LIMIT_VSOCK_STREAMS /* the first stream that the proxy gives */

static struct vsock_stage stage;
static uint8_t bytes[LIMIT_VSOCK_BUFFER + 1];

static void hello_is_that_of_a_vsock_device(void **state)
{
        const struct control_hello *hello = &stage.broker.hello;

        (void)state;
        stage_start_lent(&stage);
        assert_int_equal(hello->device_type, 19);
        assert_int_equal(hello->features, BOTH);
        assert_int_equal(hello->n_queues, 3);
        assert_int_equal(hello->queue_kind[0], QUEUE_SUPPLY);
        assert_int_equal(hello->queue_kind[1], QUEUE_WORK);
        assert_int_equal(hello->queue_kind[2], QUEUE_SUPPLY);
        assert_int_equal(hello->queue_replay[1], REPLAY_AT_MOST_ONCE);
        assert_int_equal(hello->n_fields, 1);
        assert_int_equal(hello->fields[0].width, 8);
        assert_int_equal(hello->fields[0].value, STAGE_CID);
        stage_end(&stage);
}

static void bytes_of_a_connection_of_the_guest_go_both_ways(void **state)
{
        struct stage_packet packet;
        struct vsock_frame frame;
        uint32_t stream;

        (void)state;
        stage_start_lent(&stage);
        stream = stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        assert_int_equal(stage_say_bytes(&stage, 1025, 52, "to the host", 11, 0), WIRE_STATUS_OK);
        frame = stage_expect_frame(&stage, VSOCK_FRAME_DATA);
        assert_int_equal(frame.stream, stream);
        assert_int_equal(frame.len, 11);
        assert_memory_equal(stage.payload, "to the host", 11);
        stage_frame_data(&stage, stream, "to the guest", 12, 0);
        packet = stage_expect_op(&stage, VSOCK_OP_RW, 1025, 52);
        assert_int_equal(packet.len, 12);
        assert_memory_equal(packet.payload, "to the guest", 12);
        stage_end(&stage);
}

static void bytes_of_a_connection_of_the_host_go_both_ways(void **state)
{
        struct stage_packet packet;

        (void)state;
        stage_start_lent(&stage);
        stage_offer(&stage, THEIRS + 5, 7, 1u << 30);
        assert_int_equal(stage_say_bytes(&stage, 7, 1u << 30, "a", 1, 0), WIRE_STATUS_OK);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_DATA).stream, THEIRS + 5);
        stage_frame_data(&stage, THEIRS + 5, "b", 1, 0);
        packet = stage_expect_op(&stage, VSOCK_OP_RW, 7, 1u << 30);
        assert_int_equal(packet.payload[0], 'b');
        stage_end(&stage);
}

/* A frame of the proxy's is as many packets as the guest's buffers make of it; of a message the last one says so. */
static void a_long_message_is_cut_to_the_buffers(void **state)
{
        uint32_t stream, at = 0;

        (void)state;
        stage_start_lent(&stage);
        stream = stage_open(&stage, 1025, 52, VSOCK_TYPE_SEQPACKET);
        for (uint32_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)(i * 7 + i / 251);
        stage_frame_data(&stage, stream, bytes, LIMIT_VSOCK_BUFFER, VSOCK_FRAME_EOM);
        while (at < LIMIT_VSOCK_BUFFER) {
                struct stage_packet packet = stage_expect_op(&stage, VSOCK_OP_RW, 1025, 52);
                bool last = at + packet.len == LIMIT_VSOCK_BUFFER;

                assert_int_equal(packet.len, MIN(STAGE_BUFFER - VSOCK_HEADER_BYTES, LIMIT_VSOCK_BUFFER - at));
                assert_memory_equal(packet.payload, bytes + at, packet.len);
                assert_int_equal(packet.flags, last ? VSOCK_EOM : 0);
                assert_int_equal(packet.type, VSOCK_TYPE_SEQPACKET);
                at += packet.len;
        }
        stage_end(&stage);
}

static void a_message_of_the_guest_keeps_its_end(void **state)
{
        (void)state;
        stage_start_lent(&stage);
        stage_open(&stage, 1025, 52, VSOCK_TYPE_SEQPACKET);
        assert_int_equal(stage_say_bytes(&stage, 1025, 52, "x", 1, VSOCK_EOM), WIRE_STATUS_OK);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_DATA).flags, VSOCK_FRAME_EOM);
        assert_int_equal(stage_say_bytes(&stage, 1025, 52, "x", 1, VSOCK_EOM | VSOCK_EOR), WIRE_STATUS_OK);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_DATA).flags, VSOCK_FRAME_EOM);
        assert_int_equal(stage_say_bytes(&stage, 1025, 52, "x", 1, VSOCK_EOR), WIRE_STATUS_OK);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_DATA).flags, 0);
        stage_end(&stage);
}

static void bytes_wait_for_buffers(void **state)
{
        struct stage_packet packet;
        uint32_t stream;

        (void)state;
        stage_start(&stage, BOTH);
        stage_lend(&stage, 1, STAGE_BUFFER);
        stream = stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        stage_frame_data(&stage, stream, "first", 5, 0);
        stage_frame_data(&stage, stream, "second", 6, 0);
        stage_lend(&stage, 1, VSOCK_HEADER_BYTES + 3);
        packet = stage_expect_op(&stage, VSOCK_OP_RW, 1025, 52);
        assert_int_equal(packet.len, 3);
        assert_memory_equal(packet.payload, "fir", 3);
        stage_lend(&stage, 2, STAGE_BUFFER);
        packet = stage_expect_op(&stage, VSOCK_OP_RW, 1025, 52);
        assert_memory_equal(packet.payload, "st", 2);
        assert_memory_equal(stage_expect_op(&stage, VSOCK_OP_RW, 1025, 52).payload, "second", 6);
        stage_end(&stage);
}

static void nobody_there_is_a_reset(void **state)
{
        struct stage_packet packet;
        uint32_t stream;

        (void)state;
        stage_start_lent(&stage);
        stage_say_op(&stage, VSOCK_OP_REQUEST, 1025, 53, 0);
        stream = stage_expect_frame(&stage, VSOCK_FRAME_OPEN).stream;
        stage_frame_plain(&stage, VSOCK_FRAME_END, stream);
        packet = stage_expect_op(&stage, VSOCK_OP_RST, 1025, 53);
        assert_int_equal(packet.src_cid, VSOCK_CID_HOST);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_END).stream, stream);
        assert_int_equal(stage_open(&stage, 1025, 53, VSOCK_TYPE_STREAM),
                         stream); /* the number is free again */
        stage_end(&stage);
}

/* ---- ends ---- */

static void a_guest_that_closes_is_answered_and_its_bytes_go_on(void **state)
{
        uint32_t stream;

        (void)state;
        stage_start_lent(&stage);
        stream = stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        stage_say_op(&stage, VSOCK_OP_SHUTDOWN, 1025, 52, 3);
        stage_expect_op(&stage, VSOCK_OP_RST, 1025, 52);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_SHUT).flags,
                         VSOCK_FRAME_NO_SEND | VSOCK_FRAME_NO_TAKE);
        stage_frame_data(&stage, stream, "late", 4, 0);
        stage_frame(&stage, (struct vsock_frame){.kind = VSOCK_FRAME_CONSUMED, .stream = stream}, NULL);
        assert_int_not_equal(stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM),
                             stream); /* the ports are free, the stream not */
        stage_frame_plain(&stage, VSOCK_FRAME_END, stream);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_END).stream, stream);
        assert_int_equal(stage_open(&stage, 1026, 52, VSOCK_TYPE_STREAM), stream);
        stage_end(&stage);
}

static void each_direction_is_shut_by_itself(void **state)
{
        struct stage_packet packet;
        uint32_t stream;

        (void)state;
        stage_start_lent(&stage);
        stream = stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        stage_say_op(&stage, VSOCK_OP_SHUTDOWN, 1025, 52, VSOCK_NO_SEND);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_SHUT).flags, VSOCK_FRAME_NO_SEND);
        stage_frame_data(&stage, stream, "answer", 6, 0);
        assert_int_equal(stage_expect_op(&stage, VSOCK_OP_RW, 1025, 52).len, 6);
        stage_frame(
            &stage,
            (struct vsock_frame){.kind = VSOCK_FRAME_SHUT, .flags = VSOCK_FRAME_NO_SEND, .stream = stream},
            NULL);
        packet = stage_expect_op(&stage, VSOCK_OP_SHUTDOWN, 1025, 52);
        assert_int_equal(packet.flags, VSOCK_NO_SEND);
        stage_say_op(&stage, VSOCK_OP_SHUTDOWN, 1025, 52, VSOCK_NO_RECEIVE);
        stage_expect_op(&stage, VSOCK_OP_RST, 1025, 52);
        stage_end(&stage);
}

static void a_host_that_closes_is_told_behind_its_bytes(void **state)
{
        struct stage_packet packet;
        uint32_t stream;

        (void)state;
        stage_start(&stage, BOTH);
        stage_lend(&stage, 1, STAGE_BUFFER);
        stream = stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        stage_frame_data(&stage, stream, bytes, 5000, 0);
        stage_frame_plain(&stage, VSOCK_FRAME_END, stream);
        stage_lend(&stage, 8, STAGE_BUFFER);
        assert_int_equal(stage_expect_op(&stage, VSOCK_OP_RW, 1025, 52).len,
                         STAGE_BUFFER - VSOCK_HEADER_BYTES);
        assert_int_equal(stage_expect_op(&stage, VSOCK_OP_RW, 1025, 52).len,
                         5000 - STAGE_BUFFER + VSOCK_HEADER_BYTES);
        packet = stage_expect_op(&stage, VSOCK_OP_SHUTDOWN, 1025, 52);
        assert_int_equal(packet.flags, 3);
        stage_say_op(&stage, VSOCK_OP_CREDIT_UPDATE, 1025, 52, 0);
        stage_say_op(&stage, VSOCK_OP_RST, 1025, 52, 0);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_END).stream, stream);
        stage_expect_no_packet(&stage);
        assert_int_equal(stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM), stream);
        stage_end(&stage);
}

static void a_reset_of_the_guest_ends_the_stream(void **state)
{
        uint32_t stream;

        (void)state;
        stage_start_lent(&stage);
        stream = stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        stage_say_op(&stage, VSOCK_OP_RST, 1025, 52, 0);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_END).stream, stream);
        stage_frame_data(&stage, stream, "late", 4, 0);
        stage_frame_plain(&stage, VSOCK_FRAME_END, stream);
        stage_expect_no_packet(&stage);
        stage_end(&stage);
}

static void an_offer_that_nobody_answers_is_withdrawn(void **state)
{
        (void)state;
        stage_start_lent(&stage);
        stage_frame(&stage,
                    (struct vsock_frame){.kind = VSOCK_FRAME_OFFER, .stream = THEIRS, .a = 7, .b = 1u << 30},
                    NULL);
        stage_expect_op(&stage, VSOCK_OP_REQUEST, 7, 1u << 30);
        stage_expect_op(&stage, VSOCK_OP_RST, 7, 1u << 30);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_END).stream, THEIRS);
        stage_frame_plain(&stage, VSOCK_FRAME_END, THEIRS);
        stage_offer(&stage, THEIRS, 7, 1u << 30);
        stage_end(&stage);
}

static void an_offer_that_the_guest_refuses_ends(void **state)
{
        (void)state;
        stage_start_lent(&stage);
        stage_frame(&stage,
                    (struct vsock_frame){.kind = VSOCK_FRAME_OFFER, .stream = THEIRS, .a = 7, .b = 1u << 30},
                    NULL);
        stage_expect_op(&stage, VSOCK_OP_REQUEST, 7, 1u << 30);
        stage_say_op(&stage, VSOCK_OP_RST, 7, 1u << 30, 0);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_END).stream, THEIRS);
        stage_expect_no_packet(&stage);
        stage_end(&stage);
}

static void an_offer_of_ports_that_are_taken_ends(void **state)
{
        (void)state;
        stage_start_lent(&stage);
        stage_open(&stage, 7, 1u << 30, VSOCK_TYPE_STREAM);
        stage_frame(&stage,
                    (struct vsock_frame){.kind = VSOCK_FRAME_OFFER, .stream = THEIRS, .a = 7, .b = 1u << 30},
                    NULL);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_END).stream, THEIRS);
        stage_frame_plain(&stage, VSOCK_FRAME_END, THEIRS);
        stage_expect_no_packet(&stage);
        assert_int_equal(stage_say_bytes(&stage, 7, 1u << 30, "on", 2, 0), WIRE_STATUS_OK);
        stage_expect_frame(&stage, VSOCK_FRAME_DATA);
        stage_end(&stage);
}

static void messages_are_for_a_guest_that_has_agreed(void **state)
{
        struct stage_packet packet = stage_packet(VSOCK_OP_REQUEST, 1025, 52);

        (void)state;
        stage_start(&stage, VSOCK_F_STREAM);
        stage_lend(&stage, 8, STAGE_BUFFER);
        packet.type = VSOCK_TYPE_SEQPACKET;
        assert_int_equal(stage_say(&stage, &packet), WIRE_STATUS_OK);
        assert_int_equal(stage_expect_op(&stage, VSOCK_OP_RST, 1025, 52).type, VSOCK_TYPE_SEQPACKET);
        stage_frame(&stage,
                    (struct vsock_frame){.kind = VSOCK_FRAME_OFFER,
                                         .flags = VSOCK_FRAME_SEQPACKET,
                                         .stream = THEIRS,
                                         .a = 7,
                                         .b = 1u << 30},
                    NULL);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_END).stream, THEIRS);
        stage_end(&stage);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(hello_is_that_of_a_vsock_device),
            cmocka_unit_test(bytes_of_a_connection_of_the_guest_go_both_ways),
            cmocka_unit_test(bytes_of_a_connection_of_the_host_go_both_ways),
            cmocka_unit_test(a_long_message_is_cut_to_the_buffers),
            cmocka_unit_test(a_message_of_the_guest_keeps_its_end),
            cmocka_unit_test(bytes_wait_for_buffers),
            cmocka_unit_test(nobody_there_is_a_reset),
            cmocka_unit_test(a_guest_that_closes_is_answered_and_its_bytes_go_on),
            cmocka_unit_test(each_direction_is_shut_by_itself),
            cmocka_unit_test(a_host_that_closes_is_told_behind_its_bytes),
            cmocka_unit_test(a_reset_of_the_guest_ends_the_stream),
            cmocka_unit_test(an_offer_that_nobody_answers_is_withdrawn),
            cmocka_unit_test(an_offer_that_the_guest_refuses_ends),
            cmocka_unit_test(an_offer_of_ports_that_are_taken_ends),
            cmocka_unit_test(messages_are_for_a_guest_that_has_agreed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
