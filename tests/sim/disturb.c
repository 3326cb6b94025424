/* What a front end does to a device.
 * Owns nothing; called by front.c, on the broker's main thread. TRUST: it plays a VMM.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/disturb.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/core/supervisor.h"
#include "proto/base/checked.h"
#include "tests/sim/chance.h"
#include "tests/sim/clock.h"
#include "tests/sim/driver.h"
#include "tests/sim/model.h"
#include "tests/sim/trace.h"

/* ---- queues ---- */

void disturb_start(struct sim_device *dev, unsigned index, uint16_t base)
{
        struct sim_queue *queue = &dev->queues[index];
        int r;

        trace_event("starts", dev->index, index, base);
        model_started(dev, index, base);
        r = device_queue_start(dev->device, index, &queue->layout, base, queue->kick, queue->call);
        sim_check(r == 0 || !dev->ram.present[0], "%s: queue %u cannot be started: %d", dev->name, index, r);
        if (r < 0) {
                queue->phase = QUEUE_SUSPENDED;
                queue->stop_base = base;
                model_freeze(dev, index);
        }
        if (dev->quarantined || (dev->iommu.on && !dev->ram.present[0]))
                queue->may_break = true;
}

/* The context of a stop: which queue of which device. */
static struct stop_context {
        struct sim_device *dev;
        unsigned queue;
        unsigned resets; /* of the device, when it was asked */
} stops[SIM_DEVICES][SIM_QUEUES];

static void on_stopped(void *context, uint32_t base)
{
        const struct stop_context *stop = context;

        sim_check(stop->resets == stop->dev->resets,
                  "%s: a stop is answered after the reset that cancelled it", stop->dev->name);
        sim_check(stop->dev->queues[stop->queue].phase == QUEUE_STOPPING, "%s: a stop is answered twice",
                  stop->dev->name);
        model_stopped(stop->dev, stop->queue, (uint16_t)base); /* split rings */
        stop->dev->queues[stop->queue].stop_base = (uint16_t)base;
}

static void stop(struct sim_device *dev, unsigned index)
{
        struct sim_queue *queue = &dev->queues[index];
        bool any = false;

        for (unsigned i = 0; i < dev->n_queues; i++)
                any |= dev->queues[i].phase == QUEUE_STOPPING;
        if (!any)
                dev->drain_ms = sim_now_ms();
        trace_event("stops", dev->index, index, 0);
        iommu_stops(dev);
        queue->phase = QUEUE_STOPPING;
        queue->stop_ms = sim_now_ms();
        queue->spawner_mute = device_supervisor(dev->device)->spawner_mute;
        stops[dev->index][index] = (struct stop_context){dev, index, dev->resets};
        device_queue_stop(dev->device, index, on_stopped, &stops[dev->index][index]);
}

static void resume(struct sim_device *dev, unsigned index)
{
        struct sim_queue *queue = &dev->queues[index];

        if (queue->phase == QUEUE_SUSPENDED && !queue->gave_up)
                disturb_start(dev, index, queue->stop_base);
        else if (queue->phase == QUEUE_DOWN)
                disturb_start(dev, index, 0);
}

static void stop_some(struct sim_device *dev, bool all)
{
        unsigned first = chance_below(dev->n_queues);

        for (unsigned i = 0; i < dev->n_queues; i++) {
                unsigned index = (first + i) % dev->n_queues;

                if (dev->queues[index].phase != QUEUE_SERVED)
                        continue;
                stop(dev, index);
                if (!all)
                        return;
        }
}

static void resume_some(struct sim_device *dev)
{
        for (unsigned i = 0; i < dev->n_queues; i++)
                if (chance_one_in(2))
                        resume(dev, i);
}

static void replace_call(struct sim_device *dev)
{
        unsigned index = chance_below(dev->n_queues);
        struct sim_queue *queue = &dev->queues[index];
        int fresh = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        bool running = device_queue_running(dev->device, index);
        uint64_t count;

        sim_check(fresh >= 0, "no eventfd");
        trace_event("replaces a call", dev->index, index, running);
        sim_check(device_queue_set_call(dev->device, index, fresh) == 0, "%s: an interrupt is refused",
                  dev->name);
        /* A running queue signals the new one: what came on the old one may be lost. Else it is ours to take. */
        if (!running && read(queue->call, &count, sizeof(count)) == sizeof(count))
                queue->reaping = true;
        close(queue->call);
        queue->call = fresh;
}

bool disturb_gave_up(const struct sim_device *dev)
{
        for (unsigned i = 0; i < dev->n_queues; i++)
                if (dev->queues[i].gave_up)
                        return true;
        return false;
}

/* ---- memory ---- */

static bool touches(const struct posting *posting, unsigned region)
{
        for (unsigned i = 0; i < posting->n_segments; i++)
                if (ram_region_of(posting->segments[i].at) == region ||
                    ram_region_of(posting->segments[i].at + posting->segments[i].len) == region)
                        return true;
        return false;
}

