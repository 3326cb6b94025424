/* A device and its worker: what the supervisor asks for, what the lanes report.
 *
 * How it works: a worker that comes is told everything at once (features, config writes, queues) before a
 * lane may send to it. Lanes report through atomic words and one wake-up; they never wait for the main
 * thread.
 *
 * Owns the lanes' making; called by supervisor.c (main thread) and by lanes (their threads: the report_
 * functions only). TRUST: Hello and config values are a worker's, judged by control_check and compared here.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "broker/core/device_state.h"
#include "broker/core/features.h"
#include "proto/base/fd.h"
#include "proto/base/log.h"

/* ---- reports of lanes (their threads) ---- */

static void report_fault(void *context, const char *why)
{
        struct device *device = context;

        atomic_store(&device->fault, why);
        uv_async_send(&device->reported);
}

static void report_broken(void *context, unsigned queue)
{
        struct device *device = context;

        atomic_fetch_or(&device->broken_queues, UINT64_C(1) << queue);
        uv_async_send(&device->reported);
}

static void report_drained(void *context, unsigned queue)
{
        struct device *device = context;

        atomic_fetch_or(&device->drained_queues, UINT64_C(1) << queue);
        uv_async_send(&device->reported);
}

static void report_suspicious(void *context, unsigned queue)
{
        struct device *device = context;

        atomic_fetch_or(&device->suspicious_queues, UINT64_C(1) << queue);
        uv_async_send(&device->reported);
}

static void report_missing(void *context)
{
        struct device *device = context;

        atomic_store(&device->iotlb.missing, true);
        uv_async_send(&device->reported);
}

static void report_isolated(void *context)
{
        struct device *device = context;

        atomic_store(&device->isolated, true);
        uv_async_send(&device->reported);
}

/* Comes from inside device_call_detach, while the main thread waits: nobody else logs or looks. */
static void report_poison(void *context, const struct request *request, bool hopeless)
{
        struct device *device = context;

        log_limited(
            LOG_LEVEL_WARNING,
            "a request has killed its worker while it was alone with it, and must fail: dev=%s queue=%u "
            "id=%" PRIu64 " readable=%u writable=%u attempt=%u",
            device->config->name, request->queue, request->id, request->chain.readable,
            request->chain.writable, request->attempt + 1u);
        device->hopeless |= hopeless;
}

static void take_suspicious(struct device *device)
{
        uint64_t suspicious = atomic_exchange(&device->suspicious_queues, 0);

        for (unsigned i = 0; i < device->n_queues; i++)
                if ((suspicious & (UINT64_C(1) << i)) && device->queues[i].running &&
                    device->front.suspicious)
                        device->front.suspicious(device->front.context, i);
}

static void take_broken(struct device *device)
{
        uint64_t broken = atomic_exchange(&device->broken_queues, 0);

        for (unsigned i = 0; i < device->n_queues; i++) {
                enum queue_fault fault;
                struct segment outside;

                if (!(broken & (UINT64_C(1) << i)) || !device->queues[i].running)
                        continue;
                fault = device_call_fault(device, i, &outside);
                if (fault == QUEUE_FAULT_NONE) /* the ring is well, its device is not */
                        fault = QUEUE_FAULT_DEVICE;
                device->broken = true;
                if (fault == QUEUE_FAULT_WINDOW)
                        device_windows_refuse(&device->windows, device->config->name, i, &outside);
                if (device->supervisor.state != WORKER_QUARANTINED) /* the supervisor has said that */
                        log_limited(LOG_LEVEL_WARNING, "device is broken%s: %s dev=%s queue=%u",
                                    fault == QUEUE_FAULT_DEVICE ? "" : " by its guest",
                                    queue_fault_name(fault), device->config->name, i);
                if (device->front.broken)
                        device->front.broken(device->front.context, i, fault);
        }
}

void device_worker_reported(uv_async_t *async)
{
        struct device *device = async->data;
        const char *fault = atomic_exchange(&device->fault, NULL);

        if (fault && device->supervisor.state == WORKER_SERVING)
                supervisor_fault(&device->supervisor, fault);
        if (atomic_exchange(&device->isolated, false) && device->supervisor.state == WORKER_SERVING)
                device_call_isolate(device);
        take_broken(device);
        take_suspicious(device);
        device_stop_take(device);
        device_iotlb_step(device);
        if (device->config_settled)
                device_settle_config(device);
}

static void drop_lanes(struct device *device)
{
        for (unsigned i = 0; i < device->n_lanes; i++)
                device->lanes[i] = lane_thread_free(device->lanes[i]);
        device->n_lanes = 0;
}

static void on_held(void *context)
{
        struct device *device = context;

        supervisor_kill_holder(&device->supervisor);
}

