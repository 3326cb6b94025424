/* Messages of the admin socket, wire -> judged.
 * Owns nothing; called by the broker's admin door and by `bulkhead`.
 * TRUST: bytes of whoever may open the socket (to_broker), or of a broker that may have been taken over
 * (to_client): names are judged, the reason of an error is only bounded and is to be escaped before it is
 * printed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/admin.h"

#include <errno.h>
#include <string.h>

#include "proto/base/status.h"
#include "proto/device_type.h"
#include "proto/vm_config.h"
#include "proto/wire.h"
#include "schema/admin.pb-c.h"

static int check_name(const char *wire, char ret_name[static LIMIT_NAME])
{
        if (!vm_config_name_ok(wire))
                return -EPROTO;
        return wire_copy_string(wire, ret_name, LIMIT_NAME);
}

/* A version or a type: short printable ASCII without spaces, so that it can stand in a table. */
static int check_word(const char *wire, char ret_word[static LIMIT_NAME])
{
        if (wire[0] == '\0')
                return -EPROTO;
        for (const char *c = wire; *c; c++)
                if (*c <= 0x20 || *c >= 0x7f)
                        return -EPROTO;
        return wire_copy_string(wire, ret_word, LIMIT_NAME);
}

/* 0: no such process. */
static int check_pid(uint32_t wire, uint32_t *ret_pid)
{
        if (wire > INT32_MAX)
                return -EPROTO;
        *ret_pid = wire;
        return 0;
}

/* It is printed as it is. */
static int check_why(const char *wire, char ret_why[static LIMIT_WHY])
{
        for (const char *c = wire; *c; c++)
                if (*c < 0x20 || *c >= 0x7f)
                        return -EPROTO;
        return wire_copy_string(wire, ret_why, LIMIT_WHY);
}

static int check_resources(const Bulkhead__Admin__Device *wire, struct resource_counts *ret)
{
        if (wire->n_resource != RESOURCE_KIND_COUNT_)
                return -EPROTO;
        for (unsigned kind = 0; kind < RESOURCE_KIND_COUNT_; kind++) {
                if (wire->resource[kind] > LIMIT_RESOURCES)
                        return -EPROTO;
                ret->of[kind] = wire->resource[kind];
        }
        ret->born = wire->born;
        return resource_counts_total(ret) <= LIMIT_RESOURCES ? 0 : -EPROTO;
}

static int check_companion(const Bulkhead__Admin__Device *wire, struct admin_device *ret)
{
        if (wire->companion[0] != '\0' && check_word(wire->companion, ret->companion) < 0)
                return -EPROTO;
        ret->companion_uid = wire->companion_uid;
        ret->companion_starts = wire->companion_starts;
        return check_pid(wire->companion_pid, &ret->companion_pid);
}

static int check_regions(const uint64_t *facts, size_t n, struct admin_regions *ret)
{
        if (n == 0)
                return 0;
        if (n != ADMIN_REGION_FACTS || facts[0] < 1 || facts[0] > LIMIT_SHMEM_REGIONS ||
            facts[1] > ADMIN_MAPS || facts[3] > facts[2] || facts[4] > facts[2] || facts[5] > 1)
                return -EPROTO;
        *ret = (struct admin_regions){.n = (uint32_t)facts[0],
                                      .mappings = (uint32_t)facts[1],
                                      .bytes = facts[2],
                                      .memory_bytes = facts[3],
                                      .mapped_bytes = facts[4],
                                      .foreign_refused = facts[5] == 1};
        return 0;
}

static int check_windows(const uint64_t *facts, size_t n, struct admin_windows *ret)
{
        if (n == 0)
                return 0;
        if (n != ADMIN_WINDOW_FACTS || facts[0] < 1 || facts[0] > LIMIT_WINDOWS || facts[3] > 1)
                return -EPROTO;
        *ret = (struct admin_windows){
            .n = (uint32_t)facts[0], .bytes = facts[1], .refused = facts[2], .raw = facts[3] == 1};
        return 0;
}

/* Who translates nothing holds nothing, and asks nobody. */
static int check_translations(const uint64_t *facts, size_t n, struct admin_translations *ret)
{
        if (n == 0)
                return 0;
        if (n != ADMIN_TRANSLATION_FACTS || facts[0] > 1 || facts[1] > facts[0] * LIMIT_IOTLB_ENTRIES ||
            facts[2] > facts[0] * LIMIT_IOTLB_MISSES)
                return -EPROTO;
        *ret = (struct admin_translations){.may = true,
                                           .on = facts[0] == 1,
                                           .held = (uint32_t)facts[1],
                                           .open = (uint32_t)facts[2],
                                           .asked = facts[3],
                                           .refused = facts[4],
                                           .n_updates = facts[5],
                                           .n_invalidations = facts[6]};
        return 0;
}

