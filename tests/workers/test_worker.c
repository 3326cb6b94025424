/* workers/runtime: a whole runtime with a device made for the purpose, against a scripted broker.
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
#include "proto/base/cleanup.h"
#include "proto/base/status.h"
#include "tests/workers/test_device.h"

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
        fd_duplex_close(&broker.control);
        assert_true(fake_exited(fake_end(&broker), 0));
        start_lanes(2);
        fd_duplex_close(&broker.lanes[1]);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void one_pipe_of_a_lane_that_ends_is_a_clean_end(void **state)
{
        uint8_t in[100] = {0}, out[100];
        struct fake_request r = {.id = 5,
                                 .queue = QUEUE_COPY,
                                 .readable = in,
                                 .n_readable = sizeof(in),
                                 .inlined = FAKE_INLINE_ALL,
                                 .writable = out,
                                 .n_writable = sizeof(out)};

        (void)state;
        start_lanes(2);
        close(take_fd(&broker.lanes[1].out)); /* nothing more comes */
        assert_true(fake_exited(fake_await(&broker), 0));
        start_lanes(2);
        close(take_fd(&broker.lanes[0].in)); /* nobody hears the answer */
        fake_send_requests(&broker, 0, &r, 1);
        assert_true(fake_exited(fake_await(&broker), 0));
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
        fake_answer_reads(&broker); /* more than a pipe takes comes back, and nobody reads it */
        assert_true(fake_exited(fake_end(&broker), 0));
        free(in);
        free(out);
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
            cmocka_unit_test(one_pipe_of_a_lane_that_ends_is_a_clean_end),
            cmocka_unit_test(shutdown_is_a_clean_end),
            cmocka_unit_test(a_broker_that_stops_reading_and_goes_is_a_clean_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
