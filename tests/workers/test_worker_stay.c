/* workers/runtime: a worker that is promised more on its only lane, seen at its ppoll. TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/test_device.h"
#include "workers/runtime/request.h"
#include "workers/runtime/worker_watch.h"

#define TURNS 50u

/* Written by the worker's process: how often it has slept in ppoll, and how often it has looked. */
static struct {
        atomic_uint sleeps, looks;
} * seen;

int __real_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
int __wrap___ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
                       size_t size);

int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
        if (timeout && timeout->tv_sec == 0 && timeout->tv_nsec == 0)
                atomic_fetch_add(&seen->looks, 1);
        else
                atomic_fetch_add(&seen->sleeps, 1);
        return __real_ppoll(fds, n, timeout, mask);
}

int __wrap___ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
                       size_t size)
{
        (void)size;
        return __wrap_ppoll(fds, n, timeout, mask);
}

static void begin(unsigned n_lanes, uint32_t poll_us)
{
        struct control_configure configure = test_device_configure;

        configure.n_lanes = n_lanes;
        configure.poll_us = poll_us;
        fake_start_ops(&broker, &test_device_ops, n_lanes, NULL, 0);
        fake_configure(&broker, &configure);
        for (uint32_t q = 0; q < QUEUE_COUNT; q++)
                assert_int_equal(fake_start_queue(&broker, q), 0);
}

static void end(void)
{
        assert_true(fake_exited(fake_end(&broker), 0));
}

/* One promise, and all that was before it has been waited for. */
static void stay(void)
{
        broker.stay = true;
        copy_one(0, 100, 100);
        copy_one(0, 100, 100);
}

static void say_features(uint64_t features)
{
        const struct control_to_worker message = {.kind = CONTROL_SET_FEATURES,
                                                  .set_features = {.features = features}};

        fake_send_control(&broker, &message);
}

static void hear_done(void)
{
        struct control_to_broker message;

        assert_true(fake_next_control(&broker, &message));
        assert_int_equal(message.kind, CONTROL_DONE);
        assert_int_equal(message.done.error, 0);
}

/* What the device knows of its features, by one more request. */
static void ask_features(struct fake_request *request, uint8_t *answer)
{
        *request = (struct fake_request){.id = 900, .queue = QUEUE_TELL, .writable = answer, .n_writable = 9};
        fake_send_requests(&broker, 0, request, 1);
}

static void wake(void)
{
        const struct lane_to_worker message = {.kind = LANE_WAKE};
        uint8_t header[16];
        ssize_t len = lane_make_to_worker(&message, header, sizeof(header));

        assert_true(len > 0);
        fake_send_frame(broker.lanes[0], header, (uint32_t)len, NULL, 0);
}

static void it_sleeps_in_its_lane_while_more_is_promised(void **state)
{
        unsigned sleeps, looks;

        (void)state;
        begin(1, 0);
        stay();
        sleeps = atomic_load(&seen->sleeps);
        looks = atomic_load(&seen->looks);
        for (unsigned i = 0; i < TURNS; i++) {
                copy_one(0, 100, 100);
                copy_one(0, 300000,
                         0); /* with questions, whose answers promise nothing and take nothing back */
        }
        assert_int_equal(atomic_load(&seen->sleeps), sleeps);
        assert_int_equal(atomic_load(&seen->looks), looks);
        broker.stay = false;
        for (unsigned i = 0; i < TURNS; i++)
                copy_one(0, 100, 100);
        assert_true(atomic_load(&seen->sleeps) > sleeps);
        end();
}

static void a_wake_lets_it_see_control(void **state)
{
        (void)state;
        begin(1, 0);
        for (unsigned i = 0; i < 2 * TURNS; i++) {
                broker.spin_us = i < TURNS ? 0 : 100;
                stay();
                say_features(i % 8);
                wake();
                hear_done();
                assert_int_equal(fake_set_features(&broker, 1), 0); /* the promise is over: nobody wakes it */
        }
        end();
}

/* It is asleep in its lane, and both are there when it looks again. */
static void no_frame_overtakes_what_was_said_on_control_before(void **state)
{
        int status;

        (void)state;
        begin(1, 0);
        for (uint64_t i = 0; i < 2 * TURNS; i++) {
                uint8_t answer[9] = {0};
                struct fake_request request;
                uint64_t told;

                broker.spin_us = i < TURNS ? 0 : 100; /* who has looked in vain stays, too */
                stay();
                assert_int_equal(kill(broker.pid, SIGSTOP), 0);
                assert_int_equal(waitpid(broker.pid, &status, WUNTRACED), broker.pid);
                say_features(i % 8);
                broker.look = true;
                ask_features(&request, answer);
                broker.look = false;
                assert_int_equal(kill(broker.pid, SIGCONT), 0);
                hear_done();
                fake_drain(&broker, 0);
                assert_int_equal(request.status, WIRE_STATUS_OK);
                memcpy(&told, answer, sizeof(told));
                assert_int_equal(told, i % 8);
        }
        end();
}

static void who_has_another_lane_looks_at_all(void **state)
{
        (void)state;
        begin(2, 0);
        for (unsigned i = 0; i < TURNS; i++) {
                stay();
                copy_one(1, 100, 100);
                assert_int_equal(fake_set_features(&broker, i % 8), 0);
        }
        end();
}

