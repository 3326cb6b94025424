/* What a device waits for beside its lanes.
 * Owns the table; the descriptors are the device's. Called by devices, and by worker.c around its ppoll.
 * TRUST: sees no foreign bytes; that a descriptor is ready may be a host's or a peer's doing.
 *
 * Between the look and the calls rows may come and go, and a number may name another file by then. So what was found is
 * matched by descriptor and by the count of additions: a row that is younger than the look is not called for it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/worker_watch.h"

#include <stddef.h>
#include <time.h>

#include "proto/base/checked.h"
#include "workers/runtime/trap.h"

struct watch {
        int fd;
        short events;
        uint64_t born; /* additions before it */
        worker_ready ready;
};

static struct watches {
        unsigned n;
        struct watch rows[LIMIT_WORKER_WATCHES];
        uint64_t added;
        uint64_t filled; /* additions as of the last look */
        uint64_t due_ms;
        void (*due)(void *state);  /* NULL: no time is set */
        void (*tick)(void *state); /* NULL: no tick is set */
        uint32_t tick_ms, turns;   /* turns: since the last tick */
} watches;

static struct watch *watch_find(int fd)
{
        for (unsigned i = 0; i < watches.n; i++)
                if (watches.rows[i].fd == fd)
                        return &watches.rows[i];
        return NULL;
}

void worker_watch_add(int fd, short events, worker_ready ready)
{
        if (fd < 0 || watches.n == LIMIT_WORKER_WATCHES || watch_find(fd))
                worker_trap();
        watches.rows[watches.n++] =
            (struct watch){.fd = fd, .events = events, .born = watches.added++, .ready = ready};
}

void worker_watch_set(int fd, short events)
{
        struct watch *watch = watch_find(fd);

        if (!watch)
                worker_trap();
        watch->events = events;
}

void worker_watch_remove(int fd)
{
        struct watch *watch = watch_find(fd);

        if (watch)
                *watch = watches.rows[--watches.n];
}

unsigned worker_watch_fill(struct pollfd *fds)
{
        watches.filled = watches.added;
        for (unsigned i = 0; i < watches.n; i++)
                fds[i] = (struct pollfd){.fd = watches.rows[i].fd, .events = watches.rows[i].events};
        return watches.n;
}

void worker_watch_serve(void *state, const struct pollfd *fds, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                const struct watch *watch = fds[i].revents ? watch_find(fds[i].fd) : NULL;

                if (watch && watch->born < watches.filled)
                        watch->ready(state, fds[i].fd, fds[i].revents);
        }
}

static uint64_t clock_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* One more: clock_ms drops what is below a millisecond, and a time must not be due before it has passed. */
void worker_timer_set(uint32_t ms, void (*due)(void *state))
{
        watches.due_ms = clock_ms() + ms + 1;
        watches.due = due;
}

void worker_timer_stop(void)
{
        watches.due = NULL;
}

int worker_timer_left(void)
{
        uint64_t now;

        if (!watches.due)
                return -1;
        now = clock_ms();
        return now >= watches.due_ms ? 0 : (int)MIN(watches.due_ms - now, (uint64_t)INT32_MAX);
}

void worker_timer_serve(void *state)
{
        void (*due)(void *state) = watches.due;

        if (!due || clock_ms() < watches.due_ms)
                return;
        watches.due = NULL;
        due(state);
}

void worker_tick_set(uint32_t ms, void (*tick)(void *state))
{
        if (!watches.tick)
                watches.turns = 0;
        watches.tick_ms = ms;
        watches.tick = tick;
}

void worker_tick_stop(void)
{
        watches.tick = NULL;
}

int worker_tick_ms(void)
{
        return watches.tick ? (int)watches.tick_ms : -1;
}

void worker_tick_serve(void *state, bool idle)
{
        if (!watches.tick || (!idle && ++watches.turns < WORKER_TICK_TURNS))
                return;
        watches.turns = 0;
        watches.tick(state);
}
