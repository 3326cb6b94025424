/* workers/vsock: a whole device between a scripted guest and a scripted proxy: credit, and limits.
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

/* ---- credit ---- */

static void a_guest_that_sends_beyond_its_credit_is_cut_off(void **state)
{
        uint32_t stream;

        (void)state;
        stage_start_lent(&stage);
        stream = stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        stage_open(&stage, 1026, 52, VSOCK_TYPE_STREAM);
        assert_int_equal(stage_say_bytes(&stage, 1025, 52, bytes, LIMIT_VSOCK_BUFFER - 1, 0), WIRE_STATUS_OK);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_DATA).len, LIMIT_VSOCK_BUFFER - 1);
        assert_int_equal(stage_say_bytes(&stage, 1025, 52, bytes, 1, 0), WIRE_STATUS_OK);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_DATA).len, 1);
        assert_int_equal(stage_say_bytes(&stage, 1025, 52, bytes, 1, 0), WIRE_STATUS_OK);
        stage_expect_op(&stage, VSOCK_OP_RST, 1025, 52);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_END).stream, stream);
        assert_int_equal(stage_say_bytes(&stage, 1026, 52, "the other", 9, 0), WIRE_STATUS_OK); /* lives */
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_DATA).len, 9);
        stage_end(&stage);
}

static void room_that_the_host_makes_is_told(void **state)
{
        struct stage_packet packet;
        uint32_t stream;

        (void)state;
        stage_start_lent(&stage);
        stream = stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        for (uint32_t round = 1; round < 40; round++) {
                assert_int_equal(stage_say_bytes(&stage, 1025, 52, bytes, LIMIT_VSOCK_BUFFER, 0),
                                 WIRE_STATUS_OK);
                stage_expect_frame(&stage, VSOCK_FRAME_DATA);
                stage_frame(&stage,
                            (struct vsock_frame){.kind = VSOCK_FRAME_CONSUMED,
                                                 .stream = stream,
                                                 .a = round * LIMIT_VSOCK_BUFFER},
                            NULL);
                packet = stage_expect_op(&stage, VSOCK_OP_CREDIT_UPDATE, 1025, 52);
                assert_int_equal(packet.fwd_cnt, round * LIMIT_VSOCK_BUFFER);
                assert_int_equal(packet.buf_alloc, LIMIT_VSOCK_BUFFER);
                stage_lend(&stage, 1, STAGE_BUFFER);
        }
        stage_end(&stage);
}

/* What the host has taken while the guest had room enough is told as soon as it has not. */
static void the_last_byte_of_room_is_told_when_it_is_needed(void **state)
{
        uint32_t stream;

        (void)state;
        stage_start_lent(&stage);
        stream = stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        assert_int_equal(stage_say_bytes(&stage, 1025, 52, bytes, 100, 0), WIRE_STATUS_OK);
        stage_expect_frame(&stage, VSOCK_FRAME_DATA);
        stage_frame(&stage, (struct vsock_frame){.kind = VSOCK_FRAME_CONSUMED, .stream = stream, .a = 100},
                    NULL);
        stage_expect_no_packet(&stage);
        assert_int_equal(stage_say_bytes(&stage, 1025, 52, bytes, LIMIT_VSOCK_BUFFER - 100, 0),
                         WIRE_STATUS_OK);
        assert_int_equal(stage_expect_op(&stage, VSOCK_OP_CREDIT_UPDATE, 1025, 52).fwd_cnt, 100);
        stage_end(&stage);
}

static void a_guest_that_asks_is_told_its_credit(void **state)
{
        (void)state;
        stage_start_lent(&stage);
        stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        stage_say_op(&stage, VSOCK_OP_CREDIT_REQUEST, 1025, 52, 0);
        assert_int_equal(stage_expect_op(&stage, VSOCK_OP_CREDIT_UPDATE, 1025, 52).buf_alloc,
                         LIMIT_VSOCK_BUFFER);
        stage_end(&stage);
}

