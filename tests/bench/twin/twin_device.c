/* The twin as a device.
 * Owns the disk, the rings and a reference on the memory; called by the session and by the loop, in the one
 * thread that there is. TRUST: values of the session are judged, layouts by queue_start.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/twin/twin_device.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "broker/core/features.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"
#include "workers/blk/blk_config.h"

static void on_later(uv_timer_t *timer);

static bool is_cut(const struct device *device)
{
        return device->walker.pid > 0;
}

int twin_device_init(struct device *device, uv_loop_t *loop, const char *path, unsigned n_queues,
                     bool map_image, const struct walker *walker, int epoll)
{
        int r;

        *device =
            (struct device){.n_queues = n_queues, .epoll = epoll, .disk.file.fd = -1, .walker = *walker};
        for (unsigned i = 0; i < LIMIT_QUEUES; i++)
                device->rings[i].kick = device->rings[i].call = -1;
        r = twin_disk_open(&device->disk, path, n_queues, map_image);
        if (r < 0)
                return r;
        config_space_init(&device->space, &device->disk.hello);
        for (unsigned i = 0; i < n_queues && r == 0; i++)
                r = twin_ring_init(&device->rings[i], (uint16_t)device->disk.hello.max_segments);
        if (r < 0)
                return r;
        r = shmem_new(NULL, 0, &(struct shmem_limits){0}, &device->shmem);
        if (r < 0)
                return r;
        uv_timer_init(loop, &device->later);
        device->later.data = device;
        return 0;
}

void twin_device_done(struct device *device)
{
        uv_close((uv_handle_t *)&device->later, NULL);
        walker_done(&device->walker);
        for (unsigned i = 0; i < device->n_queues; i++)
                twin_ring_done(&device->rings[i]);
        device->memory = guest_memory_unref(device->memory);
        device->shmem = shmem_free(device->shmem);
        twin_disk_close(&device->disk);
}

/* ---- serving ---- */

static void tell_broken(struct device *device, unsigned index)
{
        struct twin_ring *ring = &device->rings[index];

        if (!ring->told_broken && device->front.broken) {
                ring->told_broken = true;
                device->front.broken(device->front.context, index, ring->queue.fault);
        }
}

/* To sleep, unless a chain came while that was said. */
static void ring_sleep(struct device *device, unsigned index)
{
        if (queue_want_kicks(&device->rings[index].queue) <= 0)
                device->active &= ~(UINT64_C(1) << index);
}

unsigned twin_device_serve(struct device *device, const struct twin_batch *batch, bool awake)
{
        unsigned served = 0;

        for (uint64_t left = device->active; left != 0; left &= left - 1) {
                unsigned index = (unsigned)__builtin_ctzll(left);
                int n = twin_ring_serve(&device->rings[index], &device->disk, batch);

                if (n < 0)
                        tell_broken(device, index);
                if (n <= 0 && !awake)
                        ring_sleep(device, index);
                served += n > 0 ? (unsigned)n : 0;
        }
        return served;
}

int twin_device_serve_walker(struct device *device)
{
        return walker_serve(&device->walker, device->memory);
}

/* ---- callbacks that are due ---- */

static void on_later(uv_timer_t *timer)
{
        struct device *device = timer->data;

        if (device->written)
                take_ptr(device->written)(device->written_context, device->write_result);
        for (unsigned i = 0; i < device->n_queues; i++) {
                struct twin_stop *stop = &device->stops[i];

                if (stop->stopped)
                        take_ptr(stop->stopped)(stop->context, stop->base);
        }
}

/* ---- device.h ---- */

void device_attach(struct device *device, const struct device_front *front)
{
        device->front = front ? *front : (struct device_front){0};
}

const char *device_name(const struct device *device)
{
        (void)device;
        return "twin";
}

bool device_is_ready(const struct device *device)
{
        (void)device;
        return true;
}

unsigned device_n_queues(const struct device *device)
{
        return device->n_queues;
}

unsigned device_queue_groups(const struct device *device)
{
        (void)device;
        return 1;
}

/* The walker knows split rings. */
uint64_t device_features(const struct device *device)
{
        uint64_t offered =
            features_offered(device->disk.hello.device_type, device->disk.hello.features, GUEST_MODERN);

        return is_cut(device) ? offered & ~FEATURE_BIT(VIRTIO_F_RING_PACKED_BIT) : offered;
}