static int make_lanes(struct device *device)
{
        const struct lane_events events = {.context = device,
                                           .worker_fault = report_fault,
                                           .held = on_held,
                                           .queue_broken = report_broken,
                                           .queue_drained = report_drained,
                                           .queue_suspicious = report_suspicious,
                                           .missing = report_missing,
                                           .isolated = report_isolated,
                                           .poison = report_poison};

        for (unsigned i = 0; i < device->config->n_lanes; i++) {
                int r =
                    lane_thread_new(&events, &device->hello, i, device->config->n_lanes, &device->lanes[i]);

                if (r < 0) {
                        drop_lanes(device);
                        return r;
                }
                device->n_lanes++;
        }
        return 0;
}

/* A successor describes the same device, but what it says of itself may have moved on. */
static void renew_space(struct device *device, const struct control_hello *hello)
{
        bool changed = false;

        for (uint32_t i = 0; i < hello->n_fields; i++) {
                uint64_t value = hello->fields[i].value;

                device->hello.fields[i].value = value;
                if (hello->fields[i].writable || hello->fields[i].region > 0 ||
                    device->space.fields[i].value == value)
                        continue;
                config_space_set(&device->space, i, value);
                changed = true;
        }
        if (changed && device->front.config_changed)
                device->front.config_changed(device->front.context);
}

/* Where its one lane may be placed with the worker; NULL: it is not to be. */
static const struct place_host *device_place_host(const struct device *device)
{
        return device_config_may_place(device->config) ? place_host() : NULL;
}

/* Of a ring that it walks itself a worker is only kicked, and a kick may come twice. */
static bool hello_walks(const struct control_hello *hello)
{
        for (uint32_t i = 0; i < hello->n_queues; i++)
                if (hello->queue_kind[i] != QUEUE_WORK || hello->queue_replay[i] != REPLAY_IDEMPOTENT)
                        return false;
        return true;
}

static int on_hello(void *context, const struct control_hello *hello)
{
        struct device *device = context;
        int r;

        if (hello->device_type != device->type->virtio_id || hello->n_queues != device->config->n_queues)
                return -EPROTO;
        if (hello->features & ~features_of_type(hello->device_type))
                return -EPROTO;
        if (hello->area.len > device->supervisor.configure.area_len)
                return -EPROTO;
        if (device->windows.raw && !hello_walks(hello))
                return -EPROTO;
        device->area = hello->area;
        if (device->have_hello) {
                if (!control_hello_equal(&device->hello, hello))
                        return -EPROTO;
                renew_space(device, hello);
                return device_shmem_hello(device, hello->maps);
        }
        device->hello = *hello;
        r = make_lanes(device);
        if (r < 0)
                return r;
        device->n_queues = hello->n_queues;
        if (device->config->request_timeout > 0)
                device_call_set_max_age(device, UINT64_C(1000) * device->config->request_timeout);
        device_call_set_raw(device);
        device_call_set_rate(device);
        device_call_set_type(device);
        device_call_set_poll(device);
        device_call_set_place(device, device_place_host(device));
        config_space_init(&device->space, hello);
        device_shmem_place_fields(device);
        return device_shmem_hello(device, hello->maps);
}

static int send_queue(struct device *device, unsigned queue, worker_link_done done)
{
        struct control_to_worker message = {.kind = CONTROL_START_QUEUE, .start_queue = {.queue = queue}};

        if (device->windows.raw)
                message.start_queue = device_call_ring(device, queue);
        message.start_queue.size = device->queues[queue].size;
        return supervisor_send(&device->supervisor, &message, done, &device->queues[queue]);
}

void device_worker_send_features(struct device *device)
{
        struct control_to_worker message = {
            .kind = CONTROL_SET_FEATURES,
            .set_features = {.features = features_for_worker(device->committed)}};

        device->told = message.set_features.features;
        supervisor_send(&device->supervisor, &message, NULL, NULL);
}

/* A worker that is being primed has refused a value. Every value but that of the last write has been taken by
 * some worker before: so it is that one, the field goes back to what it was, and the worker is told that. */
static void take_back_config(struct device *device, int error)
{
        uint32_t field = device->config_field;
        uint64_t first = device->hello.fields[field].value, before = first;

        if (device->config_waits && device->space.fields[field].value != device->config_before)
                before = device->config_before;
        device_refuse_config(device, before);
        device->config_error = error;
        if (before != first)
                device_worker_send_config(device, field, NULL, NULL);
}

static void on_config_primed(void *context, int error)
{
        struct device *device = context;

        if (error == -ECANCELED)
                return;
        if (error < 0)
                take_back_config(device, error);
        supervisor_try_serving(&device->supervisor);
}

