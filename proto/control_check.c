/* Control messages, wire -> judged.
 * Owns nothing: texts, blobs and columns of judged messages lie in the caller's arena; Hello and Configure
 * are copied.
 * Called by the broker's supervisor and the workers' link.
 * TRUST: bytes of a worker (to_broker) or of the broker (to_worker); a RestoreState blob is a dead worker's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/control.h"

#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "proto/base/status.h"
#include "proto/control_boot.h"
#include "proto/control_iommu.h"
#include "proto/control_shmem.h"
#include "proto/option_wire.h"
#include "proto/vm_config.h"
#include "proto/wire.h"
#include "schema/control.pb-c.h"

static bool in_range(uint32_t v, uint32_t min, uint32_t max)
{
        return v >= min && v <= max;
}

static bool device_features_ok(uint64_t features)
{
        return (features & ~CONTROL_DEVICE_FEATURES) == 0;
}

static bool virtio_id_known(uint32_t virtio_id)
{
        for (size_t i = 0; i < WORKER_TYPE_COUNT_; i++)
                if (device_types[i].virtio_id == virtio_id)
                        return true;
        return false;
}

/* What it is, and how. Only the loader has something to boot. */
static int check_type(struct arena *arena, const Bulkhead__Control__Configure *wire,
                      struct control_configure *ret)
{
        const struct device_type *type = device_type_find_worker(wire->type);
        int r;

        if (!type)
                return -EPROTO;
        ret->type = (enum device_type_id)(type - device_types);
        r = option_wire_check(arena, type, wire->name, wire->option, wire->n_option, OPTION_WIRE_WORKER,
                              &ret->options);
        if (r < 0)
                return r;
        if (!option_wire_judge(type, &ret->options, OPTION_WIRE_WORKER) ||
            (ret->type == DEVICE_TYPE_LOADER) != (wire->boot != NULL))
                return -EPROTO;
        return wire->boot ? control_boot_check_options(wire->boot, &ret->boot) : 0;
}

static bool area_len_ok(uint32_t len)
{
        return len <= LIMIT_AREA && len % LIMIT_AREA_PAGE == 0;
}

/* Who takes no requests has one lane to write by. */
static bool queues_ok(const struct device_type *type, uint32_t n_queues, uint32_t n_lanes)
{
        if (type->max_queues == 0)
                return n_queues == 0 && n_lanes == 1;
        return in_range(n_queues, 1, type->max_queues) && in_range(n_lanes, 1, MIN(n_queues, LIMIT_LANES));
}

static int check_raw(const Bulkhead__Control__Configure *wire, const struct device_type *type,
                     struct control_raw *ret)
{
        uint64_t end;

        if (wire->raw_start == 0 && wire->raw_size == 0)
                return 0;
        if (!type->raw || wire->raw_size == 0 || wire->raw_size % LIMIT_WINDOW_PAGE != 0 ||
            wire->raw_start % LIMIT_WINDOW_PAGE != 0 ||
            !checked_add_u64(wire->raw_start, wire->raw_size, &end))
                return -EPROTO;
        *ret = (struct control_raw){.start = wire->raw_start, .size = wire->raw_size};
        return 0;
}

static int check_configure(struct arena *arena, const Bulkhead__Control__Configure *wire,
                           struct control_configure *ret)
{
        int r;

        if (wire->protocol_version != CONTROL_PROTOCOL_VERSION || !vm_config_name_ok(wire->name))
                return -EPROTO;
        r = check_type(arena, wire, ret);
        if (r < 0)
                return r;
        if (!queues_ok(&device_types[ret->type], wire->n_queues, wire->n_lanes) ||
            !in_range(wire->max_payload, 1, LIMIT_FRAME_PAYLOAD) || !area_len_ok(wire->area_len) ||
            wire->poll_us > LIMIT_POLL_US)
                return -EPROTO;
        ret->n_queues = wire->n_queues;
        ret->n_lanes = wire->n_lanes;
        ret->max_payload = wire->max_payload;
        ret->area_len = wire->area_len;
        ret->poll_us = wire->poll_us;
        if (control_shmem_check_regions(wire, ret) < 0 || control_iommu_check_endpoints(wire, ret) < 0 ||
            check_raw(wire, &device_types[ret->type], &ret->raw) < 0)
                return -EPROTO;
        return wire_copy_string(wire->name, ret->name, sizeof(ret->name));
}

