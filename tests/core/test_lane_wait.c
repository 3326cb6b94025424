/* Requests that wait for somebody: they do not age, a stop does not wait for them, and nobody else does.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_wait.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/core/lane_age.h"
#include "broker/core/lane_isolate.h"
#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/core/lane_bench.h"

#define A       MODEL_BUFFERS
#define B       (MODEL_BUFFERS + 0x100000)
#define MAX_AGE 7000u

static struct lane_bench bench;
static uint16_t heads[3];
static uint64_t ids[3];

/* Three requests with the worker. */
static void begin(enum queue_kind kind)
{
        struct bench_options options = bench_defaults;

        options.kind = kind;
        bench_init(&bench, &options);
        lane_set_max_age(&bench.lane, MAX_AGE);
        for (unsigned i = 0; i < 3; i++)
                heads[i] =
                    model_post(&bench.guest, 0, (struct model_buffer[]){{A, 16, false}, {B, 64, true}}, 2);
        assert_int_equal(bench_requests(&bench), 3);
        for (unsigned i = 0; i < 3; i++)
                ids[i] = bench.requests[i].id;
}

static void say(unsigned i, uint32_t status)
{
        const uint32_t none = 0;
        const struct lane_to_broker message = {
            .kind = LANE_COMPLETE,
            .complete = {.n = 1, .id = &ids[i], .status = &status, .offset = &none, .len = &none}};

        fake_worker_send(&bench.worker, &message, NULL, 0);
        bench_run(&bench);
}

static void complete(unsigned i)
{
        fake_worker_complete(&bench.worker, ids[i], 0, "x", 1);
        bench_used(&bench, 0, heads[i], 1);
}

static void recalled(void)
{
        struct fake_frame frame;

        assert_true(fake_worker_next(&bench.worker, &frame));
        assert_int_equal(frame.message.kind, LANE_RECALL);
        assert_int_equal(frame.message.recall.queue, 0);
        assert_false(fake_worker_next(&bench.worker, &frame));
}

static void who_waits_does_not_age_and_others_do(void **state)
{
        const uint64_t never = UINT64_MAX / 2;
        uint64_t sent;

        (void)state;
        begin(QUEUE_WORK);
        say(1, WIRE_STATUS_WAITING);
        bench_not_used(&bench, 0);
        assert_true(lane_ages(&bench.lane));
        sent = request_table_find(&bench.lane.requests, ids[1])->sent_ms;
        for (unsigned i = 0; i < 3; i += 2) /* the others have come later */
                request_table_find(&bench.lane.requests, ids[i])->sent_ms = sent + 5000;
        assert_int_equal(lane_check_age(&bench.lane, sent + MAX_AGE), 5000);
        assert_int_equal(bench.faults, 0);
        complete(0);
        complete(2);
        assert_false(lane_ages(&bench.lane));
        assert_int_equal(lane_check_age(&bench.lane, never), 0);
        assert_int_equal(bench.faults, 0);
        complete(1);
        assert_int_equal(bench.lane.n_waits, 0);
        assert_int_equal(bench.lane.n_aging, 0);
        bench_done(&bench);
        begin(QUEUE_WORK);
        say(1, WIRE_STATUS_WAITING);
        lane_check_age(&bench.lane, never);
        assert_int_equal(bench.faults, 1); /* for the others */
        bench_done(&bench);
}

