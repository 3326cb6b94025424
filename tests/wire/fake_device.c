/* A device without workers. Owns its copies of descriptors and memory, as a real one. TRUST: sees judged
 * values of the session under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/wire/fake_device.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

#define FAKE_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28 | 1u << 9)

void fake_device_init(struct device *device)
{
        memset(device, 0, sizeof(*device));
        device->ready = true;
        device->features = FAKE_FEATURES;
        device->config_size = 60;
        for (unsigned i = 0; i < device->config_size; i++)
                device->config[i] = (uint8_t)(i * 3 + 1);
        for (unsigned i = 0; i < FAKE_QUEUES; i++)
                device->queues[i].kick = device->queues[i].call = -1;
}

static void fake_queue_forget(struct fake_queue *queue)
{
        cleanup_close(&queue->kick);
        cleanup_close(&queue->call);
        queue->kick = queue->call = -1;
        queue->running = false;
}

void fake_device_done(struct device *device)
{
        device->hold = false;
        fake_device_turn(device);
        for (unsigned i = 0; i < FAKE_QUEUES; i++)
                fake_queue_forget(&device->queues[i]);
        device->memory = guest_memory_unref(device->memory);
}

/* A split index is one of 16 bits; a packed base is left as it is. */
static uint32_t next_base(const struct device *device, const struct fake_queue *queue)
{
        uint32_t base = queue->base + FAKE_BASE_STEP;

        return device->committed & FAKE_PACKED ? base : (uint16_t)base;
}

void fake_device_turn(struct device *device)
{
        if (device->hold)
                return;
        if (device->written)
                take_ptr(device->written)(device->written_context, device->write_result);
        for (unsigned i = 0; i < FAKE_QUEUES; i++) {
                struct fake_queue *queue = &device->queues[i];

                if (!queue->stopped)
                        continue;
                fake_queue_forget(queue);
                take_ptr(queue->stopped)(queue->stopped_context, next_base(device, queue));
        }
}

bool fake_device_any_running(const struct device *device)
{
        for (unsigned i = 0; i < FAKE_QUEUES; i++)
                if (device->queues[i].running)
                        return true;
        return false;
}

/* ---- device.h ---- */

void device_attach(struct device *device, const struct device_front *front)
{
        device->front = front ? *front : (struct device_front){0};
}

const char *device_name(const struct device *device)
{
        (void)device;
        return "fake0";
}

uint32_t device_virtio_id(const struct device *device)
{
        (void)device;
        return FAKE_VIRTIO_ID;
}

bool device_is_ready(const struct device *device)
{
        return device->ready;
}

unsigned device_n_queues(const struct device *device)
{
        (void)device;
        return FAKE_QUEUES;
}

uint64_t device_features(const struct device *device)
{
        return device->features;
}

int device_commit_features(struct device *device, uint64_t features)
{
        if (!(features & UINT64_C(1) << 32))
                return -EPROTO;
        if (fake_device_any_running(device) && features != device->committed)
                return -EBUSY;
        device->committed = features & device->features;
        device->commits++;
        return 0;
}

int device_config_read(const struct device *device, uint32_t offset, uint32_t len, uint8_t *ret_bytes)
{
        if (!range_inside(offset, len, LIMIT_CONFIG_BYTES))
                return -EINVAL;
        memcpy(ret_bytes, device->config + offset, len);
        return 0;
}

uint32_t device_config_size(const struct device *device)
{
        return device->config_size;
}

int device_config_write(struct device *device, uint32_t offset, uint32_t len, const uint8_t *bytes,
                        void (*done)(void *context, int error), void *context)
{
        if (device->write_error)
                return device->write_error;
        if (!range_inside(offset, len, device->config_size))
                return -EINVAL;
        if (device->written)
                return -EBUSY;
        memcpy(device->config + offset, bytes, len);
        device->writes++;
        device->written = done;
        device->written_context = context;
        return 0;
}

int device_set_memory(struct device *device, struct guest_memory *memory)
{
        if (device->memory_error)
                return device->memory_error;
        guest_memory_unref(device->memory);
        device->memory = memory ? guest_memory_ref(memory) : NULL;
        device->memory_changes++;
        return 0;
}

int device_queue_start(struct device *device, unsigned queue, const struct queue_layout *layout,
                       uint32_t base, int kick_fd, int call_fd)
{
        struct fake_queue *q = &device->queues[queue];

        if (device->start_error)
                return device->start_error;
        if (q->running || q->stopped)
                return -EBUSY;
        if (layout->size > LIMIT_RING_SIZE ||
            !(is_power_of_2(layout->size) || device->committed & FAKE_PACKED))
                return -EINVAL;
        q->layout = *layout;
        q->base = base;
        q->kick = fcntl(kick_fd, F_DUPFD_CLOEXEC, 0);
        q->call = call_fd < 0 ? -1 : fcntl(call_fd, F_DUPFD_CLOEXEC, 0);
        q->running = true;
        q->starts++;
        return 0;
}

int device_queue_set_call(struct device *device, unsigned queue, int call_fd)
{
        struct fake_queue *q = &device->queues[queue];

        cleanup_close(&q->call);
        q->call = call_fd < 0 ? -1 : fcntl(call_fd, F_DUPFD_CLOEXEC, 0);
        q->calls_set++;
        return 0;
}

bool device_signal(struct device *device, int fd)
{
        uint64_t one = 1;
        ssize_t n = write(fd, &one, sizeof(one));

        (void)device;
        return n >= 0 || errno != EINTR;
}

void device_queue_stop(struct device *device, unsigned queue, void (*stopped)(void *context, uint32_t base),
                       void *context)
{
        struct fake_queue *q = &device->queues[queue];

        q->stops++;
        q->stopped = stopped;
        q->stopped_context = context;
}

bool device_queue_running(const struct device *device, unsigned queue)
{
        return device->queues[queue].running;
}

/* What was pending is canceled. */
void device_reset(struct device *device)
{
        for (unsigned i = 0; i < FAKE_QUEUES; i++) {
                device->queues[i].stopped = NULL;
                fake_queue_forget(&device->queues[i]);
        }
        device->written = NULL;
        device->resets++;
}
