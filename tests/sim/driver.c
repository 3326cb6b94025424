/* The guest's driver.
 * Owns the rings, in the first region of its memory, and their eventfds; called by the schedule and the front
 * end. TRUST: it is the guest.
 *
 * How it works: a turn of the virtual CPU is one of: publish a batch of chains; look whether the device wants
 * a kick for what was published (a turn of its own: another thread may act in between); take an interrupt;
 * take used elements with interrupts off, and turn them on again when there are none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/driver.h"

#include <endian.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/core/features.h"
#include "proto/base/checked.h"
#include "tests/sim/chance.h"
#include "tests/sim/chain.h"
#include "tests/sim/model.h"
#include "tests/sim/trace.h"

/* ---- ring memory ---- */

static uint8_t *ring_at(const struct sim_device *dev, unsigned queue, uint32_t offset)
{
        return ram_at(&dev->ram, RAM_START) + queue * SIM_RING_BYTES + offset;
}

static uint16_t load(const struct sim_device *dev, unsigned queue, uint32_t offset)
{
        return le16toh(__atomic_load_n((uint16_t *)(void *)ring_at(dev, queue, offset), __ATOMIC_ACQUIRE));
}

/* What the driver writes is remembered, to be compared. */
static void store(struct sim_device *dev, unsigned queue, uint32_t offset, uint16_t value)
{
        uint16_t wire = htole16(value);

        memcpy(dev->queues[queue].copy + offset, &wire, sizeof(wire));
        __atomic_store_n((uint16_t *)(void *)ring_at(dev, queue, offset), wire, __ATOMIC_RELEASE);
}

void driver_put_descriptor(struct sim_device *dev, unsigned queue, unsigned index, const void *descriptor)
{
        memcpy(dev->queues[queue].copy + 16 * index, descriptor, 16);
        memcpy(ring_at(dev, queue, 16 * index), descriptor, 16);
}

uint16_t driver_used_index(const struct sim_device *dev, unsigned queue)
{
        return load(dev, queue, SIM_USED_AT + 2);
}

void driver_check(const struct sim_device *dev)
{
        for (unsigned i = 0; i < dev->n_queues; i++)
                sim_check(memcmp(ring_at(dev, i, 0), dev->queues[i].copy, SIM_RING_COPY) == 0,
                          "%s: descriptors or available ring of queue %u were written", dev->name, i);
}

/* ---- posting ---- */

static void publish(struct sim_device *dev, unsigned index, uint16_t head)
{
        struct sim_queue *queue = &dev->queues[index];

        store(dev, index, SIM_AVAIL_AT + 4 + 2u * (queue->avail_index % queue->size), head);
        queue->avail_index++;
}

/* Posts one chain. False: no room for it. */
static bool post(struct sim_device *dev, unsigned index)
{
        struct sim_queue *queue = &dev->queues[index];
        struct posting *posting = chain_make(dev, index);

        if (!posting)
                return false;
        posting->position = queue->avail_index;
        posting->config = dev->config_writes;
        queue->by_head[posting->head] = posting;
        queue->by_position[posting->position % SIM_RING] = posting;
        publish(dev, index, chain_published_head(dev, posting));
        dev->n_posted++;
        trace_event(posting->bad ? "posts what is bad" : "posts", dev->index, posting->serial, index);
        return true;
}

static bool post_batch(struct sim_device *dev, unsigned index)
{
        struct sim_queue *queue = &dev->queues[index];
        uint16_t from = queue->avail_index;
        uint32_t n;

        /* A lost kick or interrupt is final for a driver that waits. */
        if (dev->odds->patient && queue->n_free < queue->size)
                return false;
        n = dev->odds->burst ? chance_between(1, dev->odds->burst) : 1;
        while (n > 0 && !queue->must_break && post(dev, index))
                n--;
        if (queue->avail_index == from)
                return false;
        store(dev, index, SIM_AVAIL_AT + 2, queue->avail_index);
        if (!queue->kick_due)
                queue->kick_from = from;
        queue->kick_due = true;
        return true;
}

/* vring_need_event (virtio 1.3, 2.7.10), or the flag. */
static bool wants_kick(const struct sim_device *dev, unsigned index)
{
        const struct sim_queue *queue = &dev->queues[index];
        uint16_t event;

        if (!queue->event_idx)
                return (load(dev, index, SIM_USED_AT) & 1) == 0;
        event = load(dev, index, SIM_USED_AT + 4 + 8u * queue->size);
        return (uint16_t)(queue->avail_index - event - 1) < (uint16_t)(queue->avail_index - queue->kick_from);
}

static bool kick(struct sim_device *dev, unsigned index)
{
        struct sim_queue *queue = &dev->queues[index];
        uint64_t one = 1;

        if (!queue->kick_due)
                return false;
        __sync_synchronize();
        queue->kick_due = false;
        if (wants_kick(dev, index)) {
                trace_event("kicks", dev->index, index, queue->avail_index);
                sim_check(write(queue->kick, &one, sizeof(one)) == sizeof(one), "a kick was not taken");
        }
        return true;
}

