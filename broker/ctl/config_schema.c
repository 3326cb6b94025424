/* The configuration file's schema.
 * Owns the tables that it makes of device types' rows, once; used by config_load.c, config_walk.c and config_effective.c.
 * TRUST: describes the operator's file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_schema.h"

#include <limits.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"

#define TEXT_MAX (PATH_MAX - 1u) /* the longest value is a path; rules judge the shorter ones */

#define REQUIRED CYAML_FLAG_DEFAULT
#define OPTIONAL CYAML_FLAG_OPTIONAL

static const cyaml_strval_t frontends[] = {
    {"vhost-user", VM_FRONTEND_VHOST_USER},
    {"kvm", VM_FRONTEND_KVM},
};
_Static_assert(array_size(frontends) == VM_FRONTEND_END_ - VM_FRONTEND_VHOST_USER, "one row a front end");

static const cyaml_strval_t serials[] = {
    {"stdio", VM_SERIAL_STDIO},
    {"none", VM_SERIAL_NONE},
};
_Static_assert(array_size(serials) == VM_SERIAL_COUNT_, "one row a place");

static cyaml_strval_t types[DEVICE_TYPE_COUNT_]; /* filled in with their names */

static const cyaml_strval_t copies[] = {
    {"auto", DEVICE_COPY_AUTO},
    {"socket", DEVICE_COPY_SOCKET},
};
_Static_assert(array_size(copies) == DEVICE_COPY_COUNT_, "one row a way to copy");

static const cyaml_strval_t placements[] = {
    {"free", DEVICE_PLACEMENT_FREE},
    {"auto", DEVICE_PLACEMENT_AUTO},
};
_Static_assert(array_size(placements) == DEVICE_PLACEMENT_COUNT_, "one row a placement");

static const cyaml_strval_t legacies[] = {
    {"off", DEVICE_LEGACY_OFF},
    {"only", DEVICE_LEGACY_ONLY},
    {"only-big-endian", DEVICE_LEGACY_ONLY_BIG},
};
_Static_assert(array_size(legacies) == DEVICE_LEGACY_COUNT_, "one row an interface");

