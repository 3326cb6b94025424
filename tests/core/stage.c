/* Devices on a stage. Owns everything of it; called by fuzz targets. TRUST: it plays the workers, whose words are
 * the fuzzer's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/stage.h"
#include "tests/harness/blk_set.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/core/lane_thread.h"
#include "broker/core/supervisor.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"
#include "proto/frame.h"

#define STAGE_TIMERS 16u
#define STAGE_LANES  (2u * STAGE_DEVICES)

static struct stage *the_stage; /* for what libuv and the supervisor call */

/* ---- the clock ---- */

static struct {
        uint64_t now;
        struct {
                uv_timer_t *timer; /* NULL: free */
                uv_timer_cb callback;
                uint64_t due;
        } rows[STAGE_TIMERS];
} timers;

int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t ms, uint64_t repeat);
int __wrap_uv_timer_stop(uv_timer_t *timer);
uint64_t __wrap_uv_now(const uv_loop_t *loop);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

int __wrap_uv_timer_stop(uv_timer_t *timer)
{
        for (unsigned i = 0; i < STAGE_TIMERS; i++)
                if (timers.rows[i].timer == timer)
                        timers.rows[i].timer = NULL;
        return 0;
}

int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t ms, uint64_t repeat)
{
        assert(repeat == 0);
        __wrap_uv_timer_stop(timer);
        for (unsigned i = 0; i < STAGE_TIMERS; i++) {
                if (timers.rows[i].timer)
                        continue;
                timers.rows[i].timer = timer;
                timers.rows[i].callback = callback;
                timers.rows[i].due = timers.now + ms;
                return 0;
        }
        abort();
}

uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
        (void)loop;
        return timers.now;
}

/* The one that is due first, until `end`. */
static int timer_next(uint64_t end)
{
        int first = -1;

        for (int i = 0; i < (int)STAGE_TIMERS; i++)
                if (timers.rows[i].timer && timers.rows[i].due <= end &&
                    (first < 0 || timers.rows[i].due < timers.rows[first].due))
                        first = i;
        return first;
}

void stage_sleep(struct stage *stage, uint64_t ms)
{
        uint64_t end = timers.now + ms;
        int i;

        for (unsigned n = 0; n < 64 && (i = timer_next(end)) >= 0; n++) {
                uv_timer_t *timer = timers.rows[i].timer;

                timers.now = MAX(timers.now, timers.rows[i].due);
                timers.rows[i].timer = NULL;
                timers.rows[i].callback(timer);
                stage_turn(stage);
        }
        timers.now = end;
}

/* ---- processes ---- */

/* Only a kill by pidfd is played. */
long __wrap_syscall(long number, ...)
{
        long a[6];
        va_list args;

        va_start(args, number);
        for (unsigned i = 0; i < 6; i++)
                a[i] = va_arg(args, long);
        va_end(args);
        if (number != SYS_pidfd_send_signal)
                return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
        assert((int)a[1] == SIGKILL);
        for (unsigned i = 0; i < STAGE_DEVICES; i++)
                if (the_stage->worker[i].running && the_stage->worker[i].pidfd == (int)a[0])
                        the_stage->worker[i].killed = true;
        return 0;
}

void stage_exit(struct stage *stage, unsigned device)
{
        struct stage_worker *worker = &stage->worker[device];
        uint64_t one = 1;

        if (!worker->running || worker->exited)
                return;
        worker->exited = true;
        stage_hang_up(stage, device, false);
        stage_hang_up(stage, device, true);
        cleanup_close(&worker->output_fd);
        assert(write(worker->pidfd, &one, sizeof(one)) == sizeof(one));
}

/* A successor is asked for only when its predecessor has ended and was reaped. */
int spawner_client_spawn(struct spawner_client *client, uint32_t device)
{
        struct stage_worker *worker = &the_stage->worker[device];

        (void)client;
        assert(!worker->running && !worker->asked);
        worker->asked = true;
        return 0;
}

