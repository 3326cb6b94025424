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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/test_device.h"

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
        unsigned sleeps;

        (void)state;
        begin(1, 0);
        stay();
        sleeps = atomic_load(&seen->sleeps);
        for (unsigned i = 0; i < TURNS; i++) {
                copy_one(0, 100, 100);
                copy_one(0, 300000,
                         0); /* with questions, whose answers promise nothing and take nothing back */
        }
        assert_int_equal(atomic_load(&seen->sleeps), sleeps);
        assert_true(atomic_load(&seen->looks) >= TURNS);
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
        for (unsigned i = 0; i < TURNS; i++) {
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
        for (uint64_t i = 0; i < TURNS; i++) {
                uint8_t answer[9] = {0};
                struct fake_request request;
                uint64_t told;

                stay();
                assert_int_equal(kill(broker.pid, SIGSTOP), 0);
                assert_int_equal(waitpid(broker.pid, &status, WUNTRACED), broker.pid);
                say_features(i % 8);
                ask_features(&request, answer);
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
            cmocka_unit_test(its_broker_goes_while_it_stays),
        };

        seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (seen == MAP_FAILED)
                return 1;
        return cmocka_run_group_tests_name("worker_stay", tests, NULL, NULL);
}
