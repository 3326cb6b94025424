/* A stand-in for libuv's threads, locks and conditions.
 * Owns nothing: the state of a lock lies in its uv_mutex_t; called by lane_thread.c. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <uv.h>

#include "tests/sim/chance.h"
#include "tests/sim/trace.h"
#include "tests/sim/vthread.h"

/* What lies in a uv_mutex_t. */
struct lock {
        uint32_t magic;
        bool held;
};
#define LOCK_MAGIC 0x10c4u

_Static_assert(sizeof(struct lock) <= sizeof(uv_mutex_t), "a lock fits");

static struct lock *lock_of(uv_mutex_t *mutex)
{
        struct lock *lock = (struct lock *)(void *)mutex;

        sim_check(lock->magic == LOCK_MAGIC, "a lock that is none");
        return lock;
}

int uv_mutex_init(uv_mutex_t *mutex)
{
        memset(mutex, 0, sizeof(*mutex));
        ((struct lock *)(void *)mutex)->magic = LOCK_MAGIC;
        return 0;
}

void uv_mutex_destroy(uv_mutex_t *mutex)
{
        sim_check(!lock_of(mutex)->held, "a lock is destroyed while it is held");
        memset(mutex, 0, sizeof(*mutex));
}

void uv_mutex_lock(uv_mutex_t *mutex)
{
        struct lock *lock = lock_of(mutex);

        vthread_pause();
        while (lock->held)
                vthread_wait(mutex);
        lock->held = true;
}

void uv_mutex_unlock(uv_mutex_t *mutex)
{
        struct lock *lock = lock_of(mutex);

        sim_check(lock->held, "a lock is let go that nobody holds");
        lock->held = false;
        vthread_wake(mutex);
        vthread_pause();
}

int uv_cond_init(uv_cond_t *cond)
{
        memset(cond, 0, sizeof(*cond));
        return 0;
}

void uv_cond_destroy(uv_cond_t *cond)
{
        (void)cond;
}

void uv_cond_signal(uv_cond_t *cond)
{
        vthread_wake(cond);
}

void uv_cond_wait(uv_cond_t *cond, uv_mutex_t *mutex)
{
        struct lock *lock = lock_of(mutex);

        lock->held = false;
        vthread_wake(mutex);
        if (!chance_one_in(16)) /* now and then a wake-up that nobody sent */
                vthread_wait(cond);
        while (lock->held)
                vthread_wait(mutex);
        lock->held = true;
}

/* A lane answers in no time, so time does not run out; now and then it seems to. */
int uv_cond_timedwait(uv_cond_t *cond, uv_mutex_t *mutex, uint64_t timeout)
{
        (void)timeout;
        uv_cond_wait(cond, mutex);
        return chance_one_in(64) ? UV_ETIMEDOUT : 0;
}

void uv_once(uv_once_t *guard, void (*callback)(void))
{
        static bool done; /* the broker has one */

        (void)guard;
        if (!done)
                callback();
        done = true;
}

int uv_thread_create(uv_thread_t *thread, uv_thread_cb entry, void *argument)
{
        struct vthread *made = vthread_new(entry, argument);

        _Static_assert(sizeof(made) <= sizeof(*thread), "a pointer fits");
        memcpy(thread, &made, sizeof(made));
        return 0;
}

int uv_thread_join(uv_thread_t *thread)
{
        struct vthread *joined;

        memcpy(&joined, thread, sizeof(joined));
        vthread_join(joined);
        return 0;
}
