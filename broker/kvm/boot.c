/* How a VM gets its kernel.
 * Owns the loader's pidfd, channels and handles; frees itself in the last close callback. Called by the front end. TRUST:
 * control messages come judged in form by worker_link.c, MemWrites are judged by boot_lane.c; what they say is judged here.
 *
 * Why it is killed for its last word: only a process that is gone can write no more, and its pidfd says so. What it wrote
 * before lies in its lane until then, and is taken to its end before the owner hears of anything.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/boot.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/core/worker_death.h"
#include "broker/core/worker_link.h"
#include "broker/core/worker_output.h"
#include "broker/kvm/boot_lane.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/vm_config.h"

enum boot_state {
        BOOT_SPAWNING = 0,
        BOOT_GREETING,
        BOOT_LOADING,
        BOOT_DYING,
        BOOT_OVER,
        BOOT_STATE_COUNT_,
};

#define STATE(s) (1u << BOOT_##s)

static const uint32_t next_states[BOOT_STATE_COUNT_] = {
    [BOOT_SPAWNING] = STATE(GREETING) | STATE(OVER),
    [BOOT_GREETING] = STATE(LOADING) | STATE(DYING),
    [BOOT_LOADING] = STATE(DYING),
    [BOOT_DYING] = STATE(OVER),
};

struct boot {
        struct boot_start start;
        struct boot_options options;
        enum boot_state state;
        uv_timer_t timer;
        uv_poll_t exit_watch, lane_watch;
        unsigned n_handles; /* that are not closed yet */
        int pidfd;
        struct fd_duplex ends; /* of its lane */
        uint32_t pid;
        struct worker_link *link;
        struct worker_output *output;
        struct worker_output_quota output_quota;
        struct worker_death death;
        struct boot_lane lane;
        bool spoken; /* it has said its last word: how it dies is no news */
        bool booted; /* ... and it was Booted, judged */
        bool freed;
        struct boot_done done;        /* if booted */
        char why[LIMIT_LOG_LINE / 2]; /* if not: safe to print */
};

static void set_state(struct boot *boot, enum boot_state state)
{
        assert(next_states[boot->state] & (1u << state));
        boot->state = state;
}

static bool is_alive(const struct boot *boot)
{
        return boot->state == BOOT_GREETING || boot->state == BOOT_LOADING;
}

static void on_timer(uv_timer_t *timer);

static void set_timer(struct boot *boot, uint64_t ms)
{
        uv_timer_start(&boot->timer, on_timer, ms, 0);
}

