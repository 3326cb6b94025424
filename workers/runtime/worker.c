/* A worker from Configure to its end.
 * Owns the links and the lanes; called by worker_main.c. TRUST: the broker's messages; they are obeyed when
 * they are in the table, in state and in range, and end the process when they are not.
 *
 * How it works: one thread, one loop, every call blocks.
 *     wait     ppoll of the lanes, of what the device waits for and, last, of control. Descriptors are looked at
 * in this order, so a lane that is seen to have bytes has had every earlier control message before it: they are
 * seen in the same call.
 * Who may, looks at all for a while first (worker_spin_us). Who has one lane, owes no answer, and has no descriptor, time or tick to wait
 * for, then reads that lane while more is promised on it (broker/core/lane_stay.h), and looks at control only when a frame says so.
 *     control  first; then wait again, so that lanes are served only when control was silent
 *     own      what the device watches has become ready, or its time is due (worker_watch.h)
 *     receive  frames of which the first byte was there before the wait, or one frame. What was read beyond
 * that may be younger than a control message that has not been seen; it stays in the stage for the next round
 *     serve    the requests that are filed now, what the device has put off of them, and then flush. What is filed
 * meanwhile, because the device waited for an answer, is left for the next round, for the same reason
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/worker.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "proto/base/checked.h"
#include "sandbox/lockdown.h"
#include "workers/runtime/supply.h"
#include "workers/runtime/trap.h"
#include "workers/runtime/walk.h"
#include "workers/runtime/worker_count.h"
#include "workers/runtime/worker_iommu.h"
#include "workers/runtime/worker_log.h"
#include "workers/runtime/worker_memory.h"
#include "workers/runtime/worker_say.h"
#include "workers/runtime/worker_shmem.h"
#include "workers/runtime/worker_watch.h"

#define WORKER_ARENA 65536u /* bytes for one unpacked message: a full batch takes about 10,000 */
#define WORKER_HEADER                                                                                        \
        16384u /* bytes of our longest control message: Hello with LIMIT_CONFIG_FIELDS fields                \
                */

static const struct rpc_table worker_control_table;

/* ---- control ---- */

static void worker_send(struct worker *worker, const struct control_to_broker *message)
{
        static uint8_t frame[FRAME_HEAD_BYTES + WORKER_HEADER];
        ssize_t len = control_make_to_broker(message, frame + FRAME_HEAD_BYTES, WORKER_HEADER);

        if (len <= 0)
                worker_trap();
        link_send(&worker->control, frame, (uint32_t)len, NULL, 0);
}

static int worker_done(struct worker *worker, uint32_t seq, int error)
{
        struct control_to_broker message = {.kind = CONTROL_DONE, .done = {.seq = seq, .error = error}};

        worker_send(worker, &message);
        return 0;
}

static int worker_on_configure(void *context, const void *body)
{
        const struct control_to_worker *message = body;
        struct worker *worker = context;

        if (message->configure.type != worker->device->type || message->configure.n_lanes != worker->n_lanes)
                return -EPROTO;
        worker->configure = message->configure;
        worker->state = WORKER_CONFIGURED;
        return 0;
}

static int worker_on_set_features(void *context, const void *body)
{
        const struct control_to_worker *message = body;
        struct worker *worker = context;

        if (message->set_features.features & ~worker->hello.features)
                return -EPROTO;
        if (worker->device->set_features)
                worker->device->set_features(worker->device->state, message->set_features.features);
        return worker_done(worker, message->seq, 0);
}

static int worker_on_config_write(void *context, const void *body)
{
        const struct control_to_worker *message = body;
        struct worker *worker = context;
        const struct control_field *field;
        int r = -EOPNOTSUPP;

        if (message->config_write.field >= worker->hello.n_fields)
                return -EPROTO;
        field = &worker->hello.fields[message->config_write.field];
        if (!field->writable || (field->width < 8 && message->config_write.value >> (8 * field->width)))
                return -EPROTO;
        if (worker->device->config_write)
                r = worker->device->config_write(worker->device->state, message->config_write.field,
                                                 message->config_write.value);
        if (r == 0)
                worker_config_set(message->config_write.field, message->config_write.value);
        return worker_done(worker, message->seq, r);
}