static int check_admin_device(const Bulkhead__Admin__Device *wire, struct admin_device *ret)
{
        if (check_name(wire->name, ret->name) < 0 || check_word(wire->type, ret->type) < 0 ||
            check_pid(wire->pid, &ret->pid) < 0 || wire_flag(wire->attached, &ret->attached) < 0 ||
            check_why(wire->why, ret->why) < 0 || wire_flag(wire->seccomp_log, &ret->seccomp_log) < 0 ||
            wire_flag(wire->direct, &ret->direct) < 0)
                return -EPROTO;
        if (wire->state < (int)ADMIN_STARTING || wire->state > (int)ADMIN_QUARANTINED)
                return -EPROTO;
        if (wire->queues_running > LIMIT_QUEUES || wire->n_lanes > LIMIT_LANES ||
            check_resources(wire, &ret->resources) < 0 || check_companion(wire, ret) < 0)
                return -EPROTO;
        if (wire->n_counter > LIMIT_COUNTERS || wire->n_features != ADMIN_FEATURE_SETS ||
            check_regions(wire->region, wire->n_region, &ret->regions) < 0 ||
            check_windows(wire->window, wire->n_window, &ret->windows) < 0 ||
            check_translations(wire->translation, wire->n_translation, &ret->translations) < 0)
                return -EPROTO;
        for (size_t i = 0; i < wire->n_counter; i++)
                ret->counters[i] = wire->counter[i];
        ret->n_counters = (uint32_t)wire->n_counter;
        ret->state = (enum admin_device_state)wire->state;
        ret->uid = wire->uid;
        ret->restarts = wire->restarts;
        ret->queues_running = wire->queues_running;
        ret->outstanding = wire->outstanding;
        ret->requests = wire->requests;
        ret->bytes_from_guest = wire->bytes_from_guest;
        ret->bytes_to_guest = wire->bytes_to_guest;
        ret->features = wire->features[0];
        ret->sets = (struct admin_feature_sets){wire->features[1], wire->features[2], wire->features[3]};
        ret->n_lanes = wire->n_lanes;
        ret->throttled = wire->throttled;
        ret->rate_ops = wire->rate_ops;
        ret->rate_bytes = wire->rate_bytes;
        return 0;
}

static int check_status(const Bulkhead__Admin__Status *wire, struct admin_status *ret)
{
        if (check_name(wire->vm, ret->vm) < 0 || check_word(wire->version, ret->version) < 0 ||
            check_pid(wire->broker_pid, &ret->broker_pid) < 0 ||
            check_pid(wire->spawner_pid, &ret->spawner_pid) < 0 ||
            wire_flag(wire->spawner_alive, &ret->spawner_alive) < 0 ||
            wire_flag(wire->rootless, &ret->rootless) < 0)
                return -EPROTO;
        if (wire->n_device > LIMIT_DEVICES || wire->stage < (int)ADMIN_SERVING ||
            wire->stage > (int)ADMIN_GUEST_RUNS)
                return -EPROTO;
        ret->stage = (enum admin_stage)wire->stage;
        ret->loaded = wire->loaded;
        for (size_t i = 0; i < wire->n_device; i++)
                if (check_admin_device(wire->device[i], &ret->devices[i]) < 0)
                        return -EPROTO;
        ret->n_devices = wire->n_device;
        return 0;
}

static int check_shmem(const Bulkhead__Admin__Shmem *wire, struct admin_shmem *ret)
{
        const size_t n = wire->n_shmid;

        if (n > ADMIN_MAPS || wire->n_flags != n || wire->n_offset != n || wire->n_len != n ||
            wire->n_fd_offset != n || wire->n_dev != n || wire->n_ino != n)
                return -EPROTO;
        for (size_t i = 0; i < n; i++) {
                if (wire->shmid[i] > UINT8_MAX || (wire->flags[i] & ~(uint32_t)ADMIN_MAP_FLAGS) != 0)
                        return -EPROTO;
                ret->maps[i] = (struct admin_map){.shmid = (uint8_t)wire->shmid[i],
                                                  .writable = wire->flags[i] & ADMIN_MAP_WRITABLE,
                                                  .memory = wire->flags[i] & ADMIN_MAP_MEMORY,
                                                  .orphan = wire->flags[i] & ADMIN_MAP_ORPHAN,
                                                  .shown = wire->flags[i] & ADMIN_MAP_SHOWN,
                                                  .offset = wire->offset[i],
                                                  .len = wire->len[i],
                                                  .fd_offset = wire->fd_offset[i],
                                                  .dev = wire->dev[i],
                                                  .ino = wire->ino[i]};
        }
        ret->n = n;
        return 0;
}

