/* workers/runtime: a device that has had nothing to do for long is told so, once. A worker's long sleeps are short here. TRUST: the
 * bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include "proto/base/status.h"
#include "tests/workers/test_device.h"

#define SHORT_MS 100

/* Of the worker, which is another process. */
static struct {
        _Atomic unsigned rests, sleeps; /* sleeps: as long as a device's rest takes */
} * seen;

int __real_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
int __wrap___ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
                       size_t size);

int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
        static const struct timespec brief = {.tv_nsec = SHORT_MS * 1000000L};

        if (!timeout || timeout->tv_sec < (time_t)LIMIT_DEVICE_REST_S)
                return __real_ppoll(fds, n, timeout, mask);
        assert_int_equal(timeout->tv_sec, LIMIT_DEVICE_REST_S);
        seen->sleeps++;
        return __real_ppoll(fds, n, &brief, mask);
}

int __wrap___ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
                       size_t size)
{
        (void)size;
        return __wrap_ppoll(fds, n, timeout, mask);
}

static void device_rest(void *state)
{
        (void)state;
        seen->rests++;
}

static void start(bool rests)
{
        static struct device_ops ops;

        ops = test_device_ops;
        ops.rest = rests ? device_rest : NULL;
        memset((void *)seen, 0, sizeof(*seen));
        fake_start_ops(&broker, &ops, 1, NULL, 0);
        fake_configure(&broker, &test_device_configure);
        for (uint32_t q = 0; q < QUEUE_COUNT; q++)
                assert_int_equal(fake_start_queue(&broker, q), 0);
}

static void end(void)
{
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void work(uint64_t id)
{
        static uint8_t in[64], out[64];
        struct fake_request request = {.id = id,
                                       .queue = QUEUE_COPY,
                                       .readable = in,
                                       .n_readable = sizeof(in),
                                       .writable = out,
                                       .n_writable = sizeof(out),
                                       .inlined = FAKE_INLINE_ALL};

        fake_send_requests(&broker, 0, &request, 1);
        fake_drain(&broker, 0);
        assert_int_equal(request.status, WIRE_STATUS_OK);
}

static void await_rests(unsigned n)
{
        const time_t deadline = time(NULL) + FAKE_DEADLINE_S;

        while (seen->rests < n) {
                assert_true(time(NULL) < deadline);
                poll(NULL, 0, 5); /* nothing tells us: another process counts */
        }
        poll(NULL, 0, 3 * SHORT_MS);
        assert_int_equal(seen->rests, n);
}

static void rest_comes_once_after_work(void **state)
{
        unsigned sleeps;

        (void)state;
        start(true);
        work(1);
        await_rests(1);
        work(2);
        await_rests(2);
        sleeps = seen->sleeps;
        poll(NULL, 0, 3 * SHORT_MS);
        assert_int_equal(seen->sleeps, sleeps);
        end();
}

static void who_has_not_worked_is_not_woken(void **state)
{
        (void)state;
        start(true);
        await_rests(0);
        assert_int_equal(seen->sleeps, 0);
        end();
}

static void who_keeps_nothing_is_not_woken(void **state)
{
        (void)state;
        start(false);
        work(1);
        await_rests(0);
        assert_int_equal(seen->sleeps, 0);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(rest_comes_once_after_work),
            cmocka_unit_test(who_has_not_worked_is_not_woken),
            cmocka_unit_test(who_keeps_nothing_is_not_woken),
        };

        seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (seen == MAP_FAILED)
                return 1;
        return cmocka_run_group_tests_name("worker_device_rest", tests, NULL, NULL);
}