static int worker_on_set(void *context, const void *body)
{
        const struct control_to_worker *message = body;
        struct worker *worker = context;
        int r = -EOPNOTSUPP;

        if (worker->device->set)
                r = worker->device->set(worker->device->state, &message->set);
        return worker_done(worker, message->seq, r);
}

static int worker_on_start_queue(void *context, const void *body)
{
        const struct control_to_worker *message = body;
        struct worker *worker = context;
        int r = 0;

        if (message->start_queue.queue >= worker->hello.n_queues)
                return -EPROTO;
        worker->shared.queues_started |= UINT64_C(1) << message->start_queue.queue;
        if (walk_is_on())
                r = worker->device->start_ring
                        ? worker->device->start_ring(worker->device->state, &message->start_queue)
                        : -EOPNOTSUPP;
        return worker_done(worker, message->seq, r);
}

static int worker_on_restore_state(void *context, const void *body)
{
        const struct control_to_worker *message = body;
        struct worker *worker = context;
        int r = -EOPNOTSUPP;

        if (worker->device->restore_state)
                r = worker->device->restore_state(worker->device->state, message->restore_state.bytes,
                                                  message->restore_state.len);
        return worker_done(worker, message->seq, r);
}

static int worker_on_shmem_answer(void *context, const void *body)
{
        const struct control_to_worker *message = body;
        struct worker *worker = context;

        if (!worker->device->mapped)
                return -EPROTO;
        worker->device->mapped(worker->device->state, message->shmem_answer.id, message->shmem_answer.error);
        return 0;
}

static int worker_on_iommu_answer(void *context, const void *body)
{
        const struct control_to_worker *message = body;
        struct worker *worker = context;

        if (!worker->device->iommu_answered)
                return -EPROTO;
        worker->device->iommu_answered(worker->device->state, message->iommu_answer.id,
                                       message->iommu_answer.error);
        return 0;
}

static int worker_on_iommu_fault(void *context, const void *body)
{
        const struct control_to_worker *message = body;
        struct worker *worker = context;

        if (!worker->device->iommu_faulted)
                return -EPROTO;
        worker->device->iommu_faulted(worker->device->state, message->iommu_fault.endpoint,
                                      message->iommu_fault.iova, message->iommu_fault.rights);
        return 0;
}

static int worker_on_shutdown(void *context, const void *body)
{
        (void)context;
        (void)body;
        worker_gone();
}

/* Waits for one control message and obeys it. */
static void worker_receive_control(struct worker *worker)
{
        struct control_to_worker message;
        struct frame_head head;
        const uint8_t *header;

        link_next(&worker->control, &head, &header);
        if (control_check_to_worker(&worker->shared.arena, header, head.header_len, &message) < 0)
                worker_trap();
        if (rpc_dispatch(&worker_control_table, &worker->peer, worker->state, message.kind, head.header_len,
                         0, worker, &message) < 0)
                worker_trap();
}

/* ---- start ---- */

int worker_init(struct worker *worker, const struct device_ops *device, unsigned n_lanes,
                unsigned n_resources)
{
        uint8_t *stage = worker_memory(LINK_STAGE);

        if (!stage)
                return -ENOMEM;
        worker->device = device;
        worker->n_lanes = n_lanes;
        worker->n_resources = n_resources;
        link_init(&worker->control, (struct fd_duplex){WORKER_FD_CONTROL, WORKER_FD_CONTROL}, stage, 0);
        worker_log_init(&worker->control);
        return arena_init(&worker->shared.arena, WORKER_ARENA);
}