static void who_spins_looks_at_all(void **state)
{
        (void)state;
        begin(1, 50);
        for (unsigned i = 0; i < TURNS; i++) {
                stay();
                assert_int_equal(fake_set_features(&broker, i % 8), 0);
        }
        end();
}

/* What it needs for that may come on control. */
static void who_owes_an_answer_looks_at_all(void **state)
{
        struct fake_request held = {.id = 800, .queue = QUEUE_HOLD},
                            release = {.id = 801, .queue = QUEUE_RELEASE};

        (void)state;
        begin(1, 0);
        for (unsigned i = 0; i < TURNS; i++) {
                stay();
                fake_send_requests(&broker, 0, &held, 1);
                assert_int_equal(fake_set_features(&broker, i % 8), 0);
                fake_send_requests(&broker, 0, &release, 1);
                fake_drain(&broker, 0);
                held.done = release.done = false;
        }
        end();
}

/* ---- a device that waits for time, and for no descriptor ---- */

static int said; /* where it says that its time has come */

static int timed_init(void *state, const struct control_configure *configure, const int *resources,
                      unsigned n_resources, struct control_hello *ret_hello)
{
        (void)state;
        (void)configure;
        assert_int_equal(n_resources, 1);
        said = resources[0];
        *ret_hello = (struct control_hello){.device_type = 4,
                                            .n_queues = 1,
                                            .queue_kind = {QUEUE_WORK},
                                            .queue_replay = {REPLAY_IDEMPOTENT},
                                            .max_segments = 8,
                                            .credit_requests = 4};
        return 0;
}

static void on_due(void *state)
{
        (void)state;
        worker_tick_stop();
        assert_int_equal(write(said, "d", 1), 1);
}

/* Answers at once, and has something to do 5 ms later: by the time, or by the tick. */
static void timed_handle(void *state, struct request *request)
{
        static unsigned n;

        (void)state;
        if (n++ % 2)
                worker_timer_set(5, on_due);
        else
                worker_tick_set(5, on_due);
        request_complete(request, 0, 0);
}

static const struct device_ops timed_ops = {
    .type = DEVICE_TYPE_RNG, .init = timed_init, .handle = timed_handle};
static const struct control_configure timed_configure = {
    .name = "t", .n_queues = 1, .n_lanes = 1, .type = DEVICE_TYPE_RNG};

static void who_waits_for_time_looks_at_all(void **state)
{
        struct fake_request request = {.id = 7};
        int pair[2];

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        fake_start_ops(&broker, &timed_ops, 1, &pair[0], 1);
        fake_configure(&broker, &timed_configure);
        assert_int_equal(fake_start_queue(&broker, 0), 0);
        broker.stay = true;
        for (unsigned i = 0; i < 2 * 4; i++) {
                struct pollfd wait = {.fd = pair[1], .events = POLLIN};
                char byte;

                request.done = false;
                fake_send_requests(&broker, 0, &request, 1);
                fake_drain(&broker, 0);
                assert_int_equal(poll(&wait, 1, FAKE_DEADLINE_S * 1000), 1);
                assert_int_equal(read(pair[1], &byte, 1), 1);
        }
        end();
        close(pair[0]);
        close(pair[1]);
}

/* One request after another. How often has it looked? */
static unsigned looks_of(unsigned turns)
{
        unsigned looks = atomic_load(&seen->looks);

        for (unsigned i = 0; i < turns; i++)
                copy_one(0, 100, 100);
        return atomic_load(&seen->looks) - looks;
}

static void it_looks_before_it_sleeps_while_it_has_a_cpu_to_itself(void **state)
{
        (void)state;
        begin(1, 0);
        stay();
        assert_int_equal(looks_of(TURNS), 0);
        broker.spin_us = 100;
        looks_of(2);
        assert_true(looks_of(TURNS) > 0);
        broker.spin_us = 0;
        looks_of(2);
        assert_int_equal(looks_of(TURNS), 0);
        end();
}

/* The lanes of a device with several are not placed. */
static void who_has_two_lanes_does_not_look_for_one(void **state)
{
        (void)state;
        begin(2, 0);
        looks_of(2);
        broker.spin_us = 100;
        looks_of(2);
        assert_int_equal(looks_of(TURNS), 0);
        end();
}

static void its_broker_goes_while_it_stays(void **state)
{
        (void)state;
        begin(1, 0);
        stay();
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(it_sleeps_in_its_lane_while_more_is_promised),
            cmocka_unit_test(a_wake_lets_it_see_control),
            cmocka_unit_test(no_frame_overtakes_what_was_said_on_control_before),
            cmocka_unit_test(who_has_another_lane_looks_at_all),
            cmocka_unit_test(who_spins_looks_at_all),
            cmocka_unit_test(who_owes_an_answer_looks_at_all),
            cmocka_unit_test(who_waits_for_time_looks_at_all),
            cmocka_unit_test(it_looks_before_it_sleeps_while_it_has_a_cpu_to_itself),
            cmocka_unit_test(who_has_two_lanes_does_not_look_for_one),
            cmocka_unit_test(its_broker_goes_while_it_stays),
        };

        seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (seen == MAP_FAILED)
                return 1;
        return cmocka_run_group_tests_name("worker_stay", tests, NULL, NULL);
}
