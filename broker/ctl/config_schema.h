/* The configuration file as it is written: libcyaml's schema, the one place that knows keys and types, but for the options
 * of device types, which it takes from their rows.
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

/* There is one way to turn it on. */
enum config_shmem {
        CONFIG_SHMEM_OFF = 0,
        CONFIG_SHMEM_MAP,
        CONFIG_SHMEM_COUNT_,
};

struct config_shmem_limits {
        uint32_t *mappings;
        const char *bytes; /* like worker_memory */
        enum foreign_dma *foreign_dma;
};

struct config_device_window {
        const char *start; /* a number, perhaps in hexadecimal */
        const char *size;  /* like worker_memory */
};

struct config_device_memory {
        bool *iotlb;
        struct config_device_window *windows;
        uint32_t windows_count;
        struct config_device_window *raw;
};

#define CONFIG_OPTION_KEYS (DEVICE_TYPE_COUNT_ * LIMIT_OPTIONS)

/* Of its row's kind: bool (flag), uint64_t (number), char (size, choice, text, path), or `count` char * (texts). */
struct config_option {
        void *value;
        uint32_t count;
};

struct config_device {
        const char *name;
        enum device_type_id type;
        uint32_t *queues, *lanes;
        uint32_t *request_timeout; /* seconds */
        enum device_copy *copy;
        uint32_t *poll_us;
        enum device_placement *placement;
        struct config_device_limits *limits;
        struct config_device_rate *rate;
        enum config_shmem *shmem;
        struct config_shmem_limits *shmem_limits;
        struct config_device_memory *memory;
        enum device_legacy *legacy;
        struct config_option options[CONFIG_OPTION_KEYS]; /* one a key; config_schema_option tells which */
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

/* Made of the rows of all device types when it is first asked for. */
const cyaml_schema_value_t *config_schema(void);

/* Are these the keys of a device? */
bool config_schema_is_device(const cyaml_schema_field_t *fields);

/* Is it the key of an option of any device type? */
bool config_schema_is_option(const char *key);

/* Where a device's value for an option lies. */
struct config_option *config_schema_option(struct config_device *device, const struct option_row *row);

/* Options of the library for loading and saving; `log_context` goes to `log`, which may be NULL. */
cyaml_config_t config_schema_options(cyaml_log_fn_t log, void *log_context);
