/* workers/runtime/worker_watch: a device's own descriptors and its time, alone and in a whole runtime.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/workers/fake_broker.h"
#include "workers/runtime/worker_watch.h"

/* ---- the table ---- */

static int pairs[3][2];
static unsigned n_calls[3];

static unsigned index_of(int fd)
{
        unsigned i = 0;

        while (pairs[i][0] != fd)
                i++;
        return i;
}

static void count_call(void *state, int fd, short events)
{
        (void)state;
        assert_true(events & (POLLIN | POLLOUT));
        n_calls[index_of(fd)]++;
}

static void begin(void)
{
        for (unsigned i = 0; i < array_size(pairs); i++) {
                assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
                n_calls[i] = 0;
        }
}

static void end(void)
{
        for (unsigned i = 0; i < array_size(pairs); i++) {
                worker_watch_remove(pairs[i][0]);
                close(pairs[i][0]);
                close(pairs[i][1]);
        }
}

static void look_once(void)
{
        struct pollfd fds[LIMIT_WORKER_WATCHES];
        unsigned n = worker_watch_fill(fds);

        assert_true(poll(fds, n, 0) >= 0);
        worker_watch_serve(NULL, fds, n);
}

static unsigned n_ticks;

static void count_tick(void *state)
{
        (void)state;
        n_ticks++;
}

static void a_tick_comes_when_nothing_does_and_every_so_many_turns(void **state)
{
        (void)state;
        n_ticks = 0;
        worker_tick_serve(NULL, true);
        assert_int_equal(n_ticks, 0); /* none is set */
        assert_int_equal(worker_tick_ms(), -1);
        worker_tick_set(100, count_tick);
        assert_int_equal(worker_tick_ms(), 100);
        worker_tick_serve(NULL, true);
        worker_tick_serve(NULL, true);
        assert_int_equal(n_ticks, 2);
        for (unsigned i = 1; i < WORKER_TICK_TURNS; i++) {
                worker_tick_set(100, count_tick); /* setting it again does not put it off */
                worker_tick_serve(NULL, false);
        }
        assert_int_equal(n_ticks, 2);
        worker_tick_serve(NULL, false);
        assert_int_equal(n_ticks, 3);
        worker_tick_stop();
        worker_tick_serve(NULL, true);
        assert_int_equal(n_ticks, 3);
}

static void who_is_ready_is_called_and_nobody_else(void **state)
{
        (void)state;
        begin();
        for (unsigned i = 0; i < 3; i++)
                worker_watch_add(pairs[i][0], POLLIN, count_call);
        assert_int_equal(write(pairs[1][1], "x", 1), 1);
        look_once();
        assert_int_equal(n_calls[0] + n_calls[2], 0);
        assert_int_equal(n_calls[1], 1);
        worker_watch_set(pairs[1][0], 0); /* wants nothing now */
        worker_watch_set(pairs[2][0], POLLOUT);
        look_once();
        assert_int_equal(n_calls[1], 1);
        assert_int_equal(n_calls[2], 1);
        end();
}

static void remove_others(void *state, int fd, short events)
{
        count_call(state, fd, events);
        for (unsigned i = 0; i < 3; i++)
                if (pairs[i][0] != fd)
                        worker_watch_remove(pairs[i][0]);
}

static void one_that_was_removed_in_the_same_look_is_not_called(void **state)
{
        (void)state;
        begin();
        for (unsigned i = 0; i < 3; i++) {
                worker_watch_add(pairs[i][0], POLLIN, remove_others);
                assert_int_equal(write(pairs[i][1], "x", 1), 1);
        }
        look_once();
        assert_int_equal(n_calls[0] + n_calls[1] + n_calls[2], 1);
        end();
}

static void replace_second(void *state, int fd, short events)
{
        count_call(state, fd, events);
        worker_watch_remove(pairs[1][0]); /* closed, and the number is another file's: */
        worker_watch_add(pairs[1][0], POLLIN, count_call);
}

