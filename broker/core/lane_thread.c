/* A lane's thread.
 * Owns the thread, its libuv loop and the watchers of the lane's descriptors; called by device.c. TRUST: none
 * of its own; wakes the lane when a descriptor is ready.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_thread.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "broker/core/lane_age.h"

/* The watcher of one descriptor; follows the lane, which may replace its descriptors at any call. */
struct watch {
        uv_poll_t poll;
        int fd; /* what is watched; -1: nothing */
        int events;
        bool open; /* the handle exists */
};

struct lane_thread {
        struct lane lane;
        uv_thread_t thread;
        uv_loop_t loop;
        uv_async_t called;
        uv_timer_t age;       /* runs only while something with the worker ages */
        uv_timer_t stay;      /* runs only while the worker may be waiting for this lane alone */
        uv_timer_t later;     /* a turn has left work, or must wait before it takes more */
        uv_prepare_t prepare; /* this and idle: with `polls` */
        uv_idle_t idle;       /* active: the loop must not sleep */
        bool polls;           /* the lane has poll_us, or may be placed */
        uv_timer_t tick;      /* with `placed`: runs only while it is confined to a CPU */
        bool placed;          /* the lane may be placed */
        atomic_bool wanted;   /* `call` waits to be made */
        uv_mutex_t mutex;
        uv_cond_t done;
        void (*call)(struct lane *lane, void *argument);
        void *argument;
        bool stopping;          /* the lane's thread's own */
        struct watch *in, *out; /* of the pipes to the worker */
        struct watch **kicks;   /* one a queue */
};

static void watch_closed(uv_handle_t *handle)
{
        free(handle->data);
}

static void watch_close(struct watch **watch)
{
        struct watch *w = *watch;

        *watch = NULL;
        if (!w)
                return;
        uv_poll_stop(&w->poll);
        w->poll.data = w;
        uv_close((uv_handle_t *)&w->poll, watch_closed);
}

/* Makes a watcher follow `fd`: a changed descriptor gets a new handle, since the old one may be closed
 * already. -EPERM: it cannot be polled (it is a peer's choice); -ENOMEM. */
static int watch_follow(struct lane_thread *thread, struct watch **watch, int fd, int events,
                        uv_poll_cb callback)
{
        if (*watch && (*watch)->fd != fd)
                watch_close(watch);
        if (fd < 0)
                return 0;
        if (!*watch) {
                struct watch *w = calloc(1, sizeof(*w));
                int r = w ? uv_poll_init(&thread->loop, &w->poll, fd) : -ENOMEM;

                if (r < 0) {
                        free(w);
                        return r;
                }
                w->fd = fd;
                w->poll.data = thread;
                *watch = w;
        }
        if ((*watch)->events != events && uv_poll_start(&(*watch)->poll, events, callback) == 0)
                (*watch)->events = events;
        return 0;
}

/* The lane is about to close a descriptor: stop polling it first. */
static void on_closing(struct lane *lane, int fd)
{
        struct lane_thread *thread = (struct lane_thread *)lane;

        _Static_assert(offsetof(struct lane_thread, lane) == 0, "the cast above");
        if (thread->in && thread->in->fd == fd)
                watch_close(&thread->in);
        if (thread->out && thread->out->fd == fd)
                watch_close(&thread->out);
        for (unsigned i = 0; i < lane->n_queues; i++)
                if (thread->kicks[i] && thread->kicks[i]->fd == fd)
                        watch_close(&thread->kicks[i]);
}

static void on_worker(uv_poll_t *poll, int status, int events);
static void on_kick(uv_poll_t *poll, int status, int events);
static void on_age(uv_timer_t *timer);
static void on_stay(uv_timer_t *timer);
static void on_later(uv_timer_t *timer);
static void on_tick(uv_timer_t *timer);

/* It may fire early, for a request that has been answered since: then it looks and goes on. */
static void thread_follow_age(struct lane_thread *thread)
{
        bool active = uv_is_active((uv_handle_t *)&thread->age);

        if (!lane_ages(&thread->lane) && active)
                uv_timer_stop(&thread->age);
        else if (lane_ages(&thread->lane) && !active)
                uv_timer_start(&thread->age, on_age, thread->lane.max_age_ms, 0);
}

