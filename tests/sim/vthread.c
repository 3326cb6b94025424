/* The threads of the simulated broker.
 * Owns the fibers; called by the stand-in for libuv and by the schedule. TRUST: none.
 *
 * How it works: a thread runs until it yields: at a pause, in a sleep (its loop has nothing to do) or in a
 * wait (a lock or a condition). A sleeper is looked at again when the counter of stirs has moved or its time
 * has come, so a poll costs one system call per change and not one per step.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/vthread.h"

#include <stddef.h>

#include "tests/sim/chance.h"
#include "tests/sim/clock.h"
#include "tests/sim/fiber.h"
#include "tests/sim/trace.h"

#define THREADS 32u

enum vthread_state {
        VTHREAD_NONE = 0,
        VTHREAD_READY,
        VTHREAD_SLEEPING,
        VTHREAD_WAITING,
        VTHREAD_ENDED,
};

struct vthread {
        enum vthread_state state;
        struct fiber *fiber;
        uint64_t stirs, until_ms; /* SLEEPING */
        const void *what;         /* WAITING */
};

static struct vthread threads[THREADS];
static struct vthread *current;
static uint64_t stirs;
static uint32_t preempt_in, race_in;

void vthread_start(uint32_t preempt, uint32_t race)
{
        for (unsigned i = 0; i < THREADS; i++)
                sim_check(threads[i].state == VTHREAD_NONE, "a thread outlived its run");
        stirs = 0;
        preempt_in = preempt;
        race_in = race;
}

struct vthread *vthread_new(void (*run)(void *argument), void *argument)
{
        for (unsigned i = 0; i < THREADS; i++) {
                if (threads[i].state != VTHREAD_NONE)
                        continue;
                threads[i] = (struct vthread){.state = VTHREAD_READY, .fiber = fiber_new(run, argument)};
                return &threads[i];
        }
        sim_fail("too many threads");
}

static bool can_run(const struct vthread *thread)
{
        return thread->state == VTHREAD_READY ||
               (thread->state == VTHREAD_SLEEPING &&
                (thread->stirs != stirs || thread->until_ms <= sim_now_ms()));
}

static void run(struct vthread *thread)
{
        thread->state = VTHREAD_READY;
        current = thread;
        fiber_resume(thread->fiber);
        current = NULL;
        if (!fiber_ended(thread->fiber))
                return;
        thread->state = VTHREAD_ENDED;
        vthread_wake(thread);
}

bool vthread_run_one(void)
{
        struct vthread *ready[THREADS];
        unsigned n = 0;

        for (unsigned i = 0; i < THREADS; i++)
                if (can_run(&threads[i]))
                        ready[n++] = &threads[i];
        if (n == 0)
                return false;
        run(ready[n == 1 ? 0 : chance_below(n)]);
        return true;
}

void vthread_stir(void)
{
        stirs++;
}

uint64_t vthread_next_wake_ms(void)
{
        uint64_t next = UINT64_MAX;

        for (unsigned i = 0; i < THREADS; i++)
                if (threads[i].state == VTHREAD_SLEEPING && threads[i].until_ms < next)
                        next = threads[i].until_ms;
        return next;
}

unsigned vthread_count(void)
{
        unsigned n = 0;

        for (unsigned i = 0; i < THREADS; i++)
                n += threads[i].state != VTHREAD_NONE;
        return n;
}

void vthread_pause(void)
{
        if (current && chance_one_in(preempt_in))
                fiber_yield();
}

void vthread_race(void)
{
        if (current && chance_one_in(race_in))
                fiber_yield();
}

void vthread_sleep(uint64_t until_ms)
{
        current->state = VTHREAD_SLEEPING;
        current->stirs = stirs;
        current->until_ms = until_ms;
        fiber_yield();
}

void vthread_wait(const void *what)
{
        sim_check(current, "the schedule would wait for ever");
        current->state = VTHREAD_WAITING;
        current->what = what;
        fiber_yield();
}

void vthread_wake(const void *what)
{
        for (unsigned i = 0; i < THREADS; i++)
                if (threads[i].state == VTHREAD_WAITING && threads[i].what == what)
                        threads[i].state = VTHREAD_READY;
}

void vthread_join(struct vthread *thread)
{
        while (thread->state != VTHREAD_ENDED)
                vthread_wait(thread);
        vthread_forget(thread);
}

void vthread_forget(struct vthread *thread)
{
        fiber_free(thread->fiber);
        *thread = (struct vthread){0};
}