/* A worker's answers must fit in the broker's frames, and a whole grant of inlined bytes in ours. */
static int worker_judge_payload(const struct worker *worker)
{
        if (worker->configure.max_payload < OUTBOX_PAYLOAD)
                return -EPROTO;
        return worker->hello.credit_bytes > LIMIT_FRAME_PAYLOAD ? -EINVAL : 0;
}

/* The area of all lanes. Untouched: an idle worker does not pay for it. What the device has said of it stays. */
static int worker_allocate_area(struct worker *worker)
{
        struct control_area *area = &worker->hello.area;
        void *bytes;

        if (worker->configure.area_len == 0) {
                *area = (struct control_area){0};
                return 0;
        }
        bytes = worker_memory_untouched((size_t)worker->configure.area_len * worker->n_lanes);
        if (!bytes)
                return -ENOMEM;
        area->at = (uintptr_t)bytes;
        area->len = worker->configure.area_len;
        return 0;
}

static struct inbox_area worker_lane_area(const struct worker *worker, unsigned lane)
{
        const struct control_area *area = &worker->hello.area;

        return (struct inbox_area){.bytes = (uint8_t *)(uintptr_t)area->at + (size_t)lane * area->len,
                                   .len = area->len,
                                   .step = control_area_step(area),
                                   .shift = control_area_shift(area)};
}

static int worker_allocate(struct worker *worker)
{
        uint8_t *piece = worker_memory(OUTBOX_PIECE);

        if (!piece || worker_allocate_area(worker) < 0)
                return -ENOMEM;
        worker->shared.piece = piece;
        for (uint32_t i = 0; i < worker->hello.n_queues; i++)
                if (worker->hello.queue_kind[i] == QUEUE_SUPPLY)
                        worker->shared.queues_supply |= UINT64_C(1) << i;
        for (unsigned i = 0; i < worker->n_lanes; i++) {
                const struct fd_duplex ends = {.in = worker_fd_lane_in(i), .out = worker_fd_lane_out(i)};
                struct inbox_area area = worker_lane_area(worker, i);
                int r =
                    worker_lane_init(&worker->lanes[i], &worker->shared, ends, worker->configure.max_payload,
                                     worker->hello.credit_requests, worker->hello.credit_bytes, &area);

                if (r < 0)
                        return r;
        }
        return 0;
}

int worker_prepare(struct worker *worker)
{
        int resources[LIMIT_RESOURCES];
        int r;

        if (device_types[worker->device->type].regions)
                worker_shmem_receive(&worker->control);
        worker_receive_control(worker);
        walk_init(&worker->configure);
        r = worker_shmem_init(&worker->control, &worker->configure);
        if (r < 0)
                return r;
        for (unsigned i = 0; i < worker->n_resources; i++)
                resources[i] = worker_fd_resource(worker->n_lanes, i);
        r = worker->device->init(worker->device->state, &worker->configure, resources, worker->n_resources,
                                 &worker->hello);
        if (r < 0)
                return r;
        r = worker_judge_payload(worker);
        return r < 0 ? r : worker_allocate(worker);
}

/* ---- the loop ---- */

/* Positions up to which each lane's bytes are known to be older than any control message that is still
 * unseen. */
struct worker_marks {
        uint64_t lane[LIMIT_LANES];
        unsigned n_own;                                            /* descriptors of the device's own */
        bool idle;                                                 /* nothing has come in the time given */
        struct pollfd fds[LIMIT_LANES + LIMIT_WORKER_WATCHES + 1]; /* the lanes, the device's own, control */
};

static unsigned marks_n_fds(const struct worker *worker, const struct worker_marks *marks)
{
        return worker->n_lanes + marks->n_own + 1;
}

#define LOOKS_A_US                                                                                           \
        2u /* of a spin: each is a ppoll of half a microsecond. A clock might be a call that no policy has */

static bool worker_look(struct worker *worker, struct worker_marks *marks, const struct timespec *time)
{
        int r = ppoll(marks->fds, marks_n_fds(worker, marks), time, NULL);

        if (r < 0 && errno != EINTR)
                worker_trap();
        return r > 0;
}

