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

/* Nobody who is asked for a translation may answer before a stop has ended: so meanwhile nobody waits for one. */
static void drain_begin(struct device *device)
{
        device->drain_stage = DRAIN_WAITING;
        device_iotlb_hurry(device, true);
}

static void drain_end(struct device *device)
{
        bool drained = device->drain_stage != DRAIN_NONE;

        device->drain_stage = DRAIN_NONE;
        uv_timer_stop(&device->drain_timer);
        if (drained)
                device_iotlb_hurry(device, false);
}

void device_stop_finish(struct device *device, unsigned index)
{
        struct device_queue *queue = &device->queues[index];
        uint64_t others = ~(UINT64_C(1) << index);
        void (*stopped)(void *context, uint32_t base) = queue->stopped;
        void *context = queue->stopped_context;
        uint32_t base = device_call_stop(device, index);

        queue->running = false;
        queue->size = 0;
        queue->stopped = NULL;
        /* The lane reports nothing of it any more; what it has reported is not of the next start. */
        atomic_fetch_and(&device->drained_queues, others);
        atomic_fetch_and(&device->broken_queues, others);
        atomic_fetch_and(&device->suspicious_queues, others);
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
        if (!any_draining(device))
                drain_end(device);
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
        drain_end(device);
}

/* A worker on its way up is not to blame: it has been given no request yet. Nor is a request that it holds
 * alone just then: the deadline is of all of them together. */
static void fault_serving(struct device *device, const char *why)
{
        if (device->supervisor.state != WORKER_SERVING)
                return;
        device_call_pardon(device);
        supervisor_fault(&device->supervisor, why);
}

static void on_drain_deadline(uv_timer_t *timer)
{
        struct device *device = timer->data;

        if (device->drain_stage == DRAIN_WAITING && device->supervisor.state != WORKER_QUARANTINED) {
                device->drain_stage = DRAIN_FAILING;
                uv_timer_start(timer, on_drain_deadline, LIMIT_DRAIN_MS, 0);
                fault_serving(device, "did not finish its requests before the deadline of a stop");
                device_call_fail_draining(device);
                return;
        }
        fault_serving(device, "did not fail its requests before the deadline of a stop");
        give_up_draining(device);
}

void device_stop_hurry(struct device *device)
{
        if (device->drain_stage == DRAIN_NONE)
                return;
        device->drain_stage = DRAIN_FAILING;
        uv_timer_start(&device->drain_timer, on_drain_deadline, 0, 0);
}

void device_queue_stop(struct device *device, unsigned queue, void (*stopped)(void *context, uint32_t base),
                       void *context)
{
        struct device_queue *q = &device->queues[queue];

        assert(queue < device->n_queues && q->running && !q->stopped);
        q->stopped = stopped;
        q->stopped_context = context;
        if (device->drain_stage == DRAIN_NONE) {
                drain_begin(device);
                uv_timer_start(&device->drain_timer, on_drain_deadline, LIMIT_DRAIN_MS, 0);
        }
        device_call_drain(device, queue);
        if ((device->supervisor.state == WORKER_QUARANTINED && !device_type_fails(device->type)) ||
            device->supervisor.spawner_mute)
                device_stop_hurry(device);
}

void device_stop_cancel(struct device *device)
{
        for (unsigned i = 0; i < device->n_queues; i++)
                device->queues[i].stopped = NULL;
        drain_end(device);
}