static void thread_follow_stay(struct lane_thread *thread)
{
        bool stays = lane_stays(&thread->lane);

        if (stays == uv_is_active((uv_handle_t *)&thread->stay))
                return;
        if (stays)
                uv_timer_start(&thread->stay, on_stay, LIMIT_STAY_MS, LIMIT_STAY_MS);
        else
                uv_timer_stop(&thread->stay);
}

static void thread_follow_place(struct lane_thread *thread)
{
        bool ticks = lane_place_ticks(&thread->lane);

        if (!thread->placed || ticks == uv_is_active((uv_handle_t *)&thread->tick))
                return;
        if (ticks)
                uv_timer_start(&thread->tick, on_tick, LIMIT_PLACE_TICK_MS, LIMIT_PLACE_TICK_MS);
        else
                uv_timer_stop(&thread->tick);
}

static void thread_follow_worker(struct lane_thread *thread)
{
        struct lane *lane = &thread->lane;
        const struct fd_duplex ends = lane->faulted ? (struct fd_duplex){-1, -1} : lane->ends;
        int in = lane->rx.parked ? 0 : UV_READABLE, out = lane_wants_write(lane) ? UV_WRITABLE : 0;

        if (watch_follow(thread, &thread->in, ends.in, in, on_worker) == 0 &&
            watch_follow(thread, &thread->out, ends.out, out, on_worker) == 0)
                return;
        lane_worker_fault(lane, "cannot be watched");
        watch_close(&thread->in);
        watch_close(&thread->out);
}

static void thread_follow(struct lane_thread *thread)
{
        struct lane *lane = &thread->lane;

        thread_follow_worker(thread);
        for (unsigned i = 0; i < lane->n_queues; i++) {
                struct lane_queue *queue = &lane->queues[i];
                bool listens = queue->ring.started && queue->ring.fault == QUEUE_FAULT_NONE;

                if (watch_follow(thread, &thread->kicks[i], listens ? queue->kick_fd : -1, UV_READABLE,
                                 on_kick) < 0)
                        lane_queue_break(lane, queue, QUEUE_FAULT_DEVICE);
        }
        thread_follow_age(thread);
        thread_follow_stay(thread);
        thread_follow_place(thread);
        if (lane->again || lane->wait_ms > 0)
                uv_timer_start(&thread->later, on_later, lane->again ? 1 : lane->wait_ms, 0);
}

/* That it is active is all: the loop looks at its descriptors and does not wait for them. */
static void on_idle(uv_idle_t *idle)
{
        (void)idle;
}

/* Before each sleep. */
static void on_prepare(uv_prepare_t *prepare)
{
        struct lane_thread *thread = prepare->data;
        bool again = false;

        if (lane_polls(&thread->lane)) {
                again = lane_poll(&thread->lane, &thread->wanted);
                thread_follow(thread);
        }
        if (again)
                uv_idle_start(&thread->idle, on_idle);
        else
                uv_idle_stop(&thread->idle);
}

static void thread_follow_poll(struct lane_thread *thread)
{
        if ((thread->lane.poll.us == 0 && !thread->lane.place.host) || thread->polls)
                return;
        thread->polls = true;
        uv_prepare_init(&thread->loop, &thread->prepare);
        uv_idle_init(&thread->loop, &thread->idle);
        thread->prepare.data = thread;
        uv_prepare_start(&thread->prepare, on_prepare);
}

static void thread_follow_host(struct lane_thread *thread)
{
        if (!thread->lane.place.host || thread->placed)
                return;
        thread->placed = true;
        uv_timer_init(&thread->loop, &thread->tick);
        thread->tick.data = thread;
}

static void on_tick(uv_timer_t *timer)
{
        struct lane_thread *thread = timer->data;

        lane_place_tick(&thread->lane);
        thread_follow(thread);
}

static void on_later(uv_timer_t *timer)
{
        struct lane_thread *thread = timer->data;

        lane_turn(&thread->lane);
        thread_follow(thread);
}

static void on_stay(uv_timer_t *timer)
{
        struct lane_thread *thread = timer->data;

        lane_stay_check(&thread->lane);
        thread_follow(thread);
}

static void on_age(uv_timer_t *timer)
{
        struct lane_thread *thread = timer->data;
        uint64_t wait_ms = lane_check_age(&thread->lane, lane_clock_ms());

        if (wait_ms > 0)
                uv_timer_start(timer, on_age, wait_ms, 0);
        thread_follow(thread);
}

