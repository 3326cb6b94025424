/* The control channel to a worker: who is answered, in which turn, and what ends it.
 * TRUST: a worker's bytes, good and bad.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/worker_link.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/fd.h"
#include "proto/frame.h"
#include "tests/core/model_guest.h"

static struct test {
        uv_loop_t loop;
        struct worker_link *link;
        int peer;
        unsigned n_messages, n_faults, n_done, n_dropped, n_told;
        const char *why;
        int errors[1024];
        bool free_in_done, free_in_message, refuse;
        unsigned fds_before;
} test;

static int on_message(void *context, const struct control_to_broker *message)
{
        (void)context;
        (void)message;
        test.n_messages++;
        if (test.free_in_message)
                test.link = worker_link_free(test.link);
        return test.refuse ? -EPROTO : 0;
}

static void on_fault(void *context, const char *why)
{
        (void)context;
        assert_non_null(why);
        test.why = why;
        test.n_faults++;
        test.link = worker_link_free(test.link);
}

static void on_done(void *context, int error)
{
        (void)context;
        test.errors[test.n_done++ % 1024] = error;
        if (test.free_in_done && error != -ECANCELED)
                test.link = worker_link_free(test.link);
}

static void on_dropped(void *context, uint32_t n)
{
        (void)context;
        test.n_dropped += n;
        test.n_told++;
}

static const struct worker_link_ops ops = {
    .message = on_message, .fault = on_fault, .logs_dropped = on_dropped};

static void begin_maps(enum worker_link_maps maps)
{
        uv_loop_t warm;
        int fds[2];

        assert_int_equal(uv_loop_init(&warm), 0);
        assert_int_equal(uv_loop_close(&warm), 0);
        test = (struct test){.fds_before = count_fds()};
        assert_int_equal(uv_loop_init(&test.loop), 0);
        assert_int_equal(fd_stream_pair(fds), 0);
        test.peer = fds[1];
        assert_int_equal(worker_link_new(&test.loop, fds[0], maps, &ops, &test, &test.link), 0);
}

static void begin(void)
{
        begin_maps(WORKER_LINK_NO_MAPS);
}

static void run(void)
{
        for (unsigned i = 0; i < 10; i++)
                uv_run(&test.loop, UV_RUN_NOWAIT);
}

static void end(void)
{
        test.link = worker_link_free(test.link);
        run();
        assert_int_equal(uv_loop_close(&test.loop), 0);
        close(test.peer);
        assert_int_equal(count_fds(), test.fds_before);
}

static int ask(void)
{
        return worker_link_send(test.link, &(struct control_to_worker){.kind = CONTROL_SET_FEATURES}, on_done,
                                NULL);
}

static void answer(const struct control_to_broker *message)
{
        uint8_t buf[4096];
        ssize_t len = control_make_to_broker(message, buf + FRAME_HEAD_BYTES, sizeof(buf) - FRAME_HEAD_BYTES);

        assert_true(len > 0);
        frame_head_make(&(struct frame_head){.header_len = (uint32_t)len}, buf);
        assert_int_equal(send(test.peer, buf, FRAME_HEAD_BYTES + (size_t)len, 0), FRAME_HEAD_BYTES + len);
}

static void done(uint32_t seq, int error)
{
        answer(&(struct control_to_broker){.kind = CONTROL_DONE, .done = {.seq = seq, .error = error}});
}

static void answers_come_in_order_with_their_error(void **state)
{
        (void)state;
        begin();
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(ask(), 0);
        assert_int_equal(worker_link_pending(test.link), 3);
        done(1, 0);
        done(2, -EINVAL);
        run();
        assert_int_equal(test.n_done, 2);
        assert_int_equal(test.errors[0], 0);
        assert_int_equal(test.errors[1], -EINVAL);
        assert_int_equal(worker_link_pending(test.link), 1);
        test.link = worker_link_free(test.link);
        assert_int_equal(test.n_done, 3);
        assert_int_equal(test.errors[2], -ECANCELED);
        assert_int_equal(test.n_faults, 0);
        end();
}

static void configure_and_shutdown_are_not_answered(void **state)
{
        struct control_to_worker message = {.kind = CONTROL_CONFIGURE,
                                            .configure = {.name = "x", .n_queues = 1, .n_lanes = 1}};

        (void)state;
        begin();
        message.configure.type = DEVICE_TYPE_RNG;
        message.configure.max_payload = LIMIT_FRAME_PAYLOAD;
        assert_int_equal(worker_link_send(test.link, &message, on_done, NULL), 0);
        message = (struct control_to_worker){.kind = CONTROL_SHUTDOWN};
        assert_int_equal(worker_link_send(test.link, &message, on_done, NULL), 0);
        assert_int_equal(worker_link_pending(test.link), 0);
        done(0, 0);
        run();
        assert_int_equal(test.n_faults, 1);
        assert_int_equal(test.n_done, 0);
        end();
}

static void an_answer_out_of_turn_is_a_fault(void **state)
{
        static const uint32_t wrong[] = {0, 2, 3, UINT32_MAX};

        (void)state;
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                begin();
                assert_int_equal(ask(), 0);
                assert_int_equal(ask(), 0);
                done(wrong[i], 0);
                done(1, 0);
                run();
                assert_int_equal(test.n_faults, 1);
                assert_int_equal(test.n_done, 2);
                assert_int_equal(test.errors[0], -ECANCELED);
                assert_int_equal(test.errors[1], -ECANCELED);
                end();
        }
}

static void an_answer_that_nobody_waits_for_is_a_fault(void **state)
{
        (void)state;
        begin();
        assert_int_equal(ask(), 0);
        done(1, 0);
        done(1, 0);
        run();
        assert_int_equal(test.n_done, 1);
        assert_int_equal(test.n_faults, 1);
        end();
}

static void too_much_unanswered_is_refused_and_registers_nothing(void **state)
{
        unsigned n = 0;
        int r;

        (void)state;
        begin();
        while ((r = ask()) == 0)
                n++;
        assert_int_equal(r, -ENOBUFS);
        assert_int_equal(n, 2 * LIMIT_QUEUES + LIMIT_CONFIG_FIELDS);
        assert_int_equal(worker_link_pending(test.link), n);
        done(1, 0);
        run();
        assert_int_equal(ask(), 0);
        test.link = worker_link_free(test.link);
        assert_int_equal(test.n_done, n + 1);
        end();
}

static void it_may_be_freed_inside_its_callbacks(void **state)
{
        static const struct control_to_broker log = {.kind = CONTROL_LOG, .log = {.level = 2, .text = "hi"}};

        (void)state;
        for (unsigned i = 0; i < 2; i++) {
                begin();
                test.free_in_done = i == 0;
                test.free_in_message = i == 1;
                test.refuse = i == 1;
                assert_int_equal(ask(), 0);
                assert_int_equal(ask(), 0);
                if (i == 0)
                        done(1, 0);
                answer(&log);
                answer(&log);
                run();
                assert_null(test.link);
                assert_int_equal(test.n_done, 2);
                assert_int_equal(test.errors[1], -ECANCELED);
                assert_int_equal(test.n_messages, i);
                assert_int_equal(test.n_faults, 0);
                end();
        }
}

static void a_refused_message_and_rubbish_are_faults_once(void **state)
{
        (void)state;
        begin();
        test.refuse = true;
        for (unsigned i = 0; i < 3; i++)
                answer(&(struct control_to_broker){.kind = CONTROL_STATS});
        run();
        assert_int_equal(test.n_messages, 1);
        assert_int_equal(test.n_faults, 1);
        end();
        begin();
        assert_int_equal(send(test.peer, "\2\0\0\0\0\0\0\0zz", 10, 0), 10);
        run();
        assert_int_equal(test.n_messages, 0);
        assert_int_equal(test.n_faults, 1);
        end();
}

static void a_descriptor_is_a_fault(void **state)
{
        struct iovec iov = {.iov_base = "\2\0\0\0\0\0\0\0zz", .iov_len = 10};

        (void)state;
        begin();
        assert_int_equal(fd_pass_send(test.peer, &iov, 1, &test.peer, 1), 10);
        run();
        assert_int_equal(test.n_faults, 1);
        end();
}

/* ---- quotas ---- */

