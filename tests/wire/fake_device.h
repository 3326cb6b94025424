/* A device without workers, for the front end alone: implements broker/core/device.h by writing down what it
 * is told.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/device.h"

#define FAKE_QUEUES    4u
#define FAKE_VIRTIO_ID 2u
#define FAKE_PACKED    (UINT64_C(1) << 34) /* a feature that is served when a test adds it */
#define FAKE_BASE_STEP 5u                  /* a queue that ran has taken so many chains */

struct fake_queue {
        bool running;
        struct queue_layout layout;
        uint32_t base;
        int kick, call; /* duplicates, as a real device keeps them */
        unsigned starts, stops, calls_set;
        void (*stopped)(void *context, uint32_t base); /* not NULL: a stop is pending */
        void *stopped_context;
};

/* The one device; tests look into it. */
struct device {
        bool ready;
        uint64_t features;
        uint32_t config_size;
        uint8_t config[LIMIT_CONFIG_BYTES];
        struct device_front front;

        bool hold;       /* callbacks wait until this is cleared */
        int start_error; /* what the next device_queue_start returns */
        int memory_error;
        int write_error;  /* what device_config_write returns */
        int write_result; /* what its callback says */

        uint64_t committed;
        unsigned commits, resets, memory_changes, writes;
        struct guest_memory *memory;
        struct fake_queue queues[FAKE_QUEUES];
        void (*written)(void *context, int error);
        void *written_context;
};

void fake_device_init(struct device *device);
void fake_device_done(struct device *device);

/* Fires the callbacks that are due. Call it beside the loop. */
void fake_device_turn(struct device *device);

bool fake_device_any_running(const struct device *device);
