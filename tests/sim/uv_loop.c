/* A stand-in for libuv's loop with its timers, polls and asyncs: what the broker uses of it, with libuv's
 * rules (documentation and source of 1.44), in virtual time.
 * Owns a twin of every handle; called by the broker's core, in its threads. TRUST: none.
 *
 * How it works: one iteration runs the timers that are due, then looks once at all descriptors and asyncs and
 * hands out what it found in an order of the seed's, then runs the close callbacks. Between two callbacks
 * others may run, so what is handed out may be no longer true: as with epoll. A handle that was stopped,
 * started anew or closed meanwhile gets nothing of that look.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/uv_loop.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#include "tests/sim/chance.h"
#include "tests/sim/clock.h"
#include "tests/sim/trace.h"
#include "tests/sim/vthread.h"

#define LOOPS 32u
#define BATCH 64u /* handles of one loop */

struct twin {
        struct twin *next, **at; /* in its loop */
        uv_handle_t *handle;
        bool active, closing, pending; /* pending: an async was sent */
        unsigned epoch;                /* moves when events that were found are no longer his */
        uv_close_cb close_cb;
        int fd, events;
        uint64_t due_ms, order;
        union {
                uv_poll_cb poll;
                uv_timer_cb timer;
                uv_async_cb async;
        } cb;
};

struct loop_twin {
        uv_loop_t *loop;
        struct twin *handles;
        uint64_t now_ms, order;
};

static struct loop_twin loops[LOOPS];

static struct loop_twin *loop_of(const uv_loop_t *loop)
{
        for (unsigned i = 0; i < LOOPS; i++)
                if (loops[i].loop == loop)
                        return &loops[i];
        sim_fail("a loop that was never made");
}

static struct twin *twin_of(const void *handle)
{
        return ((const uv_handle_t *)handle)->u.reserved[0];
}

int uv_loop_init(uv_loop_t *loop)
{
        for (unsigned i = 0; i < LOOPS; i++) {
                if (loops[i].loop)
                        continue;
                loops[i] = (struct loop_twin){.loop = loop, .now_ms = sim_now_ms()};
                return 0;
        }
        sim_fail("too many loops");
}

int uv_loop_close(uv_loop_t *loop)
{
        struct loop_twin *twin = loop_of(loop);

        if (twin->handles)
                return UV_EBUSY;
        *twin = (struct loop_twin){0};
        return 0;
}

uint64_t uv_now(const uv_loop_t *loop)
{
        return loop_of(loop)->now_ms;
}

/* ---- handles ---- */

static struct twin *twin_new(uv_loop_t *loop, void *at, uv_handle_type type)
{
        struct loop_twin *owner = loop_of(loop);
        struct twin *twin = calloc(1, sizeof(*twin)), **end = &owner->handles;
        uv_handle_t *handle = at;

        sim_check(twin, "no memory for a handle");
        while (*end)
                end = &(*end)->next;
        *end = twin;
        twin->at = end;
        twin->handle = handle;
        twin->fd = -1;
        handle->loop = loop;
        handle->type = type;
        handle->u.reserved[0] = twin;
        return twin;
}

static void twin_free(struct twin *twin)
{
        *twin->at = twin->next;
        if (twin->next)
                twin->next->at = twin->at;
        free(twin);
}

void uv_close(uv_handle_t *handle, uv_close_cb close_cb)
{
        struct twin *twin = twin_of(handle);

        sim_check(!twin->closing, "a handle is closed twice");
        twin->closing = true;
        twin->active = false;
        twin->epoch++;
        twin->close_cb = close_cb;
}

int uv_is_active(const uv_handle_t *handle)
{
        return twin_of(handle)->active;
}