static bool any_running(const struct device *device)
{
        for (unsigned i = 0; i < device->n_queues; i++)
                if (device_queue_running(device, i))
                        return true;
        return false;
}

void device_show_features(struct device *device, uint64_t offered, uint64_t agreed)
{
        (void)device;
        (void)offered;
        (void)agreed;
}

int device_commit_features(struct device *device, uint64_t features)
{
        uint64_t committed;
        int r = features_commit(GUEST_MODERN, device_features(device), features, &committed);

        if (r < 0)
                return r;
        if (committed != device->committed && any_running(device))
                return -EBUSY;
        device->committed = committed;
        device->disk.features = features_for_worker(committed);
        return 0;
}

int device_config_read(const struct device *device, uint32_t offset, uint32_t len, uint8_t *ret_bytes)
{
        return config_space_read(&device->space, false, offset, len, ret_bytes);
}

uint32_t device_config_size(const struct device *device)
{
        return device->space.size;
}

bool device_config_is_vmms(const struct device *device)
{
        (void)device;
        return false;
}

static int set_writeback(struct device *device, bool writeback)
{
        int r = twin_disk_set_writeback(&device->disk, writeback);

        return r == 0 && is_cut(device) ? walker_set_writeback(&device->walker, device->memory, writeback)
                                        : r;
}

int device_config_write(struct device *device, uint32_t offset, uint32_t len, const uint8_t *bytes,
                        void (*done)(void *context, int error), void *context)
{
        uint64_t value;
        uint32_t field;
        int r = config_space_judge_write(&device->space, &(struct config_order){0}, offset, len, bytes,
                                         &field, &value);

        if (r < 0)
                return r;
        if (device->written)
                return -EBUSY;
        device->write_result = value > 1 ? -EINVAL : set_writeback(device, value == 1);
        if (device->write_result == 0)
                config_space_set(&device->space, field, value);
        device->written = done;
        device->written_context = context;
        uv_timer_start(&device->later, on_later, 0, 0);
        return 0;
}

int device_set_memory(struct device *device, struct guest_memory *memory)
{
        guest_memory_unref(device->memory);
        device->memory = memory ? guest_memory_ref(memory) : NULL;
        for (unsigned i = 0; i < device->n_queues; i++)
                if (device->rings[i].queue.started && queue_rebind(&device->rings[i].queue, memory) < 0)
                        device->active |= UINT64_C(1) << i; /* broken: told from the loop */
        return 0;
}

/* A disk has no regions. */
const struct shmem *device_shmem(const struct device *device)
{
        return device->shmem;
}

void device_shmem_shown(struct device *device, struct shmem_mapping *mapping, int error)
{
        (void)device;
        (void)mapping;
        (void)error;
        assert(false);
}

/* ---- translations: none ---- */

bool device_may_translate(const struct device *device)
{
        (void)device;
        return false;
}

int device_translate(struct device *device, bool on)
{
        (void)device;
        return on ? -EOPNOTSUPP : 0;
}

int device_iotlb_update(struct device *device, const struct iotlb_entry *entry)
{
        (void)device;
        (void)entry;
        return -EPERM;
}

int device_iotlb_invalidate(struct device *device, uint64_t iova, uint64_t len)
{
        (void)device;
        (void)iova;
        (void)len;
        return -EPERM;
}

void device_iotlb_missed(struct device *device, uint64_t iova)
{
        (void)device;
        (void)iova;
}

/* ---- queues ---- */

static int duplicate(int fd, int *ret_fd)
{
        int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);

        if (copy < 0 && fd >= 0)
                return -errno;
        if (copy >= 0)
                fd_set_nonblock(copy);
        *ret_fd = copy;
        return 0;
}

static int watch(const struct device *device, unsigned queue, int kick)
{
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = queue};

        return epoll_ctl(device->epoll, EPOLL_CTL_ADD, kick, &event) < 0 ? -errno : 0;
}

/* The descriptor is shared with the front end: closing ours does not end the watch. */
static void unwatch(const struct device *device, int kick)
{
        uint64_t kicks;

        (void)epoll_ctl(device->epoll, EPOLL_CTL_DEL, kick, NULL);
        (void)!read(kick, &kicks, sizeof(kicks)); /* nobody has read it till now */
}