int spawner_client_reap(struct spawner_client *client, uint32_t device)
{
        struct stage_worker *worker = &the_stage->worker[device];

        (void)client;
        assert(worker->running && worker->exited);
        worker->running = false;
        return 0;
}

bool spawner_client_alive(const struct spawner_client *client)
{
        (void)client;
        return true;
}

void stage_spawn(struct stage *stage, unsigned device)
{
        struct stage_worker *worker = &stage->worker[device];
        struct spawned_worker spawned = {.pid = 1000 + device, .uid = 2000 + device, .n_lanes = 1};
        struct fd_duplex lane[2];
        int control[2], output[2];

        if (!worker->asked)
                return;
        memset(worker, 0, offsetof(struct stage_worker, control));
        worker->running = true;
        assert(fd_stream_pair(control) == 0 && fd_pipe_pair(lane) == 0);
        for (unsigned i = 0; i < 2; i++) /* all that a script says */
                (void)fcntl(lane[i].out, F_SETPIPE_SZ, 1 << 20);
        assert(pipe2(output, O_CLOEXEC | O_NONBLOCK) == 0);
        spawned.control_fd = control[0];
        spawned.lanes[0] = lane[0];
        spawned.pidfd = worker->pidfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        spawned.output_fd = output[0];
        worker->control_fd = control[1];
        worker->lane_ends = lane[1];
        assert(fd_set_nonblock(control[1]) == 0);
        assert(fd_set_nonblock(lane[1].in) == 0 && fd_set_nonblock(lane[1].out) == 0);
        worker->output_fd = output[1];
        supervisor_spawned(device_supervisor(stage->device[device]), &spawned);
        cleanup_close(&spawned.control_fd);
        fd_duplex_close(&spawned.lanes[0]);
        cleanup_close(&spawned.pidfd);
        cleanup_close(&spawned.output_fd);
}

void stage_refuse_spawn(struct stage *stage, unsigned device, int error)
{
        struct stage_worker *worker = &stage->worker[device];

        if (!worker->asked)
                return;
        worker->asked = false;
        supervisor_spawn_failed(device_supervisor(stage->device[device]), error, "no\x1b reason");
}

/* ---- lanes without threads ---- */

struct lane_thread {
        struct lane lane;
};

static struct lane_thread *lanes[STAGE_LANES];

int lane_thread_new(const struct lane_events *events, const struct control_hello *hello, unsigned first,
                    unsigned step, struct lane_thread **ret_thread)
{
        struct lane_thread *thread = calloc(1, sizeof(*thread));

        assert(thread && lane_init(&thread->lane, events, first, step, hello->n_queues) == 0);
        assert(lane_configure(&thread->lane, hello) == 0);
        for (unsigned i = 0; i < STAGE_LANES; i++) {
                if (lanes[i])
                        continue;
                *ret_thread = lanes[i] = thread;
                return 0;
        }
        abort();
}

struct lane_thread *lane_thread_free(struct lane_thread *thread)
{
        if (!thread)
                return NULL;
        for (unsigned i = 0; i < STAGE_LANES; i++)
                if (lanes[i] == thread)
                        lanes[i] = NULL;
        lane_done(&thread->lane);
        free(thread);
        return NULL;
}

void lane_thread_call(struct lane_thread *thread, void (*call)(struct lane *lane, void *argument),
                      void *argument)
{
        call(&thread->lane, argument);
}

void lane_thread_told(struct lane_thread *thread)
{
        lane_stay_told(&thread->lane);
}

const struct lane_stats *lane_thread_stats(const struct lane_thread *thread)
{
        return &thread->lane.stats;
}

static void lane_events_turn(struct lane *lane)
{
        for (unsigned i = 0; i < lane->n_queues; i++) {
                struct lane_queue *queue = &lane->queues[i];
                uint64_t count;

                if (queue->ring.started && queue->ring.fault == QUEUE_FAULT_NONE && queue->kick_fd >= 0 &&
                    read(queue->kick_fd, &count, sizeof(count)) == sizeof(count))
                        lane_kicked(lane, queue, count);
        }
        lane_readable(lane);
        if (lane_wants_write(lane))
                lane_turn(lane);
}

