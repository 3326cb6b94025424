/* workers/runtime: a worker with poll_us, seen at its ppoll. TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include "tests/workers/test_device.h"

#define POLL_US 100u
#define LOOKS   200u /* two a microsecond */

/* Written by the worker's process. */
struct seen {
        atomic_uint asleep;    /* is about to sleep, or does */
        atomic_uint sleeps;    /* so often */
        atomic_uint looks;     /* since something came */
        atomic_uint max_looks; /* ... before a sleep */
        atomic_uint unlooked;  /* sleeps without a look */
};

static struct seen *seen;

int __real_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
int __wrap___ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
                       size_t size);

int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
        int r;

        if (!timeout) {
                unsigned looks = atomic_load(&seen->looks);

                if (looks > atomic_load(&seen->max_looks))
                        atomic_store(&seen->max_looks, looks);
                atomic_fetch_add(&seen->unlooked, looks == 0);
                atomic_fetch_add(&seen->sleeps, 1);
                atomic_store(&seen->asleep, 1);
        } else {
                atomic_fetch_add(&seen->looks, 1);
        }
        r = __real_ppoll(fds, n, timeout, mask);
        if (r != 0) {
                atomic_store(&seen->asleep, 0);
                atomic_store(&seen->looks, 0);
        }
        return r;
}

int __wrap___ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
                       size_t size)
{
        (void)size;
        return __wrap_ppoll(fds, n, timeout, mask);
}

static void start(uint32_t poll_us)
{
        struct control_configure configure = test_device_configure;

        if (!seen)
                seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(seen, MAP_FAILED);
        *seen = (struct seen){0};
        configure.poll_us = poll_us;
        fake_start_ops(&broker, &test_device_ops, 1, NULL, 0);
        fake_configure(&broker, &configure);
        for (uint32_t q = 0; q < QUEUE_COUNT; q++)
                assert_int_equal(fake_start_queue(&broker, q), 0);
}

static void await_sleep(void)
{
        const time_t deadline = time(NULL) + 20;

        while (!atomic_load(&seen->asleep)) {
                assert_true(time(NULL) < deadline);
                sched_yield();
        }
}

static void it_looks_so_often_and_then_sleeps(void **state)
{
        (void)state;
        start(POLL_US);
        await_sleep();
        copy_one(0, 5000, 100);
        await_sleep();
        assert_int_equal(atomic_load(&seen->max_looks), LOOKS);
        copy_one(0, 300000, 0);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void looks_that_find_nothing_become_rare(void **state)
{
        (void)state;
        start(POLL_US);
        for (unsigned i = 0; i < 40; i++) {
                await_sleep();
                assert_int_equal(fake_set_features(&broker, 0), 0); /* comes to a worker that sleeps */
        }
        await_sleep();
        assert_true(atomic_load(&seen->unlooked) > 10);
        assert_int_equal(atomic_load(&seen->max_looks), LOOKS);
        copy_one(0, 5000, 5000);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void without_poll_us_it_sleeps_at_once(void **state)
{
        (void)state;
        start(0);
        await_sleep();
        copy_one(0, 5000, 100);
        await_sleep();
        assert_int_equal(atomic_load(&seen->max_looks), 0);
        assert_true(fake_exited(fake_end(&broker), 0));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(it_looks_so_often_and_then_sleeps),
            cmocka_unit_test(looks_that_find_nothing_become_rare),
            cmocka_unit_test(without_poll_us_it_sleeps_at_once),
        };

        return cmocka_run_group_tests_name("worker_poll", tests, NULL, NULL);
}
