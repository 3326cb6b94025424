/* Control messages, struct -> wire.
 * Owns nothing; called by the broker's supervisor and the workers' link.
 * TRUST: everything here is our own, but for the blob of a RestoreState and the text of a Log, which are
 * only carried.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/control.h"

#include <errno.h>
#include <string.h>

#include "proto/base/status.h"
#include "proto/control_boot.h"
#include "proto/control_iommu.h"
#include "proto/control_shmem.h"
#include "proto/option_wire.h"
#include "proto/wire.h"
#include "schema/control.pb-c.h"

static ssize_t make_configure(const struct control_configure *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToWorker wire = BULKHEAD__CONTROL__TO_WORKER__INIT;
        Bulkhead__Control__Configure body = BULKHEAD__CONTROL__CONFIGURE__INIT;
        struct option_wire options;
        struct control_boot_wire boot;
        struct control_regions_wire regions;
        int r;

        body.protocol_version = CONTROL_PROTOCOL_VERSION;
        body.name = (char *)message->name;
        body.n_queues = message->n_queues;
        body.n_lanes = message->n_lanes;
        body.max_payload = message->max_payload;
        body.area_len = message->area_len;
        body.poll_us = message->poll_us;
        body.raw_start = message->raw.start;
        body.raw_size = message->raw.size;
        if ((unsigned)message->type >= WORKER_TYPE_COUNT_)
                return -EINVAL;
        body.type = (char *)device_types[message->type].name;
        body.n_option = option_wire_make(&device_types[message->type], message->name, &message->options,
                                         OPTION_WIRE_WORKER, &options);
        body.option = options.row;
        if (message->n_regions > LIMIT_SHMEM_REGIONS)
                return -E2BIG;
        control_shmem_fill_regions(message, &regions, &body);
        body.endpoints = message->endpoints;
        if (message->type == DEVICE_TYPE_LOADER) {
                r = control_boot_fill_options(&message->boot, &boot);
                if (r < 0)
                        return r;
                body.boot = &boot.options;
        }
        wire.kind_case = BULKHEAD__CONTROL__TO_WORKER__KIND_CONFIGURE;
        wire.configure = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_set_features(const struct control_to_worker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToWorker wire = BULKHEAD__CONTROL__TO_WORKER__INIT;
        Bulkhead__Control__SetFeatures body = BULKHEAD__CONTROL__SET_FEATURES__INIT;

        body.seq = message->seq;
        body.features = message->set_features.features;
        wire.kind_case = BULKHEAD__CONTROL__TO_WORKER__KIND_SET_FEATURES;
        wire.set_features = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_config_write(const struct control_to_worker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToWorker wire = BULKHEAD__CONTROL__TO_WORKER__INIT;
        Bulkhead__Control__ConfigWrite body = BULKHEAD__CONTROL__CONFIG_WRITE__INIT;

        body.seq = message->seq;
        body.field = message->config_write.field;
        body.value = message->config_write.value;
        wire.kind_case = BULKHEAD__CONTROL__TO_WORKER__KIND_CONFIG_WRITE;
        wire.config_write = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_start_queue(const struct control_to_worker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToWorker wire = BULKHEAD__CONTROL__TO_WORKER__INIT;
        Bulkhead__Control__StartQueue body = BULKHEAD__CONTROL__START_QUEUE__INIT;

        body.seq = message->seq;
        body.queue = message->start_queue.queue;
        body.size = message->start_queue.size;
        body.desc = message->start_queue.desc;
        body.avail = message->start_queue.avail;
        body.used = message->start_queue.used;
        body.next = message->start_queue.next;
        wire.kind_case = BULKHEAD__CONTROL__TO_WORKER__KIND_START_QUEUE;
        wire.start_queue = &body;
        return wire_pack(&wire.base, buf, size);
}

/* protobuf-c has no const in its structs; packing only reads. */
static ProtobufCBinaryData make_blob(const struct control_blob *blob)
{
        return (ProtobufCBinaryData){.len = blob->len, .data = (uint8_t *)blob->bytes};
}