/* The proxy may send what the guest has room for: it asks for more when that is used up. */
static void credit_of_the_guest_is_the_proxys(void **state)
{
        struct stage_packet packet = stage_packet(VSOCK_OP_REQUEST, 1025, 52);
        uint32_t stream;

        (void)state;
        stage_start_lent(&stage);
        packet.buf_alloc = 1000;
        assert_int_equal(stage_say(&stage, &packet), WIRE_STATUS_OK);
        stream = stage_expect_frame(&stage, VSOCK_FRAME_OPEN).stream;
        stage_frame_plain(&stage, VSOCK_FRAME_OPENED, stream);
        stage_expect_op(&stage, VSOCK_OP_RESPONSE, 1025, 52);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_CREDIT).a, 1000);
        stage_frame_data(&stage, stream, bytes, 1000, 0);
        assert_int_equal(stage_expect_op(&stage, VSOCK_OP_RW, 1025, 52).len, 1000);
        stage_expect_op(&stage, VSOCK_OP_CREDIT_REQUEST, 1025, 52);
        packet.op = VSOCK_OP_CREDIT_UPDATE;
        packet.fwd_cnt = 400;
        assert_int_equal(stage_say(&stage, &packet), WIRE_STATUS_OK);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_CREDIT).a, 1400);
        packet.fwd_cnt = 300; /* made before the other: it says nothing new */
        assert_int_equal(stage_say(&stage, &packet), WIRE_STATUS_OK);
        packet.fwd_cnt = 1001; /* used what it was never given */
        assert_int_equal(stage_say(&stage, &packet), WIRE_STATUS_OK);
        stage_expect_op(&stage, VSOCK_OP_RST, 1025, 52);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_END).stream, stream);
        stage_end(&stage);
}

static void credit_beyond_all_reason_is_cut(void **state)
{
        struct stage_packet packet = stage_packet(VSOCK_OP_REQUEST, 1025, 52);
        uint32_t stream;

        (void)state;
        stage_start_lent(&stage);
        packet.buf_alloc = UINT32_MAX;
        assert_int_equal(stage_say(&stage, &packet), WIRE_STATUS_OK);
        stream = stage_expect_frame(&stage, VSOCK_FRAME_OPEN).stream;
        stage_frame_plain(&stage, VSOCK_FRAME_OPENED, stream);
        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_CREDIT).a, LIMIT_VSOCK_WINDOW);
        stage_end(&stage);
}

/* ---- limits ---- */

static void connections_are_as_many_as_there_may_be(void **state)
{
        (void)state;
        stage_start_lent(&stage);
        for (uint32_t i = 0; i < LIMIT_VSOCK_STREAMS; i++) {
                stage_open(&stage, 2000 + i, 52, VSOCK_TYPE_STREAM);
                stage_lend(&stage, 1, STAGE_BUFFER);
        }
        stage_say_op(&stage, VSOCK_OP_REQUEST, 1025, 52, 0);
        stage_expect_op(&stage, VSOCK_OP_RST, 1025, 52);
        stage_offer(&stage, THEIRS + 77, 9, 1u << 30); /* which are counted by themselves */
        stage_say_op(&stage, VSOCK_OP_RST, 2000, 52, 0);
        stage_frame_plain(&stage, VSOCK_FRAME_END, stage_expect_frame(&stage, VSOCK_FRAME_END).stream);
        stage_lend(&stage, 8, STAGE_BUFFER);
        stage_expect_no_packet(&stage);
        stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        stage_end(&stage);
}

/* 20,000 packets to nobody without a buffer for an answer: as many answers as there may be, and the device goes on. */
static void a_guest_that_takes_no_answers_gets_no_more(void **state)
{
        unsigned n = 0;

        (void)state;
        stage_start(&stage, BOTH);
        for (unsigned i = 0; i < 20000; i++)
                assert_int_equal(stage_say_bytes(&stage, i, 9999, "x", 1, 0), WIRE_STATUS_OK);
        stage_say_op(&stage, VSOCK_OP_REQUEST, 1025, 52, 0); /* unheard */
        for (;;) {
                struct stage_packet probe = stage_packet(VSOCK_OP_RW, 77, 77);

                stage_lend(&stage, 1, STAGE_BUFFER);
                if (n == LIMIT_VSOCK_REPLIES)
                        assert_int_equal(stage_say(&stage, &probe), WIRE_STATUS_OK);
                if (stage_hear(&stage).src_port == 77)
                        break;
                n++;
        }
        assert_int_equal(n, LIMIT_VSOCK_REPLIES);
        stage_lend(&stage, 2, STAGE_BUFFER);
        stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        stage_end(&stage);
}