static int check_hello_queues(const Bulkhead__Control__Hello *wire, struct control_hello *ret)
{
        if (!in_range((uint32_t)wire->n_queue_kind, 1, LIMIT_QUEUES) ||
            wire->n_queue_replay != wire->n_queue_kind)
                return -EPROTO;
        for (size_t i = 0; i < wire->n_queue_kind; i++) {
                if (!in_range(wire->queue_kind[i], QUEUE_WORK, QUEUE_SUPPLY) ||
                    !in_range(wire->queue_replay[i], REPLAY_IDEMPOTENT, REPLAY_AT_MOST_ONCE))
                        return -EPROTO;
                ret->queue_kind[i] = (enum queue_kind)wire->queue_kind[i];
                ret->queue_replay[i] = (enum replay_class)wire->queue_replay[i];
        }
        ret->n_queues = (uint32_t)wire->n_queue_kind;
        return 0;
}

/* Field i of the config space; *end is where its predecessor ends. */
static int check_hello_field(const Bulkhead__Control__Hello *wire, size_t i, uint32_t *end,
                             struct control_field *ret)
{
        uint32_t offset = wire->field_offset[i];
        uint32_t width = wire->field_width[i];
        uint64_t value = wire->field_value[i];
        bool writable;

        if (width > 8 || !is_power_of_2(width))
                return -EPROTO;
        if (offset < *end || !range_inside(offset, width, LIMIT_CONFIG_BYTES))
                return -EPROTO;
        if (width < 8 && value >> (8 * width) != 0)
                return -EPROTO;
        if (wire_flag(wire->field_writable[i], &writable) < 0)
                return -EPROTO;
        *ret = (struct control_field){
            .offset = (uint16_t)offset, .width = (uint8_t)width, .writable = writable, .value = value};
        if (wire->n_field_region > 0)
                ret->region = (uint16_t)MIN(wire->field_region[i], (uint32_t)UINT16_MAX);
        if (ret->region > UINT8_MAX + 1 || (ret->region > 0 && (width != 8 || writable || value != 0)))
                return -EPROTO;
        *end = offset + width;
        return 0;
}

static int check_hello_fields(const Bulkhead__Control__Hello *wire, struct control_hello *ret)
{
        size_t n = wire->n_field_offset;
        uint32_t end = 0;

        if (wire->n_field_region != 0 && wire->n_field_region != n)
                return -EPROTO;
        if (n > LIMIT_CONFIG_FIELDS || wire->n_field_width != n || wire->n_field_writable != n ||
            wire->n_field_value != n)
                return -EPROTO;
        for (size_t i = 0; i < n; i++) {
                int r = check_hello_field(wire, i, &end, &ret->fields[i]);

                if (r < 0)
                        return r;
        }
        ret->n_fields = (uint32_t)n;
        return 0;
}

/* Where it lies is the sender's own business. That sums of it do not wrap is ours. */
static int check_area(const Bulkhead__Control__Hello *wire, struct control_area *ret)
{
        if (wire->area_len == 0 &&
            (wire->area_at != 0 || wire->area_lead != 0 || wire->area_out != 0 || wire->area_dense != 0))
                return -EPROTO;
        if (!area_len_ok(wire->area_len) || wire->area_lead >= LIMIT_AREA_PAGE || wire->area_out > 1 ||
            wire->area_dense > 1)
                return -EPROTO;
        if (wire->area_at % LIMIT_AREA_PAGE != 0 || wire->area_at > UINT64_MAX - LIMIT_LANES * LIMIT_AREA)
                return -EPROTO;
        *ret = (struct control_area){.at = wire->area_at,
                                     .len = wire->area_len,
                                     .lead = wire->area_lead,
                                     .out = wire->area_out == 1,
                                     .dense = wire->area_dense == 1};
        return 0;
}

/* Of a worker that is no device: it says nothing of requests, so the judged one is zero as it was. */
static int check_hello_plain(const Bulkhead__Control__Hello *wire)
{
        if (wire->features != 0 || wire->n_queue_kind != 0 || wire->n_queue_replay != 0 ||
            wire->n_field_offset != 0 || wire->n_field_width != 0 || wire->n_field_writable != 0 ||
            wire->n_field_value != 0 || wire->n_field_region != 0)
                return -EPROTO;
        if (wire->max_segments != 0 || wire->credit_requests != 0 || wire->credit_bytes != 0 ||
            wire->max_inline != 0 || wire->area_at != 0 || wire->area_len != 0 || wire->area_lead != 0 ||
            wire->area_out != 0 || wire->area_dense != 0 || wire->maps != 0)
                return -EPROTO;
        return 0;
}