static ssize_t make_restore_state(const struct control_to_worker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToWorker wire = BULKHEAD__CONTROL__TO_WORKER__INIT;
        Bulkhead__Control__RestoreState body = BULKHEAD__CONTROL__RESTORE_STATE__INIT;

        if (message->restore_state.len > LIMIT_STATE_BYTES)
                return -E2BIG;
        body.seq = message->seq;
        body.state = make_blob(&message->restore_state);
        wire.kind_case = BULKHEAD__CONTROL__TO_WORKER__KIND_RESTORE_STATE;
        wire.restore_state = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_set(const struct control_to_worker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToWorker wire = BULKHEAD__CONTROL__TO_WORKER__INIT;
        Bulkhead__Control__Set body = BULKHEAD__CONTROL__SET__INIT;

        body.seq = message->seq;
        body.setting = (Bulkhead__Control__Setting)message->set.id;
        body.index = message->set.index;
        body.value = message->set.value;
        wire.kind_case = BULKHEAD__CONTROL__TO_WORKER__KIND_SET;
        wire.set = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_shutdown(uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToWorker wire = BULKHEAD__CONTROL__TO_WORKER__INIT;
        Bulkhead__Control__Shutdown body = BULKHEAD__CONTROL__SHUTDOWN__INIT;

        wire.kind_case = BULKHEAD__CONTROL__TO_WORKER__KIND_SHUTDOWN;
        wire.shutdown = &body;
        return wire_pack(&wire.base, buf, size);
}

/* A Hello's columns: the struct has rows. */
struct hello_columns {
        uint32_t kind[LIMIT_QUEUES], replay[LIMIT_QUEUES];
        uint32_t offset[LIMIT_CONFIG_FIELDS], width[LIMIT_CONFIG_FIELDS], writable[LIMIT_CONFIG_FIELDS];
        uint32_t region[LIMIT_CONFIG_FIELDS];
        uint64_t value[LIMIT_CONFIG_FIELDS];
};

static void hello_fill_columns(const struct control_hello *hello, struct hello_columns *columns)
{
        for (uint32_t i = 0; i < hello->n_queues; i++) {
                columns->kind[i] = hello->queue_kind[i];
                columns->replay[i] = hello->queue_replay[i];
        }
        for (uint32_t i = 0; i < hello->n_fields; i++) {
                columns->offset[i] = hello->fields[i].offset;
                columns->width[i] = hello->fields[i].width;
                columns->writable[i] = hello->fields[i].writable;
                columns->value[i] = hello->fields[i].value;
                columns->region[i] = hello->fields[i].region;
        }
}

static ssize_t make_hello(const struct control_hello *hello, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        struct hello_columns columns;
        Bulkhead__Control__Hello body = {
            .base = PROTOBUF_C_MESSAGE_INIT(&bulkhead__control__hello__descriptor),
            .protocol_version = CONTROL_PROTOCOL_VERSION,
            .device_type = hello->device_type,
            .features = hello->features,
            .n_queue_kind = hello->n_queues,
            .queue_kind = columns.kind,
            .n_queue_replay = hello->n_queues,
            .queue_replay = columns.replay,
            .max_segments = hello->max_segments,
            .credit_requests = hello->credit_requests,
            .credit_bytes = hello->credit_bytes,
            .max_inline = hello->max_inline,
            .n_field_offset = hello->n_fields,
            .field_offset = columns.offset,
            .n_field_width = hello->n_fields,
            .field_width = columns.width,
            .n_field_writable = hello->n_fields,
            .field_writable = columns.writable,
            .n_field_value = hello->n_fields,
            .field_value = columns.value,
            .n_field_region = hello->n_fields,
            .field_region = columns.region,
            .area_at = hello->area.at,
            .area_len = hello->area.len,
            .area_lead = hello->area.lead,
            .area_out = hello->area.out,
            .area_dense = hello->area.dense,
            .maps = hello->maps,
        };

        if (hello->n_queues > LIMIT_QUEUES || hello->n_fields > LIMIT_CONFIG_FIELDS)
                return -E2BIG;
        hello_fill_columns(hello, &columns);
        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_HELLO;
        wire.hello = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_done(const struct control_to_broker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        Bulkhead__Control__Done body = BULKHEAD__CONTROL__DONE__INIT;

        body.seq = message->done.seq;
        body.status = status_from_errno(message->done.error);
        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_DONE;
        wire.done = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_config_space(const struct control_to_broker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        Bulkhead__Control__ConfigSpace body = BULKHEAD__CONTROL__CONFIG_SPACE__INIT;

        if (message->config_space.n > LIMIT_CONFIG_FIELDS)
                return -E2BIG;
        body.n_field_value = message->config_space.n;
        body.field_value = (uint64_t *)message->config_space.value;
        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_CONFIG_SPACE;
        wire.config_space = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_put_state(const struct control_to_broker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        Bulkhead__Control__PutState body = BULKHEAD__CONTROL__PUT_STATE__INIT;

        if (message->put_state.len > LIMIT_STATE_BYTES)
                return -E2BIG;
        body.state = make_blob(&message->put_state);
        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_PUT_STATE;
        wire.put_state = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_log(const struct control_to_broker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        Bulkhead__Control__Log body = BULKHEAD__CONTROL__LOG__INIT;

        if (strnlen(message->log.text, LIMIT_LOG_LINE) == LIMIT_LOG_LINE)
                return -E2BIG;
        body.level = message->log.level;
        body.text = (char *)message->log.text;
        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_LOG;
        wire.log = &body;
        return wire_pack(&wire.base, buf, size);
}

static ssize_t make_stats(const struct control_to_broker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        Bulkhead__Control__Stats body = BULKHEAD__CONTROL__STATS__INIT;

        if (message->stats.n > LIMIT_COUNTERS)
                return -E2BIG;
        body.n_counter = message->stats.n;
        body.counter = (uint64_t *)message->stats.counter;
        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_STATS;
        wire.stats = &body;
        return wire_pack(&wire.base, buf, size);
}

ssize_t control_make_to_worker(const struct control_to_worker *message, uint8_t *buf, size_t size)
{
        switch (message->kind) {
        case CONTROL_CONFIGURE:
                return make_configure(&message->configure, buf, size);
        case CONTROL_SET_FEATURES:
                return make_set_features(message, buf, size);
        case CONTROL_CONFIG_WRITE:
                return make_config_write(message, buf, size);
        case CONTROL_START_QUEUE:
                return make_start_queue(message, buf, size);
        case CONTROL_RESTORE_STATE:
                return make_restore_state(message, buf, size);
        case CONTROL_SHUTDOWN:
                return make_shutdown(buf, size);
        case CONTROL_SET:
                return make_set(message, buf, size);
        case CONTROL_SHMEM_ANSWER:
                return control_shmem_make_answer(message, buf, size);
        case CONTROL_IOMMU_ANSWER:
                return control_iommu_make_answer(message, buf, size);
        case CONTROL_IOMMU_FAULT:
                return control_iommu_make_fault(message, buf, size);
        }
        return -EINVAL;
}

ssize_t control_make_to_broker(const struct control_to_broker *message, uint8_t *buf, size_t size)
{
        switch (message->kind) {
        case CONTROL_HELLO:
                return make_hello(&message->hello, buf, size);
        case CONTROL_DONE:
                return make_done(message, buf, size);
        case CONTROL_CONFIG_SPACE:
                return make_config_space(message, buf, size);
        case CONTROL_PUT_STATE:
                return make_put_state(message, buf, size);
        case CONTROL_LOG:
                return make_log(message, buf, size);
        case CONTROL_STATS:
                return make_stats(message, buf, size);
        case CONTROL_BOOTED:
                return control_boot_make_booted(&message->booted, buf, size);
        case CONTROL_BOOT_FAILED:
                return control_boot_make_failed(message->boot_failed.reason, buf, size);
        case CONTROL_SHMEM_MAP:
                return control_shmem_make_map(&message->shmem, buf, size);
        case CONTROL_SHMEM_UNMAP:
                return control_shmem_make_unmap(&message->shmem, buf, size);
        case CONTROL_IOMMU_MAP:
                return control_iommu_make_map(&message->iommu, buf, size);
        case CONTROL_IOMMU_UNMAP:
                return control_iommu_make_unmap(&message->iommu, buf, size);
        case CONTROL_TO_BROKER_COUNT_:
                break;
        }
        return -EINVAL;
}