/* ---- what workers are sent ---- */

static void note_control(struct stage *stage, struct stage_worker *worker, const uint8_t *header, size_t len)
{
        struct control_to_worker message;

        assert(control_check_to_worker(&stage->arena, header, len, &message) == 0);
        if (message.kind == CONTROL_CONFIGURE)
                worker->configured = true;
        else if (message.kind != CONTROL_SHUTDOWN && worker->n_pending < array_size(worker->pending))
                worker->pending[worker->n_pending++] = message.seq;
}

static void note_requests(struct stage_worker *worker, const struct lane_requests *requests)
{
        for (size_t i = 0; i < requests->n; i++) {
                assert(worker->n_held < STAGE_HELD);
                worker->held[worker->n_held].id = requests->id[i];
                worker->held[worker->n_held].readable = requests->readable[i];
                worker->held[worker->n_held++].writable = requests->writable[i];
        }
}

static void note_lane(struct stage *stage, struct stage_worker *worker, const uint8_t *header,
                      const struct frame_head *head)
{
        struct lane_to_worker message;

        assert(lane_check_to_worker(&stage->arena, header, head->header_len, head->payload_len, &message) ==
               0);
        if (message.kind == LANE_REQUESTS) {
                note_requests(worker, &message.requests);
        } else {
                assert(worker->n_unread > 0);
                worker->n_unread--;
        }
}

/* What it reads, or what it writes to. */
static int worker_in(const struct stage_worker *worker, bool lane)
{
        return lane ? worker->lane_ends.in : worker->control_fd;
}

static int worker_out(const struct stage_worker *worker, bool lane)
{
        return lane ? worker->lane_ends.out : worker->control_fd;
}

/* Reads what is there; whole frames are noted. */
static void worker_read(struct stage *stage, struct stage_worker *worker, bool lane)
{
        int fd = worker_in(worker, lane);
        uint8_t *bytes = lane ? worker->lane : worker->control;
        size_t *len = lane ? &worker->lane_len : &worker->control_len;
        size_t size = lane ? sizeof(worker->lane) : sizeof(worker->control), pos = 0;
        struct frame_head head;
        ssize_t n;

        if (fd < 0)
                return;
        n = read(fd, bytes + *len, size - *len);
        *len += n > 0 ? (size_t)n : 0;
        while (*len - pos >= FRAME_HEAD_BYTES) {
                size_t whole;

                assert(frame_head_check(bytes + pos, LIMIT_FRAME_PAYLOAD, &head) == 0);
                whole = FRAME_HEAD_BYTES + (size_t)head.header_len + head.payload_len;
                if (*len - pos < whole)
                        break;
                if (lane)
                        note_lane(stage, worker, bytes + pos + FRAME_HEAD_BYTES, &head);
                else
                        note_control(stage, worker, bytes + pos + FRAME_HEAD_BYTES, head.header_len);
                pos += whole;
        }
        memmove(bytes, bytes + pos, *len - pos);
        *len -= pos;
}

void stage_turn(struct stage *stage)
{
        for (unsigned round = 0; round < 3; round++) {
                uv_run(&stage->loop, UV_RUN_NOWAIT);
                for (unsigned i = 0; i < STAGE_LANES; i++)
                        if (lanes[i])
                                lane_events_turn(&lanes[i]->lane);
                uv_run(&stage->loop, UV_RUN_NOWAIT);
                for (unsigned i = 0; i < STAGE_DEVICES; i++) {
                        if (!stage->worker[i].running)
                                continue;
                        worker_read(stage, &stage->worker[i], false);
                        worker_read(stage, &stage->worker[i], true);
                }
        }
}

/* ---- what workers say ---- */

void stage_say_bytes(struct stage *stage, unsigned device, bool on_lane, const uint8_t *bytes, size_t len)
{
        const struct stage_worker *worker = &stage->worker[device];
        int fd = worker_out(worker, on_lane);

        if (worker->running && fd >= 0)
                (void)!write(fd, bytes, len); /* the broker may have let go */
}

