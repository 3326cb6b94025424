/* Owns the list of calls that wait, and the handle that wakes the main loop. Called by vCPU threads (make) and by
 * kvm_front.c. TRUST: none of its own; what a guest wrote is judged by what is called.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/calls.h"

#include <errno.h>
#include <stdlib.h>

/* On the stack of the thread that waits. */
struct kvm_call {
        void (*function)(void *argument);
        void *argument;
        struct kvm_call *next;
        bool done, made;
};

struct kvm_calls {
        uv_async_t wake;
        uv_mutex_t mutex;
        uv_cond_t done;
        struct kvm_call *first, **last;
        unsigned n; /* of them */
        bool closed;
};

static struct kvm_call *calls_take_one(struct kvm_calls *calls)
{
        struct kvm_call *call = calls->first;

        if (!call)
                return NULL;
        calls->first = call->next;
        if (!calls->first)
                calls->last = &calls->first;
        calls->n--;
        return call;
}

/* Those that wait now; one that comes meanwhile wakes the loop again. Else vCPUs that never stop calling, on a host with a
 * core for each, would keep the loop from everything else. */
static void on_wake(uv_async_t *handle)
{
        struct kvm_calls *calls = handle->data;
        struct kvm_call *call;

        uv_mutex_lock(&calls->mutex);
        for (unsigned n = calls->n; n > 0 && (call = calls_take_one(calls)); n--) {
                uv_mutex_unlock(&calls->mutex);
                call->function(call->argument);
                uv_mutex_lock(&calls->mutex);
                call->made = call->done = true;
                uv_cond_broadcast(&calls->done);
        }
        uv_mutex_unlock(&calls->mutex);
}

int kvm_calls_new(uv_loop_t *loop, struct kvm_calls **ret_calls)
{
        struct kvm_calls *calls = calloc(1, sizeof(*calls));
        int r;

        if (!calls)
                return -ENOMEM;
        calls->last = &calls->first;
        r = uv_mutex_init(&calls->mutex);
        if (r < 0)
                goto free_calls;
        r = uv_cond_init(&calls->done);
        if (r < 0)
                goto destroy_mutex;
        r = uv_async_init(loop, &calls->wake, on_wake);
        if (r < 0)
                goto destroy_cond;
        calls->wake.data = calls;
        *ret_calls = calls;
        return 0;

destroy_cond:
        uv_cond_destroy(&calls->done);
destroy_mutex:
        uv_mutex_destroy(&calls->mutex);
free_calls:
        free(calls);
        return r;
}

bool kvm_calls_make(struct kvm_calls *calls, void (*function)(void *argument), void *argument)
{
        struct kvm_call call = {.function = function, .argument = argument};

        uv_mutex_lock(&calls->mutex);
        if (!calls->closed) {
                *calls->last = &call;
                calls->last = &call.next;
                calls->n++;
                uv_async_send(&calls->wake);
                while (!call.done)
                        uv_cond_wait(&calls->done, &calls->mutex);
        }
        uv_mutex_unlock(&calls->mutex);
        return call.made;
}

void kvm_calls_close(struct kvm_calls *calls)
{
        struct kvm_call *call;

        uv_mutex_lock(&calls->mutex);
        calls->closed = true;
        while ((call = calls_take_one(calls)))
                call->done = true;
        uv_cond_broadcast(&calls->done);
        uv_mutex_unlock(&calls->mutex);
}

static void on_closed(uv_handle_t *handle)
{
        struct kvm_calls *calls = handle->data;

        uv_cond_destroy(&calls->done);
        uv_mutex_destroy(&calls->mutex);
        free(calls);
}

struct kvm_calls *kvm_calls_free(struct kvm_calls *calls)
{
        if (calls) {
                kvm_calls_close(calls);
                uv_close((uv_handle_t *)&calls->wake, on_closed);
        }
        return NULL;
}
