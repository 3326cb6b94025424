/* A device: what a front end calls.
 *
 * How it works: the front end starts and stops queues; the lanes serve them; the supervisor replaces the
 * worker under them. A queue that starts while the worker serves is held until the worker has been told of
 * it.
 *
 * Owns nothing that device_life.c does not free; called by the front ends, on the main thread. TRUST:
 * features, config accesses and layouts are a guest's or a VMM's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/device.h"

#include <errno.h>
#include <fcntl.h>

#include "broker/core/device_state.h"
#include "broker/core/features.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"
#include "proto/base/log.h"

void device_attach(struct device *device, const struct device_front *front)
{
        device_shmem_hide_all(device);
        device_iotlb_end(device);
        device->front = front ? *front : (struct device_front){0};
        device_shmem_show_all(device);
}

const char *device_name(const struct device *device)
{
        return device->config->name;
}

uint32_t device_virtio_id(const struct device *device)
{
        return device->type->virtio_id;
}

bool device_is_ready(const struct device *device)
{
        return device->have_hello;
}

unsigned device_n_queues(const struct device *device)
{
        return device->n_queues;
}

unsigned device_queue_groups(const struct device *device)
{
        uint32_t group = device->type->queue_group;

        return group > 1 ? device_n_queues(device) / group : 1;
}

uint64_t device_features(const struct device *device)
{
        const uint64_t offered =
            features_offered(device->type->virtio_id, device->hello.features, device->front.format);

        return device->windows.raw ? offered & ~FEATURES_OF_WALKERS : offered;
}

bool device_any_running(const struct device *device)
{
        for (unsigned i = 0; i < device->n_queues; i++)
                if (device->queues[i].running)
                        return true;
        return false;
}

int device_commit_features(struct device *device, uint64_t features)
{
        uint64_t committed;
        int r = features_commit(device->front.format, device_features(device), features, &committed);

        if (r < 0)
                return r;
        if (committed == device->committed)
                return 0;
        if (device_any_running(device))
                return -EBUSY;
        device->committed = committed;
        device_worker_send_features(device);
        return 0;
}

void device_show_features(struct device *device, uint64_t offered, uint64_t agreed)
{
        device->offered = offered;
        device->agreed = agreed;
}

int device_config_read(const struct device *device, uint32_t offset, uint32_t len, uint8_t *ret_bytes)
{
        return config_space_read(&device->space, device->front.format == GUEST_LEGACY_BIG, offset, len,
                                 ret_bytes);
}

uint32_t device_config_size(const struct device *device)
{
        return device->space.size;
}

bool device_config_is_vmms(const struct device *device)
{
        return device->type->vmm_config;
}

void device_settle_config(struct device *device)
{
        void (*done)(void *context, int error) = device->config_written;

        device->config_busy = false;
        device->config_settled = false;
        device->config_written = NULL;
        if (done)
                done(device->config_context, device->config_error);
}

/* The guest's doing, not the worker's: a value is judged by the worker alone. */
void device_refuse_config(struct device *device, uint64_t value)
{
        log_limited(LOG_LEVEL_WARNING, "guest wrote a value that its device does not take dev=%s field=%u",
                    device->config->name, device->config_field);
        config_space_set(&device->space, device->config_field, value);
}

static void on_config_written(void *context, int error)
{
        struct device *device = context;

        device_call_unhold(device);
        if (error == -ECANCELED && device->supervisor.state != WORKER_QUARANTINED) {
                device->config_error = 0;
                device->config_waits = true; /* for the successor, which is told when it is primed */
                return;
        }
        if (error == -ECANCELED)
                error = 0; /* there is none: the value stands until the reset */
        if (error < 0)
                device_refuse_config(device, device->config_before);
        device->config_error = error;
        device->config_settled = true;
        uv_async_send(&device->reported); /* the answer never comes from inside a call of the front end */
}

int device_config_write(struct device *device, uint32_t offset, uint32_t len, const uint8_t *bytes,
                        void (*done)(void *context, int error), void *context)
{
        const struct config_order order = {.big_endian = device->front.format == GUEST_LEGACY_BIG,
                                           .parts = device->front.format != GUEST_MODERN};
        uint64_t value;
        uint32_t field;
        int r = config_space_judge_write(&device->space, &order, offset, len, bytes, &field, &value);

        if (r < 0)
                return r;
        if (device->config_busy)
                return -EBUSY;
        device->config_busy = true;
        device->config_field = field;
        device->config_before = device->space.fields[field].value;
        config_space_set(&device->space, field, value);
        device->config_written = done;
        device->config_context = context;
        /* Requests that the driver posts after its write must not overtake it on the lane. */
        device_call_hold(device);
        if (!device_worker_send_config(device, field, on_config_written, device))
                on_config_written(device, -ECANCELED);
        return 0;
}