static void on_worker(uv_poll_t *poll, int status, int events)
{
        struct lane_thread *thread = poll->data;

        /* An error is a worker that died: nobody reads our pipe any more. What it completed before is there to
         * be read, and then the end of file. libuv polls no longer, so this event must do. */
        if (status < 0) {
                lane_readable(&thread->lane);
                lane_worker_fault(&thread->lane, "hung up");
        } else if (events & UV_READABLE) {
                lane_readable(&thread->lane);
        } else {
                lane_turn(&thread->lane);
        }
        thread_follow(thread);
}

/* Empties the descriptor's counter. False: nothing was there. It does not block, so no signal can interrupt
 * the read: -EINTR means that the peer has made it block, and lane_thread_call has got us out. */
static bool kick_take(int fd, int status, uint64_t *ret_count, int *ret_error)
{
        *ret_count = 1;
        *ret_error = status;
        if (status < 0 || read(fd, ret_count, sizeof(*ret_count)) >= 0)
                return true;
        *ret_error = -errno;
        return errno != EAGAIN;
}

static void on_kick(uv_poll_t *poll, int status, int events)
{
        struct lane_thread *thread = poll->data;
        const struct watch *watch = (struct watch *)poll;
        uint64_t count;
        int error;

        _Static_assert(offsetof(struct watch, poll) == 0, "the cast above");
        (void)events;
        if (!kick_take(watch->fd, status, &count, &error))
                return;
        for (unsigned i = 0; i < thread->lane.n_queues; i++) {
                if (thread->kicks[i] != watch)
                        continue;
                if (error < 0) /* no eventfd (it would be ready for ever), or one that makes us wait */
                        lane_queue_break(&thread->lane, &thread->lane.queues[i], QUEUE_FAULT_DEVICE);
                else
                        lane_kicked(&thread->lane, &thread->lane.queues[i], count);
                break;
        }
        thread_follow(thread);
}

/* The mutex is not held while the call runs: who waits for it must be able to see that it takes too long. */
static void on_called(uv_async_t *async)
{
        struct lane_thread *thread = async->data;
        void (*call)(struct lane * lane, void *argument);
        void *argument;

        uv_mutex_lock(&thread->mutex);
        call = thread->call;
        argument = thread->argument;
        uv_mutex_unlock(&thread->mutex);
        if (!call)
                return;
        call(&thread->lane, argument);
        if (!thread->stopping) {
                thread_follow(thread);
                thread_follow_poll(thread);
                thread_follow_host(thread);
        }
        uv_mutex_lock(&thread->mutex);
        thread->call = NULL;
        atomic_store_explicit(&thread->wanted, false, memory_order_relaxed);
        uv_cond_signal(&thread->done);
        uv_mutex_unlock(&thread->mutex);
}

/* The last call: afterwards nothing is watched, and the loop ends. */
static void call_stop(struct lane *lane, void *argument)
{
        struct lane_thread *thread = argument;

        thread->stopping = true;
        watch_close(&thread->in);
        watch_close(&thread->out);
        for (unsigned i = 0; i < lane->n_queues; i++)
                watch_close(&thread->kicks[i]);
        if (thread->polls) {
                uv_close((uv_handle_t *)&thread->prepare, NULL);
                uv_close((uv_handle_t *)&thread->idle, NULL);
        }
        if (thread->placed)
                uv_close((uv_handle_t *)&thread->tick, NULL);
        uv_close((uv_handle_t *)&thread->age, NULL);
        uv_close((uv_handle_t *)&thread->stay, NULL);
        uv_close((uv_handle_t *)&thread->later, NULL);
        uv_close((uv_handle_t *)&thread->called, NULL);
}

static void thread_main(void *argument)
{
        struct lane_thread *thread = argument;

        uv_run(&thread->loop, UV_RUN_DEFAULT);
}

static void on_interrupt(int signal_number)
{
        (void)signal_number; /* that it came is all: it ends a system call with EINTR */
}

static void install_interrupt(void)
{
        struct sigaction action = {.sa_handler = on_interrupt}; /* no SA_RESTART */

        sigaction(SIGURG, &action, NULL);
}