void stage_say(struct stage *stage, unsigned device, const struct control_to_broker *message)
{
        uint8_t frame[FRAME_HEAD_BYTES + 16384];
        ssize_t len =
            control_make_to_broker(message, frame + FRAME_HEAD_BYTES, sizeof(frame) - FRAME_HEAD_BYTES);

        assert(len > 0);
        frame_head_make(&(struct frame_head){.header_len = (uint32_t)len}, frame);
        stage_say_bytes(stage, device, false, frame, FRAME_HEAD_BYTES + (size_t)len);
}

void stage_say_on_lane(struct stage *stage, unsigned device, const struct lane_to_broker *message,
                       uint32_t payload_len, uint8_t byte)
{
        uint8_t frame[FRAME_HEAD_BYTES + 4096 + 8192];
        ssize_t len = lane_make_to_broker(message, frame + FRAME_HEAD_BYTES, 4096);

        assert(len > 0 && payload_len <= 8192);
        frame_head_make(&(struct frame_head){.header_len = (uint32_t)len, .payload_len = payload_len}, frame);
        memset(frame + FRAME_HEAD_BYTES + len, byte, payload_len);
        stage_say_bytes(stage, device, true, frame, FRAME_HEAD_BYTES + (size_t)len + payload_len);
}

void stage_hang_up(struct stage *stage, unsigned device, bool lane)
{
        struct stage_worker *worker = &stage->worker[device];

        if (!worker->running)
                return;
        if (lane)
                fd_duplex_close(&worker->lane_ends);
        else if (worker->control_fd >= 0)
                close(take_fd(&worker->control_fd));
}

bool stage_serves(const struct stage *stage, unsigned device)
{
        return device_supervisor(stage->device[device])->state == WORKER_SERVING;
}

/* ---- begin and end ---- */

static void on_ready(void *context, struct device *device)
{
        (void)context;
        (void)device;
}

static void on_failed(void *context, struct device *device, bool quarantined, const char *why)
{
        (void)context;
        (void)device;
        (void)quarantined;
        assert(why[0] != '\0' && !strchr(why, '\x1b'));
}

static void on_freed(void *context)
{
        ((struct stage *)context)->freed++;
}

void stage_begin(struct stage *stage)
{
        const struct device_owner owner = {.context = stage, .ready = on_ready, .failed = on_failed};

        signal(SIGPIPE, SIG_IGN);
        memset(&timers, 0, sizeof(timers));
        timers.now = 1000000;
        the_stage = stage;
        stage->freed = 0;
        assert(uv_loop_init(&stage->loop) == 0);
        for (unsigned i = 0; i < STAGE_DEVICES; i++) {
                struct device_config *config = &stage->config[i];

                stage->worker[i].asked = stage->worker[i].running = false;
                *config = (struct device_config){
                    .type = DEVICE_TYPE_BLK, .n_queues = STAGE_QUEUES, .n_lanes = 1, .options = BLK_PLAIN};
                snprintf(config->name, sizeof(config->name), "disk%u", i);
                /* The spawner is not looked into here. */
                assert(device_new(&stage->loop, config, 0, i, (struct spawner_client *)stage, &owner,
                                  &stage->device[i]) == 0);
        }
}

void stage_end(struct stage *stage)
{
        for (unsigned i = 0; i < STAGE_DEVICES; i++) {
                device_free(stage->device[i], on_freed, stage);
                stage_hang_up(stage, i, false);
                stage_hang_up(stage, i, true);
                if (stage->worker[i].running && !stage->worker[i].exited)
                        cleanup_close(&stage->worker[i].output_fd);
                stage->worker[i].running = false;
        }
        for (unsigned i = 0; i < 8 && stage->freed < STAGE_DEVICES; i++)
                uv_run(&stage->loop, UV_RUN_NOWAIT);
        assert(stage->freed == STAGE_DEVICES);
        uv_run(&stage->loop, UV_RUN_NOWAIT);
        assert(uv_loop_close(&stage->loop) == 0);
}