bool device_worker_send_config(struct device *device, uint32_t field, worker_link_done done, void *context)
{
        struct control_to_worker message = {
            .kind = CONTROL_CONFIG_WRITE,
            .config_write = {.field = field, .value = device->space.fields[field].value}};

        if (device->supervisor.state == WORKER_SERVING)
                return supervisor_send(&device->supervisor, &message, done, context) == 0;
        supervisor_send(&device->supervisor, &message, on_config_primed, device);
        return false;
}

static void on_queue_told(void *context, int error)
{
        struct device_queue *queue = context;
        struct device *device = queue->device;

        queue->untold--;
        if (error == -ECANCELED)
                return; /* the next worker is told of it by on_prime */
        if (error < 0)
                supervisor_fault(&device->supervisor, "refused a queue");
        else if (queue->untold == 0 && queue->running)
                device_call_release(device, (unsigned)(queue - device->queues));
}

void device_worker_send_queue(struct device *device, unsigned queue)
{
        /* While it is primed, all queues are released together by on_serving. */
        bool serving = device->supervisor.state == WORKER_SERVING;

        if (send_queue(device, queue, serving ? on_queue_told : NULL) == 0 && serving)
                device->queues[queue].untold++;
}

/* What a new worker must know before it may be given requests. */
static void on_prime(void *context)
{
        struct device *device = context;

        if (!device->have_hello) {
                device->have_hello = true;
                if (device->owner.ready)
                        device->owner.ready(device->owner.context, device);
        }
        if (device->committed)
                device_worker_send_features(device);
        for (uint32_t i = 0; i < device->space.n_fields; i++)
                if (device->space.fields[i].writable &&
                    device->space.fields[i].value != device->hello.fields[i].value)
                        device_worker_send_config(device, i, NULL, NULL);
        device_setting_prime(device);
        /* Before the queues: a worker prepares a queue by what its predecessor knew of it. */
        supervisor_send_state(&device->supervisor);
        for (unsigned i = 0; i < device->n_queues; i++)
                if (device->queues[i].running)
                        send_queue(device, i, NULL);
}

/* The write that a predecessor did not live to take: not earlier, because it may promise something of what
 * was done before (a disk's data is stable when `writeback` has become 0). */
static void settle_waiting_config(struct device *device)
{
        if (!device->config_waits)
                return;
        device->config_waits = false;
        device->config_settled = true;
        uv_async_send(&device->reported);
}

/* May we copy to this worker? Its pid stays its own only while there is a spawner to keep it (Reap). */
static bool may_copy(struct device *device)
{
        int r;

        if (device->area.len == 0 || !spawner_client_alive(device->supervisor.spawner))
                return false;
        r = direct_probe(device->supervisor.pid);
        if (r < 0 && r != -ESRCH && !device->direct_told) {
                device->direct_told = true;
                log_warning("the kernel refuses to copy from guest memory to the worker (errno=%d): bytes go "
                            "with its messages, which is slower dev=%s",
                            -r, device->config->name);
        }
        return r == 0;
}

/* May we move this worker? As with copies. */
static bool may_move(struct device *device)
{
        const struct place_host *host = device_place_host(device);
        int r;

        if (!host || !spawner_client_alive(device->supervisor.spawner))
                return false;
        r = lane_place_probe(host, (pid_t)device->supervisor.pid);
        if (r < 0 && r != -ESRCH && !device->place_told) {
                device->place_told = true;
                log_warning(
                    "the kernel refuses to move the worker to another CPU (errno=%d): its placement is "
                    "free dev=%s",
                    -r, device->config->name);
        }
        return r == 0;
}

static void on_serving(void *context, struct fd_duplex *lanes, unsigned n_lanes)
{
        struct device *device = context;
        struct direct_peer peer = {.pid = device->supervisor.pid, .area = device->area};
        bool movable = may_move(device);

        device->direct = may_copy(device);
        device_call_isolate(device);
        for (unsigned i = 0; i < n_lanes && i < device->n_lanes; i++) {
                peer.area.at = device->area.at + (uint64_t)i * device->area.len;
                fd_set_nonblock(lanes[i].in);
                fd_set_nonblock(lanes[i].out);
                device_call_attach(device, i, &lanes[i], device->direct ? &peer : NULL, movable);
        }
        settle_waiting_config(device);
        device_shmem_settle(device);
        if (device->front.ready)
                device->front.ready(device->front.context);
}

/* Counters of the dead are kept, and do not begin anew when a worker has lied. */
static void keep_counters(struct device *device)
{
        for (unsigned i = 0; i < device->type->n_counters; i++)
                if (__builtin_add_overflow(device->counters[i], device->counting[i], &device->counters[i]))
                        device->counters[i] = UINT64_MAX;
        memset(device->counting, 0, sizeof(device->counting));
}