static bool region_in_use(const struct sim_device *dev, unsigned region)
{
        if (region == 0)
                return true;
        for (unsigned i = 0; i < SIM_POSTINGS; i++)
                if (dev->postings[i].serial != 0 && touches(&dev->postings[i], region))
                        return true;
        return false;
}

static void set_memory(struct sim_device *dev)
{
        dev->paused = true;
        sim_check(device_set_memory(dev->device, dev->ram.memory) == 0, "%s: memory is refused", dev->name);
        dev->paused = false;
}

/* Requests in this memory may fail from now on, and break their queues. */
static void shake(struct sim_device *dev, unsigned region)
{
        for (unsigned i = 0; i < SIM_POSTINGS; i++) {
                struct posting *posting = &dev->postings[i];

                if (posting->serial == 0 || !touches(posting, region))
                        continue;
                posting->shaky = true;
                dev->queues[posting->queue].may_break = true;
        }
        dev->rings_went |= region == 0;
        for (unsigned i = 0; i < dev->n_queues && region == 0; i++)
                dev->queues[i].may_break = true;
}

static void remove_region(struct sim_device *dev, bool even_used)
{
        unsigned region = even_used ? chance_below(RAM_REGIONS) : chance_between(1, RAM_REGIONS - 1);

        if (!dev->ram.present[region] || (!even_used && region_in_use(dev, region)))
                return;
        trace_event("removes region", dev->index, region, 0);
        shake(dev, region);
        ram_remove(&dev->ram, region);
        set_memory(dev);
}

static bool restore_regions(struct sim_device *dev)
{
        bool any = false;

        for (unsigned i = 0; i < RAM_REGIONS; i++) {
                if (dev->ram.present[i])
                        continue;
                trace_event("restores region", dev->index, i, 0);
                ram_restore(&dev->ram, i);
                any = true;
        }
        if (any)
                set_memory(dev);
        return any;
}

static void remap_region(struct sim_device *dev)
{
        unsigned region = chance_below(RAM_REGIONS);

        if (!dev->ram.present[region])
                return;
        trace_event("remaps region", dev->index, region, 0);
        ram_remap(&dev->ram, region);
        set_memory(dev);
}

static void move_region(struct sim_device *dev)
{
        unsigned region = chance_between(1, RAM_REGIONS - 1);

        if (!dev->ram.present[region])
                return;
        trace_event("moves region", dev->index, region, 0);
        dev->paused = true;
        ram_move(&dev->ram, region);
        set_memory(dev);
        for (unsigned i = 0; i < SIM_POSTINGS; i++) {
                const struct posting *posting = &dev->postings[i];

                for (unsigned s = 0; posting->serial != 0 && s < posting->n_segments; s++)
                        if (posting->segments[s].write)
                                ram_carry(&dev->ram, region, posting->segments[s].at,
                                          posting->segments[s].len);
        }
        ram_move_end(&dev->ram, region);
}

/* ---- the device ---- */

static void on_config_written(void *context, int error)
{
        struct sim_device *dev = context;

        trace_event("config written", dev->index, dev->config_field, (uint64_t)-error);
        sim_check(dev->config_busy, "%s: a config write is answered that nobody waits for", dev->name);
        sim_check(error == 0 || (error == -EIO && dev->quarantined) ||
                      dev->values[dev->config_field] >= CONFIG_REFUSED,
                  "%s: a config write failed: %d", dev->name, error);
        dev->config_busy = false;
        if (error < 0)
                dev->values[dev->config_field] = dev->value_before;
}

static void write_config(struct sim_device *dev)
{
        unsigned field = chance_between(1, SIM_FIELDS - 1);
        uint8_t value =
            (uint8_t)(chance_one_in(dev->odds->refuse_config) ? chance_between(CONFIG_REFUSED, 255)
                                                              : chance_below(CONFIG_REFUSED));
        uint64_t before = dev->values[field];
        int r;

        if (dev->config_busy)
                return;
        trace_event("writes config", dev->index, field, value);
        dev->config_busy = true;
        dev->config_field = field;
        dev->value_before = before;
        dev->values[field] = value;
        dev->config_writes++;
        dev->paused = true; /* the virtual CPU waits for its write */
        r = device_config_write(dev->device, dev->hello.fields[field].offset, 1, &value, on_config_written,
                                dev);
        sim_check(r == 0, "%s: a config write is refused: %d", dev->name, r);
        dev->paused = false;
}

static void read_config(struct sim_device *dev)
{
        uint8_t bytes[2];

        sim_check(device_config_read(dev->device, dev->hello.fields[1].offset, 2, bytes) == 0,
                  "no config space");
        for (unsigned i = 1; i < SIM_FIELDS; i++)
                sim_check(bytes[i - 1] == dev->values[i] || dev->values[i] >= CONFIG_REFUSED,
                          "%s: config field %u reads as %u, not %u", dev->name, i, bytes[i - 1],
                          (unsigned)dev->values[i]);
}

