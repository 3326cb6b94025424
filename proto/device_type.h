/* The table of device types: the one place that knows them all.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/device_option.h"
#include "proto/device_region.h"

enum device_type_id {
        DEVICE_TYPE_BLK = 0,
        DEVICE_TYPE_RNG,
        DEVICE_TYPE_FS,
        DEVICE_TYPE_NET,
        DEVICE_TYPE_CONSOLE,
        DEVICE_TYPE_VSOCK,
        DEVICE_TYPE_PMEM,
        DEVICE_TYPE_SAMPLE,
        DEVICE_TYPE_IOMMU,
        DEVICE_TYPE_COUNT_,
        DEVICE_TYPE_LOADER = DEVICE_TYPE_COUNT_, /* no device: writes a kernel into a VM that has never run */
        WORKER_TYPE_COUNT_,
};

#define DEVICE_ERROR_TAIL    16u
#define DEVICE_LEGACY_FIELDS 4u
#define DEVICE_LEGACY_HEAD   16u /* bytes, of all fields together */

struct device_type {
        const char *name;        /* in configurations, policies and the worker's file name */
        const char *program;     /* file name in the worker directory */
        uint32_t virtio_id;      /* virtio 1.3, 5, "Device Types"; 0: it is no device */
        uint32_t max_queues;     /* 0: it takes no requests */
        uint32_t default_queues; /* a multiple of queue_group */
        uint32_t queue_group;    /* queues come in groups of so many, which front ends count; 0: one by one */
        uint32_t
            own_queues; /* ... and so many more where the broker is the VMM: another VMM has these itself */
        bool
            vmm_config; /* over vhost-user its config space is the VMM's own: none is offered. QEMU 7.1 to 8.0 end when one is */
        const char *qemu_device; /* QEMU's device model for `attach --print qemu` */
        /* What a failed request's writable bytes end with, for a device that has no worker any more. */
        uint8_t error_tail[DEVICE_ERROR_TAIL];
        bool error_first;       /* they are what an answer begins with, and all of it */
        uint8_t error_tail_len; /* 0: it has none */
        /* A request with nothing to be written to wants no answer: it is used, and its bytes are lost; and what is lent waits,
         * as it always may. Drivers spin until the like is used (a console's output, a command of a network's). */
        bool error_quiet;
        /* What its workers count that went nowhere, or wrong, for `bulkhead ps`: n_counters names, LIMIT_COUNTERS at most. */
        const char *const *counters;
        unsigned n_counters;
        const struct option_row *options; /* n_options of them; NULL when it has none */
        unsigned n_options;
        /* Rules between good options: 0, or -EINVAL with a sentence: what is wrong, and after a colon what to do. Asked
         * where a configuration is judged, not in a worker. NULL: there are none. */
        int (*judge)(const struct option_set *set, char *why, size_t why_size);
        /* How many queues these options lead to: no more than max_queues. NULL: that is a choice of its own. */
        uint32_t (*queues)(const struct option_set *set);
        /* The shared memory regions that these options lead to, where they are wanted (device_region.h): how many, and each, in
         * ascending order. NULL: it has none. */
        unsigned (*regions)(const struct option_set *set,
                            struct device_region ret_regions[static LIMIT_SHMEM_REGIONS]);
        bool regions_needed; /* without them it is of no use */
        bool regions_asked;  /* there are some only if its options say so, and then they are to be had */
        /* It has a form for the legacy interface (`legacy:`), where what is not bytes is in the guest's order. */
        bool legacy;
        uint32_t legacy_queues; /* ... with so many at most, since there it has one port; 0: as ever */
        /* ... of its requests these fields, by their widths, with which the readable bytes begin: the broker turns them, and its
         * worker reads little endian, as ever. Up to the first 0. Nothing else of its requests has an order, or it is told. */
        uint8_t legacy_head[DEVICE_LEGACY_FIELDS];
        bool
            raw; /* its worker can walk its own rings, where the configuration lets it (`memory: {raw: ...}`) */
        bool
            turns; /* a driver often waits for each request by itself: a worker that may be placed has short turns */
};

extern const struct device_type device_types[WORKER_TYPE_COUNT_];

/* Does a device without a worker answer? If not, its requests stay as they are. */
static inline bool device_type_fails(const struct device_type *type)
{
        return type->error_tail_len > 0 || type->error_quiet;
}

/* How many queues it has when nobody says so, and: can it have so many? `own_vmm`: in a VM of the broker's own. */
uint32_t device_type_default_queues(const struct device_type *type, bool own_vmm);
bool device_type_queues_ok(const struct device_type *type, bool own_vmm, uint32_t n_queues);

/* Of devices only. NULL when there is no such type. */
const struct device_type *device_type_find(const char *name);

/* Of all that have a worker: the loader too. Likewise. */
const struct device_type *device_type_find_worker(const char *name);