static const struct control_to_broker log_line = {.kind = CONTROL_LOG, .log = {.level = 2, .text = "hi"}};

/* Says it n times; the loop's time stands still. */
static void say(const struct control_to_broker *message, unsigned n)
{
        for (unsigned i = 0; i < n && test.link; i++) {
                answer(message);
                uv_run(&test.loop, UV_RUN_NOWAIT);
        }
        run();
}

static void logs_over_the_quota_are_dropped_and_counted(void **state)
{
        (void)state;
        begin();
        say(&log_line, LIMIT_CONTROL_LOG_BURST + 100);
        assert_int_equal(test.n_faults, 0);
        assert_true(test.n_messages >= LIMIT_CONTROL_LOG_BURST); /* a slow machine earns some more */
        assert_true(test.n_messages < LIMIT_CONTROL_LOG_BURST + 100);
        assert_true(test.n_told <= 1 + test.n_messages - LIMIT_CONTROL_LOG_BURST);
        test.link = worker_link_free(test.link);
        assert_true(test.n_told > 0);
        assert_int_equal(test.n_messages + test.n_dropped, LIMIT_CONTROL_LOG_BURST + 100);
        end();
}

static void a_flood_of_any_kind_ends_the_worker(void **state)
{
        static const struct control_to_broker stats = {.kind = CONTROL_STATS},
                                              put = {.kind = CONTROL_PUT_STATE};
        static const uint64_t value[1];
        const struct control_to_broker space = {.kind = CONTROL_CONFIG_SPACE,
                                                .config_space = {.value = (uint64_t *)value, .n = 1}};
        const struct control_to_broker *const floods[] = {&stats, &put, &log_line, &space};

        (void)state;
        for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
                begin();
                say(floods[i], 100000); /* far faster than its rate */
                assert_int_equal(test.n_faults, 1);
                assert_string_equal(test.why, "says more on its control channel than it may");
                assert_null(test.link);
                end();
        }
}

