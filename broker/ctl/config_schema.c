/* The configuration file's schema.
 * Owns nothing; used by config_load.c, config_walk.c and config_effective.c.
 * TRUST: describes the operator's file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_schema.h"

#include <limits.h>

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

static const cyaml_strval_t types[] = {
    {"blk", DEVICE_TYPE_BLK},
    {"rng", DEVICE_TYPE_RNG},
};
_Static_assert(array_size(types) == DEVICE_TYPE_COUNT_, "one row a device type");

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

static const cyaml_schema_field_t device_fields[] = {
    CYAML_FIELD_STRING_PTR("name", REQUIRED, struct config_device, name, 0, TEXT_MAX),
    CYAML_FIELD_ENUM("type", REQUIRED | CYAML_FLAG_STRICT, struct config_device, type, types,
                     CYAML_ARRAY_LEN(types)),
    CYAML_FIELD_STRING_PTR("path", OPTIONAL, struct config_device, path, 0, TEXT_MAX),
    CYAML_FIELD_BOOL_PTR("read_only", OPTIONAL, struct config_device, read_only),
    CYAML_FIELD_BOOL_PTR("direct", OPTIONAL, struct config_device, direct),
    CYAML_FIELD_UINT_PTR("queues", OPTIONAL, struct config_device, queues),
    CYAML_FIELD_UINT_PTR("lanes", OPTIONAL, struct config_device, lanes),
    CYAML_FIELD_UINT_PTR("request_timeout", OPTIONAL, struct config_device, request_timeout),
    CYAML_FIELD_ENUM_PTR("copy", OPTIONAL | CYAML_FLAG_STRICT, struct config_device, copy, copies,
                         CYAML_ARRAY_LEN(copies)),
    CYAML_FIELD_UINT_PTR("poll_us", OPTIONAL, struct config_device, poll_us),
    CYAML_FIELD_ENUM_PTR("placement", OPTIONAL | CYAML_FLAG_STRICT, struct config_device, placement,
                         placements, CYAML_ARRAY_LEN(placements)),
    /* Quoted when written: "" is a serial number too, and an empty value is not. */
    CYAML_FIELD_STRING_PTR("serial", OPTIONAL | CYAML_FLAG_SCALAR_QUOTE_DOUBLE, struct config_device, serial,
                           0, TEXT_MAX),
    CYAML_FIELD_UINT_PTR("block_size", OPTIONAL, struct config_device, block_size),
    CYAML_FIELD_MAPPING_PTR("limits", OPTIONAL, struct config_device, limits, device_limits_fields),
    CYAML_FIELD_MAPPING_PTR("rate", OPTIONAL, struct config_device, rate, device_rate_fields),
    CYAML_FIELD_END,
};

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

const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config_file, file_fields),
};

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