static int start_walked(struct device *device, unsigned queue, const struct queue_layout *layout,
                        const struct queue_features *features, uint32_t base, int kick, int call)
{
        const struct walker_start start = {.layout = *layout,
                                           .features = *features,
                                           .base = base,
                                           .driver = device->disk.features,
                                           .writeback = device->disk.writeback_field};
        int r = queue_layout_ok(layout, false)
                    ? walker_start_queue(&device->walker, device->memory, queue, &start, kick, call)
                    : -EINVAL;

        if (r == 0)
                device->walked |= UINT64_C(1) << queue;
        return r;
}

static int start_here(struct device *device, unsigned queue, const struct queue_layout *layout,
                      const struct queue_features *features, uint32_t base, int *kick, int *call)
{
        int r = watch(device, queue, *kick);

        if (r < 0)
                return r;
        r = twin_ring_start(&device->rings[queue], device->memory, layout, features, base, *kick, *call);
        if (r < 0) {
                unwatch(device, *kick);
                return r;
        }
        take_fd(kick);
        take_fd(call);
        device->active |= UINT64_C(1) << queue;
        return 0;
}

int device_queue_start(struct device *device, unsigned queue, const struct queue_layout *layout,
                       uint32_t base, int kick_fd, int call_fd)
{
        const struct queue_features features = {
            .indirect = device->committed & FEATURE_BIT(VIRTIO_F_INDIRECT_DESC_BIT),
            .event_idx = device->committed & FEATURE_BIT(VIRTIO_F_EVENT_IDX_BIT),
            .packed = device->committed & FEATURE_BIT(VIRTIO_F_RING_PACKED_BIT)};
        _cleanup_close_ int kick = -1;
        _cleanup_close_ int call = -1;
        int r;

        if (queue >= device->n_queues)
                return -EINVAL;
        if (device_queue_running(device, queue))
                return -EBUSY;
        r = duplicate(kick_fd, &kick);
        if (r == 0)
                r = duplicate(call_fd, &call);
        if (r < 0)
                return r;
        return is_cut(device) ? start_walked(device, queue, layout, &features, base, kick, call)
                              : start_here(device, queue, layout, &features, base, &kick, &call);
}

int device_queue_set_call(struct device *device, unsigned queue, int call_fd)
{
        struct twin_ring *ring;
        int copy = -1, r;

        if (queue >= device->n_queues)
                return -EINVAL;
        ring = &device->rings[queue];
        if (!device_queue_running(device, queue))
                return 0;
        r = duplicate(call_fd, &copy);
        if (r < 0)
                return r;
        cleanup_close(&ring->call); /* -1 of a ring that is walked: the walker has a copy of its own */
        ring->call = copy;
        if (is_cut(device))
                r = walker_set_call(&device->walker, device->memory, queue, copy);
        /* A completion may have been signaled to the old descriptor just before it was replaced. */
        if (copy >= 0)
                (void)device_signal(device, copy);
        return r;
}

bool device_signal(struct device *device, int fd)
{
        uint64_t one = 1;

        (void)device;
        (void)!write(fd, &one, sizeof(one));
        return true;
}

static uint32_t stop_now(struct device *device, unsigned queue)
{
        if (is_cut(device)) {
                int base = walker_stop_queue(&device->walker, device->memory, queue);

                device->walked &= ~(UINT64_C(1) << queue);
                (void)twin_ring_stop(&device->rings[queue]);
                return base < 0 ? 0 : (uint32_t)base;
        }
        device->active &= ~(UINT64_C(1) << queue);
        unwatch(device, device->rings[queue].kick);
        return twin_ring_stop(&device->rings[queue]);
}

/* Nothing is ever outstanding between two turns of the loop. */
void device_queue_stop(struct device *device, unsigned queue, void (*stopped)(void *context, uint32_t base),
                       void *context)
{
        device->stops[queue] =
            (struct twin_stop){.stopped = stopped, .context = context, .base = stop_now(device, queue)};
        uv_timer_start(&device->later, on_later, 0, 0);
}

bool device_queue_running(const struct device *device, unsigned queue)
{
        return queue < device->n_queues &&
               (device->rings[queue].queue.started || device->walked & UINT64_C(1) << queue);
}

void device_reset(struct device *device)
{
        device->written = NULL;
        for (unsigned i = 0; i < device->n_queues; i++) {
                device->stops[i].stopped = NULL;
                if (device_queue_running(device, i))
                        (void)stop_now(device, i);
        }
        device->committed = device->disk.features = 0;
        device->disk.writeback_field = true;
        config_space_set(&device->space, BLK_FIELD_WRITEBACK, 1);
}
