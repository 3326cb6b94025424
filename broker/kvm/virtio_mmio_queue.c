/* virtio-mmio: queue registers, and when they amount to a running queue.
 *
 * How it works by the legacy interface (virtio 1.3, 4.2.4): a queue has one address, QueuePFN, which latches it as QueueReady
 * does, and 0 there ends it. Its driver may kick it before DRIVER_OK: that is the first use, which settles the features and starts it.
 *
 * How it works: size and addresses are only written down. QueueReady 1 latches them: from then on they are not written any
 * more, whatever the driver does, until the queue is idle again. A latched queue starts with DRIVER_OK, or at once when
 * that is there; only then are its addresses judged, by the device. QueueReady 0 drains a running queue, and reads 1 until
 * that is done; Status 0 ends it at once. A queue that is made ready again begins afresh: its driver has zeroed the ring
 * (virtio 1.3, 4.2.3.2).
 *
 * Owns the queues' kick descriptors; called by virtio_mmio.c and virtio_mmio_status.c. TRUST: values are a guest's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "broker/core/features.h"
#include "broker/kvm/virtio_mmio_state.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

static const uint8_t queue_next[MMIO_QUEUE_STATE_COUNT_] = {
    [MMIO_QUEUE_IDLE] = 1u << MMIO_QUEUE_LATCHED,
    [MMIO_QUEUE_LATCHED] = 1u << MMIO_QUEUE_RUNNING | 1u << MMIO_QUEUE_IDLE,
    [MMIO_QUEUE_RUNNING] = 1u << MMIO_QUEUE_STOPPING,
    [MMIO_QUEUE_STOPPING] = 1u << MMIO_QUEUE_IDLE,
};

static void queue_set_state(struct mmio_queue *queue, enum mmio_queue_state state)
{
        assert(queue_next[queue->state] & (1u << state));
        queue->state = state;
}

/* NULL: the device has no such queue. */
static struct mmio_queue *queue_find(struct virtio_mmio *mmio, uint32_t index)
{
        return index < mmio->n_queues ? &mmio->queues[index] : NULL;
}

static unsigned queue_index(const struct mmio_queue *queue)
{
        return (unsigned)(queue - queue->mmio->queues);
}

/* The selected queue, if its registers may be written. */
static struct mmio_queue *queue_open(struct virtio_mmio *mmio)
{
        struct mmio_queue *queue = queue_find(mmio, mmio->queue_sel);

        return queue && queue->state == MMIO_QUEUE_IDLE ? queue : NULL;
}

/* ---- registers ---- */

uint32_t mmio_queue_num_max(const struct virtio_mmio *mmio)
{
        return mmio->queue_sel < mmio->n_queues ? LIMIT_MMIO_QUEUE_SIZE : 0;
}

static bool is_packed(const struct virtio_mmio *mmio)
{
        return mmio->driver_features & FEATURE_BIT(VIRTIO_F_RING_PACKED_BIT);
}

bool mmio_queue_num_write(struct virtio_mmio *mmio, uint32_t value)
{
        struct mmio_queue *queue = queue_open(mmio);

        if (!queue || value == 0 || value > LIMIT_MMIO_QUEUE_SIZE)
                return false;
        if (!is_packed(mmio) && !is_power_of_2(value))
                return false;
        queue->num = (uint16_t)value;
        return true;
}

bool mmio_queue_address_write(struct virtio_mmio *mmio, enum mmio_ring_part part, bool high, uint32_t value)
{
        struct mmio_queue *queue = queue_open(mmio);
        unsigned shift = high ? 32 : 0;

        if (!queue)
                return false;
        queue->address[part] &= ~((uint64_t)UINT32_MAX << shift);
        queue->address[part] |= (uint64_t)value << shift;
        return true;
}

static bool queue_is_used(const struct virtio_mmio *mmio)
{
        return mmio->queue_sel < mmio->n_queues && mmio->queues[mmio->queue_sel].state != MMIO_QUEUE_IDLE;
}

uint32_t mmio_queue_ready(const struct virtio_mmio *mmio)
{
        return queue_is_used(mmio);
}

bool mmio_page_size_write(struct virtio_mmio *mmio, uint32_t value)
{
        if (!is_power_of_2(value))
                return false;
        mmio->page_size = value;
        return true;
}

bool mmio_queue_align_write(struct virtio_mmio *mmio, uint32_t value)
{
        struct mmio_queue *queue = queue_open(mmio);

        if (!queue || !is_power_of_2(value))
                return false;
        queue->align = value;
        return true;
}

uint32_t mmio_queue_pfn(const struct virtio_mmio *mmio)
{
        return queue_is_used(mmio) ? mmio->queues[mmio->queue_sel].pfn : 0;
}

/* ---- start ---- */

static void queue_untie(struct mmio_queue *queue)
{
        if (queue->kick >= 0)
                queue->mmio->host.kick_close(queue->mmio->host.context, queue_index(queue),
                                             take_fd(&queue->kick));
}

/* As the driver has said it. 32 bits of a page number and 32 of its size make an address, so no sum wraps. */
static struct queue_layout ring_layout(const struct mmio_queue *queue)
{
        struct queue_layout layout = {.size = queue->num,
                                      .desc = GPA(queue->address[MMIO_RING_DESC]),
                                      .avail = GPA(queue->address[MMIO_RING_DRIVER]),
                                      .used = GPA(queue->address[MMIO_RING_DEVICE])};

