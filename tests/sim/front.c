/* The front end of a simulated device.
 * Owns the device from device_new to device_free; called on the broker's main thread. TRUST: it plays a VMM.
 *
 * How it works: a device that is not ready is set up (memory, features, rings); one that works is disturbed as
 * the odds say; one that is broken is reset after a while. A thing to do is decided by front_wants and
 * remembered, then done by front_step when the main thread has its turn.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/front.h"

#include <string.h>

#include "broker/core/features.h"
#include "broker/core/supervisor.h"
#include "proto/base/checked.h"
#include "proto/base/fd.h"
#include "tests/harness/blk_set.h"
#include "tests/sim/chance.h"
#include "tests/sim/clock.h"
#include "tests/sim/disturb.h"
#include "tests/sim/driver.h"
#include "tests/sim/model.h"
#include "tests/sim/spawner.h"
#include "tests/sim/trace.h"

static struct spawner_client *client;

/* ---- what the broker's main would do ---- */

static void on_spawned(void *context, uint32_t device, struct spawned_worker *worker)
{
        (void)context;
        supervisor_spawned(device_supervisor(sim_devices[device].device), worker);
}

static void on_spawn_failed(void *context, uint32_t device, int error, const char *reason)
{
        (void)context;
        supervisor_spawn_failed(device_supervisor(sim_devices[device].device), error, reason);
}

static void on_exited(void *context, uint32_t device, const struct spawn_to_broker *exited)
{
        (void)context;
        supervisor_exited(device_supervisor(sim_devices[device].device), exited);
}

static void on_terminate(void *context)
{
        (void)context;
}

static void on_gone(void *context)
{
        (void)context;
        for (unsigned i = 0; i < n_sim_devices; i++)
                device_spawner_gone(sim_devices[i].device);
}

static const struct spawner_client_ops client_ops = {.spawned = on_spawned,
                                                     .failed = on_spawn_failed,
                                                     .exited = on_exited,
                                                     .terminate = on_terminate,
                                                     .gone = on_gone};

/* ---- what the device tells ---- */

static void on_ready(void *context, struct device *device)
{
        struct sim_device *dev = context;

        (void)device;
        dev->ready = true;
        trace_event("ready", dev->index, 0, 0);
}

static void on_failed(void *context, struct device *device, bool quarantined, const char *why)
{
        struct sim_device *dev = context;

        trace_event(quarantined ? "quarantined" : "spawn failed", dev->index, 0, 0);
        trace_note("because: %s", why);
        dev->quarantined |= quarantined;
        for (unsigned i = 0; i < dev->n_queues; i++)
                dev->queues[i].spawner_mute |= device_supervisor(device)->spawner_mute;
        if (quarantined)
                dev->broken_ms = sim_now_ms();
}

static void on_config_changed(void *context)
{
        struct sim_device *dev = context;

        trace_event("config changed", dev->index, 0, 0);
}

static void on_broken(void *context, unsigned queue, enum queue_fault fault)
{
        struct sim_device *dev = context;

        trace_note("%s: queue %u is broken: %s", dev->name, queue, queue_fault_name(fault));
        if (model_fails_all(dev) && fault == QUEUE_FAULT_DEVICE)
                return; /* the ring is well: its requests are failed, one by one */
        if (!dev->broken)
                dev->broken_ms = sim_now_ms();
        dev->broken = true;
        model_broken(dev, queue);
}

/* ---- the way up ---- */

static void set_up(struct sim_device *dev)
{
        uint64_t optional = chance_next(), features = device_features(dev->device);
        const uint64_t needed = FEATURE_BIT(VIRTIO_F_VERSION_1_BIT);

        if (!dev->attached)
                disturb_attach(dev);
        features &= optional | needed;
        features &= ~FEATURE_BIT(VIRTIO_F_RING_PACKED_BIT); /* the driver's rings are split */
        if (device_commit_features(dev->device, features) < 0)
                sim_fail("%s: features are refused while nothing runs", dev->name);
        dev->features = features;
        driver_begin(dev, features);
        for (unsigned i = 0; i < dev->n_queues; i++)
                if (chance_below(8) > 0 || i == 0)
                        disturb_start(dev, i, 0);
        dev->committed = true;
        trace_event("set up", dev->index, features, 0);
}

/* ---- turns ---- */

static bool must_reset(const struct sim_device *dev)
{
        return dev->quarantined || dev->broken || disturb_gave_up(dev);
}

uint64_t front_next_wake_ms(const struct sim_device *dev)
{
        uint64_t at = must_reset(dev) ? dev->broken_ms + dev->patience_ms : dev->not_before_ms;

        at = at > sim_now_ms() ? at : UINT64_MAX;
        return MIN(at, iommu_next_wake_ms(dev));
}

bool front_wants(struct sim_device *dev)
{
        uint64_t now = sim_now_ms();

        if (iommu_next_wake_ms(dev) <= now)
                return true;
        if (must_reset(dev))
                return now >= dev->broken_ms + dev->patience_ms;
        if (!dev->ready || now < dev->not_before_ms)
                return false;
        if (!dev->committed)
                return true;
        return dev->quiet ? disturb_must_restart(dev) : disturb_choose(dev);
}

