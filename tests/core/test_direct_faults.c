/* Direct copies that end early, and areas that are lies: whose fault it is, and what becomes of the request.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/core/lane_bench.h"

#define A    (MODEL_BUFFERS)
#define K    UINT32_C(1024)
#define M    (K * K)
#define LEN  (256 * K)
#define CUT  (MODEL_HIGH + 2 * M) /* where the tests let the file of the guest's memory end */
#define PAGE LIMIT_AREA_PAGE

static struct lane_bench bench;

static int begin(void **state)
{
        struct bench_options options = bench_defaults;

        (void)state;
        options.n_queues = 2; /* the second is an innocent neighbour */
        options.area_len = LIMIT_AREA;
        options.area_out = true;
        bench_init(&bench, &options);
        return 0;
}

static int end(void **state)
{
        (void)state;
        bench_done(&bench);
        return 0;
}

static uint16_t post(uint64_t at, uint32_t len)
{
        return model_post(&bench.guest, 0, &(struct model_buffer){at, len, false}, 1);
}

static void one(void)
{
        assert_int_equal(bench_requests(&bench), 1);
}

static void killed_for(const char *why)
{
        bench_run(&bench);
        assert_int_equal(bench.faults, 1);
        assert_string_equal(bench.why, why);
        assert_int_equal(bench.broken[0], 0);
        bench_not_used(&bench, 0);
}

static void cut(void)
{
        assert_int_equal(ftruncate(bench.guest.fd, (off_t)(CUT - MODEL_LOW)), 0);
}

static void neighbour_is_well(void)
{
        uint16_t head = model_post(&bench.guest, 1, &(struct model_buffer){A, 64 * K, false}, 1);

        model_fill(&bench.guest, A, 64 * K, 0x5a);
        assert_int_equal(bench_requests(&bench), 1);
        assert_int_equal(bench.requests[0].in_at, 1);
        for (size_t i = 0; i < 64 * K; i++)
                assert_int_equal(bench.requests[0].bytes[i], 0x5a);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_used(&bench, 1, head, 0);
        assert_int_equal(bench.faults, 0);
}

/* ---- the worker's memory ---- */

static void a_worker_without_its_pages_is_killed(void **state)
{
        static const uint32_t holes[] = {0, 3 * PAGE, LEN - PAGE};

        for (size_t i = 0; i < array_size(holes); i++) {
                uint32_t pushed;

                assert_int_equal(mprotect(bench.area + holes[i], PAGE, i == 1 ? PROT_READ : PROT_NONE), 0);
                post(A, LEN);
                killed_for("has no memory where it said");
                assert_false(bench_next(&bench, &pushed));
                end(state);
                begin(state);
        }
}

/* Nothing of what Hello has said of it is ever used as an address of ours. */
static void an_area_that_cannot_be_is_the_workers_fault(void **state)
{
        static const uint64_t places[] = {0, 0x1000, UINT64_C(0xffff800000000000),
                                          UINT64_C(0xfffffffff0000000), UINT64_C(0x0000800000000000)};

        for (size_t i = 0; i < array_size(places); i++) {
                bench_die(&bench);
                bench.peer.area.at = places[i];
                bench_attach(&bench);
                post(A, LEN);
                killed_for("has no memory where it said");
                bench.peer.area.at = (uintptr_t)bench.area;
                end(state);
                begin(state);
        }
}

/* Two reads whose bytes lie in their places. */
static void answer_two(uint64_t first, uint64_t second)
{
        const uint32_t status[2] = {0}, offset[2] = {0}, len[2] = {0}, placed[2] = {LEN, LEN};
        uint64_t id[2];
        const struct lane_to_broker message = {.kind = LANE_COMPLETE,
                                               .complete = {2, id, status, offset, len, placed}};

        model_post(&bench.guest, 0, &(struct model_buffer){first, LEN, true}, 1);
        model_post(&bench.guest, 1, &(struct model_buffer){second, LEN, true}, 1);
        assert_int_equal(bench_requests(&bench), 2);
        for (size_t i = 0; i < 2; i++) {
                id[i] = bench.requests[i].id;
                memset(bench.requests[i].place, 0x21 + (int)i, LEN);
        }
        fake_worker_send(&bench.worker, &message, NULL, 0);
}

static void a_worker_without_the_pages_that_it_names_is_killed(void **state)
{
        static const uint32_t holes[] = {0, 3 * PAGE, LEN - PAGE, LEN, 2 * LEN - PAGE};

        for (size_t i = 0; i < array_size(holes); i++) {
                answer_two(A, A + M);
                assert_int_equal(mprotect(bench.area + LIMIT_AREA - 2 * LEN + holes[i], PAGE, PROT_NONE), 0);
                killed_for("has no memory where it said");
                bench_not_used(&bench, 1);
                end(state);
                begin(state);
        }
}

static void places_in_an_area_that_cannot_be_are_the_workers_fault(void **state)
{
        static const uint64_t places[] = {0, 0x1000, UINT64_C(0xffff800000000000),
                                          UINT64_C(0xfffffffff0000000), UINT64_C(0x0000800000000000)};

        for (size_t i = 0; i < array_size(places); i++) {
                answer_two(A, A + M);
                bench.lane.direct.peer.area.at = places[i];
                killed_for("has no memory where it said");
                bench_not_used(&bench, 1);
                end(state);
                begin(state);
        }
}

/* ---- the guest's memory ---- */

