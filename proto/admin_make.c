/* Messages of the admin socket, struct -> wire, and the names of states.
 * Owns nothing; called by the broker's admin door and by `bulkhead`.
 * TRUST: everything here is our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/admin.h"

#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "proto/wire.h"
#include "schema/admin.pb-c.h"

ssize_t admin_make_to_broker(const struct admin_to_broker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Admin__ToBroker wire = BULKHEAD__ADMIN__TO_BROKER__INIT;
        Bulkhead__Admin__GetStatus get_status = BULKHEAD__ADMIN__GET_STATUS__INIT;
        Bulkhead__Admin__Set set = BULKHEAD__ADMIN__SET__INIT;
        Bulkhead__Admin__GetShmem get_shmem = BULKHEAD__ADMIN__GET_SHMEM__INIT;

        switch (message->kind) {
        case ADMIN_GET_STATUS:
                wire.kind_case = BULKHEAD__ADMIN__TO_BROKER__KIND_GET_STATUS;
                wire.get_status = &get_status;
                return wire_pack(&wire.base, buf, size);
        case ADMIN_SET:
                set.device = (char *)message->device;
                set.setting = message->set.setting.id;
                set.index = message->set.setting.index;
                set.value = message->set.setting.value;
                wire.kind_case = BULKHEAD__ADMIN__TO_BROKER__KIND_SET;
                wire.set = &set;
                return wire_pack(&wire.base, buf, size);
        case ADMIN_GET_SHMEM:
                get_shmem.device = (char *)message->device;
                wire.kind_case = BULKHEAD__ADMIN__TO_BROKER__KIND_GET_SHMEM;
                wire.get_shmem = &get_shmem;
                return wire_pack(&wire.base, buf, size);
        }
        return -EINVAL;
}

/* A device's message, and what it points to. */
struct device_wire {
        Bulkhead__Admin__Device device;
        uint64_t features[ADMIN_FEATURE_SETS];
        uint64_t region[ADMIN_REGION_FACTS];
        uint64_t window[ADMIN_WINDOW_FACTS];
        uint64_t translation[ADMIN_TRANSLATION_FACTS];
};

static void make_features(const struct admin_device *device, uint64_t ret[static ADMIN_FEATURE_SETS])
{
        ret[0] = device->features;
        ret[1] = device->sets.offered;
        ret[2] = device->sets.agreed;
        ret[3] = device->sets.worker;
}

static size_t make_regions(const struct admin_regions *regions, uint64_t ret[static ADMIN_REGION_FACTS])
{
        const uint64_t facts[ADMIN_REGION_FACTS] = {regions->n,
                                                    regions->mappings,
                                                    regions->bytes,
                                                    regions->memory_bytes,
                                                    regions->mapped_bytes,
                                                    regions->foreign_refused};

        memcpy(ret, facts, sizeof(facts));
        return regions->n > 0 ? ADMIN_REGION_FACTS : 0;
}

static size_t make_windows(const struct admin_windows *windows, uint64_t ret[static ADMIN_WINDOW_FACTS])
{
        ret[0] = windows->n;
        ret[1] = windows->bytes;
        ret[2] = windows->refused;
        ret[3] = windows->raw;
        return windows->n > 0 ? ADMIN_WINDOW_FACTS : 0;
}

static size_t make_translations(const struct admin_translations *translations,
                                uint64_t ret[static ADMIN_TRANSLATION_FACTS])
{
        const uint64_t facts[ADMIN_TRANSLATION_FACTS] = {
            translations->on,      translations->held,      translations->open,           translations->asked,
            translations->refused, translations->n_updates, translations->n_invalidations};

        memcpy(ret, facts, sizeof(facts));
        return translations->may ? ADMIN_TRANSLATION_FACTS : 0;
}

static void make_device(const struct admin_device *device, struct device_wire *place)
{
        Bulkhead__Admin__Device *ret = &place->device;

        bulkhead__admin__device__init(ret);
        ret->name = (char *)device->name;
        ret->type = (char *)device->type;
        ret->state = (Bulkhead__Admin__DeviceState)device->state;
        ret->pid = device->pid;
        ret->uid = device->uid;
        ret->restarts = device->restarts;
        ret->queues_running = device->queues_running;
        ret->outstanding = device->outstanding;
        ret->requests = device->requests;
        ret->bytes_from_guest = device->bytes_from_guest;
        ret->bytes_to_guest = device->bytes_to_guest;
        ret->attached = device->attached;
        make_features(device, place->features);
        ret->n_features = ADMIN_FEATURE_SETS;
        ret->features = place->features;
        ret->n_lanes = device->n_lanes;
        ret->n_resource = RESOURCE_KIND_COUNT_;
        ret->resource = (uint32_t *)device->resources.of;
        ret->born = device->resources.born;
        ret->companion = (char *)device->companion;
        ret->companion_pid = device->companion_pid;
        ret->companion_uid = device->companion_uid;
        ret->companion_starts = device->companion_starts;
        ret->n_counter = device->n_counters;
        ret->counter = (uint64_t *)device->counters;
        ret->n_region = make_regions(&device->regions, place->region);
        ret->region = place->region;
        ret->n_window = make_windows(&device->windows, place->window);
        ret->window = place->window;
        ret->n_translation = make_translations(&device->translations, place->translation);
        ret->translation = place->translation;
        ret->throttled = device->throttled;
        ret->rate_ops = device->rate_ops;
        ret->rate_bytes = device->rate_bytes;
        ret->why = (char *)device->why;
        ret->seccomp_log = device->seccomp_log;
        ret->direct = device->direct;
}

