/* Messages of the admin socket, struct -> wire, and the names of states.
 * Owns nothing; called by the broker's admin door and by `bulkhead`.
 * TRUST: everything here is our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/admin.h"

#include <errno.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "proto/wire.h"
#include "schema/admin.pb-c.h"

ssize_t admin_make_to_broker(const struct admin_to_broker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Admin__ToBroker wire = BULKHEAD__ADMIN__TO_BROKER__INIT;
        Bulkhead__Admin__GetStatus body = BULKHEAD__ADMIN__GET_STATUS__INIT;

        if (message->kind != ADMIN_GET_STATUS)
                return -EINVAL;
        wire.kind_case = BULKHEAD__ADMIN__TO_BROKER__KIND_GET_STATUS;
        wire.get_status = &body;
        return wire_pack(&wire.base, buf, size);
}

static void make_device(const struct admin_device *device, Bulkhead__Admin__Device *ret)
{
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
        ret->features = device->features;
        ret->n_resources = device->n_resources;
        ret->n_lanes = device->n_lanes;
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
        Bulkhead__Admin__Device devices[LIMIT_DEVICES];
        Bulkhead__Admin__Device *rows[LIMIT_DEVICES];

        if (status->n_devices > LIMIT_DEVICES)
                return -E2BIG;
        for (size_t i = 0; i < status->n_devices; i++) {
                make_device(&status->devices[i], &devices[i]);
                rows[i] = &devices[i];
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

ssize_t admin_make_to_client(const struct admin_to_client *message, uint8_t *buf, size_t size)
{
        switch (message->kind) {
        case ADMIN_STATUS:
                return make_status(&message->status, buf, size);
        case ADMIN_ERROR:
                return make_error(message, buf, size);
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
