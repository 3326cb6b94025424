/* The table of device types: the one place that knows them all.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

enum device_type_id {
        DEVICE_TYPE_BLK = 0,
        DEVICE_TYPE_RNG,
        DEVICE_TYPE_COUNT_,
        DEVICE_TYPE_LOADER = DEVICE_TYPE_COUNT_, /* no device: writes a kernel into a VM that has never run */
        WORKER_TYPE_COUNT_,
};

#define DEVICE_ERROR_TAIL 4u

struct device_type {
        const char *name;    /* in configurations, policies and the worker's file name */
        const char *program; /* file name in the worker directory */
        uint32_t virtio_id;  /* virtio 1.3, 5, "Device Types"; 0: it is no device */
        uint32_t max_queues; /* 0: it takes no requests */
        uint32_t default_queues;
        const char *qemu_device; /* QEMU's device model for `attach --print qemu` */
        /* What a failed request's writable bytes end with, for a device that has no worker any more. */
        uint8_t error_tail[DEVICE_ERROR_TAIL];
        uint8_t error_tail_len; /* 0: it has no error; its requests stay unanswered */
};

extern const struct device_type device_types[WORKER_TYPE_COUNT_];

/* Of devices only. NULL when there is no such type. */
const struct device_type *device_type_find(const char *name);
