/* The life of a device: made by main, told apart by ps, freed when its last handle has closed.
 * Owns the device; called by main and the admin server. TRUST: the configuration is judged already.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/device_life.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/core/device_state.h"
#include "proto/base/log.h"
#include "proto/device/blk.h"

static void make_configure(const struct device *device, uint32_t area_len,
                           struct control_configure *ret_configure)
{
        const struct device_config *config = device->config;

        *ret_configure = (struct control_configure){.n_queues = config->n_queues,
                                                    .n_lanes = config->n_lanes,
                                                    .max_payload = LIMIT_FRAME_PAYLOAD,
                                                    .area_len = area_len,
                                                    .poll_us = config->poll_us,
                                                    .type = config->type,
                                                    .options = config->options};
        ret_configure->n_regions = device_regions(config, ret_configure->regions);
        if (config->memory.raw)
                ret_configure->raw = (struct control_raw){.start = config->memory.windows[0].start,
                                                          .size = config->memory.windows[0].size};
        memcpy(ret_configure->name, config->name, sizeof(config->name));
}

int device_new(uv_loop_t *loop, const struct device_config *config, uint32_t area_len, uint32_t index,
               struct spawner_client *spawner, const struct device_owner *owner, struct device **ret_device)
{
        struct device *device = calloc(1, sizeof(*device));
        struct control_configure configure;
        int r;

        if (!device)
                return -ENOMEM;
        device->loop = loop;
        device->config = config;
        device->type = &device_types[config->type];
        device->owner = *owner;
        make_configure(device, area_len, &configure);
        r = device_windows_init(&device->windows, &config->memory);
        if (r == 0)
                r = device_shmem_open(device);
        if (r == 0)
                r = supervisor_init(&device->supervisor, loop, config->name, index, spawner, &configure,
                                    &device_supervisor_ops, device);
        if (r < 0) {
                device_shmem_close(device);
                device_windows_done(&device->windows);
                free(device);
                return r;
        }
        if (device->windows.raw)
                log_warning("the worker reaches guest memory by address, posted or not (memory: raw): dev=%s "
                            "window=%s",
                            config->name, device->windows.text);
        uv_timer_init(loop, &device->drain_timer);
        uv_async_init(loop, &device->reported, device_worker_reported);
        for (unsigned i = 0; i < LIMIT_QUEUES; i++)
                device->queues[i].device = device;
        device->drain_timer.data = device;
        device->reported.data = device;
        device->handles = 3;
        supervisor_start(&device->supervisor);
        *ret_device = device;
        return 0;
}

static void handle_gone(struct device *device)
{
        if (--device->handles > 0)
                return;
        device->freed(device->freed_context);
        device_shmem_close(device);
        device_iotlb_done(device);
        device_windows_done(&device->windows);
        free(device);
}

static void supervisor_gone(void *context)
{
        handle_gone(context);
}

static void handle_closed(uv_handle_t *handle)
{
        handle_gone(handle->data);
}

void device_free(struct device *device, void (*freed)(void *context), void *context)
{
        device->freed = freed;
        device->freed_context = context;
        device_iommu_end(device);
        for (unsigned i = 0; i < device->n_lanes; i++)
                device->lanes[i] = lane_thread_free(device->lanes[i]);
        device->n_lanes = 0;
        supervisor_close(&device->supervisor, supervisor_gone);
        uv_close((uv_handle_t *)&device->drain_timer, handle_closed);
        uv_close((uv_handle_t *)&device->reported, handle_closed);
}

struct supervisor *device_supervisor(struct device *device)
{
        return &device->supervisor;
}

/* A dead worker is init's now, which does not keep its pid for us. */
void device_spawner_gone(struct device *device)
{
        device_call_end_pid(device);
        device->direct = false;
        supervisor_spawner_gone(&device->supervisor);
}

static enum admin_device_state status_state(const struct device *device)
{
        if (device->supervisor.state == WORKER_QUARANTINED)
                return ADMIN_QUARANTINED;
        if (!device->have_hello)
                return ADMIN_STARTING;
        if (device->broken)
                return ADMIN_BROKEN;
        if (device->supervisor.state != WORKER_SERVING)
                return ADMIN_RESTARTING;
        return device_any_running(device) ? ADMIN_RUNNING : ADMIN_READY;
}

void device_companion_is(struct device *device, const struct spawn_to_broker *companion)
{
        device->companion = (struct device_companion){companion->pid, companion->uid, companion->starts};
}

void device_status(const struct device *device, struct admin_device *ret_status)
{
        struct admin_device *status = ret_status;

        strcpy(status->name, device->config->name);
        strcpy(status->type, device->type->name);
        status->state = status_state(device);
        if (status->state == ADMIN_QUARANTINED)
                strcpy(status->why, device->supervisor.why);
        status->pid = device->supervisor.pid;
        status->uid = device->supervisor.uid;
        status->restarts = device->supervisor.restarts;
        status->features = device->committed;
        status->sets = (struct admin_feature_sets){device->offered, device->agreed, device->told};
        device_resources_count(device->config, &status->resources);
        if (device_companion(device->config))
                snprintf(status->companion, sizeof(status->companion), "%s",
                         device_companion(device->config));
        status->companion_pid = device->companion.pid;
        status->companion_uid = device->companion.uid;
        status->companion_starts = device->companion.starts;
        status->n_lanes = device->config->n_lanes;
        device_shmem_status(device, &status->regions);
        device_windows_status(&device->windows, &status->windows);
        device_iotlb_status(device, &status->translations);
        status->rate_ops = device->config->rate.ops;
        status->rate_bytes = device->config->rate.bytes;
        status->seccomp_log = device->config->seccomp_log;
        status->direct = device->direct;
        status->n_counters = device->type->n_counters;
        for (unsigned i = 0; i < device->type->n_counters; i++)
                if (__builtin_add_overflow(device->counters[i], device->counting[i], &status->counters[i]))
                        status->counters[i] = UINT64_MAX;
        for (unsigned i = 0; i < device->n_queues; i++)
                status->queues_running += device->queues[i].running;
        for (unsigned i = 0; i < device->n_lanes; i++) {
                const struct lane_stats *stats = lane_thread_stats(device->lanes[i]);

                status->requests += atomic_load(&stats->requests);
                status->bytes_from_guest += atomic_load(&stats->bytes_from_guest);
                status->bytes_to_guest += atomic_load(&stats->bytes_to_guest);
                status->throttled += atomic_load(&stats->throttled);
                status->outstanding += (uint32_t)atomic_load(&stats->outstanding);
        }
}