/* By what it was configured with, or by where the broker has put it, which it does with the only lane of a device. */
static uint32_t worker_spin_us(const struct worker *worker)
{
        if (worker->configure.poll_us > 0)
                return worker->configure.poll_us;
        return worker->n_lanes == 1 ? worker->lanes[0].spin_us : 0;
}

/* Looks for so long as it may, where that has paid lately. True: something has come. Nothing is read between
 * looks, so the last one alone counts, and the marks hold. */
static bool worker_spin(struct worker *worker, struct worker_marks *marks)
{
        static const struct timespec no_time;
        uint32_t looks = LOOKS_A_US * worker_spin_us(worker);
        bool found = false;

        if (!spin_wanted(&worker->spin)) {
                spin_skip(&worker->spin);
                return false;
        }
        while (!found && looks-- > 0)
                found = worker_look(worker, marks, &no_time);
        spin_end(&worker->spin, found);
        return found;
}

static bool worker_wants_rest(const struct worker *worker)
{
        for (unsigned i = 0; i < worker->n_lanes; i++)
                if (inbox_wants_rest(&worker->lanes[i].inbox))
                        return true;
        return false;
}

static void worker_rest(struct worker *worker)
{
        for (unsigned i = 0; i < worker->n_lanes; i++)
                worker_lane_rest(&worker->lanes[i]);
}

static bool worker_device_wants_rest(const struct worker *worker)
{
        return worker->device->rest && worker->has_worked;
}

static void worker_device_rest(struct worker *worker)
{
        worker->device->rest(worker->device->state);
        worker->has_worked = false;
}