/* ---- taking back ---- */

static void take_used(struct sim_device *dev, unsigned index)
{
        struct sim_queue *queue = &dev->queues[index];
        uint32_t element[2];
        uint16_t head;

        memcpy(element, ring_at(dev, index, SIM_USED_AT + 4 + 8u * (queue->used_seen % queue->size)),
               sizeof(element));
        queue->used_seen++;
        head = (uint16_t)le32toh(element[0]);
        model_used(dev, index, le32toh(element[0]), le32toh(element[1]));
        chain_give_back(queue, head);
}

static void want_interrupts(struct sim_device *dev, unsigned index, bool wanted)
{
        struct sim_queue *queue = &dev->queues[index];

        if (!queue->event_idx)
                store(dev, index, SIM_AVAIL_AT, wanted ? 0 : 1);
        else if (wanted)
                store(dev, index, SIM_AVAIL_AT + 4 + 2u * queue->size, queue->used_seen);
        __sync_synchronize();
}

static bool reap(struct sim_device *dev, unsigned index)
{
        struct sim_queue *queue = &dev->queues[index];

        for (uint32_t n = chance_between(1, 64); n > 0; n--) {
                if (driver_used_index(dev, index) == queue->used_seen) {
                        want_interrupts(dev, index, true);
                        queue->reaping = driver_used_index(dev, index) != queue->used_seen;
                        return true;
                }
                take_used(dev, index);
        }
        return true;
}

static bool interrupt(struct sim_device *dev, unsigned index)
{
        struct sim_queue *queue = &dev->queues[index];
        uint64_t count;

        if (read(queue->call, &count, sizeof(count)) != sizeof(count) && !chance_one_in(dev->odds->poll))
                return false;
        want_interrupts(dev, index, false);
        queue->reaping = true;
        return true;
}

/* ---- a turn ---- */

static bool step_queue(struct sim_device *dev, unsigned index)
{
        struct sim_queue *queue = &dev->queues[index];

        model_check_frozen(dev, index);
        if (queue->kick_due && (chance_one_in(2) || dev->quiet))
                return kick(dev, index);
        if (queue->reaping)
                return reap(dev, index);
        if (interrupt(dev, index))
                return true;
        if (dev->quiet || queue->must_break || queue->broken || !post_batch(dev, index))
                return false;
        return chance_one_in(2) ? kick(dev, index) : true; /* in one go, or interrupted in between */
}

bool driver_step(struct sim_device *dev)
{
        unsigned first;

        if (dev->paused || !dev->committed)
                return false;
        first = chance_below(dev->n_queues);
        for (unsigned i = 0; i < dev->n_queues; i++) {
                unsigned index = (first + i) % dev->n_queues;

                if (dev->queues[index].phase != QUEUE_DOWN && step_queue(dev, index))
                        return true;
        }
        return false;
}

/* ---- life ---- */

void driver_reset(struct sim_device *dev)
{
        sim_check(dev->outstanding == 0, "%s: requests are neither answered nor explained", dev->name);
        for (unsigned i = 0; i < dev->n_queues; i++) {
                struct sim_queue *queue = &dev->queues[i];
                uint64_t count;

                memset(ring_at(dev, i, 0), 0, SIM_RING_BYTES);
                (void)!read(queue->kick, &count, sizeof(count));
                (void)!read(queue->call, &count, sizeof(count));
                *queue = (struct sim_queue){.kick = queue->kick, .call = queue->call, .frozen = true};
        }
}

void driver_begin(struct sim_device *dev, uint64_t features)
{
        for (unsigned i = 0; i < dev->n_queues; i++) {
                struct sim_queue *queue = &dev->queues[i];
                uint64_t at = RAM_START + i * SIM_RING_BYTES;

                queue->size = (uint16_t)(4u << chance_below(6)); /* 4 to 128 */
                queue->event_idx = features & FEATURE_BIT(VIRTIO_F_EVENT_IDX_BIT);
                queue->indirect = features & FEATURE_BIT(VIRTIO_F_INDIRECT_DESC_BIT);
                queue->layout = (struct queue_layout){.size = queue->size,
                                                      .desc = GPA(at),
                                                      .avail = GPA(at + SIM_AVAIL_AT),
                                                      .used = GPA(at + SIM_USED_AT)};
                queue->n_free = queue->size;
                for (uint16_t d = 0; d < queue->size; d++)
                        queue->next[d] = (uint16_t)(d + 1);
        }
}

void driver_init(struct sim_device *dev)
{
        for (unsigned i = 0; i < dev->n_queues; i++) {
                dev->queues[i].kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                dev->queues[i].call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                sim_check(dev->queues[i].kick >= 0 && dev->queues[i].call >= 0, "no eventfd");
                memset(ring_at(dev, i, 0), 0, SIM_RING_BYTES);
                dev->queues[i].frozen = true;
        }
}

void driver_done(struct sim_device *dev)
{
        for (unsigned i = 0; i < dev->n_queues; i++) {
                close(dev->queues[i].kick);
                close(dev->queues[i].call);
        }
}