static int thread_start(struct lane_thread *thread)
{
        int r = uv_loop_init(&thread->loop);

        if (r < 0)
                return r;
        r = uv_async_init(&thread->loop, &thread->called, on_called);
        if (r < 0)
                goto close_loop;
        uv_timer_init(&thread->loop, &thread->age);
        uv_timer_init(&thread->loop, &thread->stay);
        uv_timer_init(&thread->loop, &thread->later);
        thread->called.data = thread->age.data = thread->stay.data = thread->later.data = thread;
        r = uv_mutex_init(&thread->mutex);
        if (r < 0)
                goto close_handles;
        r = uv_cond_init(&thread->done);
        if (r < 0)
                goto destroy_mutex;
        r = uv_thread_create(&thread->thread, thread_main, thread);
        if (r == 0)
                return 0;
        uv_cond_destroy(&thread->done);
destroy_mutex:
        uv_mutex_destroy(&thread->mutex);
close_handles:
        uv_close((uv_handle_t *)&thread->age, NULL);
        uv_close((uv_handle_t *)&thread->stay, NULL);
        uv_close((uv_handle_t *)&thread->later, NULL);
        uv_close((uv_handle_t *)&thread->called, NULL);
        uv_run(&thread->loop, UV_RUN_DEFAULT);
close_loop:
        uv_loop_close(&thread->loop);
        return r;
}

int lane_thread_new(const struct lane_events *events, const struct control_hello *hello, unsigned first,
                    unsigned step, struct lane_thread **ret_thread)
{
        struct lane_thread *thread = calloc(1, sizeof(*thread));
        struct lane_events lane_events = *events;
        static uv_once_t interrupt = UV_ONCE_INIT;
        int r = -ENOMEM;

        if (!thread)
                return r;
        uv_once(&interrupt, install_interrupt);
        lane_events.closing = on_closing;
        r = lane_init(&thread->lane, &lane_events, first, step, hello->n_queues);
        if (r == 0)
                r = lane_configure(&thread->lane, hello);
        if (r == 0) {
                thread->kicks = calloc(thread->lane.n_queues, sizeof(thread->kicks[0]));
                r = thread->kicks ? thread_start(thread) : -ENOMEM;
        }
        if (r < 0) {
                thread->lane.events.closing = NULL;
                lane_done(&thread->lane);
                free(thread->kicks);
                free(thread);
                return r;
        }
        *ret_thread = thread;
        return 0;
}

struct lane_thread *lane_thread_free(struct lane_thread *thread)
{
        int r;

        if (!thread)
                return NULL;
        lane_thread_call(thread, call_stop, thread);
        uv_thread_join(&thread->thread);
        r = uv_loop_close(&thread->loop);
        assert(r == 0);
        (void)r;
        uv_cond_destroy(&thread->done);
        uv_mutex_destroy(&thread->mutex);
        thread->lane.events.closing = NULL; /* the watchers are gone already */
        lane_done(&thread->lane);
        free(thread->kicks);
        free(thread);
        return NULL;
}

/* It has not answered in time, for the n-th time. */
static void thread_rouse(struct lane_thread *thread, unsigned n)
{
        (void)pthread_kill(thread->thread, SIGURG);
        if (n == LIMIT_LANE_HELD_MS / LIMIT_LANE_CALL_MS && thread->lane.events.held)
                thread->lane.events.held(thread->lane.events.context);
}

void lane_thread_call(struct lane_thread *thread, void (*call)(struct lane *lane, void *argument),
                      void *argument)
{
        unsigned late = 0;

        uv_mutex_lock(&thread->mutex);
        thread->call = call;
        thread->argument = argument;
        atomic_store_explicit(&thread->wanted, true, memory_order_relaxed);
        uv_async_send(&thread->called);
        while (thread->call) {
                int r =
                    uv_cond_timedwait(&thread->done, &thread->mutex, LIMIT_LANE_CALL_MS * UINT64_C(1000000));

                if (r == UV_ETIMEDOUT && thread->call)
                        thread_rouse(thread, ++late);
        }
        uv_mutex_unlock(&thread->mutex);
}

void lane_thread_told(struct lane_thread *thread)
{
        lane_stay_told(&thread->lane);
}

const struct lane_stats *lane_thread_stats(const struct lane_thread *thread)
{
        return &thread->lane.stats;
}
