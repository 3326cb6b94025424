/* Calls from other threads are made on the main thread, each once, and none after the end.
 * TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/kvm/calls.h"
#include "proto/base/checked.h"

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
static atomic_uint n_coming;               /* calls that somebody has begun to make */
static unsigned this_turn, most_of_a_turn; /* calls made in one turn of the loop */

static void called(void *argument)
{
        uv_thread_t self = uv_thread_self();
        unsigned *seen = argument;

        assert_true(uv_thread_equal(&self, &main_thread));
        (*seen)++;
        most_of_a_turn = MAX(most_of_a_turn, ++this_turn);
        if (++n_called == close_at)
                kvm_calls_close(closing);
}

/* Another thread's call comes while this one is made, as far as that can be had. */
static void called_slowly(void *argument)
{
        unsigned before = atomic_load(&n_coming);

        for (unsigned spin = 0; spin < 100000 && atomic_load(&n_coming) == before; spin++)
                ;
        called(argument);
}

static void (*function)(void *argument);

static void call_many(void *argument)
{
        struct caller *caller = argument;

        for (unsigned i = 0; i < OF_EACH; i++) {
                unsigned seen = 0;
                bool made;

                atomic_fetch_add(&n_coming, 1);
                made = kvm_calls_make(caller->calls, function, &seen);

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

static void turned(uv_prepare_t *prepare)
{
        (void)prepare;
        this_turn = 0;
}

static void run(struct caller *callers, void (*called_function)(void *argument))
{
        uv_prepare_t prepare;
        struct kvm_calls *calls;
        uv_work_t work = {.data = callers};
        uv_loop_t loop;

        main_thread = uv_thread_self();
        n_called = this_turn = most_of_a_turn = 0;
        function = called_function;
        assert_int_equal(uv_loop_init(&loop), 0);
        assert_int_equal(uv_prepare_init(&loop, &prepare), 0);
        assert_int_equal(uv_prepare_start(&prepare, turned), 0);
        uv_unref((uv_handle_t *)&prepare);
        assert_int_equal(kvm_calls_new(&loop, &calls), 0);
        closing = calls;
        for (unsigned i = 0; i < CALLERS; i++) {
                callers[i] = (struct caller){.calls = calls};
                assert_int_equal(uv_thread_create(&callers[i].thread, call_many, &callers[i]), 0);
        }
        assert_int_equal(uv_queue_work(&loop, &work, join_work, joined), 0);
        assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
        uv_close((uv_handle_t *)&prepare, NULL);
        assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(uv_loop_close(&loop), 0);
}

static void each_call_is_made_once_and_on_the_main_thread(void **state)
{
        struct caller callers[CALLERS];

        (void)state;
        close_at = 0;
        run(callers, called);
        assert_int_equal(n_called, CALLERS * OF_EACH);
        for (unsigned i = 0; i < CALLERS; i++)
                assert_int_equal(callers[i].made, OF_EACH);
}

/* Guests whose vCPUs never stop would else keep the broker from all that is not theirs: its operator, workers, the end. */
static void callers_who_come_again_wait_for_the_rest_of_the_loop(void **state)
{
        struct caller callers[CALLERS];

        (void)state;
        close_at = 0;
        run(callers, called_slowly);
        assert_int_equal(n_called, CALLERS * OF_EACH);
        assert_in_range(most_of_a_turn, 1, CALLERS);
}

static void none_is_made_after_the_end_and_nobody_waits_for_ever(void **state)
{
        struct caller callers[CALLERS];
        unsigned made = 0, refused = 0;

        (void)state;
        close_at = OF_EACH / 2;
        run(callers, called);
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
            cmocka_unit_test(callers_who_come_again_wait_for_the_rest_of_the_loop),
            cmocka_unit_test(none_is_made_after_the_end_and_nobody_waits_for_ever),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