/* The driver and the VMM begin anew. */
static void forget(struct sim_device *dev)
{
        for (unsigned i = 0; i < dev->n_queues; i++)
                model_explain(dev, i);
        driver_reset(dev);
        for (unsigned i = 0; i < SIM_FIELDS; i++)
                dev->values[i] = dev->hello.fields[i].value;
        dev->config_busy = false;
        dev->committed = dev->broken = dev->quarantined = dev->rings_went = false;
        dev->not_before_ms = sim_now_ms() + (chance_one_in(4) ? chance_below(200) : 0);
}

void disturb_reset(struct sim_device *dev, bool reconnect)
{
        bool told = dev->worker.features_told || dev->worker.state == PROCESS_NONE;

        trace_event(reconnect ? "reconnects" : "resets", dev->index, dev->outstanding, 0);
        dev->resets++;
        dev->paused = true;
        device_reset(dev->device);
        /* A worker that was told nothing stays, with what it has saved; or that remains, if it has just died. */
        if (told)
                dev->restored_least = dev->put_states + 1;
        if (reconnect) {
                sim_check(device_set_memory(dev->device, NULL) == 0, "no memory is refused");
                device_attach(dev->device, NULL);
                dev->attached = false;
                iommu_detach(dev);
        }
        forget(dev);
        dev->paused = false;
}

/* ---- what next ---- */

enum deed {
        DEED_NONE = 0,
        DEED_STOP,
        DEED_STOP_ALL,
        DEED_RESUME,
        DEED_RESET,
        DEED_RECONNECT,
        DEED_SET_CALL,
        DEED_CONFIG,
        DEED_REMOVE,
        DEED_REMOVE_USED,
        DEED_RESTORE,
        DEED_MOVE,
        DEED_REMAP,
        DEED_FLUSH,
};

static bool any_suspended(const struct sim_device *dev)
{
        for (unsigned i = 0; i < dev->n_queues; i++)
                if (dev->queues[i].phase == QUEUE_SUSPENDED || dev->queues[i].phase == QUEUE_DOWN)
                        return true;
        return false;
}

static bool any_region_gone(const struct sim_device *dev)
{
        for (unsigned i = 0; i < RAM_REGIONS; i++)
                if (!dev->ram.present[i])
                        return true;
        return false;
}

bool disturb_choose(struct sim_device *dev)
{
        const struct odds *odds = dev->odds;
        const struct {
                enum deed deed;
                uint32_t one_in;
        } deeds[] = {
            {DEED_STOP, odds->stop},
            {DEED_STOP_ALL, odds->stop_all},
            {DEED_RESUME, any_suspended(dev) ? 30 : 0},
            {DEED_RESET, odds->reset},
            {DEED_RECONNECT, odds->reconnect},
            {DEED_SET_CALL, odds->set_call},
            {DEED_CONFIG, odds->config_write},
            {DEED_REMOVE, odds->remove_region},
            {DEED_REMOVE_USED, odds->remove_used_region},
            {DEED_RESTORE, any_region_gone(dev) ? 60 : 0},
            {DEED_MOVE, odds->move_region},
            {DEED_REMAP, odds->remap_region},
            {DEED_FLUSH, dev->iommu.on ? odds->iommu : 0},
        };

        for (size_t i = 0; i < array_size(deeds); i++)
                if (chance_one_in(deeds[i].one_in)) {
                        dev->deed = deeds[i].deed;
                        return true;
                }
        return false;
}

void disturb_do(struct sim_device *dev)
{
        switch ((enum deed)dev->deed) {
        case DEED_STOP:
        case DEED_STOP_ALL:
                stop_some(dev, dev->deed == DEED_STOP_ALL);
                break;
        case DEED_RESUME:
                resume_some(dev);
                break;
        case DEED_RESET:
        case DEED_RECONNECT:
                disturb_reset(dev, dev->deed == DEED_RECONNECT);
                break;
        case DEED_SET_CALL:
                replace_call(dev);
                break;
        case DEED_CONFIG:
                write_config(dev);
                read_config(dev);
                break;
        case DEED_REMOVE:
        case DEED_REMOVE_USED:
                remove_region(dev, dev->deed == DEED_REMOVE_USED);
                break;
        case DEED_RESTORE:
                restore_regions(dev);
                break;
        case DEED_MOVE:
                move_region(dev);
                break;
        case DEED_REMAP:
                remap_region(dev);
                break;
        case DEED_FLUSH:
                iommu_flush(dev);
                break;
        case DEED_NONE:
                break;
        }
        dev->deed = DEED_NONE;
}

bool disturb_must_restart(const struct sim_device *dev)
{
        return dev->committed && (any_suspended(dev) || any_region_gone(dev));
}

void disturb_restart(struct sim_device *dev)
{
        if (restore_regions(dev))
                return;
        for (unsigned i = 0; i < dev->n_queues; i++)
                resume(dev, i);
}
