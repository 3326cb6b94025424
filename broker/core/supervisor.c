/* The supervisor of one worker.
 *
 * How it works: a worker goes ABSENT → SPAWNING → GREETING → PRIMING → SERVING. Whatever ends it leads to
 * DYING, and from there only the pidfd leads on: a successor must not be started while the old process may
 * still write, and its pid must not be reaped while somebody may still name it. The first restart is at once,
 * the next ones back off, and after LIMIT_BARREN_RESTARTS incarnations that completed nothing the device is
 * quarantined.
 *
 * Owns the worker's pidfd, its control channel and the lanes' descriptors until they are handed on; called by
 * device.c and, through it, by the spawner's channel. TRUST: messages are the worker's, judged by
 * worker_link.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/supervisor.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/limits.h"
#include "proto/base/log.h"

#define STATE(s) (1u << WORKER_##s)

static const struct state_row {
        const char *name;
        uint32_t next;
} states[] = {
    [WORKER_ABSENT] = {"absent", STATE(SPAWNING) | STATE(QUARANTINED)},
    [WORKER_SPAWNING] = {"spawning", STATE(GREETING) | STATE(BACKING_OFF) | STATE(QUARANTINED)},
    [WORKER_GREETING] = {"greeting", STATE(PRIMING) | STATE(DYING)},
    [WORKER_PRIMING] = {"priming", STATE(SERVING) | STATE(DYING)},
    [WORKER_SERVING] = {"serving", STATE(DYING)},
    [WORKER_DYING] = {"dying", STATE(SPAWNING) | STATE(BACKING_OFF) | STATE(QUARANTINED)},
    [WORKER_BACKING_OFF] = {"backing off", STATE(SPAWNING) | STATE(QUARANTINED)},
    [WORKER_QUARANTINED] = {"quarantined", STATE(SPAWNING) | STATE(BACKING_OFF)},
};
_Static_assert(array_size(states) == WORKER_STATE_COUNT_, "one row a state");

const char *worker_state_name(enum worker_state state)
{
        return states[state].name;
}

static void set_state(struct supervisor *supervisor, enum worker_state state)
{
        assert(states[supervisor->state].next & (1u << state));
        supervisor->state = state;
        supervisor->spawner_mute = false;
}

static bool is_alive(const struct supervisor *supervisor)
{
        return supervisor->state == WORKER_GREETING || supervisor->state == WORKER_PRIMING ||
               supervisor->state == WORKER_SERVING;
}

static void on_timer(uv_timer_t *timer);

static void set_timer(struct supervisor *supervisor, uint64_t ms)
{
        uv_timer_start(&supervisor->timer, on_timer, ms, 0);
}

int supervisor_init(struct supervisor *supervisor, uv_loop_t *loop, const char *name, uint32_t device,
                    struct spawner_client *spawner, const struct control_configure *configure,
                    const struct supervisor_ops *ops, void *context)
{
        int r;

        *supervisor = (struct supervisor){.loop = loop,
                                          .ops = ops,
                                          .context = context,
                                          .name = name,
                                          .device = device,
                                          .spawner = spawner,
                                          .configure = *configure,
                                          .pidfd = -1};
        r = uv_timer_init(loop, &supervisor->timer);
        if (r < 0)
                return r;
        supervisor->timer.data = supervisor;
        return 0;
}

/* ---- ends ---- */

static void close_lanes(struct supervisor *supervisor)
{
        for (unsigned i = 0; i < supervisor->n_lanes; i++)
                fd_duplex_close(&supervisor->lanes[i]);
        supervisor->n_lanes = 0;
}

static void exit_watch_closed(uv_handle_t *handle)
{
        free(handle);
}

static void drop_exit_watch(struct supervisor *supervisor)
{
        if (supervisor->exit_watch)
                uv_close((uv_handle_t *)supervisor->exit_watch, exit_watch_closed);
        supervisor->exit_watch = NULL;
        cleanup_close(&supervisor->pidfd);
        supervisor->pidfd = -1;
}