static const cyaml_schema_field_t socket_fields[] = {
    CYAML_FIELD_STRING_PTR("mode", OPTIONAL, struct config_socket, mode, 0, TEXT_MAX),
    CYAML_FIELD_STRING_PTR("group", OPTIONAL, struct config_socket, group, 0, TEXT_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t uids_fields[] = {
    CYAML_FIELD_UINT_PTR("first", OPTIONAL, struct config_uids, first),
    CYAML_FIELD_UINT_PTR("count", OPTIONAL, struct config_uids, count),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t limits_fields[] = {
    CYAML_FIELD_STRING_PTR("worker_memory", OPTIONAL, struct config_limits, worker_memory, 0, TEXT_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t device_limits_fields[] = {
    CYAML_FIELD_STRING_PTR("memory", OPTIONAL, struct config_device_limits, memory, 0, TEXT_MAX),
    CYAML_FIELD_STRING_PTR("cpu", OPTIONAL, struct config_device_limits, cpu, 0, TEXT_MAX),
    CYAML_FIELD_UINT_PTR("cpu_weight", OPTIONAL, struct config_device_limits, cpu_weight),
    CYAML_FIELD_UINT_PTR("io_weight", OPTIONAL, struct config_device_limits, io_weight),
    CYAML_FIELD_STRING_PTR("read_bps", OPTIONAL, struct config_device_limits, read_bps, 0, TEXT_MAX),
    CYAML_FIELD_STRING_PTR("write_bps", OPTIONAL, struct config_device_limits, write_bps, 0, TEXT_MAX),
    CYAML_FIELD_UINT_PTR("read_iops", OPTIONAL, struct config_device_limits, read_iops),
    CYAML_FIELD_UINT_PTR("write_iops", OPTIONAL, struct config_device_limits, write_iops),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t device_rate_fields[] = {
    CYAML_FIELD_UINT_PTR("ops", OPTIONAL, struct config_device_rate, ops),
    CYAML_FIELD_STRING_PTR("bytes", OPTIONAL, struct config_device_rate, bytes, 0, TEXT_MAX),
    CYAML_FIELD_UINT_PTR("ops_burst", OPTIONAL, struct config_device_rate, ops_burst),
    CYAML_FIELD_STRING_PTR("bytes_burst", OPTIONAL, struct config_device_rate, bytes_burst, 0, TEXT_MAX),
    CYAML_FIELD_END,
};

static const cyaml_strval_t shmems[] = {
    {"off", CONFIG_SHMEM_OFF},
    {"map", CONFIG_SHMEM_MAP},
};
_Static_assert(array_size(shmems) == CONFIG_SHMEM_COUNT_, "one row a way");

static const cyaml_strval_t foreign_dmas[] = {
    {"allow", FOREIGN_DMA_ALLOW},
    {"refuse", FOREIGN_DMA_REFUSE},
};
_Static_assert(array_size(foreign_dmas) == FOREIGN_DMA_COUNT_, "one row an answer");

static const cyaml_schema_field_t shmem_limits_fields[] = {
    CYAML_FIELD_UINT_PTR("mappings", OPTIONAL, struct config_shmem_limits, mappings),
    CYAML_FIELD_STRING_PTR("bytes", OPTIONAL, struct config_shmem_limits, bytes, 0, TEXT_MAX),
    CYAML_FIELD_ENUM_PTR("foreign_dma", OPTIONAL | CYAML_FLAG_STRICT, struct config_shmem_limits, foreign_dma,
                         foreign_dmas, CYAML_ARRAY_LEN(foreign_dmas)),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t device_window_fields[] = {
    CYAML_FIELD_STRING_PTR("start", REQUIRED, struct config_device_window, start, 0, TEXT_MAX),
    CYAML_FIELD_STRING_PTR("size", REQUIRED, struct config_device_window, size, 0, TEXT_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t device_window_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_device_window, device_window_fields),
};

static const cyaml_schema_field_t device_memory_fields[] = {
    CYAML_FIELD_BOOL_PTR("iotlb", OPTIONAL, struct config_device_memory, iotlb),
    CYAML_FIELD_SEQUENCE("windows", OPTIONAL | CYAML_FLAG_POINTER, struct config_device_memory, windows,
                         &device_window_value, 1, LIMIT_WINDOWS),
    CYAML_FIELD_MAPPING_PTR("raw", OPTIONAL, struct config_device_memory, raw, device_window_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t text_value = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER | CYAML_FLAG_SCALAR_QUOTE_DOUBLE, char, 0, TEXT_MAX),
};

static const cyaml_schema_field_t first_fields[] = {
    CYAML_FIELD_STRING_PTR("name", REQUIRED, struct config_device, name, 0, TEXT_MAX),
    CYAML_FIELD_ENUM("type", REQUIRED | CYAML_FLAG_STRICT, struct config_device, type, types,
                     CYAML_ARRAY_LEN(types)),
};

static const cyaml_schema_field_t last_fields[] = {
    CYAML_FIELD_UINT_PTR("queues", OPTIONAL, struct config_device, queues),
    CYAML_FIELD_UINT_PTR("lanes", OPTIONAL, struct config_device, lanes),
    CYAML_FIELD_UINT_PTR("request_timeout", OPTIONAL, struct config_device, request_timeout),
    CYAML_FIELD_ENUM_PTR("copy", OPTIONAL | CYAML_FLAG_STRICT, struct config_device, copy, copies,
                         CYAML_ARRAY_LEN(copies)),
    CYAML_FIELD_UINT_PTR("poll_us", OPTIONAL, struct config_device, poll_us),
    CYAML_FIELD_ENUM_PTR("placement", OPTIONAL | CYAML_FLAG_STRICT, struct config_device, placement,
                         placements, CYAML_ARRAY_LEN(placements)),
    CYAML_FIELD_MAPPING_PTR("limits", OPTIONAL, struct config_device, limits, device_limits_fields),
    CYAML_FIELD_MAPPING_PTR("rate", OPTIONAL, struct config_device, rate, device_rate_fields),
    CYAML_FIELD_ENUM_PTR("shmem", OPTIONAL | CYAML_FLAG_STRICT, struct config_device, shmem, shmems,
                         CYAML_ARRAY_LEN(shmems)),
    CYAML_FIELD_MAPPING_PTR("shmem_limits", OPTIONAL, struct config_device, shmem_limits,
                            shmem_limits_fields),
    CYAML_FIELD_MAPPING_PTR("memory", OPTIONAL, struct config_device, memory, device_memory_fields),
    CYAML_FIELD_ENUM_PTR("legacy", OPTIONAL | CYAML_FLAG_STRICT, struct config_device, legacy, legacies,
                         CYAML_ARRAY_LEN(legacies)),
    CYAML_FIELD_END,
};

/* The first, one a key of an option, and the last. */
static cyaml_schema_field_t
    device_fields[array_size(first_fields) + CONFIG_OPTION_KEYS + array_size(last_fields)];

static const cyaml_schema_value_t device_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_device, device_fields),
};

static const cyaml_schema_field_t file_fields[] = {
    CYAML_FIELD_STRING_PTR("vm", REQUIRED, struct config_file, vm, 0, TEXT_MAX),
    CYAML_FIELD_ENUM("frontend", REQUIRED | CYAML_FLAG_STRICT, struct config_file, frontend, frontends,
                     CYAML_ARRAY_LEN(frontends)),
    CYAML_FIELD_UINT_PTR("vcpus", OPTIONAL, struct config_file, vcpus),
    CYAML_FIELD_STRING_PTR("memory", OPTIONAL, struct config_file, memory, 0, TEXT_MAX),
    CYAML_FIELD_STRING_PTR("kernel", OPTIONAL, struct config_file, kernel, 0, TEXT_MAX),
    CYAML_FIELD_STRING_PTR("initrd", OPTIONAL, struct config_file, initrd, 0, TEXT_MAX),
    /* Quoted when written: "" is a command line too, and an empty value is not. */
    CYAML_FIELD_STRING_PTR("cmdline", OPTIONAL | CYAML_FLAG_SCALAR_QUOTE_DOUBLE, struct config_file, cmdline,
                           0, TEXT_MAX),
    CYAML_FIELD_ENUM_PTR("serial", OPTIONAL | CYAML_FLAG_STRICT, struct config_file, serial, serials,
                         CYAML_ARRAY_LEN(serials)),
    CYAML_FIELD_STRING_PTR("run_dir", OPTIONAL, struct config_file, run_dir, 0, TEXT_MAX),
    CYAML_FIELD_MAPPING_PTR("socket", OPTIONAL, struct config_file, socket, socket_fields),
    CYAML_FIELD_MAPPING_PTR("uids", OPTIONAL, struct config_file, uids, uids_fields),
    CYAML_FIELD_MAPPING_PTR("limits", OPTIONAL, struct config_file, limits, limits_fields),
    CYAML_FIELD_SEQUENCE("devices", REQUIRED | CYAML_FLAG_POINTER, struct config_file, devices, &device_value,
                         1, LIMIT_DEVICES),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t file_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config_file, file_fields),
};

/* ---- options of device types ---- */

/* Quoted when written: "" is a text too, and an empty value is not. */
static cyaml_schema_value_t option_value(const struct option_row *row)
{
        const unsigned flags = OPTIONAL | CYAML_FLAG_POINTER;

        switch (row->kind) {
        case OPTION_FLAG:
                return (cyaml_schema_value_t){CYAML_VALUE_BOOL(flags, bool)};
        case OPTION_NUMBER:
                return (cyaml_schema_value_t){CYAML_VALUE_UINT(flags, uint64_t)};
        case OPTION_TEXT:
                return (cyaml_schema_value_t){
                    CYAML_VALUE_STRING(flags | CYAML_FLAG_SCALAR_QUOTE_DOUBLE, char, 0, TEXT_MAX)};
        case OPTION_TEXTS:
                return (cyaml_schema_value_t){
                    CYAML_VALUE_SEQUENCE(flags, char *, &text_value, 1, (uint32_t)row->max)};
        case OPTION_SIZE:
        case OPTION_CHOICE:
        case OPTION_PATH:
                break;
        }
        return (cyaml_schema_value_t){CYAML_VALUE_STRING(flags, char, 0, TEXT_MAX)};
}

static unsigned n_options; /* keys so far */

/* The place of a key; n_options when it has none yet. */
static unsigned find_option(const char *key)
{
        unsigned i = 0;

        while (i < n_options && strcmp(device_fields[array_size(first_fields) + i].key, key) != 0)
                i++;
        return i;
}

/* A key of several types is one key of the file: they have it of one kind. */
static void add_option(const struct option_row *row)
{
        const unsigned i = find_option(row->key);
        const size_t place = offsetof(struct config_device, options) + i * sizeof(struct config_option);

        if (i < n_options)
                return;
        device_fields[array_size(first_fields) + i] =
            (cyaml_schema_field_t){.key = row->key,
                                   .value = option_value(row),
                                   .data_offset = (uint32_t)(place + offsetof(struct config_option, value)),
                                   .count_offset = (uint32_t)(place + offsetof(struct config_option, count)),
                                   .count_size = sizeof(uint32_t)};
        n_options++;
}

const cyaml_schema_value_t *config_schema(void)
{
        if (device_fields[0].key)
                return &file_value;
        memcpy(device_fields, first_fields, sizeof(first_fields));
        for (unsigned t = 0; t < DEVICE_TYPE_COUNT_; t++) {
                types[t] = (cyaml_strval_t){device_types[t].name, t};
                for (unsigned i = 0; i < device_types[t].n_options; i++)
                        add_option(&device_types[t].options[i]);
        }
        memcpy(&device_fields[array_size(first_fields) + n_options], last_fields, sizeof(last_fields));
        return &file_value;
}

bool config_schema_is_device(const cyaml_schema_field_t *fields)
{
        return fields == device_fields;
}

bool config_schema_is_option(const char *key)
{
        config_schema();
        return find_option(key) < n_options;
}

struct config_option *config_schema_option(struct config_device *device, const struct option_row *row)
{
        config_schema();
        return &device->options[find_option(row->key)];
}

cyaml_config_t config_schema_options(cyaml_log_fn_t log, void *log_context)
{
        return (cyaml_config_t){
            .log_fn = log,
            .log_ctx = log_context,
            .log_level = CYAML_LOG_ERROR,
            .mem_fn = cyaml_mem,
            .flags = CYAML_CFG_NO_ALIAS | CYAML_CFG_STYLE_BLOCK,
        };
}
