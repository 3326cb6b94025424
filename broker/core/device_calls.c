/* A device's calls into its lanes: each runs in the lane's thread while the main thread waits.
 * Owns nothing; called by the other device files. TRUST: arguments are judged already.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <unistd.h>

#include "broker/core/device_state.h"
#include "broker/core/lane_age.h"
#include "broker/core/lane_fail.h"
#include "broker/core/lane_head.h"
#include "broker/core/lane_wait.h"
#include "proto/base/cleanup.h"

struct queue_call {
        unsigned queue;
        const struct queue_layout *layout;
        struct queue_features features;
        uint32_t base;
        int kick_fd, call_fd;
        atomic_uint *interrupt_status;
        enum queue_fault fault;
        struct segment outside; /* of that fault */
        int result;
};

static struct lane_thread *device_lane(const struct device *device, unsigned queue)
{
        return device->lanes[queue % device->n_lanes];
}

static void call_lane(const struct device *device, unsigned queue,
                      void (*call)(struct lane *lane, void *argument), struct queue_call *argument)
{
        argument->queue = queue;
        lane_thread_call(device_lane(device, queue), call, argument);
}

static void call_start(struct lane *lane, void *argument)
{
        struct queue_call *call = argument;
        struct lane_queue *queue = lane_queue_find(lane, call->queue);

        call->result = lane_queue_start(lane, queue, call->layout, &call->features, call->base, call->kick_fd,
                                        call->call_fd);
        if (call->result == 0)
                queue->interrupt_status = call->interrupt_status;
}

static void call_release(struct lane *lane, void *argument)
{
        struct queue_call *call = argument;

        lane_queue_release(lane, lane_queue_find(lane, call->queue));
}

static void call_set_call(struct lane *lane, void *argument)
{
        struct queue_call *call = argument;

        lane_queue_set_call(lane_queue_find(lane, call->queue), call->call_fd);
        lane_publish(lane);
}

static void call_ring(struct lane *lane, void *argument)
{
        struct control_start_queue *start = argument;
        const struct queue *ring = &lane_queue_find(lane, start->queue)->ring;

        start->desc = ring->layout.desc.v;
        start->avail = ring->layout.avail.v;
        start->used = ring->layout.used.v;
        start->next = ring->last_avail;
}

static void call_set_raw(struct lane *lane, void *argument)
{
        const struct device_window *window = argument;

        lane_set_raw(lane, window->start, window->size);
}

static void call_set_max_age(struct lane *lane, void *argument)
{
        lane_set_max_age(lane, *(const uint64_t *)argument);
}

static void call_set_poll(struct lane *lane, void *argument)
{
        lane_set_poll(lane, *(const uint32_t *)argument);
}

static void call_set_place(struct lane *lane, void *argument)
{
        lane_set_place(lane, argument);
}

static void call_set_rate(struct lane *lane, void *argument)
{
        lane_set_rate(lane, argument);
}

static void call_signal(struct lane *lane, void *argument)
{
        struct queue_call *call = argument;
        uint64_t one = 1;

        (void)lane;
        call->result = write(call->call_fd, &one, sizeof(one)) < 0 ? -errno : 0;
}

static void call_drain(struct lane *lane, void *argument)
{
        struct queue_call *call = argument;

        lane_queue_drain(lane, lane_queue_find(lane, call->queue));
}

static void call_stop(struct lane *lane, void *argument)
{
        struct queue_call *call = argument;

        call->base = lane_queue_stop(lane, lane_queue_find(lane, call->queue));
}

static void call_fault(struct lane *lane, void *argument)
{
        struct queue_call *call = argument;

        call->fault = lane_queue_find(lane, call->queue)->ring.fault;
        call->outside = lane_queue_find(lane, call->queue)->ring.outside;
}

static void call_break(struct lane *lane, void *argument)
{
        (void)argument;
        for (unsigned i = 0; i < lane->n_queues; i++)
                lane_queue_break(lane, &lane->queues[i], QUEUE_FAULT_DEVICE);
}

static void call_fail_begin(struct lane *lane, void *argument)
{
        (void)argument;
        lane_fail_begin(lane);
}

static void call_set_head(struct lane *lane, void *argument)
{
        lane_set_head(lane, argument);
}

static void call_set_failure(struct lane *lane, void *argument)
{
        lane_set_failure(lane, argument);
}

static void call_fail_draining(struct lane *lane, void *argument)
{
        (void)argument;
        lane_fail_draining(lane);
}