        if (mmio_is_legacy(queue->mmio))
                (void)queue_legacy_layout(queue->num, GPA(queue->address[MMIO_RING_DESC]), queue->align,
                                          &layout);
        return layout;
}

static int ring_start(struct mmio_queue *queue)
{
        const struct queue_layout layout = ring_layout(queue);
        struct virtio_mmio *mmio = queue->mmio;
        uint32_t base = is_packed(mmio) ? QUEUE_PACKED_BASE : 0;

        return device_queue_start(mmio->device, queue_index(queue), &layout, base, queue->kick,
                                  mmio->host.irq_fd);
}

/* A driver does not look whether a queue has become ready: a device that cannot serve it must say so. */
static void queue_fail(struct mmio_queue *queue, const char *why)
{
        queue_untie(queue);
        queue_set_state(queue, MMIO_QUEUE_IDLE);
        mmio_break(queue->mmio, why);
}

static void queue_try_start(struct mmio_queue *queue)
{
        const struct virtio_mmio_host *host = &queue->mmio->host;
        int r = host->kick_open(host->context, queue_index(queue), &queue->kick);

        if (r < 0) {
                queue_fail(queue, "no event descriptor could be had for a queue");
                return;
        }
        r = ring_start(queue);
        if (r == -EINVAL || r == -EFAULT)
                queue_fail(queue,
                           "its driver has set up a queue that is not in memory, or not as it must be");
        else if (r < 0)
                queue_fail(queue, "a queue could not be started");
        else
                queue_set_state(queue, MMIO_QUEUE_RUNNING);
}

/* The first that cannot be served ends it: the device is broken then. */
void mmio_queues_start(struct virtio_mmio *mmio)
{
        for (unsigned i = 0; i < mmio->n_queues && mmio_phase(mmio) == MMIO_PHASE_LIVE; i++)
                if (mmio->queues[i].state == MMIO_QUEUE_LATCHED)
                        queue_try_start(&mmio->queues[i]);
}

/* ---- stop ---- */

static void on_stopped(void *context, uint32_t base)
{
        struct mmio_queue *queue = context;

        (void)base;
        queue_untie(queue);
        queue_set_state(queue, MMIO_QUEUE_IDLE);
}

void mmio_queues_reset(struct virtio_mmio *mmio)
{
        for (unsigned i = 0; i < mmio->n_queues; i++) {
                queue_untie(&mmio->queues[i]);
                mmio->queues[i] = (struct mmio_queue){.mmio = mmio, .kick = -1};
        }
}

/* ---- QueueReady, QueueNotify ---- */

static bool queue_make_ready(struct mmio_queue *queue)
{
        enum mmio_phase phase = mmio_phase(queue->mmio);

        if (queue->state != MMIO_QUEUE_IDLE || queue->num == 0)
                return false;
        if (phase != MMIO_PHASE_OPEN && phase != MMIO_PHASE_SETUP && phase != MMIO_PHASE_LIVE)
                return false;
        queue_set_state(queue, MMIO_QUEUE_LATCHED);
        if (phase == MMIO_PHASE_LIVE)
                queue_try_start(queue);
        return true;
}

static void queue_end(struct mmio_queue *queue)
{
        if (queue->state == MMIO_QUEUE_LATCHED) {
                queue_set_state(queue, MMIO_QUEUE_IDLE);
        } else if (queue->state == MMIO_QUEUE_RUNNING) {
                queue_set_state(queue, MMIO_QUEUE_STOPPING);
                device_queue_stop(queue->mmio->device, queue_index(queue), on_stopped, queue);
        }
}

/* The address is that of the page size at this moment. 0 is permitted at any time. */
bool mmio_queue_pfn_write(struct virtio_mmio *mmio, uint32_t value)
{
        struct mmio_queue *queue = queue_find(mmio, mmio->queue_sel);
        uint32_t before;

        if (!queue)
                return false;
        if (value == 0) {
                queue_end(queue);
                return true;
        }
        if (queue->state != MMIO_QUEUE_IDLE || mmio->page_size == 0 || queue->align == 0)
                return false;
        before = queue->pfn;
        queue->pfn = value;
        queue->address[MMIO_RING_DESC] = (uint64_t)value * mmio->page_size;
        if (queue_make_ready(queue))
                return true;
        queue->pfn = before;
        return false;
}

/* 0 is permitted at any time, also for a queue that is not ready: drivers tidy up so. */
bool mmio_queue_ready_write(struct virtio_mmio *mmio, uint32_t value)
{
        struct mmio_queue *queue = queue_find(mmio, mmio->queue_sel);

        if (!queue || value > 1)
                return false;
        if (value == 1)
                return queue_make_ready(queue);
        queue_end(queue);
        return true;
}

/* A kick before DRIVER_OK is the first use of the device, or of this queue (virtio 1.3, 3.1.2). */
static void queue_use_early(struct mmio_queue *queue)
{
        if (queue->state == MMIO_QUEUE_LATCHED && mmio_phase(queue->mmio) == MMIO_PHASE_OPEN &&
            mmio_features_settle(queue->mmio))
                queue_try_start(queue);
}

/* Most kicks are taken by the eventfd and never come here. */
bool mmio_queue_notify(struct virtio_mmio *mmio, uint32_t index)
{
        struct mmio_queue *queue = queue_find(mmio, index);
        uint64_t one = 1;

        if (!queue)
                return false;
        queue_use_early(queue);
        if (queue->state != MMIO_QUEUE_RUNNING)
                return false;
        mmio->notifies++;
        (void)!write(queue->kick, &one, sizeof(one)); /* a full one is a pending kick already */
        return true;
}