int uv_timer_init(uv_loop_t *loop, uv_timer_t *timer)
{
        twin_new(loop, timer, UV_TIMER);
        return 0;
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
        struct twin *twin = twin_of(timer);
        struct loop_twin *loop = loop_of(timer->loop);

        sim_check(repeat == 0 || repeat == timeout, "a kind of timer that the stand-in does not have");
        if (twin->closing)
                return UV_EINVAL;
        timer->repeat = repeat;
        twin->cb.timer = cb;
        twin->due_ms = loop->now_ms + timeout;
        twin->order = loop->order++;
        twin->active = true;
        return 0;
}

int uv_timer_stop(uv_timer_t *timer)
{
        twin_of(timer)->active = false;
        return 0;
}

int uv_async_init(uv_loop_t *loop, uv_async_t *async, uv_async_cb cb)
{
        struct twin *twin = twin_new(loop, async, UV_ASYNC);

        twin->cb.async = cb;
        twin->active = true;
        return 0;
}

int uv_async_send(uv_async_t *async)
{
        struct twin *twin = twin_of(async);

        sim_check(!twin->closing, "a closed async is sent");
        vthread_pause();
        twin->pending = true;
        vthread_stir();
        vthread_pause();
        return 0;
}

static bool is_polled(const struct loop_twin *loop, int fd)
{
        for (const struct twin *twin = loop->handles; twin; twin = twin->next)
                if (twin->handle->type == UV_POLL && twin->active && twin->fd == fd)
                        return true;
        return false;
}

int uv_poll_init(uv_loop_t *loop, uv_poll_t *poll_handle, int fd)
{
        struct pollfd probe = {.fd = fd};
        int flags = fcntl(fd, F_GETFL);

        if (is_polled(loop_of(loop), fd))
                return UV_EEXIST;
        if (flags < 0 || poll(&probe, 1, 0) < 0 || (probe.revents & POLLNVAL))
                return UV_EBADF;
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        twin_new(loop, poll_handle, UV_POLL)->fd = fd;
        return 0;
}

int uv_poll_stop(uv_poll_t *poll_handle)
{
        struct twin *twin = twin_of(poll_handle);

        twin->active = false;
        twin->epoch++;
        return 0;
}

int uv_poll_start(uv_poll_t *poll_handle, int events, uv_poll_cb cb)
{
        struct twin *twin = twin_of(poll_handle);

        sim_check(!twin->closing, "a closed poll is started");
        uv_poll_stop(poll_handle);
        if (events == 0)
                return 0;
        twin->events = events;
        twin->cb.poll = cb;
        twin->active = true;
        vthread_stir();
        return 0;
}

/* ---- one iteration ---- */

static bool loop_is_alive(const struct loop_twin *loop)
{
        return loop->handles; /* ours are all referenced, and a stopped timer is closed before its loop */
}

static bool loop_has_active(const struct loop_twin *loop)
{
        for (const struct twin *twin = loop->handles; twin; twin = twin->next)
                if (twin->active || twin->closing)
                        return true;
        return false;
}

static struct twin *next_timer(const struct loop_twin *loop)
{
        struct twin *next = NULL;

        for (struct twin *twin = loop->handles; twin; twin = twin->next)
                if (twin->handle->type == UV_TIMER && twin->active &&
                    (!next || twin->due_ms < next->due_ms ||
                     (twin->due_ms == next->due_ms && twin->order < next->order)))
                        next = twin;
        return next;
}

static bool run_timers(struct loop_twin *loop)
{
        struct twin *twin;
        bool any = false;

        while ((twin = next_timer(loop)) && twin->due_ms <= loop->now_ms) {
                uv_timer_t *timer = (uv_timer_t *)twin->handle;

                twin->active = false;
                if (timer->repeat > 0)
                        uv_timer_start(timer, twin->cb.timer, timer->repeat, timer->repeat);
                twin->cb.timer(timer);
                any = true;
                vthread_pause();
        }
        return any;
}

static bool run_closed(struct loop_twin *loop)
{
        bool any = false;

        for (struct twin *twin = loop->handles; twin;) {
                uv_handle_t *handle = twin->handle;
                uv_close_cb close_cb = twin->close_cb;

                if (!twin->closing) {
                        twin = twin->next;
                        continue;
                }
                twin_free(twin);
                if (close_cb)
                        close_cb(handle);
                any = true;
                twin = loop->handles; /* the callback may have changed everything */
        }
        return any;
}

