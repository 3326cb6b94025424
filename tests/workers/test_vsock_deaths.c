/* workers/vsock: a device whose predecessor or proxy has died, or lies.
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

/* ---- deaths ---- */

static void a_successor_tells_the_guest_what_is_lost(void **state)
{
        const struct vsock_lost lost[2] = {{.guest_port = 1025, .host_port = 52},
                                           {.guest_port = 7, .host_port = 1u << 30, .seqpacket = true}};
        uint8_t list[2 * VSOCK_LOST_BYTES], event[4] = {9, 9, 9, 9};
        struct fake_request reset = {
            .queue = VSOCK_QUEUE_EVENT, .writable = event, .n_writable = sizeof(event)};
        uint32_t old;

        (void)state;
        stage_start_lent(&stage);
        old = stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        assert_true(fake_exited(fake_end(&stage.broker), 0));
        stage_frame_data(&stage, old, "stale", 5, 0); /* was under way */
        stage_start_again(&stage, BOTH, true, true);
        for (unsigned i = 0; i < array_size(lost); i++)
                vsock_lost_make(&lost[i], list + i * VSOCK_LOST_BYTES);
        stage_frame(&stage, (struct vsock_frame){.kind = VSOCK_FRAME_LOST, .len = sizeof(list)}, list);
        stage_lend(&stage, 8, STAGE_BUFFER);
        assert_int_equal(stage_expect_op(&stage, VSOCK_OP_RST, 1025, 52).type, VSOCK_TYPE_STREAM);
        assert_int_equal(stage_expect_op(&stage, VSOCK_OP_RST, 7, 1u << 30).type, VSOCK_TYPE_SEQPACKET);
        stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        reset.id = stage.id++;
        fake_send_requests(&stage.broker, 0, &reset, 1);
        while (!reset.done)
                assert_true(fake_serve(&stage.broker, 0));
        assert_int_equal(reset.used, 4);
        assert_memory_equal(event, "\0\0\0\0", 4);
        stage_end(&stage);
}

/* Whoever began it: the successor must tell the guest, even if the proxy has died, too, and knows of no stream. */
static void a_connection_of_either_side_is_left_to_the_successor(void **state)
{
        struct control_to_broker said;

        (void)state;
        for (unsigned of_host = 0; of_host < 2; of_host++) {
                stage_start_lent(&stage);
                if (of_host)
                        stage_offer(&stage, THEIRS, 7, 1u << 30);
                else
                        stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
                do
                        assert_true(fake_next_control(&stage.broker, &said));
                while (said.kind != CONTROL_PUT_STATE);
                assert_int_equal(said.put_state.len, 1);
                assert_int_equal(said.put_state.bytes[0], 1);
                stage_end(&stage);
        }
}

/* The guest has noticed by itself and connected again: that connection is not the lost one. */
static void a_new_connection_of_lost_ports_lives(void **state)
{
        const struct vsock_lost lost = {.guest_port = 1025, .host_port = 52};
        uint8_t list[VSOCK_LOST_BYTES];

        (void)state;
        stage_start_lent(&stage);
        stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        vsock_lost_make(&lost, list);
        stage_frame(&stage, (struct vsock_frame){.kind = VSOCK_FRAME_LOST, .len = sizeof(list)}, list);
        stage_expect_no_packet(&stage);
        stage_end(&stage);
}

static void what_was_for_a_predecessor_is_not_heard(void **state)
{
        (void)state;
        stage_start_lent(&stage);
        assert_true(fake_exited(fake_end(&stage.broker), 0));
        stage_start_again(&stage, BOTH, false, false);
        stage_frame_data(&stage, THEIRS + 1, "stale", 5, 0);
        stage_frame(&stage, (struct vsock_frame){.kind = VSOCK_FRAME_WELCOME, .a = 1, .b = 2},
                    NULL); /* to another HELLO */
        stage_frame_plain(&stage, VSOCK_FRAME_END, 3);
        stage_welcome(&stage);
        stage_lend(&stage, 8, STAGE_BUFFER);
        stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        stage_end(&stage);
}

static void bytes_of_a_predecessors_connection_are_dropped(void **state)
{
        struct stage_packet packet = stage_packet(VSOCK_OP_REQUEST, 1025, 52);
        uint8_t header[VSOCK_HEADER_BYTES];
        struct fake_request request = {.queue = VSOCK_QUEUE_TX,
                                       .readable = header,
                                       .n_readable = sizeof(header),
                                       .inlined = FAKE_INLINE_ALL,
                                       .must_fail = true};

        (void)state;
        stage_start_lent(&stage);
        stage_make(&packet, header);
        request.id = stage.id++;
        fake_send_requests(&stage.broker, 0, &request, 1);
        while (!request.done)
                assert_true(fake_serve(&stage.broker, 0));
        assert_int_equal(request.status, WIRE_STATUS_OK);
        stage_expect_no_packet(&stage);
        stage_end(&stage);
}

static void a_state_that_is_none_is_refused(void **state)
{
        (void)state;
        stage_start_lent(&stage);
        assert_true(fake_restore_state(&stage.broker, "\2", 1) < 0);
        stage_end(&stage);
}

