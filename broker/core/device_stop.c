/* Suspending a device's queues.
 *
 * How it works: WAITING gives the worker LIMIT_DRAIN_MS to finish what it holds. A worker that does not is
 * killed, and FAILING gives its successor as long to fail what is left, because only a worker can compose its
 * device's error, and a request that were dropped silently could be taken for a success. Only when that fails
 * too is it forgotten: the guest is frozen meanwhile, so the front end must have its answer.
 *
 * Owns the drain deadline; called by the front end and by lanes' reports. TRUST: none but judged values.
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "broker/core/device_state.h"
#include "proto/base/limits.h"
#include "proto/base/log.h"

void device_stop_finish(struct device *device, unsigned index)
{
        struct device_queue *queue = &device->queues[index];
        void (*stopped)(void *context, uint16_t base) = queue->stopped;
        void *context = queue->stopped_context;
        uint16_t base = device_call_stop(device, index);

        *queue = (struct device_queue){0};
        if (stopped)
                stopped(context, base);
}

static bool any_draining(const struct device *device)
{
        for (unsigned i = 0; i < device->n_queues; i++)
                if (device->queues[i].stopped)
                        return true;
        return false;
}

void device_stop_take(struct device *device)
{
        uint64_t drained = atomic_exchange(&device->drained_queues, 0);

        for (unsigned i = 0; i < device->n_queues; i++)
                if ((drained & (UINT64_C(1) << i)) && device->queues[i].stopped)
                        device_stop_finish(device, i);
        if (!any_draining(device)) {
                device->drain_stage = DRAIN_NONE;
                uv_timer_stop(&device->drain_timer);
        }
}

/* Nobody can finish these requests: they are forgotten, which the guest sees as a device that stopped
 * answering. */
static void give_up_draining(struct device *device)
{
        log_limited(LOG_LEVEL_ERROR, "requests could not be finished before the deadline of a stop dev=%s",
                    device->config->name);
        device_call_detach(device);
        device->broken = true;
        for (unsigned i = 0; i < device->n_queues; i++)
                if (device->queues[i].stopped)
                        device_stop_finish(device, i);
        device->drain_stage = DRAIN_NONE;
}

static void on_drain_deadline(uv_timer_t *timer)
{
        struct device *device = timer->data;

        if (device->drain_stage == DRAIN_WAITING && device->supervisor.state != WORKER_QUARANTINED) {
                device->drain_stage = DRAIN_FAILING;
                uv_timer_start(timer, on_drain_deadline, LIMIT_DRAIN_MS, 0);
                supervisor_fault(&device->supervisor,
                                 "did not finish its requests before the deadline of a stop");
                device_call_fail_draining(device);
                return;
        }
        supervisor_fault(&device->supervisor, "did not fail its requests before the deadline of a stop");
        give_up_draining(device);
}

void device_queue_stop(struct device *device, unsigned queue, void (*stopped)(void *context, uint16_t base),
                       void *context)
{
        struct device_queue *q = &device->queues[queue];

        assert(queue < device->n_queues && q->running && !q->stopped);
        q->stopped = stopped;
        q->stopped_context = context;
        if (device->drain_stage == DRAIN_NONE) {
                device->drain_stage = DRAIN_WAITING;
                uv_timer_start(&device->drain_timer, on_drain_deadline, LIMIT_DRAIN_MS, 0);
        }
        device_call_drain(device, queue);
}

void device_stop_cancel(struct device *device)
{
        for (unsigned i = 0; i < device->n_queues; i++)
                device->queues[i].stopped = NULL;
        device->drain_stage = DRAIN_NONE;
        uv_timer_stop(&device->drain_timer);
}