static void say_why(struct boot *boot, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say_why(struct boot *boot, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vsnprintf(boot->why, sizeof(boot->why), format, args);
        va_end(args);
}

/* ---- ends ---- */

/* A watch that was never begun has no data. */
static void stop_watch(uv_poll_t *watch)
{
        if (watch->data)
                uv_poll_stop(watch);
}

static void close_lane(struct boot *boot)
{
        if (boot->ends.in < 0)
                return;
        stop_watch(&boot->lane_watch);
        fd_duplex_close(&boot->ends);
        boot_lane_done(&boot->lane);
}

static void drop_pidfd(struct boot *boot)
{
        if (boot->pidfd < 0)
                return;
        stop_watch(&boot->exit_watch);
        cleanup_close(&boot->pidfd);
        boot->pidfd = -1;
}

static void log_booted(const struct boot *boot)
{
        log_info("loaded kernel %.1f MiB, initrd %.1f MiB vm=%s", (double)boot->done.kernel_len / (1u << 20),
                 (double)boot->done.initrd_len / (1u << 20), boot->start.name);
}

/* The last thing: the owner may free us inside. */
static void end(struct boot *boot)
{
        set_state(boot, BOOT_OVER);
        uv_timer_stop(&boot->timer);
        close_lane(boot);
        boot->output = worker_output_free(boot->output);
        if (boot->booted)
                log_booted(boot);
        if (boot->booted)
                boot->start.booted(boot->start.context, &boot->done.entry);
        else
                boot->start.failed(boot->start.context, boot->why);
}

static void send_kill(const struct boot *boot)
{
        if (syscall(SYS_pidfd_send_signal, boot->pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
                log_error("loader cannot be killed pid=%u errno=%d", boot->pid, errno);
}

/* From here on only the pidfd leads on. */
static void put_down(struct boot *boot)
{
        set_state(boot, BOOT_DYING);
        boot->link = worker_link_free(boot->link);
        stop_watch(&boot->lane_watch);
        send_kill(boot);
        set_timer(boot, LIMIT_KILL_MS);
}

static void fault(struct boot *boot, const char *why)
{
        if (!is_alive(boot))
                return;
        say_why(boot, "the kernel's loader %s and was killed: try another kernel", why);
        put_down(boot);
}

/* What it wrote before its last word, up to the end that its death has put there. */
static void take_the_rest(struct boot *boot)
{
        const char *why;
        int r;

        do
                r = boot_lane_run(&boot->lane, &why);
        while (r == 1);
        if ((r == 0 || r == -EPIPE) && boot_lane_is_whole(&boot->lane))
                return;
        boot->booted = false;
        say_why(boot, "the kernel's loader %s: try another kernel",
                r < 0 && r != -EPIPE ? why : "wrote on after its end");
}

/* It has died of something else than our kill: that is the reason, and what we saw of it (a hang-up) its effect. */
static bool died_by_itself(const struct boot *boot)
{
        const struct spawn_to_broker *exit = &boot->death.exit;

        return boot->death.told && (!exit->signaled || exit->code != SIGKILL || exit->cause.oom ||
                                    exit->cause.breach != SPAWN_BREACH_NONE);
}

/* After its pidfd; when the spawner has told how it died, or need not. */
static void end_dead(struct boot *boot)
{
        char text[LIMIT_LOG_LINE / 4];

        if (!boot->spoken && (died_by_itself(boot) || boot->why[0] == '\0')) {
                worker_death_text(&boot->death, device_types[DEVICE_TYPE_LOADER].name, text, sizeof(text));
                say_why(boot, "the kernel's loader %s: try another kernel", text);
                worker_output_show_tail(boot->output);
        }
        end(boot);
}

static void end_if_known(struct boot *boot)
{
        if (boot->spoken || worker_death_known(&boot->death) || !spawner_client_alive(boot->start.spawner))
                end_dead(boot);
        else
                set_timer(boot, LIMIT_KILL_MS);
}

static int watch(struct boot *boot, uv_poll_t *poll, int fd, uv_poll_cb ready);

static void on_exit_ready(uv_poll_t *poll, int status, int events)
{
        struct boot *boot = poll->data;

        (void)status;
        (void)events;
        drop_pidfd(boot);
        uv_timer_stop(&boot->timer);
        if (is_alive(boot)) { /* unasked */
                set_state(boot, BOOT_DYING);
                boot->link = worker_link_free(boot->link);
        }
        worker_output_end(boot->output);
        worker_death_gone(&boot->death, boot->pid, boot->spoken);
        spawner_client_reap(boot->start.spawner, boot->start.index);
        if (boot->booted)
                take_the_rest(boot);
        end_if_known(boot);
}

/* It is not gone, or the spawner does not say how it went. Its exit may not be watched yet, for want of memory. */
static void dying_for_long(struct boot *boot)
{
        if (boot->pidfd < 0) {
                end_dead(boot);
                return;
        }
        log_error("the kernel's loader does not die pid=%u", boot->pid);
        if (!boot->exit_watch.data)
                (void)watch(boot, &boot->exit_watch, boot->pidfd, on_exit_ready);
        send_kill(boot);
        set_timer(boot, LIMIT_KILL_MS);
}

static void on_timer(uv_timer_t *timer)
{
        struct boot *boot = timer->data;

        switch (boot->state) {
        case BOOT_SPAWNING:
                say_why(boot, "the kernel's loader cannot be started: the spawner does not answer");
                end(boot);
                break;
        case BOOT_GREETING:
                fault(boot, "said no Hello in time");
                break;
        case BOOT_LOADING:
                fault(boot, "has not loaded the kernel in time (is its disk slow?)");
                break;
        case BOOT_DYING:
                dying_for_long(boot);
                break;
        case BOOT_OVER:
        case BOOT_STATE_COUNT_:
                break;
        }
}

/* ---- what it says ---- */

static bool in_ram(const struct boot_options *options, uint64_t address)
{
        for (uint32_t i = 0; i < options->n_ram; i++)
                if (address >= options->ram[i].start && address - options->ram[i].start < options->ram[i].len)
                        return true;
        return false;
}

static bool mode_ok(const struct boot_options *options, enum kvm_boot_mode mode)
{
        return (options->arch == BOOT_ARCH_ARM64) == (mode == KVM_BOOT_ARM64);
}

static void on_lane_ready(uv_poll_t *poll, int status, int events);

/* What it has written earlier waits until here. */
static int on_hello(struct boot *boot, const struct control_hello *hello)
{
        if (boot->state != BOOT_GREETING || hello->device_type != 0)
                return -EPROTO;
        set_state(boot, BOOT_LOADING);
        set_timer(boot, LIMIT_BOOT_MS);
        return watch(boot, &boot->lane_watch, boot->ends.in, on_lane_ready);
}

static int on_booted(struct boot *boot, const struct boot_done *done)
{
        if (boot->state != BOOT_LOADING || !mode_ok(&boot->options, done->entry.mode) ||
            !in_ram(&boot->options, done->entry.entry) || !in_ram(&boot->options, done->entry.arg))
                return -EPROTO;
        boot->spoken = boot->booted = true;
        boot->done = *done;
        put_down(boot);
        return 0;
}

static int on_refused(struct boot *boot, const char *reason)
{
        char safe[LIMIT_LOG_LINE / 2];

        if (boot->state != BOOT_LOADING)
                return -EPROTO;
        boot->spoken = true;
        say_why(boot, "%s", log_escape(reason, strlen(reason), safe, sizeof(safe)));
        put_down(boot);
        return 0;
}

static int on_message(void *context, const struct control_to_broker *message)
{
        struct boot *boot = context;

        switch (message->kind) {
        case CONTROL_HELLO:
                return on_hello(boot, &message->hello);
        case CONTROL_BOOTED:
                return on_booted(boot, &message->booted);
        case CONTROL_BOOT_FAILED:
                return on_refused(boot, message->boot_failed.reason);
        case CONTROL_LOG:
                worker_output_log(boot->output, message->log.level, message->log.text);
                return 0;
        case CONTROL_DONE:
        case CONTROL_CONFIG_SPACE:
        case CONTROL_PUT_STATE:
        case CONTROL_STATS:
        case CONTROL_SHMEM_MAP:
        case CONTROL_SHMEM_UNMAP:
        case CONTROL_IOMMU_MAP:
        case CONTROL_IOMMU_UNMAP:
        case CONTROL_TO_BROKER_COUNT_:
                break;
        }
        return -EPROTO;
}

static void on_link_fault(void *context, const char *why)
{
        fault(context, why);
}

static const struct worker_link_ops link_ops = {.message = on_message, .fault = on_link_fault};

static void on_lane_ready(uv_poll_t *poll, int status, int events)
{
        struct boot *boot = poll->data;
        const char *why = "broke its lane";
        int r = status < 0 ? status : boot_lane_run(&boot->lane, &why);

        (void)events;
        if (r == -EPIPE) {
                stop_watch(&boot->lane_watch); /* its exit says the rest */
                return;
        }
        if (r < 0)
                fault(boot, why);
}

/* ---- the way up ---- */

int boot_new(const struct boot_start *start, struct boot **ret_boot)
{
        struct boot *boot = calloc(1, sizeof(*boot));
        int r;

        if (!boot)
                return -ENOMEM;
        boot->start = *start;
        boot->options = *start->options;
        boot->start.options = &boot->options;
        boot->pidfd = -1;
        boot->ends = (struct fd_duplex){-1, -1};
        r = uv_timer_init(start->loop, &boot->timer);
        if (r == 0)
                r = spawner_client_spawn(start->spawner, start->index);
        if (r < 0) {
                free(boot);
                return r;
        }
        boot->start.memory = guest_memory_ref(start->memory);
        boot->timer.data = boot;
        boot->n_handles = 1;
        set_timer(boot, LIMIT_SPAWN_MS);
        *ret_boot = boot;
        return 0;
}

static int watch(struct boot *boot, uv_poll_t *poll, int fd, uv_poll_cb ready)
{
        int r = uv_poll_init(boot->start.loop, poll, fd);

        if (r < 0)
                return r;
        boot->n_handles++;
        poll->data = boot;
        return uv_poll_start(poll, UV_READABLE, ready);
}

static int greet(struct boot *boot, struct spawned_worker *worker)
{
        struct control_to_worker message = {.kind = CONTROL_CONFIGURE,
                                            .configure = {.name = VM_CONFIG_LOADER,
                                                          .n_lanes = 1,
                                                          .max_payload = LIMIT_FRAME_PAYLOAD,
                                                          .type = DEVICE_TYPE_LOADER,
                                                          .boot = boot->options}};
        int r = worker_output_new(boot->start.loop, worker->output_fd, VM_CONFIG_LOADER, worker->pid,
                                  &boot->output_quota, &boot->output);

        if (r < 0)
                return r;
        worker->output_fd = -1;
        r = worker_link_new(boot->start.loop, worker->control_fd, WORKER_LINK_NO_MAPS, &link_ops, boot,
                            &boot->link);
        if (r < 0)
                return r;
        worker->control_fd = -1;
        return worker_link_send(boot->link, &message, NULL, NULL);
}

void boot_spawned(struct boot *boot, struct spawned_worker *worker)
{
        int r;

        if (boot->state != BOOT_SPAWNING || boot->freed || worker->n_lanes != 1)
                return; /* too late: it ends with its channels */
        boot->pid = worker->pid;
        boot->pidfd = take_fd(&worker->pidfd);
        boot->ends = fd_duplex_take(&worker->lanes[0]);
        fd_set_nonblock(boot->ends.in);
        set_state(boot, BOOT_GREETING);
        set_timer(boot, LIMIT_HELLO_MS);
        r = boot_lane_init(&boot->lane, boot->ends.in, &boot->options, boot->start.memory);
        if (r == 0)
                r = watch(boot, &boot->exit_watch, boot->pidfd, on_exit_ready);
        if (r == 0)
                r = greet(boot, worker);
        if (r < 0)
                fault(boot, "could not be greeted");
}

void boot_spawn_failed(struct boot *boot, const char *reason)
{
        char safe[LIMIT_LOG_LINE / 4];

        if (boot->state != BOOT_SPAWNING || boot->freed)
                return;
        log_escape(reason, strlen(reason), safe, sizeof(safe));
        say_why(boot, "the kernel's loader cannot be started: %s", safe);
        end(boot);
}

void boot_exited(struct boot *boot, const struct spawn_to_broker *exited)
{
        if (boot->state == BOOT_OVER || boot->freed || exited->pid != boot->pid)
                return;
        worker_death_told(&boot->death, exited);
        if (boot->state == BOOT_DYING && boot->pidfd < 0)
                end_if_known(boot);
}

void boot_spawner_gone(struct boot *boot)
{
        if (boot->freed)
                return;
        if (boot->state == BOOT_SPAWNING) {
                say_why(boot, "the kernel's loader cannot be started: the spawner is gone");
                end(boot);
        } else if (boot->state == BOOT_DYING && boot->pidfd < 0) {
                end_if_known(boot);
        }
}

uint64_t boot_loaded(const struct boot *boot)
{
        return boot->lane.loaded;
}

static void on_closed(uv_handle_t *handle)
{
        struct boot *boot = handle->data;

        if (--boot->n_handles > 0)
                return;
        guest_memory_unref(boot->start.memory);
        free(boot);
}

struct boot *boot_free(struct boot *boot)
{
        if (!boot || boot->freed)
                return NULL;
        boot->freed = true;
        if (boot->pidfd >= 0)
                send_kill(boot);
        boot->link = worker_link_free(boot->link);
        boot->output = worker_output_free(boot->output);
        close_lane(boot);
        drop_pidfd(boot);
        if (boot->exit_watch.data)
                uv_close((uv_handle_t *)&boot->exit_watch, on_closed);
        if (boot->lane_watch.data)
                uv_close((uv_handle_t *)&boot->lane_watch, on_closed);
        uv_close((uv_handle_t *)&boot->timer, on_closed);
        return NULL;
}