int device_set_memory(struct device *device, struct guest_memory *memory)
{
        struct guest_memory *view = NULL;
        int r = device_windows_view(&device->windows, memory, &view);

        device_iotlb_set_memory(device, view); /* on failure: nothing at all */
        (void)guest_memory_unref(view);
        return r;
}

bool device_may_translate(const struct device *device)
{
        return device->config->memory.iotlb;
}

/* A descriptor of our own of an eventfd that a front end handed us. */
static int duplicate(int fd, _Bool wanted, int *ret_fd)
{
        int copy = -1;

        if (wanted) {
                copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                if (copy < 0)
                        return -errno;
                fd_set_nonblock(copy);
        }
        *ret_fd = copy;
        return 0;
}

int device_queue_start(struct device *device, unsigned queue, const struct queue_layout *layout,
                       uint32_t base, int kick_fd, int call_fd)
{
        _cleanup_close_ int kick = -1;
        _cleanup_close_ int interrupt = -1;
        const struct queue_features features = {
            .indirect = device->committed & FEATURE_BIT(VIRTIO_F_INDIRECT_DESC_BIT),
            .event_idx = device->committed & FEATURE_BIT(VIRTIO_F_EVENT_IDX_BIT),
            .packed = device->committed & FEATURE_BIT(VIRTIO_F_RING_PACKED_BIT),
            .big_endian = device->front.format == GUEST_LEGACY_BIG};
        int r;

        if (queue >= device->n_queues)
                return -EINVAL;
        if (device->queues[queue].running)
                return -EBUSY;
        r = duplicate(kick_fd, true, &kick);
        if (r == 0)
                r = duplicate(call_fd, call_fd >= 0, &interrupt);
        if (r < 0)
                return r;
        r = device_call_start(device, queue, layout, &features, base, kick, interrupt,
                              device->front.interrupt_status);
        if (r == -EFAULT)
                device_windows_refuse_ring(&device->windows, device->config->name, queue, layout,
                                           features.packed);
        if (r < 0)
                return r;
        take_fd(&kick);
        take_fd(&interrupt);
        device->queues[queue].running = true;
        device->queues[queue].size = layout->size;
        device_worker_send_queue(device, queue);
        if (device->supervisor.state == WORKER_QUARANTINED)
                device_worker_fail_queue(device, queue);
        return 0;
}

int device_queue_set_call(struct device *device, unsigned queue, int call_fd)
{
        int copy = -1, r;

        if (queue >= device->n_queues)
                return -EINVAL;
        if (!device->queues[queue].running)
                return 0;
        r = duplicate(call_fd, call_fd >= 0, &copy);
        if (r < 0)
                return r;
        device_call_set_call(device, queue, copy);
        return 0;
}

bool device_signal(struct device *device, int fd)
{
        return device->n_lanes == 0 || device_call_signal(device, fd) != -EINTR;
}

bool device_queue_running(const struct device *device, unsigned queue)
{
        return queue < device->n_queues && device->queues[queue].running;
}

void device_reset(struct device *device)
{
        device->config_written = NULL;
        device_stop_cancel(device);
        device_call_pardon(device);
        device_shmem_reset(device, !supervisor_reset(&device->supervisor));
        /* The supervisor leaves a worker alone that was told nothing, and then nothing is outstanding. */
        for (unsigned i = 0; i < device->n_queues; i++)
                if (device->queues[i].running)
                        device_stop_finish(device, i);
        /* What the driver wrote is undone; what the device says of itself stays. */
        for (uint32_t i = 0; i < device->space.n_fields; i++)
                if (device->space.fields[i].writable)
                        config_space_set(&device->space, i, device->hello.fields[i].value);
        device->config_busy = false;
        device->config_settled = false;
        device->config_waits = false;
        device_iotlb_reset(device);
        device_iommu_reset(device);
        device->committed = device->agreed = device->told = 0;
        device->broken = false;
}