static void do_one(struct sim_device *dev)
{
        if (iommu_next_wake_ms(dev) <= sim_now_ms())
                iommu_answer(dev);
        else if (must_reset(dev))
                disturb_reset(dev, dev->attached && chance_one_in(4));
        else if (!dev->committed)
                set_up(dev);
        else if (dev->quiet)
                disturb_restart(dev);
        else
                disturb_do(dev);
}

void front_step(struct sim_device *dev)
{
        do_one(dev);
        while (chance_one_in(dev->odds->breath) && front_wants(dev))
                do_one(dev);
}

bool front_settled(const struct sim_device *dev)
{
        return dev->committed && dev->outstanding == 0 && !disturb_must_restart(dev) && !dev->broken &&
               !dev->quarantined && !disturb_gave_up(dev) && !dev->config_busy &&
               !(dev->worker.state == PROCESS_ALIVE && dev->worker.offended_ms > 0);
}

/* ---- life ---- */

static void make_hello(struct sim_device *dev)
{
        struct control_hello *hello = &dev->hello;

        *hello = (struct control_hello){
            .device_type = device_types[dev->config.type].virtio_id,
            .features = (FEATURE_BIT(6) | FEATURE_BIT(9)) &
                        features_of_type(device_types[dev->config.type].virtio_id),
            .n_queues = dev->n_queues,
            .max_segments = chance_one_in(4) ? chance_between(1, 6) : 64,
            .credit_requests = chance_one_in(2) ? chance_between(1, 16) : chance_between(16, LIMIT_CREDITS),
            .n_fields = SIM_FIELDS};
        hello->max_inline = chance_one_in(3) ? chance_below(300) : chance_below(60000);
        hello->credit_bytes = hello->max_inline + chance_below(chance_one_in(2) ? 1000 : 500000);
        for (unsigned i = 0; i < dev->n_queues; i++) {
                hello->queue_kind[i] = chance_one_in(6) ? QUEUE_SUPPLY : QUEUE_WORK;
                hello->queue_replay[i] = chance_one_in(4) ? REPLAY_AT_MOST_ONCE : REPLAY_IDEMPOTENT;
        }
        hello->fields[0] = (struct control_field){.offset = 0, .width = 8, .value = 1000};
        hello->fields[1] = (struct control_field){.offset = 32, .width = 1, .writable = true, .value = 1};
        hello->fields[2] = (struct control_field){.offset = 33, .width = 1, .writable = true, .value = 0};
        for (unsigned i = 0; i < SIM_FIELDS; i++)
                dev->values[i] = hello->fields[i].value;
}

static void make_device(struct sim_device *dev)
{
        enum device_type_id type = chance_one_in(3) ? DEVICE_TYPE_RNG : DEVICE_TYPE_BLK;

        dev->n_queues = chance_between(1, MIN(SIM_QUEUES, device_types[type].max_queues));
        dev->n_lanes = chance_between(1, MIN(dev->n_queues, SIM_LANES));
        dev->config = (struct device_config){
            .type = type, .n_queues = dev->n_queues, .n_lanes = dev->n_lanes, .options = BLK_PLAIN};
        dev->config.rate = (struct device_rate){.ops = dev->odds->rate_ops,
                                                .ops_burst = dev->odds->rate_ops / 50,
                                                .bytes = (uint64_t)dev->odds->rate_mib << 20,
                                                .bytes_burst = (uint64_t)dev->odds->rate_mib << 14};
        dev->born_ms = sim_now_ms();
        make_hello(dev);
        strcpy(dev->config.name, dev->name);
        dev->patience_ms = chance_below(LIMIT_HELLO_MS / 2);
}

void front_start(uv_loop_t *loop)
{
        unsigned n_lanes[SIM_DEVICES];
        int pair[2];

        for (unsigned i = 0; i < n_sim_devices; i++) {
                make_device(&sim_devices[i]);
                n_lanes[i] = sim_devices[i].n_lanes;
        }
        sim_check(fd_stream_pair(pair) == 0, "no socket pair");
        spawner_start(pair[1]);
        sim_check(spawner_client_new(loop, pair[0], n_lanes, n_sim_devices, &client_ops, NULL, &client) == 0,
                  "no spawner's channel");
        for (unsigned i = 0; i < n_sim_devices; i++) {
                struct sim_device *dev = &sim_devices[i];
                const struct device_owner owner = {.context = dev, .ready = on_ready, .failed = on_failed};

                driver_init(dev);
                sim_check(device_new(loop, &dev->config, 0, i, client, &owner, &dev->device) == 0,
                          "no device");
        }
}

void disturb_attach(struct sim_device *dev)
{
        struct device_front front = {
            .context = dev, .config_changed = on_config_changed, .broken = on_broken};

        iommu_front(dev, &front);
        device_attach(dev->device, &front);
        dev->attached = true;
        iommu_attach(dev);
        sim_check(device_set_memory(dev->device, dev->ram.memory) == 0, "memory is refused");
}

static void on_freed(void *context)
{
        ((struct sim_device *)context)->freed = true;
}

void front_end(void)
{
        for (unsigned i = 0; i < n_sim_devices; i++)
                device_free(sim_devices[i].device, on_freed, &sim_devices[i]);
        client = spawner_client_free(client);
}

bool front_ended(void)
{
        for (unsigned i = 0; i < n_sim_devices; i++)
                if (!sim_devices[i].freed)
                        return false;
        return true;
}