static int check_hello(const Bulkhead__Control__Hello *wire, struct control_hello *ret)
{
        int r;

        if (wire->protocol_version != CONTROL_PROTOCOL_VERSION || !virtio_id_known(wire->device_type) ||
            !device_features_ok(wire->features))
                return -EPROTO;
        if (wire->device_type == 0)
                return check_hello_plain(wire);
        if (!in_range(wire->max_segments, 1, LIMIT_CHAIN_SEGMENTS) ||
            !in_range(wire->credit_requests, 1, LIMIT_CREDITS) ||
            !in_range(wire->credit_bytes, wire->max_inline, LIMIT_FRAME_PAYLOAD))
                return -EPROTO;
        r = check_hello_queues(wire, ret);
        if (r < 0)
                return r;
        r = check_hello_fields(wire, ret);
        if (r < 0)
                return r;
        ret->device_type = wire->device_type;
        ret->features = wire->features;
        ret->max_segments = wire->max_segments;
        ret->credit_requests = wire->credit_requests;
        ret->credit_bytes = wire->credit_bytes;
        ret->max_inline = wire->max_inline;
        if (wire->maps > LIMIT_SHMEM_MAPPINGS)
                return -EPROTO;
        ret->maps = wire->maps;
        return check_area(wire, &ret->area);
}

static int check_blob(const ProtobufCBinaryData *wire, struct control_blob *ret)
{
        if (wire->len > LIMIT_STATE_BYTES)
                return -EPROTO;
        *ret = (struct control_blob){.bytes = wire->len > 0 ? wire->data : (const uint8_t *)"",
                                     .len = wire->len};
        return 0;
}

static int check_config_space(const Bulkhead__Control__ConfigSpace *wire, struct control_to_broker *ret)
{
        if (wire->n_field_value < 1 || wire->n_field_value > LIMIT_CONFIG_FIELDS)
                return -EPROTO;
        ret->config_space.n = wire->n_field_value;
        ret->config_space.value = wire->field_value;
        return 0;
}

static int check_stats(const Bulkhead__Control__Stats *wire, struct control_to_broker *ret)
{
        if (wire->n_counter > LIMIT_COUNTERS)
                return -EPROTO;
        ret->stats.n = wire->n_counter;
        ret->stats.counter = wire->counter;
        return 0;
}

static int check_log(const Bulkhead__Control__Log *wire, struct control_to_broker *ret)
{
        if (wire->level > LOG_LEVEL_DEBUG || strnlen(wire->text, LIMIT_LOG_LINE) == LIMIT_LOG_LINE)
                return -EPROTO;
        ret->log.level = wire->level;
        ret->log.text = wire->text;
        return 0;
}

static int check_done(const Bulkhead__Control__Done *wire, struct control_to_broker *ret)
{
        if (wire->status >= WIRE_STATUS_COUNT_)
                return -EPROTO;
        ret->done.seq = wire->seq;
        ret->done.error = status_to_errno(wire->status);
        return 0;
}