static void send_kill(struct supervisor *supervisor)
{
        if (syscall(SYS_pidfd_send_signal, supervisor->pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
                log_error("worker cannot be killed dev=%s pid=%u errno=%d", supervisor->name, supervisor->pid,
                          errno);
}

/* It has completed something, or has waited for long and was given nothing. */
static bool was_useful(const struct supervisor *supervisor)
{
        return supervisor->ops->completed(supervisor->context) > 0 ||
               (uv_now(supervisor->loop) - supervisor->serving_ms >= LIMIT_SETTLED_MS &&
                supervisor->ops->idle(supervisor->context));
}

/* Lets go of a worker that is alive, kills it, and waits for its pidfd. */
static void put_down(struct supervisor *supervisor)
{
        bool served = supervisor->state == WORKER_SERVING;
        bool greeted = served || supervisor->state == WORKER_PRIMING;

        if (served && was_useful(supervisor))
                restart_policy_clear(&supervisor->policy);
        set_state(supervisor, WORKER_DYING);
        send_kill(supervisor); /* first: to close a pipe is to wait for who is inside a call on it */
        /* Lanes before the link: what waits for an answer of the link lets them go on when the link ends. */
        if (served)
                supervisor->ops->lost(supervisor->context);
        if (greeted && supervisor->ops->ended)
                supervisor->ops->ended(supervisor->context);
        supervisor->link = worker_link_free(supervisor->link);
        close_lanes(supervisor);
        set_timer(supervisor, LIMIT_KILL_MS);
}

void supervisor_fault(struct supervisor *supervisor, const char *why)
{
        if (!is_alive(supervisor))
                return;
        log_limited(LOG_LEVEL_WARNING, "worker %s: killed dev=%s pid=%u", why, supervisor->name,
                    supervisor->pid);
        supervisor->by_us = false;
        put_down(supervisor);
}

void supervisor_kill_holder(struct supervisor *supervisor)
{
        if (supervisor->pidfd < 0)
                return;
        log_limited(LOG_LEVEL_WARNING, "worker holds a lane: killed dev=%s pid=%u", supervisor->name,
                    supervisor->pid);
        send_kill(supervisor);
}

static void enter_quarantine(struct supervisor *supervisor, const char *why)
{
        uv_timer_stop(&supervisor->timer);
        set_state(supervisor, WORKER_QUARANTINED);
        snprintf(supervisor->why, sizeof(supervisor->why), "%s", why);
        supervisor->ops->failed(supervisor->context, true, why);
}

static void quarantine(struct supervisor *supervisor, const char *why)
{
        log_limited(LOG_LEVEL_ERROR, "device is quarantined: %s dev=%s", why, supervisor->name);
        enter_quarantine(supervisor, why);
}

static void back_off(struct supervisor *supervisor, uint64_t ms)
{
        set_state(supervisor, WORKER_BACKING_OFF);
        set_timer(supervisor, ms);
}

static void start_in(struct supervisor *supervisor, uint64_t wait_ms)
{
        if (wait_ms == 0)
                supervisor_start(supervisor);
        else
                back_off(supervisor, wait_ms);
}

static void start_after_reset(struct supervisor *supervisor)
{
        supervisor->by_us = supervisor->renewed = false;
        start_in(supervisor, restart_policy_reset(&supervisor->policy, uv_now(supervisor->loop)));
}

/* As often as resets at most: a peer that comes and goes must not make us fork as fast as it can. */
static void start_renewed(struct supervisor *supervisor)
{
        supervisor->renewed = false;
        start_in(supervisor, restart_policy_reset(&supervisor->policy, uv_now(supervisor->loop)));
}

/* The process is gone and reaped, or never was: what now? */
static void next_incarnation(struct supervisor *supervisor)
{
        bool existed = supervisor->state != WORKER_SPAWNING;
        uint64_t wait_ms;

        if (supervisor->by_us)
                start_after_reset(supervisor);
        else if (supervisor->condemned)
                quarantine(supervisor, supervisor->condemned);
        else if (supervisor->renewed)
                start_renewed(supervisor);
        else if (restart_policy_died(&supervisor->policy, uv_now(supervisor->loop), existed, &wait_ms))
                start_in(supervisor, wait_ms);
        else
                quarantine(supervisor, "its worker keeps dying without completing a request");
}

void supervisor_condemn(struct supervisor *supervisor, const char *why)
{
        supervisor->condemned = why;
}

bool supervisor_reset(struct supervisor *supervisor)
{
        if (supervisor->state == WORKER_SERVING && !supervisor->told)
                return false; /* and what it has saved is its own, from before any guest */
        supervisor->state_len = 0;
        supervisor->condemned = NULL;
        if (supervisor->state == WORKER_QUARANTINED) {
                restart_policy_clear(&supervisor->policy);
                start_after_reset(supervisor);
                return true;
        }
        if (!is_alive(supervisor))
                return true;
        if (!supervisor->told)
                return false;
        supervisor->by_us = true;
        put_down(supervisor);
        return true;
}

void supervisor_renew(struct supervisor *supervisor)
{
        if (!is_alive(supervisor))
                return;
        supervisor->by_us = false;
        supervisor->renewed = true;
        put_down(supervisor);
}

/* When it is known how it died and settled what comes next; or nobody is left who could tell. */
static void report_death(struct supervisor *supervisor)
{
        char next[64] = "its device has a new one";
        bool crash;

        if (!supervisor->death.gone || (!supervisor->death.told && spawner_client_alive(supervisor->spawner)))
                return;
        if (!spawner_client_alive(supervisor->spawner))
                snprintf(next, sizeof(next), "nobody can restart it");
        else if (supervisor->state == WORKER_SPAWNING)
                snprintf(next, sizeof(next), "it is restarted at once");
        else if (supervisor->state == WORKER_BACKING_OFF)
                snprintf(next, sizeof(next), "it is restarted in %llu ms",
                         (unsigned long long)uv_timer_get_due_in(&supervisor->timer));
        else if (supervisor->state == WORKER_QUARANTINED)
                snprintf(next, sizeof(next), "its device is quarantined");
        crash = worker_death_is_crash(&supervisor->death);
        worker_death_log(&supervisor->death, supervisor->name, device_types[supervisor->configure.type].name,
                         next);
        if (crash)
                worker_output_show_tail(supervisor->output);
        supervisor->output = worker_output_free(supervisor->output);
}

static void on_exit_ready(uv_poll_t *poll, int status, int events)
{
        struct supervisor *supervisor = poll->data;

        (void)status;
        (void)events;
        if (is_alive(supervisor)) {
                supervisor->by_us = false;
                put_down(supervisor);
        }
        uv_timer_stop(&supervisor->timer);
        drop_exit_watch(supervisor);
        supervisor->pid_last = supervisor->pid;
        supervisor->pid = 0;
        if (!supervisor->by_us)
                supervisor->restarts++;
        worker_output_end(supervisor->output);
        worker_death_gone(&supervisor->death, supervisor->pid_last, supervisor->by_us || supervisor->renewed);
        supervisor->death.renewed = supervisor->renewed;
        spawner_client_reap(supervisor->spawner, supervisor->device);
        next_incarnation(supervisor);
        report_death(supervisor);
}

static int watch_exit(struct supervisor *supervisor);

/* Once more: its exit may not be watched yet, for want of memory. */
static void still_dying(struct supervisor *supervisor)
{
        log_limited(LOG_LEVEL_ERROR,
                    "worker does not die: it, or the spawner that traces it, is stuck; the device is down "
                    "dev=%s pid=%u",
                    supervisor->name, supervisor->pid);
        if (!supervisor->exit_watch)
                (void)watch_exit(supervisor);
        send_kill(supervisor);
        set_timer(supervisor, LIMIT_KILL_MS);
}

static void ask_spawner(struct supervisor *supervisor)
{
        supervisor->asked = spawner_client_spawn(supervisor->spawner, supervisor->device) == 0;
}

/* It may be stopped, or stuck in the kernel on a file of ours. A late answer is as good as one in time; until
 * then nobody is left waiting for a worker. */
static void spawner_is_late(struct supervisor *supervisor)
{
        static const char why[] = "the spawner does not answer";

        if (!spawner_client_alive(supervisor->spawner)) {
                quarantine(supervisor, "the spawner is gone");
                return;
        }
        log_limited(LOG_LEVEL_ERROR, "%s: no worker can be started until it does dev=%s", why,
                    supervisor->name);
        if (!supervisor->asked)
                ask_spawner(supervisor);
        set_timer(supervisor, LIMIT_SPAWN_MS);
        supervisor->spawner_mute = true;
        supervisor->ops->failed(supervisor->context, false, why);
}

static void on_timer(uv_timer_t *timer)
{
        struct supervisor *supervisor = timer->data;

        switch (supervisor->state) {
        case WORKER_SPAWNING:
                spawner_is_late(supervisor);
                break;
        case WORKER_GREETING:
                supervisor_fault(supervisor, "said no Hello in time");
                break;
        case WORKER_PRIMING:
        case WORKER_SERVING:
                if (worker_link_pending(supervisor->link) > 0 || supervisor->state == WORKER_PRIMING)
                        supervisor_fault(supervisor, "does not answer on its control channel");
                break;
        case WORKER_DYING:
                still_dying(supervisor);
                break;
        case WORKER_BACKING_OFF:
                supervisor_start(supervisor);
                break;
        case WORKER_ABSENT:
        case WORKER_QUARANTINED:
        case WORKER_STATE_COUNT_:
                break;
        }
}

/* ---- the way up ---- */

void supervisor_start(struct supervisor *supervisor)
{
        set_state(supervisor, WORKER_SPAWNING);
        restart_policy_started(&supervisor->policy, uv_now(supervisor->loop));
        ask_spawner(supervisor);
        set_timer(supervisor, supervisor->asked ? LIMIT_SPAWN_MS : 0);
}

static int watch_exit(struct supervisor *supervisor)
{
        uv_poll_t *watch = calloc(1, sizeof(*watch));
        int r;

        if (!watch)
                return -ENOMEM;
        r = uv_poll_init(supervisor->loop, watch, supervisor->pidfd);
        if (r < 0) {
                free(watch);
                return r;
        }
        watch->data = supervisor;
        supervisor->exit_watch = watch;
        return uv_poll_start(watch, UV_READABLE, on_exit_ready);
}

static int on_message(void *context, const struct control_to_broker *message);
static void on_link_fault(void *context, const char *why);
static void on_logs_dropped(void *context, uint32_t n);

static const struct worker_link_ops link_ops = {
    .message = on_message, .fault = on_link_fault, .logs_dropped = on_logs_dropped};

/* Only who has a region of files may hand any over. */
static enum worker_link_maps maps_of(const struct control_configure *configure)
{
        enum worker_link_maps maps = WORKER_LINK_NO_MAPS;

        for (uint32_t i = 0; i < configure->n_regions; i++)
                if (configure->regions[i].granule > 0)
                        return WORKER_LINK_MAPS_OF_GUEST;
                else if (configure->regions[i].source == REGION_FILES)
                        maps = WORKER_LINK_MAPS;
        return maps;
}

static int greet(struct supervisor *supervisor, struct spawned_worker *worker)
{
        int fds[LIMIT_SHMEM_REGIONS], n = 0, r;

        if (supervisor->ops->memory)
                n = supervisor->ops->memory(supervisor->context, fds);
        if (n < 0)
                return n;
        r = worker_link_new(supervisor->loop, worker->control_fd, maps_of(&supervisor->configure), &link_ops,
                            supervisor, &supervisor->link);
        if (r < 0)
                return r;
        worker->control_fd = -1;
        return worker_link_configure(supervisor->link, &supervisor->configure, fds, (unsigned)n);
}

static int watch_output(struct supervisor *supervisor, struct spawned_worker *worker)
{
        int r;

        supervisor->output = worker_output_free(supervisor->output);
        r = worker_output_new(supervisor->loop, worker->output_fd, supervisor->name, worker->pid,
                              &supervisor->output_quota, &supervisor->output);
        if (r == 0)
                worker->output_fd = -1;
        return r;
}

void supervisor_spawned(struct supervisor *supervisor, struct spawned_worker *worker)
{
        int r;

        if (supervisor->state != WORKER_SPAWNING)
                return; /* closing: the spawner kills it with us */
        supervisor->pid = worker->pid;
        supervisor->uid = worker->uid;
        supervisor->pidfd = take_fd(&worker->pidfd);
        supervisor->told = false;
        supervisor->n_lanes = worker->n_lanes;
        for (unsigned i = 0; i < worker->n_lanes; i++)
                supervisor->lanes[i] = fd_duplex_take(&worker->lanes[i]);
        set_state(supervisor, WORKER_GREETING);
        set_timer(supervisor, LIMIT_HELLO_MS);
        r = watch_exit(supervisor);
        if (r == 0)
                r = watch_output(supervisor, worker);
        if (r == 0)
                r = greet(supervisor, worker);
        if (r < 0)
                supervisor_fault(supervisor, "could not be greeted");
}

/* Is it worth asking again? At first the configuration may be wrong, and then one message is enough. */
static bool may_pass(int error)
{
        return error == -EBUSY || error == -EAGAIN || error == -ENOMEM;
}

void supervisor_spawn_failed(struct supervisor *supervisor, int error, const char *reason)
{
        char safe[256];

        if (supervisor->state != WORKER_SPAWNING)
                return;
        log_escape(reason, strlen(reason), safe, sizeof(safe));
        log_limited(LOG_LEVEL_ERROR, "worker cannot be started: %s dev=%s", safe, supervisor->name);
        supervisor->by_us = false;
        if (!supervisor->greeted && !may_pass(error)) {
                enter_quarantine(supervisor, safe);
                return;
        }
        supervisor->ops->failed(supervisor->context, false, safe);
        if (supervisor->state == WORKER_SPAWNING)
                next_incarnation(supervisor);
}

/* All that the new worker must know has been told; when it has understood, the lanes may send. */
void supervisor_try_serving(struct supervisor *supervisor)
{
        if (supervisor->state != WORKER_PRIMING || worker_link_pending(supervisor->link) > 0)
                return;
        if (supervisor->ops->primed && !supervisor->ops->primed(supervisor->context))
                return;
        set_state(supervisor, WORKER_SERVING);
        uv_timer_stop(&supervisor->timer);
        supervisor->serving_ms = uv_now(supervisor->loop);
        supervisor->ops->serving(supervisor->context, supervisor->lanes, supervisor->n_lanes);
        close_lanes(supervisor);
}

static void on_primed(void *context, int error)
{
        struct supervisor *supervisor = context;

        if (error == -ECANCELED)
                return;
        if (error < 0)
                supervisor_fault(supervisor, "refused what it must know to go on");
        else
                supervisor_try_serving(supervisor);
}

static void prime(struct supervisor *supervisor)
{
        supervisor->greeted = true;
        set_state(supervisor, WORKER_PRIMING);
        set_timer(supervisor, LIMIT_CONTROL_MS);
        supervisor->ops->prime(supervisor->context);
        supervisor_try_serving(supervisor);
}

void supervisor_send_state(struct supervisor *supervisor)
{
        const struct control_to_worker message = {
            .kind = CONTROL_RESTORE_STATE,
            .restore_state = {.bytes = supervisor->state_blob, .len = supervisor->state_len}};

        if (supervisor->state_len > 0)
                supervisor_send(supervisor, &message, NULL, NULL);
}

static int supervisor_say(struct supervisor *supervisor, const struct control_to_worker *message,
                          worker_link_done done, void *context)
{
        int r = worker_link_send(supervisor->link, message, done, context);

        if (r < 0)
                supervisor_fault(supervisor, "does not read its control channel");
        else if (supervisor->ops->said)
                supervisor->ops->said(supervisor->context);
        return r;
}

int supervisor_send(struct supervisor *supervisor, const struct control_to_worker *message,
                    worker_link_done done, void *context)
{
        int r;

        if (supervisor->state != WORKER_PRIMING && supervisor->state != WORKER_SERVING)
                return -ENOTCONN;
        supervisor->told |= message->kind != CONTROL_SET; /* that is nothing of the guest's */
        if (supervisor->state == WORKER_PRIMING && !done) {
                done = on_primed;
                context = supervisor;
        }
        r = supervisor_say(supervisor, message, done, context);
        if (r == 0)
                set_timer(supervisor, LIMIT_CONTROL_MS);
        return r;
}

int supervisor_tell(struct supervisor *supervisor, const struct control_to_worker *message)
{
        if (supervisor->state != WORKER_PRIMING && supervisor->state != WORKER_SERVING)
                return -ENOTCONN;
        return supervisor_say(supervisor, message, NULL, NULL);
}

void supervisor_touched(struct supervisor *supervisor)
{
        supervisor->told = true;
}

/* ---- messages ---- */

static int on_hello(struct supervisor *supervisor, const struct control_hello *hello)
{
        int r;

        if (supervisor->state != WORKER_GREETING)
                return -EPROTO;
        r = supervisor->ops->hello(supervisor->context, hello);
        if (r < 0)
                return r;
        prime(supervisor);
        return 0;
}

static int on_message(void *context, const struct control_to_broker *message)
{
        struct supervisor *supervisor = context;

        switch (message->kind) {
        case CONTROL_HELLO:
                return on_hello(supervisor, &message->hello);
        case CONTROL_CONFIG_SPACE:
                if (supervisor->state != WORKER_PRIMING && supervisor->state != WORKER_SERVING)
                        return -EPROTO;
                return supervisor->ops->config_space(supervisor->context, message->config_space.value,
                                                     message->config_space.n);
        case CONTROL_PUT_STATE:
                if (supervisor->state != WORKER_PRIMING && supervisor->state != WORKER_SERVING)
                        return -EPROTO;
                memcpy(supervisor->state_blob, message->put_state.bytes, message->put_state.len);
                supervisor->state_len = message->put_state.len;
                return 0;
        case CONTROL_SHMEM_MAP:
        case CONTROL_SHMEM_UNMAP:
                if (!supervisor->ops->shmem ||
                    (supervisor->state != WORKER_PRIMING && supervisor->state != WORKER_SERVING))
                        return -EPROTO;
                return supervisor->ops->shmem(supervisor->context, message);
        case CONTROL_IOMMU_MAP:
        case CONTROL_IOMMU_UNMAP:
                if (!supervisor->ops->iommu ||
                    (supervisor->state != WORKER_PRIMING && supervisor->state != WORKER_SERVING))
                        return -EPROTO;
                return supervisor->ops->iommu(supervisor->context, message);
        case CONTROL_LOG:
                worker_output_log(supervisor->output, message->log.level, message->log.text);
                return 0;
        case CONTROL_STATS:
                if (supervisor->state != WORKER_PRIMING && supervisor->state != WORKER_SERVING)
                        return -EPROTO;
                return supervisor->ops->counted(supervisor->context, message->stats.counter,
                                                message->stats.n);
        case CONTROL_DONE:
        case CONTROL_BOOTED: /* no device boots anything */
        case CONTROL_BOOT_FAILED:
        case CONTROL_TO_BROKER_COUNT_:
                break;
        }
        return -EPROTO;
}

static void on_link_fault(void *context, const char *why)
{
        supervisor_fault(context, why);
}

static void on_logs_dropped(void *context, uint32_t n)
{
        const struct supervisor *supervisor = context;

        log_limited(LOG_LEVEL_INFO, "worker logs more than it may: %u lines dropped dev=%s pid=%u", n,
                    supervisor->name, supervisor->pid);
}

void supervisor_exited(struct supervisor *supervisor, const struct spawn_to_broker *exited)
{
        if (exited->pid != supervisor->pid && exited->pid != supervisor->pid_last)
                return;
        worker_death_told(&supervisor->death, exited);
        report_death(supervisor);
}

void supervisor_spawner_gone(struct supervisor *supervisor)
{
        if (supervisor->state == WORKER_SPAWNING || supervisor->state == WORKER_BACKING_OFF)
                quarantine(supervisor, "the spawner is gone");
        report_death(supervisor);
}

static void timer_closed(uv_handle_t *handle)
{
        struct supervisor *supervisor = handle->data;

        supervisor->closed(supervisor->context);
}

void supervisor_close(struct supervisor *supervisor, void (*closed)(void *context))
{
        supervisor->closed = closed;
        supervisor->link = worker_link_free(supervisor->link);
        if (supervisor->pidfd >= 0)
                send_kill(supervisor);
        close_lanes(supervisor);
        drop_exit_watch(supervisor);
        supervisor->output = worker_output_free(supervisor->output);
        supervisor->state = WORKER_ABSENT;
        uv_close((uv_handle_t *)&supervisor->timer, timer_closed);
}