static void one_that_is_younger_than_the_look_is_not_called_for_it(void **state)
{
        (void)state;
        begin();
        worker_watch_add(pairs[0][0], POLLIN, replace_second);
        worker_watch_add(pairs[1][0], POLLIN, count_call);
        assert_int_equal(write(pairs[0][1], "x", 1), 1);
        assert_int_equal(write(pairs[1][1], "x", 1), 1);
        look_once();
        assert_int_equal(n_calls[0], 1);
        assert_int_equal(n_calls[1], 0);
        worker_watch_set(pairs[0][0], 0);
        look_once();
        assert_int_equal(n_calls[1], 1);
        end();
}

static bool traps(void (*function)(void))
{
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                signal(SIGILL, SIG_DFL); /* the test's own handler is not for us */
                function();
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status);
}

static void fill_table(void)
{
        for (int i = 0; i < (int)LIMIT_WORKER_WATCHES; i++)
                worker_watch_add(100 + i, POLLIN, count_call);
}

static void fill_table_over(void)
{
        fill_table();
        worker_watch_add(99, POLLIN, count_call);
}

static void fill_table_again(void)
{
        fill_table();
        worker_watch_remove(100);
        worker_watch_add(99, POLLIN, count_call);
}

static void add_twice(void)
{
        worker_watch_add(100, POLLIN, count_call);
        worker_watch_add(100, POLLIN, count_call);
}

static void set_unknown(void)
{
        worker_watch_set(100, POLLIN);
}

static void a_full_table_a_second_row_and_an_unknown_one_trap(void **state)
{
        (void)state;
        assert_false(traps(fill_table));
        assert_false(traps(fill_table_again));
        assert_true(traps(fill_table_over));
        assert_true(traps(add_twice));
        assert_true(traps(set_unknown));
}

/* ---- in a runtime ---- */

#define TIMES       3u
#define INTERVAL_MS 20u

static struct {
        int fd;
        unsigned n_due;
        struct request *held; /* one that has something to say */
        struct timespec began;
} own;

static uint64_t passed_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)((now.tv_sec - own.began.tv_sec) * 1000 +
                          (now.tv_nsec - own.began.tv_nsec) / 1000000);
}

/* The third time says 't', or 'e' when it has come too early. */
static void on_due(void *state)
{
        (void)state;
        if (++own.n_due < TIMES) {
                worker_timer_set(INTERVAL_MS, on_due);
                return;
        }
        assert_int_equal(write(own.fd, passed_ms() >= TIMES * INTERVAL_MS ? "t" : "e", 1), 1);
}

/* Asks for what the held request has to say, and says it. */
static void answer_held(void)
{
        uint8_t byte;

        assert_int_equal(request_read(own.held, 0, &byte, 1), 0);
        request_complete(own.held, 0, 0);
        own.held = NULL;
        assert_int_equal(write(own.fd, &byte, 1), 1);
}

/* 'h' is answered with the held request's byte, 'e' comes back, 't' starts the times, 's' starts and stops one. */
static void on_bytes(void *state, int fd, short events)
{
        char byte;

        (void)state;
        (void)events;
        if (read(fd, &byte, 1) != 1)
                _exit(3);
        if (byte == 'h') {
                answer_held();
                return;
        }
        clock_gettime(CLOCK_MONOTONIC, &own.began);
        own.n_due = 0;
        if (byte == 't' || byte == 's')
                worker_timer_set(INTERVAL_MS, on_due);
        if (byte == 's')
                worker_timer_stop();
        if (byte != 't' && write(fd, &byte, 1) != 1)
                _exit(3);
}

static int own_init(void *state, const struct control_configure *configure, const int *resources,
                    unsigned n_resources, struct control_hello *ret_hello)
{
        (void)state;
        (void)configure;
        assert_int_equal(n_resources, 1);
        own.fd = resources[0];
        *ret_hello = (struct control_hello){.device_type = 4,
                                            .n_queues = 1,
                                            .queue_kind = {QUEUE_WORK},
                                            .queue_replay = {REPLAY_IDEMPOTENT},
                                            .max_segments = 8,
                                            .credit_requests = 4};
        worker_watch_add(own.fd, POLLIN, on_bytes);
        return 0;
}