static void call_set_memory(struct lane *lane, void *argument)
{
        lane_set_memory(lane, argument);
}

static void call_hurry(struct lane *lane, void *argument)
{
        lane_miss_hurry(lane, *(const bool *)argument);
}

static void call_starve(struct lane *lane, void *argument)
{
        lane->miss.starved = *(const bool *)argument;
}

static void call_collect(struct lane *lane, void *argument)
{
        lane_miss_collect(lane, argument);
}

struct page_call {
        uint64_t iova;
        unsigned rights;
};

static void call_refuse(struct lane *lane, void *argument)
{
        const struct page_call *call = argument;

        lane_miss_refuse(lane, call->iova, call->rights);
}

struct mark_call {
        const struct interval_map *entries;
        uint64_t *marks;
};

static void call_mark(struct lane *lane, void *argument)
{
        const struct mark_call *call = argument;

        lane_miss_mark(lane, call->entries, call->marks);
}

struct attach_call {
        struct fd_duplex *ends;
        const struct direct_peer *peer;
        uint32_t movable; /* the worker's pid; 0: it cannot be moved */
};

static void call_attach(struct lane *lane, void *argument)
{
        const struct attach_call *call = argument;

        lane_attach(lane, fd_duplex_take(call->ends), call->peer);
        if (call->movable > 0)
                lane_place_begin(lane, (pid_t)call->movable);
}

/* Both rest on the worker's pid. */
static void call_end_pid(struct lane *lane, void *argument)
{
        (void)argument;
        direct_end(&lane->direct);
        lane_place_end(lane);
}

static void call_suspects(struct lane *lane, void *argument)
{
        uint32_t *n = argument;

        *n = lane_suspects(lane);
}

static void call_isolate(struct lane *lane, void *argument)
{
        const enum lane_isolation *isolation = argument;

        lane_isolate(lane, *isolation);
}

static void call_pardon(struct lane *lane, void *argument)
{
        (void)argument;
        lane_pardon(lane);
}

static void call_held(struct lane *lane, void *argument)
{
        uint32_t *n = argument;

        *n += lane_n_busy(lane);
}

static void call_detach(struct lane *lane, void *argument)
{
        (void)argument;
        lane_detach(lane);
}

static void call_completed(struct lane *lane, void *argument)
{
        uint64_t *completed = argument;

        *completed += lane->completed;
}

static void call_hold(struct lane *lane, void *argument)
{
        (void)argument;
        lane->hold++;
}

static void call_unhold(struct lane *lane, void *argument)
{
        (void)argument;
        lane->hold--;
        lane_turn(lane);
}

static void call_all(const struct device *device, void (*call)(struct lane *lane, void *argument),
                     void *argument)
{
        for (unsigned i = 0; i < device->n_lanes; i++)
                lane_thread_call(device->lanes[i], call, argument);
}

int device_call_start(struct device *device, unsigned queue, const struct queue_layout *layout,
                      const struct queue_features *features, uint32_t base, int kick_fd, int call_fd,
                      atomic_uint *interrupt_status)
{
        struct queue_call call = {.layout = layout,
                                  .features = *features,
                                  .base = base,
                                  .kick_fd = kick_fd,
                                  .call_fd = call_fd,
                                  .interrupt_status = interrupt_status};

        call_lane(device, queue, call_start, &call);
        return call.result;
}

void device_call_release(struct device *device, unsigned queue)
{
        struct queue_call call = {0};

        call_lane(device, queue, call_release, &call);
}

struct control_start_queue device_call_ring(struct device *device, unsigned queue)
{
        struct control_start_queue start = {.queue = queue};

        lane_thread_call(device_lane(device, queue), call_ring, &start);
        return start;
}

void device_call_set_raw(struct device *device)
{
        struct device_window window = device->config->memory.windows[0];

        if (device->windows.raw)
                call_all(device, call_set_raw, &window);
}

void device_call_set_call(struct device *device, unsigned queue, int call_fd)
{
        struct queue_call call = {.call_fd = call_fd};

        call_lane(device, queue, call_set_call, &call);
}

int device_call_signal(struct device *device, int fd)
{
        struct queue_call call = {.call_fd = fd};

        call_lane(device, 0, call_signal, &call);
        return call.result;
}

void device_call_drain(struct device *device, unsigned queue)
{
        struct queue_call call = {0};

        call_lane(device, queue, call_drain, &call);
}

uint32_t device_call_stop(struct device *device, unsigned queue)
{
        struct queue_call call = {0};

        call_lane(device, queue, call_stop, &call);
        return call.base;
}