/* The proxy has died: the guest is told of all its connections, and then the worker makes room for one with a new socket. */
static void a_worker_whose_proxy_is_gone_resets_all_and_ends(void **state)
{
        (void)state;
        stage_start_lent(&stage);
        stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        stage_offer(&stage, THEIRS, 7, 1u << 30);
        close(stage.worker);
        close(stage.proxy);
        stage_expect_op(&stage, VSOCK_OP_RST, 1025, 52);
        stage_expect_op(&stage, VSOCK_OP_RST, 7, 1u << 30);
        assert_true(fake_exited(fake_await(&stage.broker), 3));
}

static void a_worker_whose_proxy_is_gone_ends_without_buffers_too(void **state)
{
        (void)state;
        stage_start(&stage, BOTH);
        stage_lend(&stage, 1, STAGE_BUFFER);
        stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        close(stage.worker);
        close(stage.proxy);
        stage_say_op(&stage, VSOCK_OP_REQUEST, 1026, 52, 0); /* is served still */
        assert_true(fake_exited(fake_await(&stage.broker), 3));
}

/* ---- a proxy that was taken over ---- */

static const struct wrong {
        const char *name;
        struct vsock_frame frame;
} wrongs[] = {
    {"no such kind", {.kind = VSOCK_FRAME_KIND_COUNT_}},
    {"WELCOME twice", {.kind = VSOCK_FRAME_WELCOME}},
    {"a word for the proxy", {.kind = VSOCK_FRAME_CREDIT, .stream = 0}},
    {"bytes of no stream", {.kind = VSOCK_FRAME_DATA, .stream = 9, .len = 1}},
    {"the end of no stream", {.kind = VSOCK_FRAME_END, .stream = 9}},
    {"consumed of no stream", {.kind = VSOCK_FRAME_CONSUMED, .stream = 9}},
    {"opened, and nobody asked", {.kind = VSOCK_FRAME_OPENED, .stream = 9}},
    {"opened twice", {.kind = VSOCK_FRAME_OPENED, .stream = 0}},
    {"an offer of a stream of ours", {.kind = VSOCK_FRAME_OFFER, .stream = 9}},
    {"an offer of a stream that is used", {.kind = VSOCK_FRAME_OFFER, .stream = THEIRS, .a = 5, .b = 6}},
    {"consumed more than came", {.kind = VSOCK_FRAME_CONSUMED, .stream = 0, .a = 1}},
    {"the end of a message in a stream",
     {.kind = VSOCK_FRAME_DATA, .flags = VSOCK_FRAME_EOM, .stream = 0, .len = 1}},
    {"a stream number out of range", {.kind = VSOCK_FRAME_END, .stream = VSOCK_FRAME_IDS}},
    {"an empty frame of bytes", {.kind = VSOCK_FRAME_DATA, .stream = 0}},
    {"a SHUT of nothing", {.kind = VSOCK_FRAME_SHUT, .stream = 0}},
    {"a lost stream cut short", {.kind = VSOCK_FRAME_LOST, .len = VSOCK_LOST_BYTES - 1}},
};

static void a_proxy_that_errs_is_left(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(wrongs); i++) {
                print_message("%s\n", wrongs[i].name);
                stage_start_lent(&stage);
                assert_int_equal(stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM), 0);
                stage_offer(&stage, THEIRS, 7, 1u << 30);
                stage_frame(&stage, wrongs[i].frame, bytes);
                assert_true(fake_trapped(fake_await(&stage.broker)));
                close(stage.proxy);
                close(stage.worker);
        }
}

static void a_proxy_that_sends_beyond_its_credit_is_left(void **state)
{
        uint32_t stream;

        (void)state;
        stage_start(&stage, BOTH);
        stage_lend(&stage, 64, STAGE_BUFFER);
        stream = stage_open(&stage, 1025, 52, VSOCK_TYPE_STREAM);
        for (unsigned i = 0; i < 4; i++) {
                stage_frame_data(&stage, stream, bytes, LIMIT_VSOCK_BUFFER, 0);
                for (unsigned j = 0; j < 17; j++, stage_lend(&stage, 1, STAGE_BUFFER))
                        stage_expect_op(&stage, VSOCK_OP_RW, 1025, 52);
        }
        stage_frame_data(&stage, stream, bytes, 1, 0);
        assert_true(fake_trapped(fake_await(&stage.broker)));
        close(stage.proxy);
        close(stage.worker);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_successor_tells_the_guest_what_is_lost),
            cmocka_unit_test(a_connection_of_either_side_is_left_to_the_successor),
            cmocka_unit_test(a_new_connection_of_lost_ports_lives),
            cmocka_unit_test(what_was_for_a_predecessor_is_not_heard),
            cmocka_unit_test(bytes_of_a_predecessors_connection_are_dropped),
            cmocka_unit_test(a_state_that_is_none_is_refused),
            cmocka_unit_test(a_worker_whose_proxy_is_gone_resets_all_and_ends),
            cmocka_unit_test(a_worker_whose_proxy_is_gone_ends_without_buffers_too),
            cmocka_unit_test(a_proxy_that_errs_is_left),
            cmocka_unit_test(a_proxy_that_sends_beyond_its_credit_is_left),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
