/* What a worker may hold beside its channels: how many descriptors of which kind, from its type and its options. The one
 * truth for the spawner that opens them, the filter that names them and the audit that counts them.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "proto/vm_config.h"

enum resource_kind {
        RESOURCE_FILE = 0, /* a regular file or a block device */
        RESOURCE_EVENT,    /* an eventfd */
        RESOURCE_LISTENER, /* a Unix stream socket that listens */
        RESOURCE_STREAM,   /* a connected Unix stream socket */
        RESOURCE_TAP,      /* a queue of a tap interface */
        RESOURCE_FOLDER,   /* O_PATH of a directory that is the worker's root */
        RESOURCE_MEMORY, /* memory that a worker's successors see, and nobody else: a memfd that cannot shrink */
        RESOURCE_KIND_COUNT_,
};

/* "file", "eventfd", ... */
const char *resource_kind_name(enum resource_kind kind);

struct resource_counts {
        uint32_t of[RESOURCE_KIND_COUNT_];
        uint32_t born; /* that it may make after lock-down: connections it accepts, files it opens */
};

/* What the worker of this configuration is given, all of it. */
void device_resources_count(const struct device_config *device, struct resource_counts *ret_counts);

/* The most that any configuration of the type leads to: no broker can claim more for a worker. */
const struct resource_counts *device_resources_most(enum device_type_id type);

/* The companion that its workers have (sandbox/companion.h), by name; NULL: none. */
const char *device_companion(const struct device_config *device);

/* Without those that arise later. */
uint32_t resource_counts_total(const struct resource_counts *counts);
