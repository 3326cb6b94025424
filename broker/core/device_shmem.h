/* A device and its shared memory regions: what its worker asks for, what its front end is shown (shmem.h keeps the books). For
 * the files that are a device (device_state.h); all on the main thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/shmem.h"
#include "proto/admin.h"
#include "proto/control.h"

struct device;

/* What a device remembers. Zero is right for a device without regions. */
struct device_maps {
        struct shmem *shmem;
        struct {
                uint8_t shmid;
                uint64_t gpa;
        } places[LIMIT_SHMEM_REGIONS];
        unsigned n_places;
        uint32_t due; /* ShmemMaps that the worker has announced and not sent yet */
        unsigned n_pending;
        struct device_map_pending {
                struct shmem_mapping *mapping; /* with the front end, */
                uint32_t id;                   /* and this is what the worker calls it */
        } pending[LIMIT_SHMEM_PENDING];
};

/* For `bulkhead ps` and `audit`. */
void device_shmem_status(const struct device *device, struct admin_regions *ret_status);

/* At the device's making and its end. 0 or negative errno. */
int device_shmem_open(struct device *device);
void device_shmem_close(struct device *device);

/* The config space has been filled from a Hello: puts regions' addresses there. */
void device_shmem_place_fields(struct device *device);

/* Before a worker is greeted: its regions' memory, which is made if there is none. Borrowed. Returns how many descriptors, or
 * negative errno. */
int device_shmem_memory(struct device *device, int ret_fds[static LIMIT_SHMEM_REGIONS]);

/* It has said Hello and announces so many maps. Is shown what it has itself. */
int device_shmem_hello(struct device *device, uint32_t maps);

/* ShmemMap or ShmemUnmap. 0, and the worker is answered, now or later; or negative errno: it is not permitted now. */
int device_shmem_message(struct device *device, const struct control_to_broker *message);

/* Have all announced maps come? */
bool device_shmem_is_primed(const struct device *device);

/* It serves: what no successor has asked for again goes. */
void device_shmem_settle(struct device *device);

/* Its worker is dead; a successor may ask for what it had. */
void device_shmem_lost(struct device *device);

/* Quarantine: nothing of what was there is there any more. */
void device_shmem_revoke(struct device *device);

/* A device reset: nothing of what the driver before has brought about is there any more, and fresh memory and the device's own are.
 * What belongs to a worker that stays, because no guest has seen anything of it, stays with it. */
void device_shmem_reset(struct device *device, bool worker_stays);

/* Another front end, or none: before and after device->front changes. */
void device_shmem_hide_all(struct device *device);
void device_shmem_show_all(struct device *device);