/* Kinds have the numbers of their oneof cases. */
static int check_to_broker(const Bulkhead__Control__ToBroker *wire, struct control_to_broker *ret)
{
        ret->kind = (enum control_kind_to_broker)wire->kind_case;
        switch (wire->kind_case) {
        case BULKHEAD__CONTROL__TO_BROKER__KIND_HELLO:
                return check_hello(wire->hello, &ret->hello);
        case BULKHEAD__CONTROL__TO_BROKER__KIND_DONE:
                return check_done(wire->done, ret);
        case BULKHEAD__CONTROL__TO_BROKER__KIND_CONFIG_SPACE:
                return check_config_space(wire->config_space, ret);
        case BULKHEAD__CONTROL__TO_BROKER__KIND_PUT_STATE:
                return check_blob(&wire->put_state->state, &ret->put_state);
        case BULKHEAD__CONTROL__TO_BROKER__KIND_LOG:
                return check_log(wire->log, ret);
        case BULKHEAD__CONTROL__TO_BROKER__KIND_STATS:
                return check_stats(wire->stats, ret);
        case BULKHEAD__CONTROL__TO_BROKER__KIND_BOOTED:
                return control_boot_check_booted(wire->booted, &ret->booted);
        case BULKHEAD__CONTROL__TO_BROKER__KIND_BOOT_FAILED:
                return control_boot_check_failed(wire->boot_failed, ret->boot_failed.reason);
        case BULKHEAD__CONTROL__TO_BROKER__KIND_SHMEM_MAP:
                return control_shmem_check_map(wire->shmem_map, &ret->shmem);
        case BULKHEAD__CONTROL__TO_BROKER__KIND_SHMEM_UNMAP:
                return control_shmem_check_unmap(wire->shmem_unmap, &ret->shmem);
        case BULKHEAD__CONTROL__TO_BROKER__KIND_IOMMU_MAP:
                return control_iommu_check_map(wire->iommu_map, &ret->iommu);
        case BULKHEAD__CONTROL__TO_BROKER__KIND_IOMMU_UNMAP:
                return control_iommu_check_unmap(wire->iommu_unmap, &ret->iommu);
        default:
                return -EPROTO;
        }
}

static int check_set_features(const Bulkhead__Control__SetFeatures *wire, struct control_to_worker *ret)
{
        if (!device_features_ok(wire->features))
                return -EPROTO;
        ret->seq = wire->seq;
        ret->set_features.features = wire->features;
        return 0;
}

static int check_config_write(const Bulkhead__Control__ConfigWrite *wire, struct control_to_worker *ret)
{
        if (wire->field >= LIMIT_CONFIG_FIELDS)
                return -EPROTO;
        ret->seq = wire->seq;
        ret->config_write.field = wire->field;
        ret->config_write.value = wire->value;
        return 0;
}

static int check_start_queue(const Bulkhead__Control__StartQueue *wire, struct control_to_worker *ret)
{
        if (wire->queue >= LIMIT_QUEUES || !in_range(wire->size, 1, LIMIT_RING_SIZE))
                return -EPROTO;
        if (wire->desc % 16 != 0 || wire->avail % 2 != 0 || wire->used % 4 != 0 || wire->next > UINT16_MAX)
                return -EPROTO;
        ret->seq = wire->seq;
        ret->start_queue = (struct control_start_queue){.queue = wire->queue,
                                                        .size = wire->size,
                                                        .desc = wire->desc,
                                                        .avail = wire->avail,
                                                        .used = wire->used,
                                                        .next = wire->next};
        return 0;
}

static int check_set(const Bulkhead__Control__Set *wire, struct control_to_worker *ret)
{
        ret->seq = wire->seq;
        ret->set = (struct control_setting){
            .id = (enum control_setting_id)wire->setting, .index = wire->index, .value = wire->value};
        return control_setting_ok(&ret->set) ? 0 : -EPROTO;
}

static int check_to_worker(struct arena *arena, const Bulkhead__Control__ToWorker *wire,
                           struct control_to_worker *ret)
{
        ret->kind = (enum control_kind_to_worker)wire->kind_case;
        switch (wire->kind_case) {
        case BULKHEAD__CONTROL__TO_WORKER__KIND_CONFIGURE:
                return check_configure(arena, wire->configure, &ret->configure);
        case BULKHEAD__CONTROL__TO_WORKER__KIND_SET_FEATURES:
                return check_set_features(wire->set_features, ret);
        case BULKHEAD__CONTROL__TO_WORKER__KIND_CONFIG_WRITE:
                return check_config_write(wire->config_write, ret);
        case BULKHEAD__CONTROL__TO_WORKER__KIND_START_QUEUE:
                return check_start_queue(wire->start_queue, ret);
        case BULKHEAD__CONTROL__TO_WORKER__KIND_RESTORE_STATE:
                ret->seq = wire->restore_state->seq;
                return check_blob(&wire->restore_state->state, &ret->restore_state);
        case BULKHEAD__CONTROL__TO_WORKER__KIND_SHUTDOWN:
                return 0;
        case BULKHEAD__CONTROL__TO_WORKER__KIND_SET:
                return check_set(wire->set, ret);
        case BULKHEAD__CONTROL__TO_WORKER__KIND_SHMEM_ANSWER:
                return control_shmem_check_answer(wire->shmem_answer, ret);
        case BULKHEAD__CONTROL__TO_WORKER__KIND_IOMMU_ANSWER:
                return control_iommu_check_answer(wire->iommu_answer, ret);
        case BULKHEAD__CONTROL__TO_WORKER__KIND_IOMMU_FAULT:
                return control_iommu_check_fault(wire->iommu_fault, ret);
        default:
                return -EPROTO;
        }
}