static void a_payload_that_did_not_come_along_is_asked_for(void **state)
{
        static uint8_t packet_bytes[VSOCK_HEADER_BYTES + 5000];
        static const uint32_t inlined[] = {0, 43, 44, 45, 5043};

        (void)state;
        stage_start_lent(&stage);
        stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        for (size_t i = 0; i < array_size(inlined); i++) {
                struct stage_packet packet = stage_packet(VSOCK_OP_RW, 1025, 52);
                struct fake_request request = {.queue = VSOCK_QUEUE_TX,
                                               .readable = packet_bytes,
                                               .n_readable = sizeof(packet_bytes),
                                               .inlined = inlined[i]};

                packet.len = 5000;
                stage_make(&packet, packet_bytes);
                memset(packet_bytes + VSOCK_HEADER_BYTES, (int)i + 1, 5000);
                request.id = stage.id++;
                fake_send_requests(&stage.broker, 0, &request, 1);
                while (!request.done)
                        assert_true(fake_serve(&stage.broker, 0));
                assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_DATA).len, 5000);
                assert_memory_equal(stage.payload, packet_bytes + VSOCK_HEADER_BYTES, 5000);
        }
        stage_end(&stage);
}

#define PACKETS 60u
#define PIECE   8000u

/* The proxy does not read: packets wait in the guest's buffers, in their order. */
static void packets_wait_for_the_proxy(void **state)
{
        static struct fake_request requests[PACKETS];
        static uint8_t packets[PACKETS][VSOCK_HEADER_BYTES + PIECE];
        unsigned n_done = 0;

        (void)state;
        stage_start_lent(&stage);
        for (unsigned i = 0; i < 16; i++)
                assert_int_equal(stage_open(&stage, 1025 + i, 52, VSOCK_TYPE_STREAM), i);
        for (unsigned i = 0; i < PACKETS; i++) {
                struct stage_packet packet = stage_packet(VSOCK_OP_RW, 1025 + i % 16, 52);

                packet.len = PIECE;
                stage_make(&packet, packets[i]);
                memset(packets[i] + VSOCK_HEADER_BYTES, (int)i, PIECE);
                requests[i] = (struct fake_request){.id = stage.id++,
                                                    .queue = VSOCK_QUEUE_TX,
                                                    .readable = packets[i],
                                                    .n_readable = sizeof(packets[i]),
                                                    .inlined = FAKE_INLINE_ALL};
                fake_send_requests(&stage.broker, 0, &requests[i], 1);
        }
        while (!requests[4].done)
                assert_true(fake_serve(&stage.broker, 0));
        for (unsigned i = 0; i < PACKETS; i++) {
                struct vsock_frame frame = stage_expect_frame(&stage, VSOCK_FRAME_DATA);

                n_done += requests[i].done;
                assert_int_equal(frame.stream, i % 16);
                assert_int_equal(frame.len, PIECE);
                assert_int_equal(stage.payload[0], i);
                assert_int_equal(stage.payload[PIECE - 1], i);
                while (!requests[i].done)
                        assert_true(fake_serve(&stage.broker, 0));
        }
        assert_true(n_done < PACKETS);
        stage_end(&stage);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_guest_that_sends_beyond_its_credit_is_cut_off),
            cmocka_unit_test(room_that_the_host_makes_is_told),
            cmocka_unit_test(the_last_byte_of_room_is_told_when_it_is_needed),
            cmocka_unit_test(a_guest_that_asks_is_told_its_credit),
            cmocka_unit_test(credit_of_the_guest_is_the_proxys),
            cmocka_unit_test(credit_beyond_all_reason_is_cut),
            cmocka_unit_test(connections_are_as_many_as_there_may_be),
            cmocka_unit_test(a_guest_that_takes_no_answers_gets_no_more),
            cmocka_unit_test(a_payload_that_did_not_come_along_is_asked_for),
            cmocka_unit_test(packets_wait_for_the_proxy),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
