/* The configuration file as it is written: libcyaml's schema, the one place that knows keys and types.
 * It loads a file, walks it for mistakes (config_walk.c) and writes the effective configuration.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/device_type.h"
#include "proto/vm_config.h"

/* NULL: the key is not there. */
struct config_socket {
        const char *mode;  /* octal */
        const char *group; /* name or number */
};

struct config_uids {
        uint32_t *first, *count;
};

struct config_limits {
        const char *worker_memory; /* bytes, or with K, M, G behind */
};

struct config_device_limits {
        const char *memory;               /* like worker_memory */
        const char *cpu;                  /* a number and % */
        uint32_t *cpu_weight, *io_weight; /* */
        const char *read_bps, *write_bps; /* bytes, or with K, M, G behind */
        uint32_t *read_iops, *write_iops;
};

struct config_device_rate {
        uint32_t *ops, *ops_burst;
        const char *bytes, *bytes_burst; /* like read_bps */
};

struct config_device {
        const char *name;
        enum device_type_id type;
        const char *path;
        bool *read_only;
        uint32_t *queues, *lanes;
        bool *direct;
        uint32_t *request_timeout; /* seconds */
        enum device_copy *copy;
        uint32_t *poll_us;
        enum device_placement *placement;
        const char *serial;
        uint32_t *block_size;
        struct config_device_limits *limits;
        struct config_device_rate *rate;
};

struct config_file {
        const char *vm;
        enum vm_frontend frontend;
        uint32_t *vcpus;
        const char *memory; /* like worker_memory */
        const char *kernel, *initrd, *cmdline;
        enum vm_serial *serial;
        const char *run_dir;
        struct config_socket *socket;
        struct config_uids *uids;
        struct config_limits *limits;
        struct config_device *devices;
        uint32_t devices_count;
};

extern const cyaml_schema_value_t config_schema;

/* Options of the library for loading and saving; `log_context` goes to `log`, which may be NULL. */
cyaml_config_t config_schema_options(cyaml_log_fn_t log, void *log_context);