/* The first request's is gone, or the second's: the other one is answered. */
static void memory_that_is_gone_before_it_is_fetched_breaks_its_queue_alone(void **state)
{
        for (unsigned i = 0; i < 2; i++) {
                end(state); /* once more, in the test itself: the handlers of faults are to be ours */
                begin(state);
                answer_two(i == 0 ? CUT - LEN / 2 : A, i == 0 ? A : CUT - LEN / 2);
                cut();
                bench_run(&bench);
                assert_int_equal(bench.faults, 0);
                assert_int_equal(bench.broken[i], 1);
                assert_int_equal(bench.broken[1 - i], 0);
                bench_not_used(&bench, i);
                for (size_t j = 0; j < LEN; j++)
                        assert_int_equal(model_at(&bench.guest, A)[j], 0x22 - (int)i);
                assert_int_equal(bench_places(&bench), 0);
        }
}

static void a_table_that_is_taken_away_before_it_is_fetched_breaks_its_queue_alone(void **state)
{
        struct guest_memory *low = model_guest_snapshot(&bench.guest, false);

        (void)state;
        answer_two(MODEL_HIGH - PAGE, A);
        lane_set_memory(&bench.lane, low);
        guest_memory_unref(low);
        bench_run(&bench);
        assert_int_equal(bench.faults, 0);
        assert_int_equal(bench.broken[0], 1);
        assert_int_equal(bench.broken[1], 0);
        for (size_t j = 0; j < LEN; j++)
                assert_int_equal(model_at(&bench.guest, A)[j], 0x22);
}

static void memory_that_is_gone_before_it_is_copied_fails_the_request(void **state)
{
        end(state); /* once more, in the test itself: the handlers of faults are to be ours */
        begin(state);
        post(CUT - LEN / 2, LEN);
        cut();
        one();
        assert_int_equal(bench.requests[0].must_fail, 1);
        assert_int_equal(bench.requests[0].inlined, 0);
        assert_int_equal(bench.requests[0].in_at, 0);
        assert_int_equal(bench_places(&bench), 0);
        neighbour_is_well();
}

/* It was taken off the ring and waits for the next worker when its memory goes. */
static void a_table_that_is_taken_away_before_it_is_copied_fails_the_request(void **state)
{
        struct guest_memory *low = model_guest_snapshot(&bench.guest, false);
        uint16_t head = post(MODEL_HIGH - PAGE, LEN);

        (void)state;
        one();
        assert_int_equal(bench.requests[0].in_at, 1);
        bench_die(&bench);
        lane_set_memory(&bench.lane, low);
        guest_memory_unref(low);
        bench_attach(&bench);
        one();
        assert_int_equal(bench.requests[0].must_fail, 1);
        assert_int_equal(bench.requests[0].in_at, 0);
        assert_int_equal(bench_places(&bench), 0);
        fake_worker_complete(&bench.worker, bench.requests[0].id, 0, NULL, 0);
        bench_used(&bench, 0, head, 0);
        neighbour_is_well();
}

/* ---- the process ---- */

/* A pid that is nobody's: for as long as nobody reaps it, it is not reused. */
static pid_t dead_child(void)
{
        pid_t pid = fork();

        if (pid == 0)
                _exit(0);
        assert_true(pid > 0);
        assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
        return pid;
}

static void a_worker_that_is_gone_gets_bytes_by_the_socket_and_hangs_up(void **state)
{
        pid_t pid = dead_child();

        (void)state;
        bench.lane.direct.peer.pid = (uint32_t)pid;
        post(A, LEN);
        one();
        assert_int_equal(bench.requests[0].in_at, 0);
        assert_true(bench.requests[0].inlined > 0);
        assert_int_equal(bench.faults, 0); /* that is for its socket to say */
        assert_false(bench.lane.direct.open);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Between its last words and the fetch. Whatever it has said is not so: its successor is sent both requests again. */
static void a_worker_that_is_gone_with_its_places_hangs_up(void **state)
{
        pid_t pid = dead_child();

        (void)state;
        answer_two(A, A + M);
        bench.lane.direct.peer.pid = (uint32_t)pid;
        killed_for("hung up");
        bench_not_used(&bench, 1);
        bench_die(&bench);
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 2);
        assert_int_equal(bench.requests[0].attempt, 1);
        assert_int_equal(bench.requests[0].out_at, (LIMIT_AREA - LEN) / PAGE + 1);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_probe_tells_who_may_be_copied_to(void **state)
{
        pid_t pid = dead_child();

        (void)state;
        assert_int_equal(direct_probe((uint32_t)getpid()), 0);
        assert_int_equal(direct_probe((uint32_t)pid), -ESRCH);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(a_worker_without_its_pages_is_killed, begin, end),
            cmocka_unit_test_setup_teardown(an_area_that_cannot_be_is_the_workers_fault, begin, end),
            cmocka_unit_test_setup_teardown(a_worker_without_the_pages_that_it_names_is_killed, begin, end),
            cmocka_unit_test_setup_teardown(places_in_an_area_that_cannot_be_are_the_workers_fault, begin,
                                            end),
            cmocka_unit_test_setup_teardown(memory_that_is_gone_before_it_is_fetched_breaks_its_queue_alone,
                                            begin, end),
            cmocka_unit_test_setup_teardown(
                a_table_that_is_taken_away_before_it_is_fetched_breaks_its_queue_alone, begin, end),
            cmocka_unit_test_setup_teardown(a_worker_that_is_gone_with_its_places_hangs_up, begin, end),
            cmocka_unit_test_setup_teardown(memory_that_is_gone_before_it_is_copied_fails_the_request, begin,
                                            end),
            cmocka_unit_test_setup_teardown(a_table_that_is_taken_away_before_it_is_copied_fails_the_request,
                                            begin, end),
            cmocka_unit_test_setup_teardown(a_worker_that_is_gone_gets_bytes_by_the_socket_and_hangs_up,
                                            begin, end),
            cmocka_unit_test_setup_teardown(a_probe_tells_who_may_be_copied_to, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