static void own_handle(void *state, struct request *request)
{
        (void)state;
        if (request_readable(request) > 0)
                own.held = request;
        else
                request_complete(request, 0, 0);
}

static const struct device_ops own_ops = {.type = DEVICE_TYPE_RNG, .init = own_init, .handle = own_handle};
static const struct control_configure own_configure = {
    .name = "t", .n_queues = 1, .n_lanes = 1, .type = DEVICE_TYPE_RNG};

static char answer_to(int fd, char byte)
{
        struct pollfd wait = {.fd = fd, .events = POLLIN};

        assert_int_equal(write(fd, &byte, 1), 1);
        assert_int_equal(poll(&wait, 1, FAKE_DEADLINE_S * 1000), 1);
        assert_int_equal(read(fd, &byte, 1), 1);
        return byte;
}

static void own_descriptors_times_and_requests_are_served_beside_each_other(void **state)
{
        struct fake_broker broker;
        struct fake_request request = {.id = 7};
        int pair[2];

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        fake_start_ops(&broker, &own_ops, 1, &pair[0], 1);
        fake_configure(&broker, &own_configure);
        assert_int_equal(fake_start_queue(&broker, 0), 0);
        for (unsigned i = 0; i < 20; i++) {
                broker.stay = i % 2; /* it has more to wait for than its lane */
                request.done = false;
                fake_send_requests(&broker, 0, &request, 1);
                assert_int_equal(answer_to(pair[1], 'e'), 'e');
                fake_drain(&broker, 0);
        }
        assert_int_equal(answer_to(pair[1], 't'), 't');
        assert_int_equal(answer_to(pair[1], 's'), 's');
        assert_int_equal(answer_to(pair[1], 't'), 't'); /* and the stopped one has not come in between */
        assert_true(fake_exited(fake_end(&broker), 0));
        close(pair[0]);
        close(pair[1]);
}

/* Both are there in one look: the device's descriptor, and a request, which comes in front of the answer to what the device
 * asks then. */
static void a_device_that_is_ready_may_ask_about_a_request(void **state)
{
        struct fake_request held = {.id = 7, .readable = (const uint8_t *)"x", .n_readable = 1};
        struct fake_request other = {.id = 8};
        struct fake_broker broker;
        int pair[2], status;
        char byte = 'h';

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        fake_start_ops(&broker, &own_ops, 1, &pair[0], 1);
        fake_configure(&broker, &own_configure);
        assert_int_equal(fake_start_queue(&broker, 0), 0);
        fake_send_requests(&broker, 0, &held, 1);
        assert_int_equal(answer_to(pair[1], 'e'), 'e'); /* it has been handed over, ... */
        assert_int_equal(fake_start_queue(&broker, 0), 0);
        assert_int_equal(answer_to(pair[1], 'e'), 'e'); /* ... at the latest now */
        kill(broker.pid, SIGSTOP);
        assert_int_equal(waitpid(broker.pid, &status, WUNTRACED), broker.pid);
        fake_send_requests(&broker, 0, &other, 1);
        assert_int_equal(write(pair[1], &byte, 1), 1);
        kill(broker.pid, SIGCONT);
        fake_drain(&broker, 0);
        assert_int_equal(read(pair[1], &byte, 1), 1);
        assert_int_equal(byte, 'x');
        assert_int_equal(fake_start_queue(&broker, 0), 0); /* it goes on */
        assert_true(fake_exited(fake_end(&broker), 0));
        close(pair[0]);
        close(pair[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_tick_comes_when_nothing_does_and_every_so_many_turns),
            cmocka_unit_test(who_is_ready_is_called_and_nobody_else),
            cmocka_unit_test(one_that_was_removed_in_the_same_look_is_not_called),
            cmocka_unit_test(one_that_is_younger_than_the_look_is_not_called_for_it),
            cmocka_unit_test(a_full_table_a_second_row_and_an_unknown_one_trap),
            cmocka_unit_test(own_descriptors_times_and_requests_are_served_beside_each_other),
            cmocka_unit_test(a_device_that_is_ready_may_ask_about_a_request),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
