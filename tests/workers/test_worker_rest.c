/* workers/runtime: a worker that has nothing to do gives back what the broker has copied to and from: not before the broker
 * has said that it has fetched it; and it is not fooled by bytes that were put there before. TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include <cmocka.h>

#include "proto/base/status.h"
#include "tests/workers/test_device.h"

#define LEN (3u * LIMIT_AREA_PAGE)

static uint8_t *in;
static uint8_t out[LEN];

static void start(void)
{
        struct control_configure configure = test_device_configure;

        configure.area_len = 16 * LIMIT_AREA_PAGE;
        fake_start_ops(&broker, &test_device_ops, 1, NULL, 0);
        fake_configure(&broker, &configure);
        assert_int_equal(broker.hello.area.len, configure.area_len);
        for (uint32_t q = 0; q < QUEUE_COUNT; q++)
                assert_int_equal(fake_start_queue(&broker, q), 0);
        in = noise(LEN);
}

static void end(void)
{
        free(in);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static struct fake_request placed(uint64_t id)
{
        return (struct fake_request){.id = id,
                                     .queue = QUEUE_COPY,
                                     .readable = in,
                                     .n_readable = LEN,
                                     .writable = out,
                                     .n_writable = LEN,
                                     .in_at = 2};
}

/* Sends it and looks at the answer. */
static void copied(struct fake_request *request)
{
        memset(out, 0, sizeof(out));
        fake_send_requests(&broker, 0, request, 1);
        fake_drain(&broker, 0);
        assert_int_equal(request->status, WIRE_STATUS_OK);
        assert_memory_equal(in, out, LEN);
}

static bool area_is_zero(void)
{
        static uint8_t bytes[LEN], zeros[LEN];
        struct iovec to = {.iov_base = bytes, .iov_len = LEN};
        struct iovec from = {.iov_base = (void *)(uintptr_t)(broker.hello.area.at + LIMIT_AREA_PAGE),
                             .iov_len = LEN};

        assert_int_equal(process_vm_readv(broker.pid, &to, 1, &from, 1, 0), LEN);
        return memcmp(bytes, zeros, LEN) == 0;
}

/* Its question, and what comes of the answer. */
static void await_rest(void)
{
        const time_t deadline = time(NULL) + FAKE_DEADLINE_S;
        unsigned asked = broker.n_rests;

        while (broker.n_rests == asked)
                assert_true(fake_serve(&broker, 0));
        while (!area_is_zero()) {
                assert_true(time(NULL) < deadline);
                poll(NULL, 0, 5); /* nothing tells us: what another process has is looked at */
        }
}

static void a_worker_at_rest_gives_its_area_back(void **state)
{
        struct fake_request r;

        (void)state;
        start();
        r = placed(1);
        fake_place(&broker, &r);
        copied(&r);
        assert_int_equal(broker.n_mem_reads, 0);
        assert_false(area_is_zero());
        await_rest();
        end();
}

static struct fake_request lent(uint64_t id)
{
        struct fake_request r = placed(id);

        r.queue = QUEUE_PLACE;
        r.in_at = 0;
        r.out_at = 2;
        r.inlined = FAKE_INLINE_ALL;
        return r;
}

/* Sends it; all but its last byte lies in its place, and nobody has fetched it yet. */
static void answered_in_place(struct fake_request *request)
{
        broker.late = true;
        memset(out, 0, sizeof(out));
        fake_send_requests(&broker, 0, request, 1);
        fake_drain(&broker, 0);
        assert_int_equal(request->placed, LEN - 1);
}

static void fetched(struct fake_request *request)
{
        fake_fetch(&broker, request);
        assert_memory_equal(in, out, LEN);
}

/* It has had nothing to do for so long that it has asked: whatever the broker takes its time for is there. */
static void what_is_not_fetched_yet_outlasts_the_idle_time(void **state)
{
        struct fake_request r;

        (void)state;
        start();
        r = lent(1);
        broker.hold_rest = true;
        answered_in_place(&r);
        while (broker.n_rests == 0)
                assert_true(fake_serve(&broker, 0));
        fetched(&r);
        assert_false(area_is_zero());
        fake_answer_rest(&broker, 0);
        broker.hold_rest = false;
        while (!area_is_zero())
                poll(NULL, 0, 5); /* the child has an alarm */
        assert_int_equal(broker.n_rests, 1);
        end();
}

/* The answer is to a question that was asked before it was placed. */
static void what_is_placed_after_the_question_outlasts_its_answer(void **state)
{
        struct fake_request r, next, last;

        (void)state;
        start();
        r = lent(1);
        broker.hold_rest = true;
        answered_in_place(&r);
        while (broker.n_rests == 0)
                assert_true(fake_serve(&broker, 0));
        next = lent(2);
        answered_in_place(&next);
        fake_answer_rest(&broker, 0);
        last = lent(3); /* once this is answered, that answer has been heard */
        last.out_at = 0;
        last.writable = malloc(LEN);
        assert_non_null(last.writable);
        fake_send_requests(&broker, 0, &last, 1);
        fake_drain(&broker, 0);
        free(last.writable);
        fetched(&next);
        broker.hold_rest = false;
        await_rest();
        assert_int_equal(broker.n_rests, 2);
        end();
}

static void an_answer_without_a_question_traps(void **state)
{
        (void)state;
        start();
        fake_answer_rest(&broker, 0);
        assert_true(fake_trapped(fake_await(&broker)));
        free(in);
}

/* The broker put it there just before the rest, and sends it just after. */
static void what_was_put_there_before_a_rest_is_asked_for(void **state)
{
        struct fake_request r, next;

        (void)state;
        start();
        r = placed(1);
        fake_place(&broker, &r);
        copied(&r);
        await_rest();
        r = placed(2);
        copied(&r);
        assert_int_equal(broker.n_mem_reads, 1);
        next = placed(3);
        fake_place(&broker, &next);
        copied(&next);
        assert_int_equal(broker.n_mem_reads, 1);
        await_rest();
        end();
}

/* It was sent before the broker had seen the question. */
static void what_comes_before_the_first_answer_is_asked_for_too(void **state)
{
        struct fake_request r, next;
        static uint8_t out_of_next[LEN];

        (void)state;
        start();
        r = placed(1);
        fake_place(&broker, &r);
        copied(&r);
        await_rest();
        r = placed(2);
        next = placed(3);
        next.writable = out_of_next;
        broker.hold_reads = true;
        fake_send_requests(&broker, 0, &r, 1);
        assert_true(fake_serve(&broker, 0)); /* the question */
        fake_send_requests(&broker, 0, &next, 1);
        broker.hold_reads = false;
        fake_answer_reads(&broker);
        fake_drain(&broker, 0);
        assert_int_equal(broker.n_mem_reads, 2);
        assert_memory_equal(in, out, LEN);
        assert_memory_equal(in, out_of_next, LEN);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_worker_at_rest_gives_its_area_back),
            cmocka_unit_test(what_is_not_fetched_yet_outlasts_the_idle_time),
            cmocka_unit_test(what_is_placed_after_the_question_outlasts_its_answer),
            cmocka_unit_test(an_answer_without_a_question_traps),
            cmocka_unit_test(what_was_put_there_before_a_rest_is_asked_for),
            cmocka_unit_test(what_comes_before_the_first_answer_is_asked_for_too),
        };

        return cmocka_run_group_tests_name("worker_rest", tests, NULL, NULL);
}