enum queue_fault device_call_fault(struct device *device, unsigned queue, struct segment *ret_outside)
{
        struct queue_call call = {0};

        call_lane(device, queue, call_fault, &call);
        *ret_outside = call.outside;
        return call.fault;
}

void device_call_attach(struct device *device, unsigned lane, struct fd_duplex *ends,
                        const struct direct_peer *peer, bool movable)
{
        struct attach_call call = {
            .ends = ends, .peer = peer, .movable = movable ? device->supervisor.pid : 0};

        lane_thread_call(device->lanes[lane], call_attach, &call);
}

/* The first lane with a suspect; n_lanes: none has. */
static unsigned lane_with_suspects(const struct device *device)
{
        unsigned i = 0;

        for (; i < device->n_lanes; i++) {
                uint32_t n;

                lane_thread_call(device->lanes[i], call_suspects, &n);
                if (n > 0)
                        break;
        }
        return i;
}

void device_call_isolate(struct device *device)
{
        unsigned chosen = lane_with_suspects(device);

        for (unsigned i = 0; i < device->n_lanes; i++) {
                enum lane_isolation isolation = chosen == device->n_lanes ? LANE_OPEN
                                                : i == chosen             ? LANE_ISOLATES
                                                                          : LANE_WAITS;

                lane_thread_call(device->lanes[i], call_isolate, &isolation);
        }
}

void device_call_pardon(struct device *device)
{
        call_all(device, call_pardon, NULL);
}

void device_call_detach(struct device *device)
{
        uint32_t held = 0;

        call_all(device, call_held, &held);
        if (held > 1) /* whoever isolates: its request was not the only one of the device */
                device_call_pardon(device);
        call_all(device, call_detach, NULL);
}

void device_call_end_pid(struct device *device)
{
        call_all(device, call_end_pid, NULL);
}

void device_call_break(struct device *device)
{
        call_all(device, call_break, NULL);
}

void device_call_fail_begin(struct device *device)
{
        call_all(device, call_fail_begin, NULL);
}

void device_call_set_type(struct device *device)
{
        const struct device_type *type = device->type;
        struct lane_failure failure = {.error = type->error_tail,
                                       .len = type->error_tail_len,
                                       .first = type->error_first,
                                       .quiet = type->error_quiet};

        call_all(device, call_set_failure, &failure);
        call_all(device, call_set_head, (void *)type->legacy_head); /* it is only read */
}

void device_call_fail_draining(struct device *device)
{
        call_all(device, call_fail_draining, NULL);
}

void device_call_set_memory(struct device *device, struct guest_memory *memory)
{
        call_all(device, call_set_memory, memory);
}

void device_call_hurry(struct device *device, bool hurried)
{
        call_all(device, call_hurry, &hurried);
}

void device_call_starve(struct device *device, bool starved)
{
        call_all(device, call_starve, &starved);
}

void device_call_collect(struct device *device, struct miss_list *list)
{
        call_all(device, call_collect, list);
}

void device_call_refuse(struct device *device, uint64_t iova, unsigned rights)
{
        struct page_call call = {.iova = iova, .rights = rights};

        call_all(device, call_refuse, &call);
}

void device_call_mark(struct device *device, const struct interval_map *entries, uint64_t *marks)
{
        struct mark_call call = {.entries = entries, .marks = marks};

        call_all(device, call_mark, &call);
}

void device_call_hold(struct device *device)
{
        call_all(device, call_hold, NULL);
}

void device_call_unhold(struct device *device)
{
        call_all(device, call_unhold, NULL);
}

void device_call_set_max_age(struct device *device, uint64_t max_age_ms)
{
        call_all(device, call_set_max_age, &max_age_ms);
}

void device_call_set_poll(struct device *device)
{
        uint32_t poll_us = device->config->poll_us;

        if (poll_us > 0)
                call_all(device, call_set_poll, &poll_us);
}

void device_call_set_place(struct device *device, const struct place_host *host)
{
        struct place_host *argument = (struct place_host *)host; /* it is only read */

        if (host)
                call_all(device, call_set_place, argument);
}

void device_call_set_rate(struct device *device)
{
        rate_limit_init(&device->rate, &device->config->rate);
        if (device->config->rate.ops > 0 || device->config->rate.bytes > 0)
                call_all(device, call_set_rate, &device->rate);
}

uint64_t device_call_completed(struct device *device)
{
        uint64_t completed = 0;

        call_all(device, call_completed, &completed);
        return completed;
}
