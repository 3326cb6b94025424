/* A device without workers, for the front end alone: implements broker/core/device.h by writing down what it
 * is told.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/device.h"
#include "broker/core/iotlb.h"

#define FAKE_QUEUES    4u
#define FAKE_VIRTIO_ID 2u
#define FAKE_REGION_0  (UINT64_C(1) << 20)
#define FAKE_REGION_3  (UINT64_C(3) << 20)
#define FAKE_MAPPINGS  LIMIT_SHMEM_MAPPINGS
#define FAKE_PACKED    (UINT64_C(1) << 34) /* a feature that is served when a test adds it */
#define FAKE_BASE_STEP 5u                  /* a queue that ran has taken so many chains */

#define FAKE_ENTRIES 16u /* translations that are written down */

struct fake_queue {
        bool running;
        struct queue_layout layout;
        uint32_t base;
        int kick, call; /* duplicates, as a real device keeps them */
        unsigned starts, stops, calls_set;
        void (*stopped)(void *context, uint32_t base); /* not NULL: a stop is pending */
        void *stopped_context;
};

/* What the device was told of translations, and what it has asked: each question is answered once. */
struct fake_iotlb {
        bool on;
        int update_error;                         /* what the update with this number returns: */
        unsigned update_error_at;                 /* ... counted from 0 */
        struct iotlb_entry entries[FAKE_ENTRIES]; /* in the order of the updates, since all was forgotten */
        unsigned n_entries, n_updates, n_invalidations, n_missed;
        uint64_t last_iova, last_len; /* of the last invalidation */
        uint64_t open[LIMIT_IOTLB_MISSES], last_missed;
        unsigned n_open;
};

/* The one device; tests look into it. */
struct device {
        bool ready;
        uint32_t virtio_id;
        uint64_t features;
        unsigned groups; /* of queues, that a front end has a device each for */
        uint32_t config_size;
        bool config_is_vmms;
        uint8_t config[LIMIT_CONFIG_BYTES];
        struct device_front front;

        bool hold;       /* callbacks wait until this is cleared */
        int start_error; /* what the next device_queue_start returns */
        int memory_error;
        int write_error;  /* what device_config_write returns */
        int write_result; /* what its callback says */

        uint64_t committed;
        uint64_t shown_offered, shown_agreed; /* device_show_features */
        unsigned commits, resets, memory_changes, writes;
        struct guest_memory *memory;
        struct fake_queue queues[FAKE_QUEUES];
        void (*written)(void *context, int error);
        void *written_context;

        struct shmem *shmem; /* without regions, until fake_device_add_regions */
        bool busy;           /* in a call of the front's, or of ours: nothing is told now */
        bool deaf; /* its worker cannot be told of one that is refused: it is killed, and all mappings go */
        unsigned shown; /* mappings that we were told of */
        struct shmem_mapping *last_told;
        int last_error;

        bool may_translate;
        struct fake_iotlb iotlb;
};

void fake_device_init(struct device *device);
void fake_device_done(struct device *device);

/* Fires the callbacks that are due. Call it beside the loop. */
void fake_device_turn(struct device *device);

/* The device has shared memory regions: shmid 0 of FAKE_REGION_0 bytes, and 3 of FAKE_REGION_3. */
void fake_device_add_regions(struct device *device);

/* A worker's mapping of new memory, in region 0. The front is not told, but asked by fake_device_show and told by
 * fake_device_hide. */
struct shmem_mapping *fake_device_map(struct device *device, uint64_t offset, uint64_t len, bool writable);

struct shmem_mapping *fake_device_show(struct device *device, uint64_t offset, uint64_t len, bool *ret_shown);
void fake_device_hide(struct device *device, struct shmem_mapping *mapping);

/* The device misses a page, and asks; false: as many questions are open as may be, or this one is. */
bool fake_device_miss(struct device *device, uint64_t iova, unsigned rights);

bool fake_device_any_running(const struct device *device);
