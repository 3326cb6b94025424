/* Calls from other threads are made on the main thread, each once, and none after the end.
 * TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/kvm/calls.h"

#define CALLERS 4u
#define OF_EACH 2000u

struct caller {
        struct kvm_calls *calls;
        uv_thread_t thread;
        unsigned made, refused;
};

static uv_thread_t main_thread;
static unsigned n_called;
static unsigned close_at; /* 0: never */
static struct kvm_calls *closing;

static void called(void *argument)
{
        uv_thread_t self = uv_thread_self();
        unsigned *seen = argument;

        assert_true(uv_thread_equal(&self, &main_thread));
        (*seen)++;
        if (++n_called == close_at)
                kvm_calls_close(closing);
}

static void call_many(void *argument)
{
        struct caller *caller = argument;

        for (unsigned i = 0; i < OF_EACH; i++) {
                unsigned seen = 0;
                bool made = kvm_calls_make(caller->calls, called, &seen);

                if (seen != (made ? 1u : 0u))
                        abort();
                caller->made += made;
                caller->refused += !made;
        }
}

/* Ends the loop when the callers have ended. */
static void join_all(void *argument)
{
        struct caller *callers = argument;

        for (unsigned i = 0; i < CALLERS; i++)
                uv_thread_join(&callers[i].thread);
}

static void joined(uv_work_t *work, int status)
{
        struct caller *callers = work->data;

        assert_int_equal(status, 0);
        kvm_calls_free(callers[0].calls);
}

static void join_work(uv_work_t *work)
{
        join_all(work->data);
}

static void run(struct caller *callers)
{
        struct kvm_calls *calls;
        uv_work_t work = {.data = callers};
        uv_loop_t loop;

        main_thread = uv_thread_self();
        n_called = 0;
        assert_int_equal(uv_loop_init(&loop), 0);
        assert_int_equal(kvm_calls_new(&loop, &calls), 0);
        closing = calls;
        for (unsigned i = 0; i < CALLERS; i++) {
                callers[i] = (struct caller){.calls = calls};
                assert_int_equal(uv_thread_create(&callers[i].thread, call_many, &callers[i]), 0);
        }
        assert_int_equal(uv_queue_work(&loop, &work, join_work, joined), 0);
        assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(uv_loop_close(&loop), 0);
}

static void each_call_is_made_once_and_on_the_main_thread(void **state)
{
        struct caller callers[CALLERS];

        (void)state;
        close_at = 0;
        run(callers);
        assert_int_equal(n_called, CALLERS * OF_EACH);
        for (unsigned i = 0; i < CALLERS; i++)
                assert_int_equal(callers[i].made, OF_EACH);
}

static void none_is_made_after_the_end_and_nobody_waits_for_ever(void **state)
{
        struct caller callers[CALLERS];
        unsigned made = 0, refused = 0;

        (void)state;
        close_at = OF_EACH / 2;
        run(callers);
        for (unsigned i = 0; i < CALLERS; i++) {
                made += callers[i].made;
                refused += callers[i].refused;
        }
        assert_int_equal(n_called, close_at);
        assert_int_equal(made, close_at);
        assert_int_equal(refused, CALLERS * OF_EACH - close_at);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(each_call_is_made_once_and_on_the_main_thread),
            cmocka_unit_test(none_is_made_after_the_end_and_nobody_waits_for_ever),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