static ssize_t make_status(const struct admin_status *status, uint8_t *buf, size_t size)
{
        Bulkhead__Admin__ToClient wire = BULKHEAD__ADMIN__TO_CLIENT__INIT;
        Bulkhead__Admin__Status body = BULKHEAD__ADMIN__STATUS__INIT;
        struct device_wire devices[LIMIT_DEVICES];
        Bulkhead__Admin__Device *rows[LIMIT_DEVICES];

        if (status->n_devices > LIMIT_DEVICES)
                return -E2BIG;
        for (size_t i = 0; i < status->n_devices; i++) {
                if (status->devices[i].n_counters > LIMIT_COUNTERS)
                        return -E2BIG;
                make_device(&status->devices[i], &devices[i]);
                rows[i] = &devices[i].device;
        }
        body.vm = (char *)status->vm;
        body.version = (char *)status->version;
        body.broker_pid = status->broker_pid;
        body.spawner_pid = status->spawner_pid;
        body.spawner_alive = status->spawner_alive;
        body.rootless = status->rootless;
        body.stage = (Bulkhead__Admin__Stage)status->stage;
        body.loaded = status->loaded;
        body.n_device = status->n_devices;
        body.device = rows;
        wire.kind_case = BULKHEAD__ADMIN__TO_CLIENT__KIND_STATUS;
        wire.status = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_shmem(const struct admin_shmem *shmem, uint8_t *buf, size_t size)
{
        Bulkhead__Admin__ToClient wire = BULKHEAD__ADMIN__TO_CLIENT__INIT;
        Bulkhead__Admin__Shmem body = BULKHEAD__ADMIN__SHMEM__INIT;
        uint32_t shmid[ADMIN_MAPS], flags[ADMIN_MAPS];
        uint64_t offset[ADMIN_MAPS], len[ADMIN_MAPS], fd_offset[ADMIN_MAPS], dev[ADMIN_MAPS], ino[ADMIN_MAPS];

        if (shmem->n > ADMIN_MAPS)
                return -E2BIG;
        for (size_t i = 0; i < shmem->n; i++) {
                const struct admin_map *map = &shmem->maps[i];

                shmid[i] = map->shmid;
                flags[i] = map->writable * ADMIN_MAP_WRITABLE | map->memory * ADMIN_MAP_MEMORY |
                           map->orphan * ADMIN_MAP_ORPHAN | map->shown * ADMIN_MAP_SHOWN;
                offset[i] = map->offset;
                len[i] = map->len;
                fd_offset[i] = map->fd_offset;
                dev[i] = map->dev;
                ino[i] = map->ino;
        }
        body.n_shmid = body.n_flags = body.n_offset = body.n_len = body.n_fd_offset = body.n_dev =
            body.n_ino = shmem->n;
        body.shmid = shmid;
        body.flags = flags;
        body.offset = offset;
        body.len = len;
        body.fd_offset = fd_offset;
        body.dev = dev;
        body.ino = ino;
        wire.kind_case = BULKHEAD__ADMIN__TO_CLIENT__KIND_SHMEM;
        wire.shmem = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_error(const struct admin_to_client *message, uint8_t *buf, size_t size)
{
        Bulkhead__Admin__ToClient wire = BULKHEAD__ADMIN__TO_CLIENT__INIT;
        Bulkhead__Admin__Error body = BULKHEAD__ADMIN__ERROR__INIT;

        body.status = status_from_errno(message->error.error);
        body.reason = (char *)message->error.reason;
        wire.kind_case = BULKHEAD__ADMIN__TO_CLIENT__KIND_ERROR;
        wire.error = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_taken(uint8_t *buf, size_t size)
{
        Bulkhead__Admin__ToClient wire = BULKHEAD__ADMIN__TO_CLIENT__INIT;
        Bulkhead__Admin__Taken body = BULKHEAD__ADMIN__TAKEN__INIT;

        wire.kind_case = BULKHEAD__ADMIN__TO_CLIENT__KIND_TAKEN;
        wire.taken = &body;
        return wire_pack(&wire.base, buf, size);
}

ssize_t admin_make_to_client(const struct admin_to_client *message, uint8_t *buf, size_t size)
{
        switch (message->kind) {
        case ADMIN_STATUS:
                return make_status(&message->status, buf, size);
        case ADMIN_ERROR:
                return make_error(message, buf, size);
        case ADMIN_TAKEN:
                return make_taken(buf, size);
        case ADMIN_SHMEM:
                return make_shmem(&message->shmem, buf, size);
        }
        return -EINVAL;
}

static const char *const state_names[] = {
    [ADMIN_STARTING] = "starting",     [ADMIN_READY] = "ready",   [ADMIN_RUNNING] = "running",
    [ADMIN_RESTARTING] = "restarting", [ADMIN_BROKEN] = "broken", [ADMIN_QUARANTINED] = "quarantined",
};

const char *admin_state_name(enum admin_device_state state)
{
        if (state < ADMIN_STARTING || state >= array_size(state_names))
                return "unknown";
        return state_names[state];
}

static const char *const stage_names[] = {
    [ADMIN_SERVING] = "serving",
    [ADMIN_BOOTING] = "booting",
    [ADMIN_GUEST_RUNS] = "running",
};

const char *admin_stage_name(enum admin_stage stage)
{
        if (stage < ADMIN_SERVING || stage >= array_size(stage_names))
                return "unknown";
        return stage_names[stage];
}