static int check_error(const Bulkhead__Admin__Error *wire, struct admin_to_client *ret)
{
        if (wire->status == WIRE_STATUS_OK || wire->status >= WIRE_STATUS_COUNT_)
                return -EPROTO;
        ret->error.error = status_to_errno(wire->status);
        return wire_copy_string(wire->reason, ret->error.reason, sizeof(ret->error.reason));
}

static int check_set(const Bulkhead__Admin__Set *wire, struct admin_to_broker *ret)
{
        struct admin_to_broker message = {.kind = ADMIN_SET};

        message.set.setting = (struct control_setting){
            .id = (enum control_setting_id)wire->setting, .index = wire->index, .value = wire->value};
        if (check_name(wire->device, message.device) < 0 || !control_setting_ok(&message.set.setting))
                return -EPROTO;
        *ret = message;
        return 0;
}

static int check_get_shmem(const Bulkhead__Admin__GetShmem *wire, struct admin_to_broker *ret)
{
        struct admin_to_broker message = {.kind = ADMIN_GET_SHMEM};

        if (check_name(wire->device, message.device) < 0)
                return -EPROTO;
        *ret = message;
        return 0;
}

int admin_check_to_broker(struct arena *arena, const uint8_t *bytes, size_t len, struct admin_to_broker *ret)
{
        const Bulkhead__Admin__ToBroker *wire;
        ProtobufCMessage *base;
        int r;

        r = wire_unpack(&bulkhead__admin__to_broker__descriptor, arena, bytes, len, &base);
        if (r < 0)
                return r;
        wire = (const Bulkhead__Admin__ToBroker *)base;
        switch (wire->kind_case) {
        case BULKHEAD__ADMIN__TO_BROKER__KIND_GET_STATUS:
                *ret = (struct admin_to_broker){.kind = ADMIN_GET_STATUS};
                return 0;
        case BULKHEAD__ADMIN__TO_BROKER__KIND_SET:
                return check_set(wire->set, ret);
        case BULKHEAD__ADMIN__TO_BROKER__KIND_GET_SHMEM:
                return check_get_shmem(wire->get_shmem, ret);
        default:
                return -EPROTO;
        }
}

int admin_check_to_client(struct arena *arena, const uint8_t *bytes, size_t len, struct admin_to_client *ret)
{
        struct admin_to_client message = {0};
        const Bulkhead__Admin__ToClient *wire;
        ProtobufCMessage *base;
        int r;

        r = wire_unpack(&bulkhead__admin__to_client__descriptor, arena, bytes, len, &base);
        if (r < 0)
                return r;
        wire = (const Bulkhead__Admin__ToClient *)base;
        switch (wire->kind_case) {
        case BULKHEAD__ADMIN__TO_CLIENT__KIND_STATUS:
                message.kind = ADMIN_STATUS;
                r = check_status(wire->status, &message.status);
                break;
        case BULKHEAD__ADMIN__TO_CLIENT__KIND_ERROR:
                message.kind = ADMIN_ERROR;
                r = check_error(wire->error, &message);
                break;
        case BULKHEAD__ADMIN__TO_CLIENT__KIND_TAKEN:
                message.kind = ADMIN_TAKEN;
                break;
        case BULKHEAD__ADMIN__TO_CLIENT__KIND_SHMEM:
                message.kind = ADMIN_SHMEM;
                r = check_shmem(wire->shmem, &message.shmem);
                break;
        default:
                return -EPROTO;
        }
        if (r < 0)
                return r;
        *ret = message;
        return 0;
}

_Static_assert((int)ADMIN_STARTING == (int)BULKHEAD__ADMIN__DEVICE_STATE__DEVICE_STATE_STARTING, "states");
_Static_assert((int)ADMIN_SERVING == (int)BULKHEAD__ADMIN__STAGE__STAGE_SERVING, "stages");
_Static_assert((int)ADMIN_GUEST_RUNS == (int)BULKHEAD__ADMIN__STAGE__STAGE_RUNNING, "stages");
_Static_assert((int)ADMIN_QUARANTINED == (int)BULKHEAD__ADMIN__DEVICE_STATE__DEVICE_STATE_QUARANTINED,
               "states");