/* As fast as they come: a driver may write its config space as fast as it is answered. */
static void answers_have_no_rate(void **state)
{
        (void)state;
        begin();
        for (unsigned i = 1; i <= 3 * LIMIT_CONTROL_BURST; i++) {
                assert_int_equal(ask(), 0);
                done(i, 0);
                uv_run(&test.loop, UV_RUN_NOWAIT);
        }
        run();
        assert_int_equal(test.n_done, 3 * LIMIT_CONTROL_BURST);
        assert_int_equal(test.n_faults, 0);
        end();
}

static const struct control_to_broker unmap = {.kind = CONTROL_SHMEM_UNMAP,
                                               .shmem = {.id = 1, .len = LIMIT_SHMEM_PAGE}};

static void until_heard(unsigned n)
{
        const uint64_t began = uv_hrtime();

        while (test.link && test.n_messages < n && uv_hrtime() - began < UINT64_C(20000000000))
                uv_run(&test.loop, UV_RUN_ONCE);
        assert_int_equal(test.n_messages, n);
}

static void a_worker_whose_guest_maps_all_the_time_is_slowed_down_and_lives(void **state)
{
        const unsigned half = LIMIT_CONTROL_BURST / 2, more = 64;
        uint64_t began, took_ms, regained;

        (void)state;
        begin_maps(WORKER_LINK_MAPS_OF_GUEST);
        began = uv_hrtime();
        say(&unmap, half);
        until_heard(half);
        for (unsigned i = 0; i < more; i++)
                answer(&unmap);
        until_heard(half + more);
        assert_int_equal(ask(), 0); /* it hears us meanwhile */
        done(1, 0);
        until_heard(half + more);
        while (test.n_done == 0)
                uv_run(&test.loop, UV_RUN_ONCE);
        took_ms = (uv_hrtime() - began) / 1000000;
        regained =
            (took_ms + 1) * LIMIT_CONTROL_RATE / 1000 + 1; /* on a slow machine: for those it need not rest */
        assert_true(took_ms + regained * LIMIT_CONTROL_REST_MS >= (more - 8) * LIMIT_CONTROL_REST_MS);
        assert_int_equal(test.n_faults, 0);
        answer(&unmap);
        test.link = worker_link_free(test.link); /* while it rests */
        end();
}

static void a_worker_that_maps_for_itself_is_ended_by_a_flood(void **state)
{
        (void)state;
        begin_maps(WORKER_LINK_MAPS);
        say(&unmap, 100000);
        assert_int_equal(test.n_faults, 1);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(answers_come_in_order_with_their_error),
            cmocka_unit_test(configure_and_shutdown_are_not_answered),
            cmocka_unit_test(an_answer_out_of_turn_is_a_fault),
            cmocka_unit_test(an_answer_that_nobody_waits_for_is_a_fault),
            cmocka_unit_test(too_much_unanswered_is_refused_and_registers_nothing),
            cmocka_unit_test(it_may_be_freed_inside_its_callbacks),
            cmocka_unit_test(a_refused_message_and_rubbish_are_faults_once),
            cmocka_unit_test(a_descriptor_is_a_fault),
            cmocka_unit_test(logs_over_the_quota_are_dropped_and_counted),
            cmocka_unit_test(a_flood_of_any_kind_ends_the_worker),
            cmocka_unit_test(answers_have_no_rate),
            cmocka_unit_test(a_worker_whose_guest_maps_all_the_time_is_slowed_down_and_lives),
            cmocka_unit_test(a_worker_that_maps_for_itself_is_ended_by_a_flood),
        };

        return cmocka_run_group_tests_name("worker_link", tests, NULL, NULL);
}