/* One thing that a look has found. */
struct found {
        struct twin *twin;
        unsigned epoch;
        int revents;
};

static unsigned look(struct loop_twin *loop, struct found *found)
{
        struct pollfd fds[BATCH];
        struct twin *polls[BATCH];
        unsigned n_fds = 0, n = 0;

        for (struct twin *twin = loop->handles; twin; twin = twin->next) {
                if (!twin->active || twin->handle->type == UV_TIMER)
                        continue;
                sim_check(n_fds < BATCH && n < BATCH, "too many handles for the stand-in");
                if (twin->handle->type == UV_ASYNC) {
                        if (twin->pending)
                                found[n++] = (struct found){.twin = twin, .epoch = twin->epoch};
                        continue;
                }
                polls[n_fds] = twin;
                fds[n_fds++] = (struct pollfd){.fd = twin->fd,
                                               .events = (short)((twin->events & UV_READABLE ? POLLIN : 0) |
                                                                 (twin->events & UV_WRITABLE ? POLLOUT : 0))};
        }
        if (poll(fds, n_fds, 0) < 0)
                return n;
        for (unsigned i = 0; i < n_fds && n < BATCH; i++) {
                sim_check(!(fds[i].revents & POLLNVAL), "a descriptor is polled that is closed: %d",
                          fds[i].fd);
                if (fds[i].revents)
                        found[n++] = (struct found){polls[i], polls[i]->epoch, fds[i].revents};
        }
        return n;
}

/* As uv__poll_io and uv__io_poll: an error stops the handle, a hang-up alone counts as what is wanted. */
static void deliver_poll(struct twin *twin, int revents)
{
        uv_poll_t *poll_handle = (uv_poll_t *)twin->handle;
        int events = 0;

        if (revents & POLLERR) {
                twin->active = false;
                twin->cb.poll(poll_handle, UV_EBADF, 0);
                return;
        }
        if (revents & POLLIN)
                events |= UV_READABLE;
        if (revents & POLLOUT)
                events |= UV_WRITABLE;
        if (revents == POLLHUP)
                events = UV_READABLE | UV_WRITABLE;
        events &= twin->events;
        if (events)
                twin->cb.poll(poll_handle, 0, events);
}

static void deliver(const struct found *found)
{
        struct twin *twin = found->twin;

        if (twin->epoch != found->epoch || !twin->active)
                return;
        if (twin->handle->type == UV_POLL) {
                deliver_poll(twin, found->revents);
        } else {
                twin->pending = false;
                twin->cb.async((uv_async_t *)twin->handle);
        }
        vthread_pause();
}

void sim_loop_wake(uv_loop_t *loop)
{
        loop_of(loop)->now_ms = sim_now_ms();
}

bool sim_loop_turn(uv_loop_t *at)
{
        struct loop_twin *loop = loop_of(at);
        struct found found[BATCH];
        bool any;
        unsigned n;

        loop->now_ms = sim_now_ms();
        any = run_timers(loop);
        n = look(loop, found);
        for (unsigned left = n; left > 0; left--) {
                unsigned pick = chance_below(left);

                deliver(&found[pick]);
                found[pick] = found[left - 1];
        }
        return run_closed(loop) || any || n > 0;
}

void sim_loop_sleep(uv_loop_t *loop)
{
        const struct twin *timer = next_timer(loop_of(loop));

        vthread_sleep(timer ? timer->due_ms : UINT64_MAX);
}

int uv_run(uv_loop_t *loop, uv_run_mode mode)
{
        struct loop_twin *twin = loop_of(loop);

        sim_check(mode == UV_RUN_DEFAULT, "a mode of uv_run that the stand-in does not have");
        while (loop_is_alive(twin) && loop_has_active(twin))
                if (!sim_loop_turn(loop))
                        sim_loop_sleep(loop);
        return 0;
}