static int on_counted(void *context, const uint64_t *counters, size_t n)
{
        struct device *device = context;

        if (n != device->type->n_counters)
                return -EPROTO;
        for (size_t i = 0; i < n; i++)
                device->counting[i] = counters[i];
        return 0;
}

static void on_lost(void *context)
{
        struct device *device = context;

        keep_counters(device);
        device_call_detach(device);
        device->direct = false;
        atomic_store(&device->fault, NULL);
        atomic_store(&device->isolated, false);
        if (device->hopeless)
                supervisor_condemn(&device->supervisor,
                                   "a request kills its workers even when it is only to be failed");
        device->hopeless = false;
}

/* What it has mapped while it was primed is as much a dead worker's. */
static void on_ended(void *context)
{
        device_shmem_lost(context);
}

static uint64_t on_completed(void *context)
{
        return device_call_completed(context);
}

/* What is lent waits for the host, which may have nothing to say. */
static bool on_idle(void *context)
{
        const struct device *device = context;

        for (unsigned i = 0; i < device->n_lanes; i++) {
                const struct lane_stats *stats = lane_thread_stats(device->lanes[i]);

                if (atomic_load(&stats->outstanding) > atomic_load(&stats->lent))
                        return false;
        }
        return true;
}

/* Is a value of the driver's on its way to the worker? What the worker says of that field meanwhile is older.
 */
static bool field_is_under_way(const struct device *device, uint32_t field)
{
        if (!device->space.fields[field].writable)
                return false;
        return device->supervisor.state == WORKER_PRIMING ||
               (device->config_busy && !device->config_settled && device->config_field == field);
}

static int on_config_space(void *context, const uint64_t *values, size_t n)
{
        struct device *device = context;
        uint64_t taken[LIMIT_CONFIG_FIELDS];
        bool changed;
        int r;

        if (n != device->space.n_fields)
                return -EPROTO;
        for (uint32_t i = 0; i < n; i++)
                taken[i] = field_is_under_way(device, i) || device->space.fields[i].region > 0
                               ? device->space.fields[i].value
                               : values[i];
        r = config_space_update(&device->space, taken, n, &changed);
        if (r == 0 && changed && device->front.config_changed)
                device->front.config_changed(device->front.context);
        return r;
}

void device_worker_fail_queue(struct device *device, unsigned queue)
{
        if (!device_type_fails(device->type)) {
                device_call_break(device);
                return;
        }
        device_call_release(device, queue);
        report_broken(device, queue);
}

/* Every request fails from now on where the type has an error to say; the front end is told of each ring. */
static void fail_all(struct device *device)
{
        if (!device_type_fails(device->type)) {
                device_call_break(device);
                device_stop_hurry(device);
                return;
        }
        device_call_fail_begin(device);
        for (unsigned i = 0; i < device->n_queues; i++)
                if (device->queues[i].running)
                        report_broken(device, i);
}

static void on_failed(void *context, bool quarantined, const char *why)
{
        struct device *device = context;

        if (quarantined) {
                device->broken = true;
                device_shmem_revoke(device);
                fail_all(device);
                device->config_error = device->config_waits ? -EIO : device->config_error;
                settle_waiting_config(device);
        } else if (device->supervisor.spawner_mute) {
                device_stop_hurry(device);
        }
        if (device->owner.failed)
                device->owner.failed(device->owner.context, device, quarantined, why);
}

static int on_memory(void *context, int ret_fds[static LIMIT_SHMEM_REGIONS])
{
        return device_shmem_memory(context, ret_fds);
}

static int on_shmem(void *context, const struct control_to_broker *message)
{
        return device_shmem_message(context, message);
}

static bool on_primed(void *context)
{
        return device_shmem_is_primed(context);
}

static int on_iommu(void *context, const struct control_to_broker *message)
{
        return device_iommu_message(context, message);
}

static void on_said(void *context)
{
        struct device *device = context;

        for (unsigned i = 0; i < device->n_lanes; i++)
                lane_thread_told(device->lanes[i]);
}

const struct supervisor_ops device_supervisor_ops = {
    .memory = on_memory,
    .primed = on_primed,
    .shmem = on_shmem,
    .iommu = on_iommu,
    .hello = on_hello,
    .prime = on_prime,
    .serving = on_serving,
    .lost = on_lost,
    .ended = on_ended,
    .completed = on_completed,
    .idle = on_idle,
    .config_space = on_config_space,
    .said = on_said,
    .counted = on_counted,
    .failed = on_failed,
};