/* The sooner of two times to sleep; less than 0 is no time at all. */
static int sooner_ms(int a, int b)
{
        return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* How long it may sleep: until the device's time or tick, until its counters are told, until the area rests, and until the device
 * does. False: as long as it likes. */
static bool worker_sleep_time(const struct worker *worker, struct timespec *ret_time)
{
        int left_ms = sooner_ms(sooner_ms(worker_timer_left(), worker_tick_ms()), worker_count_left());

        if (worker_wants_rest(worker))
                left_ms = sooner_ms(left_ms, (int)(1000 * LIMIT_AREA_REST_S));
        if (worker_device_wants_rest(worker))
                left_ms = sooner_ms(left_ms, (int)(1000 * LIMIT_DEVICE_REST_S));
        if (left_ms < 0)
                return false;
        *ret_time = (struct timespec){.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000L};
        return true;
}

/* Nothing is there yet. */
static void worker_sleep(struct worker *worker, struct worker_marks *marks)
{
        struct timespec time;
        bool bounded = worker_sleep_time(worker, &time);

        marks->idle = !worker_look(worker, marks, bounded ? &time : NULL) && bounded;
        if (marks->idle && time.tv_sec >= (time_t)LIMIT_AREA_REST_S)
                worker_rest(worker);
        if (marks->idle && time.tv_sec >= (time_t)LIMIT_DEVICE_REST_S && worker_device_wants_rest(worker))
                worker_device_rest(worker);
}

static bool worker_gather(struct worker *worker, struct worker_marks *marks)
{
        bool busy = link_has_bytes(&worker->control);

        for (unsigned i = 0; i < worker->n_lanes; i++) {
                const struct worker_lane *lane = &worker->lanes[i];

                busy |= link_has_bytes(&lane->link) || lane->inbox.waiting;
                marks->lane[i] = link_position(&lane->link);
                marks->fds[i] = (struct pollfd){.fd = lane->link.ends.in, .events = POLLIN};
        }
        marks->n_own = worker_watch_fill(marks->fds + worker->n_lanes);
        marks->fds[worker->n_lanes + marks->n_own] =
            (struct pollfd){.fd = worker->control.ends.in, .events = POLLIN};
        return busy;
}

/* One that owes an answer may get what it needs for that elsewhere: on control, for one. */
static bool worker_may_stay(const struct worker *worker, const struct worker_marks *marks)
{
        const struct worker_lane *lane = &worker->lanes[0];

        return worker->n_lanes == 1 && lane->stays && lane->inbox.n_held == 0 &&
               worker->configure.poll_us == 0 && marks->n_own == 0 && worker_timer_left() < 0 &&
               worker_tick_ms() < 0;
}

/* Waits for the only lane. */
static void worker_stay(struct worker *worker, struct worker_marks *marks)
{
        struct link *link = &worker->lanes[0].link;

        link_wait(link);
        marks->lane[0] = link_position(link);
}

static bool worker_has_control(const struct worker *worker)
{
        static const struct timespec no_time;
        struct pollfd control = {.fd = worker->control.ends.in, .events = POLLIN};
        int r;

        if (link_has_bytes(&worker->control))
                return true;
        r = ppoll(&control, 1, &no_time, NULL);
        if (r < 0 && errno != EINTR)
                worker_trap();
        return r > 0;
}

/* What was said on control before the requests that have been received. */
static void worker_catch_up(struct worker *worker)
{
        bool look = false;

        for (unsigned i = 0; i < worker->n_lanes; i++) {
                look |= worker->lanes[i].look;
                worker->lanes[i].look = false;
        }
        while (look && worker_has_control(worker))
                worker_receive_control(worker);
}

static void worker_wait(struct worker *worker, struct worker_marks *marks)
{
        static const struct timespec no_time;

        marks->idle = false;
        if (worker_gather(worker, marks))
                worker_look(worker, marks, &no_time);
        else if (worker_spin_us(worker) > 0 && worker_spin(worker, marks))
                return;
        else if (worker_may_stay(worker, marks))
                worker_stay(worker, marks);
        else
                worker_sleep(worker, marks);
}

/* A device that was ready may have taken what was seen, behind a question of its own: then nothing may be there to wait for. */
static void worker_receive(struct worker_lane *lane, uint64_t mark, bool readable)
{
        if (lane->link.taken > mark || (!readable && lane->link.taken == mark))
                return;
        do {
                worker_lane_receive(lane);
        } while (lane->link.taken < mark);
}

static void worker_flush(struct worker *worker)
{
        for (unsigned i = 0; i < worker->n_lanes; i++)
                outbox_flush(&worker->lanes[i].outbox);
}

/* Hands over one request. Returns the bit of its queue if it is lent: the device hears of those together. */
static uint64_t worker_hand_over(struct worker *worker, struct request *request)
{
        uint64_t queue = UINT64_C(1) << request->queue;

        if (worker->shared.queues_supply & queue) {
                supply_add(request);
                return queue;
        }
        worker->device->handle(worker->device->state, request);
        return 0;
}

static void worker_tell(struct worker *worker, void (*tell)(void *state, uint32_t queue), uint64_t queues)
{
        for (uint32_t queue = 0; tell && queue < worker->hello.n_queues; queue++)
                if (queues >> queue & 1)
                        tell(worker->device->state, queue);
}

/* A queue that goes on already has been lent more, of which the device was told before. */
static void worker_give_back(struct worker *worker, struct worker_lane *lane)
{
        uint64_t recalled = lane->recalled;

        worker_tell(worker, worker->device->recalled, recalled);
        worker_lane_give_back(lane);
        for (uint32_t queue = 0; queue < worker->hello.n_queues; queue++)
                if (!supply_first(queue))
                        recalled &= ~(UINT64_C(1) << queue);
        worker_tell(worker, worker->device->supplied, recalled);
}

static void worker_serve_lane(struct worker *worker, struct worker_lane *lane)
{
        const struct device_ops *device = worker->device;
        uint32_t waiting = lane->inbox.n_waiting;
        uint64_t supplied = 0;

        for (uint32_t n = waiting; n > 0; n--) {
                outbox_expect(&lane->outbox, n - 1);
                supplied |= worker_hand_over(worker, inbox_next(&lane->inbox));
        }
        worker_tell(worker, device->supplied, supplied);
        worker->has_worked |= waiting > 0;
        if (waiting > 0 && device->batch_end)
                device->batch_end(device->state);
        if (lane->recalled)
                worker_give_back(worker, lane);
        outbox_flush(&lane->outbox);
}

static void worker_turn(struct worker *worker)
{
        struct worker_marks marks;

        worker_wait(worker, &marks);
        if (marks.fds[worker->n_lanes + marks.n_own].revents || link_has_bytes(&worker->control)) {
                worker_receive_control(worker);
                worker_flush(worker);
                return;
        }
        worker_watch_serve(worker->device->state, marks.fds + worker->n_lanes, marks.n_own);
        worker_timer_serve(worker->device->state);
        worker_tick_serve(worker->device->state, marks.idle);
        worker_flush(worker);
        for (unsigned i = 0; i < worker->n_lanes; i++)
                worker_receive(&worker->lanes[i], marks.lane[i], marks.fds[i].revents != 0);
        worker_catch_up(worker);
        for (unsigned i = 0; i < worker->n_lanes; i++)
                worker_serve_lane(worker, &worker->lanes[i]);
        worker_flush(worker); /* of other lanes, what has become ready meanwhile */
        worker_count_serve();
}

/* Its last word is answered by its end, so it goes on to wait for that. */
static void worker_load(struct worker *worker)
{
        struct boot_memory memory;

        boot_memory_init(&memory, &worker->lanes[0].outbox, &worker->control);
        worker->device->load(worker->device->state, &memory);
}

_Noreturn void worker_serve(struct worker *worker)
{
        struct control_to_broker message = {.kind = CONTROL_HELLO, .hello = worker->hello};

        worker->state = WORKER_SERVING;
        worker_send(worker, &message);
        worker_say_init(&worker->control, &worker->hello);
        worker_iommu_init(&worker->control);
        worker_count_init(device_types[worker->device->type].n_counters);
        if (worker->device->map)
                worker->device->map(worker->device->state);
        if (worker->device->load)
                worker_load(worker);
        for (;;)
                worker_turn(worker);
}

#define SERVING (1u << WORKER_SERVING)

static const struct rpc_row worker_control_rows[] = {
    [CONTROL_CONFIGURE] = {"Configure", 0, LIMIT_CMDLINE + 2048, 0, 0, 1u << WORKER_NEW, true,
                           worker_on_configure},
    [CONTROL_SET_FEATURES] = {"SetFeatures", 0, 64, 0, 0, SERVING, false, worker_on_set_features},
    [CONTROL_CONFIG_WRITE] = {"ConfigWrite", 0, 64, 0, 0, SERVING, false, worker_on_config_write},
    [CONTROL_START_QUEUE] = {"StartQueue", 0, 64, 0, 0, SERVING, false, worker_on_start_queue},
    [CONTROL_RESTORE_STATE] = {"RestoreState", 0, LIMIT_STATE_BYTES + 64, 0, 0, SERVING, true,
                               worker_on_restore_state},
    [CONTROL_SHUTDOWN] = {"Shutdown", 0, 64, 0, 0, SERVING, false, worker_on_shutdown},
    [CONTROL_SHMEM_ANSWER] = {"ShmemAnswer", 0, 64, 0, 0, SERVING, false, worker_on_shmem_answer},
    [CONTROL_IOMMU_ANSWER] = {"IommuAnswer", 0, 64, 0, 0, SERVING, false, worker_on_iommu_answer},
    [CONTROL_IOMMU_FAULT] = {"IommuFault", 0, 64, 0, 0, SERVING, false, worker_on_iommu_fault},
    [CONTROL_SET] = {"Set", 0, 64, 0, 0, SERVING, false, worker_on_set},
};

static const struct rpc_table worker_control_table = {.rows = worker_control_rows,
                                                      .n_rows = array_size(worker_control_rows)};