int control_check_to_worker(struct arena *arena, const uint8_t *bytes, size_t len,
                            struct control_to_worker *ret)
{
        struct control_to_worker message = {0};
        ProtobufCMessage *wire;
        int r;

        r = wire_unpack(&bulkhead__control__to_worker__descriptor, arena, bytes, len, &wire);
        if (r < 0)
                return r;
        r = check_to_worker(arena, (const Bulkhead__Control__ToWorker *)wire, &message);
        if (r < 0)
                return r;
        *ret = message;
        return 0;
}

int control_check_to_broker(struct arena *arena, const uint8_t *bytes, size_t len,
                            struct control_to_broker *ret)
{
        struct control_to_broker message = {0};
        ProtobufCMessage *wire;
        int r;

        r = wire_unpack(&bulkhead__control__to_broker__descriptor, arena, bytes, len, &wire);
        if (r < 0)
                return r;
        r = check_to_broker((const Bulkhead__Control__ToBroker *)wire, &message);
        if (r < 0)
                return r;
        *ret = message;
        return 0;
}

bool control_hello_equal(const struct control_hello *a, const struct control_hello *b)
{
        if (a->device_type != b->device_type || a->features != b->features || a->n_queues != b->n_queues ||
            a->max_segments != b->max_segments || a->credit_requests != b->credit_requests ||
            a->credit_bytes != b->credit_bytes || a->max_inline != b->max_inline ||
            a->n_fields != b->n_fields)
                return false;
        for (uint32_t i = 0; i < a->n_queues; i++)
                if (a->queue_kind[i] != b->queue_kind[i] || a->queue_replay[i] != b->queue_replay[i])
                        return false;
        for (uint32_t i = 0; i < a->n_fields; i++)
                if (a->fields[i].offset != b->fields[i].offset || a->fields[i].width != b->fields[i].width ||
                    a->fields[i].writable != b->fields[i].writable ||
                    a->fields[i].region != b->fields[i].region)
                        return false;
        return true;
}

/* The casts above rely on it. */
_Static_assert((int)CONTROL_HELLO == (int)BULKHEAD__CONTROL__TO_BROKER__KIND_HELLO, "kinds are cases");
_Static_assert((int)CONTROL_STATS == (int)BULKHEAD__CONTROL__TO_BROKER__KIND_STATS, "kinds are cases");
_Static_assert((int)CONTROL_BOOT_FAILED == (int)BULKHEAD__CONTROL__TO_BROKER__KIND_BOOT_FAILED,
               "kinds are cases");
_Static_assert((int)CONTROL_CONFIGURE == (int)BULKHEAD__CONTROL__TO_WORKER__KIND_CONFIGURE,
               "kinds are cases");
_Static_assert((int)CONTROL_SHUTDOWN == (int)BULKHEAD__CONTROL__TO_WORKER__KIND_SHUTDOWN, "kinds are cases");
_Static_assert((int)CONTROL_SHMEM_ANSWER == (int)BULKHEAD__CONTROL__TO_WORKER__KIND_SHMEM_ANSWER &&
                   (int)CONTROL_SHMEM_UNMAP == (int)BULKHEAD__CONTROL__TO_BROKER__KIND_SHMEM_UNMAP,
               "kinds are cases");
_Static_assert((int)CONTROL_SET == (int)BULKHEAD__CONTROL__TO_WORKER__KIND_SET, "kinds are cases");
_Static_assert((int)SETTING_LINK == (int)BULKHEAD__CONTROL__SETTING__SETTING_LINK &&
                   (int)SETTING_SIZE == (int)BULKHEAD__CONTROL__SETTING__SETTING_SIZE,
               "settings");
_Static_assert((int)QUEUE_SUPPLY == (int)BULKHEAD__CONTROL__QUEUE_KIND__QUEUE_KIND_SUPPLY, "queue kinds");
_Static_assert((int)REPLAY_AT_MOST_ONCE == (int)BULKHEAD__CONTROL__REPLAY_CLASS__REPLAY_CLASS_AT_MOST_ONCE,
               "replay classes");