static void only_what_is_held_of_a_work_queue_waits_and_once(void **state)
{
        (void)state;
        begin(QUEUE_WORK);
        say(1, WIRE_STATUS_WAITING);
        assert_int_equal(bench.faults, 0);
        say(1, WIRE_STATUS_WAITING);
        assert_int_equal(bench.faults, 1);
        bench_done(&bench);
        begin(QUEUE_SUPPLY);
        say(1, WIRE_STATUS_WAITING);
        assert_int_equal(bench.faults, 1);
        bench_done(&bench);
        begin(QUEUE_WORK);
        ids[0] += 0x10000;
        say(0, WIRE_STATUS_WAITING);
        assert_int_equal(bench.faults, 1);
        bench_done(&bench);
        begin(QUEUE_WORK); /* what waits cannot be given back: it is no room for input */
        say(1, WIRE_STATUS_WAITING);
        lane_queue_drain(&bench.lane, lane_queue_find(&bench.lane, 0));
        bench_run(&bench);
        recalled();
        say(1, WIRE_STATUS_CANCELED);
        assert_int_equal(bench.faults, 1);
        bench_done(&bench);
}

static void a_stop_has_the_worker_finish_what_waits(void **state)
{
        (void)state;
        begin(QUEUE_WORK);
        say(1, WIRE_STATUS_WAITING);
        lane_queue_drain(&bench.lane, lane_queue_find(&bench.lane, 0));
        bench_run(&bench);
        recalled();
        complete(1);
        assert_int_equal(bench.drained[0], 0);
        say(2, WIRE_STATUS_WAITING); /* it was on its way */
        recalled();
        complete(0);
        complete(2);
        assert_int_equal(bench.drained[0], 1);
        assert_int_equal(lane_queue_stop(&bench.lane, lane_queue_find(&bench.lane, 0)), 3);
        assert_int_equal(bench.faults, 0);
        bench_done(&bench);
}

static void a_stop_without_anybody_who_waits_tells_the_worker_nothing(void **state)
{
        struct fake_frame frame;

        (void)state;
        begin(QUEUE_WORK);
        lane_queue_drain(&bench.lane, lane_queue_find(&bench.lane, 0));
        bench_run(&bench);
        assert_false(fake_worker_next(&bench.worker, &frame));
        for (unsigned i = 0; i < 3; i++)
                complete(i);
        assert_int_equal(bench.drained[0], 1);
        bench_done(&bench);
}

static void what_waited_is_sent_again_when_its_worker_dies_and_ages_again(void **state)
{
        (void)state;
        begin(QUEUE_WORK);
        say(1, WIRE_STATUS_WAITING);
        bench_die(&bench);
        assert_int_equal(bench.lane.n_waits, 0);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 3);
        assert_int_equal(bench.requests[1].id, ids[1]);
        assert_int_equal(bench.requests[1].attempt, 1);
        assert_int_equal(bench.lane.n_aging, 3);
        say(1, WIRE_STATUS_WAITING);
        assert_int_equal(bench.lane.n_aging, 2);
        for (unsigned i = 0; i < 3; i++)
                complete(i);
        assert_int_equal(bench.faults, 0);
        bench_done(&bench);
}

/* Else one lock that nobody lets go would hold up the whole device. */
static void who_waits_is_no_suspect_and_holds_no_isolation_up(void **state)
{
        (void)state;
        begin(QUEUE_WORK);
        bench_die(&bench);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 3);
        bench_die(&bench);
        assert_int_equal(lane_suspects(&bench.lane), 3);
        lane_isolate(&bench.lane, LANE_ISOLATES);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 1);
        say(0, WIRE_STATUS_WAITING);
        assert_int_equal(bench_requests(&bench), 1); /* the next one, alone at work */
        complete(1);
        assert_int_equal(bench_requests(&bench), 1);
        bench_die(&bench); /* the third has killed it, not the first */
        assert_int_equal(bench.poisons, 1);
        bench_done(&bench);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(who_waits_does_not_age_and_others_do),
            cmocka_unit_test(only_what_is_held_of_a_work_queue_waits_and_once),
            cmocka_unit_test(a_stop_has_the_worker_finish_what_waits),
            cmocka_unit_test(a_stop_without_anybody_who_waits_tells_the_worker_nothing),
            cmocka_unit_test(what_waited_is_sent_again_when_its_worker_dies_and_ages_again),
            cmocka_unit_test(who_waits_is_no_suspect_and_holds_no_isolation_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
